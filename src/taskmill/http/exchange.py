"""Direct routes: a handler that gets a whole request and answers whenever it likes, with no coroutine between.

A coroutine, a scope and two channels a request cost three times what reading and answering it does (see
docs/performance.md). A handler marked :func:`direct` does without: it is a plain call with an
:class:`Exchange`, and :meth:`Exchange.reply` may follow later, such as after a commit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from taskmill.http.problem import MEDIA_TYPE, FieldError, problem

if TYPE_CHECKING:
    from taskmill.http.auth.caller import Caller
    from taskmill.http.middleware.incoming import Incoming
    from taskmill.http.streaming import Stream

F = TypeVar("F", bound=Callable[..., Any])

_MARK = "__taskmill_direct__"
JSON = b"application/json"


def direct(handler: F) -> F:
    """Mark a function as a direct handler: ``handler(exchange)``, called on the event loop."""
    setattr(handler, _MARK, True)
    return handler


def is_direct(handler: object) -> bool:
    """Tell whether a function was marked by :func:`direct`, also behind ``functools.partial``."""
    return getattr(getattr(handler, "func", handler), _MARK, False) is True


class Exchange:
    """One request, received whole, and where its answer goes.

    ``headers`` are pairs of bytes, names in lower case; ``body`` is the whole body. Where the route's path has a
    parameter, ``path_params`` holds it by name, and ``query`` what follows the question mark, which the handler
    reads itself. Without one they are not there, and no query is taken. ``caller`` is who asks, None where callers
    are not told apart.
    """

    __slots__ = ("body", "headers", "path_params", "query")

    caller: Caller | None = None

    @property
    def client(self) -> str:
        """The address of who asks; empty where it is not known."""
        return ""

    headers: list[tuple[bytes, bytes]]
    body: bytes
    path_params: Mapping[str, str]
    query: bytes

    @property
    def closing(self) -> asyncio.Event | None:
        """What is set once the server stops; None where nothing would tell, so that no answer should be held back."""
        return None

    def met(self, incoming: Incoming) -> None:
        """Hear what middleware is told of the request, before it is: for those who note it."""

    def hold(self, gone: Callable[[], None] | None) -> None:
        """Hold the answer back, and forget the request; ``gone()`` is called if the client goes. None: no longer."""
        raise NotImplementedError

    def stream(self, _media_type: bytes, _headers: bytes = b"") -> Stream | None:
        """Begin an answer that is written bit by bit; None where the client has gone, or this way has no streams."""
        return None

    def header(self, name: bytes) -> bytes | None:
        """Return the first value of a header (name in lower case), or None."""
        for key, value in self.headers:
            if key == name:
                return value
        return None

    def reply(self, status: int, body: bytes, media_type: bytes = JSON, headers: bytes = b"") -> None:
        """Answer, once; ``headers`` are whole lines. A client that has gone is no error."""
        raise NotImplementedError

    def refuse(
        self,
        status: int,
        detail: str,
        errors: Sequence[FieldError] = (),
        headers: bytes = b"",
    ) -> None:
        """Answer with a problem document; ``detail`` says what to do."""
        self.reply(status, problem(status, detail, errors), MEDIA_TYPE, headers)
