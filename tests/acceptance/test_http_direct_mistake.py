"""A direct handler that makes a mistake is answered for: its client is told, and does not wait for ever."""

from pathlib import Path

import pytest
from support import serving

INDEX = """
namespace: app
entries:
  - {name: gateway, kind: http.service, addr: "127.0.0.1:0"}
  - {name: router, kind: http.router, meta: {server: gateway}}
  - {name: function, kind: function.python, source: "file://functions.py", method: answer}
  - {name: endpoint, kind: http.endpoint, meta: {router: router}, path: /, func: function}
"""


@pytest.mark.parametrize(
    "mistake",
    ["raise ValueError", "exchange.reply(202, b'', headers=(('a', 'b'),))", "exchange.reply(99, b'')"],
)
def test_a_mistake_in_a_direct_handler_is_a_500(tmp_path: Path, mistake: str) -> None:
    (tmp_path / "_index.yaml").write_text(INDEX)
    (tmp_path / "functions.py").write_text(
        f"from taskmill.http import direct\n\n@direct\ndef answer(exchange):\n    {mistake}\n"
    )
    with serving(tmp_path / "data", str(tmp_path), directory=tmp_path) as server:
        answer = server.request("GET", "/", timeout=5)
        assert answer.status == 500
        assert answer.json()["detail"] == "The server failed to answer; its log says why."
