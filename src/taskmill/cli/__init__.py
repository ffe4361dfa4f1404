"""The command line. Commands that ask a server import nothing of one, so that they start quickly."""

from taskmill.cli import (
    actions,
    backup,
    bulk,
    check,
    held,
    init,
    inspect,
    keys,
    move,
    nodes,
    openapi,
    queues,
    run,
    schedules,
    sql,
    stats,
    submit,
)
from taskmill.cli.root import app, main

__all__ = [
    "actions",
    "app",
    "backup",
    "bulk",
    "check",
    "held",
    "init",
    "inspect",
    "keys",
    "main",
    "move",
    "nodes",
    "openapi",
    "queues",
    "run",
    "schedules",
    "sql",
    "stats",
    "submit",
]
