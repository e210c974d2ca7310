"""``python -m consumers.too``: the command line."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from consumers import terminal
from consumers.api import api_url
from consumers.times import beginning, moment
from consumers.too.errors import RulesError, StateError
from consumers.too.reading import read_rules
from consumers.too.rules import Rules

__all__ = ["app"]

app = typer.Typer(add_completion=False)
_REMEMBERED = 90 * 86_400.0  # seconds for which an alert that was decided on is known again


@app.command()
def main(  # noqa: PLR0917 - each is an option of the command line
    rules: Annotated[Path, typer.Option(help="File of rules, TOML.")],
    live: Annotated[bool, typer.Option("--live", help="Post to observatories; without it nothing is sent to any.")] = False,
    state: Annotated[
        Path | None,
        typer.Option(help="SQLite file of what was requested. [default: beside the rules, .dry.sqlite or .live.sqlite]"),
    ] = None,
    audit: Annotated[
        Path | None, typer.Option(help="Audit trail, JSON lines. [default: beside the state, .audit.jsonl]")
    ] = None,
    api: Annotated[str | None, typer.Option(help="Read this Nuncius API, whatever the rules say.", metavar="URL")] = None,
    start_at: Annotated[
        str | None, typer.Option(help="Where nothing was read before: earliest, latest, or a time (UTC). [default: the rules']")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Stop there: now, or a time (UTC). [default: never]")] = None,
    as_of: Annotated[
        str | None, typer.Option(help="Decide as if it were this time, UTC; for dry runs. With --status: of that night.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write each payload into a file of its own in this folder.")] = None,
    heartbeat: Annotated[float, typer.Option(min=0.1, help="Seconds between signs of life on standard error.")] = 60.0,
    check: Annotated[bool, typer.Option("--check", help="Check the rules and stop: 0 right, 1 wrong.")] = False,
    status: Annotated[bool, typer.Option("--status", help="Show budgets and requests, and stop.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on standard output.")] = False,
) -> None:
    """Turn matches of filters into requests for observations, by rules; a dry run unless --live is given.

    Example: `python -m consumers.too --rules consumers/too/example.toml --check`
    """
    if check:
        _check(rules, api)
        return
    with terminal.complaints():
        read = read_rules(rules)
        if api is not None:
            source = replace(read.source, address=api_url("--api", api))
            read = replace(read, source=source, rules=tuple(replace(rule, source="") for rule in read.rules))
        file = state or rules.with_suffix(".live.sqlite" if live else ".dry.sqlite")
        if status:
            _status(read, file, moment("--as-of", as_of) if as_of else datetime.now(UTC), as_json=as_json)
            return
        _live_is_now(live, as_of)
        _run(
            read,
            file,
            audit or file.with_suffix(".audit.jsonl"),
            live=live,
            group=f"nuncius-too-{rules.stem}-{'live' if live else 'dry'}",
            start_at=start_at,
            until=moment("--until", until) if until else None,
            as_of=moment("--as-of", as_of) if as_of else None,
            out=out,
            heartbeat=heartbeat,
            as_json=as_json,
        )


def _live_is_now(live: bool, as_of: str | None) -> None:
    if live and as_of:
        raise RulesError("is for dry runs: with --live it is now", word="--as-of")


def _check(file: Path, api: str | None) -> None:
    from consumers.too.advice import advice, unknown_filters  # noqa: PLC0415 - help and wrong use are answered at once

    try:
        read = read_rules(file)
    except RulesError as error:
        terminal.complain(error)
        raise typer.Exit(1) from error
    with terminal.complaints():
        missing = unknown_filters(read, api_url("--api", api)) if api is not None else []
    if missing:
        terminal.complain(f"{file}: {api} has no filter {', '.join(missing)}")
        raise typer.Exit(1)
    for line in advice(read):
        terminal.warn(line)
    names = ", ".join(f"{rule.name} ({rule.target})" for rule in read.rules)
    terminal.out.print(f"{file}: {len(read.rules)} rules are right: {names}", markup=False, highlight=False, soft_wrap=True)
    if api is None:
        said = "whether there are filters of these names is not looked up here; give --api to look"
        terminal.out.print(said, markup=False, highlight=False, soft_wrap=True)


def _status(rules: Rules, file: Path, now: datetime, *, as_json: bool) -> None:
    from consumers.too.ledger import Ledger  # noqa: PLC0415 - help and wrong use are answered at once
    from consumers.too.status import status, status_lines  # noqa: PLC0415

    with Ledger(file, live=False, reading=True) as ledger:
        found = status(rules, ledger, now)
    if as_json:
        sys.stdout.write(json.dumps(found) + "\n")
        return
    for line in status_lines(found):
        terminal.out.print(line, markup=False, highlight=False, soft_wrap=True)


def _run(
    rules: Rules,
    file: Path,
    audit: Path,
    *,
    live: bool,
    group: str,
    start_at: str | None,
    until: datetime | None,
    as_of: datetime | None,
    out: Path | None,
    heartbeat: float,
    as_json: bool,
) -> None:
    from consumers.too.audit import Trail  # noqa: PLC0415 - help and wrong use are answered at once
    from consumers.too.desk import Desk  # noqa: PLC0415
    from consumers.too.ledger import Ledger  # noqa: PLC0415
    from consumers.too.observatories import need_tokens  # noqa: PLC0415
    from consumers.too.run import Stop, follow  # noqa: PLC0415
    from consumers.too.worker import Worker  # noqa: PLC0415

    if find_spec("astropy") is None:
        raise StateError("the sky needs astropy: install the client with its extra, pip install 'nuncius[follow]'")
    begin = beginning("--start-at" if start_at else "start_at of [source]", start_at or rules.source.start_at)
    if live:
        need_tokens(rules)
    clock: Callable[[], datetime] = (lambda: as_of) if as_of is not None else (lambda: datetime.now(UTC))
    stop = Stop()

    def end(_number: int, _frame: Any) -> None:
        stop.asked = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    show = _shower(out, as_json=as_json, stay=live)
    with Ledger(file, live=live) as ledger:
        ledger.forget_seen(clock().timestamp() - _REMEMBERED)
        trail = Trail(ledger, audit)
        trail.flush()
        worker = Worker(rules, ledger, clock, show)
        desk = Desk(rules, ledger, clock, show, as_of)
        terminal.say(f"{'live' if live else 'dry run'}: state {file}, audit trail {audit}")
        follow(
            rules,
            ledger,
            desk,
            worker,
            trail,
            group=group,
            start_at=begin,
            until=until,
            heartbeat=heartbeat,
            say=terminal.say,
            stop=stop,
        )


def _shower(out: Path | None, *, as_json: bool, stay: bool) -> Callable[[Mapping[str, Any]], None]:
    """Shows each decision, and writes payloads.

    Parameters
    ----------
    stay
        Go on where nobody reads any more: what was requested must be looked after, and the trail has every line.
    """
    if out is not None:
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StateError(f"{out} cannot be made: {error}; name another with --out") from error

    def show(line: Mapping[str, Any]) -> None:
        request = line.get("request") or {}
        payload = request.get("payload")
        if out is not None and payload is not None:
            text = payload if isinstance(payload, str) else json.dumps(payload, indent=2) + "\n"
            (out / f"{request['name']}{'.xml' if isinstance(payload, str) else '.json'}").write_text(text, "utf-8")
        who = f"{line['rule']}: {line.get('object') or ''}".rstrip(": ")
        name = f" {request['name']}" if request else ""
        plain = f"{line['decision']:<11} {who}{name}: {line.get('reason') or ''}"
        try:
            sys.stdout.write((json.dumps(line, ensure_ascii=False) if as_json else plain) + "\n")
            sys.stdout.flush()
        except BrokenPipeError:
            if not stay:
                raise
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    return show
