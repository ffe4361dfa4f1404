"""``task.push``: an action that the registry declares, and that is run by sending its data to a URL."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from msgspec import Meta, field

from taskmill.queue import Queue
from taskmill.registry import Entry, EntryConfig, Mistake, reference
from taskmill.supervisor import Context, SupervisorError
from taskmill.tasks.external.declared import DeclaredAction, SchemaFlaw
from taskmill.tasks.external.options import DeclaredActionConfig
from taskmill.tasks.push.addresses import networks
from taskmill.tasks.push.signing import Signer, several
from taskmill.tasks.service import TaskService
from taskmill.units import Duration, Size

if TYPE_CHECKING:
    from taskmill.tasks.push.sending import Sender


class TaskPushConfig(DeclaredActionConfig, kw_only=True, forbid_unknown_fields=True):
    """An action that is run by a POST of its data to a URL. The entry's name is the action's."""

    tasks: Annotated[
        str, reference("task.service", attaches=True, description="The task queue that keeps its tasks.")
    ]
    queue: Annotated[
        str | None,
        reference("queue.queue", description="Where its tasks wait, unless it is the queue of the others."),
    ] = None
    url: Annotated[
        str, Meta(pattern=r"^https?://[^\s/?#@]+([/?]\S*)?$", description="Where its data is sent.")
    ]
    secret: Annotated[
        str | list[str] | None,
        Meta(
            description="Signs what is sent, by Standard Webhooks: `whsec_…`, best from `${env:…}`. Several sign, "
            "each, while one takes the place of another."
        ),
    ] = None
    allow: Annotated[
        list[str],
        Meta(
            description="Networks that may be sent to though they are not on the public internet: `10.0.0.0/8`."
        ),
    ] = field(default_factory=list)
    answer_within: Annotated[
        Duration, Meta(description="For how long an answer is waited for; then the attempt has failed.")
    ] = Duration(30)
    answer_size: Annotated[Size, Meta(description="The longest answer; beyond it the task fails.")] = Size(
        2**20
    )


class TaskPush:
    """Hands its action to the task queue, which starts after, and keeps the connections that it sends by."""

    kind: ClassVar[str] = "task.push"
    Config: ClassVar[type[EntryConfig]] = TaskPushConfig

    def __init__(self, entry: Entry[Any], context: Context) -> None:
        self._config: TaskPushConfig = entry.config
        self._context = context
        self._sender: Sender | None = None

    @classmethod
    def check(cls, entry: Entry[Any]) -> Iterator[Mistake]:
        """Find what is no JSON Schema, no network, no secret, and options that do not go together."""
        config: TaskPushConfig = entry.config
        for name, read, given in (
            ("secret", Signer, several(config.secret)),
            ("allow", networks, config.allow),
        ):
            try:
                read(given)
            except ValueError as error:
                yield Mistake(name, str(error))
        try:
            DeclaredAction(
                config.name, config.schema, config.result, config.description, **config.declared("")
            )
        except SchemaFlaw as flaw:
            yield Mistake("schema", f"no JSON Schema: {flaw}")
        except SupervisorError:
            return  # said at the start: another machine may have what is missing here
        except (ValueError, TypeError) as error:
            yield Mistake("", str(error))

    async def start(self) -> None:
        """Declare the action; raise SupervisorError where what sends it is not installed."""
        try:
            from taskmill.tasks.push.action import PushAction  # noqa: PLC0415 - needs an extra
            from taskmill.tasks.push.sending import Sender  # noqa: PLC0415
        except ModuleNotFoundError:
            raise SupervisorError('a task.push sends by `httpcore`: pip install "taskmill[push]"') from None
        config = self._config
        service = self._context.get(config.tasks, TaskService)
        queue = None if config.queue is None else self._context.get(config.queue, Queue)
        self._sender = Sender(networks(config.allow), config.answer_size)
        action = PushAction(
            config.name,
            config.schema,
            config.result,
            config.description,
            url=config.url,
            signer=Signer(several(config.secret)),
            sender=self._sender,
            patience=config.answer_within,
            **config.declared("" if queue is None else queue.name),
        )
        service.declared_actions.append(action)
        if queue is not None and queue not in service.declared_queues:
            service.declared_queues.append(queue)

    async def stop(self) -> None:
        """Close the connections."""
        if self._sender is not None:
            await self._sender.close()
