"""``nuncius dead-letter``: what was rejected, why, and another try."""

from __future__ import annotations

import sys
from collections import deque
from typing import Annotated

import typer
from rich.markup import escape
from rich.padding import Padding

from broker.cli.context import context, err, opened, out, print_json
from broker.errors import UsageError

__all__ = ["app"]

app = typer.Typer(help="What was rejected, why, and another try.", no_args_is_help=True)

Place = Annotated[str, typer.Argument(help="Its place, PARTITION:OFFSET, as `list` shows it.")]


@app.command("list")
def listing(
    ctx: typer.Context,
    stream: Annotated[str | None, typer.Option(help="Only this stream.")] = None,
    limit: Annotated[int, typer.Option(help="Newest so many; 0 for all.", min=0)] = 0,
    as_document: Annotated[bool, typer.Option("--json", help="As a JSON list.")] = False,
) -> None:
    """What was rejected, oldest first, with stage and reason.

    Example: `nuncius dead-letter list --stream ztf`
    """
    from broker.wiring import dead_letters

    options = context(ctx)
    with opened(options.settings(), options.kept()) as parts:
        every = (letter.as_dict() for letter in dead_letters.letters(parts) if stream in (None, letter.stream))
        found = deque(every, limit or None)
    if as_document:
        print_json(list(found))
        return
    for letter in found:
        out.print(
            f"[bold]{letter['place']}[/]  {letter['stream']}  {letter['stage']}  {letter['bytes']:,} bytes", highlight=False
        )
        for name in ("origin", "reason"):  # lines, which no width cuts
            out.print(Padding(escape(str(letter[name] or "")), (0, 0, 0, 4)), highlight=False, overflow="fold")


@app.command()
def show(
    ctx: typer.Context,
    place: Place,
    raw: Annotated[bool, typer.Option("--raw", help="Write the bytes, and only them, to standard output.")] = False,
) -> None:
    """One dead letter: its headers, or with --raw its bytes.

    Example: `nuncius dead-letter show 0:17 --raw > packet.avro`
    """
    from broker.wiring import dead_letters

    options = context(ctx)
    with opened(options.settings(), options.kept()) as parts:
        letter = dead_letters.letter(parts, place)
    if raw:
        sys.stdout.buffer.write(letter.value)
        sys.stdout.buffer.flush()
    else:
        print_json(letter.as_dict())


@app.command()
def replay(
    ctx: typer.Context,
    places: Annotated[list[str] | None, typer.Argument(help="Places, PARTITION:OFFSET.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every dead letter there is.")] = False,
    stream: Annotated[str | None, typer.Option(help="With --all: only this stream.")] = None,
) -> None:
    """Put dead letters back where they came from, to be processed again; after a mended declaration or a schema found.

    Example: `nuncius dead-letter replay --all --stream lsst`
    """
    if bool(places) == everything:
        raise UsageError("name places, or give --all")
    from broker.wiring import dead_letters

    options = context(ctx)
    with opened(options.settings(), options.kept()) as parts:
        chosen = (
            [dead_letters.letter(parts, place) for place in places]
            if places
            else (letter for letter in dead_letters.letters(parts) if stream in (None, letter.stream))
        )
        count = dead_letters.replay(parts, chosen)
    err.print(f"{count} put back; `nuncius process` works them off")
