"""Telling of events: what each notice of a batch made of its event goes out on ``events`` and ``test.events``."""

from __future__ import annotations

from collections.abc import Sequence

from broker.deliver.events import encode_event
from broker.record import Message
from broker.store.events import events_after
from broker.store.revisions import EventChange
from broker.wiring.parts import Parts

__all__ = ["events_messages"]


def events_messages(parts: Parts, changes: Sequence[EventChange]) -> list[Message]:
    """A message a change: what was known after it, whatever came later, so that a batch done again says the same."""
    asked = [(change.event_name, change.revision) for change in changes]
    return [encode_event(event) for event in events_after(parts.store, asked)]
