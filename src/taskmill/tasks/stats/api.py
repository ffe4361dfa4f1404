"""``GET /stats``: counts, throughput and times, now and in the last hour."""

from __future__ import annotations

from starlette.requests import Request

from taskmill.http import Answer, Operation, parse_query
from taskmill.tasks.api import NoQuery
from taskmill.tasks.openapi import words
from taskmill.tasks.service import TaskService
from taskmill.tasks.stats.figures import Stats


@Operation(
    "Counts, throughput and times", words.QUEUES, scope="observe",
    description="Counts are of all nodes. What has ended, and its times, are of the node that answers, since it "
    "started, for an hour at most.",
    answers={200: Answer("The figures, now and by minute.", Stats)},
)  # fmt: skip
async def get_stats(request: Request, *, tasks: TaskService) -> Stats:
    """``GET /stats``."""
    parse_query(request.scope["query_string"], NoQuery)
    return await tasks.figures.stats()
