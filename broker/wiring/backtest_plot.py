"""A picture of a backtest: its nights, and the magnitudes of what it picked."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, Final

__all__ = ["draw"]

_ALL, _PICKED = "#c9d3dc", "#a31e3f"
_NAMED: Final = 14  # nights that have their date below them at most


def draw(told: Mapping[str, Any]) -> bytes:
    """PNG of a backtest, as `broker.wiring.backtest.Backtest.as_dict` has it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - takes a second
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(10.0, 4.2), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    nights, mags = figure.subplots(1, 2, width_ratios=(3, 2))
    rows = told["nights"]
    numbers = range(len(rows))
    nights.bar(numbers, [row["matched"] for row in rows], color=_PICKED, width=0.8)
    nights.set_xlim(-0.6, max(len(rows), 6) - 0.4)
    step = max(1, -(-len(rows) // _NAMED))
    nights.set_xticks(numbers[::step], [row["night"] for row in rows[::step]], rotation=45, ha="right", fontsize=8)
    nights.set_ylabel("alerts picked")
    nights.set_title(f"nights: {told['per_night']:.3g} a night on average", fontsize=10)
    bins = told["magnitudes"]
    width = bins[0]["high"] - bins[0]["low"] if bins else 1.0
    places = [row["low"] for row in bins]
    mags.bar(places, [row["matched"] for row in bins], width=width, align="edge", color=_PICKED, edgecolor="white")
    mags.set_xlabel("magnitude")
    mags.set_title("magnitudes of those picked", fontsize=10)
    for axes in (nights, mags):
        axes.grid(axis="y", color=_ALL, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.yaxis.get_major_locator().set_params(integer=True)
    figure.suptitle(
        f"{told['filter']} {told['version']}: {told['matched']:,} of {told['evaluated']:,} alerts ({told['share']:.2%})",
        fontsize=12,
    )
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
