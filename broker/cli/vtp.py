"""``nuncius vtp`` and ``nuncius voevent send``: VOEvents over TCP."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from broker.cli.context import context, err, opened, out
from broker.errors import DecodeError, NunciusError, UsageError

__all__ = ["app", "vtp"]

app = typer.Typer(no_args_is_help=True, help="VOEvents by hand.")


def vtp(ctx: typer.Context) -> None:
    """Take VOEvents from authors and send events and matches to subscribers, over TCP, on the ports of the settings.

    Example: `NUNCIUS_VTP__AUTHOR_PORT=8098 NUNCIUS_VTP__SUBSCRIBER_PORT=8099 nuncius vtp`
    """
    from broker.wiring import running

    options = context(ctx)

    def ready(ports: Mapping[str, int]) -> None:
        err.print("VOEvents: " + ", ".join(f"{kind}s on port {port}" for kind, port in ports.items()))

    with opened(options.settings(), options.data) as parts, running.stop_on_signals() as stop:
        running.serve_vtp(parts, stop, ready)


@app.command()
def send(
    file: Annotated[Path, typer.Argument(help="A VOEvent.", exists=True, dir_okay=False)],
    host: Annotated[str, typer.Option(help="Of the broker.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="It takes authors on.", min=1, max=65535)] = 8098,
) -> None:
    """Send a VOEvent to a broker as its author, and tell the answer.

    Example: `nuncius voevent send event.xml --host 127.0.0.1 --port 8098`
    """
    from broker.ingest.vtp_client import send as send_event
    from broker.vtp import ivorn_of

    data = file.read_bytes()
    try:
        ivorn_of(data)
    except DecodeError as error:
        raise UsageError(f"{file}: {error}") from error
    try:
        answer = asyncio.run(send_event(host, port, data))
    except (OSError, TimeoutError) as error:
        raise NunciusError(f"no VOEvent broker answers at {host}:{port} ({error or 'time is up'})") from error
    if answer.role == "nak":
        raise NunciusError(f"{host}:{port} refused the event: {answer.result or 'no reason given'}")
    out.print(f"{answer.origin} acknowledged by {answer.response or host}")
