"""Whether who asks may ask for that: 401 where nobody knows them, 403 where they may not."""

from __future__ import annotations

from taskmill.http.middleware.incoming import Incoming, Outcome, Refusal

_SEND = "Send a key as `Authorization: Bearer KEY`; `taskmill keys create` makes one."


def judge(incoming: Incoming) -> Outcome:
    """Return why a request goes no further; None where it may."""
    route, caller = incoming.route, incoming.caller
    if route.scope == "public":
        return None
    if caller is None:
        return unknown(incoming.unknown)
    if route.scope not in caller.scopes:
        return _missing(route.scope)
    if not route.for_limited and caller.limited:
        return Refusal(
            403, "This key is for some queues or actions alone, and what is asked for concerns all of them."
        )
    return None


def unknown(why: str | None) -> Refusal:
    """Say that who asks is not known; ``why`` where they named themselves."""
    if why is None:
        return Refusal(401, _SEND, [(b"www-authenticate", b'Bearer realm="taskmill"')])
    challenge = b'Bearer realm="taskmill", error="invalid_token"'
    return Refusal(401, why, [(b"www-authenticate", challenge)])


def _missing(scope: str) -> Refusal:
    challenge = b'Bearer realm="taskmill", error="insufficient_scope", scope="%b"' % scope.encode()
    detail = f"This takes the scope `{scope}`, which the key does not have."
    return Refusal(403, detail, [(b"www-authenticate", challenge)])
