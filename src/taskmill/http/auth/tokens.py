"""``http.auth.jwt``: callers by tokens that an identity provider has signed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Iterator, Mapping
from hashlib import sha256
from importlib.util import find_spec
from time import time
from typing import Annotated, Any, ClassVar, Final, Literal, NamedTuple

from msgspec import Meta, field

from taskmill.http.auth.caller import Caller, Scope, implied
from taskmill.http.auth.key_set import KeySet
from taskmill.http.auth.keys import BEARER
from taskmill.http.middleware.incoming import Incoming, Middleware, Outcome, Refusal
from taskmill.registry import Entry, EntryConfig, Mistake
from taskmill.supervisor import Context, SupervisorError
from taskmill.units import Duration

LONGEST: Final = 8192  # bytes of a token
KEPT: Final = 4096  # tokens that need not be verified again
RETRY: Final = 10.0  # seconds between looks for an issuer's keys, until there are some

Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
_PLACE = Meta(pattern=r"^(https://\S+|http://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?(/\S*)?|(?!https?:)\S+)$")


class JwtConfig(EntryConfig, kw_only=True, forbid_unknown_fields=True):
    """Tells callers apart by signed tokens (JWT, as of OpenID Connect), sent as `Authorization: Bearer`.

    Needs `pip install 'taskmill[jwt]'`.
    """

    issuer: Annotated[str, Meta(min_length=1, description="Who signs: the claim `iss`, exactly.")]
    audience: Annotated[
        str | list[str], Meta(description="Whom a token must be for: the claim `aud`, or one of them.")
    ]
    jwks: Annotated[
        str,
        _PLACE,
        Meta(description="The issuer's public keys: an `https` URL, or a file beside the `_index.yaml`."),
    ]
    algorithms: Annotated[
        list[Algorithm],
        Meta(min_length=1, description="By which tokens may be signed. None of them shares a secret."),
    ] = field(default_factory=lambda: ["RS256", "ES256", "EdDSA"])
    scope_claim: Annotated[
        str,
        Meta(
            description="Where the scopes stand: words in a text, or a list. `realm_access.roles` looks inside."
        ),
    ] = "scope"
    scopes: Annotated[
        dict[str, list[Scope]],
        Meta(description="What each word of that claim gives. Empty: words that are scopes give themselves."),
    ] = field(default_factory=dict)
    queues_claim: Annotated[
        str | None,
        Meta(description="Where the only queues of the caller stand. `null`: all are the caller's."),
    ] = None
    actions_claim: Annotated[
        str | None,
        Meta(description="Where the only actions of the caller stand. `null`: all are the caller's."),
    ] = None
    leeway: Annotated[Duration, Meta(description="By how much clocks may differ.")] = Duration(30)
    refresh: Annotated[Duration, Meta(description="How often the keys are fetched again.")] = Duration(300)


class _Known(NamedTuple):
    until: float  # seconds since 1970
    version: int  # of the keys
    caller: Caller


class JwtTokens(Middleware):
    """Knows callers by their tokens."""

    kind: ClassVar[str] = "http.auth.jwt"
    Config: ClassVar[type[EntryConfig]] = JwtConfig
    authenticates = True

    def __init__(self, entry: Entry[Any], _: Context) -> None:
        self.id = entry.id
        self._config: JwtConfig = entry.config
        self._remote = self._config.jwks.startswith(("https:", "http:"))
        place = self._config.jwks if self._remote else entry.directory / self._config.jwks
        self._keys = KeySet(place, self._config.algorithms)
        self._known: dict[bytes, _Known] = {}
        self._refreshing: asyncio.Task[None] | None = None

    @classmethod
    def check(cls, _: Entry[Any]) -> Iterator[Mistake]:
        """Find that the library is missing, before anything starts."""
        if find_spec("jwt") is None or find_spec("cryptography") is None:
            yield Mistake("kind", "needs PyJWT: `pip install 'taskmill[jwt]'`")

    async def start(self) -> None:
        """Get the keys. A file must be there; an issuer that is away is asked again and again."""
        await self._keys.look()
        if self._keys.problem is not None and not self._remote:
            raise SupervisorError(f"the keys at {self._config.jwks} cannot be had: {self._keys.problem}")
        self._refreshing = asyncio.create_task(self._refresh(), name=f"{self.id} refresh")

    async def stop(self) -> None:
        """Look no more."""
        refreshing, self._refreshing = self._refreshing, None
        if refreshing is not None:
            refreshing.cancel()
            await asyncio.wait([refreshing])
        await self._keys.stop()

    def meet(self, incoming: Incoming) -> Outcome | Awaitable[Outcome]:
        """Find out who a token says that the caller is."""
        sent = incoming.header(b"authorization")
        if sent is None or incoming.caller is not None or sent[:7].lower() != BEARER:
            return None
        token = sent[7:].strip()
        if token.count(b".") != 2 or len(token) > LONGEST:
            incoming.unknown = incoming.unknown or "This is no token."
            return None
        digest = sha256(token).digest()
        known = self._known.get(digest)
        if known is not None and known.version == self._keys.version and time() < known.until:
            incoming.caller = known.caller
            return None
        return self._verify(incoming, token.decode("latin-1"), digest)

    def _verify(self, incoming: Incoming, token: str, digest: bytes) -> Outcome | Awaitable[Outcome]:
        import jwt  # noqa: PLC0415 - an extra

        try:
            name = jwt.get_unverified_header(token).get("kid")
        except (jwt.PyJWTError, ValueError):
            incoming.unknown = "This is no token."
            return None
        if self._keys.find(name) is None and self._keys.may_look:
            return self._look_and_judge(incoming, token, name, digest)
        return self._judge(incoming, token, name, digest)

    async def _look_and_judge(self, incoming: Incoming, token: str, name: Any, digest: bytes) -> Outcome:
        await self._keys.look()
        return self._judge(incoming, token, name, digest)

    def _judge(self, incoming: Incoming, token: str, name: Any, digest: bytes) -> Outcome:
        import jwt  # noqa: PLC0415 - an extra

        key, config = self._keys.find(name), self._config
        if key is None:
            if self._keys.problem is not None:
                detail = "Tokens cannot be checked now: their issuer is away; try again in a moment."
                return Refusal(503, detail, [(b"retry-after", b"10")])
            incoming.unknown = "No key of the issuer is named as the token says."
            return None
        try:
            claims = jwt.decode(
                token, key.key, algorithms=sorted(key.algorithms), audience=config.audience, issuer=config.issuer,
                leeway=float(config.leeway), options={"require": ["exp", "iss", "aud"]},
            )  # fmt: skip
        except (jwt.PyJWTError, ValueError, OverflowError) as error:
            incoming.unknown = f"The token is refused: {_reason(error)}."
            return None
        incoming.caller = caller = caller_of(claims, config)
        if len(self._known) >= KEPT:
            self._known = dict(list(self._known.items())[KEPT // 2 :])
        self._known[digest] = _Known(float(claims["exp"]) + config.leeway, self._keys.version, caller)
        return None

    async def _refresh(self) -> None:
        while True:
            await asyncio.sleep(RETRY if self._keys.problem else max(RETRY, self._config.refresh))
            await self._keys.look()


def caller_of(claims: Mapping[str, Any], config: JwtConfig) -> Caller:
    """Return who a token says that somebody is, and what they may."""
    words = _words(claims, config.scope_claim)
    if config.scopes:
        scopes = implied(scope for word in words for scope in config.scopes.get(word, ()))
    else:
        scopes = implied(words)
    who = next(
        (claims[name] for name in ("sub", "client_id", "azp") if isinstance(claims.get(name), str)), ""
    )
    limits = [
        None if claim is None else frozenset(_words(claims, claim))
        for claim in (config.queues_claim, config.actions_claim)
    ]
    return Caller(f"token {ascii(who)[1:-1][:200]}", scopes, limits[0], limits[1])


def _words(claims: Mapping[str, Any], path: str) -> list[str]:
    """Return the words of a claim, which may be a text or a list. A name with dots is looked for as it is, too."""
    value: Any = claims.get(path)
    if value is None:
        value = claims
        for name in path.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
    if isinstance(value, str):
        return value.split()
    found: Iterable[Any] = value if isinstance(value, list) else ()
    return [one for one in found if isinstance(one, str)]


def _reason(error: Exception) -> str:
    """Say why in a few words of ours: what a token says comes from anybody."""
    names = {
        "ExpiredSignatureError": "it has run out",
        "ImmatureSignatureError": "it does not hold yet",
        "InvalidAudienceError": "it is for somebody else",
        "InvalidIssuerError": "somebody else has issued it",
        "InvalidAlgorithmError": "it is signed by an algorithm that is not taken",
        "InvalidSignatureError": "its signature is not right",
        "MissingRequiredClaimError": "it lacks `exp`, `iss` or `aud`",
    }
    return names.get(type(error).__name__, "it is damaged")
