"""``nuncius filter check`` and ``nuncius filter columns``: whether a filter is right, and what it can name."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from broker.cli.context import busy, context, err, out, print_json
from broker.cli.tables import LEAST_PROSE, show_table

if TYPE_CHECKING:
    from broker.filtering.check import Fault

__all__ = ["check", "columns"]


def check(
    ctx: typer.Context,
    files: Annotated[list[Path], typer.Argument(help="Filter files.", exists=False)],
    stream: Annotated[
        str | None, typer.Option(help="Stream that must have the columns [default: those the filter sees]")
    ] = None,
    as_document: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> None:
    """Check filters: grammar, names, columns, kinds, worked examples. Exit status 1 where one is wrong, 2 where there is none.

    Example: `nuncius filter check filters/ztf_bright_transients.toml --stream ztf`
    """
    options = context(ctx)
    with busy("open"):
        from broker.filtering.definition import read_filter
        from broker.wiring.column_list import at_hand
        from broker.wiring.filter_check import check as checked
        from broker.wiring.parts import use_sites

        settings = options.settings()
        use_sites(settings)
        found = at_hand(settings, options.data)
        texts = [(file, read_filter(file)) for file in files]
        results = [(file, text, checked(text, str(file), found, stream)) for file, text in texts]
    if as_document:
        print_json(
            {
                "ok": all(one.ok for _, _, one in results),
                "files": [str(file) for file, _, _ in results],
                "faults": [{"file": str(file), **_document(fault)} for file, _, one in results for fault in one.faults],
                "warnings": [{"file": str(file), "message": text} for file, _, one in results for text in one.warnings],
            }
        )
    else:
        for file, text, one in results:
            for fault in one.faults:
                _show(file, text, fault)
            for warning in one.warnings:
                err.print(f"[yellow]{escape(str(file))}:[/] {escape(warning)}", highlight=False, soft_wrap=True)
            if one.ok and one.spec is not None:
                out.print(f"{file}: right; {len(one.spec.examples)} worked examples hold", soft_wrap=True)
    if not all(one.ok for _, _, one in results):
        raise typer.Exit(1)


def _document(fault: Fault) -> dict[str, Any]:
    """A fault as JSON: null for what it does not have."""
    return {name: value or None for name, value in asdict(fault).items()}


def _show(file: Path, text: str, fault: Fault) -> None:
    """A fault with its place, and the line it is in with a mark under the word."""
    place = (f", line {fault.line}" if fault.line else "") + (f", column {fault.column}" if fault.column else "")
    key = f", {fault.key}" if fault.key else ""
    err.print(f"[bold red]{escape(str(file) + place + key)}:[/] {escape(fault.message)}", highlight=False, soft_wrap=True)
    lines = text.replace("\r\n", "\n").split("\n")
    if fault.column and fault.line <= len(lines):
        line = lines[fault.line - 1].replace("\t", " ")
        mark = " " * (fault.column - 1) + "^" * max(len(fault.word), 1)
        err.print(f"    {escape(line)}\n    [bold red]{mark}[/]", highlight=False, soft_wrap=True)


def columns(
    ctx: typer.Context,
    stream: Annotated[str, typer.Argument(help="A stream, such as ztf or gcn.")],
    as_document: Annotated[bool, typer.Option("--json", help="As one JSON list.")] = False,
) -> None:
    """Every column that filters of a stream can name, with type, unit and meaning.

    Example: `nuncius filter columns ztf --json`
    """
    options = context(ctx)
    with busy("open"):
        from broker.wiring.column_list import at_hand, known_of

        known = known_of(stream, at_hand(options.settings(), options.data))
    if as_document:
        print_json([asdict(each) for each in known.columns])
    else:
        rows = [tuple(escape(each) for each in asdict(one).values()) for one in known.columns]
        show_table(out, ("name", "type", "unit", "meaning", "source"), rows, prose={"meaning": LEAST_PROSE})
    if known.note:
        err.print(f"[yellow]there can be others:[/] {escape(known.note)}", highlight=False, soft_wrap=True)
