"""What ``queue.driver.postgres`` needs of a ``db.sql.postgres`` entry. Their rooms know nothing of each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

if TYPE_CHECKING:
    from sqlalchemy import ClauseElement

T = TypeVar("T")


class Transaction(Protocol):
    """Statements within one transaction."""

    def fetch(self, statement: ClauseElement, **values: Any) -> list[Any]:
        """Run a query, and return its rows."""

    def change(self, statement: ClauseElement, **values: Any) -> int:
        """Run a change; return how many rows it changed."""


class Signals(Protocol):
    """How nodes wake each other up. A hint, which may be lost."""

    def send(self, topic: str) -> None:
        """Wake up those who wait for a topic."""

    def on(self, topic: str, call: Callable[[], None]) -> None:
        """Have ``call()`` called when a topic is sent."""


class Writer(Protocol):
    """What runs SQL that is no query and no change of rows."""

    async def run(self, call: Callable[[Any], T]) -> T:
        """Run ``call(connection)`` within the next commit."""


@runtime_checkable
class Database(Protocol):
    """The database."""

    signals: Signals
    writer: Writer

    async def write(self, call: Callable[[Any], T]) -> T:
        """Run ``call(transaction)`` within the next commit; see :class:`Transaction`."""

    def serialize(self, connection: Any, name: str) -> None:
        """Wait until no other node is in a transaction that has called this for the name."""
