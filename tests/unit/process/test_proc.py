"""What /proc says of this very process."""

import os

import pytest

from taskmill.process import proc

NOBODY = 2**31 - 1  # more than any system gives to a process

pytestmark = pytest.mark.skipif(not proc.AVAILABLE, reason="this system has no /proc")


def test_a_running_process() -> None:
    status = proc.status(os.getpid())
    assert status is not None
    assert status.state == "R"
    assert status.switches > 0
    assert 1 << 20 < status.resident < 1 << 32


def test_a_process_that_is_not_there() -> None:
    assert proc.status(NOBODY) is None


def test_a_descriptor_is_known_by_its_file() -> None:
    reading, writing = os.pipe()
    inode = os.fstat(reading).st_ino
    assert proc.holds(os.getpid(), reading, inode)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, reading)
    assert not proc.holds(os.getpid(), reading, inode)
    for descriptor in (reading, writing, null):
        os.close(descriptor)
    assert not proc.holds(os.getpid(), reading, inode)


def test_where_nothing_can_be_known_it_is_taken_to_be_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proc, "AVAILABLE", False)
    assert proc.holds(os.getpid(), 10**6, 0)
