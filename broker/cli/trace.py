"""``nuncius trace``: the way of one alert."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape
from rich.padding import Padding

from broker.cli.context import busy, context, opened, out, print_json
from broker.cli.tables import said

__all__ = ["trace"]


def trace(
    ctx: typer.Context,
    alert_id: Annotated[str, typer.Argument(help="Such as ztf:2752190655615010016.")],
    as_document: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> None:
    """The steps an alert took: received, kept, held against catalogues and maps, picked or dropped, published, told again.

    Example: `nuncius trace ztf:2752190655615010016`
    """
    options = context(ctx)
    folder = options.kept()
    with busy("open"):
        from broker.wiring import trace as tracing
    with opened(options.settings(), folder) as parts, busy("trace"):
        told = tracing.trace(parts, alert_id).as_dict()
    if as_document:
        print_json(told)
        return
    for step in told["steps"]:
        out.print(f"[bold]{step['step']}[/]  [dim]{step['at'] or ''}[/]", highlight=False)
        for name, value in step.items():
            if name not in {"step", "at"} and value is not None:
                out.print(Padding(f"{name}: {escape(said(value))}", (0, 0, 0, 4)), highlight=False, overflow="fold")
