"""TLS by files: what is served, what is refused, and a certificate that is renewed while the server runs."""

import shutil
import socket
import ssl
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from secured import GUARDED, make_key
from support import Server, eventually, require, serving

from taskmill.client import Client


def certificate(directory: Path, name: str = "localhost") -> None:
    """Make a certificate that is its own root, and its key."""
    openssl = require(shutil.which("openssl"), "apt-get install openssl")
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-keyout", "new.key", "-out", "new.crt", "-subj", f"/CN={name}",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
        cwd=directory, check=True, capture_output=True, timeout=30,
    )  # fmt: skip
    (directory / "new.key").rename(directory / "tls.key")
    (directory / "new.crt").rename(directory / "tls.crt")


def options(directory: Path) -> list[str]:
    return [
        "-o",
        f"app:gateway:tls.certificate={directory}/tls.crt",
        "-o",
        f"app:gateway:tls.key={directory}/tls.key",
    ]


def served_certificate(url: str) -> bytes:
    parts = urlsplit(url)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection((parts.hostname or "", parts.port or 0), 10) as plain, \
            context.wrap_socket(plain) as secured:  # fmt: skip
        found = secured.getpeercert(binary_form=True)
    assert found
    return found


def test_tasks_over_tls(tmp_path: Path) -> None:
    certificate(tmp_path)
    key = make_key(tmp_path, "submit", "read")
    with serving(tmp_path, "-o", GUARDED, *options(tmp_path)) as server:
        assert server.url.startswith("https://")
        context = ssl.create_default_context(cafile=str(tmp_path / "tls.crt"))
        with Client(server.url, token=key, tls=context) as client:
            assert client.submit("uppercase", {"text": "a"}).result(timeout=20) == "A"
            assert len(list(client.list())) == 1
        refused(server, context)
        old = served_certificate(server.url)
        certificate(tmp_path, "renewed")
        eventually(lambda: served_certificate(server.url) != old)
        (tmp_path / "tls.crt").write_text("nonsense")
        eventually(lambda: "the old certificate stays" in server.text())
        assert served_certificate(server.url) != old
        assert server.terminate() == 0


def refused(server: Server, context: ssl.SSLContext) -> None:
    """What is no HTTP is refused, and the connection ends, though TLS cannot close one half of it."""
    parts = urlsplit(server.url)
    with socket.create_connection((parts.hostname or "", parts.port or 0), 10) as plain, \
            context.wrap_socket(plain, server_hostname="localhost") as secured:  # fmt: skip
        secured.sendall(b"NONSENSE\r\n\r\n")
        answer = b""
        while part := secured.recv(2**16):
            answer += part
    assert answer.startswith(b"HTTP/1.1 400 ")
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    with socket.create_connection((parts.hostname or "", parts.port or 0), 10) as plain, \
            pytest.raises(ssl.SSLError):  # fmt: skip
        old.wrap_socket(plain)


@pytest.mark.parametrize("damage", ["missing", "no PEM", "another's key"])
def test_files_that_do_not_fit_are_named(tmp_path: Path, damage: str) -> None:
    certificate(tmp_path)
    if damage == "missing":
        (tmp_path / "tls.key").unlink()
    elif damage == "no PEM":
        (tmp_path / "tls.crt").write_text("nonsense")
    else:
        first = (tmp_path / "tls.crt").read_bytes()
        certificate(tmp_path)
        (tmp_path / "tls.crt").write_bytes(first)
    server = Server(["--addr", "127.0.0.1:0", "--data", str(tmp_path), *options(tmp_path)], tmp_path)
    try:
        assert server.process.wait(30) == 1
        assert "no TLS" in server.text()
        assert "tls.key" in server.text()
    finally:
        server.close()
