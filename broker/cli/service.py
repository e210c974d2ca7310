"""``nuncius process``, ``serve``, ``up``, ``status``: the parts that run for good, and how they are."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from broker.cli.context import busy, context, err, opened, out, print_json
from broker.cli.ingest import show_totals

__all__ = ["deliver", "process", "relay", "serve", "status", "up"]

Host = Annotated[str | None, typer.Option(help="Address to listen on [default: from the settings]")]
Port = Annotated[
    int | None, typer.Option(help="Port to listen on; 0 takes a free one [default: from the settings]", min=0, max=65535)
]


def process(ctx: typer.Context) -> None:
    """Work raw alerts off into alerts.* and matched.*, until Ctrl-C. As many of these as there are partitions share the work.

    Example: `nuncius --data /var/lib/nuncius process`
    """
    with busy("open"):
        from broker.wiring import running

    options = context(ctx)
    with opened(options.settings_of_service(), options.data) as parts, running.stop_on_signals() as stop:
        running.process(parts, stop)


def serve(ctx: typer.Context, host: Host = None, port: Port = None) -> None:
    """Serve the REST API, live matches, schemas and the pages, until Ctrl-C.

    Example: `nuncius serve --port 8000`
    """
    with busy("open"):
        from broker.wiring import serving

    options = context(ctx)
    with opened(options.settings(), options.data) as parts:
        serving.serve(parts, host, port, lambda address: err.print(f"Nuncius serves at [link]{address}[/link]"))


def relay(ctx: typer.Context) -> None:
    """Tell other networks, GCN or SCiMMA, of alerts that lie in events' maps, as the settings say, until Ctrl-C.

    Example: `nuncius --config nuncius.toml relay`
    """
    with busy("open"):
        from broker.wiring import relay as relaying
        from broker.wiring import running

    options = context(ctx)
    with opened(options.settings_of_service(), options.data) as parts, running.stop_on_signals() as stop:
        relaying.relay(parts, stop)


def deliver(ctx: typer.Context) -> None:
    """Send subscribers what they subscribed to, until Ctrl-C. Several of these share the work.

    Example: `nuncius --data /var/lib/nuncius deliver`
    """
    with busy("open"):
        from broker.wiring import deliver as delivering
        from broker.wiring import running

    options = context(ctx)
    with opened(options.settings_of_service(), options.data) as parts, running.stop_on_signals() as stop:
        delivering.deliver(parts, stop, lambda: err.print("Nuncius delivers"))


def up(ctx: typer.Context, host: Host = None, port: Port = None) -> None:
    """Run every part in one process: upstreams of the settings, process, deliver, relays and VOEvents where set, and the API.

    Example: `nuncius up --port 8000`
    """
    with busy("open"):
        from broker.wiring import serving

    options = context(ctx)
    with opened(options.settings_of_service(), options.data) as parts:
        serving.up(parts, host, port, lambda address: err.print(f"Nuncius serves at [link]{address}[/link]"))


def status(
    ctx: typer.Context,
    as_document: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
    accept_expired: Annotated[
        bool, typer.Option("--accept-expired", help="Take note of records that expired unread: they are no fault any more.")
    ] = False,
) -> None:
    """What came in, what became of it, what still waits; exit status 1 where the ledger does not add up.

    Example: `nuncius status --json`
    """
    options = context(ctx)
    folder = options.kept()
    with busy("open"):
        from broker.store import ledger
        from broker.wiring import standing
    with opened(options.settings(), folder) as parts:
        if accept_expired:
            err.print(f"{standing.accept_expired(parts):,} records expired before they were read")
        found = standing.status(parts)
        totals = ledger.totals(parts.store)
    if as_document:
        print_json(found)
    else:
        show_totals(totals)
        lag = Table("topic", "partition", "waiting", title="Lag of process")
        for row in found["lag"]:
            lag.add_row(row["topic"], str(row["partition"]), f"{row['records']:,}")
        out.print(lag)
        for fault in found["faults"]:
            out.print(f"[bold red]the ledger does not add up:[/] {fault}")
        for one in found["heartbeats"]:
            seen = f"{one['age_seconds']:,.0f} s ago" if one["seen"] else "never"
            mark = "[bold red]alarm: silent,[/] " if one["silent"] else ""
            out.print(f"{mark}last heartbeat of {one['upstream']}: {seen}")
        for stream in found["halted"]:
            out.print(f"[bold red]halted:[/] {stream}")
    if found["faults"]:
        raise typer.Exit(1)
