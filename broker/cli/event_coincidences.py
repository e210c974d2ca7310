"""``nuncius event coincidences``: events of other messengers that are near an event in time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from broker.cli.context import context, opened, out, print_json
from broker.cli.tables import show_table

if TYPE_CHECKING:
    from broker.api.coincidences import Coincidence

__all__ = ["coincidences"]


def coincidences(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Any name of the event, such as S240422ed.")],
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Events of other messengers near an event in time, and how often chance does that; the least likely by chance first.

    Example: `nuncius event coincidences S240422ed`
    """
    options = context(ctx)
    with opened(options.settings(), options.kept()) as parts:
        from broker.api.coincidences import shown
        from broker.store import coincidences as stored
        from broker.store.change_words import rate_words
        from broker.store.events import canonical_name

        found = [shown(row) for row in stored.of_event(parts.store, canonical_name(parts.store, name))]
    if as_json:
        print_json([each.model_dump(mode="json") for each in found])
        return
    columns = ("id", "state", "dt", "window", "by chance in time", "and on the sky", "overlap", "90% area", "publishable")
    lines = [
        (
            escape(each.id), _state(each), f"{each.dt:+.2f} s", each.window, rate_words(each.far_temporal) or "",
            rate_words(each.far_space_time) or "", "" if each.overlap is None else f"{each.overlap:.3g}",
            "" if each.area90 is None else f"{each.area90:,.3g} deg²", "yes" if each.publishable else "no",
        )
        for each in found
    ]  # fmt: skip
    show_table(out, columns, lines)


def _state(found: Coincidence) -> str:
    return found.state.value if found.real else f"{found.state.value} [yellow](test)[/]"
