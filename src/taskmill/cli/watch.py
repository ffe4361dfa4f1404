"""``taskmill watch``: what happens to tasks, as it happens."""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from taskmill.cli import options, show
from taskmill.cli.root import TASKS, app, failed, wrong

if TYPE_CHECKING:
    from taskmill.cli.client import Api
    from taskmill.client.blocking import Client
    from taskmill.client.events import Event

MOST = 100  # tasks that are watched by their ids: each has a connection
LOOK = 0.5  # seconds between two looks at a batch
INTERRUPTED = 130  # the exit code after Ctrl-C

Tell = Callable[["Event"], None]


@app.command(rich_help_panel=TASKS)
def watch(
    ids: Annotated[list[str], typer.Argument(metavar="[ID]...", help="The tasks' ids; or all tasks.")] = [],  # noqa: B006 - typer reads the default and never changes it
    status: options.Status = "",
    action: options.Action = "",
    queue_name: Annotated[
        str, typer.Option("--queue", help="The queue's name.", rich_help_panel="Filters")
    ] = "",
    tag: options.Tag = "",
    batch: Annotated[str, typer.Option(metavar="ID", help="A batch, until it has ended.")] = "",
    url: options.Url = options.SERVER,
    token: options.Token = "",
    as_json: options.Json = False,
) -> None:
    """Show what happens to tasks: to those with the ids, until all have ended, or to all that pass the filters.

    On a terminal each task that says how far it has come has a bar, and so has a batch. With ids, or a batch, the exit
    code is 1 if a task has not been completed. With `--json` each event is a line.

    Example: `taskmill watch --queue mail`
    """
    from taskmill.cli.client import Api  # noqa: PLC0415 - what asks a server is not wanted by other commands
    from taskmill.client.blocking import Client  # noqa: PLC0415
    from taskmill.client.errors import ClientError  # noqa: PLC0415

    filters = options.given(status=status, action=action, queue=queue_name, tag=tag)
    if bool(ids) + bool(filters) + bool(batch) > 1:
        wrong("watch: give ids, or a batch, or filters")
    if len(ids) > MOST:
        wrong(f"watch: {MOST} ids at most; without ids all tasks are watched")
    api = Api(url, token)
    api.get("healthz")  # where nobody answers it is said at once, and not tried for a while
    try:
        with Client(url, token=token) as client, _teller(as_json) as tell:
            all_went_well = (
                _watch_batch(client, api, batch, tell) if batch else _watch(client, ids, filters, tell)
            )
    except ClientError as error:
        failed(str(error))
    except ValueError as error:  # of an address or a header
        wrong(str(error))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    if not all_went_well:
        sys.exit(1)


def _watch(client: Client, ids: Sequence[str], filters: dict[str, Any], tell: Tell) -> bool:
    """Tell of events until all tasks have ended that are named; return whether all those were completed."""
    ended: dict[str, str] = {}
    for event in client.stream(**filters) if not ids else _together(client, ids):
        tell(event)
        if ids and (word := getattr(event, "status", None)) is not None and getattr(event, "ended", False):
            ended[event.id] = word  # type: ignore[union-attr]
    return all(word == "completed" for word in ended.values())


def _watch_batch(client: Client, api: Api, id_: str, tell: Tell) -> bool:
    """Tell of a batch's members, and how many have ended, until all have; return whether all were completed."""
    from taskmill.client.events import ProgressEvent  # noqa: PLC0415

    came: queue.SimpleQueue[Event | Exception | None] = queue.SimpleQueue()
    batch = api.get("batches", id_).value
    if batch["status"] != "ended":
        threading.Thread(target=_follow, args=[client.stream(batch=id_), came], daemon=True).start()
    done = -1
    while True:
        look = time.monotonic() + LOOK
        while (left := look - time.monotonic()) > 0:
            with suppress(queue.Empty):
                one = came.get(timeout=left)
                if isinstance(one, Exception):
                    raise one
                if one is not None:
                    tell(one)
        if batch["progress"]["done"] != done:
            done, total = batch["progress"]["done"], batch["progress"]["total"]
            tell(ProgressEvent(id=id_, done=done, total=total, message=batch["name"] or "the batch"))
        if batch["status"] == "ended":
            return bool(batch["counts"]["completed"] == total)
        batch = api.get("batches", id_).value


