"""Every mistake a registry can hold, with the exact text its author reads."""

from pathlib import Path

import pytest
from registry_kinds import Problems

HEAD = "namespace: app\nentries:\n"
DB = "  - {name: db, kind: db.sql.sqlite, file: x}\n"
QUEUE = "  - {name: jobs, kind: queue.queue, database: db}\n"

CASES = {
    "unknown kind": (
        "  - {name: db, kind: db.sql.sqllite, file: x}",
        "_index.yaml:3: entry app:db: field `kind`: unknown kind `db.sql.sqllite`; "
        "did you mean `db.sql.sqlite`?",
    ),
    "kind without a near one": (
        "  - {name: db, kind: teapot}",
        "_index.yaml:3: entry app:db: field `kind`: unknown kind `teapot`",
    ),
    "missing kind": ("  - {name: db}", "_index.yaml:3: entry app:db: field `kind`: missing"),
    "kind of the wrong type": (
        "  - {name: db, kind: [db]}",
        "_index.yaml:3: entry app:db: field `kind`: expected text, got a list",
    ),
    "unknown field": (
        "  - name: db\n    kind: db.sql.sqlite\n    file: x\n    cahe: 1MiB",
        "_index.yaml:6: entry app:db: field `cahe`: unknown field; did you mean `cache`?",
    ),
    "unknown field, nested": (
        "  - name: web\n    kind: http.service\n    limits:\n      bdy: 1MiB",
        "_index.yaml:6: entry app:web: field `limits.bdy`: unknown field; did you mean `body`?",
    ),
    "unknown field of the lifecycle": (
        "  - {name: web, kind: http.service, lifecycle: {autostart: true}}",
        "_index.yaml:3: entry app:web: field `lifecycle.autostart`: unknown field; "
        "did you mean `auto_start`?",
    ),
    "missing field": (
        "  - {name: db, kind: db.sql.sqlite}",
        "_index.yaml:3: entry app:db: field `file`: missing",
    ),
    "missing field, nested": (
        "  - name: r\n    kind: http.router\n    meta: {}",
        "_index.yaml:5: entry app:r: field `meta.server`: missing",
    ),
    "number for text": (
        "  - {name: db, kind: db.sql.sqlite, file: 5}",
        "_index.yaml:3: entry app:db: field `file`: expected text, got `5`",
    ),
    "text for number": (
        DB
        + QUEUE
        + "  - name: c\n    kind: queue.consumer\n    queue: jobs\n    func: f\n    prefetch: '5'\n"
        "  - {name: f, kind: function.python, source: _index.yaml}",
        "_index.yaml:9: entry app:c: field `prefetch`: "
        "expected whole number (at least 0, at most 10,000), got the text `5`",
    ),
    "concurrency over 1,000": (
        DB + QUEUE + "  - {name: c, kind: queue.consumer, queue: jobs, func: f, concurrency: 1001}\n"
        "  - {name: f, kind: function.python, source: _index.yaml}",
        "_index.yaml:5: entry app:c: field `concurrency`: "
        "expected whole number (at least 1, at most 1,000), got `1001`",
    ),
    "prefetch over 10,000": (
        DB + QUEUE + "  - {name: c, kind: queue.consumer, queue: jobs, func: f, prefetch: 10001}\n"
        "  - {name: f, kind: function.python, source: _index.yaml}",
        "_index.yaml:5: entry app:c: field `prefetch`: "
        "expected whole number (at least 0, at most 10,000), got `10001`",
    ),
    "truth for number": (
        "  - {name: web, kind: http.service, ratio: true}",
        "_index.yaml:3: entry app:web: field `ratio`: expected number, got `true`",
    ),
    "nothing for mapping": (
        "  - {name: web, kind: http.service, limits: }",
        "_index.yaml:3: entry app:web: field `limits`: expected mapping, got nothing",
    ),
    "bad choice": (
        "  - {name: db, kind: db.sql.sqlite, file: x, mode: wall}",
        "_index.yaml:3: entry app:db: field `mode`: expected `wal` or `delete`, got the text `wall`; "
        "did you mean `wal`?",
    ),
    "bad size": (
        "  - {name: db, kind: db.sql.sqlite, file: x, cache: 1MB}",
        "_index.yaml:3: entry app:db: field `cache`: `1MB` is not a size: "
        "write `512B`, `64KiB`, `1MiB`, `2GiB` or a number of bytes",
    ),
    "bad duration in a list": (
        DB + "  - {name: q, kind: queue.queue, database: db, delays: [5s, soon]}",
        "_index.yaml:4: entry app:q: field `delays[1]`: `soon` is not a duration: "
        "write `100ms`, `5s`, `1m`, `2h`, `7d` or a number of seconds",
    ),
    "a rule of a struct": (
        "  - {name: web, kind: http.service, limits: {least: 11}}",
        "_index.yaml:3: entry app:web: field `limits`: `least` is more than `most`",
    ),
    "meta that is no mapping": (
        "  - {name: web, kind: http.service, meta: hello}",
        "_index.yaml:3: entry app:web: field `meta`: expected mapping, got the text `hello`",
    ),
    "dangling reference": (
        DB + "  - {name: q, kind: queue.queue, database: dbb}",
        "_index.yaml:4: entry app:q: field `database`: no entry is named `app:dbb`; did you mean `app:db`?",
    ),
    "dangling reference in a mapping": (
        "  - {name: f, kind: function.python, source: _index.yaml, needs: {it: other:thing}}",
        "_index.yaml:3: entry app:f: field `needs.it`: no entry is named `other:thing`",
    ),
    "dangling reference in a list": (
        "  - {name: db, kind: db.sql.sqlite, file: x, lifecycle: {depends_on: [web]}}",
        "_index.yaml:3: entry app:db: field `lifecycle.depends_on[0]`: no entry is named `app:web`",
    ),
    "reference of the wrong kind": (
        "  - {name: web, kind: http.service}\n  - {name: q, kind: queue.queue, database: web}",
        "_index.yaml:4: entry app:q: field `database`: `app:web` is a `http.service`, expected a `db.sql.*`",
    ),
    "reference of the wrong kind that closes a circle": (
        "  - {name: q, kind: queue.queue, database: q}",
        "_index.yaml:3: entry app:q: field `database`: `app:q` is a `queue.queue`, expected a `db.sql.*`",
    ),
    "entry that waits for itself": (
        "  - {name: web, kind: http.service, lifecycle: {depends_on: [web]}}",
        "_index.yaml:3: entry app:web: waits for itself: app:web -> app:web",
    ),
    "circle": (
        "  - {name: c, kind: http.service, lifecycle: {depends_on: [b]}}\n"
        "  - {name: b, kind: http.service, lifecycle: {depends_on: [a]}}\n"
        "  - {name: a, kind: http.service, lifecycle: {depends_on: [c]}}",
        "_index.yaml:5: entry app:a: waits for itself: app:a -> app:c -> app:b -> app:a",
    ),
    "circle through a reference that attaches": (
        "  - {name: web, kind: http.service}\n"
        "  - {name: r, kind: http.router, meta: {server: web}, lifecycle: {depends_on: [web]}}",
        "_index.yaml:4: entry app:r: waits for itself: app:r -> app:web -> app:r",
    ),
    "duplicate entry": (
        DB + "  - {name: db, kind: db.sql.sqlite, file: y}",
        "_index.yaml:4: entry app:db: declared before, at _index.yaml:3",
    ),
    "duplicate key": (
        "  - name: db\n    kind: db.sql.sqlite\n    file: x\n    file: y",
        "_index.yaml:6: entry app:db: field `file`: given twice",
    ),
    "duplicate key, nested": (
        "  - {name: web, kind: http.service, meta: {a: [{b: 1, b: 2}]}}",
        "_index.yaml:3: entry app:web: field `meta.a[0].b`: given twice",
    ),
    "bad name": (
        "  - {name: Db!, kind: db.sql.sqlite, file: x}",
        "_index.yaml:3: field `entries[0].name`: the text `Db!` is no name: "
        "write a letter from a to z, then a-z, 0-9, `_`, `.` and `-`",
    ),
    "name that is a number": (
        "  - {name: 5, kind: db.sql.sqlite, file: x}",
        "_index.yaml:3: field `entries[0].name`: `5` is no name: "
        "write a letter from a to z, then a-z, 0-9, `_`, `.` and `-`",
    ),
    "missing name": ("  - {kind: http.service}", "_index.yaml:3: field `entries[0].name`: missing"),
    "entry that is no mapping": (
        "  - db",
        "_index.yaml:3: field `entries[0]`: expected an entry with `name` and `kind`, got the text `db`",
    ),
    "missing source": (
        "  - {name: f, kind: function.python, source: taks.py}",
        "_index.yaml:3: entry app:f: field `source`: no file `taks.py`; did you mean `tasks.py`?",
    ),
    "control characters": (
        '  - {name: web, kind: "\\e[31m\\n"}',
        "_index.yaml:3: entry app:web: field `kind`: unknown kind `\\x1b[31m\\n`",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_mistake_in_an_entry(case: str, problems: Problems) -> None:
    entries, expected = CASES[case]
    assert problems(HEAD + entries) == [expected]


FILES = {
    "empty": ("", "_index.yaml:1: the file is empty: it needs `namespace` and `entries`"),
    "a list": (
        "- a",
        "_index.yaml:1: expected the fields `namespace` and `entries`, got a list",
    ),
    "no namespace": ("entries: []", "_index.yaml:1: field `namespace`: missing"),
    "no entries": ("namespace: app", "_index.yaml:1: field `entries`: missing"),
    "entries of the wrong type": (
        "namespace: app\nentries: {}",
        "_index.yaml:2: field `entries`: expected list, got a mapping",
    ),
    "bad namespace": (
        "namespace: my app\nentries: []",
        "_index.yaml:1: field `namespace`: the text `my app` is no name: "
        "write a letter from a to z, then a-z, 0-9, `_`, `.` and `-`",
    ),
    "unknown version": (
        "version: '2.0'\nnamespace: app\nentries: []",
        "_index.yaml:1: field `version`: expected `1.0`, got the text `2.0`",
    ),
    "unknown field": (
        "namespace: app\nentrys: []\nentries: []",
        "_index.yaml:2: field `entrys`: unknown field; did you mean `entries`?",
    ),
    "field given twice": (
        "namespace: app\nentries: []\nentries: []",
        "_index.yaml:3: field `entries`: given twice",
    ),
    "no YAML": (
        "namespace: app\nentries: [",
        "_index.yaml:2: not valid YAML: did not find expected node content",
    ),
    "two documents": (
        "namespace: app\nentries: []\n---\nnamespace: b",
        "_index.yaml:3: a second document begins here: a file holds one",
    ),
}


@pytest.mark.parametrize("case", FILES)
def test_mistake_in_a_file(case: str, problems: Problems) -> None:
    text, expected = FILES[case]
    assert problems(text) == [expected]


def test_all_mistakes_are_reported_at_once_in_the_order_of_the_lines(problems: Problems) -> None:
    Path("more").mkdir()
    Path("more/_index.yaml").write_text("namespace: more\nentries: [{name: x, kind: teapot}]")
    found = problems(
        """
        namespace: app
        entries:
          - name: db
            kind: db.sql.sqlite
            fil: x
            mode: 3
            cache: much
          - name: q
            kind: queue.queue
            database: more:x
            delays: [1, -1]
            dead_letter: app:nowhere
            lifecycle:
              start_timeout: fast
              restart: {jitter: 2, max_attempts: x}
        """
    )
    assert [line.partition(": entry ")[0] for line in found] == [
        f"_index.yaml:{line}" for line in (4, 6, 7, 8, 12, 13, 15, 16, 16)
    ] + ["more/_index.yaml:2"]


def test_references_into_a_file_that_cannot_be_read_are_not_called_dangling(problems: Problems) -> None:
    Path("db").mkdir()
    Path("db/_index.yaml").write_text("namespace: [")
    found = problems(HEAD + "  - {name: q, kind: queue.queue, database: db:main}")
    assert found == ["db/_index.yaml:1: not valid YAML: did not find expected node content"]


def test_a_circle_that_was_found_hides_no_other(problems: Problems) -> None:
    entries = [f"  - {{name: e{i}, kind: http.service, lifecycle: {{depends_on: [e{i}]}}}}" for i in range(3)]
    assert problems(HEAD + "\n".join(entries)) == [
        f"_index.yaml:{i + 3}: entry app:e{i}: waits for itself: app:e{i} -> app:e{i}" for i in range(3)
    ]
