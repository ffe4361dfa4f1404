"""Tokens of an identity provider: which are taken, what they give, and what becomes of those who make one up."""

import asyncio
import base64
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from issuers import URL, Issuer

from taskmill.http.auth import key_set
from taskmill.http.auth.caller import implied
from taskmill.http.auth.tokens import KEPT, JwtConfig, JwtTokens
from taskmill.http.middleware.incoming import Incoming, Refusal
from taskmill.http.routing import Route
from taskmill.supervisor import SupervisorError

Ask = Callable[[str], Awaitable[Incoming]]


def incoming(token: str) -> Incoming:
    route = Route("GET", "/tasks", cast(Any, None), scope="read")
    return Incoming(route, "GET", [(b"authorization", f"Bearer {token}".encode())], "127.0.0.1")


def run(
    scenario: Callable[[Ask, JwtTokens], Awaitable[None]], jwks: str, directory: Path = Path(), **fields: Any
) -> None:
    config = JwtConfig(name="t", kind="k", issuer=URL, audience="mill", jwks=jwks, **fields)
    entry = SimpleNamespace(id="app:tokens", config=config, directory=directory)

    async def bounded() -> None:
        tokens = JwtTokens(cast(Any, entry), cast(Any, None))

        async def ask(token: str) -> Incoming:
            one = incoming(token)
            outcome = tokens.meet(one)
            if outcome is not None and not isinstance(outcome, Refusal):
                outcome = await outcome
            if outcome is not None:
                one.unknown = str(outcome.status)
            return one

        async with asyncio.timeout(30):
            await tokens.start()
            try:
                await scenario(ask, tokens)
            finally:
                await tokens.stop()

    asyncio.run(bounded())


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "RS256"])
def test_a_token_gives_what_it_says(tmp_path: Path, algorithm: str) -> None:
    issuer = Issuer(algorithm)
    issuer.write(tmp_path / "keys.jwks")

    async def scenario(ask: Ask, tokens: JwtTokens) -> None:
        for token in (
            issuer.token(),
            issuer.token(aud=["other", "mill"]),
            issuer.token(scope=["read", "submit"]),
        ):
            caller = (await ask(token)).caller
            assert caller is not None
            assert caller.id == "token ada"
            assert caller.scopes == implied(["read", "submit"])
            assert not caller.limited
            assert (await ask(token)).caller is caller  # it is remembered

    run(scenario, "keys.jwks", tmp_path)


def forged(issuer: Issuer) -> dict[str, str]:
    now = time.time()
    claims = {"iss": URL, "aud": "mill", "sub": "ada", "exp": now + 300, "scope": "admin"}
    public = issuer.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    other = Issuer()
    head, body, signature = issuer.token().split(".")
    more = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")

    def unsigned(header: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(header).encode()).decode().rstrip("=") + f".{more}."

    return {
        "unsigned": jwt.encode(claims, None, "none", headers={"kid": issuer.name}),  # type: ignore[arg-type]
        "signed with the public key": _hs256(public, claims, issuer.name),
        "signed by another": other.token(headers={"kid": issuer.name}),
        "other claims": f"{head}.{more}.{signature}",
        "no signature": f"{head}.{body}.",
        "run out": issuer.token(exp=now - 60),
        "not yet": issuer.token(nbf=now + 120),
        "another's audience": issuer.token(aud="shop"),
        "another's issuer": issuer.token(iss="https://evil.example"),
        "its issuer, and more": issuer.token(iss=URL + "/"),
        "no end": issuer.token(without="exp"),
        "no audience": issuer.token(without="aud"),
        "no issuer": issuer.token(without="iss"),
        "an unknown key": issuer.token(headers={"kid": "key-9"}),
        "a list of keys": unsigned({"alg": "ES256", "kid": ["key-1"]}),
        "a key of its own": unsigned({"alg": "ES256", "jwk": {"kty": "oct"}, "jku": "https://evil.example"}),
        "what must be understood": issuer.token(headers={"crit": ["x"], "x": 1}),
        "nothing": "..",
        "noise": "a.b.c",
        "too long": issuer.token(more="x" * 10_000),
        "an end that is no time": issuer.token(exp="never"),
    }


def _hs256(secret: bytes, claims: dict[str, Any], name: str) -> str:
    import hmac
    from hashlib import sha256

    def part(value: bytes) -> str:
        return base64.urlsafe_b64encode(value).decode().rstrip("=")

    text = f"{part(json.dumps({'alg': 'HS256', 'kid': name}).encode())}.{part(json.dumps(claims).encode())}"
    return f"{text}.{part(hmac.new(secret, text.encode(), sha256).digest())}"


