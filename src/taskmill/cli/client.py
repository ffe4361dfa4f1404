"""A small HTTP client for the commands that ask a server."""

from __future__ import annotations

import json
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

from taskmill import __version__
from taskmill.cli.root import failed, wrong

PATIENCE = 90.0  # seconds for an answer: longer than the server waits for a canary


class Answer(NamedTuple):
    """What a server said: a status, the body decoded, and the body as it came."""

    status: int
    value: Any
    text: str


class Api:
    """Sends requests to a server, each over a connection of its own."""

    def __init__(self, url: str, token: str) -> None:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        try:
            usable = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1)
        except ValueError:  # of a port that is none
            usable = False
        if not usable:
            wrong(f"`{url}` is no address of a server: write --url http://HOST:PORT")
        self.url = f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/")
        self._path = parts.path.rstrip("/")
        self._headers = {"Accept": "application/json", "User-Agent": f"taskmill/{__version__}"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._host, self._port, self._secure = str(parts.hostname), parts.port, parts.scheme == "https"

    def get(self, *path: str, **query: object) -> Answer:
        """GET a path; what is None of the query is left out. Ends the command where that fails."""
        given = {name: value for name, value in query.items() if value is not None}
        return self._succeed("GET", _join(path) + (f"?{urlencode(given)}" if given else ""), None, {})

    def post(self, *path: str, body: object = None, headers: dict[str, str] | None = None) -> Answer:
        """POST to a path. Ends the command where that fails."""
        return self._succeed("POST", _join(path), body, headers or {})

    def try_post(self, *path: str) -> Answer:
        """POST to a path, and return the answer, also where it is a refusal."""
        return self._send("POST", _join(path), None, {})

    def _succeed(self, method: str, path: str, body: object, headers: dict[str, str]) -> Answer:
        answer = self._send(method, path, body, headers)
        if answer.status >= 400:
            failed(refusal(answer))
        return answer

    def _send(self, method: str, path: str, body: object, headers: dict[str, str]) -> Answer:
        data = None if body is None else json.dumps(body).encode()
        given = {**self._headers, **headers, **({} if data is None else {"Content-Type": "application/json"})}
        connection = self._connect()
        try:
            connection.request(method, self._path + path, data, given)
            response = connection.getresponse()
            text = response.read().decode("utf-8", "replace")
        except (OSError, HTTPException) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            failed(
                f"no server answers at {self.url} ({reason}): start one with `taskmill run`, "
                "or name another with --url"
            )
        finally:
            connection.close()
        try:
            return Answer(response.status, json.loads(text) if text else None, text)
        except ValueError:
            failed(f"what answers at {self.url} is no Taskmill: status {response.status}, and no JSON")

    def _connect(self) -> HTTPConnection:
        if self._secure:
            return HTTPSConnection(self._host, self._port, timeout=PATIENCE)
        return HTTPConnection(self._host, self._port, timeout=PATIENCE)


def refusal(answer: Answer) -> str:
    """Say why a server refused: what its problem document says."""
    problem = answer.value if isinstance(answer.value, dict) else {}
    lines = [str(problem.get("detail") or f"the server answered with status {answer.status}")]
    lines += [f"  {error.get('path')}: {error.get('message')}" for error in problem.get("errors", [])]
    return "\n".join(lines)


def _join(path: tuple[str, ...]) -> str:
    return "".join(f"/{quote(part, safe='')}" for part in path)
