"""An action that is run by sending its data to a URL: a worker with no worker."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from typing import Any, Unpack

import msgspec

from taskmill import __version__
from taskmill.tasks.actions.context import current_task
from taskmill.tasks.actions.options import Declared
from taskmill.tasks.actions.retrying import Fail, Retry
from taskmill.tasks.external.declared import DeclaredAction
from taskmill.tasks.push.sending import Header, Received, Sender, Unsent
from taskmill.tasks.push.signing import Signer

LONGEST_REST = 3_600.0  # seconds that an answer may ask for with Retry-After
_AGAIN = (408, 425, 429)  # of the 4xx, those that may go well later
_TOLD = 500  # characters of an answer that an error shows


class Answered(Exception):
    """The other side answered that it did not do it."""


class PushAction(DeclaredAction):
    """Sends each task's data to ``url``; what comes back is the result.

    A status of 2xx completes the task; 408, 425, 429 and 5xx are tried again, after Retry-After where that is said;
    everything else fails it for good. ``patience`` is for how long an answer is waited for, in
    seconds.
    """

    served_outside = False

    def __init__(
        self,
        name: str,
        schema: dict[str, Any],
        result: dict[str, Any],
        description: str,
        *,
        url: str,
        signer: Signer,
        sender: Sender,
        patience: float,
        **declared: Unpack[Declared],
    ) -> None:
        super().__init__(name, schema, result, description, **declared)
        self.is_async = True
        self._url, self._signer, self._sender, self._patience = url, signer, sender, patience

    def decode(self, data: bytes | str | msgspec.Raw) -> Any:
        """Validate JSON ``data`` by the schema, and return it as it is to be sent."""
        super().decode(data)
        return data.encode() if isinstance(data, str) else bytes(data)

    async def run(self, decoded: bytes) -> Any:
        """Send it; raise Retry, Fail or another error where it was not done."""
        task = current_task()
        headers = request_headers(self._signer, task.id, decoded)
        headers += [("taskmill-action", self.name), ("taskmill-attempt", str(task.attempt))]
        try:
            answer = await self._sender.post(self._url, headers, decoded, self._patience)
        except Unsent as error:
            raise Fail(str(error)) if error.final else error from None
        check(self._url, answer)
        return _value(answer)


def request_headers(signer: Signer, id_: str, body: bytes) -> list[Header]:
    """Return the headers of a message with this id."""
    return [
        ("content-type", "application/json"),
        ("content-length", str(len(body))),
        ("user-agent", f"taskmill/{__version__}"),
        *signer.headers(id_, int(time.time()), body),
    ]


def check(url: str, answer: Received) -> None:
    """Raise Retry, Fail or Answered where an answer says that it was not done."""
    if 200 <= answer.status < 300:
        return
    told = answer.body[:_TOLD].decode("utf-8", "replace")
    said = f"{url} answered {answer.status}: {told}" if told else f"{url} answered {answer.status}"
    if answer.status < 500 and answer.status not in _AGAIN:
        raise Fail(said)
    rest = _rest(answer.headers.get("retry-after"))
    if rest is not None:
        raise Retry(said, after=rest)
    raise Answered(said)


def _value(answer: Received) -> Any:
    if answer.headers.get("content-type", "").partition(";")[0].strip().lower().endswith("json"):
        try:
            return msgspec.json.decode(answer.body)
        except msgspec.DecodeError as error:
            raise Fail(f"the answer is no JSON, though it says so: {error}") from None
    return answer.body.decode("utf-8", "replace")


def _rest(told: str | None) -> float | None:
    if told is None:
        return None
    try:
        rest = float(told) if told.isdigit() else parsedate_to_datetime(told).timestamp() - time.time()
    except ValueError:
        return None
    return min(LONGEST_REST, max(0.0, rest))
