"""The command line. Commands that ask a server import nothing of one, so that they start quickly."""

from taskmill.cli import backup, bulk, check, inspect, queues, run, schedules, submit
from taskmill.cli.root import app, main

__all__ = ["app", "backup", "bulk", "check", "inspect", "main", "queues", "run", "schedules", "submit"]
