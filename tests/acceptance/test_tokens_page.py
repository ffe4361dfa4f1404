"""The page on tokens is followed, with an issuer of the tests in the place of its own."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from issuers import Issuer
from readme_lines import ADDRESS, ROOT, Example
from secured import bearer, make_key
from support import require, serving

from taskmill.application import BUILTIN

PAGE = (ROOT / "docs" / "how-to" / "tokens.md").read_text()
ROUTER = "  - name: router\n    kind: http.router\n    meta: {server: gateway}\n"


def test_the_page_on_tokens(tmp_path: Path) -> None:
    require(shutil.which("curl"), "apt-get install curl")
    entries, more = re.findall(r"```yaml\n(.*?)```", PAGE, re.S)
    app = tmp_path / "app"
    shutil.copytree(BUILTIN, app)
    index = (app / "_index.yaml").read_text()
    assert index.count(ROUTER) == 1
    ((command, answer),) = re.findall(r"^(curl .*)\n# → (.*)$", PAGE, re.M)
    issuer = Issuer("RS256")
    key = make_key(tmp_path, "read")
    with issuer.serving() as url:
        (app / "_index.yaml").write_text(
            index.replace(ROUTER, entries.replace("https://id.example/jwks.json", url))
        )
        with serving(tmp_path, directory=app) as server:
            line = command.replace(ADDRESS, server.url)
            environment = {**os.environ, "TOKEN": issuer.token()}
            done = subprocess.run(["sh", "-c", line], env=environment, capture_output=True, text=True, check=True,
                                  timeout=30)  # fmt: skip
            assert Example(command, answer).matches(done.stdout), done.stdout
            statuses = [server.request("GET", "/tasks", None, bearer(one)).status
                        for one in (key, issuer.token(scope="submit"), issuer.token(aud="x"))]  # fmt: skip
            assert statuses == [200, 403, 401]
            task = {"action": "uppercase", "data": {"text": "a"}}
            sent = [server.request("POST", "/tasks", task, bearer(issuer.token())).status for _ in range(2)]
            assert sent == [202, 202]  # the short way, and whether it is looked at or remembered
        with_more = entries.replace("    jwks:", f"{more}    jwks:").replace(
            "https://id.example/jwks.json", url
        )
        (app / "_index.yaml").write_text(index.replace(ROUTER, with_more))
        with serving(tmp_path, directory=app) as server:
            clerk = issuer.token(realm_access={"roles": ["clerk"]}, queues="tasks")
            assert server.request("GET", "/tasks", None, bearer(clerk)).json()["count"] == 2
            assert server.request("POST", "/tasks/prune", {}, bearer(clerk)).status == 403
