"""Submissions that wait for a commit are bounded, in number and in bytes."""

from typing import Any

from taskmill.process.messages import FunctionRef
from taskmill.tasks.actions.action import Action
from taskmill.tasks.actions.catalog import Registered
from taskmill.tasks.ids import IdSource
from taskmill.tasks.message import TaskMessage
from taskmill.tasks.rows.store import ADDING_LIMIT, Store


class Lane:
    def __init__(self, settle: Any) -> None:
        self.settle = settle
        self.rows: list[Any] = []

    def append(self, row: Any, _waiter: object) -> None:
        self.rows.append(row)


class Database:
    """As much of a database as a store asks for when nothing is ever committed."""

    def __init__(self) -> None:
        self.writer = self
        self.limit = 10
        self.lanes: list[Lane] = []

    def compile(self, _statement: object) -> str:
        return ""

    def lane(self, _sql: str, settle: Any) -> Lane:
        self.lanes.append(Lane(settle))
        return self.lanes[-1]


def test_many_submissions_are_refused_before_more_wait_than_may() -> None:
    database = Database()
    store: Store[object, object] = Store(database, print, print, print, print)  # type: ignore[arg-type]
    registered = Registered(Action(lambda: None, name="nothing"), FunctionRef("", "", ""))
    ids = IdSource()
    for number in range(10):
        assert not store.overloaded()
        message = TaskMessage(ids.next(), "nothing", registered, "{}")
        if number % 2:
            store.add(message, "tasks", 0, None)
        else:
            store.add_full((message.key, "nothing", "tasks", "{}"), None)
    assert store.overloaded(), "both sorts together count"
    database.lanes[0].rows.clear()
    assert not store.overloaded()


def test_large_submissions_are_refused_before_they_fill_the_memory() -> None:
    database = Database()
    settled: list[Any] = []

    def added(*batch: Any) -> None:
        settled.append(batch)

    store: Store[object, object] = Store(database, added, added, lambda _: None, lambda _: None)  # type: ignore[arg-type]
    registered = Registered(Action(lambda: None, name="nothing"), FunctionRef("", "", ""))
    ids = IdSource()
    body = "x" * (ADDING_LIMIT // 3)
    for _ in range(3):
        assert not store.overloaded()
        store.add(TaskMessage(ids.next(), "nothing", registered, body), "tasks", 0, None)
    store.add(TaskMessage(ids.next(), "nothing", registered, "more"), "tasks", 0, None)
    assert store.overloaded()
    add = database.lanes[0]
    add.settle(add.rows, [None] * 4, None)
    assert not store.overloaded()
    assert len(settled) == 1
