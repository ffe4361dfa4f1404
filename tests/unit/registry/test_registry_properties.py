"""Whatever a file holds, it gives a registry or a RegistryError; and what is right comes back as it was."""

import tempfile
from pathlib import Path
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from registry_kinds import ALL

from taskmill.registry import Registry, RegistryError, load

KINDS = {kind.kind: kind for kind in ALL}


def load_bytes(
    raw: bytes, overrides: tuple[str, ...] = (), environ: dict[str, str] | None = None
) -> Registry:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "_index.yaml").write_bytes(raw)
        return load(Path(folder), KINDS, overrides, environ or {})


def survives(raw: bytes, overrides: tuple[str, ...] = (), environ: dict[str, str] | None = None) -> None:
    try:
        load_bytes(raw, overrides, environ)
    except RegistryError as caught:
        found = [str(problem) for problem in caught.problems]
    else:
        return
    assert found
    assert all(line.isprintable() for line in found)


@given(st.binary())
@settings(deadline=None)
def test_any_bytes(raw: bytes) -> None:
    survives(raw)


@given(st.text())
@settings(deadline=None)
def test_any_text(text: str) -> None:
    survives(text.encode("utf-8", "replace"))


PIECES = [
    "namespace: app\n", "entries:\n", "  - ", "name: ", "kind: ", "db", "db.sql.sqlite", "\n    ", "[", "]",
    "{", "}", ", ", "&a ", "*a", "!!str ", "<<: ", "? ", ": ", "- ", "'", '"', "|\n", ">-\n", "---\n",
    "...\n", "%YAML 1.2\n", "# c\n", "\t", "\r", "\u2028", "\ufeff", "5", "1e5", "${env:A}",
    "${env:", "file: ", "meta: ", "lifecycle: ", "needs: ", "depends_on: ", "http.service", "function.python",
    "source: ",
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
@settings(max_examples=300, deadline=None)
def test_text_that_looks_like_a_registry(text: str) -> None:
    survives(text.encode(), environ={"A": "x: [y"})
    survives(("namespace: app\nentries:\n  - name: a\n    kind: http.service\n    meta: " + text).encode())


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
trees = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)
FIELDS = sorted(
    {"name", "kind", "meta", "lifecycle"} | {f for kind in ALL for f in kind.Config.__struct_fields__}
)


@given(
    st.lists(
        st.dictionaries(st.sampled_from(FIELDS), trees | st.sampled_from(sorted(KINDS))).map(
            lambda fields: {"name": "a", "kind": "http.service"} | fields
        ),
        max_size=4,
    ),
    st.lists(st.text(max_size=20) | st.text(max_size=10).map("app:a:{}=1".format), max_size=2).map(tuple),
)
@settings(deadline=None)
def test_entries_with_any_values(entries: list[dict[str, Any]], overrides: tuple[str, ...]) -> None:
    survives(yaml.safe_dump({"namespace": "app", "entries": entries}, allow_unicode=True).encode(), overrides)


names = st.from_regex(r"[a-z][a-z0-9_.-]{0,10}", fullmatch=True)
printable = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=20).filter(
    lambda text: "${env:" not in text
)
finite = st.floats(0, 10**6)


class Quoting(yaml.SafeDumper):
    """Quotes every text: the library leaves some bare that YAML 1.2 reads as numbers."""


Quoting.add_representer(
    str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"')
)


@given(st.data())
@settings(deadline=None)
def test_what_is_right_comes_back_as_it_was(data: st.DataObject) -> None:
    ids = data.draw(st.lists(names, min_size=1, max_size=6, unique=True))
    declared: list[dict[str, Any]] = []
    for number, name in enumerate(ids):
        earlier = data.draw(st.lists(st.sampled_from(ids[:number]), max_size=3)) if number else []
        declared.append(
            {
                "name": name,
                "kind": "http.service",
                "addr": data.draw(printable),
                "ratio": data.draw(finite),
                "password": data.draw(printable | st.none()),
                "limits": {"most": data.draw(st.integers(0, 2**60))},
                "meta": data.draw(st.dictionaries(printable, printable | st.integers() | st.booleans())),
                "lifecycle": {"depends_on": earlier, "start_timeout": data.draw(finite)},
            }
        )
    raw = yaml.dump({"namespace": "n", "entries": declared}, Dumper=Quoting, allow_unicode=True).encode()
    registry = load_bytes(raw)
    assert list(registry.entries) == [f"n:{name}" for name in ids]
    for fields, entry in zip(declared, registry.entries.values(), strict=True):
        config = entry.config
        assert (config.addr, config.ratio, config.password) == (
            fields["addr"],
            fields["ratio"],
            fields["password"],
        )
        assert config.limits.most == fields["limits"]["most"]
        assert config.meta == fields["meta"]
        assert config.lifecycle.start_timeout == fields["lifecycle"]["start_timeout"]
        assert registry.dependencies[entry.id] == {f"n:{name}" for name in fields["lifecycle"]["depends_on"]}
    started: set[str] = set()
    for wave in registry.start_order():
        assert all(registry.dependencies[entry.id] <= started for entry in wave)
        started |= {entry.id for entry in wave}
    assert started == set(registry.entries)
