"""What a newcomer does first."""

from support import Server


def test_a_task_is_accepted_run_and_listed(server: Server) -> None:
    id_ = server.submit("uppercase", {"text": "hello world"})
    task = server.ended(id_)
    assert task["status"] == "completed"
    assert task["result"] == {"output": "HELLO WORLD"}
    assert server.get("/tasks?status=completed").json()["tasks"][0]["id"] == id_
    assert server.terminate() == 0
