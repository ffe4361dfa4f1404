"""Keys that change while the server runs, and servers that are open to the network."""

import os
from pathlib import Path

import pytest
from apps import application
from secured import GUARDED, bearer, make_key
from support import Server, eventually, serving
from typer.testing import CliRunner
from wire import Wire

from taskmill import cli
from taskmill.client import Client, ProblemError
from taskmill.http.auth import key_file


def run(*arguments: str) -> str:
    result = CliRunner().invoke(cli.app, ["keys", *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_keys_are_made_replaced_and_withdrawn_while_the_server_runs(tmp_path: Path) -> None:
    here = ("--data", str(tmp_path))
    first = run("create", "one", "--scope", "read", *here).strip()
    with serving(tmp_path, "-o", GUARDED) as server:

        def status(key: str) -> int:
            return server.request("GET", "/tasks", None, bearer(key)).status

        assert status(first) == 200
        second = run("create", "two", "--scope", "admin", "--expires-in", "1h", *here).strip()
        eventually(lambda: status(second) == 200)
        third = run("rotate", first[:11], "--grace", "0s", *here).strip()
        eventually(lambda: (status(first), status(third)) == (401, 200))
        run("revoke", second[:11], *here)
        eventually(lambda: status(second) == 401)
        listed = run("list", *here)
        assert all(key[:11] in listed and key[12:] not in listed for key in (first, second, third))
        assert "hash" not in run("list", "--json", *here)

        (tmp_path / "keys.json").write_text("{")
        eventually(lambda: status(third) == 401)  # what is damaged may have withdrawn it
        assert "lets nobody in" in server.text()


def test_a_key_runs_out_without_anybody_looking(tmp_path: Path) -> None:
    brief = key_file.create(tmp_path / "keys.json", "brief", ["read"], expires_in=4)
    with serving(tmp_path, "-o", GUARDED) as server:
        eventually(lambda: server.request("GET", "/tasks", None, bearer(brief)).status == 401, 20)


def test_without_a_file_of_keys_the_server_does_not_start(tmp_path: Path) -> None:
    server = Server(["--addr", "127.0.0.1:0", "--data", str(tmp_path), "-o", GUARDED], tmp_path)
    try:
        assert server.process.wait(30) == 1
        assert "taskmill keys create" in server.text()
    finally:
        server.close()


def test_the_network_is_let_in_with_keys_or_where_that_is_said(tmp_path: Path) -> None:
    server = Server(["--addr", "0.0.0.0:0", "--data", str(tmp_path)], tmp_path)
    try:
        assert server.process.wait(30) == 1
        assert "can be reached from other machines" in server.text()
    finally:
        server.close()
    with serving(tmp_path, "--insecure", "--addr", "0.0.0.0:0") as server:
        assert "may do anything" in server.text()
    make_key(tmp_path, "read")
    with serving(tmp_path, "-o", GUARDED, "--addr", "0.0.0.0:0") as server:
        assert "may do anything" not in server.text()


def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path) -> None:
    app = application(tmp_path / "app", "")
    index = (app / "_index.yaml").read_text()
    addr = "    addr: 127.0.0.1:8080\n"
    assert index.count(addr) == 1
    (app / "_index.yaml").write_text(index.replace(addr, f"{addr}    hosts: [localhost, '[::1]']\n"))
    hosts = {"localhost": 200, "LOCALHOST:80": 200, "[::1]:80": 200, "evil.example": 421,
             "localhost.evil.example": 421, "127.0.0.1": 421}  # fmt: skip
    with serving(tmp_path, directory=app) as server:
        for host, status in hosts.items():
            with Wire(server.url) as wire:
                answer = wire.send(f"GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()).reply()
            assert answer.status == status, host


def test_the_client_and_the_command_line_send_their_key(tmp_path: Path) -> None:
    key = make_key(tmp_path, "submit", "read")
    with serving(tmp_path, "-o", GUARDED) as server:
        with Client(server.url, token=key) as client:
            assert client.submit("uppercase", {"text": "a"}).result(timeout=20) == "A"
        with Client(server.url) as client, pytest.raises(ProblemError, match="Authorization"):
            client.submit("uppercase", {"text": "a"})
        environment = {**os.environ, "TASKMILL_TOKEN": key}
        listed = CliRunner(env=environment).invoke(cli.app, ["list", "--url", server.url])
        assert listed.exit_code == 0
        assert "uppercase" in listed.output
