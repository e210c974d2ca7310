"""Light curves as pictures: points are where they belong, bright above faint, each band in its colour."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from broker.science.lightcurve_plot import BANDS, OTHER, draw


def curve(*rows: tuple[Any, ...], **more: Any) -> pl.DataFrame:
    names = ("time", "mag", "mag_err", "band", "kind")
    schema = {"time": pl.Float64, "mag": pl.Float64, "mag_err": pl.Float64, "band": pl.String, "kind": pl.String}
    return pl.DataFrame([dict(zip(names, row, strict=True)) for row in rows], schema=schema).with_columns(
        **{name: pl.Series(values) for name, values in more.items()}
    )


def picture(data: bytes | None) -> npt.NDArray[np.float64]:
    assert data is not None
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(float) / 255


def middles(shown: npt.NDArray[np.float64], band: str) -> list[tuple[float, float]]:
    """Columns and rows of the middles of all patches of a band's colour, from left to right."""
    from scipy import ndimage

    look = BANDS.get(band, OTHER)
    close = np.abs(shown - to_rgb(look.colour)).max(axis=2) < 0.06
    patches, count = ndimage.label(close)
    sizes = ndimage.sum(close, patches, range(1, count + 1))
    found = ndimage.center_of_mass(close, patches, [number + 1 for number in range(count) if sizes[number] > 25])
    return sorted((column, row) for row, column in found)


def test_points_lie_as_their_values_do() -> None:
    rows = [(60_000.0, 20.0, "g"), (60_004.0, 18.0, "g"), (60_008.0, 19.0, "g"), (60_002.0, 19.5, "r")]
    shown = picture(draw(curve(*((time, mag, None, band, "detection") for time, mag, band in rows))))
    *points, legend = middles(shown, "g")
    (x0, y0), (x1, y1), (x2, y2) = points
    assert x1 - x0 == pytest.approx(x2 - x1, abs=1.5)
    assert y1 < y2 < y0  # the brightest is on top
    assert y2 - y1 == pytest.approx(y0 - y2, abs=1.5)
    assert legend[0] > x2
    (xr, yr), _ = middles(shown, "r")
    assert xr == pytest.approx((x0 + x1) / 2, abs=1.5)
    assert yr == pytest.approx((y0 + y2) / 2, abs=1.5)


def test_bands_have_colours_and_shapes_of_their_own() -> None:
    looks = [BANDS[name] for name in "ugrizy"]
    assert len({look.colour for look in looks}) == len({look.marker for look in looks}) == 6
    shown = picture(draw(curve(*((60_000.0 + number, 18.0, 0.1, band, "detection") for number, band in enumerate("ugrizy")))))
    for band in "ugrizy":
        assert len(middles(shown, band)) == 2, band  # the point, and in the legend
    assert len(middles(picture(draw(curve((60_000.0, 18.0, 0.1, "F606W", "detection")))), "F606W")) == 2


def test_errors_limits_and_the_ring_of_this_alert() -> None:
    rows = [(60_000.0, 20.0, 0.02, "r", "detection"), (60_004.0, 18.0, 0.02, "r", "detection")]
    plain = picture(draw(curve(*rows)))
    wide = picture(draw(curve((60_000.0, 20.0, 0.5, "r", "detection"), rows[1])))
    assert (np.abs(wide - to_rgb(BANDS["r"].colour)).max(axis=2) < 0.06).sum() > (
        np.abs(plain - to_rgb(BANDS["r"].colour)).max(axis=2) < 0.06
    ).sum()
    ringed = picture(draw(curve(*rows), now=60_004.0))
    dark = (ringed.max(axis=2) < 0.1).sum() - (plain.max(axis=2) < 0.1).sum()
    assert dark > 100
    np.testing.assert_array_equal(picture(draw(curve(*rows), now=60_002.0)), plain)  # no measurement then
    limited = picture(draw(curve(*rows, (60_002.0, None, None, "r", "limit"), limit=[None, None, 19.0])))
    tint = 0.55 * np.array(to_rgb(BANDS["r"].colour)) + 0.45
    rows_, columns = np.nonzero(np.abs(limited - tint).max(axis=2) < 0.03)
    assert rows_.size > 20
    (x0, _), (x1, _), *_ = middles(limited, "r")
    assert np.median(columns) == pytest.approx((x0 + x1) / 2, abs=4)


def test_what_is_fainter_than_the_reference_is_hollow() -> None:
    rows = [(60_000.0, 20.0, None, "g", "detection"), (60_004.0, 18.0, None, "g", "detection")]
    filled, hollow = (picture(draw(curve(*rows, positive=[True, sign]))) for sign in (True, False))
    count = [(np.abs(each - to_rgb(BANDS["g"].colour)).max(axis=2) < 0.06).sum() for each in (filled, hollow)]
    assert count[1] < 0.85 * count[0]


@pytest.mark.parametrize(
    "frame",
    [
        pl.DataFrame(),
        curve(),
        curve((60_000.0, None, None, "r", "detection")),
        curve((None, 18.0, 0.1, "r", "detection"), (float("nan"), 18.0, 0.1, "r", "detection")),
        curve((60_000.0, float("inf"), 0.1, "r", "detection")),
    ],
)
def test_nothing_to_draw(frame: pl.DataFrame) -> None:
    assert draw(frame) is None


@pytest.mark.parametrize(
    "frame",
    [
        pl.DataFrame({"time": [60_000.0], "mag": [18.0]}),
        curve((60_000.0, 18.0, float("nan"), None, None)),
        curve((60_000.0, 18.0, 1e30, "r", "forced"), (60_000.0, 18.0, -1.0, "r", "forced")),
        curve((40_000.0, 30.0, 0.1, "$r_\\alpha", "detection"), (70_000.0, -5.0, 0.1, "r", "limit")),
        curve(*((60_000.0 + number / 100, 18.0 + number % 7, 0.1, "gri"[number % 3], "detection") for number in range(3000))),
    ],
)
def test_odd_curves_are_drawn(frame: pl.DataFrame) -> None:
    shown = picture(draw(frame, title="$x_1", now=60_000.0))
    assert shown.shape == (576, 960, 3)
