"""``GET /tasks/{id}``: a look at a task, which may wait for its end."""

from __future__ import annotations

from typing import Annotated

import msgspec

from taskmill.http import BadRequest, Exchange, parse_query
from taskmill.tasks.ids import from_text
from taskmill.tasks.rights.looking import Narrowed
from taskmill.tasks.rights.rights import shows_all
from taskmill.tasks.view.missing import UNKNOWN
from taskmill.tasks.waiting.prefer import MOST
from taskmill.tasks.waiting.waiters import Waiters


class LookQuery(msgspec.Struct):
    """The parameters of ``GET /tasks/{id}``."""

    wait: Annotated[
        float,
        msgspec.Meta(
            ge=0, le=MOST, description="Answer once it has ended, or after so many seconds at most."
        ),
    ] = 0


def look(exchange: Exchange, waiters: Waiters) -> None:
    """Answer with the task that the path names, now or once it has ended."""
    try:
        query = parse_query(exchange.query, LookQuery)
    except BadRequest as error:
        exchange.refuse(error.status, error.detail, error.errors)
        return
    id_ = from_text(exchange.path_params["id"])
    if id_ is None:
        exchange.refuse(404, UNKNOWN)
    elif (caller := exchange.caller) is None or shows_all(caller):
        waiters.look(exchange, id_, query.wait)
    else:
        wait = query.wait
        again = None if wait == 0 else lambda narrowed: waiters.look(narrowed, id_, wait)
        waiters.look(Narrowed(exchange, caller, again), id_, 0)
