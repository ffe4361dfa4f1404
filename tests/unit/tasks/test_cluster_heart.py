"""Who counts as alive, who leads and until when: beats against a database whose clock is the test's."""

import random
from collections.abc import Iterator
from contextlib import suppress

import pytest
from clustering import Node, World, world

from taskmill.sql import DatabaseUnavailable
from taskmill.tasks.cluster.beat import DEAD, TERM
from taskmill.tasks.cluster.heart import BEAT, MARGIN, RESIGNED, STILL


@pytest.fixture
def place() -> Iterator[World]:
    with world() as made:
        yield made


def beat_on(place: World, seconds: float, *nodes: Node, step: float = BEAT) -> None:
    """Let time pass while these nodes beat."""
    end = place.now + seconds
    while place.now + step <= end:
        place.now += step
        for node in nodes:
            node.beat()


def names(node: Node) -> list[str]:
    return sorted(one.name for one in node.heard.beat.nodes)


def test_the_first_leads_and_the_second_does_not(place: World) -> None:
    first, second = place.node("first"), place.node("second")
    assert first.beat().fence == 1
    assert second.beat().fence is None
    beat_on(place, 60, first, second)
    assert (first.leads, second.leads) == (True, False)
    assert names(first) == names(second) == ["first", "second"]
    assert first.heard.fence == 1, "kept, not taken anew"


def test_a_leader_that_is_killed_is_followed_within_ten_seconds_with_a_greater_fence(place: World) -> None:
    first, second = place.node(), place.node()
    beat_on(place, 20, first, second)
    killed_at = place.now
    while not second.leads:
        heard = second.beat()
        place.now += 0 if second.leads else min(BEAT, heard.beat.lease.left + 0.05)
    assert place.now - killed_at < 10
    assert second.heard.fence == 2


def test_a_leader_stops_before_another_may_begin(place: World) -> None:
    """Whatever the order of beats and however long each is under way, never do two lead at one instant."""
    choice = random.Random(7)
    for _ in range(300):
        with world() as there:
            nodes = [there.node() for _ in range(3)]
            for _ in range(40):
                there.now += choice.choice([0.05, 0.5, 1.9, 2.1, 4.0])
                node = choice.choice(nodes)
                there.away = choice.random() < 0.2
                with suppress(DatabaseUnavailable):
                    node.beat(blocked=choice.random() < 0.2)
                assert sum(one.leads for one in nodes) <= 1


def test_a_leader_that_cannot_renew_stops_by_its_own_clock(place: World) -> None:
    first = place.node()
    first.beat()
    place.away = True
    place.now += TERM - MARGIN - 0.1
    assert first.leads
    place.now += 0.2
    assert not first.leads


def test_a_leader_that_leaves_is_followed_at_once(place: World) -> None:
    first, second = place.node(), place.node("second")
    beat_on(place, 4, first, second)
    first.heart.leave(place)
    assert second.beat().fence == 2
    assert names(second) == ["second"]


def test_a_leader_that_resigns_leaves_it_to_others_for_a_while(place: World) -> None:
    first, second = place.node(), place.node()
    first.beat()
    second.beat()
    first.heart.resign()
    assert first.beat().fence is None
    assert second.beat().fence == 2
    second.heart.leave(place)
    assert first.beat().fence is None
    place.now += RESIGNED
    assert first.beat().fence == 3


def test_a_loop_that_stands_still_neither_keeps_nor_takes_the_lead(place: World) -> None:
    first, second = place.node(), place.node()
    beat_on(place, 4, first, second)
    while place.now < 4 + STILL + TERM + BEAT:
        place.now += 1.0
        first.beat(blocked=True)
        second.beat()
    assert (first.leads, second.leads) == (False, True)
    second.heart.leave(place)
    place.now += STILL
    assert first.beat(blocked=True).fence is None, "its beats go on, it lives"
    assert first.beat().fence == 3


def test_one_that_cannot_lead_does_not(place: World) -> None:
    first = place.node()
    first.turn.seek = False
    assert first.beat().fence is None


def test_a_node_without_beats_is_declared_dead_and_comes_back_as_another(place: World) -> None:
    first, second = place.node("first"), place.node("second")
    beat_on(place, 20, first, second)
    old = second.heart.id
    beat_on(place, DEAD, first)
    assert names(first) == ["first", "second"], "not yet"
    beat_on(place, BEAT, first)
    assert [one.name for one in first.heard.beat.buried] == ["second"]
    assert names(first) == ["first"]
    heard = second.beat()  # it was only frozen
    assert heard.id != old
    assert names(second) == ["first", "second"]


def test_only_the_leader_declares_others_dead(place: World) -> None:
    first, second, third = (place.node(name) for name in ("first", "second", "third"))
    beat_on(place, 20, first, second, third)
    for _ in range(10):
        place.now += BEAT
        first.beat()
        second.beat()
        assert not second.heard.beat.buried
    assert names(second) == ["first", "second"]


def test_after_the_database_was_away_everybody_has_time_to_say_that_it_lives(place: World) -> None:
    """All have been silent. Whoever is heard first must not bury the others."""
    nodes = [place.node(str(number)) for number in range(3)]
    beat_on(place, 20, *nodes)
    place.away = True
    for _ in range(30):
        place.now += BEAT
        for node in nodes:
            with pytest.raises(DatabaseUnavailable):
                node.beat()
    place.away = False
    beat_on(place, DEAD - BEAT, nodes[0], step=0.5)
    assert names(nodes[0]) == ["0", "1", "2"]
    ids = [node.heart.id for node in nodes]
    beat_on(place, 20, *nodes)
    assert [node.heart.id for node in nodes] == ids
    beat_on(place, 12, *nodes[:2])
    assert names(nodes[0]) == ["0", "1"], "and then judges as before"


def test_a_leader_that_was_frozen_judges_nobody_by_its_own_sleep(place: World) -> None:
    """It wakes and finds the others as old as its own sleep, as where the whole machine was asleep."""
    first, second = place.node("first"), place.node("second")
    beat_on(place, 20, first, second)
    place.now += 60
    assert first.beat().beat.buried == []
    second.beat()
    assert names(first) == ["first", "second"]


def test_a_start_whose_commit_was_lost_leaves_no_lead_behind(place: World) -> None:
    """The database has taken the beat, and the answer was lost: the next one finds the lead its own."""
    first = place.node()
    first.beat()
    first.heart.leave(place)
    second = place.node()
    second.turn.seek = False
    second.beat()
    second.turn.seek = True
    lost = second.heart._call(place.now, second.turn.details, True)
    place.run(lost)
    assert second.beat().fence == 2
    assert second.leads
