"""`${env:NAME}`."""

from registry_kinds import Load, Problems

WEB = "namespace: app\nentries:\n  - name: web\n    kind: http.service\n"
SECRET = "hunter2hunter2"


def test_values_and_defaults(load_text: Load) -> None:
    web = load_text(
        WEB + "    addr: ${env:HOST|127.0.0.1}:${env:PORT}\n    password: ${env:PASSWORD}\n",
        environ={"PORT": "8080", "PASSWORD": ""},
    ).entries["app:web"]
    assert web.config.addr == "127.0.0.1:8080"
    assert web.config.password is None


def test_a_value_alone_means_what_it_would_mean_in_the_file(load_text: Load) -> None:
    text = "    ratio: ${env:R}\n    meta:\n      a: ${env:A}\n      b: '${env:A}'\n      c: ${env:D|true}\n"
    web = load_text(WEB + text + "      d: x${env:A}\n", environ={"R": "0.5", "A": "5"}).entries["app:web"]
    assert web.config.ratio == 0.5
    assert web.config.meta == {"a": 5, "b": "5", "c": True, "d": "x5"}


def test_a_password_of_digits_is_a_text_where_a_text_is_wanted(load_text: Load) -> None:
    web = load_text(WEB + "    addr: ${env:P}\n", environ={"P": "0012"}).entries["app:web"]
    assert web.config.addr == "0012"


def test_a_value_never_becomes_structure(load_text: Load) -> None:
    hostile = "x\nkind: db.sql.sqlite\n? {a: [1]} # ${env:PASSWORD} *a !!python/object:x"
    web = load_text(WEB + "    addr: ${env:A}\n", environ={"A": hostile, "PASSWORD": "p"}).entries["app:web"]
    assert web.config.addr == hostile


def test_kinds_and_references_may_come_from_the_environment(load_text: Load) -> None:
    text = "namespace: a\nentries:\n  - {name: db, kind: 'db.sql.${env:DB|sqlite}', file: x}\n"
    registry = load_text(text + "  - {name: q, kind: queue.queue, database: '${env:Q}'}", environ={"Q": "db"})
    assert registry.dependencies["a:q"] == {"a:db"}


def test_missing_and_malformed(problems: Problems) -> None:
    assert problems(WEB + "    addr: ${env:ADDR}\n    password: ${env:1X}\n") == [
        "_index.yaml:5: entry app:web: field `addr`: the environment variable `ADDR` is not set: "
        "set it, or write `${env:ADDR|default}`",
        "_index.yaml:6: entry app:web: field `password`: write it as `${env:NAME}` or `${env:NAME|default}`",
    ]


def test_bytes_that_are_no_text(problems: Problems) -> None:
    assert problems(WEB + "    addr: ${env:A}", environ={"A": "\udcff"}) == [
        "_index.yaml:5: entry app:web: field `addr`: the environment variable `A` is not valid UTF-8"
    ]


def test_other_dollars_are_left_alone(load_text: Load) -> None:
    assert load_text(WEB + "    addr: ${HOME}$$\n").entries["app:web"].config.addr == "${HOME}$$"


def test_no_message_shows_what_the_environment_gave(problems: Problems) -> None:
    found = problems(
        """
        namespace: app
        entries:
          - {name: web, kind: http.service, ratio: "${env:S}", limits: {body: "${env:S}"}}
          - {name: db, kind: db.sql.sqlite, file: x, mode: "${env:S}", cache: "${env:S}"}
          - {name: q, kind: queue.queue, database: "${env:S}"}
          - {name: x, kind: "${env:S}"}
          - {name: f, kind: function.python, source: "${env:S}"}
          - {name: g, kind: function.python, source: _index.yaml, needs: "${env:S}"}
          - {name: h, kind: http.service, meta: "${env:S}"}
        """,
        environ={"S": SECRET},
    )
    assert SECRET not in "".join(found)
    assert [line.partition(": field ")[2] for line in found] == [
        "`ratio`: expected number, got what `${env:S}` gives",
        "`limits.body`: expected size, got what `${env:S}` gives",
        "`mode`: expected `wal` or `delete`, got what `${env:S}` gives",
        "`cache`: expected size, got what `${env:S}` gives",
        "`database`: no entry is named what `${env:S}` gives",
        "`kind`: no kind is what `${env:S}` gives",
        "`source`: no file `${env:S}`; did you mean `tasks.py`?",
        "`needs`: expected mapping of id of an entry, got what `${env:S}` gives",
        "`meta`: expected mapping, got what `${env:S}` gives",
    ]
