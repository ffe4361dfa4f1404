"""What keeps a window over rows true while rows change: its edge, and the changes that a read has missed."""

from hypothesis import given
from hypothesis import strategies as st

from taskmill.tasks.dispatch.edge import Edge, Position
from taskmill.tasks.rows.changes import Changes


def place(number: int) -> Position:
    """Return one of a few places, in order: four ranks with four ids each."""
    return number // 4, (100 + number % 4).to_bytes(16)


places = st.integers(0, 15)


def test_a_window_over_everything_has_no_edge() -> None:
    edge = Edge(None)
    assert not edge.beyond(place(15))


def test_a_task_that_is_left_a_row_is_behind_the_edge_and_the_one_before_it_is_not() -> None:
    edge = Edge(None)
    edge.leave(place(5))
    assert edge.beyond(place(5))
    assert not edge.beyond(place(4))


@given(first=places, left=st.lists(places), to=st.none() | places)
def test_after_a_read_the_edge_is_before_all_that_was_left_meanwhile(
    first: int, left: list[int], to: int | None
) -> None:
    edge = Edge(place(first))
    edge.leave(place(first))  # before the read, which therefore sees it
    assert edge.begin() < place(first)
    for number in left:
        edge.leave(place(number))
    edge.end(None if to is None else place(to))
    for number in range(16):
        read = to is None or number <= to
        behind = any(place(number) >= place(one) for one in left)
        assert edge.beyond(place(number)) == (behind or not read)


def test_a_read_that_fails_leaves_the_edge_where_it_was() -> None:
    edge = Edge(place(8))
    edge.begin()
    edge.leave(place(12))
    assert edge.at == place(8)
    edge.begin()
    edge.end(None)
    assert edge.at is None, "the second read has seen what was left during the first"


def test_a_change_counts_for_the_reads_that_were_under_way_alone() -> None:
    changes = Changes()
    changes.note(b"before")
    with changes.reading() as first:
        changes.note(b"one")
        with changes.reading() as second:
            changes.note(b"two")
            assert [first(key) for key in (b"before", b"one", b"two", b"never")] == [False, True, True, False]
            assert [second(key) for key in (b"before", b"one", b"two")] == [False, False, True]
            changes.note(b"one")
            assert second(b"one")


def test_no_change_is_remembered_longer_than_a_read_needs_it() -> None:
    changes = Changes()
    first = changes.reading()
    first.__enter__()
    changes.note(b"a")
    second = changes.reading()
    second.__enter__()
    changes.note(b"b")
    changes.note(b"a")
    first.__exit__(None, None, None)
    assert changes._changed.keys() == {b"a", b"b"}
    third = changes.reading()
    third.__enter__()
    changes.note(b"c")
    second.__exit__(None, None, None)
    assert changes._changed.keys() == {b"c"}
    third.__exit__(None, None, None)
    assert not changes._changed
    changes.note(b"d")
    assert not changes._changed
