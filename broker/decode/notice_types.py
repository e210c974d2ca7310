"""GCN's notice types by number and by name, from ``schemas/gcn/notice_types.csv``."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from broker.paths import shipped

__all__ = ["NoticeType", "notice_types", "type_named"]


@dataclass(frozen=True, slots=True)
class NoticeType:
    """What a notice type's number says; the columns are explained in the table itself."""

    number: int
    name: str
    mission: str | None
    instrument: str | None
    messenger: str | None
    alert_type: str | None
    coords: str
    error_slot: int | None
    error_unit: float
    containment: float | None
    trigger_id: str
    flags: str | None

    @property
    def test(self) -> bool:
        """Whether all notices of this type are tests."""
        return "TEST" in self.name.split("_")


@cache
def notice_types() -> Mapping[int, NoticeType]:
    """Every type we know, by number."""
    path = shipped("schemas") / "gcn" / "notice_types.csv"
    lines = [line for line in path.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    return {entry.number: entry for entry in map(_entry, csv.DictReader(lines))}


@cache
def _by_name() -> Mapping[str, NoticeType]:
    return {entry.name: entry for entry in notice_types().values()}


def type_named(name: str) -> NoticeType | None:
    """Type of that name, such as ``SWIFT_BAT_GRB_POS_ACK``."""
    return _by_name().get(name)


def _entry(row: dict[str, str]) -> NoticeType:
    def text(name: str) -> str | None:
        return row[name] or None

    return NoticeType(
        number=int(row["number"]),
        name=row["name"],
        mission=text("mission"),
        instrument=text("instrument"),
        messenger=text("messenger"),
        alert_type=text("alert_type"),
        coords=row["coords"],
        error_slot=int(row["error_slot"]) if row["error_slot"] else None,
        error_unit=float(row["error_unit"] or 0.0),
        containment=float(row["containment"]) if row["containment"] else None,
        trigger_id=row["trigger_id"],
        flags=text("flags"),
    )
