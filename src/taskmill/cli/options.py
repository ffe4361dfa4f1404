"""The options that several commands have."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from taskmill.cli import completion
from taskmill.cli.root import wrong

Url = Annotated[str, typer.Option(envvar="TASKMILL_URL", metavar="URL", help="The server's address.")]
Token = Annotated[
    str,
    typer.Option(envvar="TASKMILL_TOKEN", metavar="TOKEN", help="Sent as `Authorization: Bearer`."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]

SERVER = "http://127.0.0.1:8080"

_FILTERS = "Filters"
Status = Annotated[
    str,
    typer.Option(
        help="`queued`, `scheduled`, `running`, `completed`, `failed` or `cancelled`.",
        rich_help_panel=_FILTERS,
    ),
]
Action = Annotated[
    str, typer.Option(help="The action's name.", rich_help_panel=_FILTERS, autocompletion=completion.actions)
]
Queue = Annotated[
    str, typer.Option(help="The queue's name.", rich_help_panel=_FILTERS, autocompletion=completion.queues)
]
Key = Annotated[str, typer.Option(help="The task's key.", rich_help_panel=_FILTERS)]
Tag = Annotated[str, typer.Option(help="One of its tags.", rich_help_panel=_FILTERS)]
After = Annotated[
    str,
    typer.Option(
        "--created-after", metavar="TIME", help="Such as `2026-01-02T03:04:05Z`.", rich_help_panel=_FILTERS
    ),
]
Before = Annotated[
    str,
    typer.Option("--created-before", metavar="TIME", help="Not at this time.", rich_help_panel=_FILTERS),
]

Where = Annotated[
    list[str],
    typer.Option(
        "--where",
        metavar="PATH=VALUE",
        help="What stands in its data, such as `data.customer=42`; the action has to index it. May be repeated.",
        rich_help_panel=_FILTERS,
    ),
]


def of_data(where: list[str]) -> dict[str, str]:
    """Return filters by data; end the command where one is none."""
    pairs = [one.partition("=") for one in where]
    for path, sign, _ in pairs:
        if not sign or not path.startswith("data."):
            wrong(f"--where {path}{sign}: write it as data.customer=42")
    return {path: value for path, _, value in pairs}


def given(**options: Any) -> dict[str, Any]:
    """Return the options that were given."""
    return {name: value for name, value in options.items() if value not in ("", None)}
