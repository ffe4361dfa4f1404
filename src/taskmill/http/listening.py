"""The socket that a server listens on, and how many connections the system lets it have."""

from __future__ import annotations

import resource
import socket
from contextlib import suppress

from taskmill.supervisor import SupervisorError


def listen(addr: str) -> socket.socket:
    """Return a socket that is bound to `host:port`; raise SupervisorError where it cannot be."""
    host, _, port = addr.rpartition(":")
    host = host.strip("[]")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):  # not every platform has it for every family
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listening.bind(address)
    except (OSError, OverflowError) as error:
        raise SupervisorError(
            f"cannot listen on {addr}: {error}; choose another with `--addr HOST:PORT`"
        ) from None
    listening.setblocking(False)
    return listening


def descriptors() -> int:
    """Return how many files the process may open, having raised that as far as it may itself."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return soft
