"""F6: what `taskmill check` says of a database that would lose tasks in a power loss."""

import subprocess
import sys
from pathlib import Path

import pytest


def _check(directory: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "taskmill", "check", *arguments]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize("value", ["normal", "off"])
def test_F6_check_warns_of_synchronous_below_full(tmp_path: Path, value: str) -> None:
    checked = _check(tmp_path, "-o", f"app:db:options.synchronous={value}")
    assert checked.returncode == 0
    assert checked.stderr == (
        "warning: app:db: with this `synchronous` a power loss takes acknowledged tasks along; "
        "leave it out, or set it to `full`\n"
    )


def test_F6_check_has_no_warning_for_the_built_in_application(tmp_path: Path) -> None:
    checked = _check(tmp_path)
    assert (checked.returncode, checked.stderr) == (0, "")
