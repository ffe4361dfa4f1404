"""Ways to load a registry from text."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import dedent

import pytest
from registry_kinds import ALL, Load, Problems

from taskmill.registry import KindSpec, Registry, RegistryError, load


@pytest.fixture
def kinds() -> Mapping[str, KindSpec]:
    return {kind.kind: kind for kind in ALL}


@pytest.fixture
def load_text(tmp_path: Path, kinds: Mapping[str, KindSpec], monkeypatch: pytest.MonkeyPatch) -> Load:
    """Load a registry whose only file has this text. Its folder is the current one."""
    monkeypatch.chdir(tmp_path)

    def load_it(
        text: str, overrides: Sequence[str] = (), environ: Mapping[str, str] | None = None
    ) -> Registry:
        Path("_index.yaml").write_text(dedent(text), encoding="utf-8")
        return load(Path(), kinds, overrides, environ or {})

    return load_it


@pytest.fixture
def problems(load_text: Load) -> Problems:
    """Return the mistakes in a registry of one file, as the user reads them."""

    def find(text: str, overrides: Sequence[str] = (), environ: Mapping[str, str] | None = None) -> list[str]:
        with pytest.raises(RegistryError) as caught:
            load_text(text, overrides, environ)
        return str(caught.value).split("\n")

    return find
