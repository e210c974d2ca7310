"""What the verbs of watchlists and regions have in common."""

from __future__ import annotations

import getpass
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from broker.errors import UsageError

if TYPE_CHECKING:
    from broker.store.engine import Store
    from broker.wiring.parts import Parts

__all__ = [
    "AsJson",
    "Description",
    "Force",
    "ListName",
    "Owner",
    "Team",
    "Visibility",
    "check_team",
    "read_file",
    "refuse_in_use",
    "who",
]

AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]
Description = Annotated[str, typer.Option(help="What it is, in a sentence.")]
Owner = Annotated[str | None, typer.Option(help="Whose it is.")]
Team = Annotated[str | None, typer.Option(help="Team whose members may see and change it too.")]
Visibility = Annotated[Literal["private", "team", "public"], typer.Option(help="Who may see it.")]
Force = Annotated[bool, typer.Option("--force", help="Even if live filters ask for it: they find null from then on.")]
ListName = Annotated[str, typer.Argument(help="Its name: a-z, 0-9 and _, for columns are called by it.")]


def who() -> str | None:
    """Who asks, as the machine knows them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return None


def check_team(store: Store, team: str | None, visibility: str | None) -> None:
    """Refuse a team that is not there, and what is shared with none."""
    if team:
        from broker.store import teams

        teams.get(store, team)
    elif visibility == "team":
        raise UsageError("--visibility team without a team: name it with --team, `nuncius team list` shows those there are")


def read_file(file: Path) -> bytes:
    """Bytes of a file; `UsageError` where it cannot be read."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error


def refuse_in_use(kind: str, name: str, parts: Parts, columns: Iterable[str]) -> None:
    """`UsageError` where a live filter reads one of the columns."""
    asked = set(columns)
    using = [spec.name for spec in parts.filters if spec.active and not asked.isdisjoint(spec.columns)]
    if using:
        raise UsageError(f"{kind} {name!r} is asked for by {', '.join(using)}: take it out of there, or give --force")
