"""``GET /tasks``: what has been processed, newest first."""

from typing import Any

from migrate import tasks
from sqlalchemy import select
from starlette.requests import Request

from taskmill import sql


async def list_tasks(request: Request) -> dict[str, Any]:
    """Answer with up to 100 tasks, those of ``?status=`` if given."""
    query = select(tasks).order_by(tasks.c.created_at.desc()).limit(100)
    if status := request.query_params.get("status"):
        query = query.where(tasks.c.status == status)
    async with sql.get("app:db") as db:
        rows = await db.query(query)
    return {"tasks": rows, "count": len(rows)}
