"""``nuncius catalog``: the catalogues alerts are matched against."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from broker.cli.context import busy, context, err, out, progress
from broker.cli.tables import LEAST_PROSE, show_table

__all__ = ["app"]

app = typer.Typer(help="The catalogues alerts are matched against.", no_args_is_help=True)


@app.command()
def add(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="One of ngc, glade, gaia, or a name of your own with SOURCE.")],
    source: Annotated[Path | None, typer.Argument(help="A wheel, CSV, Parquet or VOTable file to make it of.")] = None,
    header: Annotated[
        str, typer.Option(help="Names of the columns, with commas between, of a CSV file whose first line has none.")
    ] = "",
) -> None:
    """Build a catalogue once; `process` matches alerts against it from its next start on.

    Examples: `nuncius catalog add gaia` · `nuncius catalog add myquasars quasars.csv --header name,ra,dec,z`
    """
    with busy("open"):
        from broker.store import catalogs

    options = context(ctx)
    options.settings()
    with progress() as bar:
        task = bar.add_task(f"catalogue {name}", total=None)
        built = catalogs.add(
            options.data / "catalogs",
            name,
            source,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
            header=[column.strip() for column in header.split(",")] if header else None,
        )
    err.print(f"catalogue {name}: {len(built):,} sources")


@app.command("list")
def listing(ctx: typer.Context) -> None:
    """The catalogues built, and those that can be.

    Example: `nuncius catalog list`
    """
    options = context(ctx)
    folder = options.kept()
    with busy("open"):
        from broker.store import catalogs
    built = {one.name: one for one in catalogs.open_all(folder / "catalogs")}
    rows = [
        (name, f"{len(built[name]):,}", escape(", ".join(built[name].columns)))
        if name in built
        else (name, "[dim]not built[/]", f"[dim]nuncius catalog add {name}[/]")
        for name in sorted({*built, *catalogs.known()})
    ]
    show_table(out, ("name", "sources", "columns"), rows, prose={"columns": LEAST_PROSE})
