"""Finding charts: the source is under the cross-hair, north is up and east to the left, whatever way a cutout lies."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import fastavro
import numpy as np
import numpy.typing as npt
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from PIL import Image

from broker.errors import UsageError
from broker.science.cutout import Geometry, read_cutout, stretch
from broker.science.finding_chart import Source, draw, nice

RA, DEC = 150.0, 30.0
SIDE = 720 * 0.94  # pixels of the picture's square; it begins at 3 % of the width and 7.5 % of the height
LEFT, LOW = 720 * 0.03, 792 * (1 - 0.075)


def picture(data: bytes) -> npt.NDArray[np.int64]:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(np.int64)


def at(shown: npt.NDArray[np.int64], east: float, north: float, half: float) -> tuple[int, int]:
    """Row and column of a place, in arcseconds from the middle."""
    return round(LOW - SIDE * (0.5 + north / half / 2)), round(LEFT + SIDE * (0.5 - east / half / 2))


def brightest(shown: npt.NDArray[np.int64], half: float, ring: float) -> tuple[float, float]:
    """Offset of the middle of what is white beyond `ring` arcseconds from the middle, above compass and scale."""
    white = (shown.min(axis=2) > 240)[: round(LOW - 0.15 * SIDE), round(LEFT) + 3 : round(LEFT + SIDE) - 3]
    white[: round(LOW - SIDE) + 3] = False
    rows, columns = np.nonzero(white)
    north = (0.5 - (rows - (LOW - SIDE)) / SIDE) * 2 * half
    east = (0.5 - (columns + round(LEFT) + 3 - LEFT) / SIDE) * 2 * half
    far = np.hypot(east, north) > ring
    return float(np.median(east[far])), float(np.median(north[far]))


def cutout(sources: list[tuple[float, float]], *, turn: float = 0.0, scale: float = 0.5, size: int = 81, mirrored: bool = False,
           place: tuple[float, float] | None = None) -> bytes:  # fmt: skip
    """Image with stars (arcseconds to the east and the north of the source), turned by degrees."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [RA, DEC]
    middle = place or ((size - 1) / 2, (size - 1) / 2)
    wcs.wcs.crpix = [middle[0] + 1, middle[1] + 1]
    c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    flip = 1.0 if mirrored else -1.0
    matrix = np.array([[flip * c, s], [-flip * s, c]]) * scale / 3600
    wcs.wcs.cd = matrix
    pixels = np.random.default_rng(5).normal(100.0, 1.0, (size, size))
    y, x = np.mgrid[:size, :size]
    for east, north in sources:
        dx, dy = np.linalg.solve(matrix * 3600, [east, north])
        pixels += 3000 * np.exp(-((x - middle[0] - dx) ** 2 + (y - middle[1] - dy) ** 2) / 4)
    out = io.BytesIO()
    fits.PrimaryHDU(pixels.astype(np.float32), wcs.to_header()).writeto(out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("turn", "mirrored", "place"),
    [(0, False, None), (37, False, None), (180, False, None), (-90, True, None), (10, False, (30, 45))],
)
def test_a_neighbour_is_where_it_is(turn: float, mirrored: bool, place: tuple[float, float] | None) -> None:
    data = cutout([(0, 0), (6.0, 4.0)], turn=turn, mirrored=mirrored, place=place)
    image = read_cutout(data, RA, DEC)
    assert image.place == pytest.approx(place or (40, 40), abs=1e-3)
    assert image.sky is not None
    corners = np.array([[x, y] for x in (-0.5, 80.5) for y in (-0.5, 80.5)]) - image.place
    half = float(np.median(np.abs(corners @ image.sky.T)))
    shown = picture(draw(RA, DEC, data, title="a"))
    east, north = brightest(shown, half, 3.0)
    assert (east, north) == pytest.approx((6.0, 4.0), abs=0.6)
    row, column = at(shown, 0, 0, half)
    assert shown[row - 3 : row + 4, column - 3 : column + 4].mean() > 200  # the source itself, not covered by the cross-hair


def test_the_cross_hair_points_at_the_middle() -> None:
    shown = picture(draw(RA, DEC, cutout([(0, 0)])))
    red = (shown[..., 0] > 180) & (shown[..., 1] < 60)
    rows, columns = np.nonzero(red)
    row, column = at(shown, 0, 0, 1)
    upright = np.abs(columns - column) < 3
    level = np.abs(rows - row) < 3
    assert upright.sum() > 100
    assert level.sum() > 100
    assert (upright | level).all()
    assert rows[upright].max() < row  # to the north
    assert columns[level].min() > column  # to the west


