"""The ``nuncius`` command."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from broker.cli import (
    access,
    catalogs,
    config,
    dead_letters,
    deliveries,
    demo,
    event,
    filters,
    ingest,
    people,
    query,
    region,
    reports,
    service,
    simulate,
    skymap,
    subscriptions,
    tokens,
    trace,
    vtp,
    watchlist,
)
from broker.cli.context import Globals, err
from broker.errors import NunciusError, UsageError
from consumers.cli import listen

__all__ = ["app", "run"]

app = typer.Typer(
    name="nuncius",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="A Kafka-based real-time alert broker for astronomy.",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def options(
    ctx: typer.Context,
    data: Annotated[
        Path, typer.Option("--data", envvar="NUNCIUS_DATA", help="Folder for everything Nuncius keeps.", file_okay=False)
    ] = Path("nuncius-data"),
    config_file: Annotated[
        Path | None,
        typer.Option("--config", envvar="NUNCIUS_CONFIG", help="Settings file [default: nuncius.toml in the data folder]"),
    ] = None,
) -> None:
    """Options before the verb."""
    ctx.obj = Globals(data, config_file)


for verb in (
    ingest.ingest,
    service.process,
    service.serve,
    service.relay,
    service.deliver,
    service.up,
    service.status,
    vtp.vtp,
    subscriptions.subscribe,
    query.query,
    query.packet,
    trace.trace,
    listen,
    simulate.simulate,
    demo.demo,
):
    app.command()(verb)
for group, name in (
    (dead_letters.app, "dead-letter"),
    (filters.app, "filter"),
    (event.app, "event"),
    (catalogs.app, "catalog"),
    (watchlist.app, "watchlist"),
    (region.app, "region"),
    (config.app, "config"),
    (vtp.app, "voevent"),
    (skymap.app, "skymap"),
    (people.user_app, "user"),
    (people.team_app, "team"),
    (tokens.app, "token"),
    (subscriptions.app, "subscriptions"),
    (deliveries.app, "deliveries"),
    (reports.app, "reports"),
    (access.app, "access"),
):
    app.add_typer(group, name=name)


def run(arguments: list[str] | None = None) -> int:
    """Run a command line.

    Returns
    -------
    int
        0 done, 1 failed, 2 wrongly used.
    """
    try:
        app(args=arguments)
    except SystemExit as leave:
        return leave.code if isinstance(leave.code, int) else int(leave.code is not None)
    except BrokenPipeError:
        # The reader of our output has seen enough, as `head` does; what Python would still flush has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except NunciusError as error:
        err.print(f"[bold red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        return 2 if isinstance(error, UsageError) else 1
    return 0
