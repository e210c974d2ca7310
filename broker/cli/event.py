"""``nuncius event``: what is known of gamma-ray bursts, gravitational waves, neutrinos, and how it came to be known."""

from __future__ import annotations

import typer

from broker.cli import event_alerts

__all__ = ["app"]

app = typer.Typer(help="Events: bursts, gravitational waves, neutrinos, and what their notices say.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep the verbs below the group though there be but one."""


app.command("alerts")(event_alerts.alerts)
