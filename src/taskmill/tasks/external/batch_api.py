"""The HTTP functions of workers outside that say the same of many tasks at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

import msgspec
from starlette.requests import Request

from taskmill.http import Answer, BadRequest, FieldError, Operation, parse_body, parse_query
from taskmill.tasks.actions.failure import Failure
from taskmill.tasks.api import NoQuery, answering_503
from taskmill.tasks.external import bodies
from taskmill.tasks.external.bodies import ManyDone, ManyFailures, ManyHeartbeats, ManyLeases, ManyResults
from taskmill.tasks.external.leases import GIVEN_BACK, Named
from taskmill.tasks.ids import from_text
from taskmill.tasks.openapi import words
from taskmill.tasks.service import TaskService

T = TypeVar("T", bound=msgspec.Struct)


class Given(Protocol):
    """One of several tasks, as it was given."""

    @property
    def id(self) -> str:
        """The task's id."""

    @property
    def lease(self) -> str:
        """The lease on it."""


G = TypeVar("G", bound=Given)

DONE = {200: Answer("For how many it was done; the others are not their leases' any more.", ManyDone)}


@Operation(
    "Keep many tasks", words.WORKERS, scope="work", for_limited=True, body=ManyHeartbeats,
    description="As `POST /tasks/{id}/heartbeat`, for each.", answers=DONE, problems=words.NOT_STORED,
)  # fmt: skip
async def heartbeat_tasks(request: Request, *, tasks: TaskService) -> ManyDone:
    """``POST /tasks/heartbeat``."""
    body = await _read(request, ManyHeartbeats)
    known = _known(body.tasks)
    says = {named: bodies.said_in(one) for named, one in known.items()}
    with answering_503():
        until = await tasks.external.leases.beat(list(known), says) if known else []
    return _done(body.tasks, dict(zip(known, until, strict=True)))


@Operation(
    "Complete many tasks", words.WORKERS, scope="work", for_limited=True, body=ManyResults,
    description="As `POST /tasks/{id}/complete`, for each.", answers=DONE, problems=words.NOT_STORED,
)  # fmt: skip
async def complete_tasks(request: Request, *, tasks: TaskService) -> ManyDone:
    """``POST /tasks/complete``."""
    body = await _read(request, ManyResults)
    _check_ids(body.tasks)
    results = {}
    for place, one in enumerate(body.tasks):
        result = bodies.result_of(one, f"tasks[{place}].")
        if (named := bodies.named(one.id, one.lease)) is not None:
            results[named] = result
    with answering_503():
        own = await tasks.external.leases.complete(results) if results else []
    return _done(body.tasks, dict(zip(results, own, strict=True)))


@Operation(
    "Fail many tasks' attempts", words.WORKERS, scope="work", for_limited=True, body=ManyFailures,
    description="As `POST /tasks/{id}/fail`, for each.", answers=DONE, problems=words.NOT_STORED,
)  # fmt: skip
async def fail_tasks(request: Request, *, tasks: TaskService) -> ManyDone:
    """``POST /tasks/fail``."""
    body = await _read(request, ManyFailures)
    known = _known(body.tasks)
    return await _end(tasks, body.tasks, {named: bodies.failure_of(one) for named, one in known.items()})


@Operation(
    "Give many tasks back", words.WORKERS, scope="work", for_limited=True, body=ManyLeases,
    description="As `POST /tasks/{id}/release`, for each.", answers=DONE, problems=words.NOT_STORED,
)  # fmt: skip
async def release_tasks(request: Request, *, tasks: TaskService) -> ManyDone:
    """``POST /tasks/release``."""
    body = await _read(request, ManyLeases)
    known = _known(body.tasks)
    return await _end(tasks, body.tasks, dict.fromkeys(known, GIVEN_BACK))


async def _read(request: Request, type_: type[T]) -> T:
    parse_query(request.scope["query_string"], NoQuery)
    return await parse_body(request, type_)


async def _end(tasks: TaskService, given: Sequence[Given], failures: Mapping[Named, Failure]) -> ManyDone:
    with answering_503():
        ended = await tasks.external.leases.fail(failures) if failures else []
    return _done(given, dict(zip(failures, ended, strict=True)))


def _known(given: Sequence[G]) -> dict[Named, G]:
    """Return what can be somebody's, each once; raise BadRequest where an id is none."""
    _check_ids(given)
    named = [(bodies.named(one.id, one.lease), one) for one in given]
    return {key: one for key, one in named if key is not None}


def _check_ids(given: Sequence[Given]) -> None:
    wrong = [place for place, one in enumerate(given) if from_text(one.id) is None]
    if wrong:
        errors = [FieldError(f"tasks[{place}].id", "not an id") for place in wrong[:100]]
        raise BadRequest("Nothing is stored. Mend the fields that `errors` names.", errors)


def _done(given: Sequence[Given], own: Mapping[Named, object]) -> ManyDone:
    refused = []
    for one in given:
        named = bodies.named(one.id, one.lease)
        if named is None or not own[named]:
            refused.append(one.id)
    return ManyDone(len(given) - len(refused), refused)
