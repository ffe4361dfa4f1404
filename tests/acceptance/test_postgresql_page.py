"""The page on PostgreSQL: its entries start, and its statements run."""

import re
from pathlib import Path

import psycopg
import pytest
from readme_lines import ROOT
from servers.postgres import PASSWORD, USER, PostgresServer
from support import serving

from taskmill import application
from taskmill.application import BUILTIN

PAGE = (ROOT / "docs" / "how-to" / "postgresql.md").read_text()


def blocks(language: str) -> list[str]:
    found = re.findall(rf"^ *```{language}\n(.*?)^ *```$", PAGE, re.M | re.S)
    assert found
    return found


def write(directory: Path, entry: str) -> None:
    """Write the built-in application with an entry of the page in place of its database."""
    builtin = (BUILTIN / "_index.yaml").read_text()
    sqlite = "  - name: db\n    kind: db.sql.sqlite\n    file: tasks.db\n"
    assert sqlite in builtin
    (directory / "_index.yaml").write_text(builtin.replace(sqlite, entry))
    (directory / "actions.py").write_text((BUILTIN / "actions.py").read_text())
    (directory / "ca.pem").write_text("")


@pytest.mark.parametrize("entry", blocks("yaml"))
def test_its_entries_are_valid(tmp_path: Path, entry: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://u@h/d")
    monkeypatch.setenv("DB_PASSWORD", "secret")
    write(tmp_path, entry)
    assert list(application.warnings(application.read(tmp_path))) == []


def test_its_first_entry_runs_tasks_and_its_statements_run(
    tmp_path: Path, postgres_url: str, postgres: PostgresServer
) -> None:
    write(tmp_path, blocks("yaml")[0])
    with serving(tmp_path, directory=tmp_path, env={"DATABASE_URL": postgres_url}) as server:
        id_ = server.submit("uppercase", {"text": "hello"})
        assert server.ended(id_)["result"] == {"output": "HELLO"}
        assert PASSWORD not in server.text()
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            for statement in blocks("sql"):
                connection.execute(statement.encode())
            names = connection.execute("SELECT application_name FROM pg_stat_activity").fetchall()
            assert {f"taskmill app:db {role}" for role in ("writer", "reader", "signals")} <= {
                name for (name,) in names
            }
            ((role,),) = connection.execute("SELECT current_user").fetchall()
            assert role == USER
