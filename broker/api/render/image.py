"""A cutout as people look at it: FITS to PNG, faint things visible, bad pixels transparent."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from broker.errors import UsageError
from broker.science.cutout import GEOMETRY, read_cutout, stretch, upright

__all__ = ["png"]


def png(data: bytes, *, stream: str = "", size: int = 252) -> bytes:
    """PNG of the first image of a FITS file, as `broker.science.cutout.upright` turns it: north up, where that is known.

    Parameters
    ----------
    stream
        Whose cutout it is: some surveys' do not say how they lie on the sky, and are known.
    size
        Pixels the longer side is blown up to, by whole factors so that a pixel stays a pixel.

    Raises
    ------
    UsageError
        Where there is no image in it.
    """
    try:
        pixels = upright(read_cutout(data, geometry=GEOMETRY.get(stream)))
    except UsageError as error:
        message = f"{error}; ask for format=fits to have its bytes"
        raise UsageError(message) from error
    grey = stretch(pixels)
    alpha = np.where(np.isfinite(pixels), 255, 0).astype(np.uint8)
    factor = max(1, size // max(grey.shape))
    image = Image.fromarray(np.dstack([grey, alpha]))
    image = image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
