"""What stands in `deploy/`: each file is held against the tool or the schema of those who read it."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from support import require
from typer.testing import CliRunner

from taskmill.cli import app

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "docker" / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
KUBERNETES = yaml.safe_load((DEPLOY / "kubernetes" / "taskmill.yaml").read_text())


def tool(name: str) -> str:
    """Return the path of a program of the dependency group `deploy`."""
    beside = Path(sys.executable).with_name(name)
    return require(str(beside) if beside.exists() else None, "make .venv/.installed-deploy")


def passes(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_dockerfile_is_as_hadolint_wants_it() -> None:
    passes(tool("hadolint"), DEPLOY / "docker" / "Dockerfile")


def test_the_compose_file_is_one() -> None:
    passes(tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", DEPLOY / "compose.yaml")


def test_the_manifests_are_what_kubernetes_takes(tmp_path: Path) -> None:
    class Written(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    manifests = tmp_path / "manifests.yaml"
    manifests.write_text(yaml.dump_all(KUBERNETES["items"], Dumper=Written))
    passes(tool("kubernetes-validate"), "--strict", manifests)


def test_the_unit_is_one_and_is_shut_in() -> None:
    require(shutil.which("systemd-analyze"), "apt-get install systemd")
    unit = DEPLOY / "systemd" / "taskmill.service"
    done = subprocess.run(
        ["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False, timeout=60
    )
    complaints = [line for line in done.stderr.splitlines() if "/opt/taskmill/bin/taskmill" not in line]
    assert not [line for line in complaints if "taskmill.service" in line], done.stderr
    passes("systemd-analyze", "security", "--offline=yes", "--threshold=20", unit)  # tenths, of ten


def test_the_caddyfile_is_one() -> None:
    require(shutil.which("caddy"), "apt-get install caddy")
    passes("caddy", "validate", "--adapter", "caddyfile", "--config", DEPLOY / "proxy" / "Caddyfile")


def commands() -> list[list[str]]:
    """Return the arguments that containers and the unit run `taskmill` with."""
    (dockerfile,) = re.findall(r"^CMD (\[.*\])$", DOCKERFILE, re.M)
    (unit,) = re.findall(r"^ExecStart=\S+ (.*)$", (DEPLOY / "systemd" / "taskmill.service").read_text(), re.M)
    pods = [
        container["args"]
        for item in KUBERNETES["items"]
        if item["kind"] == "Deployment"
        for container in item["spec"]["template"]["spec"]["containers"]
    ]
    return [yaml.safe_load(dockerfile), unit.split(), *pods]


@pytest.mark.parametrize("arguments", commands(), ids=" ".join)
def test_each_command_is_one_that_there_is(arguments: list[str]) -> None:
    place, options = arguments[1], arguments[2:]
    assert place in ("/app", "/etc/taskmill")
    result = CliRunner().invoke(app, ["run", place, *options, "--help"])
    assert result.exit_code == 0, result.output
    unknown = CliRunner().invoke(app, ["run", place, *options, "--no-such-option"])
    assert "No such option" in unknown.output


def test_the_image_of_the_compose_file_has_the_entries_for_its_servers(tmp_path: Path) -> None:
    arguments = COMPOSE["services"]["node"]["build"]["args"]
    assert re.search(r'taskmill init /app --database "\$DATABASE" --driver "\$DRIVER"', DOCKERFILE)
    made = ["init", str(tmp_path), "--database", arguments["DATABASE"], "--driver", arguments["DRIVER"]]
    assert CliRunner().invoke(app, made).exit_code == 0
    environment = COMPOSE["services"]["node"]["environment"]
    checked = CliRunner(env=environment).invoke(app, ["check", str(tmp_path)])
    assert checked.exit_code == 0, checked.output
    for variable in environment:
        assert f"${{env:{variable}" in (tmp_path / "_index.yaml").read_text()
