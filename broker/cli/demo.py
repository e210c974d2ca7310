"""``nuncius demo``: everything at work on a simulated night."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from broker.cli.context import busy, context, err, opened, out, progress
from broker.cli.ingest import show_totals
from broker.cli.tables import show_table
from broker.errors import UsageError
from broker.topics import COINCIDENCE_STREAM

if TYPE_CHECKING:
    from rich.progress import Progress

    from broker.simulate.night import Night, Truth
    from broker.wiring.demo import Match, Playing
    from broker.wiring.parts import Parts

__all__ = ["demo"]

DURATION = 1800.0  # seconds of night
RATES = {"ztf": 0.6, "lsst": 0.6, "gcn": 0.005}
PATIENCE = 300.0  # seconds to wait for the last of it


def demo(
    ctx: typer.Context,
    leave: Annotated[
        bool, typer.Option("--exit", help="End when the night is over; status 0 if all is accounted for.")
    ] = False,
    seconds: Annotated[float, typer.Option(help="How long to play the night.", min=1)] = 40.0,
    seed: Annotated[int, typer.Option(help="The same seed makes the same night.")] = 7,
    port: Annotated[int, typer.Option(help="Port of the API; 0 takes a free one.", min=0, max=65535)] = 8000,
) -> None:
    """Play a simulated night through all of Nuncius on this machine, show what matched which filter and why, keep serving.

    The night has two surveys, a gamma-ray burst, a neutrino, and a gravitational-wave event with counterparts among the alerts.

    Example: `nuncius demo --exit`
    """
    options = context(ctx)
    options.data.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="demo-", dir=options.data))
    settings = options.settings()
    if settings.log.engine != "embedded":
        raise UsageError("the demo runs on the embedded log: leave log.engine as it is")
    quiet = settings.model_copy(update={"output": settings.output.model_copy(update={"level": "warning"})})
    try:
        with opened(quiet, folder) as parts:
            accounted = _show(parts, seed, seconds, port, leave=leave)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if not accounted:
        raise typer.Exit(1)


def _show(parts: Parts, seed: int, seconds: float, port: int, *, leave: bool) -> bool:
    with busy("plan a night"):
        from broker.wiring import demo as wiring
        from broker.wiring import running, simulating

        state, stop, found = wiring.Playing(), threading.Event(), list[wiring.Match]()
        start = datetime.now(UTC) - timedelta(seconds=DURATION)
        night = simulating.night(seed, start, DURATION, RATES, simulating.nearby_galaxies(parts.data / "catalogs"))
    total = sum(night.counts.values())
    names = [spec.name for spec in parts.filters]
    with wiring.whole_service(parts, parts.settings.serve.host, port, state) as address:
        err.print(f"[bold]Nuncius serves at {address}[/]: the sky, live matches, lag and ledger")
        threads = [
            threading.Thread(target=wiring.play, args=(parts, night, seconds, state, stop)),
            threading.Thread(target=wiring.read_matches, args=(parts, names, found.append, stop)),
        ]
        for thread in threads:
            thread.start()
        try:
            with progress() as bar:
                _follow(bar, state, total, found)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        accounted = _report(parts, night, total, found)
        out.print(f"The API: [bold]{address}[/] · its documentation: {address}/api · alerts: {address}/api/v1/alerts")
        if not leave:
            out.print("Ctrl-C ends it.")
            with running.stop_on_signals() as enough:
                enough.wait()
    return accounted


def _follow(bar: Progress, state: Playing, total: int, found: list[Match]) -> None:
    """Show how far sending and processing are, and each filter's first match, until all is done."""
    sent, done = bar.add_task("sent", total=total), bar.add_task("processed", total=total)
    told: set[str] = set()
    seen, quiet_since = 0, time.monotonic()
    while state.fault is None:
        bar.update(sent, completed=state.sent)
        bar.update(done, completed=state.done)
        for match in found[seen:]:
            seen += 1
            if match.filter not in told:
                told.add(match.filter)
                bar.console.print(f"first match of [bold]{match.filter}[/]: {match.alert['alert_id']}  {_why(match.alert)}")
        if state.done >= total:
            time.sleep(1.0)  # for the reader of matches to have the last of them
            return
        if state.sent < total:
            quiet_since = time.monotonic()
        if time.monotonic() - quiet_since > PATIENCE:
            return
        time.sleep(0.1)
    raise state.fault


def _report(parts: Parts, night: Night, total: int, found: list[Match]) -> bool:
    from broker.wiring import running

    # As told last: an alert is told again when the map it lies in changes.
    found = list({(match.filter, match.alert["alert_id"]): match for match in found}.values())
    _show_matches(found)
    for truth in night.truth:
        if truth.kind not in {"gw", "grb", "neutrino"}:
            ids = {f"{truth.stream}:{name}" for name in truth.packets}
            picked = sorted({match.filter for match in found if match.alert["alert_id"] in ids})
            verdict = f"picked by {', '.join(picked)}"
            if not picked:
                verdict = f"[yellow]picked by no filter[/]: {_why_not(parts, truth, ids)}"
            out.print(f"the {truth.kind} of {truth.event} in {truth.stream}, {len(ids)} alerts: {verdict}", highlight=False)
    totals = running.totals(parts)
    show_totals(totals)
    # Coincidences are alerts of our own making, which nobody sent.
    made = totals.by_stream[COINCIDENCE_STREAM].received if COINCIDENCE_STREAM in totals.by_stream else 0
    accounted = totals.overall.received - made == total and totals.overall.balanced and totals.overall.rejected == 0
    ours = f"; {made:,} more of our own making ({COINCIDENCE_STREAM})" if made else ""
    out.print(
        f"[bold green]sent {total:,}, all accounted for[/]{ours}"
        if accounted
        else f"[bold red]sent {total:,}, but the ledger has {totals.overall}[/]"
    )
    return accounted


def _why_not(parts: Parts, truth: Truth, ids: set[str]) -> str:
    """Why filters passed over a counterpart, as far as its place tells."""
    from broker.store import association_pages
    from broker.store.events import canonical_name

    page = association_pages.page(parts.store, canonical_name(parts.store, truth.event), level=1.0, limit=10_000)
    levels = [row["credible_level"] for row in page.alerts if row["alert_id"] in ids]
    if not levels:
        return f"none lies in a map of {truth.event}, or within its hours; alone it is not what any of them looks for"
    return f"in the {100 * min(levels):.0f} % region of {truth.event} at best, which is not all that a filter asks for"


def _show_matches(found: list[Match]) -> None:
    """How many each filter picked, and the one deepest in a sky map, if any is."""
    rows = []
    for name, count in Counter(match.filter for match in found).most_common():
        best = min(
            (match.alert for match in found if match.filter == name),
            key=lambda alert: min((level["credible_level"] for level in alert["skymaps"] or ()), default=2.0),
        )
        rows.append((name, str(count), escape(best["alert_id"]), escape(_why(best))))
    show_table(out, ("filter", "matches", "best example", "why"), rows, prose={"why": 20}, title="What matched")


def _why(alert: dict[str, Any]) -> str:
    """What the filter showed of it, and the sky maps it lies in."""
    told = [] if alert["mag"] is None else [f"mag {alert['mag']:.2f} {alert['band'] or ''}".strip()]
    told += [f"{name} {_short(value)}" for name, value in alert["annotations"].items() if value is not None][:3]
    told += [f"{100 * level['credible_level']:.0f} % region of {level['event']}" for level in (alert["skymaps"] or ())[:2]]
    return " · ".join(told)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
