"""F31, its YAML half: hostile files give a clear error with a line, quickly and in little memory."""

import tracemalloc
from pathlib import Path

import pytest
import yaml
from registry_kinds import Problems

from taskmill.registry.yaml_tree import MAX_BYTES, MAX_DEPTH, YamlError, parse


@pytest.fixture(params=["CSafeLoader", "SafeLoader"], autouse=True)
def _loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run every test with the parser in C and with the one in Python."""
    monkeypatch.setattr("taskmill.registry.yaml_tree._LOADER", getattr(yaml, request.param))


HEAD = "namespace: app\nentries: []\n"


def test_f31_alias_bomb(problems: Problems) -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 100)]
    assert problems("\n".join(lines)) == ["_index.yaml:2: aliases (`*a0`) are not read: write the value out"]


def test_f31_1100_nested_levels_in_block_style(problems: Problems) -> None:
    text = "\n".join(" " * level + "a:" for level in range(1100))
    assert problems(text) == [f"_index.yaml:{MAX_DEPTH + 1}: nested more than {MAX_DEPTH} levels deep"]


@pytest.mark.parametrize("levels", [1100, 100_000])
@pytest.mark.parametrize("bracket", ["[", "{a: ", "- "])
def test_f31_nested_levels_in_one_line(problems: Problems, bracket: str, levels: int) -> None:
    assert problems(HEAD + "x: " * (bracket != "- ") + bracket * levels)[0].startswith("_index.yaml:3: ")


@pytest.mark.parametrize(("start", "end"), [("[", "]"), ("{a: ", "}")])
def test_f31_1100_nested_levels_in_flow_style(problems: Problems, start: str, end: str) -> None:
    ours = [f"_index.yaml:3: nested more than {MAX_DEPTH} levels deep"]
    assert problems(HEAD + "x: " + start * 100 + end * 100) == ours
    # The C parser looks ahead, and has a limit of its own at 1,000.
    theirs = ["_index.yaml:3: not valid YAML: exceeded maximum nesting depth"]
    assert problems(HEAD + "x: " + start * 1100 + end * 1100) in (ours, theirs)


def test_f31_the_deepest_that_is_read_can_also_be_converted(problems: Problems) -> None:
    levels = MAX_DEPTH - 3  # the file, its entries, the entry
    text = "namespace: app\nentries:\n  - {name: w, kind: http.service, bad: 1, meta: "
    deepest = text + "{a: " * levels + "1" + "}" * levels + "}"
    assert problems(deepest) == ["_index.yaml:3: entry app:w: field `bad`: unknown field"]
    deeper = text + "{a: " * (levels + 1) + "1" + "}" * (levels + 1) + "}"
    assert problems(deeper) == [f"_index.yaml:3: nested more than {MAX_DEPTH} levels deep"]


def test_f31_huge_file(problems: Problems) -> None:
    found = problems(HEAD + "#" * MAX_BYTES)
    assert found == ["_index.yaml: the file is larger than 1 MiB: split it, a namespace may have many files"]


def test_f31_a_file_far_larger_than_memory_is_not_read_whole(problems: Problems) -> None:
    Path("big").mkdir()
    with Path("big/_index.yaml").open("wb") as file:
        file.truncate(2**40)  # sparse
    tracemalloc.start()
    try:
        found = problems(HEAD)
        assert tracemalloc.get_traced_memory()[1] < 8 * MAX_BYTES
    finally:
        tracemalloc.stop()
    assert "the file is larger than 1 MiB" in found[0]


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        (
            "x: !!python/object/apply:os.system ['touch bad']",
            "tag:yaml.org,2002:python/object/apply:os.system",
        ),
        ("x: !!python/object:os.x {}", "tag:yaml.org,2002:python/object:os.x"),
        ("x: !!str 5", "tag:yaml.org,2002:str"),
        ("x: !mine 5", "!mine"),
        ("x: ! 5", "!"),
        ("!!set x: 5", "tag:yaml.org,2002:set"),
    ],
)
def test_f31_tags_run_no_code(problems: Problems, text: str, tag: str) -> None:
    assert problems(HEAD + text) == [f"_index.yaml:3: tags (`{tag[:60]}`) are not read: remove it"]
    assert not Path("bad").exists()


@pytest.mark.parametrize(
    ("raw", "message", "line"),
    [
        (b"a: 1\nb: \xff", "not valid UTF-8", 2),
        (b"a: \xed\xa0\x80", "not valid UTF-8", 1),  # a lone surrogate
        (b"a: 1\nb: 2\nc: \x00", "the character U+0000 is not allowed in YAML", 3),
        (b"a: \x1b[31m", "the character U+001B is not allowed in YAML", 1),
        (b"a: 1\n<<: {b: 2}", "merge keys (`<<`) are not read: write the fields out", 2),
        (b"a: 1\n? [b]\n: 2", "a key must be a text", 2),
        (b"a: 1\nb: *c", "aliases (`*c`) are not read: write the value out", 2),
        (b"a: 1\nb: c: d", "not valid YAML: mapping values are not allowed", 2),
        (b"%YAML 9.9\n---\na: 1", "not valid YAML: found incompatible YAML document", 1),
        (b"# nothing", "the file is empty: it needs `namespace` and `entries`", 1),
    ],
)
def test_f31_what_is_refused(raw: bytes, message: str, line: int) -> None:
    with pytest.raises(YamlError) as caught:
        parse(raw)
    # The parsers in C and in Python end their own messages differently.
    assert caught.value.message.startswith(message)
    assert caught.value.line == line


def test_f31_numbers_of_many_digits_stay_texts() -> None:
    root = parse(b"[" + b"9" * 100_000 + b", 1e400, " + b"1" * 100 + b"]")
    assert isinstance(root.value, list)
    assert [type(node.value) for node in root.value] == [str, str, int]


def test_f31_a_byte_order_mark_is_fine() -> None:
    assert isinstance(parse(b"\xef\xbb\xbfa: 1").value, dict)
