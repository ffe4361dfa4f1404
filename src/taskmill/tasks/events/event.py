"""Events, and how they are written: what a task's row and its notes come to for one who has seen them up to a place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, NamedTuple

import msgspec

from taskmill.http import Caller, means
from taskmill.tasks.lifecycle import ENDED
from taskmill.tasks.model import Id, Task, Time, timestamp
from taskmill.tasks.notes import log
from taskmill.tasks.notes.said import Number, Progress
from taskmill.tasks.rights.rights import shown

_ENDED = frozenset(status.word for status in ENDED)
_LEFT_OUT = ("data", "result")
_progress = msgspec.json.Decoder(Progress).decode

Kind = Literal["status", "progress", "log"]


class Place(NamedTuple):
    """Up to where a task has been seen: its attempt and status, the number of a note, and the place in that."""

    attempt: int = 0
    status: str = ""
    number: int = 0
    line: int = 0


class Seen(NamedTuple):
    """A task as it is now, without its data and result, and some of its notes."""

    task: Task
    notes: Sequence[Sequence[Any]]


class Event(NamedTuple):
    """Something that has happened to a task. ``task`` is how it is afterwards, ``place`` what has been seen then."""

    kind: Kind
    task: Task
    place: Place
    body: Any
    data: bytes  # JSON of it


class ProgressBody(msgspec.Struct):
    """The data of an event ``progress``."""

    id: Id
    done: Number
    total: Number | None
    message: str


class LogBody(msgspec.Struct, omit_defaults=True):
    """The data of an event ``log``."""

    id: Id
    at: Time
    attempt: int
    message: str
    dropped: Annotated[int, means("So many lines before this one were not kept.")] = 0


def events_of(seen: Seen, place: Place) -> list[Event]:
    """Return what one has not seen yet who has seen a task up to a place. Its end comes last."""
    task = seen.task
    changed = (task.attempt, task.status) != place[:2]
    found: list[Event] = []
    if changed and task.status not in _ENDED:
        place = place._replace(attempt=task.attempt, status=task.status)
        found.append(_event("status", task, place, task))
    for event in _of_notes(seen, place):
        place = event.place
        found.append(event)
    if changed and task.status in _ENDED:
        place = place._replace(attempt=task.attempt, status=task.status)
        found.append(_event("status", task, place, task))
    return found


def has_ended(task: Task) -> bool:
    """Whether nothing more happens to a task by itself."""
    return task.status in _ENDED


def for_caller(event: Event, caller: Caller | None) -> bytes | None:
    """Return the data of an event as a caller may see it, None where it is not for him."""
    if caller is None or "read" in caller.scopes:
        return event.data
    if event.kind == "log":
        return None
    if event.kind == "progress":
        return msgspec.json.encode(msgspec.structs.replace(event.body, message=""))
    return _row(shown(caller, msgspec.structs.replace(event.task)))


def written(event: Event, id_: bytes, data: bytes) -> bytes:
    """Write an event as it goes over the wire. JSON has no line breaks in it."""
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (id_, event.kind.encode(), data)


def id_of(place: Place) -> bytes:
    """Write a place as the id of an event of one task."""
    return b"%d.%b.%d.%d" % (place.attempt, place.status.encode(), place.number, place.line)


def place_in(id_: bytes) -> Place | None:
    """Read the id of an event of one task; None where it is none."""
    parts = id_.decode("latin-1").split(".")
    if len(parts) != 4 or not all(part.isdigit() and len(part) < 20 for part in (parts[0], *parts[2:])):
        return None
    return Place(int(parts[0]), parts[1], int(parts[2]), int(parts[3]))


def _of_notes(seen: Seen, place: Place) -> list[Event]:
    """Return what notes say beyond a place: each line of the log, and of the progress the last."""
    task, found = seen.task, []
    new = [note for note in seen.notes if note[0] >= place.number]
    for line in log.lines(new):
        at = line.number, line.place
        if at > place[2:]:
            body = LogBody(task.id, timestamp(line.at), line.attempt, line.text, line.dropped)
            found.append(_event("log", task, place._replace(number=at[0], line=at[1]), body))
    last = next((note for note in reversed(new) if note[2] is not None), None)
    if last is not None and last[1] >= task.attempt:
        number, _, progress, _, count, _ = last
        at = number, count + 1  # after the lines of its note
        if at > place[2:]:
            said = ProgressBody(task.id, *msgspec.structs.astuple(_progress(progress)))
            found.append(_event("progress", task, place._replace(number=at[0], line=at[1]), said))
            found.sort(key=lambda event: event.place[2:])
    return found


def _event(kind: Kind, task: Task, place: Place, body: msgspec.Struct) -> Event:
    data = _row(task) if kind == "status" else msgspec.json.encode(body)
    return Event(kind, task, place, body, data)


def _row(task: Task) -> bytes:
    fields = msgspec.structs.asdict(task)
    for name in _LEFT_OUT:
        del fields[name]
    return msgspec.json.encode(fields)
