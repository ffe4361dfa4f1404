"""A few kinds such as an application has, and the types of the fixtures beside them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Protocol

from msgspec import Meta, Struct, field

from taskmill.registry import Entry, EntryConfig, KindSpec, Mistake, Registry, reference
from taskmill.units import Duration, Size


class DatabaseConfig(EntryConfig):
    """A database."""

    file: Annotated[str, Meta(description="Where it is kept.")]
    cache: Annotated[Size, Meta(description="Memory | for pages.")] = Size(2**20)
    mode: Literal["wal", "delete"] = "wal"


class Database:
    kind: ClassVar[str] = "db.sql.sqlite"
    Config: ClassVar[type[EntryConfig]] = DatabaseConfig


class QueueConfig(EntryConfig):
    database: Annotated[str, reference("db.sql.*")]
    dead_letter: Annotated[str, reference("queue.queue")] | None = None
    delays: list[Duration] = field(default_factory=list)


class Queue:
    kind: ClassVar[str] = "queue.queue"
    Config: ClassVar[type[EntryConfig]] = QueueConfig


class ConsumerConfig(EntryConfig):
    queue: Annotated[str, reference("queue.queue")]
    func: Annotated[str, reference("function.python")]
    concurrency: Annotated[int, Meta(ge=1, le=1000)] = 2
    prefetch: Annotated[int, Meta(ge=0, le=10_000)] = 5


class Consumer:
    kind: ClassVar[str] = "queue.consumer"
    Config: ClassVar[type[EntryConfig]] = ConsumerConfig


class FunctionConfig(EntryConfig):
    source: str
    needs: dict[str, Annotated[str, reference("*")]] = field(default_factory=dict)


class Function:
    kind: ClassVar[str] = "function.python"
    Config: ClassVar[type[EntryConfig]] = FunctionConfig

    @classmethod
    def check(cls, entry: Entry[Any]) -> Iterable[Mistake]:
        if not (entry.directory / entry.config.source).exists():
            yield Mistake("source", f"no file `{entry.config.source}`", "tasks.py")


class Limits(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    body: Size = Size(2**20)
    least: int = 0
    most: int = 10

    def __post_init__(self) -> None:
        if self.least > self.most:
            raise ValueError("`least` is more than `most`")


class ServerConfig(EntryConfig):
    addr: str = ":8080"
    ratio: float = 1.0
    limits: Limits = Limits()
    password: str | None = None


class Server:
    kind: ClassVar[str] = "http.service"
    Config: ClassVar[type[EntryConfig]] = ServerConfig


class RouterMeta(Struct):
    server: Annotated[str, reference("http.service", attaches=True)]


class RouterConfig(EntryConfig):
    meta: RouterMeta


class Router:
    kind: ClassVar[str] = "http.router"
    Config: ClassVar[type[EntryConfig]] = RouterConfig


ALL: tuple[KindSpec, ...] = (Database, Queue, Consumer, Function, Server, Router)


class Load(Protocol):
    def __call__(
        self, text: str, overrides: Sequence[str] = (), environ: Mapping[str, str] | None = None
    ) -> Registry: ...


Problems = Callable[..., list[str]]
