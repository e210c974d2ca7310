"""``nuncius filter``: the filters there are, and whether one is right."""

from __future__ import annotations

import typer

from broker.cli import filter_life
from broker.cli.backtest import backtest
from broker.cli.explain import explain
from broker.cli.filter_check import check, columns

__all__ = ["app"]

app = typer.Typer(
    help="The filters there are, whether one is right, and their life from draft to retired.", no_args_is_help=True
)

app.command("list")(filter_life.listing)
app.command("check")(check)
app.command("columns")(columns)
app.command("explain")(explain)
app.command("backtest")(backtest)
app.command("add")(filter_life.add)
app.command("show")(filter_life.show)
app.command("versions")(filter_life.versions)
app.command("test")(filter_life.try_out)
app.command("live")(filter_life.live)
app.command("retire")(filter_life.retire)
