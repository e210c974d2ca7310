"""``nuncius filter``: the filters there are, and whether one is right."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from broker.cli import filter_life
from broker.cli.context import busy, err, out
from broker.cli.explain import explain

__all__ = ["app"]

app = typer.Typer(
    help="The filters there are, whether one is right, and their life from draft to retired.", no_args_is_help=True
)

app.command("list")(filter_life.listing)
app.command("explain")(explain)
app.command("add")(filter_life.add)
app.command("show")(filter_life.show)
app.command("versions")(filter_life.versions)
app.command("test")(filter_life.try_out)
app.command("live")(filter_life.live)
app.command("retire")(filter_life.retire)


@app.command()
def check(files: Annotated[list[Path], typer.Argument(help="Filter files.", exists=False)]) -> None:
    """Compile filters and run their worked examples; exit status 1 where an example fails, 2 where a file is wrong.

    Example: `nuncius filter check filters/ztf_bright_transients.toml`
    """
    with busy("open"):
        from broker.filtering.definition import load_filter
        from broker.filtering.examples import lacking, run_examples

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
            for each in lacking(spec):
                err.print(f"[yellow]{escape(str(file))}:[/] {each}", highlight=False, soft_wrap=True)
    if failed:
        raise typer.Exit(1)
