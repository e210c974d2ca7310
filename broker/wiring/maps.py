"""Sky maps out of files of any kind: FITS, or a notice that brings a map or an error circle."""

from __future__ import annotations

from pathlib import Path

from broker.errors import SkyMapError
from broker.science.skymap import SkyMap
from broker.science.skymap_fits import read_skymap

__all__ = ["map_of_file"]

LARGEST_NOTICE = 1 << 28
_COLUMNS = ("_skymap", "ra", "dec", "ra_dec_error", "containment_probability")


def map_of_file(path: Path) -> SkyMap:
    """Map of a FITS file, gzipped or not, or of a notice: base64 in JSON, bytes in Avro, a position with an error circle.

    Raises
    ------
    SkyMapError
        There is none in it, or it is refused; the text says why.
    """
    with path.open("rb") as file:
        head = file.read(80)
        if head.startswith((b"SIMPLE  =", b"\x1f\x8b")):
            return read_skymap(path)
        rest = file.read(LARGEST_NOTICE)
    if len(rest) == LARGEST_NOTICE:
        raise SkyMapError(
            f"neither a FITS file nor a notice: it does not begin as FITS and is longer than {LARGEST_NOTICE:,} bytes"
        )
    return _map_of_notice(head + rest)


def _map_of_notice(data: bytes) -> SkyMap:
    # A FITS file needs none of this, and whoever asks about one waits for it.
    from broker.decode.notices import decode_notices  # noqa: PLC0415
    from broker.decode.sniff import sniff_notice  # noqa: PLC0415
    from broker.process.localise import map_of  # noqa: PLC0415
    from broker.record import Record  # noqa: PLC0415
    from broker.science.circle import Circle  # noqa: PLC0415
    from broker.science.skymap import from_cone  # noqa: PLC0415

    kind = sniff_notice(data)
    if kind is None:
        raise SkyMapError(f"neither a FITS file nor a notice of any known form: it begins with {data[:24]!r}")
    batch = decode_notices(kind.stream, [Record("file", 0, 0, 0, None, data)], frozenset())
    if not batch.frame.height:
        raise SkyMapError(f"a notice that cannot be read: {'; '.join(item.reason for item in batch.rejected)}")
    refusals = []
    for row in batch.frame.select(_COLUMNS).to_dicts():
        found, refused = map_of(row)
        refusals += [refused] if refused else []
        if found is not None and not refused:
            return from_cone(found.ra, found.dec, found.radius, found.containment) if isinstance(found, Circle) else found
    raise SkyMapError("; ".join(refusals) or "a notice that brings neither a sky map nor a position with an error circle")
