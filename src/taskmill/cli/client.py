"""What the commands that ask a server do with :class:`taskmill.client.Client`: they end where it fails."""

from __future__ import annotations

from typing import Any, NamedTuple

from taskmill.cli.root import failed, wrong
from taskmill.client.blocking import Client
from taskmill.client.errors import AddressError, ServerAway

PATIENCE = 90.0  # seconds for an answer: longer than the server waits for a canary


class Answer(NamedTuple):
    """What a server said: a status, the body decoded, and the body as it came."""

    status: int
    value: Any
    text: str


class Api:
    """Sends requests to a server. Nothing is tried twice: the one who waits sees what is wrong at once."""

    def __init__(self, url: str, token: str) -> None:
        try:
            self._client = Client(url, token=token, timeout=PATIENCE, retry_for=0)
        except AddressError:
            wrong(f"`{url}` is no address of a server: write --url http://HOST:PORT")
        self.url = self._client.url

    def get(self, *path: str, **query: object) -> Answer:
        """GET a path; what is None of the query is left out. Ends the command where that fails."""
        return self._succeed(self._send("GET", path, query=query))

    def post(self, *path: str, body: object = None, headers: dict[str, str] | None = None) -> Answer:
        """POST to a path. Ends the command where that fails."""
        return self._succeed(self._send("POST", path, body=body, headers=headers))

    def delete(self, *path: str) -> Answer:
        """DELETE a path. Ends the command where that fails."""
        return self._succeed(self._send("DELETE", path))

    def try_post(self, *path: str) -> Answer:
        """POST to a path, and return the answer, also where it is a refusal."""
        return self._send("POST", path)

    def _succeed(self, answer: Answer) -> Answer:
        if answer.status >= 400:
            failed(refusal(answer))
        return answer

    def _send(self, method: str, path: tuple[str, ...], **what: Any) -> Answer:
        try:
            answer = self._client.request(method, *path, **what)
        except ServerAway as error:
            failed(
                f"no server answers at {error.url} ({error.reason}): start one with `taskmill run`, "
                "or name another with --url"
            )
        except ValueError as error:  # of a header, such as a token with a line break
            wrong(str(error))
        try:
            return Answer(answer.status, answer.json(), answer.text)
        except ValueError:
            failed(f"what answers at {self.url} is no Taskmill: status {answer.status}, and no JSON")


def refusal(answer: Answer) -> str:
    """Say why a server refused: what its problem document says."""
    problem = answer.value if isinstance(answer.value, dict) else {}
    lines = [str(problem.get("detail") or f"the server answered with status {answer.status}")]
    lines += [f"  {error.get('path')}: {error.get('message')}" for error in problem.get("errors", [])]
    return "\n".join(lines)
