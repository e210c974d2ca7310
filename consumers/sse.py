"""Server-Sent Events out of lines of text, as <https://html.spec.whatwg.org/multipage/server-sent-events.html> has them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

__all__ = ["Event", "events"]


class Event(NamedTuple):
    """One event; `id` is empty where it has none of its own."""

    name: str
    data: str
    id: str


def events(lines: Iterable[str]) -> Iterator[Event]:
    """Events of a stream; one that breaks off before its blank line is dropped, as the standard says."""
    name, data, number = "message", list[str](), ""
    for line in lines:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                yield Event(name, "\n".join(data), number)
            name, data, number = "message", [], ""
        elif field == "event":
            name = value
        elif field == "data":
            data.append(value)
        elif field == "id":
            number = value
