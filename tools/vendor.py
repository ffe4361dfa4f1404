"""Fetches the libraries that pages are made of from npm, and records what they are: `make vendor`.

They are part of the wheel, so that pages work offline and no build step is needed. What is long is compressed, always
to the same bytes. To move a version, change it here, run this, look at the page, and say in the commit what changed.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).parents[1] / "src/taskmill"
RECORD = "VENDORED.json"


@dataclass(frozen=True)
class Library:
    """A package of npm: which of its files go where, by their new names."""

    package: str
    version: str
    target: Path
    files: Mapping[str, str]


LIBRARIES = (
    Library(
        "swagger-ui-dist",
        "5.35.0",
        SOURCE / "http/docs_page/assets",
        {
            "swagger-ui-bundle.js": "swagger-ui-bundle.js.gz",
            "swagger-ui.css": "swagger-ui.css.gz",
            "swagger-ui-bundle.js.LICENSE.txt": "swagger-ui-bundle.js.LICENSE.txt",
            "LICENSE": "swagger-ui.LICENSE",
            "NOTICE": "swagger-ui.NOTICE",
        },
    ),
    # With Preact in it: a page in modules of its own, and no build step.
    Library(
        "htm",
        "3.1.1",
        SOURCE / "tasks/dashboard/assets",
        {"preact/standalone.module.js": "preact.js", "LICENSE": "htm.LICENSE"},
    ),
    # Charts in 23 KB compressed, without a library below it.
    Library(
        "uplot",
        "1.6.32",
        SOURCE / "tasks/dashboard/assets",
        {
            "dist/uPlot.iife.min.js": "uplot.js.gz",
            "dist/uPlot.min.css": "uplot.css",
            "LICENSE": "uplot.LICENSE",
        },
    ),
)


def vendor(library: Library) -> dict[str, Any]:
    """Put a library's files into its place; return what is recorded of it."""
    with tempfile.TemporaryDirectory() as directory:
        name = f"{library.package}@{library.version}"
        packed = subprocess.run(
            ["npm", "pack", name, "--json"], cwd=directory, check=True, capture_output=True
        ).stdout
        (about,) = json.loads(packed)  # npm has compared its integrity by now
        with tarfile.open(Path(directory) / about["filename"]) as archive:
            contents = {file: _read(archive, file) for file in ["package.json", *library.files]}
    hashes = {}
    for file, target in library.files.items():
        hashes[target] = hashlib.sha256(contents[file]).hexdigest()
        content = gzip.compress(contents[file], 9, mtime=0) if target.endswith(".gz") else contents[file]
        (library.target / target).write_bytes(content)
    return {
        "package": library.package,
        "version": library.version,
        "license": json.loads(contents["package.json"])["license"],
        "integrity": about["integrity"],
        "sha256": hashes,  # of the files as they are in the package
    }


def _read(archive: tarfile.TarFile, file: str) -> bytes:
    member = archive.extractfile(f"package/{file}")
    assert member is not None, f"the package has no {file}"
    return member.read()


if __name__ == "__main__":
    for target in {library.target for library in LIBRARIES}:
        records = [vendor(library) for library in LIBRARIES if library.target == target]
        (target / RECORD).write_text(json.dumps(records, indent=2) + "\n")
