"""The ``What`` of a VOEvent: its parameters under dotted names, with what is known of each."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lxml import etree

from broker.decode.notice import Scalar
from broker.decode.notice_xml import children, text_of

__all__ = ["Param", "number", "read_params", "truth"]

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_LEADING_ZERO = re.compile(r"[+-]?0\d+")
_NAME_END = 64  # of a name that is looked into: the pattern is not linear in its length
_EXACT_DIGITS = 15  # of an integer in a double
_IDENTIFIER = re.compile(r"(^|[._ ])(id|trigid|graceid|trigger_id|.*_id|.*num(ber)?|misc_?flags|pkt_ser_num)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Param:
    """One parameter as written."""

    text: str
    unit: str = ""
    ucd: str = ""
    data_type: str = ""

    def value(self, name: str) -> Scalar:
        """Number, truth value or text; identifiers stay text, whatever they look like."""
        if self.ucd.startswith("meta.id") or _IDENTIFIER.search(name[-_NAME_END:]) or self.data_type == "string":
            return self.text or None
        if self.text.lower() in {"true", "false"}:
            return self.text.lower() == "true"
        exact = sum(map(str.isdigit, self.text)) <= _EXACT_DIGITS or not self.text.lstrip("+-").isdigit()
        if _NUMBER.fullmatch(self.text) and exact and not _LEADING_ZERO.fullmatch(self.text):
            value = float(self.text)
            return value if math.isfinite(value) else None  # 1e999 is no number that JSON or a reader has
        return self.text or None


def read_params(what: etree._Element | None) -> dict[str, Param]:
    """Parameters by name, those in groups as ``Group.Param``; of several by one name the first counts."""
    found: dict[str, Param] = {}
    for name, param in _walk(what):
        found.setdefault(name, param)
    return found


def number(params: Mapping[str, Param], *names: str) -> float | None:
    """The first of these parameters that is a number, and not one past all bounds, such as 1e999."""
    texts = (params[name].text for name in names if name in params)
    found = (float(text) for text in texts if _NUMBER.fullmatch(text))
    return next((value for value in found if math.isfinite(value)), None)


def truth(params: Mapping[str, Param], *names: str) -> bool:
    """Whether any of these parameters says yes."""
    return any(params[name].text.lower() in {"true", "1", "1.0", "yes"} for name in names if name in params)


def _walk(what: etree._Element | None) -> Iterator[tuple[str, Param]]:
    for param in children(what, "Param"):
        yield param.get("name", "").strip(), _param(param)
    for group in children(what, "Group"):
        prefix = (group.get("name") or group.get("type") or "").strip()
        for param in children(group, "Param"):
            name = param.get("name", "").strip()
            yield (f"{prefix}.{name}" if prefix else name), _param(param)


def _param(element: etree._Element) -> Param:
    text = element.get("value")
    if text is None:
        text = text_of(element, "Value") or ""
    data_type = element.get("dataType") or ""
    return Param(text.strip(), (element.get("unit") or "").strip(), (element.get("ucd") or "").strip(), data_type.strip())
