"""A match as people read it on a telephone at night: what, where, how bright, why they are told, and pictures."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from broker.deliver.card_words import (
    Row,
    brightness,
    is_test,
    link_rows,
    mjd,
    name_of,
    position,
    rows_of,
)

if TYPE_CHECKING:
    from broker.science.finding_chart import Source

__all__ = ["FINDING_CHART", "LIGHT_CURVE", "Card", "card", "digest_card", "test_card"]

LIGHT_CURVE: Final = "light_curve.png"
FINDING_CHART: Final = "finding_chart.png"
_LISTED: Final = 40  # matches of a digest that are told one by one


@dataclass(frozen=True, slots=True)
class Card:
    """What a message says.

    Parameters
    ----------
    title
        One line.
    text, html
        The same for those who show text only, and for those who show HTML.
    links
        Addresses by what is there.
    pictures
        PNG by file name.
    """

    title: str
    text: str
    html: str
    links: Mapping[str, str] = field(default_factory=dict)
    pictures: Mapping[str, bytes] = field(default_factory=dict)


def card(
    data: Mapping[str, Any],
    *,
    light_curve: pl.DataFrame | None = None,
    cutout: bytes | None = None,
    sources: Sequence[Source] = (),
) -> Card:
    """Card of a match, or of what has changed about one.

    Parameters
    ----------
    data
        As a webhook's body has it.
    light_curve
        Of the object, as the API has it.
    cutout
        Science image, FITS.
    sources
        Catalogues' sources round the place, for the finding chart.
    """
    alert = data["alert"]
    title = _title(data)
    rows = rows_of(data)
    links = dict(link_rows(data))
    return Card(title, _text(rows, links), _html(title, rows, links), links, _pictures(alert, light_curve, cutout, sources))


def digest_card(data: Mapping[str, Any], *, title: str | None = None) -> Card:
    """Card of several matches that go out together.

    Parameters
    ----------
    data
        ``count`` and ``matches``, each as of `card`.
    """
    matches = list(data["matches"])
    count = int(data.get("count", len(matches)))
    filters = sorted({str(each["filter"]) for each in matches})
    head = title or f"{count} {'match' if count == 1 else 'matches'} of {', '.join(filters) or 'your filters'}"
    shown = [(_title(each), dict(link_rows(each)).get("alert", "")) for each in matches[:_LISTED]]
    left = count - len(shown)
    text = "\n".join(f"{line}{chr(10) + '  ' + url if url else ''}" for line, url in shown)
    items = "".join(
        f'<li><a href="{html.escape(url, quote=True)}">{html.escape(line)}</a></li>' if url else f"<li>{html.escape(line)}</li>"
        for line, url in shown
    )
    more = f"and {left} more" if left > 0 else ""
    return Card(
        head,
        f"{text}\n{more}".rstrip(),
        f"<h3>{html.escape(head)}</h3><ul>{items}</ul>" + (f"<p>{more}</p>" if more else ""),
        {line: url for line, url in shown if url},
    )


def test_card(subscription: str) -> Card:
    """Card that shows a channel works."""
    text = f"This is a test of subscription {subscription}: matches will arrive here."
    return Card("Nuncius: a test", text, f"<p>{html.escape(text)}</p>")


def _title(data: Mapping[str, Any]) -> str:
    alert = data["alert"]
    parts = [name_of(alert)]
    if told := brightness(alert, brief=True):
        parts.append(told)
    elif what := " ".join(str(alert[key]) for key in ("mission", "instrument", "alert_type") if alert.get(key)):
        parts.append(what)
    place = position(alert)
    if place is not None:
        parts.append(f"in {place.constellation}")
    change = {"retracted": "Retracted: ", "rescored": "Re-scored: "}.get(str(data.get("update") or ""), "")
    test = "TEST " if is_test(alert) else ""
    return f"{test}{change}{', '.join(parts)} [{data['filter']}]"


def _text(rows: Sequence[Row], links: Mapping[str, str]) -> str:
    lines = [f"{row.label}: {row.value}" for row in rows]
    lines += [f"{name}: {url}" for name, url in links.items()]
    return "\n".join(lines)


def _html(title: str, rows: Sequence[Row], links: Mapping[str, str]) -> str:
    cells = "".join(
        f'<tr><th align="left" valign="top">{html.escape(row.label)}</th><td>{html.escape(row.value)}</td></tr>' for row in rows
    )
    listed = " · ".join(f'<a href="{html.escape(url, quote=True)}">{html.escape(name)}</a>' for name, url in links.items())
    return f"<h3>{html.escape(title)}</h3><table cellpadding='3'>{cells}</table>" + (f"<p>{listed}</p>" if listed else "")


def _pictures(
    alert: Mapping[str, Any], light_curve: pl.DataFrame | None, cutout: bytes | None, sources: Sequence[Source]
) -> dict[str, bytes]:
    """Light curve and finding chart, as far as there is something to draw."""
    # matplotlib takes a second to load, and only pictures need it
    from broker.science import finding_chart, lightcurve_plot  # noqa: PLC0415

    found: dict[str, bytes] = {}
    name = name_of(alert)
    if light_curve is not None and (drawn := lightcurve_plot.draw(light_curve, title=name, now=mjd(alert.get("time")))):
        found[LIGHT_CURVE] = drawn
    place = position(alert)
    if place is not None and (cutout or sources):
        stream = str(alert.get("stream") or "")
        found[FINDING_CHART] = finding_chart.draw(
            place.ra,
            place.dec,
            cutout,
            stream=stream,
            sources=sources,
            title=name,
            note=f"{place.sexagesimal}  (ICRS)  {stream}",
        )
    return found
