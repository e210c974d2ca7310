"""Whether an alert becomes a request, by one rule: every limit with its number."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from consumers.alert import Alert
from consumers.sites import Site
from consumers.too import payloads
from consumers.too.checks import TAKEN_BACK, Check, check_alert, holding, level_of
from consumers.too.ledger import COUNTED, Ledger
from consumers.too.request import Payload, Request, events_of, key_of, name_of, stamp, target_name
from consumers.too.rules import Rule
from consumers.too.sight import look

__all__ = ["Decision", "decide", "gone", "night_of", "subject_of", "taken_back"]

_STILL = tuple(state for state in COUNTED if state != "cancelled")
# one that was never posted stands in no way
_SAME = "rule = ? AND subject = ? AND NOT (state = 'expired' AND posts = 0 AND charged = 0)"
_DAY = 24.0  # hours
_REFUSALS = 5  # in a row, after which a rule rests
_REST = 60.0  # minutes


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided; `request` and `payload` where it is asked for."""

    reason: str
    checks: tuple[Check, ...]
    request: Request | None = None
    payload: Payload | None = None


def taken_back(alert: Alert, rule: Rule) -> str:
    """Why what was requested for an alert is to be cancelled; empty where it is not, as another event's map still holds it."""
    event = alert.update_event or alert.event_name or ""
    if alert.update and holding(alert, rule.limits):
        return ""
    if alert.update in TAKEN_BACK:
        return f"{event or 'the alert'} is retracted, or its map no longer holds the alert"
    if (alert.alert_type or "").lower() == "retraction":
        return f"{event or 'the alert'} is retracted"
    bound, level = rule.limits.max_credible_level, level_of(alert)
    if alert.update == "rescored" and rule.cancel_on_rescore and bound is not None and level is not None and level > bound:
        return f"credible level {level:.4g} in the new map of {event} is beyond {bound:g}"
    return ""


def subject_of(alert: Alert, rule: Rule) -> str:
    """That of which the rule wants one request: object, event or alert."""
    if rule.only_once == "alert":
        return alert.alert_id
    events = events_of(alert)
    return events[0] if rule.only_once == "event" and events else target_name(alert)


def night_of(site: Site | None, time: datetime) -> date:
    """Date of the local noon with which a night begins, by the mean Sun at the site; at Greenwich where there is no site."""
    turned = timedelta(hours=(site.longitude if site else 0.0) / 15.0 - 12.0)
    return (time.astimezone(UTC) + turned).date()


def decide(alert: Alert, rule: Rule, ledger: Ledger, now: datetime) -> Decision:
    """Hold an alert against a rule: what is cheap first, the sky last."""
    checks: list[Check] = []
    subject = subject_of(alert, rule)
    if barred := _barred(alert, rule, ledger, subject):
        return barred
    checks.append(Check("only_once", subject, rule.only_once, passed=True))
    placed = alert.ra is not None and alert.dec is not None and 0.0 <= alert.ra <= 360.0 and -90.0 <= alert.dec <= 90.0
    if not placed and rule.target != "skyportal_plan":
        place = f"{alert.ra}, {alert.dec}" if alert.ra is not None else None
        return Decision("the alert has no place in the sky", (*checks, Check("place", place, "ra, dec", passed=False)))
    time = alert.time or alert.timestamp
    checks += check_alert(alert, rule.limits, (now - time).total_seconds() / 3600.0 if time else None)
    checks += [*_cool_down(rule, ledger, now), *_refusals(rule, ledger, now)]
    if failed := [check for check in checks if not check.passed]:
        said = ", ".join(f"{check.name} is {check.said}, the bound {check.limit}" for check in failed)
        return Decision(said, tuple(checks))
    start, end, sky, reason = _window(alert, rule, now)
    checks += sky
    if start is None or end is None:
        return Decision(reason, tuple(checks))
    night = night_of(rule.site, start).isoformat()
    budget = _budget(rule, ledger, night)
    checks += budget
    if failed := [check for check in budget if not check.passed]:
        said = ", ".join(f"{check.name} {check.said} of {check.limit}" for check in failed)
        return Decision(f"the budget of the night of {night} is spent: {said}", tuple(checks))
    return _asked(alert, rule, ledger, (start, end, now), tuple(checks))


