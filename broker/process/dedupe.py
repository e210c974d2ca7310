"""Step: what was met before, at another origin, leaves.

An alert owns its id with the origin (topic, partition, offset) it was first met at. Met again at its own origin it is a batch
done again after a crash, and goes on. A notice with the id of another and other bytes is a revision: an alert of its own, under
an id that tells its bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
import polars as pl

from broker.alert import Batch, Step, drop_rows

__all__ = ["Claimer", "Owner", "dedupe"]

Origin = tuple[str, int, int]


class Owner(Protocol):
    """Who has an id."""

    @property
    def origin(self) -> Origin:
        """Topic, partition and offset it was first met at."""

    @property
    def digest(self) -> bytes | None:
        """Of the bytes it had there."""


Claimer = Callable[[Sequence[str], Sequence[Origin], Sequence[bytes | None]], Sequence[Owner]]
"""Ids, their origins and digests, each id once: claims what is free, and tells who has each."""


def dedupe(claim: Claimer) -> Step:
    """Step that drops duplicates and names revisions ``<id>;<first 8 hex of the digest>``.

    Parameters
    ----------
    claim
        Atomic over processes.
    """

    def step(batch: Batch) -> Batch:
        if batch.frame.is_empty():
            return batch
        rows = _Rows(batch)
        owners = rows.claimed(claim, rows.ids)
        revised = [
            f"{alert_id};{digest.hex()[:8]}"
            if digest is not None and origin != owner.origin and digest != owner.digest
            else None
            for alert_id, origin, digest, owner in zip(rows.ids, rows.origins, rows.digests, owners, strict=True)
        ]
        ids = rows.ids
        if any(revised):
            ids = [new or old for new, old in zip(revised, rows.ids, strict=True)]
            owners = rows.claimed(claim, ids, only=revised, known=owners)
            batch = replace(batch, frame=batch.frame.with_columns(pl.Series("alert_id", ids, pl.String)))
        return _without_repeats(batch, ids, rows.origins, owners)

    return step


class _Rows:
    """Ids, origins and digests of a batch."""

    def __init__(self, batch: Batch) -> None:
        origins = [(record.topic, record.partition, record.offset) for record in batch.records]
        self.ids: list[str] = batch.frame["alert_id"].to_list()
        self.origins: list[Origin] = [origins[index] for index in batch.frame["_record"].to_list()]
        has_digest = "_digest" in batch.frame.columns
        self.digests: list[bytes | None] = batch.frame["_digest"].to_list() if has_digest else [None] * len(self.ids)

    def claimed(
        self,
        claim: Claimer,
        ids: list[str],
        only: Sequence[object] | None = None,
        known: list[Owner] | None = None,
    ) -> list[Owner]:
        """Owner of each row's id, claimed for the first row that has it; of the rows outside `only`, the one known."""
        first: dict[str, int] = {}
        for row, alert_id in enumerate(ids):
            if only is None or only[row]:
                first.setdefault(alert_id, row)
        rows = list(first.values())
        found = claim(list(first), [self.origins[row] for row in rows], [self.digests[row] for row in rows])
        owner = dict(zip(first, found, strict=True))
        if only is None or known is None:
            return [owner[alert_id] for alert_id in ids]
        return [owner[alert_id] if only[row] else known[row] for row, alert_id in enumerate(ids)]


def _without_repeats(batch: Batch, ids: Sequence[str], origins: Sequence[Origin], owners: Sequence[Owner]) -> Batch:
    """Keep the first row of each id at its owner's origin."""
    kept: set[str] = set()
    drop = np.zeros(len(ids), np.bool_)
    for row, (alert_id, origin, owner) in enumerate(zip(ids, origins, owners, strict=True)):
        if alert_id in kept or origin != owner.origin:
            drop[row] = True
        else:
            kept.add(alert_id)
    duplicates = int(drop.sum())
    return drop_rows(batch, drop, duplicates=duplicates) if duplicates else batch