def _together(client: Client, ids: Sequence[str]) -> Iterator[Event]:
    """Give the events of several tasks as they come, each by a thread of its own."""
    came: queue.SimpleQueue[Event | Exception | None] = queue.SimpleQueue()
    left = list(dict.fromkeys(ids))
    for id_ in left:
        threading.Thread(target=_follow, args=[client.stream(id_), came], daemon=True).start()
    for _ in left:
        while (one := came.get()) is not None:
            if isinstance(one, Exception):
                raise one
            yield one


def _follow(events: Iterator[Event], came: queue.SimpleQueue[Event | Exception | None]) -> None:
    """Pass events on, and None at the end, or what went wrong."""
    try:
        for event in events:
            came.put(event)
    except Exception as error:  # it is raised again where they are taken
        came.put(error)
    else:
        came.put(None)


@contextmanager
def _teller(as_json: bool) -> Iterator[Tell]:
    """Give what shows an event: as JSON, in bars on a terminal, or as plain lines."""
    if as_json:
        yield _tell_json
    elif sys.stdout.isatty():
        with _bars() as tell:
            yield tell
    else:
        yield _tell_line


def _tell_json(event: Event) -> None:
    import msgspec  # noqa: PLC0415 - the client has it anyway

    kind = type(event).__name__.removesuffix("Event").lower()
    fields = {name: value for name, value in msgspec.to_builtins(event).items() if name != "event_id"}
    typer.echo(msgspec.json.encode({"event": kind, **fields}))
    sys.stdout.flush()


def _tell_line(event: Event) -> None:
    typer.echo(line_of(event))
    sys.stdout.flush()


def line_of(event: Event) -> str:
    """Write an event as one line of text."""
    from taskmill.client.events import LogEvent, ProgressEvent, StatusEvent  # noqa: PLC0415

    if isinstance(event, StatusEvent):
        error = "" if event.error is None else f": {event.error.type}: {event.error.message}"
        attempt = f" (attempt {event.attempt} of {event.max_attempts})" if event.attempt > 1 else ""
        return show.plain(f"{event.id}  {event.action}  {event.status}{attempt}{error}")
    if isinstance(event, ProgressEvent):
        total = "" if event.total is None else f" of {event.total:g}"
        return show.plain(f"{event.id}  {event.done:g}{total}  {event.message}".rstrip())
    if isinstance(event, LogEvent):
        dropped = f"({event.dropped} lines before are not kept) " if event.dropped else ""
        return show.plain(f"{event.id}  | {dropped}{event.message}")
    return show.plain(f"some events are missing here: {event.reason}")


@contextmanager
def _bars() -> Iterator[Tell]:
    """Show a bar for each task that says how far it has come, and all else above them."""
    from rich.console import Console  # noqa: PLC0415 - slow to import, and not for every command
    from rich.markup import escape  # noqa: PLC0415
    from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from taskmill.client.events import ProgressEvent, StatusEvent  # noqa: PLC0415

    console = Console()
    text, amount = TextColumn("{task.description}"), TextColumn("{task.fields[amount]}")
    bars: dict[str, TaskID] = {}
    with Progress(text, BarColumn(), amount, TimeElapsedColumn(), console=console) as shown:

        def tell(event: Event) -> None:
            if not isinstance(event, ProgressEvent):
                shown.console.print(Text(line_of(event)))
                if isinstance(event, StatusEvent) and event.status != "running":
                    bar = bars.pop(event.id, None)
                    if bar is not None:
                        shown.remove_task(bar)
                return
            if event.id not in bars:
                bars[event.id] = shown.add_task("", total=None, amount="")
            total = "" if event.total is None else f"/{event.total:g}"
            shown.update(
                bars[event.id],
                completed=event.done,
                total=event.total,
                description=escape(show.plain(f"{event.id} {event.message}")),
                amount=f"{event.done:g}{total}",
            )

        yield tell