def _barred(alert: Alert, rule: Rule, ledger: Ledger, subject: str) -> Decision | None:
    for row in ledger.in_states(_STILL, _SAME, rule.name, subject):
        check = Check("only_once", subject, rule.only_once, passed=False)
        return Decision(f"one request for each {rule.only_once}: {row.name} is {row.state}", (check,))
    if event := _retracted(alert, rule, ledger):
        return Decision(f"{event} was retracted before", (Check("retracted", event, None, passed=False),))
    return None


def gone(event: str) -> str:
    """Under which name the ledger keeps that an event is retracted, which is final."""
    return f"retracted {event}"


def _retracted(alert: Alert, rule: Rule, ledger: Ledger) -> str:
    """The event that an alert stands on, where its retraction was read first: topics and partitions come in no order."""
    lost = [name for name in events_of(alert) if ledger.meta(gone(name))]
    own = alert.event_name in lost
    return lost[0] if lost and (own or not set(holding(alert, rule.limits)) - set(lost)) else ""


def _asked(
    alert: Alert, rule: Rule, ledger: Ledger, times: tuple[datetime, datetime, datetime], checks: tuple[Check, ...]
) -> Decision:
    start, end, now = times
    earlier = len(ledger.rows("rule = ? AND alert_id = ?", rule.name, alert.alert_id))
    key = key_of(rule.name, alert.alert_id, earlier)
    target = target_name(alert)
    request = Request(
        key=key,
        name=name_of(rule.name, target, key),
        rule=rule,
        alert=alert,
        target=target,
        ra=alert.ra,
        dec=alert.dec,
        start=start,
        end=end,
        made=now,
    )
    payload = payloads.build(request)
    if wrong := payloads.problems(rule.target, payload, now):
        check = Check("payload", "; ".join(wrong), f"rules of {rule.target}", passed=False)
        return Decision(f"it would break the rules of {rule.target}: {'; '.join(wrong)}", (*checks, check))
    return Decision(f"observable from {stamp(start)} to {stamp(end)}", checks, request, payload)


def _window(alert: Alert, rule: Rule, now: datetime) -> tuple[datetime | None, datetime | None, tuple[Check, ...], str]:
    if rule.site is None or alert.ra is None or alert.dec is None:  # a satellite, or a plan over a map
        return now, now + timedelta(hours=rule.valid_hours or _DAY), (), ""
    hours = rule.valid_hours
    if rule.table.get("observation_type") == "RAPID_RESPONSE":  # begins at once: what comes up later would be asked for in vain
        hours = min(hours or _DAY, _DAY)
    sight = look(rule.site, alert.ra, alert.dec, rule.limits, now=now, hours=hours, needed=rule.seconds)
    return sight.start, sight.end, sight.checks, sight.reason


def _cool_down(rule: Rule, ledger: Ledger, now: datetime) -> list[Check]:
    if rule.cool_down <= 0:
        return []
    made = [row.made for row in ledger.in_states(COUNTED, "rule = ?", rule.name)]
    minutes = (now.timestamp() - max(made)) / 60.0 if made else None
    return [Check("cool_down", minutes, rule.cool_down, passed=minutes is None or minutes >= rule.cool_down)]


def _refusals(rule: Rule, ledger: Ledger, now: datetime) -> list[Check]:
    """A rule that is refused again and again, as its proposal is out of time, asks but once an hour."""
    made = ledger.refused(rule.name, _REFUSALS)
    minutes = (now.timestamp() - made) / 60.0 if made is not None else None
    if minutes is None or minutes >= _REST:
        return []
    return [Check(f"minutes since the last of {_REFUSALS} refusals in a row", minutes, _REST, passed=False)]


def _budget(rule: Rule, ledger: Ledger, night: str) -> list[Check]:
    requests, seconds = ledger.spent(rule.name, night)
    found = []
    if rule.budget.requests is not None:
        bound = float(rule.budget.requests)
        found.append(Check("requests", float(requests + 1), bound, passed=requests + 1 <= bound))
    if rule.budget.seconds is not None:
        total = seconds + rule.seconds
        found.append(Check("seconds", total, rule.budget.seconds, passed=total <= rule.budget.seconds))
    return found
