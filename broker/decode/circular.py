"""GCN circulars: what people write, as JSON of today or as the mail of old."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from broker.decode.notice import Notice, digest, name_event
from broker.decode.notice_json import as_number, as_text, flatten
from broker.decode.notice_time import parse_time
from broker.errors import DecodeError
from broker.identifiers import is_mock, names_in, superevent

__all__ = ["from_circular", "parse_circular_mail"]

_HEADER = re.compile(r"^(TITLE|NUMBER|SUBJECT|DATE|FROM):\s*(.*)$", re.MULTILINE)
# The sentence that opens Swift's and Fermi's own circulars: the one place where a trigger's number gets its burst's name.
_TRIGGERED = re.compile(
    r"\b(Swift|Fermi)\b[^.\n]{0,150}?\btriggered\b[^.\n]{0,60}?\blocated (GRB ?\d{6}[A-Z]?)\s*\(trigger ?=? ?(\d{6,10})\b"
)
_SUBJECT_LONGEST = 1000
_BODY_LOOKED_INTO = 4000
# What makes an edit. A circular sent again after years of keeping has the same of these, whatever else has changed about it.
_SAID = ("circularId", "subject", "body", "eventId", "submitter", "format", "createdOn")


def from_circular(value: Mapping[str, Any]) -> Notice:
    """Notice of a circular's JSON; its time is when it was posted, an edit keeps its number and says something else.

    Raises
    ------
    DecodeError
        If it has no number.
    """
    number = as_text(value.get("circularId"))
    if number is None:
        raise DecodeError("no circularId: a circular is known by it")
    created = as_number(value.get("createdOn"))
    notes = []
    try:
        time = None if created is None else datetime.fromtimestamp(created / 1000.0, UTC)
    except (OverflowError, ValueError, OSError):
        time = None
    if time is None:
        notes.append("createdOn is no time")
    said = json.dumps({name: value.get(name) for name in _SAID}, sort_keys=True, default=str)
    names = _names(as_text(value.get("eventId")), as_text(value.get("subject")) or "", as_text(value.get("body")) or "")
    return _circular(number, names, time, said, fields=flatten(value) | {"notice_type": "circular"}, notes=notes)


def parse_circular_mail(data: bytes) -> Notice:
    """Notice of a circular as mailed before 2023 (``TITLE: GCN CIRCULAR``, ``NUMBER:``, ...).

    Raises
    ------
    DecodeError
        If it has no number.
    """
    text = data.decode("utf-8", "replace")
    found = {name.lower(): line.strip() for name, line in _HEADER.findall(text[:4096])}
    number = re.match(r"\d+", found.get("number", ""))
    if number is None:
        raise DecodeError("no NUMBER: a circular is known by it")
    when = re.match(r"(\d\d)/(\d\d)/(\d\d) (\d\d):(\d\d):(\d\d)", found.get("date", ""))
    time = None
    if when:
        year, rest = int(when[1]), "{1}-{2} {3}:{4}:{5}".format(*when.groups())
        time = parse_time(f"{year + (1900 if year > 80 else 2000)}-{rest}")
    subject = found.get("subject", "")
    notes = [] if time else ["DATE is no time"]
    fields = {"notice_type": "circular", "subject": subject or None, "submitter": found.get("from")}
    return _circular(number[0], _names(None, subject, text), time, text, fields=fields, notes=notes)


def _circular(
    number: str, names: tuple[str, ...], time: datetime | None, said: str, *, fields: Mapping[str, Any], notes: list[str]
) -> Notice:
    return Notice(
        native_id=f"circular-{number}",
        event_name=names[0] if names else None,
        names=names[1:],
        time=time,
        issued=time,
        alert_tense="test" if any(map(is_mock, names)) else None,
        circular=number,
        mark=digest(said.encode("utf-8", "replace")),
        deviations=tuple(notes),
        fields={**fields, "circularId": number},
    )


def _names(event_id: str | None, subject: str, body: str) -> tuple[str, ...]:
    """Names of the event a circular is about: what it is filed under, else the subject's first, and what that is set equal to.

    Two names are one event's where the subject joins them (``EP240315a / GRB 240315C``) and they are of different kinds of the
    same messenger: a burst in coincidence with a superevent remains another event.
    """
    subject = subject[:_SUBJECT_LONGEST]
    listed = names_in(subject)
    first = name_event(None, event_id)
    first = (superevent(first) or first) if first else next(iter(listed), None)
    if first is None:
        return ()
    names = [first]
    for pair in pairwise(listed):
        if set(pair) & set(names) and _joined(subject, *pair):
            names += pair
    names += [
        f"{mission} {number.lstrip('0')}"
        for mission, burst, number in _TRIGGERED.findall(body[:_BODY_LOOKED_INTO])
        if _key(burst) in map(_key, names)
    ]
    return tuple(dict.fromkeys(names))


def _joined(subject: str, one: str, other: str) -> bool:
    if _kind(one) == _kind(other) or "" in {_kind(one), _kind(other)}:
        return False
    between = r"\s*(?:/|=|\(|aka|also known as)\s*"
    return re.search(_spelled(one) + between + _spelled(other), subject, re.IGNORECASE) is not None


def _spelled(name: str) -> str:
    return r"[\s-]?".join(re.escape(part) for part in re.split(r"[\s-]", re.sub(r"(?<=[A-Za-z])(?=\d)", " ", name)))


def _key(name: str) -> str:
    return name.replace(" ", "").casefold()


def _kind(name: str) -> str:
    """``GRB``, ``EP``, ``SN``, ...; nothing for gravitational waves and neutrinos, which are no other names of light."""
    found = re.match(r"(GRB|XRF|FRB|EP|AT|SN|SGR)(?![A-Za-z])", name)
    return found[1] if found else ""
