"""`GET /registry` shows entries, their arrows and their state, and no field that might be a secret."""

from pathlib import Path

from support import serving

from taskmill.application import BUILTIN, read


def test_it_shows_every_entry_its_state_and_what_it_names(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        found = server.get("/registry")
        assert found.status == 200
        entries = {entry["id"]: entry for entry in found.json()["entries"]}
        arrows = {
            (arrow["source"], arrow["field"]): (arrow["target"], arrow["attaches"])
            for arrow in found.json()["arrows"]
        }
    declared = read(BUILTIN).entries
    assert list(entries) == list(declared)
    assert entries["app:db"] == {"id": "app:db", "kind": "db.sql.sqlite", "state": "running"}
    assert entries["app:keys"]["state"] == "waiting"  # nothing needs it
    assert {entry["state"] for entry in entries.values()} == {"running", "waiting"}
    assert arrows["app:task_consumer", "queue"] == ("app:tasks_queue", False)
    assert arrows["app:router", "meta.server"] == ("app:gateway", True)
    assert arrows["app:get_task", "needs.tasks"] == ("app:tasks", False)


def test_it_holds_no_value_of_a_field(tmp_path: Path) -> None:
    secret = "hidden-value-of-a-field"
    with serving(tmp_path, "-o", f"app:db:file={secret}.db") as server:
        assert secret.encode() not in server.get("/registry").body
