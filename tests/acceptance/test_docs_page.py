"""``/docs``: works offline, lets nothing in from elsewhere, and is what its record says."""

import gzip
import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import Server, require, serving

from taskmill.http.docs_page.page import ASSETS, FILES

BROWSER_TIMEOUT = 60  # seconds


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("docs")) as running:
        yield running


def browse(url: str, profile: Path, *options: str) -> tuple[str, str]:
    """Open a page in a real browser; return the document that it has become, and what the console said."""
    program = require(
        shutil.which("chromium") or shutil.which("chromium-browser"), "apt-get install chromium"
    )
    done = subprocess.run(
        [program, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}",
         "--virtual-time-budget=20000", "--enable-logging=stderr", *options, "--dump-dom", url],
        capture_output=True, text=True, check=True, timeout=BROWSER_TIMEOUT,
    )  # fmt: skip
    console = [line for line in done.stderr.splitlines() if ":CONSOLE" in line]
    return done.stdout, "\n".join(console)


@pytest.mark.parametrize("path", ["/docs", *(f"/docs/{name}" for name in FILES)])
def test_everything_has_a_strict_policy(server: Server, path: str) -> None:
    answer = server.get(path)
    assert answer.status == 200
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"


def test_the_page_names_nothing_from_elsewhere_and_has_nothing_inline(server: Server) -> None:
    page = server.get("/docs").body.decode()
    assert not re.search(r"https?:|//|<style|\sstyle=|\son\w+=|<script>", page)
    asked = re.findall(r'(?:src|href)="(docs/[^"]+)"', page)
    assert sorted(asked) == sorted(f"docs/{name}" for name in FILES)


def test_files_are_compressed_for_those_who_take_it(server: Server) -> None:
    path = "/docs/swagger-ui-bundle.js"
    plain = server.get(path)
    assert "content-encoding" not in plain.headers
    packed = server.request("GET", path, headers={"Accept-Encoding": "gzip, br"})
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["content-type"] == "text/javascript; charset=utf-8"
    assert gzip.decompress(packed.body) == plain.body
    sizes = [
        len(server.request("GET", f"/docs/{name}", headers={"Accept-Encoding": "gzip"}).body)
        for name in FILES
    ]
    assert sum(sizes) < 500_000


@pytest.mark.parametrize("name", ["index.html", "VENDORED.json", "..%2fpage.py", "x"])
def test_no_other_file_is_served(server: Server, name: str) -> None:
    assert server.get(f"/docs/{name}").status == 404


def test_libraries_are_what_the_record_says() -> None:
    (library,) = json.loads((ASSETS / "VENDORED.json").read_text())
    assert (library["package"], library["license"]) == ("swagger-ui-dist", "Apache-2.0")
    for name, digest in library["sha256"].items():
        content = (ASSETS / name).read_bytes()
        content = gzip.decompress(content) if name.endswith(".gz") else content
        assert hashlib.sha256(content).hexdigest() == digest, name
    assert b"Apache License" in (ASSETS / "swagger-ui.LICENSE").read_bytes()


def test_a_browser_shows_every_operation_and_has_no_complaint(server: Server, tmp_path: Path) -> None:
    document, console = browse(f"{server.url}/docs", tmp_path)
    paths = server.get("/openapi.json").json()["paths"]
    operations = [operation["operationId"] for item in paths.values() for operation in item.values()]
    assert "<title>Taskmill API</title>" in document
    for id_ in operations:
        assert re.search(rf'id="operations-\w+-{id_}"', document), id_
    assert console == ""
    assert "dark-mode" not in document


def test_a_browser_that_is_dark_shows_a_dark_page_and_an_operation_by_its_link(
    server: Server, tmp_path: Path
) -> None:
    address = f"{server.url}/docs#/Tasks/create_task"
    document, console = browse(address, tmp_path, "--blink-settings=preferredColorScheme=0")
    assert '<html lang="en" class="dark-mode">' in document
    assert "Idempotency-Key" in document
    assert "Try it out" in document
    assert "Security Policy" not in console
