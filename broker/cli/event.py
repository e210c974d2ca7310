"""``nuncius event``: what is known of gamma-ray bursts, gravitational waves, neutrinos, and how it came to be known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from broker.cli import event_alerts, event_coincidences, event_galaxies
from broker.cli.context import context, opened, out, print_json
from broker.cli.tables import show_table

if TYPE_CHECKING:
    from broker.api.events import Event, EventDetail, Revision

__all__ = ["app"]

app = typer.Typer(help="Events: bursts, gravitational waves, neutrinos, and what their notices say.", no_args_is_help=True)

app.command("alerts")(event_alerts.alerts)
app.command("galaxies")(event_galaxies.of_event)
app.command("coincidences")(event_coincidences.coincidences)

WIDE = 120  # columns of a terminal
AsDocument = Annotated[bool, typer.Option("--json", help="As JSON.")]


@app.command("list")
def listing(
    ctx: typer.Context,
    tests: Annotated[bool, typer.Option("--tests/--no-tests", help="Tests and mock events too.")] = True,
    state: Annotated[
        str | None, typer.Option(help="Only early_warning, preliminary, initial, update or retracted ones.")
    ] = None,
    limit: Annotated[int, typer.Option(help="At most so many.", min=1, max=10_000)] = 100,
    as_document: AsDocument = False,
) -> None:
    """Events, the last to change first.

    Example: `nuncius event list --no-tests`
    """
    options = context(ctx)
    with opened(options.settings(), options.kept()) as parts:
        from broker.api.events import summary
        from broker.store import events

        found = [summary(row) for row in events.list_events(parts.store, limit=limit, real_only=not tests, state=state).events]
    if as_document:
        print_json([each.model_dump(mode="json") for each in found])
        return
    wide = out.width >= WIDE
    columns = ("event", "state", "time (UTC)", "class", "90% area", "rev.", *(("position", "also known as") if wide else ()))
    rows = []
    for each in found:
        more = (_position(each), escape(", ".join(each.aliases))) if wide else ()
        words = (_state(each), _time(each)[:19], escape(each.classification or ""), _area(each.area90), str(each.revision))
        rows.append((escape(each.name), *words, *more))
    show_table(out, columns, rows, prose={"state": 11, "class": 10, "also known as": 20})


@app.command()
def show(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Any of its names, such as S240422ed or 'Fermi 745121685'.")],
    as_document: AsDocument = False,
) -> None:
    """An event with all its revisions and what each of them changed.

    Example: `nuncius event show MS181101ab`
    """
    options = context(ctx)
    with opened(options.settings(), options.kept()) as parts:
        from broker.api.events import detail
        from broker.store import events

        found = detail(events.get_event(parts.store, name))
    if as_document:
        print_json(found.model_dump(mode="json"))
        return
    _show(found)


def _show(found: EventDetail) -> None:
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim")
    lines: dict[str, Any] = {
        "also known as": ", ".join(found.aliases),
        "state": None,
        "mission": " ".join(filter(None, (found.mission, found.instrument))),
        "time": _time(found),
        "position": _position(found),
        "significance": _significance(found),
        "class": found.classification,
        "area": None if found.area90 is None else f"{_area(found.area50)} (50%), {_area(found.area90)} (90%)",
        "distance": None if found.distmean is None else f"{found.distmean:,.0f} ± {found.diststd or 0.0:,.0f} Mpc",
    }
    for label, text in lines.items():
        if label == "state":
            facts.add_row("state", _state(found))
        elif text:
            facts.add_row(label, escape(str(text)))
    out.print(f"[bold]{escape(found.name)}[/]")
    out.print(facts)
    for each in found.revisions:
        out.print(_revision(each))
    if found.circulars:
        written = Table.grid(padding=(0, 2))
        for one in found.circulars:
            posted = one.posted.strftime("%Y-%m-%d %H:%M") if one.posted else ""
            edition = f" version {one.version}" if one.version > 1 else ""
            written.add_row(f"[bold]circular {one.circular}[/]{edition}", posted, escape(one.subject or ""))
        out.print(written)


def _revision(each: Revision) -> Table:
    """What came and what it changed, in lines that no width cuts."""
    received = each.received.strftime("%Y-%m-%d %H:%M:%S") if each.received else ""
    areas = "" if each.area90 is None else f"{_area(each.area50)} (50%), {_area(each.area90)} (90%)"
    kind, state = escape(each.type or each.alert_type or ""), (each.state or "").replace("_", " ")
    lines = [f"{received}  [bold]{kind}[/]  {state}", escape(each.change)]
    lines.append(f"[dim]{'; '.join(filter(None, (_significance(each), escape(each.classification or ''), areas)))}[/]")
    shown = Table.grid(padding=(0, 1))
    shown.add_column(justify="right", style="bold", min_width=3)
    shown.add_row(str(each.revision), "\n".join(line for line in lines if line not in {"", "[dim][/]"}))
    return shown


def _state(event: Event) -> str:
    words = event.state.replace("_", " ")
    return f"{words} [yellow](test)[/]" if event.test else words


def _time(event: Event) -> str:
    return "" if event.time is None else event.time.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def _position(event: Event) -> str:
    if event.position is None:
        return ""
    error = "" if event.position.error is None else f" ± {event.position.error:.3g}°"
    return f"{event.position.ra:.4f} {event.position.dec:+.4f}{error}"


def _area(area: float | None) -> str:
    return "" if area is None else f"{area:,.0f} deg²" if area >= 10.0 else f"{area:.3g} deg²"


def _significance(said: Event | Revision) -> str:
    from broker.store.change_words import rate_words

    words = [] if said.significant is None else ["significant" if said.significant else "not significant"]
    rate = rate_words(said.far)
    return ", ".join([*words, *([f"FAR {rate}"] if rate else [])])
