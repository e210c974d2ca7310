"""Cutouts of alerts: pixels out of FITS that is rarely clean, how they lie on the sky, and grey levels to look at."""

from __future__ import annotations

import gzip
import io
import warnings
import zlib
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from astropy.io import fits
from astropy.visualization import AsinhStretch, ZScaleInterval
from astropy.wcs import WCS

from broker.errors import UsageError

__all__ = ["GEOMETRY", "Cutout", "Geometry", "read_cutout", "stretch", "upright"]

FloatArray = npt.NDArray[np.float64]

_LARGEST: Final = 4096  # pixels along a side
_UNPACKED: Final = 64 << 20  # bytes of a gzipped file


@dataclass(frozen=True, slots=True)
class Geometry:
    """How a survey's cutouts without a world coordinate system lie.

    Parameters
    ----------
    pixel
        Arcseconds.
    north_first
        Whether the first row is the northern one; in FITS as others write it, it is the southern.
    """

    pixel: float
    north_first: bool = False


# ZTF: Masci et al. 2019, PASP 131, 018003, table 3 (pixel); that rows go from north to south shows where reference sources
# (candidate.ranr, candidate.decnr) lie in the templates of real packets.
GEOMETRY: Final = {"ztf": Geometry(1.012, north_first=True)}
"""By stream."""


@dataclass(frozen=True, slots=True, eq=False)
class Cutout:
    """An image round a source.

    Parameters
    ----------
    pixels
        As in FITS: the first index is the row.
    place
        Column and row of the source, from 0.
    sky
        Shape (2, 2): arcseconds to the east and to the north, for a step along a row and for one to the next; ``None`` where
        nobody says.
    """

    pixels: FloatArray
    place: tuple[float, float]
    sky: FloatArray | None = None


