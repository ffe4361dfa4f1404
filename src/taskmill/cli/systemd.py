"""Tells systemd how a service of ``Type=notify`` is doing: the protocol of ``sd_notify(3)``."""

from __future__ import annotations

import os
import socket


def notify(state: str) -> None:
    """Send assignments such as ``READY=1``, one a line, to whoever started this process; nothing where nobody asked.

    Nobody who is asked to listen and does not can keep the service from its work, so no error is raised.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as manager:
            manager.setblocking(False)
            manager.sendto(state.encode(), "\0" + address[1:] if address[0] == "@" else address)
    except OSError:
        return
