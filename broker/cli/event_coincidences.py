"""``nuncius event coincidences``."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from broker.cli.context import context, out, print_json
from broker.store import coincidences as stored
from broker.store.events import canonical_name
from broker.wiring.parts import open_parts

__all__ = ["coincidences"]


def coincidences(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Any name of the event.")],
    as_document: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Events of other messengers close to this one: how often chance alone does that, in time and on the sky.

    Example: `nuncius event coincidences S240422ed --json`
    """
    options = context(ctx)
    with open_parts(options.settings(), options.data) as parts:
        found = stored.of_event(parts.store, canonical_name(parts.store, name))
    if as_document:
        print_json([{key: value for key, value in pair.items() if key != "map_path"} for pair in found])
        return
    table = Table("with", "kind", "dt, s", "FAR in time, Hz", "FAR in time and space, Hz", "overlap", "90 %, deg²", "state")
    for pair in found:
        other = pair["second_event"] if pair["first_event"] == name else f"{pair['first_event']} / {pair['second_event']}"
        rates = (pair["far_temporal"], pair["far_space_time"], pair["overlap"], pair["area90"])
        numbers = ["" if value is None else f"{value:.3g}" for value in rates]
        table.add_row(other, pair["kind"], f"{pair['dt']:+.2f}", *numbers, f"{pair['state']} {pair['reason'] or ''}".strip())
    out.print(table)
