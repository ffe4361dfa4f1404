"""What is asked before a limited caller comes near tasks."""

from __future__ import annotations

import msgspec

from taskmill.http import BadRequest, Caller, Exchange
from taskmill.tasks.intake.intake import Intake
from taskmill.tasks.rights.rights import check_callback, check_submission, is_business
from taskmill.tasks.rows.reader import Reader
from taskmill.tasks.view.missing import UNKNOWN

_NULL = msgspec.Raw(b"null")


class _Body(msgspec.Struct):
    callback: msgspec.Raw = _NULL


_read = msgspec.json.Decoder(_Body).decode


def may_submit(exchange: Exchange, intake: Intake) -> bool:
    """Tell whether the caller may submit what is in the body; answer where not, or where it is no task at all."""
    caller = exchange.caller
    if caller is None:
        return True
    try:
        let_callback(caller, exchange.body)
        if not caller.limited:
            return True
        new = intake.prepare(exchange.body)
        check_submission(caller, new.place.queue, new.message.name)
    except BadRequest as error:
        exchange.refuse(error.status, error.detail, error.errors)
        return False
    return True


def let_callback(caller: Caller | None, body: bytes) -> None:
    """Raise BadRequest (403) where a body names a callback, and the caller may not."""
    if caller is not None and "read" not in caller.scopes and _names_callback(body):
        check_callback(caller)


def _names_callback(body: bytes) -> bool:
    """Tell whether a body has a callback. Few are looked at closely: the word stands there, or an escaped letter."""
    if b"callback" not in body and b"\\u00" not in body:
        return False
    try:
        return bytes(_read(body).callback) != b"null"
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return False  # it is refused for that


async def let_near(caller: Caller | None, reader: Reader, id_: bytes | None) -> None:
    """Raise BadRequest (404) where a task is none of a caller's business, as if there was none."""
    if caller is None or not caller.limited:
        return
    task = None if id_ is None else await reader.get(id_)
    if task is None or not is_business(caller, task):
        raise BadRequest(UNKNOWN, status=404)
