"""nginx, as `deploy/proxy/nginx.conf` has it, before a real server: what is streamed and held comes through."""

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import pytest
from servers.server import free_port
from support import Server, eventually, require, serving

CONF = Path(__file__).parents[2] / "deploy" / "proxy" / "nginx.conf"


@pytest.fixture
def proxied(tmp_path: Path) -> Iterator[tuple[Server, HTTPConnection]]:
    """A server, and a connection to the nginx before it."""
    program = require(shutil.which("nginx") or shutil.which("/usr/sbin/nginx"), "apt-get install nginx-light")
    port = free_port()
    with serving(tmp_path) as server:
        here = CONF.read_text().replace("node:8080", server.url.removeprefix("http://"))
        here = here.replace("listen 8080", f"listen 127.0.0.1:{port}").replace(
            "/tmp/nginx", f"{tmp_path}/nginx"
        )
        here = here.replace("worker_processes auto", "daemon off;\nworker_processes 1")
        (tmp_path / "nginx.conf").write_text(here)
        arguments = [program, "-p", str(tmp_path), "-e", "stderr", "-c", str(tmp_path / "nginx.conf")]
        nginx = subprocess.Popen(arguments, stderr=subprocess.DEVNULL)
        try:
            eventually(lambda: answers(port))
            with closing(HTTPConnection("127.0.0.1", port, timeout=20)) as client:
                yield server, client
        finally:
            nginx.terminate()
            nginx.wait(20)


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_task_goes_in_and_its_result_comes_out(proxied: tuple[Server, HTTPConnection]) -> None:
    _, client = proxied
    body = json.dumps({"action": "uppercase", "data": {"text": "by way of nginx"}})
    client.request("POST", "/tasks", body, {"Content-Type": "application/json", "Prefer": "wait=10"})
    answer = client.getresponse()
    assert answer.status == 200
    assert json.load(answer)["result"] == {"output": "BY WAY OF NGINX"}


def test_lines_are_answered_while_others_are_still_to_come(proxied: tuple[Server, HTTPConnection]) -> None:
    server, client = proxied
    line = json.dumps({"action": "sum", "data": {"numbers": [1, 2]}}).encode() + b"\n"
    client.putrequest("POST", "/tasks/bulk")
    client.putheader("Content-Type", "application/x-ndjson")
    client.putheader("Transfer-Encoding", "chunked")
    client.endheaders()
    client.send(b"%x\r\n%s\r\n" % (len(line), line))
    eventually(lambda: server.get("/tasks").json()["count"] == 1)
    client.send(b"%x\r\n%s\r\n0\r\n\r\n" % (len(line), line))
    answer = client.getresponse()
    assert answer.status in (200, 202)
    assert len([json.loads(text)["id"] for text in answer]) == 2
