"""The README's example requests, read out of it, and what they are said to answer."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from support import eventually, require

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
ADDRESS = "http://localhost:8080"


@dataclass(frozen=True)
class Example:
    """A command, and its answer with `…` for whatever differs."""

    command: str
    answer: str

    def matches(self, text: str) -> bool:
        return re.fullmatch(".*".join(map(re.escape, self.answer.split("…"))), text) is not None


def block(after: str, language: str) -> str:
    """Return the first block of a language after a heading."""
    found = re.search(rf"```{language}\n(.*?)```", README.partition(f"## {after}\n")[2], re.S)
    assert found
    return found[1]


def examples() -> list[Example]:
    lines = block("Try it", "bash")
    found = re.findall(r"^(curl (?:.*\\\n)*.*)\n# → (.*)$", lines, re.M)
    return [Example(command, answer) for command, answer in found]


def run_all(url: str) -> None:
    """Send every request as it stands in the README, with curl, and compare the answers."""
    require(shutil.which("curl"), "apt-get install curl")
    first, second, *reads = examples()
    for submit in (first, second):
        assert submit.matches(answer := curl(submit, url)), answer
    for read in reads:
        eventually(lambda read=read: read.matches(curl(read, url)))  # type: ignore[misc]


def curl(example: Example, url: str) -> str:
    command = example.command.replace(ADDRESS, url).replace("curl ", "curl --silent --max-time 10 ", 1)
    return subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True).stdout
