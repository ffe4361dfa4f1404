"""A server's system calls as strace saw them, in order: what was written, what was flushed, what was answered.

strace stops a thread at the entry of a call and at its return, so a call's `began` and `ended` lie in the
order in which the kernel was asked and had answered; what one thread waits for from another keeps its order.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CALLS = (
    "open,openat,write,writev,sendto,sendmsg,pwrite64,pwritev,ftruncate,"
    "fdatasync,fsync,unlink,unlinkat,rename,renameat,renameat2"
)
# -y names the file behind each descriptor, -xx keeps every byte, --seccomp-bpf stops at these calls only.
OPTIONS = ("-y", "-xx", "-s", "70000", "--seccomp-bpf", "-e", "signal=none", "-e", f"trace={CALLS}")

_LINE = re.compile(r"^(\d+) +(?:<\.\.\. (\w+) resumed>|(\w+)\()(.*)$", re.DOTALL)
_RESULT = re.compile(r"\) *= (-?\d+|\?)(.*)$", re.DOTALL)
_DESCRIPTOR = re.compile(r"^(?:\d+|AT_FDCWD)<([^>]*)>")
_STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_OFFSET = re.compile(r", (\d+)$")


@dataclass
class Syscall:
    """One call. `began` and `ended` count the lines of the trace."""

    name: str
    file: str  # the path behind its descriptor, or what the socket is
    written: bytes
    arguments: str
    began: int
    ended: int = -1
    result: int = -1

    @property
    def offset(self) -> int:
        """Where a `pwrite64` or a `ftruncate` acts: its last argument."""
        found = _OFFSET.search(self.arguments)
        assert found, self.arguments
        return int(found[1])

    @property
    def paths(self) -> list[str]:
        """The paths among the arguments of a call such as `unlink`."""
        return [_bytes(text).decode() for text in _STRING.findall(self.arguments)]


def read_trace(file: Path) -> list[Syscall]:
    """Return the calls of a trace in the order of their beginnings."""
    calls: list[Syscall] = []
    pending: dict[str, Syscall] = {}
    for number, line in enumerate(_lines(file)):
        parts = _LINE.match(line)
        if not parts:
            continue
        thread, resumed, name, rest = parts.groups()
        if resumed:
            call = pending.pop(thread)
        else:
            arguments = rest.removesuffix(" <unfinished ...>")
            if arguments == rest:
                arguments = _RESULT.sub("", rest)
            descriptor = _DESCRIPTOR.match(arguments)
            call = Syscall(
                name,
                _bytes(descriptor[1]).decode(errors="replace") if descriptor else "",
                b"".join(map(_bytes, _STRING.findall(arguments))),
                arguments,
                number,
            )
            calls.append(call)
            if rest.endswith(" <unfinished ...>"):
                pending[thread] = call
                continue
        result = _RESULT.search(rest)
        if result and result[1] != "?":
            call.ended, call.result = number, int(result[1])
    return calls


def _lines(file: Path) -> Iterator[str]:
    with file.open(errors="replace") as lines:
        for line in lines:
            yield line.rstrip("\n")


def _bytes(text: str) -> bytes:
    """Undo strace's `\\x41` for each byte; a path that it wrote plainly stays as it is."""
    return bytes.fromhex(text.replace("\\x", "")) if text.startswith("\\x") else text.encode()
