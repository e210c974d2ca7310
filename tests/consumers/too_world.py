"""Rules, alerts and a night for the tests of the telescope hook."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from consumers import Alert, SkyMapLevel
from consumers.too.audit import Trail
from consumers.too.desk import Desk
from consumers.too.ledger import Ledger
from consumers.too.reading import parse_rules
from consumers.too.rules import Rules
from consumers.too.worker import Worker

NOW = datetime(2026, 11, 21, 22, 0, tzinfo=UTC)  # a dark night at La Palma, the Moon 90 % lit in the east
LCO = """[rule.lco]
address = "{address}"
token_env = "TOO_TEST_TOKEN"
proposal = "TEST2026-001"
telescope_class = "1m0"
instrument_type = "1M0-SCICAM-SINISTRO"
"""
OWN = """[rule.json]
address = "{address}/requests"
token_env = "TOO_TEST_TOKEN"
telescope = "dome-2"
"""
TABLES = {"lco": LCO, "json": OWN}


def rules_text(
    target: str = "lco",
    *,
    name: str = "follow",
    site: str = "lapalma",
    address: str = "http://127.0.0.1:9",
    filters: str = '["bright-transient"]',
    more: str = "",
    limits: str = "min_altitude = 30",
    exposures: str = '[[rule.exposure]]\nband = "rp"\nseconds = 60\ncount = 2',
    budget: str = "requests = 100",
    table: str | None = None,
) -> str:
    """One rule."""
    place = f'site = "{site}"\n' if site else ""
    return (
        f'[[rule]]\nname = "{name}"\nfilters = {filters}\n{place}target = "{target}"\n{more}\n'
        f"[rule.limits]\n{limits}\n{exposures}\n[rule.budget]\n{budget}\n"
        f"{(table if table is not None else TABLES[target]).format(address=address)}\n"
    )


def alert(number: int = 1, **changes: Any) -> Alert:
    """A transient high over La Palma in the evening of that night."""
    base = Alert(
        alert_id=f"ztf:{number}",
        stream="ztf",
        object_id=f"ZTF26aa{number:05d}",
        time=NOW - timedelta(hours=2),
        ra=20.0,
        dec=25.0,
        mag=18.2,
        band="r",
        reliability=0.9,
        topic="matched.bright-transient",
    )
    return replace(base, **changes)


def in_map(number: int = 1, level: float = 0.4, event: str = "S261121a", **changes: Any) -> Alert:
    """The same in an event's map."""
    return alert(number, skymaps=(SkyMapLevel(event, 1, level),), **changes)


class Clock:
    """A time that is set."""

    def __init__(self, now: datetime = NOW) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, **span: float) -> None:
        self.now += timedelta(**span)


class Bench:
    """A hook without its stream: alerts are handed in."""

    def __init__(self, folder: Path, text: str, *, live: bool = False, clock: Clock | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.rules: Rules = parse_rules(text)
        self.clock = clock or Clock()
        self.audit = folder / "trail.jsonl"
        self.ledger = Ledger(folder / "state.sqlite", live=live)
        self.trail = Trail(self.ledger, self.audit)
        self.desk = Desk(self.rules, self.ledger, self.clock)
        self.worker = Worker(self.rules, self.ledger, self.clock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.ledger.close()

    def take(self, *alerts: Alert) -> list[dict[str, Any]]:
        """Hand alerts in; gives the lines that came of it."""
        before = len(self.lines())
        for one in alerts:
            self.desk.take(one, self.rules.rules)
        return self.lines()[before:]

    def work(self, times: int = 1) -> None:
        for _ in range(times):
            self.worker.work()
        self.trail.flush()

    def lines(self) -> list[dict[str, Any]]:
        self.trail.flush()
        return [json.loads(line) for line in self.audit.read_text("utf-8").splitlines()] if self.audit.exists() else []

    def states(self) -> list[str]:
        return [row.state for row in self.ledger.rows()]


def checks_of(line: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["limit"]: one for one in line["checks"]}
