"""``listen``: alerts on the terminal, or as JSON lines for the next program."""

from __future__ import annotations

import base64
import json
import sys
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Console

from consumers.alert import Alert
from consumers.api import api_url
from consumers.errors import BadRecordError, ClientError, RequestError
from consumers.options import Home, Stream
from consumers.subscription import subscribe
from consumers.times import beginning, moment

__all__ = ["app", "listen"]

KAFKA = "localhost:9092"

app = typer.Typer(no_args_is_help=True, help="Read alerts of a Nuncius broker.")


@app.callback()
def options() -> None:
    """Read alerts of a Nuncius broker."""
    # Without this, typer would take the only verb for the program itself, and "listen" for a filter.


@app.command()
def listen(  # noqa: PLR0917 - typer makes options of them
    ctx: typer.Context,
    topics: Annotated[list[str], typer.Argument(help="Filters, topics, or regular expressions of topics that begin with ^.")],
    bootstrap_servers: Annotated[
        str | None,
        typer.Option(
            "--bootstrap-servers",
            "-b",
            envvar="KAFKA_BOOTSTRAP_SERVERS",
            help="Kafka's. [default: the log of the data folder, where there is one, else localhost:9092]",
        ),
    ] = None,
    api: Annotated[
        str | None, typer.Option(help="Read a Nuncius API such as http://localhost:8000 instead of Kafka.", metavar="URL")
    ] = None,
    group: Annotated[
        str | None, typer.Option(help="Go on where this group stopped; each alert is committed once shown.")
    ] = None,
    start_at: Annotated[
        str, typer.Option("--start-at", "--since", help="earliest, latest, or a time such as 2026-11-21T04:00 (UTC).")
    ] = "latest",
    until: Annotated[str | None, typer.Option(help="Stop there: now, or a time.")] = None,
    registry: Annotated[
        str | None, typer.Option(help="Schema registry, such as http://localhost:8000/registry.", metavar="URL")
    ] = None,
    properties: Annotated[
        list[str] | None, typer.Option("--property", "-X", help="librdkafka property, such as sasl.username=me; repeatable.")
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(help="Seconds to wait for a broker that is away. [default: for ever]")
    ] = None,
    count: Annotated[int | None, typer.Option("--count", "-n", min=1, help="Stop after so many alerts.")] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Go on after a record that cannot be read.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line on standard output.")] = False,
) -> None:
    """Show alerts as they come, or replay those that came.

    Example: `nuncius listen ztf_bright_transients --api http://localhost:8000 --start-at earliest`
    """
    messages = Console(stderr=True)
    said: list[str] = []

    def wait(text: str) -> None:
        if said != [text]:
            said[:] = [text]
            messages.print(text, style="yellow", markup=False, highlight=False)

    try:
        where = bootstrap_servers if api is None else api_url("--api", api)
        home = ctx.obj if isinstance(ctx.obj, Home) else None
        stream = (subscribe if where or home is None else home.subscribe)(
            topics,
            where or KAFKA,
            group=group,
            start_at=beginning("--start-at", start_at),
            until=moment("--until", until) if until else None,
            config=dict(_property(pair) for pair in properties or []),
            registry=registry,
            timeout=timeout,
            on_error="skip" if skip_bad else "raise",
            on_wait=wait,
        )
        with stream:
            _show(stream, count, commit=group is not None, as_json=as_json)
    except RequestError as error:
        messages.print(f"error: {error}", style="red", markup=False, highlight=False)
        raise typer.Exit(2) from error
    except ClientError as error:
        messages.print(f"error: {error}", style="red", markup=False, highlight=False)
        if isinstance(error, BadRecordError):
            messages.print("give --skip-bad to go on after such a record", markup=False, highlight=False)
        raise typer.Exit(1) from error
    except KeyboardInterrupt:  # the usual way to end it
        raise typer.Exit(0) from None
    except BrokenPipeError:  # the next program has had enough
        sys.stderr.close()
        raise typer.Exit(0) from None


def _show(stream: Stream, count: int | None, *, commit: bool, as_json: bool) -> None:
    out = Console()
    if not as_json:
        out.print(_row("time", "object", "ra", "dec", "mag", "from"), style="bold", highlight=False, soft_wrap=True)
    for number, alert in enumerate(stream, 1):
        if as_json:
            sys.stdout.write(json.dumps(_plain(alert)) + "\n")
            sys.stdout.flush()
        else:
            out.print(_line(alert), markup=False, highlight=False, soft_wrap=True)
        if commit:
            alert.commit()
        if number == count:
            return


def _row(*cells: str) -> str:
    time, name, ra, dec, size, origin = cells
    return f"{time:<19}  {name:<22}  {ra:>9}  {dec:>9}  {size:>8}  {origin}"


def _line(alert: Alert) -> str:
    place = (f"{alert.ra:.5f}" if alert.ra is not None else "", f"{alert.dec:+.5f}" if alert.dec is not None else "")
    size = f"{alert.mag:.2f} {alert.band or ''}" if alert.mag is not None else ""
    time = f"{alert.time:%Y-%m-%dT%H:%M:%S}" if alert.time else ""
    levels = "".join(f"  {m.event} {m.credible_level:.0%}" for m in alert.skymaps if m.credible_level is not None)
    told = f"  {alert.update}: {alert.update_event}" if alert.update else ""
    return _row(time, alert.object_id or alert.event_name or alert.alert_id, *place, size, alert.topic + told + levels)


def _plain(alert: Alert) -> dict[str, Any]:
    """Alert as JSON has it: what it does not have is left out, 64-bit ids are text."""
    found: dict[str, Any] = {}
    for name in alert.__dataclass_fields__:
        value = getattr(alert, name)
        if name.startswith("_") or value is None or value in ((), {}, ""):
            continue
        if isinstance(value, datetime):
            value = value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        elif isinstance(value, bytes):
            value = base64.b64encode(value).decode()
        elif name == "hpx":
            value = str(value)
        elif name == "headers":
            value = {key: data.decode("utf-8", "replace") for key, data in value}
        elif name in ("skymaps", "archive"):
            value = [_fields(entry) for entry in value] if isinstance(value, tuple) else _fields(value)
        elif name == "annotations":
            value = {key: str(entry) if _wide(entry) else entry for key, entry in value.items()}
        found[name] = value
    return found


def _wide(value: Any) -> bool:
    return isinstance(value, int) and abs(value) >= 2**53


def _fields(entry: Any) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in entry.__dataclass_fields__}


def _property(pair: str) -> tuple[str, str]:
    name, equals, value = pair.partition("=")
    if not equals:
        raise RequestError(f"--property {pair!r} is none: write it like sasl.username=me")
    return name, value
