"""The page on MySQL: its entries start, and its statements run."""

import contextlib
import re
from pathlib import Path

import pymysql
import pytest
from readme_lines import ROOT
from servers.mariadb import PASSWORD, USER, MariadbServer, mariadb_server
from support import serving

from taskmill import application
from taskmill.application import BUILTIN

PAGE = (ROOT / "docs" / "how-to" / "mysql.md").read_text()


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
    monkeypatch.setenv("DATABASE_URL", "mysql://u@h/d")
    monkeypatch.setenv("DB_PASSWORD", "secret")
    write(tmp_path, entry)
    assert list(application.warnings(application.read(tmp_path))) == []


def test_its_lines_lead_to_an_application_that_runs(tmp_path: Path) -> None:
    (url,) = re.findall(r"^export DATABASE_URL=(.*)$", PAGE, re.M)
    first, *others = blocks("sql")
    write(tmp_path, blocks("yaml")[0])
    with mariadb_server() as mariadb:
        mariadb.execute(f"DROP USER {USER}@'127.0.0.1'")  # whom the tests have made
        for statement in filter(None, map(str.strip, first.split(";"))):
            mariadb.execute(statement)
        env = {"DATABASE_URL": url.replace("localhost:3306", f"127.0.0.1:{mariadb.port}")}
        with serving(tmp_path, directory=tmp_path, env=env) as server:
            id_ = server.submit("uppercase", {"text": "hello"})
            assert server.ended(id_)["result"] == {"output": "HELLO"}
            assert "secret" not in server.text()
            connection = pymysql.connect(
                host="127.0.0.1", port=mariadb.port, user="root", database="taskmill"
            )
            with contextlib.closing(connection), connection.cursor() as cursor:
                for statement in others:
                    cursor.execute(statement)
                    cursor.fetchall()


def test_nothing_of_a_database_with_an_odd_password_is_logged(
    tmp_path: Path, mariadb: MariadbServer, mariadb_url: str
) -> None:
    write(tmp_path, blocks("yaml")[0])
    with serving(tmp_path, directory=tmp_path, env={"DATABASE_URL": mariadb_url}) as server:
        assert server.get("/readyz").status == 200
        mariadb.execute("KILL USER taskmill")
        id_ = server.submit("uppercase", {"text": "hello"})
        assert server.ended(id_)["result"] == {"output": "HELLO"}
        assert PASSWORD not in server.text()
        assert "s3cret" not in server.text()
