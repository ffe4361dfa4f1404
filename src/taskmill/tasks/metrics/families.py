"""Every family of figures, once: its name, what it counts, and by what. The table in docs/how-to/observe.md is this.

Names and units follow Prometheus's conventions. Labels have few values: names that the registry declares, actions that
are loaded (all others are ``other``), paths with their parameters left open.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)


class Family(NamedTuple):
    """What samples of one name say. A counter's name ends in ``_total``, that of an ``info`` in ``_info``."""

    name: str
    kind: Literal["counter", "gauge", "histogram", "info"]
    meaning: str
    labels: tuple[str, ...] = ()

    def empty(self) -> Metric:
        """Return the family without samples."""
        made: type[CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily | InfoMetricFamily] = {
            "counter": CounterMetricFamily,
            "gauge": GaugeMetricFamily,
            "histogram": HistogramMetricFamily,
            "info": InfoMetricFamily,
        }[self.kind]
        return made(self.name.removesuffix("_info"), self.meaning, labels=self.labels)


QUEUE, ACTION = ("queue",), ("queue", "action")

BUILD: Final = Family("taskmill_build_info", "info", "Always 1: which version runs, on what.")
SUBMITTED: Final = Family(
    "taskmill_tasks_submitted_total", "counter", "Tasks that this node has stored.", QUEUE
)
ENDED: Final = Family(
    "taskmill_tasks_total", "counter",
    "Tasks that have ended, as this node has stored it: completed, failed or cancelled.", (*ACTION, "status"),
)  # fmt: skip
RETRIES: Final = Family(
    "taskmill_task_retries_total", "counter", "Attempts that have failed and that another follows.", ACTION
)
WAITING: Final = Family(
    "taskmill_task_waiting_seconds", "histogram",
    "From when a task could begin (submitted, due, or to be retried) until its last attempt began.", ACTION,
)  # fmt: skip
RUNNING: Final = Family(
    "taskmill_task_running_seconds", "histogram", "From there until its end.", ACTION
)  # fmt: skip
LATE: Final = Family(
    "taskmill_late_results_total", "counter",
    "Results that were refused, since their task had ended or was another node's by then.",
)  # fmt: skip
TASKS: Final = Family(
    "taskmill_queue_tasks",
    "gauge",
    "Tasks that have not ended, of all nodes, by status.",
    ("queue", "status"),
)
OLDEST: Final = Family(
    "taskmill_queue_oldest_seconds", "gauge",
    "For how long the first of those that are queued waits; 0 where none does.", QUEUE,
)  # fmt: skip
CONSUMERS: Final = Family(
    "taskmill_queue_consumers", "gauge", "Consumers that take the queue's tasks here.", QUEUE
)
PAUSED: Final = Family("taskmill_queue_paused", "gauge", "1 where the queue is paused.", QUEUE)
AT_WORK: Final = Family("taskmill_attempts_running", "gauge", "Attempts that run on this node.")
BACKLOG: Final = Family(
    "taskmill_backlog_tasks", "gauge", "Tasks that wait or run, as the limit on them is judged."
)
BACKLOG_LIMIT: Final = Family(
    "taskmill_backlog_limit_tasks",
    "gauge",
    "How many may, beyond which submissions get 503. No sample: any number.",
)
SCHEDULES: Final = Family("taskmill_schedules", "gauge", "Schedules, active or paused.", ("state",))
LEADS: Final = Family("taskmill_node_leads", "gauge", "1 where this node leads, or is alone.")
WORKERS: Final = Family("taskmill_workers", "gauge", "Worker processes, busy or idle.", ("host", "state"))
WORKERS_WANTED: Final = Family(
    "taskmill_workers_wanted", "gauge", "Worker processes that there should be.", ("host",)
)
REPLACED: Final = Family(
    "taskmill_workers_replaced_total", "counter", "Worker processes that were replaced, by the reason.",
    ("host", "reason"),
)  # fmt: skip
COMMIT: Final = Family(
    "taskmill_commit_seconds", "histogram",
    "Commits, from when the writes were taken until all who wait for them knew.", ("database",),
)  # fmt: skip
COMMITS_FAILED: Final = Family(
    "taskmill_commits_failed_total", "counter", "Commits that failed, each of them tried once.", ("database",)
)
WRITABLE: Final = Family(
    "taskmill_database_writable",
    "gauge",
    "0 where the last commit failed for want of the database.",
    ("database",),
)
SIZE: Final = Family(
    "taskmill_database_bytes", "gauge", "What the database takes, used or free to be used again.",
    ("database", "state"),
)  # fmt: skip
REQUESTS: Final = Family(
    "taskmill_http_request_seconds", "histogram",
    "Answers, from a request's head until they were written; those held back on request with their waiting.",
    ("server", "method", "route", "status"),
)  # fmt: skip
TURNED_AWAY: Final = Family(
    "taskmill_http_turned_away_total", "counter",
    "Requests over a limit (429, 503), and those refused before they reached a route.", ("server", "status"),
)  # fmt: skip
CONNECTIONS: Final = Family("taskmill_http_connections", "gauge", "Clients that are connected.", ("server",))
HELD: Final = Family("taskmill_http_held_answers", "gauge", "Answers held back until a task has ended.")
STREAMS: Final = Family("taskmill_http_event_streams", "gauge", "Streams of events that are open.")
LOOP: Final = Family(
    "taskmill_event_loop_lag_seconds", "histogram",
    "How long after it was due a turn of the event loop came, looked at four times a second.",
)  # fmt: skip

FAMILIES: Final = tuple(value for value in list(globals().values()) if isinstance(value, Family))
