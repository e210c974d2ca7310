"""Circulars, as JSON and as mail."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from broker.decode.circular import from_circular, parse_circular_mail
from broker.errors import DecodeError

CIRCULAR = {"circularId": 33603, "eventId": "GRB 230410A", "subject": "GRB 230410A: x", "body": "y", "createdOn": 1718212589034}


def test_json() -> None:
    notice = from_circular(CIRCULAR)
    assert notice.native_id == "circular-33603"
    assert notice.event_name == "GRB 230410A"
    assert notice.time == datetime(2024, 6, 12, 17, 16, 29, 34_000, tzinfo=UTC)
    assert notice.fields["circularId"] == "33603"
    assert notice.fields["subject"] == "GRB 230410A: x"
    assert notice.fields["notice_type"] == "circular"


def test_json_without_event_or_sane_time() -> None:
    notice = from_circular({**CIRCULAR, "eventId": None, "subject": "x", "createdOn": 10**30})
    assert (notice.event_name, notice.time) == (None, None)
    assert notice.deviations == ("createdOn is no time",)


def test_mail() -> None:
    notice = parse_circular_mail(
        b"TITLE:   GCN CIRCULAR\nNUMBER:  40\nSUBJECT: GRB980329: VLA observations\n"
        b"DATE:    98/04/03 07:10:15 GMT\nFROM:    A B <a@b.c>\n\nText."
    )
    assert notice.native_id == "circular-40"
    assert notice.event_name == "GRB 980329"
    assert notice.time == datetime(1998, 4, 3, 7, 10, 15, tzinfo=UTC)
    assert notice.fields["submitter"] == "A B <a@b.c>"


def test_without_a_number() -> None:
    with pytest.raises(DecodeError, match="circularId"):
        from_circular({"eventId": "x", "subject": "y", "body": "z"})
    with pytest.raises(DecodeError, match="NUMBER"):
        parse_circular_mail(b"TITLE: GCN CIRCULAR\nSUBJECT: x\n")
