"""A cutout as people look at it: FITS to PNG, faint things visible, bad pixels transparent."""

from __future__ import annotations

import io
import warnings

import numpy as np
import numpy.typing as npt
from astropy.io import fits
from astropy.visualization import AsinhStretch, ZScaleInterval
from PIL import Image

from broker.errors import UsageError

__all__ = ["png", "stretch"]

_LARGEST = 4096


def _pixels(data: bytes) -> npt.NDArray[np.float64]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # survey cutouts are rarely clean FITS; what can be shown is shown
            with fits.open(io.BytesIO(data), memmap=False) as hdus:
                image = next((hdu.data for hdu in hdus if getattr(hdu, "is_image", False) and hdu.data is not None), None)
    except Exception as error:  # astropy raises whatever it stumbles over
        message = f"the cutout is not FITS that can be read ({type(error).__name__}); ask for format=fits to have its bytes"
        raise UsageError(message) from error
    if image is None or image.ndim < 2 or max(image.shape[-2:]) > _LARGEST or image.size == 0:
        raise UsageError("the cutout holds no image that can be drawn; ask for format=fits to have its bytes")
    pixels: npt.NDArray[np.float64] = np.asarray(image, dtype=np.float64).reshape(-1, *image.shape[-2:])[0]
    return pixels


def stretch(pixels: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
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


def png(data: bytes, *, size: int = 252) -> bytes:
    """PNG of the first image of a FITS file, first row at the bottom as FITS has it.

    Parameters
    ----------
    size
        Pixels the longer side is blown up to, by whole factors so that a pixel stays a pixel.

    Raises
    ------
    UsageError
        Where there is no image in it.
    """
    pixels = _pixels(data)
    grey = stretch(pixels)[::-1]
    alpha = np.where(np.isfinite(pixels), 255, 0).astype(np.uint8)[::-1]
    factor = max(1, size // max(grey.shape))
    image = Image.fromarray(np.dstack([grey, alpha]))
    image = image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
