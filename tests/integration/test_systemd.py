"""What systemd is told: by the real protocol, at a socket as it makes one."""

import os
import socket
from pathlib import Path

import pytest
from support import serving

from taskmill.cli.systemd import notify


@pytest.fixture
def manager(tmp_path: Path) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listening.bind(str(tmp_path / "notify"))
    listening.settimeout(20)
    return listening


def test_a_service_is_ready_once_it_serves_and_says_that_it_stops(
    tmp_path: Path, manager: socket.socket
) -> None:
    with manager, serving(tmp_path, env={"NOTIFY_SOCKET": str(tmp_path / "notify")}) as server:
        assert manager.recv(200) == b"READY=1\nSTATUS=serving"
        assert server.get("/readyz").status == 200
        assert server.terminate() == 0
        assert manager.recv(200) == b"STOPPING=1\nSTATUS=finishing what runs"


def test_a_name_without_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"\0taskmill-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(name)
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + name[1:])
        notify("READY=1")
        assert listening.recv(20) == b"READY=1"


@pytest.mark.parametrize("address", ["", "relative", "/nobody/listens", "vsock:2:1"])
def test_nobody_listens(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    notify("READY=1")
