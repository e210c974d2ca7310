"""A finding chart: where a source is among its neighbours, north up and east to the left.

From the cutout that came with the alert; without one, from the sources of catalogues round it.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from broker.science.projection import AzimuthalEqualArea

__all__ = ["Source", "draw", "nice"]

FloatArray = npt.NDArray[np.float64]

_FIELD: Final = 60.0  # arcseconds round the source where there is no cutout
_MARK: Final = "#d1123f"
_NAMED: Final = 8  # neighbours that get their name
_LOOKS: Final = (("o", "#1c6fd0"), ("s", "#13804c"), ("D", "#a8247c"), ("^", "#8a6400"), ("v", "#6a3fd0"), ("P", "#0b7f8c"))


@dataclass(frozen=True, slots=True)
class Source:
    """A catalogue's source: degrees, ICRS; `mag` where the catalogue has one."""

    catalog: str
    name: str
    ra: float
    dec: float
    mag: float | None = None


@dataclass(frozen=True, slots=True)
class _Ink:
    """Colour of strokes and letters, and of the edge round them: a cutout can be bright or dark anywhere."""

    colour: str
    around: str

    def edge(self, width: float = 3.0) -> list[Any]:
        from matplotlib.patheffects import withStroke  # noqa: PLC0415

        return [withStroke(linewidth=width, foreground=self.around)]


def draw(
    ra: float,
    dec: float,
    cutout: bytes | None = None,
    *,
    stream: str = "",
    sources: Sequence[Source] = (),
    field: float = _FIELD,
    title: str = "",
    note: str = "",
) -> bytes:
    """Finding chart as a PNG file, 720 pixels wide.

    Parameters
    ----------
    ra, dec
        Of the source, degrees, ICRS.
    cutout
        FITS, gzipped or not. One that cannot be read is left out.
    stream
        Whose cutout it is: some surveys' do not say how they lie on the sky, and are known.
    sources
        Neighbours to mark.
    field
        Arcseconds from the middle to the sides where there is no cutout that says how large it is.
    title, note
        Above and below the picture.
    """
    # need a second to load, and only pictures need them
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(6.0, 6.6), dpi=120, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.03, 0.075, 0.94, 0.94 * 6.0 / 6.6))
    axes.set_xticks([])
    axes.set_yticks([])
    half, known = _image(axes, ra, dec, cutout, stream=stream, field=field)
    axes.set_xlim(half, -half)  # east to the left
    axes.set_ylim(-half, half)
    axes.set_aspect("equal")
    on_image = bool(axes.images)
    ink = _Ink("white", "#101418") if on_image else _Ink("#20262e", "white")
    if known:
        _sources(axes, ra, dec, sources, half, on_image=on_image)
        _compass(axes, half, ink)
    _scale_bar(axes, half, ink, '"' if known else " px")
    _cross_hair(axes, half)
    figure.text(0.03, 0.965, title.replace("$", r"\$"), fontsize=12, fontweight="bold", va="center")
    figure.text(0.03, 0.035, note.replace("$", r"\$"), fontsize=9, va="center", color="#40484f")
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": "Nuncius"})
    return out.getvalue()


def _image(axes: Any, ra: float, dec: float, data: bytes | None, *, stream: str, field: float) -> tuple[float, bool]:
    """Draw a cutout; half the width of the picture, and whether that is in arcseconds (else in pixels)."""
    if not data:
        return field, True
    from matplotlib.transforms import Affine2D  # noqa: PLC0415

    from broker.errors import UsageError  # noqa: PLC0415
    from broker.science.cutout import GEOMETRY, read_cutout, stretch  # noqa: PLC0415

    try:
        image = read_cutout(data, ra, dec, GEOMETRY.get(stream))
    except UsageError:
        return field, True
    # Along a row to the right of the picture is to the west, where nobody says otherwise.
    matrix = image.sky if image.sky is not None else np.array([[-1.0, 0.0], [0.0, 1.0]])
    column, row = image.place
    shift = -matrix @ np.array([column, row])
    place = Affine2D(np.array([[*matrix[0], shift[0]], [*matrix[1], shift[1]], [0.0, 0.0, 1.0]]))
    grey = stretch(image.pixels)
    shown = np.ma.masked_array(grey, ~np.isfinite(image.pixels))
    high, wide = grey.shape
    drawn = axes.imshow(
        shown, origin="lower", cmap="gray", vmin=0, vmax=255, interpolation="nearest",
        extent=(-0.5, wide - 0.5, -0.5, high - 0.5),
    )  # fmt: skip
    drawn.set_transform(place + axes.transData)
    axes.set_facecolor("#101418")
    corners = np.array([[x, y] for x in (-0.5, wide - 0.5) for y in (-0.5, high - 0.5)]) @ matrix.T + shift
    return float(np.abs(corners).max()) if image.sky is None else _inner(corners), image.sky is not None


