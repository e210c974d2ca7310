"""``nuncius filter``: the filters there are, and whether one is right."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from broker.cli.backtest import backtest
from broker.cli.context import busy, context, err, out
from broker.cli.explain import explain
from broker.cli.tables import LEAST_PROSE, show_table

__all__ = ["app"]

app = typer.Typer(help="The filters there are, and whether one is right.", no_args_is_help=True)

app.command("explain")(explain)
app.command("backtest")(backtest)


@app.command("list")
def listing(ctx: typer.Context) -> None:
    """The filters in force.

    Example: `nuncius filter list`
    """
    with busy("open"):
        from broker.wiring.parts import filters_of

    options = context(ctx)
    rows = [
        (spec.name, str(spec.version), escape(", ".join(spec.streams)), escape(spec.description))
        for spec in filters_of(options.settings(), options.data)
    ]
    show_table(out, ("name", "version", "stream", "description"), rows, prose={"stream": 10, "description": LEAST_PROSE})


@app.command()
def check(files: Annotated[list[Path], typer.Argument(help="Filter files.", exists=False)]) -> None:
    """Compile filters and run their worked examples; exit status 1 where an example fails, 2 where a file is wrong.

    Example: `nuncius filter check filters/ztf_bright_transients.toml`
    """
    with busy("open"):
        from broker.filtering.definition import load_filter
        from broker.filtering.examples import run_examples

    failed = 0
    for file in files:
        spec = load_filter(file)
        wrong = run_examples(spec)
        failed += len(wrong)
        for failure in wrong:
            which = f"example {failure.number}{f' ({failure.note})' if failure.note else ''}: " if failure.number else ""
            err.print(f"[bold red]{escape(str(file))}:[/] {escape(which + failure.reason)}", highlight=False, soft_wrap=True)
        if not wrong:
            out.print(f"{file}: right; {len(spec.examples)} worked examples hold", soft_wrap=True)
    if failed:
        raise typer.Exit(1)
