"""Tables on the terminal whose names and ids are never cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

__all__ = ["LEAST_PROSE", "said", "show_table"]

GAP = 2  # columns of a terminal that each column of a table takes beside its cells; its edges take as many
LEAST_PROSE = 30  # columns of a terminal that sentences can be read in


def said(value: object) -> str:
    """A value as people read it: ``null``, ``true``, numbers to seven digits, and in lists and mappings likewise."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {said(one)}" for name, one in value.items())
    if isinstance(value, list | tuple):
        return "; ".join(map(said, value))
    if isinstance(value, float):
        return f"{value:.7g}"
    return {"None": "null", "True": "true", "False": "false"}.get(str(value), str(value))


def show_table(
    console: Console,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    prose: Mapping[str, int] | None = None,
    title: str = "",
) -> None:
    """Print rows as a table where every cell fits the terminal, else as a paragraph each.

    Parameters
    ----------
    rows
        Cells with markup, as many as there are columns; the first names the row.
    prose
        Columns that may go over several lines of a table, each with the width it can still be read in; no other is ever broken.
    """
    prose = prose or {}
    widths = [max(Text.from_markup(row[at]).cell_len for row in (columns, *rows)) for at in range(len(columns))]
    least = sum(min(width, prose.get(name, width)) for name, width in zip(columns, widths, strict=True))
    if title:
        console.print(f"[italic]{title}[/]")
    if least + GAP * (len(columns) + 1) <= console.width:
        table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, GAP - 1, 0, 0))
        for name in columns:
            table.add_column(name, no_wrap=name not in prose)
        for row in rows:
            table.add_row(*row)
        console.print(table, highlight=False)
        return
    for row in rows:
        console.print(f"[bold]{row[0]}[/]", highlight=False, overflow="fold")
        said = " · ".join(f"[dim]{name}[/] {cell}" for name, cell in zip(columns[1:], row[1:], strict=True) if cell)
        console.print(Padding(Text.from_markup(said, overflow="fold"), (0, 0, 0, 4)), highlight=False)
