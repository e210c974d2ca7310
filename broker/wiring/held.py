"""Holding alerts against maps that changed: what `broker.wiring.rescore` does live and a backtest plays again.

Neither has a rule of its own of when to look, what a change means for an alert, or what a filter makes of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from broker.alert import EVENT_KINDS
from broker.filtering.definition import FilterSpec
from broker.filtering.evaluate import make_plan, pick
from broker.process.associate import LiveMap
from broker.science.mapindex import lookup, pack
from broker.store.revisions import EventChange

__all__ = ["PICKED", "calls", "compared", "concerned", "moved", "picked", "within"]

SAME: Final = 1e-6
"""Levels that differ by no more are the same."""
PICKED: Final = {"filter": pl.String, "version": pl.String, "alert_id": pl.String}


def calls(changes: Iterable[EventChange]) -> bool:
    """Whether what notices did to an event calls for a look at the alerts of before."""
    return any(change.map_changed or change.retracted for change in changes)


def concerned(spec: FilterSpec, messenger: str | None) -> bool:
    """Whether a filter asks for maps of a messenger's events."""
    kind = EVENT_KINDS.get((messenger or "").lower(), "-")
    return any(column == "skymaps" or column.startswith(f"{kind}.") for column in spec.columns)


def within(live: LiveMap, level: float, hpx: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Which of some places lie in a map, whatever their time: their numbers."""
    index = pack([live.skymap], [0], [(0, 0)], level)
    found, _, _, _ = lookup(index, hpx, np.zeros(hpx.size, np.int64))
    return np.unique(found)


def picked(filters: Sequence[FilterSpec], rows: pl.DataFrame, fault: Callable[[str, str, str], None]) -> pl.DataFrame:
    """What the filters pick of the rows: ``filter, version, alert_id``.

    Parameters
    ----------
    fault
        Told filter, stream and reason where a filter fails.
    """
    found = [pl.DataFrame(schema=PICKED)]
    for (stream,), some in rows.group_by("stream", maintain_order=True) if not rows.is_empty() else ():
        seeing = [spec for spec in filters if spec.sees(str(stream))]

        def tell(name: str, message: str, at: str = str(stream)) -> None:
            fault(name, at, message)

        versions = {spec.name: str(spec.version) for spec in seeing}
        for name, numbers in pick(make_plan(seeing, some.schema), some, tell).items():
            ids = some["alert_id"].gather(numbers)
            found.append(
                pl.DataFrame({"alert_id": ids}).select(
                    pl.lit(name).alias("filter"), pl.lit(versions[name]).alias("version"), "alert_id"
                )
            )
    return pl.concat(found)


def compared(here: pl.DataFrame, was: pl.DataFrame) -> pl.DataFrame:
    """Associations of an event with what they were before it changed, and whether that is something else (``moved``).

    Parameters
    ----------
    here
        As `broker.store.associations.of_frame` gives them.
    was
        ``alert_id, was_level, was_volume`` and whatever else is to go along; null where an alert was in no map of the event.
    """
    return here.join(was, on="alert_id", how="left", maintain_order="left").with_columns(
        moved=moved("credible_level", "was_level") | moved("volume_level", "was_volume")
    )


def moved(now: str, before: str) -> pl.Expr:
    """Whether a level is another than before."""
    one, other = pl.col(now), pl.col(before)
    return (one.is_null() != other.is_null()) | ((one - other).abs() > SAME).fill_null(value=False)