def read_cutout(data: bytes, ra: float | None = None, dec: float | None = None, geometry: Geometry | None = None) -> Cutout:
    """First image of a FITS file, gzipped or not.

    Parameters
    ----------
    ra, dec
        Of the source, degrees, ICRS. It is taken to be in the middle where the file does not say where that is.
    geometry
        For a file without a world coordinate system.

    Raises
    ------
    UsageError
        There is no image that can be drawn.
    """
    data = _unpacked(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # survey cutouts are rarely clean FITS; what can be shown is shown
        try:
            with fits.open(io.BytesIO(data), memmap=False) as hdus:
                images = (hdu for hdu in hdus if getattr(hdu, "is_image", False) and hdu.data is not None)
                image, header = next(((np.asarray(hdu.data), hdu.header) for hdu in images), (np.empty(0), fits.Header()))
        except Exception as error:  # astropy raises whatever it stumbles over
            message = f"the cutout is not FITS that can be read ({type(error).__name__})"
            raise UsageError(message) from error
        if image.ndim < 2 or max(image.shape[-2:]) > _LARGEST or image.size == 0:
            raise UsageError("the cutout holds no image that can be drawn")
        pixels = image.astype(np.float64).reshape(-1, *image.shape[-2:])[0]
        try:
            wcs, bent = _wcs(header)
            sky, place = (None, None) if wcs is None else _sky(wcs, ra, dec, pixels.shape)
        except Exception:  # noqa: BLE001 - the same: then nobody says how it lies
            sky, place, bent = None, None, False
    middle = ((pixels.shape[1] - 1) / 2.0, (pixels.shape[0] - 1) / 2.0)
    # What a bent projection leaves out moves a source by more than a few pixels across a chip, and turns nothing by much.
    return Cutout(pixels, middle if place is None or bent else place, _assumed(geometry) if sky is None else sky)


def _unpacked(data: bytes) -> bytes:
    if not data.startswith(b"\x1f\x8b"):
        return data
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            return file.read(_UNPACKED)
    except (OSError, EOFError, zlib.error) as error:
        message = f"the cutout cannot be unpacked: {error}"
        raise UsageError(message) from error


def _wcs(header: fits.Header) -> tuple[WCS | None, bool]:
    """Take the linear part of what a header says, and tell whether there is more to it.

    Distortions matter over a chip, not over a cutout, and are often badly written.
    """
    kept = fits.Header()
    for name in header:
        if name.startswith(
            ("CTYPE", "CRVAL", "CRPIX", "CDELT", "CD1_", "CD2_", "PC1_", "PC2_", "CUNIT", "CROTA", "NAXIS", "RADE")
        ):
            kept[name] = header[name]
    bent = any(name.startswith(("PV1_", "PV2_", "A_ORDER", "CPDIS", "D2IM")) for name in header)
    if "CTYPE1" not in kept and "CRVAL1" in kept and "PC1_1" in kept:  # LSST's, which are tangential
        kept["CTYPE1"], kept["CTYPE2"] = "RA---TAN", "DEC--TAN"
    for axis in ("CTYPE1", "CTYPE2"):
        kept[axis] = str(kept.get(axis, "")).removesuffix("-SIP").replace("TPV", "TAN")
    wcs = WCS(kept, naxis=2)
    return (wcs if wcs.has_celestial else None), bent


def _sky(
    wcs: WCS, ra: float | None, dec: float | None, shape: tuple[int, ...]
) -> tuple[FloatArray | None, tuple[float, float] | None]:
    """Matrix of a cutout, and where in it a source is, if it is in it at all."""
    matrix = np.asarray(wcs.pixel_scale_matrix, np.float64) * 3600.0
    if not np.isfinite(matrix).all() or abs(np.linalg.det(matrix)) < 1e-12:
        return None, None
    if ra is None or dec is None:
        return matrix, None
    column, row = (float(value) for value in wcs.all_world2pix(ra, dec, 0))
    inside = 0.0 <= column <= shape[1] - 1.0 and 0.0 <= row <= shape[0] - 1.0  # false for NaN, too
    return matrix, (column, row) if inside else None


def _assumed(geometry: Geometry | None) -> FloatArray | None:
    if geometry is None:
        return None
    return np.array([[-geometry.pixel, 0.0], [0.0, -geometry.pixel if geometry.north_first else geometry.pixel]])


def upright(image: Cutout) -> FloatArray:
    """Pixels as a picture has them, the first row on top: north up and east to the left, as nearly as whole pixels can lie.

    An image is turned by quarters and mirrored, no more, so that each pixel stays as it is. Where nobody says how it lies, its
    first row is at the bottom, as FITS has it.
    """
    if image.sky is None:
        return image.pixels[::-1]
    pixels, sky = image.pixels, image.sky
    if np.abs(sky[[0, 1], [1, 0]]).sum() > np.abs(sky[[0, 1], [0, 1]]).sum():  # its rows go north and south
        pixels, sky = pixels.T, sky[:, ::-1]
    pixels = pixels[::-1] if sky[1, 1] > 0.0 else pixels
    return pixels[:, ::-1] if sky[0, 0] > 0.0 else pixels


def stretch(pixels: FloatArray) -> npt.NDArray[np.uint8]:
    """Grey levels: zscale limits, asinh in between.

    Parameters
    ----------
    pixels
        Any shape; what is not finite comes out as 0.
    """
    finite = pixels[np.isfinite(pixels)]
    if finite.size == 0:
        return np.zeros(pixels.shape, np.uint8)
    low, _ = ZScaleInterval().get_limits(finite)
    high = float(np.quantile(finite, 0.997))
    if not high > low:
        low, high = float(finite.min()), float(finite.max())
    span = high - low if high > low else 1.0
    scaled = np.clip((np.nan_to_num(pixels, nan=low, posinf=high, neginf=low) - low) / span, 0, 1)
    grey: npt.NDArray[np.uint8] = np.rint(np.asarray(AsinhStretch(a=0.15)(scaled)) * 255).astype(np.uint8)
    grey[~np.isfinite(pixels)] = 0
    return grey
