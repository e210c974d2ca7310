"""Schemas of what we publish, for readers elsewhere and for those within who read it back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fnmatch import fnmatchcase

from broker import topics
from broker.api.services import PublishedSchema
from broker.decode.dispatch import NOTICE_STREAMS
from broker.deliver.schema import load_published
from broker.paths import shipped
from broker.wiring.parts import Parts

__all__ = ["published", "subjects"]


def published() -> list[PublishedSchema]:
    """Each under its own name."""
    return [PublishedSchema(one.id, one.name, 1, json.dumps(one.schema)) for one in load_published(shipped("schemas"))]


def subjects(parts: Parts) -> Sequence[PublishedSchema]:
    """A subject for the values of each topic we can write, as Confluent's clients name them, and one for the record itself."""
    names = [topics.alerts(stream) for stream in (*parts.declarations, *NOTICE_STREAMS)]
    names += [topics.matched(spec.name) for spec in parts.filters]
    names += [topics.EVENTS, topics.TEST_EVENTS, topics.COINCIDENCES]
    found: list[PublishedSchema] = []
    for one in load_published(shipped("schemas")):
        subjects = [f"{name}-value" for name in names if any(fnmatchcase(name, glob) for glob in one.topics)]
        number = 1 + sum(other.subject == one.name for other in found)
        found += [PublishedSchema(one.id, subject, number, json.dumps(one.schema)) for subject in (one.name, *sorted(subjects))]
    return found
