"""``task.webhooks``: how URLs are told of the ends of tasks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from msgspec import Meta, field

from taskmill.queue import Queue
from taskmill.registry import Entry, EntryConfig, Mistake, reference
from taskmill.supervisor import Context, SupervisorError
from taskmill.tasks.callback.asked import read
from taskmill.tasks.callback.callbacks import Callbacks
from taskmill.tasks.push.addresses import networks
from taskmill.tasks.push.signing import Signer, several
from taskmill.tasks.service import TaskService
from taskmill.units import Duration, Size

if TYPE_CHECKING:
    from taskmill.tasks.push.sending import Sender

# As Standard Webhooks would have it, in seconds.
RESTS = (5, 30, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)


class TaskWebhooksConfig(EntryConfig, kw_only=True, forbid_unknown_fields=True):
    """How URLs are told that tasks have ended. Each message is a task of the action `taskmill.callback`."""

    tasks: Annotated[
        str, reference("task.service", attaches=True, description="The task queue whose ends are told.")
    ]
    secret: Annotated[
        str | list[str],
        Meta(
            description="Signs what is sent, by Standard Webhooks: `whsec_…`, best from `${env:…}`. Several sign, "
            "each, while one takes the place of another."
        ),
    ]
    queue: Annotated[
        str | None,
        reference("queue.queue", description="Where messages wait, unless it is the queue of plain tasks."),
    ] = None
    queues: Annotated[
        dict[str, str],
        Meta(
            description="URLs by the names of queues: they are told of tasks there that name no `callback`, and whose "
            "action names none."
        ),
    ] = field(default_factory=dict)
    allow: Annotated[
        list[str],
        Meta(
            description="Networks that may be told though they are not on the public internet: `10.0.0.0/8`."
        ),
    ] = field(default_factory=list)
    max_attempts: Annotated[int, Meta(ge=1, le=1_000, description="How often a message is sent at most.")] = (
        len(RESTS) + 1
    )
    backoff: Annotated[
        list[Duration],
        Meta(min_length=1, description="The rests between attempts, the last again and again."),
    ] = field(default_factory=lambda: [Duration(rest) for rest in RESTS])
    concurrency: Annotated[
        Annotated[int, Meta(ge=1)] | None, Meta(description="How many messages are under way at once.")
    ] = None
    answer_within: Annotated[
        Duration, Meta(description="For how long an answer is waited for; then the attempt has failed.")
    ] = Duration(20)
    answer_size: Annotated[
        Size, Meta(description="The longest answer; beyond it the message has failed.")
    ] = Size(2**20)


class TaskWebhooks:
    """Hands the action to the task queue, which starts after, and keeps the connections that it sends by."""

    kind: ClassVar[str] = "task.webhooks"
    Config: ClassVar[type[EntryConfig]] = TaskWebhooksConfig

    def __init__(self, entry: Entry[Any], context: Context) -> None:
        self._config: TaskWebhooksConfig = entry.config
        self._context = context
        self._sender: Sender | None = None

    @classmethod
    def check(cls, entry: Entry[Any]) -> Iterator[Mistake]:
        """Find what is no secret, no network and no URL."""
        config: TaskWebhooksConfig = entry.config
        for name, call, given in (
            ("secret", Signer, several(config.secret)),
            ("allow", networks, config.allow),
        ):
            try:
                call(given)
            except ValueError as error:
                yield Mistake(name, str(error))
        for queue, url in config.queues.items():
            try:
                read(url)
            except ValueError as error:
                yield Mistake(f"queues.{queue}", str(error))

    async def start(self) -> None:
        """Declare the action; raise SupervisorError where what sends is not installed, or another entry does it."""
        try:
            from taskmill.tasks.callback.action import CallbackAction  # noqa: PLC0415 - needs an extra
            from taskmill.tasks.push.sending import Sender  # noqa: PLC0415
        except ModuleNotFoundError:
            raise SupervisorError(
                'a task.webhooks sends by `httpcore`: pip install "taskmill[push]"'
            ) from None
        config = self._config
        service = self._context.get(config.tasks, TaskService)
        if service.callbacks is not None:
            raise SupervisorError("another task.webhooks tells of the same tasks: keep one")
        queue = None if config.queue is None else self._context.get(config.queue, Queue)
        allowed = networks(config.allow)
        self._sender = Sender(allowed, config.answer_size)
        action = CallbackAction(
            Signer(several(config.secret)),
            self._sender,
            config.answer_within,
            queue="" if queue is None else queue.name,
            max_attempts=config.max_attempts,
            backoff=[float(rest) for rest in config.backoff],
            concurrency=config.concurrency,
        )
        by_queue = {name: read(url) for name, url in config.queues.items()}
        service.callbacks = Callbacks(action, by_queue, allowed)
        service.declared_actions.append(action)
        if queue is not None and queue not in service.declared_queues:
            service.declared_queues.append(queue)

    async def stop(self) -> None:
        """Close the connections."""
        if self._sender is not None:
            await self._sender.close()