def _inner(corners: FloatArray) -> float:
    """Half the width of a square that shows all of an image; of one that is turned by little, no empty corners."""
    return float(np.median(np.abs(corners)))


def _offsets(ra: float, dec: float, sources: Sequence[Source]) -> tuple[FloatArray, FloatArray]:
    """Arcseconds to the east and to the north of the middle."""
    x, y = AzimuthalEqualArea(ra, dec, 1.0).forward([one.ra for one in sources], [one.dec for one in sources])
    return -3600.0 * x, 3600.0 * y


def _sources(axes: Any, ra: float, dec: float, sources: Sequence[Source], half: float, *, on_image: bool) -> None:
    """Rings on an image, dots by brightness on paper; the nearest ones with their names."""
    if not sources:
        return
    east, north = _offsets(ra, dec, sources)
    looks = dict(zip(dict.fromkeys(one.catalog for one in sources), _LOOKS * (1 + len(sources) // len(_LOOKS)), strict=False))
    seen = np.flatnonzero((np.abs(east) < half) & (np.abs(north) < half))
    for catalog, (marker, colour) in looks.items():
        rows = [number for number in seen.tolist() if sources[number].catalog == catalog]
        if rows:
            sizes = [190.0 if on_image else _size(sources[number].mag) for number in rows]
            axes.scatter(
                east[rows], north[rows], s=sizes, marker=marker, linewidths=1.4, zorder=3, label=catalog.replace("$", r"\$"),
                facecolors="none" if on_image else colour, edgecolors="#ffd25c" if on_image else colour,
            )  # fmt: skip
    for number in seen[np.argsort(np.hypot(east[seen], north[seen]))][:_NAMED].tolist():
        axes.annotate(
            sources[number].name.replace("$", r"\$"), (east[number], north[number]), (9, 7), textcoords="offset points",
            fontsize=8, color="#ffe9a8" if on_image else "#20262e", zorder=5, clip_on=True,
        )  # fmt: skip
    if seen.size:
        axes.legend(loc="upper right", fontsize=8, framealpha=0.85)


def _size(mag: float | None) -> float:
    return 45.0 if mag is None else float(np.clip(14.0 * (21.0 - mag), 10.0, 220.0))


def _cross_hair(axes: Any, half: float) -> None:
    """Two strokes that point at the source and leave it free."""
    inner, outer = 0.06 * half, 0.2 * half
    style = {"color": _MARK, "linewidth": 2.0, "solid_capstyle": "butt", "zorder": 6}
    axes.plot([-inner, -outer], [0.0, 0.0], **style)
    axes.plot([0.0, 0.0], [inner, outer], **style)


def _compass(axes: Any, half: float, ink: _Ink) -> None:
    root, length = (-0.86 * half, -0.9 * half), 0.2 * half
    arrow = {"arrowstyle": "-|>", "color": ink.colour, "lw": 1.6, "shrinkA": 0.0, "shrinkB": 0.0, "path_effects": ink.edge()}
    for name, east, north in (("N", 0.0, length), ("E", length, 0.0)):
        tip = (root[0] + east, root[1] + north)
        axes.annotate("", tip, root, arrowprops=arrow, zorder=6)
        axes.text(
            tip[0] + 0.28 * east, tip[1] + 0.28 * north, name, color=ink.colour, fontsize=11, fontweight="bold", ha="center",
            va="center", zorder=6, path_effects=ink.edge(),
        )  # fmt: skip


def _scale_bar(axes: Any, half: float, ink: _Ink, unit: str) -> None:
    length = nice(0.5 * half)
    left, low = 0.9 * half, -0.88 * half
    axes.plot(
        [left, left - length], [low, low], color=ink.colour, linewidth=3.0, solid_capstyle="butt", zorder=6,
        path_effects=ink.edge(5.0),
    )  # fmt: skip
    text = f"{length / 60.0:g}'" if unit == '"' and length >= 60.0 else f"{length:g}{unit}"
    axes.text(
        left - 0.5 * length, low + 0.035 * half, text, color=ink.colour, fontsize=10, ha="center", va="bottom", zorder=6,
        path_effects=ink.edge(),
    )  # fmt: skip


def nice(most: float) -> float:
    """Largest of 1, 2, 5, 10, 20, 30, 60, 120, 300, ... that is no larger than `most`: a length that minutes are made of."""
    steps = [1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0]
    found = [step for step in steps if step <= most]
    return found[-1] if found else 10.0 ** math.floor(math.log10(most))
