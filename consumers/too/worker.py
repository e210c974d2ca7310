"""Brings requests to observatories and looks after them: posted once, looked up where that is unclear, cancelled when due.

Each step is entered before it is taken. A post whose outcome is unclear (no answer, a broken one, an error of the server, a
crash of ours) is never repeated before the observatory's own list has said that it has no such request.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from consumers.too.ledger import OPEN, Ledger, Row
from consumers.too.observatories import open_observatory
from consumers.too.observatory import Observatory, Outcome
from consumers.too.request import stamp
from consumers.too.rules import Rule, Rules

__all__ = ["Worker"]

_LONGEST = 900.0  # seconds between two tries
_TURN = 5.0  # seconds after which alerts are read again before more is done
_AFTER = timedelta(days=1).total_seconds()  # how long after its window a request is looked after


class Worker:
    """Does what is due, one exchange after another; an observatory that does not answer is left alone for a while.

    Parameters
    ----------
    clock
        The time, UTC.
    on_line
        Told every line of the trail.
    """

    def __init__(
        self,
        rules: Rules,
        ledger: Ledger,
        clock: Callable[[], datetime],
        on_line: Callable[[Mapping[str, Any]], None] = lambda _line: None,
    ) -> None:
        self._rules, self._ledger, self._clock, self._on_line = rules, ledger, clock, on_line
        self._manners = rules.manners
        self._open: dict[str, Observatory] = {}
        self._paused: dict[str, float] = {}
        self._orphans: set[str] = set()
        if ledger.live:
            self._recover()

    def work(self, *, posting: bool = True) -> bool:
        """Do what is due; whether there was anything. In a dry run there is not.

        Parameters
        ----------
        posting
            Whether anything new is handed in; what is taken back, and what is unclear, is seen to all the same.
        """
        self._close()
        if not self._ledger.live:
            return False
        did, until = False, time.monotonic() + _TURN
        due = self._ledger.rows("due IS NOT NULL AND due <= ?", self._now)
        due = [row for row in due if posting or row.state != "waiting"]
        for row in sorted(due, key=lambda one: one.state != "cancelling"):  # what is taken back first
            if time.monotonic() > until:  # alerts want to be read, too
                break
            rule = self._rules.named(row.rule)
            if rule is None or rule.target != row.kind or row.address not in {"", rule.table["address"]}:
                self._orphaned(row, rule)
            elif self._now >= self._paused.get(str(rule.table["address"]), 0.0):
                self._step(row, rule)
                did = True
        return did

    def _close(self) -> None:
        """End what nobody tells us more of, a day after its window: else it would be asked and looked after for ever."""
        over = self._now - _AFTER
        for row in self._ledger.in_states(("planned", "unknown", "requested"), 'due IS NULL AND "end" < ?', over):
            self._over(row, "its window is over")

    def _over(self, row: Row, said: str) -> None:
        self._enter(row, {"state": "expired", "due": None, "said": said}, "expired", said)

    def _orphaned(self, row: Row, rule: Rule | None) -> None:
        """Leave alone what was asked of another observatory than the rules name now; it goes on once they name it again."""
        if row.state in OPEN and self._now > row.end + _AFTER:
            self._over(row, "its window is over, and no rule names its observatory")
        elif row.key not in self._orphans:
            self._orphans.add(row.key)
            gone = f"rule {row.rule} is no more" if rule is None else f"rule {row.rule} no longer asks {row.kind} {row.address}"
            said = f"{gone}: bring it back, or look after request {row.number or row.name} by hand"
            self._enter(row, {"said": said}, "orphaned", said)

    @property
    def _now(self) -> float:
        return self._clock().timestamp()

    def _recover(self) -> None:
        """What was being posted when we were stopped: perhaps it was."""
        for row in self._ledger.in_states(("posting",)):
            due = row.changed + self._manners.settle
            self._enter(row, {"state": "unknown", "due": due}, "unknown", "stopped while it was being posted: looked up first")

    def _step(self, row: Row, rule: Rule) -> None:
        at = self._open.get(rule.name)
        if at is None:
            at = self._open[rule.name] = open_observatory(rule, self._manners)
        if row.state == "waiting":
            self._post(row, rule, at)
        elif row.state == "unknown":
            self._look_up(row, rule, at)
        elif row.state == "cancelling":
            self._cancel(row, rule, at)
        elif row.state == "requested":
            self._look_after(row, rule, at)
        else:
            self._ledger.update(row.key, {"due": None})

    def _post(self, row: Row, rule: Rule, at: Observatory) -> None:
        if row.cancel:
            self._cancelled(row, "it was not posted")
            return
        if self._now + row.seconds > row.end:
            said = "its window went by before it could be posted"
            self._enter(row, {"state": "expired", "due": None, "charged": 0, "said": said}, "expired", said)
            return
        payload = json.loads(row.payload)
        found = _ask(at.find, row, self._others(row)) if at.looks_up else Outcome("absent")
        if found.kind == "done":
            self._known(row, found, "found")
            return
        if found.kind == "refused":
            self._refused(row, replace(found, said=f"its list cannot be searched, so nothing is posted: {found.said}"))
            return
        ready = _ask(at.ready, payload, row) if found.kind == "absent" else found
        if ready.kind == "refused":
            self._refused(row, ready)
            return
        if ready.kind != "done":
            self._later(row, rule, ready)
            return
        changes = {"state": "posting", "posts": row.posts + 1, "payload": json.dumps(payload), "said": ""}
        with self._ledger.change():
            row = self._ledger.update(row.key, changes)
        came = _ask(at.post, payload, row)
        if came.kind == "done":
            self._known(row, came, "requested")
        elif came.kind == "refused":
            self._refused(row, came)
        elif came.kind == "away":
            self._ledger.update(row.key, {"posts": row.posts - 1})
            self._later(row, rule, came)
        else:
            self._pause(rule)
            changes = {"state": "unknown", "due": self._now + self._manners.settle, "looks": 0, "said": came.said}
            self._enter(row, changes if at.looks_up else {**changes, "due": None}, "unknown", came.said)

    def _look_up(self, row: Row, rule: Rule, at: Observatory) -> None:
        if not at.looks_up and row.cancel:
            if at.by_name:
                self._cancel(row, rule, at)
                return
            said = f"not cancelled: whether {row.name} was taken is not known, and cannot be looked up; ask the observatory"
            self._enter(row, {"state": "uncancelled", "due": None, "said": said}, "uncancelled", said)
            return
        if not at.looks_up:
            self._enter(row, {"due": None}, "unknown", "whether it was taken cannot be looked up: ask the observatory")
            return
        found = _ask(at.find, row, self._others(row))
        if found.kind == "done":
            self._known(row, found, "found")
        elif found.kind == "absent" and row.cancel:
            self._cancelled(row, f"{found.said}: nothing to cancel")
        elif found.kind == "absent" and row.posts < self._manners.tries:
            self._enter(
                row, {"state": "waiting", "due": self._now, "looks": 0}, "absent", f"{found.said}: it may be posted again"
            )
        elif found.kind == "absent" or self._now > row.end:
            said = f"given up after {row.posts} posts and {row.looks + 1} looks: {found.said}"
            state = "uncancelled" if row.cancel else "lost"
            self._enter(row, {"state": state, "due": None, "said": said}, state, said)
        else:  # they may have it: looked for until its window is over, so that it can still be cancelled
            self._pause(rule)
            looks = row.looks + 1
            changes = {"looks": looks, "due": self._now + self._wait(looks), "said": found.said}
            if found.said == row.said:
                self._ledger.update(row.key, changes)
            else:
                self._enter(row, changes, "unknown", found.said)

    def _others(self, row: Row) -> set[str]:
        """Numbers that other requests of about its time have there: it is none of them."""
        there = 'kind = ? AND address = ? AND key <> ? AND number IS NOT NULL AND "end" > ?'
        found = self._ledger.rows(there, row.kind, row.address, row.key, row.made - _AFTER)
        return {one.number for one in found if one.number is not None}

    def _look_after(self, row: Row, rule: Rule, at: Observatory) -> None:
        found = _ask(at.stands, row)
        if found.kind == "done" and found.state != "requested":
            self._enter(row, {"state": found.state, "due": None, "said": found.said}, found.state, found.said)
            return
        if found.kind in {"away", "unclear"}:
            self._pause(rule)
        if self._now > row.end + _AFTER:
            self._over(row, f"its window is over, and how it ended is not told: {found.said}")
        else:
            self._ledger.update(row.key, {"due": self._now + self._manners.poll, "said": found.said})

    def _cancel(self, row: Row, rule: Rule, at: Observatory) -> None:
        came = _ask(at.cancel, row, row.cancel)
        if came.kind == "done" and came.state == "cancelled":
            self._cancelled(row, came.said)
        elif came.kind == "done" and came.state != "requested":  # which they would call one that still stands
            self._enter(row, {"state": came.state, "due": None, "said": came.said}, came.state, f"too late: {came.said}")
        elif came.kind == "refused" or self._now > row.end + _AFTER:
            said = f"not cancelled, see to request {row.number} by hand: {came.said}"
            self._enter(row, {"state": "uncancelled", "due": None, "said": said}, "uncancelled", said)
        else:
            self._later(row, rule, came)

    def _known(self, row: Row, found: Outcome, how: str) -> None:
        """It is with them: looked after from now on, or cancelled if it was taken back in between."""
        row = self._ledger.rows("key = ?", row.key)[0]
        state = found.state or "requested"
        changes: dict[str, Any] = {"state": state, "number": found.number, "looks": 0, "said": found.said, "due": None}
        if state == "requested" and row.cancel:
            changes |= {"state": "cancelling", "due": self._now}
        elif state == "requested" and found.number is not None:
            changes["due"] = self._now + self._manners.poll
        self._enter(row, changes, how, found.said)

    def _refused(self, row: Row, came: Outcome) -> None:
        self._enter(row, {"state": "refused", "due": None, "charged": 0, "said": came.said}, "rejected", came.said)

    def _cancelled(self, row: Row, said: str) -> None:
        free = {"charged": 0} if self._now < row.start else {}
        self._enter(row, {"state": "cancelled", "due": None, "said": said, **free}, "cancelled", said)

    def _later(self, row: Row, rule: Rule, came: Outcome) -> None:
        """Certainly nothing was posted, or what was asked may be asked again: try once more, ever more seldom."""
        self._pause(rule)
        state = "waiting" if row.state in {"waiting", "posting"} else "cancelling"
        changes = {"state": state, "looks": row.looks + 1, "due": self._now + self._wait(row.looks + 1), "said": came.said}
        if came.said == row.said:
            self._ledger.update(row.key, changes)
        else:
            self._enter(row, changes, state, came.said)

    def _pause(self, rule: Rule) -> None:
        self._paused[str(rule.table["address"])] = self._now + self._manners.settle

    def _wait(self, looks: int) -> float:
        return float(min(_LONGEST, max(self._manners.settle, 0.05) * 2.0 ** min(looks - 1, 10)))

    def _enter(self, row: Row, changes: Mapping[str, Any], decision: str, said: str) -> None:
        """Change a request and tell the trail, in one transaction."""
        with self._ledger.change():
            now = self._ledger.update(row.key, changes)
            line = {
                "time": stamp(self._clock()),
                "mode": "live" if self._ledger.live else "dry-run",
                "decision": decision,
                "rule": row.rule,
                "alert_id": row.alert_id,
                "object": row.target,
                "events": json.loads(row.events),
                "reason": now.cancel if decision in {"cancelled", "uncancelled"} else said,
                "said": said,
                "request": {
                    "key": row.key,
                    "name": row.name,
                    "target": row.kind,
                    "number": now.number,
                    "state": now.state,
                    "posts": now.posts,
                },
            }
            self._ledger.tell(line)
        self._on_line(line)


def _ask(question: Callable[..., Outcome], *about: Any) -> Outcome:
    """Ask an observatory; an answer of another shape than any that it has documented is an unclear one."""
    try:
        return question(*about)
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        return Outcome("unclear", said=f"its answer cannot be read: {type(error).__name__} {error}")
