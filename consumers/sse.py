"""Server-Sent Events out of lines of text, as <https://html.spec.whatwg.org/multipage/server-sent-events.html> has them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

__all__ = ["Event", "events", "lines"]


_END = re.compile("\r\n|\n|\r")


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


def lines(texts: Iterable[str]) -> Iterator[str]:
    """Lines of a stream that comes in pieces; they end with CR, LF or both, and with nothing else that Python ends lines at."""
    rest = ""
    for text in texts:
        rest += text
        *whole, rest = _END.split(rest)
        if rest == "" and whole and text.endswith("\r"):  # its LF may still be under way
            rest = whole.pop() + "\r"
        yield from whole
    if rest:
        yield rest.removesuffix("\r")
