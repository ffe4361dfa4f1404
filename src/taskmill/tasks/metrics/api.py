"""``GET /metrics``: the figures of this node for Prometheus, in its text format or as OpenMetrics."""

from __future__ import annotations

from prometheus_client.exposition import choose_encoder
from starlette.requests import Request
from starlette.responses import Response

from taskmill.http import Answer, Operation, parse_query
from taskmill.tasks.api import NoQuery
from taskmill.tasks.metrics.collecting import gather
from taskmill.tasks.openapi import words
from taskmill.tasks.service import TaskService


@Operation(
    "Metrics for Prometheus", words.HEALTH, scope="observe",
    description="What has been counted is of the node that answers, since it started; depths are of all nodes. "
    "OpenMetrics where `Accept` asks for it.",
    answers={200: Answer("The figures, as text.", str, media_type="text/plain")},
)  # fmt: skip
async def get_metrics(request: Request, *, tasks: TaskService) -> Response:
    """``GET /metrics``."""
    parse_query(request.scope["query_string"], NoQuery)
    encode, media_type = choose_encoder(request.headers.get("accept", ""))
    return Response(encode(await gather(tasks)), headers={"content-type": media_type})
