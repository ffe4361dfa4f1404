"""`taskmill run --only`: which entries are left out for a node that does one thing."""

from pathlib import Path

import pytest

from taskmill.application import BUILTIN, read
from taskmill.cli.only import Only
from taskmill.cli.roles import asked, left_out

ANOTHER = """
  - {name: mail_queue, kind: queue.queue, driver: queue_driver}
  - {name: mail, kind: function.python, source: "taskmill.tasks.api", method: healthz}
  - {name: mail_consumer, kind: queue.consumer, queue: mail_queue, func: mail}
"""


def entries(only: Only | None, probes: bool, directory: Path = BUILTIN) -> set[str]:
    overrides = asked(read(directory), only)
    return {text.partition(":lifecycle")[0] for text in left_out(read(directory, overrides), probes)}


def endpoints() -> set[str]:
    return {entry.id for entry in read(BUILTIN).entries.values() if entry.kind == "http.endpoint"}


PROBES = {f"app:{name}.endpoint" for name in ("healthz", "readyz", "get_metrics", "list_nodes")}


def test_a_node_that_does_everything_leaves_nothing_out() -> None:
    assert entries(None, probes=False) == set()
    assert entries(None, probes=True) == set()


def test_a_node_for_http_has_no_consumer() -> None:
    assert entries(Only.HTTP, probes=False) == {"app:task_consumer"}


def test_a_node_for_workers_has_no_server_or_one_for_probes_alone() -> None:
    assert entries(Only.WORKERS, probes=False) - endpoints() == {"app:gateway"}
    assert entries(Only.WORKERS, probes=True) == endpoints() - PROBES
    assert endpoints() > PROBES


def test_consumers_of_queues_that_are_not_the_task_queue_s_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "_index.yaml").write_text((BUILTIN / "_index.yaml").read_text() + ANOTHER)
    (tmp_path / "actions.py").write_text("")
    assert entries(Only.HTTP, probes=False, directory=tmp_path) == {"app:task_consumer"}


def test_the_registry_says_it_as_well(tmp_path: Path) -> None:
    text = (BUILTIN / "_index.yaml").read_text()
    marked = text.replace("    kind: task.service\n", "    kind: task.service\n    only: http\n")
    assert marked != text
    (tmp_path / "_index.yaml").write_text(marked)
    (tmp_path / "actions.py").write_text("")
    assert entries(None, probes=False, directory=tmp_path) == {"app:task_consumer"}


@pytest.mark.parametrize("only", list(Only))
def test_what_is_left_out_is_named_by_overrides_that_the_registry_takes(only: Only) -> None:
    overrides = asked(read(BUILTIN), only)
    registry = read(BUILTIN, [*left_out(read(BUILTIN, overrides), False), *overrides])
    assert registry.entries["app:tasks"].config.only == only.value
    started = {entry.id for entry in registry.entries.values() if entry.config.lifecycle.auto_start}
    assert ("app:task_consumer" in started, "app:gateway" in started) == (
        only is Only.WORKERS,
        only is Only.HTTP,
    )
