"""Step: where a notice says its source is, as a sky map, and how large that is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import polars as pl

from broker.alert import Batch, Step
from broker.errors import SkyMapError
from broker.science.circle import Circle, areas
from broker.science.skymap import SkyMap, area, distance_moments
from broker.science.skymap_fits import read_skymap
from broker.telemetry import get_logger

__all__ = ["COLUMNS", "Keep", "localise", "map_of"]

Keep = Callable[[str, str, SkyMap | Circle], None]
"""Called with alert id, event name, and the map or the error circle that stands for one."""

COLUMNS: Final = {
    "skymap.area50": pl.Float64,  # square degrees
    "skymap.area90": pl.Float64,
    "skymap.distmean": pl.Float64,  # Mpc
    "skymap.diststd": pl.Float64,
    "skymap.order": pl.Int64,  # finest HEALPix order
}
"""Columns the step adds, with their types; null without a map."""

_SMALLEST: Final = 1.0 / 3600.0
"""Degrees: a smaller error circle is drawn as large as this. It then stays the smallest map of its event, as it is its best
position, and positions of surveys agree no better."""
_CONTAINMENT: Final = 0.9
_FULLEST: Final = 0.9973  # a circle said to hold everything is taken to hold three standard deviations

_log = get_logger(__name__)


def localise(keep: Keep) -> Step:
    """Step that measures the map each notice brings, or its error circle: of that the areas are known without a map.

    A map that is refused is told in ``_deviations`` and the notice goes on; its error circle, if it has one, is used instead.
    Batches of surveys pass through.

    Parameters
    ----------
    keep
        Takes the maps and circles of the notices that name an event. It may be called again with what it has, when a batch
        is done again.
    """

    def step(batch: Batch) -> Batch:
        frame = batch.frame
        if "_skymap" not in frame.columns:
            return batch
        rows = frame.select(
            "alert_id", "event_name", "ra", "dec", "ra_dec_error", "containment_probability", "_skymap", "_deviations"
        ).to_dicts()
        measured: list[dict[str, Any]] = []
        deviations: list[str | None] = []
        for row in rows:
            skymap, refused = map_of(row)
            if skymap is not None and row["event_name"]:
                keep(row["alert_id"], row["event_name"], skymap)
            if refused:
                _log.warning("sky map refused", alert_id=row["alert_id"], reason=refused)
            measured.append({} if skymap is None else _measured(skymap))
            deviations.append("; ".join(filter(None, (row["_deviations"], refused))) or None)
        added = [pl.Series(name, [row.get(name) for row in measured], dtype) for name, dtype in COLUMNS.items()]
        return replace(batch, frame=frame.with_columns(*added, pl.Series("_deviations", deviations, pl.String)))

    return step


def map_of(row: dict[str, Any]) -> tuple[SkyMap | Circle | None, str | None]:
    """Map or error circle of a notice, and why the map it brought was refused.

    Parameters
    ----------
    row
        Its ``_skymap``, ``ra``, ``dec``, ``ra_dec_error`` and ``containment_probability``.
    """
    refused = None
    try:
        if row["_skymap"]:
            return read_skymap(row["_skymap"]), None
    except SkyMapError as error:
        refused = str(error)
    radius = row["ra_dec_error"]
    if row["ra"] is None or row["dec"] is None or radius is None or not 0.0 < radius < 180.0:
        return None, refused
    containment = row["containment_probability"] or _CONTAINMENT
    if not 0.0 < containment <= 1.0:
        return None, "; ".join(filter(None, (refused, f"an error circle cannot hold the probability {containment}")))
    return Circle(row["ra"], row["dec"], max(radius, _SMALLEST), min(containment, _FULLEST)), refused


def _measured(skymap: SkyMap | Circle) -> dict[str, Any]:
    if isinstance(skymap, Circle):
        return dict(zip(COLUMNS, areas(skymap, (0.5, 0.9)), strict=False))
    mean, std = distance_moments(skymap) or (None, None)
    values = (area(skymap, 0.5), area(skymap, 0.9), mean, std, skymap.facts.order)
    return dict(zip(COLUMNS, values, strict=True))
