"""Shared fixtures."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # `from support import …`, whichever folder a test stands in

from support import Server, serving

pytest_plugins = ["servers.fixtures", "carriers"]

# What takes more than some ten seconds. `make test` leaves it out; `.ci/run` has it all.
LONG = {
    "test_admission.py", "test_backlog.py", "test_backup_under_load.py", "test_client_away.py", "test_consumer_lost.py",
    "test_broker_outages.py", "test_broker_processes.py",
    "test_control_many.py",
    "test_dead_letter.py", "test_disk_full.py", "test_durability_kill.py", "test_f13_stopped_workers.py",
    "test_f21_other_versions.py", "test_f24_wall_clock.py", "test_fairness.py", "test_fairness_weights.py",
    "test_http_slow_readers.py", "test_install.py", "test_life_disk_full.py", "test_life_kill.py", "test_limits.py",
    "test_limits_cost.py", "test_postgres_faults.py", "test_priorities.py", "test_retention_cost.py",
    "test_retention_killed.py",
    "test_schedules_kill.py", "test_shutdown_signals.py", "test_timeouts_stop.py",
    "test_nodes_follow.py", "test_nodes_frozen.py", "test_nodes_health.py", "test_nodes_killed.py",
    "test_amqp_limits.py", "test_amqp_outages.py", "test_dispatch_brokers.py", "test_dispatch_matrix.py",
    "test_external_drivers.py", "test_follow_killed.py", "test_batches_killed.py",
    "test_dispatch_nodes.py", "test_move_killed.py", "test_move_load.py", "test_mysql_commits.py",
    "test_postgres_driver_bloat.py", "test_postgres_driver_outages.py",
    "test_nodes_lead.py", "test_mysql_nodes.py", "test_mysql_outages.py", "test_mysql_start.py",
}  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what takes long."""
    for item in items:
        if item.path.name in LONG:
            item.add_marker("long")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """The built-in application in a process of its own, on a free port, with a fresh data directory."""
    with serving(tmp_path) as running:
        yield running
