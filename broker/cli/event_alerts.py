"""``nuncius event alerts``: the alerts that lie in an event's sky map."""

from __future__ import annotations

import csv
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from broker.cli.context import context, opened, out, print_json
from broker.cli.tables import show_table

if TYPE_CHECKING:
    from broker.api.associations import AssociatedAlert

__all__ = ["alerts"]

_PAGE = 10_000


class Format(StrEnum):
    """How to write them."""

    table = "table"
    json = "json"
    csv = "csv"


def alerts(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Any name of the event, such as S240422ed.")],
    level: Annotated[float, typer.Option(help="Only alerts up to this credible level.", min=0.0, max=1.0)] = 0.9,
    limit: Annotated[int, typer.Option(help="Alerts at most; 0 for all.", min=0)] = 0,
    fmt: Annotated[Format, typer.Option("--format", help="How to write them.")] = Format.table,
) -> None:
    """Alerts that lie in an event's sky map or did, those deepest in it first, each with the revision it was held against.

    Example: `nuncius event alerts S240422ed --level 0.9 --format csv`
    """
    options = context(ctx)
    found: list[AssociatedAlert] = []
    with opened(options.settings(), options.kept()) as parts:
        from broker.api.associations import shown
        from broker.store import association_pages
        from broker.store.events import canonical_name

        event = canonical_name(parts.store, name)
        cursor: str | None = None
        while True:
            most = min(limit - len(found), _PAGE) if limit else _PAGE
            page = association_pages.page(parts.store, event, level=level, limit=most, cursor=cursor)
            found += [shown(row) for row in page.alerts]
            cursor = page.cursor
            if cursor is None or (limit and len(found) >= limit):
                break
    _write(found, fmt)


def _write(found: list[AssociatedAlert], fmt: Format) -> None:
    rows = [alert.model_dump(mode="json") for alert in found]
    if fmt is Format.json:
        print_json(rows)
    elif fmt is Format.csv:
        from broker.api.associations import AssociatedAlert

        writer = csv.DictWriter(sys.stdout, list(AssociatedAlert.model_fields), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    else:
        lines = []
        for alert in found:
            volume = "" if alert.volume_level is None else f"{alert.volume_level:.3f}"
            mag = "" if alert.mag is None else f"{alert.mag:.2f} {alert.band or ''}"
            cells = (f"{alert.credible_level:.3f}", volume, f"{alert.dt / 3600:+.2f}", mag, str(alert.revision), alert.state)
            lines.append((escape(alert.alert_id), escape(alert.object_id or ""), *cells))
        show_table(out, ("alert", "object", "level", "in volume", "hours after", "mag", "revision", "state"), lines)