def test_a_token_that_is_made_up_is_refused(tmp_path: Path) -> None:
    issuer = Issuer()
    issuer.write(tmp_path / "keys.jwks")

    async def scenario(ask: Ask, tokens: JwtTokens) -> None:
        for what, token in forged(issuer).items():
            one = await ask(token)
            assert one.caller is None, what
            assert one.unknown, what
            assert "evil" not in one.unknown
        assert (await ask(issuer.token())).caller is not None

    run(scenario, "keys.jwks", tmp_path)


def test_words_become_scopes_and_limits_as_the_registry_says(tmp_path: Path) -> None:
    issuer = Issuer()
    issuer.write(tmp_path / "keys.jwks")
    fields = {"scope_claim": "realm_access.roles", "scopes": {"operator": ["admin"], "clerk": ["submit", "observe"]},
              "queues_claim": "https://mill.example/queues"}  # fmt: skip

    async def scenario(ask: Ask, tokens: JwtTokens) -> None:
        clerk = (await ask(issuer.token(realm_access={"roles": ["clerk", "admin", 7]},
                                        **cast(Any, {"https://mill.example/queues": ["mail"]})))).caller  # fmt: skip
        assert clerk is not None
        assert clerk.scopes == implied(["submit", "observe"])  # `admin` is a word here, and gives nothing
        assert clerk.queues == frozenset({"mail"})
        nobody = (await ask(issuer.token(sub="x\r\n\x1b[31m" + "y" * 500))).caller
        assert nobody is not None
        assert (nobody.scopes, nobody.queues) == (frozenset(), frozenset())  # what is missing gives nothing
        assert nobody.id.isprintable()
        assert len(nobody.id) < 250

    run(scenario, "keys.jwks", tmp_path, **fields)


def test_a_new_key_is_fetched_once_and_made_up_names_fetch_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    issuer = Issuer()
    clock = 1000.0
    monkeypatch.setattr(key_set, "monotonic", lambda: clock)
    with issuer.serving() as url:

        async def scenario(ask: Ask, tokens: JwtTokens) -> None:
            nonlocal clock
            old = issuer.token()
            assert (await ask(old)).caller is not None
            issuer.rotate()
            assert (await ask(issuer.token())).caller is None  # it was looked for just now
            clock += key_set.COOLDOWN
            found = await asyncio.gather(*(ask(issuer.token()) for _ in range(20)))
            assert all(one.caller is not None for one in found)
            assert (await ask(old)).caller is not None
            asked = issuer.asked
            assert asked == 2
            for _ in range(50):
                await ask(issuer.token(headers={"kid": "made up"}))
            assert issuer.asked == asked

            issuer.rotate(forget=True)  # the old ones are withdrawn, and what was remembered with them
            clock += key_set.COOLDOWN
            assert (await ask(issuer.token())).caller is not None
            assert (await ask(old)).caller is None

        run(scenario, url)


def test_an_issuer_that_is_away_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    issuer = Issuer()
    issuer.away = True
    monkeypatch.setattr("taskmill.http.auth.tokens.RETRY", 0.05)
    with issuer.serving() as url:

        async def scenario(ask: Ask, tokens: JwtTokens) -> None:
            assert (await ask(issuer.token())).unknown == "503"
            issuer.away = False
            while (await ask(issuer.token())).caller is None:  # noqa: ASYNC110 - the time limit of a run
                await asyncio.sleep(0.01)
            issuer.away = True  # what is known goes on
            assert (await ask(issuer.token())).caller is not None

        run(scenario, url)


def test_redirections_are_not_followed_and_files_must_be_there(tmp_path: Path) -> None:
    issuer = Issuer()
    with issuer.serving() as url:
        with pytest.raises(key_set.KeySetError):
            key_set.fetch(url.replace("/jwks", "/elsewhere"))
        assert issuer.asked == 1

    async def never(ask: Ask, tokens: JwtTokens) -> None:
        raise AssertionError("it started")

    with pytest.raises(SupervisorError, match="cannot be had"):
        run(never, "missing.jwks", tmp_path)
    (tmp_path / "shared.jwks").write_text('{"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "key-1"}]}')
    with pytest.raises(SupervisorError, match="no key among them"):
        run(never, "shared.jwks", tmp_path)


def test_no_more_tokens_are_remembered_than_may_be(tmp_path: Path) -> None:
    issuer = Issuer("EdDSA")
    issuer.write(tmp_path / "keys.jwks")

    async def scenario(ask: Ask, tokens: JwtTokens) -> None:
        for number in range(KEPT + 200):
            await ask(issuer.token(sub=str(number)))
        assert len(tokens._known) <= KEPT

    run(scenario, "keys.jwks", tmp_path)
