"""``nuncius query`` and ``nuncius packet``: what is kept."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from broker.api.render.formats import Format
from broker.cli.context import busy, context, opened, print_json, progress
from broker.errors import UsageError

__all__ = ["packet", "query"]


def query(  # noqa: PLR0917  typer makes options of them
    ctx: typer.Context,
    where: Annotated[str, typer.Argument(help="Expression in the language of the filters.")],
    stream: Annotated[list[str] | None, typer.Option(help="Only this stream; may be given again.")] = None,
    columns: Annotated[str, typer.Option(help="Columns to write, with commas between [default: the common ones]")] = "",
    limit: Annotated[int, typer.Option(help="Rows at most, newest first; 0 for all.", min=0)] = 0,
    fmt: Annotated[Format, typer.Option("--format", help="How to write them.")] = Format.json,
) -> None:
    """Alerts for which an expression is true, any field of their packets among it, newest first.

    Example: `nuncius query "candidate.rb > 0.9 AND mag < 18" --stream ztf --columns alert_id,ra,dec,mag --format csv`
    """
    options = context(ctx)
    folder = options.kept()
    with busy("open"):
        from broker.api.render.table import jsonable, render
        from broker.decode.dispatch import NOTICE_STREAMS
        from broker.wiring import reading
    names = tuple(name.strip() for name in columns.split(",") if name.strip())
    with opened(options.settings(), folder) as parts, progress() as bar:
        task = bar.add_task("read", total=None)

        def advance(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        known = {*parts.declarations, *NOTICE_STREAMS}
        for name in stream or ():
            if name not in known:
                raise UsageError(f"--stream {name}: no such stream: there are {', '.join(sorted(known))}")
        frame = reading.query(parts, reading.Query(where, tuple(stream or ()), names, limit or None), on_packets=advance)
    if names:
        frame = frame.select(names)
    if fmt is Format.json:
        print_json(jsonable(frame))
        return
    written = render(frame, fmt, name="alerts", description=f"Alerts for which {where}")
    sys.stdout.buffer.write(written.body)
    sys.stdout.buffer.flush()


def packet(ctx: typer.Context, alert_id: Annotated[str, typer.Argument(help="Such as ztf:2752190655615010016.")]) -> None:
    """Write the bytes an alert came in, exactly as they were received, to standard output.

    Example: `nuncius packet ztf:2752190655615010016 > packet.avro`
    """
    options = context(ctx)
    folder = options.kept()
    with busy("open"):
        from broker.wiring import reading
    with opened(options.settings(), folder) as parts:
        sys.stdout.buffer.write(reading.packet(parts, alert_id))
        sys.stdout.buffer.flush()
