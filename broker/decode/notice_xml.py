"""XML of notices walked by local names.

Local names, because the namespaces of VOEvents differ in the wild (2.0, 2.1, 1.1, https, none) and mean nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator

from lxml import etree

from broker.safe_xml import parse_xml, root_name

__all__ = ["children", "descend", "local_name", "parse_xml", "root_name", "text_of"]


def local_name(element: etree._Element) -> str:
    """Tag without namespace; empty for comments and processing instructions."""
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def children(element: etree._Element | None, name: str) -> Iterator[etree._Element]:
    """Children of that local name."""
    if element is not None:
        yield from (child for child in element if local_name(child) == name)


def descend(element: etree._Element | None, *names: str) -> etree._Element | None:
    """First child of the first name, its first child of the second, and so on; ``None`` where one is missing."""
    for name in names:
        element = next(children(element, name), None)
    return element


def text_of(element: etree._Element | None, *names: str) -> str | None:
    """Text of a descendant without the white space around it; ``None`` where it is missing or empty."""
    found = descend(element, *names)
    return None if found is None else ("".join(str(part) for part in found.itertext()).strip() or None)
