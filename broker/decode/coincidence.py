"""Coincidences of events, which we find ourselves and take the way of any notice: filtered, kept, replayed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from broker.decode.notice import Notice, position
from broker.errors import DecodeError

__all__ = ["MARK", "from_coincidence"]

MARK = "coincidence/1.0"
"""Under ``nuncius``: what tells such a message from any other JSON."""


def from_coincidence(value: Mapping[str, Any]) -> Notice:
    """Notice of a coincidence. It belongs to neither event: what is found of two says nothing new of one.

    Raises
    ------
    DecodeError
        It is not as we write them.
    """
    try:
        found, _ = position(value["ra"], value["dec"])
        far = value["far_space_time"] if value["far_space_time"] is not None else value["far_temporal"]
        return Notice(
            native_id=f"{value['id']}/{value['revision']}" + ("/retracted" if value["state"] == "retracted" else ""),
            time=datetime.fromisoformat(value["time"]),
            ra=found.ra,
            dec=found.dec,
            messenger=f"{value['first_messenger']}+{value['second_messenger']}",
            mission=value["second_mission"],
            alert_type="retraction" if value["state"] == "retracted" else "initial",
            alert_tense="current" if value["real"] else "test",
            far=far,
            fields={f"coincidence.{name}": item for name, item in value.items() if name != "nuncius"},
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DecodeError(f"a coincidence that is not as Nuncius writes them: {error!r}") from None
