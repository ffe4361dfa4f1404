"""What was given to ``taskmill run``, as overrides of an application's registry."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from taskmill import application
from taskmill.cli import roles
from taskmill.cli.only import Only
from taskmill.http import HttpService
from taskmill.registry import Problem, Registry, RegistryError
from taskmill.registry.problems import COMMAND_LINE


@dataclass(frozen=True, slots=True)
class Given:
    """The options that change what an application is made of: `--addr`, `--only`, `-o` and `--insecure`."""

    addr: str
    only: Only | None
    overrides: list[str]
    insecure: bool = False

    def read(self, directory: Path) -> Registry:
        """Read an application with all that was given; raise RegistryError."""
        given = [*self._addresses(directory), *self.overrides]
        if self.insecure:
            given = [*(f"{server}:insecure=true" for server in self._servers(directory)), *given]
        registry = application.read(directory, given)
        asked = [*roles.asked(registry, self.only), *given]
        if self.only is not None:
            registry = application.read(directory, asked)
        if left_out := roles.left_out(registry, probes=bool(self.addr)):
            registry = application.read(directory, [*left_out, *asked])
        return registry

    def _addresses(self, directory: Path) -> list[str]:
        """Turn ``--addr`` into an override of the one server there is."""
        if not self.addr:
            return []
        servers = self._servers(directory)
        if len(servers) != 1:
            here = ", ".join(servers) or "none"
            message = f"--addr needs exactly one http.service; here are {here}: use `-o`"
            raise RegistryError([Problem(COMMAND_LINE, 0, None, None, message)])
        return [f"{servers[0]}:addr={self.addr}"]

    def _servers(self, directory: Path) -> list[str]:
        entries = application.read(directory, self.overrides).entries.values()
        return [entry.id for entry in entries if entry.kind == HttpService.kind]
