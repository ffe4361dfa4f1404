"""The documentation is true: what it shows loads, compiles, exists and is up to date."""

import re
import runpy
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.main import get_command

from taskmill import application, cli
from taskmill.registry.yaml_tree import parse
from taskmill.tasks.actions.catalog import Catalog

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")])
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
FILE = re.compile(r"# (\S+\.(?:py|yaml))\n")  # a block that begins so is a whole file

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def blocks(page: Path, language: str) -> Iterator[str]:
    return (match[2] for match in FENCE.finditer(page.read_text()) if match[1] == language)


def whole_files(page: Path) -> dict[str, str]:
    found = {}
    for match in FENCE.finditer(page.read_text()):
        if named := FILE.match(match[2]):
            found[named[1]] = match[2]
    return found


def write_files(page: Path, directory: Path) -> None:
    for name, text in whole_files(page).items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_the_reference_of_kinds_is_up_to_date() -> None:
    generator = runpy.run_path(str(ROOT / "docs" / "reference" / "generate.py"))
    assert generator["FILE"].read_text() == generator["render"](), "run `make docs`"


@every_page
def test_blocks_can_be_read(page: Path) -> None:
    for text in blocks(page, "python"):
        compile(text, str(page), "exec")
    for text in blocks(page, "yaml"):
        parse(text.encode())


@every_page
def test_whole_registries_load(page: Path, tmp_path: Path) -> None:
    write_files(page, tmp_path)
    if list(tmp_path.rglob("_index.yaml")):
        assert application.read(tmp_path).start_order()


def test_the_actions_of_the_guide_are_actions(tmp_path: Path) -> None:
    write_files(ROOT / "docs" / "how-to" / "own-actions.md", tmp_path)
    catalog = Catalog()
    catalog.load(["file://actions.py"], tmp_path)
    assert catalog.names() == ["*", "send-mail", "shout", "total"]


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text())
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        linked = page.parent / path if path else page
        assert linked.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", linked.read_text(), re.M)
            assert anchor in [re.sub(r"[^\w -]", "", one).lower().replace(" ", "-") for one in headings]


def test_the_site_shows_each_page() -> None:
    named = re.findall(r"([\w/-]+\.md)\b", (ROOT / "mkdocs.yml").read_text())
    assert sorted(named) == sorted(
        str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")
    )


@every_page
def test_commands_exist(page: Path) -> None:
    text = page.read_text()
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    for target in re.findall(r"(?:^|`)make ([a-z]+)", text, re.M):
        assert target in targets
    command = get_command(cli.app)
    assert isinstance(command, typer.core.TyperGroup)
    for name, rest in re.findall(r"(?:^|`|/)taskmill ([a-z]+)([^`\n]*)", text, re.M):
        meant = command.commands[name]
        if isinstance(meant, typer.core.TyperGroup) and rest.split() and rest.split()[0] in meant.commands:
            meant = meant.commands[rest.split()[0]]
        options = {option for parameter in meant.params for option in parameter.opts}
        assert set(re.findall(r"(?<!\S)--?[a-z-]+", rest)) <= options


def test_troubleshooting_quotes_what_is_said() -> None:
    source = "\n".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
    source = re.sub(r'"\s*\n\s*f?"', "", source)  # texts that are written in several parts
    quoted = re.findall(
        r"^- (`[^`]+`(?: … `[^`]+`)*) …", (ROOT / "docs" / "troubleshooting.md").read_text(), re.M
    )
    texts = [text for line in quoted for text in re.findall("`([^`]+)`", line)]
    assert len(texts) > 20
    assert [text for text in texts if text not in source] == []
