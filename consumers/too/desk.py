"""Takes alerts in: each is decided on by every rule that wants it, entered, and written to the trail in one transaction."""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from consumers.alert import Alert
from consumers.options import topic_names
from consumers.too.checks import TAKEN_BACK, holding, level_of, whole
from consumers.too.decide import Decision, decide, gone, night_of, subject_of, taken_back
from consumers.too.ledger import OPEN, Ledger, Row
from consumers.too.request import Payload, Request, events_of, stamp, target_name
from consumers.too.rules import Rule, Rules

__all__ = ["Desk"]


class Desk:
    """Decides and enters; sends nothing.

    Parameters
    ----------
    clock
        The time, UTC.
    on_line
        Told every line of the trail.
    as_of
        In a dry run, the time as of which it decides: what is dated later is left out, and counts for nothing.
    """

    def __init__(
        self,
        rules: Rules,
        ledger: Ledger,
        clock: Callable[[], datetime],
        on_line: Callable[[Mapping[str, Any]], None] = lambda _line: None,
        as_of: datetime | None = None,
    ) -> None:
        self._rules, self._ledger, self._clock, self._on_line, self._as_of = rules, ledger, clock, on_line, as_of

    def take(self, alert: Alert, rules: Sequence[Rule], source: str = "") -> None:
        """Decide on an alert by each rule that listens to its topic; with its position all of it is one transaction."""
        lines: list[Mapping[str, Any]] = []
        with self._ledger.change():
            for rule in rules:
                if _listens(rule, alert.topic):
                    lines += self._safely(whole(alert), rule)
            for line in lines:
                self._ledger.tell(line)
            if source and alert.position:
                self._ledger.set_position(source, alert.position)
        for line in lines:
            self._on_line(line)

    def retract(self, event: str, reason: str) -> None:
        """Cancel what was requested for an event, when that is learnt otherwise than from an alert."""
        with self._ledger.change():
            self._ledger.set_meta(gone(event), reason)
            rows = [row for row in self._open() if event in json.loads(row.events)]
            lines = [self._lose(row, event, reason, {"rule": row.rule, "events": [event]}) for row in rows]
            for line in lines:
                self._ledger.tell(line)
        for line in lines:
            self._on_line(line)

    def _safely(self, alert: Alert, rule: Rule) -> list[Mapping[str, Any]]:
        """Decide; an alert that no rule was written for ends neither the program nor what other rules make of it."""
        try:
            with self._ledger.change():  # what stumbles leaves nothing behind: told again, it is decided on again
                return self._later(alert, rule) or self._decide(alert, rule)
        except sqlite3.Error:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it stumbles over is told with the alert's id
            said = f"cannot be decided on: {type(error).__name__} {error}"[:500]
            return [self._line("refuse", _about(alert, rule), reason=said, checks=[])]

    def _later(self, alert: Alert, rule: Rule) -> list[Mapping[str, Any]]:
        """A line on an alert that was not there yet at the time as of which is decided."""
        dated = alert.time or alert.timestamp
        if self._as_of is None or dated is None or dated <= self._as_of:
            return []
        reason = f"dated {stamp(dated)}, after {stamp(self._as_of)} (--as-of)"
        return [self._line("left-out", _about(alert, rule), reason=reason)]

    def _decide(self, alert: Alert, rule: Rule) -> list[Mapping[str, Any]]:
        about = _about(alert, rule)
        now = self._clock()
        first, reason = self._ledger.first_time(_digest(alert, rule), now.timestamp()), taken_back(alert, rule)
        event = str(alert.event_name) if _whole(alert) else ""
        if event:
            self._ledger.set_meta(gone(event), reason)
        if reason and (rows := self._rows_of(alert, rule)):  # also told again: an alert leaves a map twice in the same words
            return [self._lose(row, event, reason, about) for row in rows]
        if not first:
            return [self._line("repeat", about, reason="decided on before")]
        if alert.update and (known := [row for row in self._rows_of(alert, rule) if row.state != "lost"]):
            return [self._keep(row, holding(alert, rule.limits), "still within the rule's limits", about) for row in known]
        if reason or alert.update in TAKEN_BACK:
            reason = reason or "another map still holds it"
            return [self._line("nothing", about, reason=f"{reason}; nothing is requested for it")]
        decision = decide(alert, rule, self._ledger, now)
        line = self._line("refuse", about, reason=decision.reason, checks=[check.plain() for check in decision.checks])
        if decision.request is None or decision.payload is None:
            return [line]
        row = self._enter(decision.request, decision.payload)
        return [{**line, "decision": "request", **_asked(row, decision)}]

    def _enter(self, request: Request, payload: Payload) -> Row:
        now = request.made.timestamp()
        row = Row(
            key=request.key,
            rule=request.rule.name,
            kind=request.rule.target,
            name=request.name,
            alert_id=request.alert.alert_id,
            subject=subject_of(request.alert, request.rule),
            events=json.dumps(list(events_of(request.alert))),
            target=request.target,
            night=night_of(request.rule.site, request.start).isoformat(),
            seconds=request.rule.seconds,
            charged=1,
            payload=json.dumps(payload, allow_nan=False),
            start=request.start.timestamp(),
            end=request.end.timestamp(),
            made=now,
            state="waiting" if self._ledger.live else "planned",
            due=now if self._ledger.live else None,
            changed=now,
            address=str(request.rule.table["address"]),
            maps=json.dumps(list(holding(request.alert, request.rule.limits))),
        )
        self._ledger.add(row)
        return row

    def _rows_of(self, alert: Alert, rule: Rule) -> list[Row]:
        """Open requests of a rule for an alert; of a notice that retracts its event, for the event."""
        rows = [row for row in self._open() if row.rule == rule.name]
        if _whole(alert):
            return [row for row in rows if alert.event_name in json.loads(row.events)]
        return [row for row in rows if row.alert_id == alert.alert_id]

    def _open(self) -> list[Row]:
        """Also what was lost, while its window lasts: it may have come through after all."""
        here = "cancel = '' AND (state <> 'lost' OR \"end\" > ?)"
        return self._ledger.in_states((*OPEN, "lost"), here, self._clock().timestamp())

    def _lose(self, row: Row, event: str, reason: str, about: Mapping[str, Any]) -> Mapping[str, Any]:
        """Cancel a request; of an event that is no more, unless the map of another one holds the alert, too."""
        maps = json.loads(row.maps or "[]")
        left = [name for name in maps if name != event and not self._ledger.meta(gone(name))]
        if event in maps and left:
            self._ledger.update(row.key, {"events": json.dumps([name for name in json.loads(row.events) if name != event])})
            return self._keep(row, left, f"{reason}, but {', '.join(left)} still holds it", about)
        return self._cancel(row, reason, self._line("cancel", about))

    def _keep(self, row: Row, maps: Sequence[str], reason: str, about: Mapping[str, Any]) -> Mapping[str, Any]:
        """Leave a request as it is, and remember whose maps it stands on now."""
        if maps:
            self._ledger.update(row.key, {"maps": json.dumps(list(maps))})
        return self._line("keep", about, reason=f"{reason}: {row.name} stays")

    def _cancel(self, row: Row, reason: str, line: Mapping[str, Any]) -> Mapping[str, Any]:
        """Cancel at once what was never sent; else have it cancelled."""
        now = self._clock().timestamp()
        if row.state in {"planned", "waiting"}:
            free = {"charged": 0} if now < row.start or row.state == "waiting" else {}  # what waits is certainly not with them
            self._ledger.update(row.key, {"state": "cancelled", "cancel": reason, "due": None, **free})
            said = "dry run: nothing was posted" if not self._ledger.live else "it was not posted yet"
        elif row.state == "requested":
            self._ledger.update(row.key, {"state": "cancelling", "cancel": reason, "due": now, "looks": 0})
            said = f"request {row.number} of {row.kind} is to be cancelled"
        else:
            again = {"state": "unknown", "looks": 0} if row.state == "lost" else {}
            self._ledger.update(row.key, {"cancel": reason, **again, **({"due": now} if row.due is None else {})})
            said = "what has become of it is looked up first"
        return {**line, "reason": reason, "request": {"key": row.key, "name": row.name, "target": row.kind}, "said": said}

    def _line(self, decision: str, about: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        mode = "live" if self._ledger.live else "dry-run"
        return {"time": stamp(self._clock()), "mode": mode, "decision": decision, **about, **more}


def _listens(rule: Rule, topic: str) -> bool:
    return any(re.match(asked, topic) if asked.startswith("^") else asked == topic for asked in topic_names(rule.filters))


def _whole(alert: Alert) -> bool:
    """Whether it is a notice that takes back a whole event."""
    return (alert.alert_type or "").lower() == "retraction" and not alert.update and bool(alert.event_name)


def _digest(alert: Alert, rule: Rule) -> str:
    """The same for the same news of an alert, whichever way it comes; a new revision of a map is other news."""
    levels = [[one.event, one.revision, one.credible_level] for one in alert.skymaps] if alert.update else []
    news = [rule.name, alert.alert_id, alert.update, alert.update_event, levels]
    return hashlib.sha256(json.dumps(news).encode()).hexdigest()


def _about(alert: Alert, rule: Rule) -> dict[str, Any]:
    return {
        "rule": rule.name,
        "alert_id": alert.alert_id,
        "object": target_name(alert),
        "events": list(events_of(alert)),
        "update": alert.update,
        "credible_level": level_of(alert),
    }


def _asked(row: Row, decision: Decision) -> dict[str, Any]:
    request = decision.request
    assert request is not None
    return {
        "request": {
            "key": row.key,
            "name": row.name,
            "target": row.kind,
            "address": request.rule.table["address"],
            "window": {"start": stamp(request.start), "end": stamp(request.end)},
            "night": row.night,
            "seconds": row.seconds,
            "payload": decision.payload,
        }
    }
