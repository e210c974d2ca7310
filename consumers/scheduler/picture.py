"""A picture of a plan: its fields over the map, by time, with what was observed before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from consumers import sky_picture
from consumers.cells import Cells
from consumers.scheduler.observed import Footprint
from consumers.scheduler.plan import Outcome, Scheduled
from consumers.scheduler.request import Place, Request

__all__ = ["draw"]

_SHORT: Final = 0.01  # days: times closer together have seconds
_NUMBERED: Final = 40  # fields that are numbered at most


def draw(title: str, cells: Cells, outcome: Outcome, request: Request, prints: Sequence[Footprint]) -> bytes:
    """PNG of a plan.

    Parameters
    ----------
    title
        The event's name.
    cells
        The map as it came.
    prints
        What was observed.
    """
    first: dict[str | int, Scheduled] = {}
    for one in outcome.visits:
        first.setdefault(one.place.name, one)
    used = list(first.values())
    ra, dec = np.array([one.place.ra for one in used]), np.array([one.place.dec for one in used])
    view = sky_picture.view_of(cells, (ra, dec) if used else None, margin=0.7 * max(request.fov.width, request.fov.height))
    size = (9.6, 4.9) if view.whole else (8.6, 8.2)
    rect = (0.01, 0.02, 0.86, 0.9) if view.whole else (0.07, 0.04, 0.78, 0.88)
    made, axes = sky_picture.figure(view, rect, size)
    sky_picture.paint(axes, view, cells)
    if outcome.places and not request.galaxies:
        _outline(axes, view, request, outcome.places, color="#8d99a6", linewidth=0.4, zorder=2)
    for number, print_ in enumerate(prints):
        style = {"color": "#111111", "linewidth": 1.0, "linestyle": (0, (2, 2)), "zorder": 3}
        _trace_print(axes, view, print_, style | ({"label": "observed before"} if number == 0 else {}))
    if used:
        _fields(made, axes, view, request, used)
    fields = "one field" if len(used) == 1 else f"{len(used)} fields"
    told = f"{title} from {request.site.name}: {outcome.probability['plan']:.1%} of the probability in {fields}"
    if len(used) == 1:
        told += f", at {used[0].exposures[0][0].strftime('%Y-%m-%d %H:%M')} UTC"
    if prints:
        told += f"; {outcome.probability['new']:.1%} not observed before"
    if outcome.reason:
        told = f"{title} from {request.site.name}: nothing to observe\n{outcome.reason}"
    made.suptitle(told.replace("$", r"\$"), fontsize=10, y=0.98)
    if prints:
        made.legend(loc="lower left", fontsize=8, frameon=False)
    return sky_picture.picture_bytes(made)


def _fields(made: Any, axes: Any, view: sky_picture.View, request: Request, used: Sequence[Scheduled]) -> None:
    """Fields of the plan, coloured by when they are first observed, and a bar that tells the times."""
    from matplotlib import colormaps, dates  # noqa: PLC0415 - a second, for pictures only
    from matplotlib.cm import ScalarMappable  # noqa: PLC0415
    from matplotlib.colors import Normalize  # noqa: PLC0415

    starts = np.array([one.exposures[0][0].plot_date for one in used])
    spread = starts.max() - starts.min()
    scale = Normalize(starts.min(), starts.min() + max(spread, 1e-3))
    tint = colormaps["viridis"]
    for number, (one, start) in enumerate(zip(used, starts, strict=True), 1):
        _outline(axes, view, request, [one.place], color=tint(scale(start)), linewidth=1.6, zorder=4)
        if len(used) <= _NUMBERED:
            x, y = view.forward([one.place.ra], [one.place.dec])
            axes.text(x[0], y[0], str(number), fontsize=7, ha="center", va="center", color="#1a1a1a", zorder=5)
    if len(used) == 1:
        return
    bar = made.colorbar(
        ScalarMappable(scale, tint),
        cax=made.add_axes((0.88, 0.12, 0.022, 0.72)),
        format=dates.DateFormatter("%H:%M"),  # type: ignore[no-untyped-call]
    )
    bar.locator = dates.AutoDateLocator(minticks=3, maxticks=9)  # type: ignore[no-untyped-call]
    bar.update_ticks()
    bar.set_label(f"first observed, UTC, {used[0].exposures[0][0].strftime('%Y-%m-%d')}", fontsize=8)
    bar.ax.tick_params(labelsize=8)


def _outline(axes: Any, view: sky_picture.View, request: Request, places: Sequence[Place], **style: Any) -> None:
    """Outlines of fields, all as one line."""
    lines = []
    for place in places:
        ra, dec = request.fov.outline(place.ra, place.dec, points=8)
        lines.append(np.column_stack([[*ra, ra[0], np.nan], [*dec, dec[0], np.nan]]))
    sky_picture.trace(axes, view, *np.concatenate(lines).T, **style)


def _trace_print(axes: Any, view: sky_picture.View, print_: Footprint, style: dict[str, Any]) -> None:
    from consumers.scheduler.fields import Field  # noqa: PLC0415

    if print_.ras.size:
        ra, dec = print_.ras, print_.decs
    else:
        ra, dec = Field(2.0 * print_.radius, 2.0 * print_.radius, circle=True).outline(print_.ra, print_.dec)
    sky_picture.trace(axes, view, np.append(ra, ra[0]), np.append(dec, dec[0]), **style)
