"""Rows of a user's own table become tasks: in order, once each, whatever is killed."""

import random
import re
from pathlib import Path
from typing import Any

import pytest
from apps import HEADER
from support import Server, eventually, serving

from taskmill.application import BUILTIN

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "outbox.md"
ENTRIES = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)[0]
TABLE, INSERT = re.findall(r"```sql\n(.*?)```", PAGE.read_text(), re.DOTALL)
ROWS = 300

FUNCTIONS = f'''
import json
from sqlalchemy import text
from starlette.requests import Request
from starlette.responses import JSONResponse
from taskmill import sql

DATABASE = "app:DATABASE"

def make() -> int:
    with sql.get(DATABASE) as db:
        db.execute(text("""{TABLE.replace("CREATE TABLE", "CREATE TABLE IF NOT EXISTS")}"""))
    return 0

async def run(request: Request) -> JSONResponse:
    statements = json.loads(await request.body())
    async with sql.get(DATABASE) as db:
        if statements[0].startswith("SELECT"):
            return JSONResponse(await db.query(text(statements[0])))
        return JSONResponse(await db.execute(*map(text, statements)))
'''

ACTIONS = """
@action(inline=True)
def uppercase(text: str) -> str:
    return text.upper()
"""

WIRING = """
  - name: make
    kind: process.python
    source: file://functions.py
    method: make
    lifecycle: {depends_on: [DATABASE]}
  - {name: threads, kind: process.host, workers: 0}
  - {name: make_service, kind: process.service, process: make, host: threads}
  - name: run
    kind: function.python
    source: file://functions.py
    method: run
    lifecycle: {depends_on: [make_service]}
  - {name: run.endpoint, kind: http.endpoint, meta: {router: router}, method: POST, path: /run, func: run}
"""


def shop(directory: Path, database: str) -> Path:
    """Write the built-in application with the outbox of the page, whose table is in a database of that name."""
    directory.mkdir(parents=True)
    entries = ENTRIES.replace("database: shop", f"database: {database}")
    index = (BUILTIN / "_index.yaml").read_text() + entries + WIRING.replace("DATABASE", database)
    (directory / "_index.yaml").write_text(index)
    (directory / "actions.py").write_text(HEADER + ACTIONS)
    (directory / "functions.py").write_text(FUNCTIONS.replace('DATABASE"', f'{database}"'))
    return directory


def execute(server: Server, *statements: str) -> Any:
    answer = server.request("POST", "/run", list(statements))
    assert answer.status == 200, answer.body
    return answer.json()


def order(number: int) -> str:
    return INSERT.strip().rstrip(";").replace("order 42", f"order {number}")


def submitted(server: Server) -> list[str]:
    """Return the texts of all tasks, the first submitted first."""
    found: list[str] = []
    cursor = ""
    while True:
        page = server.get(f"/tasks?limit=1000{cursor}").json()
        found += [one["data"]["text"] for one in page["tasks"]]
        if page["next"] is None:
            return found[::-1]
        cursor = f"&cursor={page['next']}"


def drain_down_to(server: Server, left: int) -> None:
    eventually(lambda: execute(server, "SELECT count(*) AS n FROM outbox")[0]["n"] <= left)


@pytest.mark.parametrize("database", ["shop", "db"])
def test_rows_become_tasks_in_order_and_go(tmp_path: Path, database: str) -> None:
    with serving(tmp_path, str(shop(tmp_path / "app", database))) as server:
        execute(server, *[order(number) for number in range(ROWS)])
        eventually(lambda: execute(server, "SELECT id FROM outbox") == [])
        assert submitted(server) == [f"order {number}" for number in range(ROWS)]


@pytest.mark.parametrize("database", ["shop", "db"])
def test_a_row_that_cannot_be_a_task_stays_and_says_why(tmp_path: Path, database: str) -> None:
    with serving(tmp_path, str(shop(tmp_path / "app", database))) as server:
        unknown = order(1).replace("uppercase", "uppercas")
        execute(server, unknown, order(2).replace("text", "txet"), order(3).replace("{", "{{"), order(4))
        eventually(lambda: submitted(server) == ["order 4"])
        query = "SELECT id, error FROM outbox ORDER BY id"
        left = eventually(
            lambda: (rows := execute(server, query)) and all(row["error"] for row in rows) and rows
        )
        assert [row["id"] for row in left] == [1, 2, 3]
        assert "did you mean `uppercase`" in left[0]["error"]
        assert "txet" in left[1]["error"]
        execute(server, "UPDATE outbox SET action = 'uppercase', error = NULL WHERE id = 1")
        eventually(lambda: submitted(server) == ["order 4", "order 1"])


@pytest.mark.fault
@pytest.mark.long
@pytest.mark.parametrize("database", ["shop", "db"])
def test_kills_lose_no_row_and_repeat_none(tmp_path: Path, database: str) -> None:
    app = str(shop(tmp_path / "app", database))
    chance = random.Random(7)
    inserted = 0
    for _ in range(5):
        with serving(tmp_path, app) as server:
            execute(server, *[order(number) for number in range(inserted, inserted + ROWS)])
            inserted += ROWS
            drain_down_to(server, ROWS - chance.randrange(ROWS // 2))
            server.kill()
    with serving(tmp_path, app) as server:
        eventually(lambda: execute(server, "SELECT id FROM outbox") == [])
        assert submitted(server) == [f"order {number}" for number in range(inserted)]
