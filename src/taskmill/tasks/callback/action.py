"""The action that tells a URL how a task has ended."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any, Unpack

import msgspec

from taskmill.http import BadRequest, FieldError
from taskmill.tasks.actions.context import current_task
from taskmill.tasks.actions.options import Declared
from taskmill.tasks.actions.retrying import Fail
from taskmill.tasks.callback.callbacks import ACTION, INSIDE, CallbackData
from taskmill.tasks.callback.told import Told, told
from taskmill.tasks.external.declared import DeclaredAction
from taskmill.tasks.ids import from_text
from taskmill.tasks.push.action import check, request_headers
from taskmill.tasks.push.network import Forbidden
from taskmill.tasks.push.sending import Sender, Unsent
from taskmill.tasks.push.signing import Signer
from taskmill.tasks.rows.reader import Reader

logger = logging.getLogger(__name__)

_decode = msgspec.json.Decoder(CallbackData).decode


class CallbackAction(DeclaredAction):
    """Sends `{"type": "task.completed", "timestamp": …, "data": the task}`, signed by Standard Webhooks.

    Of what is answered the status alone is kept: who may name a URL must not read by it what they cannot reach
    themselves. ``patience`` is for how long an answer is waited for, in seconds.
    """

    served_outside = False
    internal = True
    reader: Reader

    def __init__(self, signer: Signer, sender: Sender, patience: float, **declared: Unpack[Declared]) -> None:
        super().__init__(ACTION, {}, {}, "Tell a URL how a task has ended.", **declared)
        self.is_async = True
        self._signer, self._sender, self._patience = signer, sender, patience

    def decode(self, data: bytes | str | msgspec.Raw) -> Any:  # noqa: ARG002 - whatever it is
        """Refuse what is submitted: such tasks are made for others alone."""
        raise BadRequest(
            "Name a `callback` in the submission of the task whose end is to be told.",
            [FieldError("action", "cannot be submitted by itself")],
        )

    def decode_stored(self, data: bytes | str | msgspec.Raw) -> CallbackData:
        """Decode what was stored for it."""
        return _decode(data)

    async def run(self, decoded: CallbackData) -> Any:
        """Tell it; raise Retry, Fail or another error where it was not taken."""
        id_ = from_text(decoded.task)
        task = None if id_ is None else await self.reader.get(id_)
        if task is None:
            raise Fail(
                f"task {decoded.task} was pruned before {decoded.url} was told of it: let `keep` be longer"
            )
        message = told(task)
        if message is None:
            return {"sent": False, "why": f"the task is {task.status} again, and its next end is told"}
        if decoded.events is not None and message.type not in decoded.events:
            return {"sent": False, "why": f"{message.type} is not among its events"}
        return {"sent": True, "type": message.type, "status": await self._send(decoded.url, message)}

    async def _send(self, url: str, message: Told) -> int:
        """Send a message; return the status of the answer."""
        body = msgspec.json.encode(message)
        headers = request_headers(self._signer, current_task().id, body)
        try:
            answer = await self._sender.post(url, headers, body, self._patience)
        except Unsent as error:
            if isinstance(
                error.__cause__, Forbidden
            ):  # where a name leads inside is not for whoever named it
                logger.warning("a callback was not sent: %s", error)
                raise Fail(INSIDE.format(url)) from None
            raise Fail(str(error)) if error.final else error from None
        check(url, replace(answer, body=b""))
        return answer.status
