"""``nuncius region``: parts of the sky that filters ask for."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.markup import escape

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
from broker.cli.skymap_files import Out, write_bytes
from broker.cli.tables import LEAST_PROSE, show_table
from broker.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from broker.store.regions import Region

__all__ = ["app"]

app = typer.Typer(help="Regions: parts of the sky that filters ask for.", no_args_is_help=True)

Moc = "Coverage map (MOC) as FITS, JSON or ASCII."


@app.command()
def add(  # noqa: PLR0917 - each is an option of the command line
    ctx: typer.Context,
    name: ListName,
    file: Annotated[Path | None, typer.Argument(help=Moc, exists=True, dir_okay=False)] = None,
    event: Annotated[str | None, typer.Option(help="Event whose newest map is followed, instead of a file.")] = None,
    level: Annotated[float, typer.Option(help="With --event: probability inside.", min=1e-6, max=1.0)] = 0.9,
    description: Description = "",
    visibility: Visibility = "public",
    team: Team = None,
    owner: Owner = None,
) -> None:
    """Make a region of a coverage map, or of the newest map of an event.

    Examples: `nuncius region add footprint footprint.moc.fits` · `nuncius region add merger --event S240422ed --level 0.9`
    """
    if (file is None) == (event is None):
        raise UsageError("a region is made of a FILE, or of the map of an event: --event NAME")
    options = context(ctx)
    inside = None if file is None else _read(file)
    more: dict[str, Any] = {"description": description, "visibility": visibility, "team": team, "owner": owner, "who": who()}
    with opened(options.settings(), options.data) as parts:
        from broker.store import region_changes

        check_team(parts.store, team, visibility)
        if inside is not None:
            made = region_changes.create(parts.store, name, inside, **more)
        else:
            assert event is not None
            made = region_changes.follow(parts.store, name, event, level, **more)
    _say(made)


@app.command()
def replace(
    ctx: typer.Context, name: ListName, file: Annotated[Path, typer.Argument(help=Moc, exists=True, dir_okay=False)]
) -> None:
    """Put another coverage map in the place of a region's: its next version.

    Example: `nuncius region replace footprint footprint.moc.fits`
    """
    options = context(ctx)
    folder = options.kept()
    inside = _read(file)
    with opened(options.settings(), folder) as parts:
        from broker.store import region_changes

        made = region_changes.replace(parts.store, name, inside, who=who())
    _say(made)


@app.command()
def change(  # noqa: PLR0917 - each is an option of the command line
    ctx: typer.Context,
    name: ListName,
    description: Annotated[str | None, typer.Option(help="What it is, in a sentence.")] = None,
    visibility: Annotated[Literal["private", "team", "public"] | None, typer.Option(help="Who may see it.")] = None,
    team: Annotated[str | None, typer.Option(help="Team whose members may see and change it too; '' for none.")] = None,
    owner: Owner = None,
) -> None:
    """Change what is said of a region.

    Example: `nuncius region change footprint --description "Seen from the north"`
    """
    options = context(ctx)
    folder = options.kept()
    with opened(options.settings(), folder) as parts:
        from broker.store import region_changes, regions

        before = regions.get(parts.store, name)
        check_team(
            parts.store, before.team if team is None else team, visibility or (before.visibility if team == "" else None)
        )
        made = region_changes.change(parts.store, name, description=description, visibility=visibility, team=team, owner=owner)
    _say(made)


@app.command("list")
def listing(ctx: typer.Context, as_document: AsJson = False) -> None:
    """The regions there are.

    Example: `nuncius region list`
    """
    options = context(ctx)
    folder = options.kept()
    with opened(options.settings(), folder) as parts:
        from broker.store import regions

        found = regions.listing(parts.store)
    if as_document:
        print_json([asdict(one) for one in found])
        return
    rows = []
    for one in found:
        area = "" if one.newest is None else f"{100 * one.newest.fraction:.4g} % of the sky"
        what = f"{one.event_name}, level {one.level:g}" if one.event_name is not None else area
        version = "" if one.newest is None else str(one.newest.version)
        rows.append((one.name, escape(what), version, one.visibility, escape(one.description)))
    columns = ("name", "what", "version", "visibility", "description")
    show_table(out, columns, rows, prose={"description": LEAST_PROSE})


@app.command()
def show(ctx: typer.Context, name: ListName, as_document: AsJson = False) -> None:
    """A region with all its versions.

    Example: `nuncius region show footprint`
    """
    options = context(ctx)
    folder = options.kept()
    with opened(options.settings(), folder) as parts:
        from broker.store import regions

        found, versions = regions.get(parts.store, name), regions.versions(parts.store, name)
    if as_document:
        print_json(asdict(found) | {"versions": [asdict(each) for each in versions]})
        return
    for key, value in asdict(found).items():
        if key != "newest":
            out.print(f"{key:12} {'' if value is None else value}", highlight=False, markup=False, soft_wrap=True)
    rows = [
        (str(each.version), f"{each.created:%Y-%m-%d %H:%M:%S}", f"{100 * each.fraction:.4g} %", str(each.healpix_order),
         escape(each.who or ""))
        for each in versions
    ]  # fmt: skip
    if rows:
        show_table(out, ("version", "time (UTC)", "of the sky", "order", "who"), rows)


@app.command()
def export(
    ctx: typer.Context,
    name: ListName,
    fmt: Annotated[Literal["fits", "json", "ascii"], typer.Option("--format", help="How to write it.")] = "ascii",
    version: Annotated[int | None, typer.Option(help="Which version [default: the newest]", min=1)] = None,
    target: Out = None,
) -> None:
    """Write a region as a coverage map (MOC); of one that follows an event, as the newest map has it.

    Example: `nuncius region export footprint --format fits --out footprint.moc.fits`
    """
    options = context(ctx)
    folder = options.kept()
    with opened(options.settings(), folder) as parts:
        from broker.science import moc
        from broker.store import regions
        from broker.wiring.watch import region_now

        one = regions.get(parts.store, name)
        inside = region_now(parts, one) if version is None else regions.ranges(parts.store, name, version)
        if inside is None:
            raise NotFoundError(f"region {name!r} follows event {one.event_name!r}, which has no map now")
        found = moc.of_ranges(inside)
        match fmt:
            case "fits":
                body = moc.to_fits(found)
            case "json":
                body = (json.dumps(moc.to_json(found)) + "\n").encode()
            case "ascii":
                body = moc.to_ascii(found).encode()
    write_bytes(body, target)


@app.command()
def remove(ctx: typer.Context, name: ListName, force: Force = False) -> None:
    """Take a region away with all its versions; refused while live filters ask for it.

    Example: `nuncius region remove footprint`
    """
    options = context(ctx)
    folder = options.kept()
    with opened(options.settings(), folder) as parts:
        from broker.process.watch import REGION_PREFIX
        from broker.store import region_changes

        if not force:
            refuse_in_use("region", name, parts, [f"{REGION_PREFIX}{name}"])
        region_changes.remove(parts.store, name)
    err.print(f"region {name}: removed")


def _read(file: Path) -> npt.NDArray[np.int64]:
    with busy(f"read {file.name}"):
        from broker.science.moc_read import read_moc

        try:
            return read_moc(read_file(file))
        except UsageError as error:
            raise UsageError(f"{file.name}: {error}") from error


def _say(made: Region) -> None:
    if made.newest is None:
        err.print(f"region {made.name}: level {made.level:g} of the newest map of {made.event_name}", markup=False)
        return
    newest = made.newest
    err.print(
        f"region {made.name}, version {newest.version}: {100 * newest.fraction:.4g} % of the sky, order {newest.healpix_order}",
        highlight=False,
    )
    if newest.fraction == 1.0:
        err.print("[yellow]warning:[/] it is the whole sky: every alert that has a place lies in it")
