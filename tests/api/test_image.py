"""Cutouts as pictures."""

from __future__ import annotations

import io
from pathlib import Path

import fastavro
import numpy as np
import numpy.typing as npt
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from PIL import Image

from broker.api.render.image import png
from broker.errors import UsageError


def grey(data: bytes) -> npt.NDArray[np.int64]:
    return np.asarray(Image.open(io.BytesIO(data)))[..., 0].astype(np.int64)


def test_a_header_that_is_not_quite_right_is_no_matter():
    """Warnings fail tests: here astropy would tell of the first card when it opens the file."""
    file = io.BytesIO()
    fits.PrimaryHDU(np.arange(64.0).reshape(8, 8)).writeto(file)
    data = file.getvalue().replace(b"SIMPLE  =                    T", b"SIMPLE  =  T                  ")
    assert png(data).startswith(b"\x89PNG")


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("turn", [0, 20, 90, -100, 180, 265])
def test_what_is_in_the_north_east_is_above_to_the_left(turn: float, mirrored: bool) -> None:
    angle = np.radians(turn)
    cosine, sine, flip = np.cos(angle), np.sin(angle), 1.0 if mirrored else -1.0
    matrix = np.array([[flip * cosine, sine], [-flip * sine, cosine]]) / 3600
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix, wcs.wcs.cd = ["RA---TAN", "DEC--TAN"], [150.0, 30.0], [31, 26], matrix
    column, row = np.rint(np.linalg.solve(matrix * 3600, [12.0, 16.0]) + np.array([30, 25])).astype(int)
    pixels = np.full((51, 61), 100.0)
    pixels[row, column] = 5000.0
    file = io.BytesIO()
    fits.PrimaryHDU(pixels.astype(np.float32), wcs.to_header()).writeto(file)
    shown = grey(png(file.getvalue(), size=16))
    across, down = np.argwhere(shown == shown.max())[0][::-1] - (np.array(shown.shape[::-1]) - 1) / 2
    east, north = -across, -down
    turned = np.degrees(np.arctan2(east, north) - np.arctan2(12.0, 16.0))
    assert abs((turned + 180.0) % 360.0 - 180.0) < 30.0  # no more than quarters are made good


def test_without_a_word_of_it_the_first_row_is_at_the_bottom_but_for_surveys_that_are_known() -> None:
    pixels = np.full((21, 21), 100.0, np.float32)
    pixels[2, 5] = 5000.0
    file = io.BytesIO()
    fits.PrimaryHDU(pixels).writeto(file)
    assert np.argmax(grey(png(file.getvalue(), stream="elsewhere", size=21))) == 18 * 21 + 5
    assert np.argmax(grey(png(file.getvalue(), stream="ztf", size=21))) == 2 * 21 + 5


@pytest.mark.data
def test_real_templates_of_ztf_have_their_reference_sources_where_the_sky_has_them(data_dir: Path) -> None:
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
            shown = grey(png(packet["cutoutTemplate"]["stampData"], stream="ztf", size=63))
        except UsageError:
            continue
        across, up = round(east / 1.012), round(north / 1.012)
        middle = (np.array(shown.shape) - 1) // 2
        here = shown[middle[0] - up - 1 : middle[0] - up + 2, middle[1] - across - 1 : middle[1] - across + 2].mean()
        there = shown[middle[0] + up - 1 : middle[0] + up + 2, middle[1] - across - 1 : middle[1] - across + 2].mean()
        voted.append(here > there)
    assert len(voted) >= 3
    assert sum(voted) > 0.7 * len(voted)
