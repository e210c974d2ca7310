"""Cutouts: a small pool of FITS images, made once, that alerts of one look share.

Making and zipping three images an alert would cost a hundred times what the rest of a packet does.
"""

from __future__ import annotations

import gzip
from functools import cache

import numpy as np
import numpy.typing as npt

__all__ = ["LOOKS", "fits_image", "look_of", "stamps"]

LOOKS = ("host", "nucleus", "star", "empty", "artefact")
"""What the template shows."""

_VARIANTS = 3


def look_of(kind: str, seed: int) -> tuple[str, int]:
    """Look and variant that suit a source."""
    look = {"supernova": "host", "kilonova": "host", "agn": "nucleus", "tde": "nucleus", "variable": "star"}.get(kind, "empty")
    return ("artefact" if kind == "artefact" else look), seed % _VARIANTS


@cache
def stamps(look: str, variant: int, snr: int, *, positive: bool, size: int, zipped: bool) -> tuple[bytes, bytes, bytes]:
    """Science, template and difference image.

    Parameters
    ----------
    look, variant
        One of `LOOKS`, and a number that sets the noise and the host's shape.
    snr
        Signal to noise of the source, about.
    positive
        Whether the science image is the brighter one.
    size
        Pixels a side.
    zipped
        Whether each is gzipped, as ZTF does.
    """
    rng = np.random.default_rng([LOOKS.index(look), variant, snr, int(positive), size])
    y, x = np.mgrid[:size, :size] - (size - 1) / 2.0
    noise, width = 10.0, 1.2
    psf = np.exp(-0.5 * (x**2 + y**2) / width**2)
    source = snr * noise / np.sqrt((psf**2).sum()) * psf
    template = 100.0 + rng.normal(0, noise / 3, (size, size))
    if look in ("host", "nucleus"):
        far = 0.0 if look == "nucleus" else rng.uniform(3, 8)
        turn = rng.uniform(0, 2 * np.pi)
        u = (x - far) * np.cos(turn) + y * np.sin(turn)
        v = y * np.cos(turn) - (x - far) * np.sin(turn)
        template += 900 * np.exp(-np.sqrt(u**2 / 16 + v**2 / 5))
    elif look == "star":
        template += 4000 * psf
    if look == "artefact":
        source = np.where(np.abs(x - y / 3) < 1.0, snr * noise, 0.0) - 0.7 * np.roll(source, 2, axis=1)
    science = template + (source if positive else -source) + rng.normal(0, noise, (size, size))
    images = (science, template, science - template)
    first, second, third = (_file((np.round(image * 16384) / 16384).astype(">f4"), zipped=zipped) for image in images)
    return first, second, third


def _file(image: npt.NDArray[np.floating], *, zipped: bool) -> bytes:
    data = fits_image(image)
    return gzip.compress(data, compresslevel=6, mtime=0) if zipped else data


def fits_image(image: npt.NDArray[np.floating]) -> bytes:
    """A FITS file of one image of big-endian floats (FITS standard 4.0, sections 4 and 7.1)."""
    cards = [
        f"SIMPLE  = {'T':>20}",
        f"BITPIX  = {-32:>20}",
        f"NAXIS   = {2:>20}",
        f"NAXIS1  = {image.shape[1]:>20}",
        f"NAXIS2  = {image.shape[0]:>20}",
        "BUNIT   = 'DN      '",
        "END",
    ]
    header = "".join(card.ljust(80) for card in cards).encode()
    body = image.tobytes()
    return header.ljust(2880) + body + bytes(-len(body) % 2880)
