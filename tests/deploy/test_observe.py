"""The alerts and the dashboard: read by promtool, held against the metrics that there are, and asked for real."""

import json
import re
import shutil
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from promql import names_of, names_of_families, rules_of
from support import eventually, require, serving

DEPLOY = Path(__file__).parents[2] / "deploy"
ALERTS = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yaml").read_text())
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
DASHBOARD = json.loads((DEPLOY / "grafana" / "taskmill.json").read_text())
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUESTIONS = [target["expr"] for panel in PANELS for target in panel["targets"]]


def promtool(*arguments: str | Path, within: Path | None = None) -> None:
    program = require(shutil.which("promtool"), "apt-get install prometheus")
    done = subprocess.run(
        [program, *arguments], cwd=within, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


def filled(expression: str) -> str:
    """Return a question of the dashboard with values for its variables."""
    values = {"$__rate_interval": "5s", "$job": "taskmill", "$queue": ".*"}
    for name, value in values.items():
        expression = expression.replace(name, value)
    assert "$" not in expression
    return expression


def test_what_prometheus_reads_is_right() -> None:
    promtool("check", "config", DEPLOY / "prometheus" / "prometheus.yml")
    promtool("check", "rules", DEPLOY / "prometheus" / "alerts.yaml")


def test_each_alert_is_raised_when_it_should_be_and_not_when_all_is_well(tmp_path: Path) -> None:
    cases = yaml.safe_load(Path(__file__).with_name("alerts_test.yaml").read_text())
    raised = {
        case["alertname"]
        for test in cases["tests"]
        for case in test["alert_rule_test"]
        if case.get("exp_alerts")
    }
    assert raised == {rule["alert"] for rule in RULES}
    (tmp_path / "alerts_test.yaml").write_text(yaml.safe_dump(cases))
    shutil.copy(DEPLOY / "prometheus" / "alerts.yaml", tmp_path)
    promtool("test", "rules", "alerts_test.yaml", within=tmp_path)


def test_alerts_and_dashboard_ask_for_metrics_that_there_are(tmp_path: Path) -> None:
    there = names_of_families()
    for expression in [*(rule["expr"] for rule in RULES), *QUESTIONS]:
        assert names_of(expression), expression
        assert names_of(expression) <= there, expression
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rules_of(map(filled, QUESTIONS))))
    promtool("check", "rules", tmp_path / "rules.yaml")


def test_the_dashboard_is_laid_out_and_has_its_data_from_where_one_says() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
    for panel in PANELS:
        assert panel["description"].endswith(".")
        for target in panel["targets"]:
            assert target["datasource"]["uid"] == "${datasource}"
    variables = {one["name"] for one in DASHBOARD["templating"]["list"]}
    asked = {name for question in QUESTIONS for name in re.findall(r"\$(?!__)(\w+)", question)}
    assert asked | {"datasource"} == variables


def test_the_compose_file_gives_each_its_files() -> None:
    mounts = {
        tuple(volume.split(":")[:2])
        for service in ("prometheus", "grafana")
        for volume in COMPOSE["services"][service]["volumes"]
        if volume.startswith("./")
    }
    assert all((DEPLOY / here).exists() for here, _ in mounts)
    provider = yaml.safe_load(
        (DEPLOY / "grafana" / "provisioning" / "dashboards" / "taskmill.yaml").read_text()
    )
    folder = provider["providers"][0]["options"]["path"]
    assert ("./grafana/taskmill.json", f"{folder}/taskmill.json") in mounts


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Run a server and a Prometheus that scrapes it, as in `deploy/` but for the address; yield both urls."""
    program = require(shutil.which("prometheus"), "apt-get install prometheus")
    with serving(tmp_path) as server, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        (job,) = config["scrape_configs"]
        del job["dns_sd_configs"]
        job["static_configs"] = [{"targets": [server.url.removeprefix("http://")]}]
        (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
        shutil.copy(DEPLOY / "prometheus" / "alerts.yaml", tmp_path)
        free.close()
        process = subprocess.Popen(
            [program, f"--config.file={tmp_path / 'prometheus.yml'}", f"--storage.tsdb.path={tmp_path / 'tsdb'}",
             f"--web.listen-address={address}"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            yield server.url, f"http://{address}"
        finally:
            process.kill()
            process.wait(10)


def ask(prometheus: str, expression: str) -> list[Any]:
    """Return what Prometheus answers; nothing while it starts."""
    query = urllib.parse.urlencode({"query": expression})
    try:
        with urllib.request.urlopen(f"{prometheus}/api/v1/query?{query}", timeout=10) as answer:
            found: list[Any] = json.load(answer)["data"]["result"]
            return found
    except urllib.error.HTTPError as error:
        with error:
            if error.code != 503:
                raise
        return []
    except urllib.error.URLError:
        return []


@pytest.mark.long
def test_a_prometheus_has_an_answer_to_each_question_of_the_dashboard(prometheus: tuple[str, str]) -> None:
    server, url = prometheus
    eventually(lambda: ask(url, 'up{job="taskmill"} == 1'), 60)

    def work() -> None:
        body = json.dumps({"action": "uppercase", "data": {"text": "a"}}).encode()
        request = urllib.request.Request(f"{server}/tasks", body, {"Content-Type": "application/json"})
        urllib.request.urlopen(request, timeout=10).close()

    def all_answered() -> bool:
        work()
        return all(ask(url, question) for question in map(filled, drawn))

    # What is drawn only where there is some stays empty here: nothing fails.
    drawn = [one for one in QUESTIONS if not one.endswith("> 0") or "http_request" in one]
    eventually(all_answered, 60)
    assert ask(url, 'ALERTS{alertstate="firing"}') == []
