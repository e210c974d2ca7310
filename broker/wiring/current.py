"""Frames as they are now: they keep the sky maps an alert was found in when it came, and maps change."""

from __future__ import annotations

from typing import Final

import polars as pl

from broker.alert import EVENT_KINDS, SKYMAPS_DTYPE
from broker.process.associate import COLUMNS
from broker.store import association_pages
from broker.wiring.parts import Parts

__all__ = ["with_maps_of_now"]

_MAP: Final = ("event", "revision", "credible_level", "density", "dt", "volume_level")


def with_maps_of_now(parts: Parts, frames: pl.LazyFrame) -> pl.LazyFrame:
    """The frames with the columns of the associate step as the latest maps have them, whichever came first."""
    live = association_pages.live(parts.store).sort("alert_id", "credible_level", "event")
    listed = live.group_by("alert_id", maintain_order=True).agg(pl.struct(_MAP).cast(SKYMAPS_DTYPE.inner).alias("skymaps"))
    kind = pl.col("messenger").str.to_lowercase().replace_strict(EVENT_KINDS, default=None, return_dtype=pl.String)
    of_kinds = live.with_columns(kind.alias("kind"))
    for name in EVENT_KINDS.values():
        best = of_kinds.filter(pl.col("kind") == name).unique("alert_id", keep="first", maintain_order=True)
        renamed = (pl.col(column.removeprefix(f"{name}.")).alias(column) for column in COLUMNS if column.startswith(f"{name}."))
        listed = listed.join(best.select("alert_id", *renamed), on="alert_id", how="left")
    return frames.drop(*COLUMNS, strict=False).join(listed.lazy(), on="alert_id", how="left", maintain_order="left")
