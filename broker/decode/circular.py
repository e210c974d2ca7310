"""GCN circulars: what people write, as JSON of today or as the mail of old."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from broker.decode.notice import Notice
from broker.decode.notice_json import as_number, as_text, flatten
from broker.decode.notice_time import parse_time
from broker.errors import DecodeError

__all__ = ["from_circular", "parse_circular_mail"]

_EVENT = re.compile(r"\b(GRB|EP|SN|AT|IceCube-|IceCube|S|MS|FRB|SGR|XRF|LIGO/Virgo(?:/KAGRA)?) ?(\d{4,6}[A-Za-z]{0,4}[\d.]*)\b")
_HEADER = re.compile(r"^(TITLE|NUMBER|SUBJECT|DATE|FROM):\s*(.*)$", re.MULTILINE)


def from_circular(value: Mapping[str, Any]) -> Notice:
    """Notice of a circular's JSON; its time is when it was posted, an edit keeps its number and has other bytes.

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
    return Notice(
        native_id=f"circular-{number}",
        event_name=as_text(value.get("eventId")),
        time=time,
        deviations=tuple(notes),
        fields=flatten(value) | {"notice_type": "circular", "circularId": number},
    )


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
    event = _EVENT.search(subject)
    name = None if event is None else f"{event[1].rstrip('-')}{'' if event[1] in {'S', 'MS', 'EP'} else ' '}{event[2]}"
    notes = () if time else ("DATE is no time",)
    fields = {"notice_type": "circular", "circularId": number[0], "subject": subject or None, "submitter": found.get("from")}
    return Notice(f"circular-{number[0]}", event_name=name, time=time, deviations=notes, fields=fields)
