"""What a right registry turns into."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from registry_kinds import Load, Problems

from taskmill.registry import KindSpec, RegistryError, load

APP = """
version: "1.0"
namespace: app
entries:
  - name: router
    kind: http.router
    meta: {server: web, note: free}
  - name: web
    kind: http.service
    limits: {body: 2MiB}
  - name: f
    kind: function.python
    source: _index.yaml
    needs: {database: db}
  - name: consumer
    kind: queue.consumer
    queue: jobs
    func: f
    lifecycle: {start_timeout: 5s, depends_on: [web]}
  - name: jobs
    kind: queue.queue
    database: app:db
    dead_letter: null
  - name: db
    kind: db.sql.sqlite
    file: ":memory:"
    meta: {any: [thing, 1, 2.5, true, ~]}
"""


def test_fields_are_converted_and_have_defaults(load_text: Load) -> None:
    entries = load_text(APP).entries
    assert entries["app:web"].config.limits.body == 2 * 2**20
    assert entries["app:web"].config.addr == ":8080"
    assert entries["app:consumer"].config.lifecycle.start_timeout == 5.0
    assert entries["app:db"].config.meta == {"any": ["thing", 1, 2.5, True, None]}
    assert entries["app:jobs"].config.dead_letter is None


def test_an_entry_knows_its_place(load_text: Load, tmp_path: Path) -> None:
    consumer = load_text(APP).entries["app:consumer"]
    assert (consumer.id, consumer.kind, consumer.line) == ("app:consumer", "queue.consumer", 15)
    assert consumer.file == Path("_index.yaml")
    assert consumer.directory == tmp_path.resolve()
    assert consumer.lines["lifecycle.depends_on[0]"] == 19


def test_references_become_whole_ids(load_text: Load) -> None:
    entries = load_text(APP).entries
    assert entries["app:consumer"].config.queue == "app:jobs"
    assert entries["app:consumer"].config.lifecycle.depends_on == ["app:web"]
    assert entries["app:f"].config.needs == {"database": "app:db"}
    assert entries["app:router"].config.meta.server == "app:web"
    assert [(found.field, found.target, found.attaches) for found in entries["app:router"].references] == [
        ("meta.server", "app:web", True)
    ]


def test_dependencies_and_waves(load_text: Load) -> None:
    registry = load_text(APP)
    assert registry.dependencies["app:web"] == {"app:router"}
    assert registry.dependencies["app:consumer"] == {"app:jobs", "app:f", "app:web"}
    assert [[entry.id for entry in wave] for wave in registry.start_order()] == [
        ["app:router", "app:db"],
        ["app:web", "app:f", "app:jobs"],
        ["app:consumer"],
    ]


def test_files_are_found_below_but_not_everywhere(load_text: Load) -> None:
    hidden = (".hidden", ".venv", "venv", "node_modules", "__pycache__", "data", "sub/data")
    for folder in ("sub/deep", *hidden):
        Path(folder).mkdir(parents=True, exist_ok=True)
        entry = f"{{name: x{len(folder)}, kind: http.service}}"
        Path(folder, "_index.yaml").write_text(f"namespace: n\nentries: [{entry}]")
    registry = load_text("namespace: n\nentries: [{name: a, kind: http.service}]")
    assert list(registry.entries) == ["n:a", "n:x8"]
    assert registry.entries["n:x8"].directory == Path("sub/deep").resolve()


def test_namespaces_are_separate(load_text: Load) -> None:
    Path("b").mkdir()
    Path("b/_index.yaml").write_text("namespace: b\nentries: [{name: q, kind: queue.queue, database: a:db}]")
    registry = load_text("namespace: a\nentries: [{name: db, kind: db.sql.sqlite, file: x}]")
    assert registry.dependencies["b:q"] == {"a:db"}


def test_words_of_old_yaml_are_texts(load_text: Load) -> None:
    registry = load_text(
        """
        namespace: app
        entries:
          - name: web
            kind: http.service
            meta: {a: yes, b: off, c: "5", d: 0x1F, e: 1e3, f: .5, g: 010,
                   h: .nan, i: 1_000, j: 2026-01-02, k: 1e999}
        """
    )
    assert registry.entries["app:web"].config.meta == {
        "a": "yes", "b": "off", "c": "5", "d": 31, "e": 1000.0, "f": 0.5, "g": 10,
        "h": ".nan", "i": "1_000", "j": "2026-01-02", "k": "1e999",
    }  # fmt: skip


def test_no_file(tmp_path: Path, kinds: Mapping[str, KindSpec]) -> None:
    for directory in (tmp_path, tmp_path / "missing"):
        with pytest.raises(RegistryError) as caught:
            load(directory, kinds)
        assert str(caught.value) == f"{directory}: no `_index.yaml` in it or below"


def test_a_file_that_is_none(problems: Problems) -> None:
    Path("pipe").mkdir()
    os.mkfifo("pipe/_index.yaml")
    assert problems("namespace: a\nentries: []") == ["pipe/_index.yaml: not a regular file"]
    Path("pipe/_index.yaml").unlink()
    Path("pipe/_index.yaml").symlink_to("nowhere")
    assert problems("namespace: a\nentries: []") == ["pipe/_index.yaml: not a regular file"]


def test_many_entries_in_one_chain(load_text: Load) -> None:
    entries = "\n".join(
        f"  - {{name: e{i}, kind: http.service, lifecycle: {{depends_on: [e{i + 1}]}}}}" for i in range(3000)
    )
    registry = load_text(f"namespace: n\nentries:\n{entries}\n  - {{name: e3000, kind: http.service}}")
    assert len(registry.start_order()) == 3001


def test_too_many_entries(load_text: Load, problems: Problems, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taskmill.registry.loader.MAX_ENTRIES", 1)
    text = "namespace: n\nentries: [{name: a, kind: http.service}, {name: b, kind: http.service}]"
    assert problems(text) == [".: 2 entries, and no more than 1 are read"]
