"""``nuncius filter backtest``: what a filter would have picked."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from broker.cli.context import busy, context, err, nothing_kept, out, print_json, progress, window
from broker.cli.tables import show_table
from broker.errors import UsageError

if TYPE_CHECKING:
    from broker.wiring.backtest import Backtest

__all__ = ["backtest"]

_BAR = 30


def backtest(  # noqa: PLR0917 - each is an option of the command line
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="A filter's file.")],
    since: Annotated[datetime | None, typer.Option(help="Only alerts of this time on, UTC.")] = None,
    until: Annotated[datetime | None, typer.Option(help="Only alerts before this time, UTC.")] = None,
    as_document: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
    plot: Annotated[Path | None, typer.Option(help="Write a picture, PNG.", dir_okay=False)] = None,
    force: Annotated[bool, typer.Option("--force", help="However large a part it picks.")] = False,
) -> None:
    """What a filter would have picked of the alerts kept, each held against what was known when it came.

    Exit status 1 where it picks more than `backtest.most_share` allows.

    Example: `nuncius filter backtest filters/ztf_bright_transients.toml --since 2026-08-01 --until 2026-08-08`
    """
    options = context(ctx)
    folder = options.kept()
    if plot is not None and not plot.absolute().parent.is_dir():
        raise UsageError(f"--plot {plot}: there is no folder {plot.absolute().parent}")
    with busy("open"):
        from broker.filtering.definition import load_filter
        from broker.wiring import backtest as testing
        from broker.wiring.parts import open_parts, use_sites

    use_sites(options.settings())
    spec = load_filter(file)
    settings = options.settings()
    start, end = window(since, until)
    with open_parts(settings, folder) as parts, progress() as bar:
        task = bar.add_task("alerts", total=None)
        told = testing.backtest(parts, spec, start, end, lambda done, total: bar.update(task, completed=done, total=total))
    if as_document:
        print_json(told.as_dict())
    else:
        _show(told)
    if not told.evaluated:
        err.print(nothing_kept(spec.streams, start, end), style="yellow", highlight=False, markup=False)
    if plot is not None:
        from broker.wiring.backtest_plot import draw

        plot.write_bytes(draw(told.as_dict()))
    if not force:
        testing.refuse(told, settings)


def _show(told: Backtest) -> None:
    most = max((night.matched for night in told.nights), default=0)
    rows = [
        (night.night, f"{night.evaluated:,}", f"{night.matched:,}", "#" * round(_BAR * night.matched / most if most else 0))
        for night in told.nights
    ]
    show_table(out, ("night", "alerts", "picked", ""), rows)
    if told.overlap:
        show_table(out, ("also picked by", "alerts"), [(escape(name), f"{count:,}") for name, count in told.overlap.items()])
    if told.samples:
        cards = [
            (
                escape(sample.alert_id),
                escape(sample.object_id or ""),
                "" if sample.time is None else f"{sample.time:%Y-%m-%d %H:%M:%S}",
                "" if sample.ra is None or sample.dec is None else f"{sample.ra:.4f} {sample.dec:+.4f}",
                "" if sample.mag is None else f"{sample.mag:.2f}",
            )
            for sample in told.samples
        ]
        show_table(out, ("some of them", "object", "time", "ra dec", "mag"), cards)
    for warning in told.warnings:
        err.print(f"[yellow]{escape(warning)}[/]", highlight=False, soft_wrap=True)
    err.print(
        f"{told.matched:,} of {told.evaluated:,} alerts ({told.share:.2%}), {told.per_night:.3g} a night", highlight=False
    )
