"""``nuncius filter explain``: why a filter picks what it picks."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from broker.cli.context import busy, context, err, nothing_kept, out, print_json, progress, window
from broker.cli.tables import said, show_table

__all__ = ["explain"]


def explain(  # noqa: PLR0917 - each is an option of the command line
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="A filter's file.")],
    alert: Annotated[str | None, typer.Option(help="Id of one alert, such as ztf:1234: what each clause says of it.")] = None,
    since: Annotated[datetime | None, typer.Option(help="Only alerts of this time on, UTC.")] = None,
    until: Annotated[datetime | None, typer.Option(help="Only alerts before this time, UTC.")] = None,
    as_document: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> None:
    """How many of the alerts kept pass each clause of a filter, alone and in order; or what each clause says of one alert.

    Example: `nuncius filter explain filters/ztf_bright_transients.toml --json`
    """
    options = context(ctx)
    folder = options.kept()
    with busy("open"):
        from broker.filtering.definition import load_filter
        from broker.wiring import explain as explaining
        from broker.wiring.parts import open_parts, use_sites

    use_sites(options.settings())
    spec = load_filter(file)
    with open_parts(options.settings(), folder) as parts:
        if alert is not None:
            verdicts = explaining.verdicts(parts, spec, alert)
        else:
            start, end = window(since, until)
            with progress() as bar:
                task = bar.add_task("alerts", total=None)
                told = explaining.funnel(
                    parts,
                    spec,
                    start=start,
                    end=end,
                    on_alerts=lambda done, total: bar.update(task, completed=done, total=total),
                )
    if alert is not None:
        clauses = [asdict(each) for each in verdicts]
        if as_document:
            matches = all(each.true for each in verdicts)
            print_json(
                {"filter": spec.name, "version": spec.version, "alert_id": alert, "matches": matches, "clauses": clauses}
            )
            return
        for each in verdicts:
            mark = {True: "[green]true[/]", False: "[red]false[/]", None: "[yellow]unknown[/]"}[each.true]
            out.print(f"{mark}  {escape(each.text)}  [dim]{escape(said(each.value))}[/]", soft_wrap=True, highlight=False)
        return
    if as_document:
        print_json({"filter": spec.name, "version": spec.version, **asdict(told)})
        return
    rows = [(escape(each.text), f"{each.passes_alone:,}", f"{each.passes_in_order:,}") for each in told.clauses]
    show_table(out, ("clause", "pass it alone", "left in order"), rows)
    err.print(f"{told.matched:,} of {told.evaluated:,} alerts")
    if not told.evaluated:
        err.print(nothing_kept(spec.streams, start, end), style="yellow", highlight=False, markup=False)
