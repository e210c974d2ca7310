"""Times as people write them on a command line or in a file, UTC."""

from __future__ import annotations

from datetime import UTC, datetime

from consumers.errors import RequestError
from consumers.options import Start

__all__ = ["beginning", "moment", "night_date"]

_YEARS = (1972, 2098)  # UTC has leap seconds since; erfa's Earth and Sun end with 2099


def moment(name: str, text: str, kind: str = "time") -> datetime:
    """A time: ISO 8601, UTC unless it says otherwise, or ``now``.

    Parameters
    ----------
    name
        Of the option or key, for the error.
    kind
        What it is called there.

    Raises
    ------
    RequestError
        It is none.
    """
    if text == "now":
        return datetime.now(UTC)
    try:
        found = datetime.fromisoformat(text)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:  # also what an offset moves out of the calendar
        raise RequestError(f"{name} {text!r} is no {kind}: write it like 2026-11-21 or 2026-11-21T04:00:00 (UTC)") from error


def night_date(name: str, text: str, kind: str = "time") -> datetime:
    """A time whose night can be told, from 1972 to 2098; arguments and errors as of `moment`."""
    found = moment(name, text, kind)
    first, last = _YEARS
    if not first <= found.year <= last:
        raise RequestError(f"{name} {text!r} is too far off: nights are told from {first} to {last}")
    return found


def beginning(name: str, text: str) -> Start:
    """Where to begin to read: ``earliest``, ``latest`` or a time; arguments and errors as of `moment`."""
    return text if text in {"earliest", "latest"} else moment(name, text, "time, nor earliest or latest")
