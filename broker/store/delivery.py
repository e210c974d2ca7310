"""What a delivery is: one thing that a subscription is to be told.

It is ``pending`` until its receiver has acknowledged it (``delivered``) or it is given up (``failed``); one that was never to
be told is ``skipped``, one that is to be told no more ``cancelled``.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, get_args

from sqlalchemy import Row

from broker.store.times import from_micros

__all__ = [
    "CANCELLED",
    "DELIVERED",
    "FAILED",
    "PENDING",
    "SKIPPED",
    "STATES",
    "Change",
    "Delivery",
    "State",
    "delivery_id",
    "of_row",
    "told_of",
]

State = Literal["pending", "delivered", "failed", "skipped", "cancelled"]
Change = Literal["match", "update", "retraction", "test"]
PENDING: Final = "pending"
DELIVERED: Final = "delivered"
FAILED: Final = "failed"
SKIPPED: Final = "skipped"
CANCELLED: Final = "cancelled"
STATES: Final[tuple[str, ...]] = get_args(State)

_INSTANTS: Final = ("received", "created", "due", "begun", "tried", "acknowledged", "lease_until")
_SPACE: Final = uuid.UUID("6f3f7f0c-52a5-5d8f-9a2e-3f6a8f0f9c11")


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery.

    Parameters
    ----------
    id
        ``dlv_`` and 24 hexadecimal digits: the same however often it is sent, so that repeats can be told.
    object
        What `Subscription.only_first` goes by.
    change
        ``match``; ``update`` and ``retraction`` are later words on a match; ``test``.
    event, revision
        On whose account there is an update.
    body
        JSON text: the ``data`` of the message; empty for one that was skipped.
    received
        When the alert was; of what an event brought later, when that was published.
    due
        When it is tried next; of one that is on its way, when it is tried again if nothing is heard of it.
    attempts, begun, tried
        How often it was tried, and when first and last.
    status, error
        What the last try came to: status of HTTP, and a sentence.
    acknowledged
        When its receiver had it.
    digest
        Id of the message that it went with, where it went with others.
    lease_by, lease_until
        Which process has it in hand.
    told
        Marks of the addresses that have it, with spaces between, where a message goes to several and not all took it.
    """

    id: str
    subscription: str
    filter: str
    version: str
    alert_id: str
    object: str
    change: Change
    event: str | None
    revision: int | None
    body: str
    state: State
    received: datetime
    created: datetime
    due: datetime
    attempts: int
    begun: datetime | None
    tried: datetime | None
    status: int | None
    error: str | None
    acknowledged: datetime | None
    digest: str | None
    lease_by: str | None
    lease_until: datetime | None
    told: str | None


def delivery_id(  # noqa: PLR0917 - they are its key, in order
    subscription: str, filter_name: str, alert_id: str, change: str, event: str | None, revision: int | None
) -> str:
    """Id of a delivery, the same whenever it is made again."""
    key = "\x1f".join((subscription, filter_name, alert_id, change, event or "", "" if revision is None else str(revision)))
    return f"dlv_{uuid.uuid5(_SPACE, key).hex[:24]}"


def of_row(row: Row[Any]) -> Delivery:
    """Delivery of a row of the table."""
    values: dict[str, Any] = dict(row._mapping)  # noqa: SLF001 - its public name
    return Delivery(**values | {name: from_micros(values[name]) for name in _INSTANTS})


def told_of(some: Iterable[Delivery]) -> frozenset[str]:
    """Marks of the addresses that have all of some deliveries."""
    return frozenset[str].intersection(*(frozenset((one.told or "").split()) for one in some))