def test_cutouts_of_ztf_have_their_first_row_in_the_north() -> None:
    pixels = np.full((63, 63), 100.0, np.float32)
    pixels[10, 45] = 5000.0
    pixels[31, 31] = 5000.0
    out = io.BytesIO()
    fits.PrimaryHDU(pixels).writeto(out)
    data = gzip.compress(out.getvalue())
    shown = picture(draw(RA, DEC, data, stream="ztf"))
    half = 63 / 2 * 1.012
    east, north = brightest(shown, half, 5.0)
    assert (east, north) == pytest.approx((-14 * 1.012, 21 * 1.012), abs=0.6)
    unknown = picture(draw(RA, DEC, data, stream="elsewhere"))
    arrows = unknown[round(LOW - 0.15 * SIDE) : round(LOW) - 3, round(LEFT + 0.7 * SIDE) : round(LEFT + SIDE) - 3]
    assert (arrows.min(axis=2) < 240).all()  # nobody says where north is, and nor does the chart


def test_without_a_cutout_there_are_catalogues() -> None:
    sources = [Source("gaia", "bright", RA + 30 / 3600 / np.cos(np.radians(DEC)), DEC + 20 / 3600, 9.0),
               Source("glade", "outside", RA + 1.0, DEC, 9.0)]  # fmt: skip
    shown = picture(draw(RA, DEC, sources=sources, field=60.0))
    row, column = at(shown, 30, 20, 60.0)
    blue = (shown[..., 2] > shown[..., 0] + 60) & (shown[..., 2] > 120)
    blue[: round(LOW - 0.85 * SIDE)] = False  # the legend
    rows, columns = np.nonzero(blue)
    assert (rows.mean(), columns.mean()) == pytest.approx((row, column), abs=3)
    assert not (picture(draw(RA, DEC))[..., 2] > 120).all()


@pytest.mark.parametrize(
    "data", [b"", b"no FITS", b"\x1f\x8b broken", b"\xff\xd8\xff\xe0 a JPEG", cutout([])[:3000], cutout([])[:2000]]
)
def test_what_is_no_image_is_left_out(data: bytes) -> None:
    if data:
        with pytest.raises(UsageError, match="the cutout"):
            read_cutout(data)
    assert picture(draw(RA, DEC, data)).shape == (792, 720, 3)


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0, 7.0])
def test_images_of_nothing(value: float) -> None:
    out = io.BytesIO()
    fits.PrimaryHDU(np.full((5, 9), value, np.float32)).writeto(out)
    assert len(draw(RA, DEC, out.getvalue(), stream="ztf")) > 1000
    assert stretch(np.full((2, 2), value)).dtype == np.uint8


def test_a_broken_world_coordinate_system_is_none() -> None:
    header = fits.Header()
    header["CTYPE1"], header["CTYPE2"] = "RA---TAN", "DEC--TAN"
    header["CD1_1"] = header["CD1_2"] = header["CD2_1"] = header["CD2_2"] = 0.0
    out = io.BytesIO()
    fits.PrimaryHDU(np.ones((5, 5), np.float32), header).writeto(out)
    image = read_cutout(out.getvalue(), RA, DEC, Geometry(1.0))
    assert image.place == (2.0, 2.0)
    assert image.sky is not None
    np.testing.assert_array_equal(image.sky, [[-1.0, 0.0], [0.0, 1.0]])


@pytest.mark.parametrize(("most", "length"), [(0.9, 0.1), (1.0, 1.0), (9.9, 5.0), (59.0, 30.0), (61.0, 60.0), (1e5, 3600.0)])
def test_lengths_of_scale_bars(most: float, length: float) -> None:
    assert nice(most) == pytest.approx(length)


@pytest.mark.data
def test_real_templates_have_their_reference_sources_where_the_packets_say(data_dir: Path) -> None:
    voted = []
    for path in sorted(data_dir.glob("ztf/v*/*.avro")):
        with path.open("rb") as file:
            packet = next(iter(fastavro.reader(file)))
        candidate = packet["candidate"]
        if not packet.get("cutoutTemplate") or candidate.get("ranr") is None:
            continue
        east = (candidate["ranr"] - candidate["ra"]) * np.cos(np.radians(candidate["dec"])) * 3600
        north = (candidate["decnr"] - candidate["dec"]) * 3600
        if not 1.8 < np.hypot(east, north) < 28.0 or candidate["magnr"] > 21.0:
            continue
        try:
            image = read_cutout(packet["cutoutTemplate"]["stampData"], geometry=Geometry(1.012, north_first=True))
        except UsageError:
            continue
        assert image.sky is not None
        column, row = np.rint(np.linalg.solve(image.sky, [east, north]) + image.place).astype(int)
        mirror, wrong = np.rint(np.linalg.solve(image.sky, [east, -north]) + image.place).astype(int)
        voted.append(
            image.pixels[row - 1 : row + 2, column - 1 : column + 2].mean()
            > image.pixels[wrong - 1 : wrong + 2, mirror - 1 : mirror + 2].mean()
        )
    assert len(voted) >= 3
    assert sum(voted) > 0.7 * len(voted)
