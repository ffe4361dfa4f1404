"""What Linux tells about a process in /proc. Elsewhere nothing is known, and callers do without."""

import os
from typing import NamedTuple

AVAILABLE = os.path.exists("/proc/self/status")
STOPPED = "T"  # by a signal; a debugger's stop is `t`


class Status(NamedTuple):
    """A process at one moment."""

    state: str  # one letter
    switches: int  # how often it was given a processor, or lost it: while it is stopped this does not change
    resident: int  # bytes of memory


def status(pid: int) -> Status | None:
    """Return what /proc says of a process, in some 30 µs; None if it is not there."""
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            fields = dict(line.split(b":", 1) for line in file.read().splitlines())
        return Status(
            fields[b"State"].split()[0].decode(),
            int(fields[b"voluntary_ctxt_switches"]) + int(fields[b"nonvoluntary_ctxt_switches"]),
            int(fields.get(b"VmRSS", b"0 kB").split()[0]) << 10,
        )
    except (OSError, LookupError, ValueError):
        return None


def holds(pid: int, descriptor: int, inode: int) -> bool:
    """Tell whether a process still has that file open as that descriptor; True where this cannot be known."""
    if not AVAILABLE:
        return True
    try:
        return os.stat(f"/proc/{pid}/fd/{descriptor}").st_ino == inode
    except FileNotFoundError:
        return False
    except OSError:  # it has another user by now, or has made itself unreadable
        return True
