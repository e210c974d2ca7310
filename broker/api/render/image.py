"""A cutout as people look at it: FITS to PNG, faint things visible, bad pixels transparent."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from broker.errors import UsageError
from broker.science.cutout import read_cutout, stretch

__all__ = ["png"]


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
    try:
        pixels = read_cutout(data).pixels
    except UsageError as error:
        message = f"{error}; ask for format=fits to have its bytes"
        raise UsageError(message) from error
    grey = stretch(pixels)[::-1]
    alpha = np.where(np.isfinite(pixels), 255, 0).astype(np.uint8)[::-1]
    factor = max(1, size // max(grey.shape))
    image = Image.fromarray(np.dstack([grey, alpha]))
    image = image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
