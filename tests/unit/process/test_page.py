"""The memory between a worker and its parent: marks count for their own call and for no other."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskmill.process import page as page_module
from taskmill.process.launch import page_file
from taskmill.process.page import BEGUN, SLOTS, Page, attach, cancelled


def two_sides() -> tuple[Page, Page]:
    with page_file() as descriptor:
        return Page(descriptor), Page(descriptor)


@pytest.fixture
def own() -> Iterator[None]:
    yield
    page_module._Own.page = None


def test_one_side_sees_what_the_other_writes() -> None:
    parent, worker = two_sides()
    assert parent.begun == 0
    worker.words[BEGUN] = 7
    assert parent.begun == 7
    parent.mark(8, cancelled=True)
    assert worker.is_marked(8)
    assert not worker.is_marked(7)


@given(st.dictionaries(st.integers(1, 3 * SLOTS), st.booleans(), max_size=20), st.integers(1, 3 * SLOTS))
def test_a_mark_counts_for_its_own_call_only(marks: dict[int, bool], number: int) -> None:
    parent, worker = two_sides()
    for marked in sorted(marks):
        parent.mark(marked, cancelled=marks[marked])
    window = {marked: how for marked, how in marks.items() if marked > max(marks) - SLOTS}
    for each in {number, *window}:
        worker.words[BEGUN] = each
        if each in window:
            assert worker.is_marked(each)
            assert worker.is_cancelled() is window[each]
        elif each not in marks:
            assert not worker.is_marked(each)
            assert not worker.is_cancelled()


def test_a_call_that_is_only_moved_is_not_told_that_it_was_cancelled(own: None) -> None:
    parent, worker = two_sides()
    attach(worker)
    worker.words[BEGUN] = 1
    parent.mark(1, cancelled=False)
    assert worker.is_marked(1)
    assert not cancelled()
    parent.mark(1, cancelled=True)
    assert cancelled()
    worker.words[BEGUN] = 2
    assert not cancelled()


def test_a_page_takes_memory_only_where_it_is_touched_and_leaves_nothing() -> None:
    before = len(os.listdir("/dev/fd"))
    with page_file() as descriptor:
        page = Page(descriptor)
        page.mark(3, cancelled=True)
        assert os.fstat(descriptor).st_blocks * 512 <= 16 << 10
    assert page.is_marked(3)
    page.close()
    assert len(os.listdir("/dev/fd")) == before
