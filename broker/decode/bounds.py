"""How long names may be: what no index of a database holds is the name of nothing.

PostgreSQL refuses a row whose key has more than some 2,700 bytes. Met there, that would be a fault of every batch the name is
in, for ever; told here it costs the packet that brought it. The longest names in use have some 150 bytes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import polars as pl

from broker.decode.notice import Notice
from broker.errors import DecodeError

__all__ = ["LONGEST", "bounded", "overlong"]

LONGEST: Final = 512
"""Bytes of an id or a name; keys are made of two of them and a little more, and folding may lengthen one threefold."""

_SHOWN = 40


def bounded(notice: Notice) -> Notice:
    """The notice without further names and citations that are too long, which it then says; itself if there are none.

    Raises
    ------
    DecodeError
        Its id or its event's name is too long.
    """
    for what, text in (("id", notice.native_id), ("event's name", notice.event_name)):
        if text is not None and (size := _size(text)) > LONGEST:
            raise DecodeError(_refusal(what, text, size))
    names: dict[str, Any] = {name: getattr(notice, name) for name in ("names", "refers", "related")}
    kept: dict[str, Any] = {name: tuple(text for text in texts if _size(text) <= LONGEST) for name, texts in names.items()}
    kept["cites"] = tuple(pair for pair in notice.cites if _size(pair[1]) <= LONGEST)
    names["cites"] = notice.cites
    notes = [
        f"{len(names[name]) - len(texts)} of {name} left out: more than {LONGEST} bytes"
        for name, texts in kept.items()
        if len(texts) < len(names[name])
    ]
    return replace(notice, **kept, deviations=(*notice.deviations, *notes)) if notes else notice


def overlong(words: pl.DataFrame) -> dict[int, str]:
    """Rows whose ``alert_id`` or ``object_id`` is too long, and why that is no alert."""
    found: dict[int, str] = {}
    for column, what in (("alert_id", "id"), ("object_id", "object's id")):
        sizes = words[column].str.len_bytes()
        for row in (sizes > LONGEST).fill_null(value=False).arg_true().to_list():
            found.setdefault(row, _refusal(what, words[column][row], sizes[row]))
    return found


def _size(text: str) -> int:
    return len(text.encode("utf-8", "replace"))


def _refusal(what: str, text: str, size: int) -> str:
    return f"the {what} has {size} bytes, of {LONGEST} that one may have: begins with {text[:_SHOWN]!r}"
