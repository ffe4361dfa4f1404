"""What the package and the checkout around it promise."""

import re
import shutil
import subprocess
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest
from support import require

import taskmill
from taskmill import application

ROOT = Path(__file__).parents[2]

FIRST_TWELVE = {
    "app:db": "db.sql.sqlite",
    "app:queue_driver": "queue.driver.memory",
    "app:tasks_queue": "queue.queue",
    "app:processes": "process.host",
    "app:gateway": "http.service",
    "app:router": "http.router",
    "app:migrate": "process.python",
    "app:migrate_service": "process.service",
    "app:create_task": "function.python",
    "app:list_tasks": "function.python",
    "app:process_task": "function.python",
    "app:task_consumer": "queue.consumer",
}


def test_the_builtin_application_has_its_entries() -> None:
    entries = application.read(application.BUILTIN).entries
    assert {id_: entries[id_].kind for id_ in FIRST_TWELVE} == FIRST_TWELVE
    consumer = entries["app:task_consumer"].config
    assert (consumer.concurrency, consumer.prefetch) == (2, 5)
    assert entries["app:gateway"].config.addr == "127.0.0.1:8080"
    endpoints = [entry.config for entry in entries.values() if entry.kind == "http.endpoint"]
    assert {("POST", "/tasks"), ("GET", "/tasks"), ("GET", "/tasks/{id}")} <= {
        (endpoint.method, endpoint.path) for endpoint in endpoints
    }


def test_types_are_shipped() -> None:
    assert files(taskmill).joinpath("py.typed").is_file()


def test_one_version_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert newest
    assert project["version"] == taskmill.__version__ == newest[1]


def test_every_dependency_is_pinned() -> None:
    pins = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line]
    assert [line for line in pins if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line)] == []
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [*pyproject["project"]["dependencies"], *pyproject["build-system"]["requires"]]
    for group in pyproject["dependency-groups"].values():
        wanted += group
    names = {normal(re.split(r"[<>=;\[ ]", one)[0]) for one in wanted}
    assert names - {normal(line.partition("==")[0]) for line in pins} == set()


def test_make_explains_itself() -> None:
    make = require(shutil.which("make"), "apt-get install make")
    shown = subprocess.run([make, "-C", str(ROOT)], capture_output=True, text=True, check=True).stdout
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.M)
    assert phony
    for target in phony[1].split():
        assert f"make {target} " in shown


@pytest.mark.parametrize("path", [".ci/run"])
def test_scripts_can_be_run(path: str) -> None:
    assert (ROOT / path).stat().st_mode & 0o111


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
