"""A disk that forgets: rebuilds from a trace what a power loss at any moment may leave of a server's files.

What is simulated, since no real power is cut: a file's writes and truncations are safe once an `fdatasync` or
`fsync` of it that began after them has returned 0. A file's name, and the end of it, is safe once its directory
has been flushed. Of all that is not safe, the disk keeps nothing, or everything, or any part, in sectors of
512 bytes. A drive that lies about flushes is not simulated, nor a file system that damages what was safe.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from durability_trace import Syscall

SECTOR = 512
Keep = Literal["nothing", "everything", "some"]


@dataclass
class _File:
    safe: bytearray = field(default_factory=bytearray)
    unsafe: list[Syscall] = field(default_factory=list)
    named: bool = False  # its name is safe
    removed: bool = False  # it has been unlinked, which is not safe yet


class Disk:
    """The files of one directory, played forward from an empty one."""

    def __init__(self, directory: Path, calls: Iterable[Syscall]) -> None:
        self._directory = str(directory)
        self._calls = sorted((call for call in calls if call.result >= 0), key=lambda call: call.ended)
        self._files: dict[str, _File] = {}
        self._next = 0

    def play(self, until: int) -> None:
        """Carry out every call that had returned before a line of the trace."""
        while self._next < len(self._calls) and self._calls[self._next].ended <= until:
            self._apply(self._calls[self._next])
            self._next += 1

    def cut_power(self, into: Path, keep: Keep, choice: random.Random) -> None:
        """Write what is left, had the power failed now."""
        into.mkdir()
        for path, file in self._files.items():
            loses_name = (
                not file.named and keep != "everything" and not (keep == "some" and choice.random() < 0.5)
            )
            gone = file.removed and (keep == "everything" or (keep == "some" and choice.random() < 0.5))
            if loses_name or gone:
                continue
            content = bytearray(file.safe)
            for call in file.unsafe if keep != "nothing" else ():
                if keep == "everything":
                    _write(content, call, 0, len(call.written))
                elif call.name == "ftruncate":
                    if choice.random() < 0.5:
                        _write(content, call, 0, 0)
                else:
                    for start in range(0, len(call.written), SECTOR):
                        if choice.random() < 0.5:
                            _write(content, call, start, start + SECTOR)
            (into / Path(path).name).write_bytes(content)

    def _apply(self, call: Syscall) -> None:
        paths = [call.file] if call.file else []
        if call.name in ("open", "openat", "unlink", "unlinkat"):
            paths = call.paths[-1:]
        if not paths or not paths[0].startswith(self._directory) or paths[0].endswith("-shm"):
            return
        path = paths[0]
        if call.name in ("open", "openat"):
            known = self._files.get(path)
            if "O_CREAT" in call.arguments and (known is None or known.removed):
                self._files[path] = _File()
        elif call.name.startswith("unlink"):
            self._files[path].removed = True
        elif call.name in ("pwrite64", "ftruncate"):
            self._files[path].unsafe.append(call)
        elif call.name in ("fdatasync", "fsync") and path == self._directory:
            self._files = {name: file for name, file in self._files.items() if not file.removed}
            for file in self._files.values():
                file.named = True
        elif call.name in ("fdatasync", "fsync"):
            file = self._files[path]
            for write in [write for write in file.unsafe if write.ended < call.began]:
                _write(file.safe, write, 0, len(write.written))
                file.unsafe.remove(write)
        elif call.name not in ("fdatasync", "fsync"):
            raise AssertionError(f"the simulation does not know {call.name} of {path}")


def _write(content: bytearray, call: Syscall, start: int, end: int) -> None:
    if call.name == "ftruncate":
        del content[call.offset :]
        content.extend(bytes(call.offset - len(content)))
        return
    part: Sequence[int] = call.written[start:end]
    offset = call.offset + start
    content.extend(bytes(max(0, offset - len(content))))
    content[offset : offset + len(part)] = part
