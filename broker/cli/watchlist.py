"""``nuncius watchlist``: lists of targets that filters ask for."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.markup import escape

from broker.cli import watchlist_targets
from broker.cli.context import busy, context, err, opened, out, print_json
from broker.cli.lists import (
    AsJson,
    Description,
    Force,
    ListName,
    Owner,
    Team,
    Visibility,
    check_team,
    read_file,
    refuse_in_use,
    who,
)
from broker.cli.tables import LEAST_PROSE, show_table

if TYPE_CHECKING:
    from broker.store.target_tables import TargetTable
    from broker.store.watchlists import Watchlist

__all__ = ["app"]

app = typer.Typer(help="Watchlists: lists of targets that filters ask for.", no_args_is_help=True)
app.command("put-target", context_settings={"ignore_unknown_options": True})(watchlist_targets.put_target)
app.command("remove-target")(watchlist_targets.remove_target)
app.command("export")(watchlist_targets.export)

File = Annotated[Path, typer.Argument(help="CSV, VOTable, FITS or Parquet, gzipped or not.", exists=True, dir_okay=False)]


@app.command()
def add(  # noqa: PLR0917 - each is an option of the command line
    ctx: typer.Context,
    name: ListName,
    file: File,
    radius: Annotated[float, typer.Option(help="Arcseconds around targets without a radius of their own.")] = 2.0,
    description: Description = "",
    visibility: Visibility = "public",
    team: Team = None,
    owner: Owner = None,
) -> None:
    """Make a watchlist of a table with columns such as ra and dec (degrees, or sexagesimal), id, radius (arcsec).

    Example: `nuncius watchlist add supernovae supernovae.csv --radius 3`
    """
    options = context(ctx)
    table = _read(file)
    with opened(options.settings(), options.data) as parts:
        from broker.store import watchlist_changes

        check_team(parts.store, team, visibility)
        with busy("keep"):
            made = watchlist_changes.create(
                parts.store,
                name,
                table.frame,
                radius=radius,
                description=description,
                visibility=visibility,
                team=team,
                owner=owner,
                who=who(),
            )
    _say(made, table)


@app.command()
def replace(
    ctx: typer.Context,
    name: ListName,
    file: File,
    radius: Annotated[float | None, typer.Option(help="Arcseconds; that of before unless given.")] = None,
) -> None:
    """Put a table's targets in the place of all those of a watchlist: its next version.

    Example: `nuncius watchlist replace supernovae supernovae.csv`
    """
    options = context(ctx)
    folder = options.kept()
    table = _read(file)
    with opened(options.settings(), folder) as parts:
        from broker.store import watchlist_changes

        with busy("keep"):
            made = watchlist_changes.replace(parts.store, name, table.frame, radius=radius, who=who())
    _say(made, table)


@app.command()
def change(  # noqa: PLR0917 - each is an option of the command line
    ctx: typer.Context,
    name: ListName,
    radius: Annotated[float | None, typer.Option(help="Arcseconds around targets without a radius of their own.")] = None,
    description: Annotated[str | None, typer.Option(help="What it is, in a sentence.")] = None,
    visibility: Annotated[Literal["private", "team", "public"] | None, typer.Option(help="Who may see it.")] = None,
    team: Annotated[str | None, typer.Option(help="Team whose members may see and change it too; '' for none.")] = None,
    owner: Owner = None,
) -> None:
    """Change what is said of a watchlist; another radius makes a version.

    Example: `nuncius watchlist change supernovae --radius 5`
    """
    options = context(ctx)
    folder = options.kept()
    with opened(options.settings(), folder) as parts:
        from broker.store import watchlist_changes, watchlists

        before = watchlists.get(parts.store, name)
        check_team(
            parts.store, before.team if team is None else team, visibility or (before.visibility if team == "" else None)
        )
        given = {"description": description, "visibility": visibility, "team": team, "owner": owner}
        made = watchlist_changes.change(parts.store, name, radius=radius, **given, who=who())
    _say(made)


@app.command("list")
def listing(ctx: typer.Context, as_document: AsJson = False) -> None:
    """The watchlists there are.

    Example: `nuncius watchlist list`
    """
    options = context(ctx)
    folder = options.kept()
    with opened(options.settings(), folder) as parts:
        from broker.store import watchlists

        found = watchlists.listing(parts.store)
    if as_document:
        print_json([_document(one) for one in found])
        return
    rows = [
        (one.name, f"{one.newest.targets:,}", f"{one.newest.radius:g}", str(one.newest.version),
         f"{one.newest.created:%Y-%m-%d %H:%M}", one.visibility, escape(one.description))
        for one in found
    ]  # fmt: skip
    columns = ("name", "targets", "radius", "version", "changed (UTC)", "visibility", "description")
    show_table(out, columns, rows, prose={"description": LEAST_PROSE})


@app.command()
def show(ctx: typer.Context, name: ListName, as_document: AsJson = False) -> None:
    """A watchlist with all its versions and what each of them changed.

    Example: `nuncius watchlist show supernovae`
    """
    options = context(ctx)
    folder = options.kept()
    with opened(options.settings(), folder) as parts:
        from broker.store import watchlists

        found, versions = watchlists.get(parts.store, name), watchlists.versions(parts.store, name)
    if as_document:
        print_json(_document(found) | {"versions": [asdict(each) for each in versions]})
        return
    for key, value in _document(found).items():
        out.print(f"{key:12} {'' if value is None else value}", highlight=False, markup=False, soft_wrap=True)
    rows = [
        (str(each.version), f"{each.created:%Y-%m-%d %H:%M:%S}", f"{each.targets:,}", f"{each.radius:g}",
         escape(each.who or ""), escape(each.change))
        for each in versions
    ]  # fmt: skip
    show_table(out, ("version", "time (UTC)", "targets", "radius", "who", "change"), rows, prose={"change": LEAST_PROSE})


@app.command()
def remove(ctx: typer.Context, name: ListName, force: Force = False) -> None:
    """Take a watchlist away with all its versions; refused while live filters ask for it.

    Example: `nuncius watchlist remove supernovae`
    """
    options = context(ctx)
    folder = options.kept()
    with opened(options.settings(), folder) as parts:
        from broker.process.watch import columns_of
        from broker.store import watchlist_changes

        if not force:
            refuse_in_use("watchlist", name, parts, columns_of(name))
        watchlist_changes.remove(parts.store, name)
    err.print(f"watchlist {name}: removed")


def _read(file: Path) -> TargetTable:
    with busy(f"read {file.name}"):
        from broker.store.target_tables import read_targets

        return read_targets(read_file(file), file.name)


def _document(one: Watchlist) -> dict[str, Any]:
    newest = asdict(one.newest)
    facts = {key: value for key, value in asdict(one).items() if key != "newest"}
    return facts | {"changed": newest["created"]} | {key: newest[key] for key in ("version", "targets", "radius", "digest")}


def _say(made: Watchlist, table: TargetTable | None = None) -> None:
    newest = made.newest
    err.print(
        f"watchlist {made.name}, version {newest.version}: {newest.targets:,} targets, {newest.radius:g} arcsec",
        highlight=False,
    )
    if table is not None and table.ignored:
        err.print(f"not kept: {', '.join(table.ignored)}", highlight=False, markup=False, soft_wrap=True)
    if table is not None and table.repeated:
        told = f"rows with the id of an earlier one: {table.repeated:,}; they are kept, and change and go together"
        err.print(told, highlight=False, markup=False, soft_wrap=True)
