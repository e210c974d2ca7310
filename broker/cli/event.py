"""``nuncius event``: what is known of gamma-ray bursts, gravitational waves, neutrinos, and how it came to be known."""

from __future__ import annotations

import typer

from broker.cli import event_alerts, event_galaxies

__all__ = ["app"]

app = typer.Typer(help="Events: bursts, gravitational waves, neutrinos, and what their notices say.", no_args_is_help=True)

app.command("alerts")(event_alerts.alerts)
app.command("galaxies")(event_galaxies.of_event)
