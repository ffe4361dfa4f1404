"""`taskmill check` and the texts of the command line, without starting anything."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from taskmill import __version__
from taskmill.cli import app

BROKEN = """\
namespace: app
entries:
  - name: db
    kind: db.sql.sqlit
    file: a.db
  - name: gateway
    kind: http.service
    addr: nowhere
  - name: router
    kind: http.router
    meta: {server: gatewy}
  - name: consumer
    kind: queue.consumer
    queue: router
    func: work
    concurrency: 1001
    prefetch: 10001
    prefetsh: 3
  - name: work
    kind: function.python
    source: file://missing.py
    method: work
"""


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, env={"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"})


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_check_lists_the_entries_in_start_order(here: Path) -> None:
    result = run("check")
    assert result.exit_code == 0
    rows = [line for line in result.output.splitlines() if line.startswith(("│", "|"))]
    order = [cells[2].strip() for row in rows if (cells := row.split("│"))[2].strip().startswith("app:")]
    assert len(order) == len(set(order)) >= 12
    for first, then in (
        ("app:db", "app:migrate_service"),
        ("app:migrate_service", "app:task_consumer"),
        ("app:create_task.endpoint", "app:router"),
        ("app:router", "app:gateway"),
    ):
        assert order.index(first) < order.index(then)
    assert list(here.iterdir()) == [], "it starts nothing"


def test_check_prints_every_mistake_at_once(here: Path) -> None:
    (here / "_index.yaml").write_text(BROKEN)
    result = run("check")
    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        "_index.yaml:4: entry app:db: field `kind`: unknown kind `db.sql.sqlit`; did you mean `db.sql.sqlite`?",
        "_index.yaml:8: entry app:gateway: field `addr`: "
        r"expected text (matching `^(\S+|\[\S+\]):\d{1,5}$`), got the text `nowhere`",
        "_index.yaml:11: entry app:router: field `meta.server`: "
        "no entry is named `app:gatewy`; did you mean `app:gateway`?",
        "_index.yaml:14: entry app:consumer: field `queue`: "
        "`app:router` is a `http.router`, expected a `queue.queue`",
        "_index.yaml:16: entry app:consumer: field `concurrency`: "
        "expected whole number (at least 1, at most 1,000), got `1001`",
        "_index.yaml:17: entry app:consumer: field `prefetch`: "
        "expected whole number (at least 0, at most 10,000), got `10001`",
        "_index.yaml:18: entry app:consumer: field `prefetsh`: unknown field; did you mean `prefetch`?",
        f"_index.yaml:21: entry app:work: field `source`: there is no Python file {here / 'missing.py'}",
        "8 mistakes; nothing was started",
    ]
    assert result.stdout == ""


@pytest.mark.parametrize("command", ["check", "run"])
@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("app:bd:file=x", "command line: no entry `app:bd` to override"),
        ("nonsense", "command line: `nonsense` is no override: write NAMESPACE:ENTRY:FIELD=VALUE"),
        ("app:tasks:qeue=x", "field `qeue`: unknown field; did you mean `queue`?"),
        ("app:gateway:addr=127.0.0.1:65536", "field `addr`: port 65536 is above 65535"),
        ("app:processes:workers=many", "field `workers`: expected whole number"),
    ],
)
def test_a_bad_override_is_a_mistake(here: Path, command: str, override: str, said: str) -> None:
    result = run(command, "-o", override)
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stderr.endswith("1 mistake; nothing was started\n")


@pytest.mark.parametrize("addr", ["nonsense", "127.0.0.1", "127.0.0.1:99999", ":8080"])
def test_a_bad_address_is_a_mistake(here: Path, addr: str) -> None:
    result = run("run", "--addr", addr)
    assert result.exit_code == 2
    assert "entry app:gateway: field `addr`" in result.stderr


def test_an_address_needs_one_server(here: Path) -> None:
    (here / "_index.yaml").write_text("namespace: app\nentries: []\n")
    result = run("run", "--addr", "127.0.0.1:0")
    assert result.exit_code == 2
    assert "--addr needs exactly one http.service; here are none" in result.stderr


def test_a_directory_must_be_one_and_hold_an_application(here: Path) -> None:
    result = run("check", "missing")
    assert (result.exit_code, result.stderr) == (2, "missing is not a directory\n")
    (here / "empty").mkdir()
    result = run("check", "empty")
    assert (result.exit_code, result.stderr) == (
        2,
        "empty: no `_index.yaml` in it or below\n1 mistake; nothing was started\n",
    )


def test_a_directory_without_an_index_of_its_own_may_have_them_below(here: Path) -> None:
    (here / "all" / "db").mkdir(parents=True)
    (here / "all" / "db" / "_index.yaml").write_text(
        "namespace: own\nentries: [{name: db, kind: db.sql.sqlite, file: x.db}]\n"
    )
    result = run("check", "all")
    assert "own:db" in result.stdout
    assert "app:" not in result.stdout


@pytest.mark.parametrize(
    "arguments", [["run", "--nope"], ["chekc"], ["check", ".", "more"], ["run", "--addr"]]
)
def test_wrong_usage(here: Path, arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert "─ Error ─" in result.stderr


def test_help_tells_what_there_is() -> None:
    shown = run("--help")
    assert shown.exit_code == 0
    assert "run" in shown.output
    assert "check" in shown.output
    text = run("run", "--help").output
    for said in (
        "--addr", "HOST:PORT", "--data", "--override", "-o", "NS:ENTRY:FIELD=VALUE", "--log-format", "text|json|auto",
        "--log-level", "drains", "Example:",
    ):  # fmt: skip
        assert said in text


def test_version() -> None:
    result = run("--version")
    assert (result.exit_code, result.output) == (0, f"taskmill {__version__}\n")
