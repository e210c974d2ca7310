"""What has been requested, and what is left of the nights' budgets."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from consumers.too.decide import night_of
from consumers.too.ledger import Ledger
from consumers.too.rules import Rules

__all__ = ["status", "status_lines"]


def status(rules: Rules, ledger: Ledger, now: datetime) -> dict[str, Any]:
    """Budgets of tonight by rule, and every request, as JSON has it.

    Parameters
    ----------
    now
        Tonight is the night of this time.
    """
    budgets = []
    for rule in rules.rules:
        night = night_of(rule.site, now).isoformat()
        requests, seconds = ledger.spent(rule.name, night)
        budgets.append(
            {
                "rule": rule.name,
                "night": night,
                "requests": {"spent": requests, "of": rule.budget.requests},
                "seconds": {"spent": seconds, "of": rule.budget.seconds},
            }
        )
    return {
        "mode": ledger.meta("mode"),
        "state": str(ledger.file),
        "budgets": budgets,
        "requests": [row.summary() for row in ledger.rows()],
    }


def status_lines(found: dict[str, Any]) -> list[str]:
    """The same in words."""
    lines = [f"{found['state']}: {found['mode']}"]
    for one in found["budgets"]:
        spent = [
            f"{one[name]['spent']:g} of {one[name]['of']:g} {name}"
            for name in ("requests", "seconds")
            if one[name]["of"] is not None
        ]
        lines.append(f"{one['rule']}: night of {one['night']}, {' and '.join(spent)}")
    for row in found["requests"]:
        number = f" number {row['number']}" if row["number"] else ""
        window = f"night of {row['night']}, {row['start']} to {row['end']}"
        lines.append(
            f"{row['state']:<11} {row['name']}  {row['kind']}{number}  {window}  {row['cancel'] or row['said']}".rstrip()
        )
    if not found["requests"]:
        lines.append("no request yet")
    return lines
