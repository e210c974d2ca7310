"""Schemas of what we publish, for those within who read it back."""

from __future__ import annotations

import json

from broker.api.services import PublishedSchema
from broker.deliver.schema import load_published
from broker.paths import shipped

__all__ = ["published"]


def published() -> list[PublishedSchema]:
    """Each under its own name."""
    return [PublishedSchema(one.id, one.name, 1, json.dumps(one.schema)) for one in load_published(shipped("schemas"))]
