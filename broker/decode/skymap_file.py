"""A bare FITS probability map: which event, when, and that it is a map at all. Its cells are read by `broker.science`."""

from __future__ import annotations

import re
import warnings
import zlib
from datetime import datetime
from typing import TYPE_CHECKING

from broker.decode.notice import Notice, Scalar, digest, name_event, position
from broker.decode.notice_json import as_number
from broker.decode.notice_time import SCALES, from_mjd, parse_time
from broker.errors import DecodeError
from broker.identifiers import is_mock, superevent

if TYPE_CHECKING:
    from astropy.io import fits

__all__ = ["parse_skymap_file"]

_GZIP = b"\x1f\x8b"
_BLOCK = 2880
_CHUNK = 1 << 20
_LARGEST = 1 << 31  # bytes a map may unpack to
_MOST_FIELDS = 999  # of a table, by the standard
_HEAD = 1 << 18  # bytes of headers read
_PROBABILITY = frozenset({"PROB", "PROBABILITY", "PROBDENSITY", "T", "TEMPERATURE", "SIGNAL", "PDF"})
_NO_NAME = frozenset({"", "0", "FULLSKY", "PARTIAL", "UNKNOWN", "NONE"})
_SUPEREVENT = re.compile(r"(?<![A-Za-z])(?:[MT]?S\d{6}[a-z]+|[MT]?GW\d{6}[A-Z]?)(?![a-z])")


def parse_skymap_file(data: bytes, origin: str | None = None) -> Notice:
    """Notice of a FITS file with a probability map, gzipped or not; the bytes stay as they are.

    Parameters
    ----------
    origin
        Where the file came from: its name is the last place to look for a superevent's name.

    Raises
    ------
    DecodeError
        If it is no FITS file, cut short, unpacks to more than 2 GiB, or holds no probability (a coverage map, an image).
    """
    head, size = _unpacked(data)
    primary, start = _header(head, 0)
    table, start = _header(head, start)
    columns_said = min(int(table.get("TFIELDS", 0)), _MOST_FIELDS)
    columns = [str(table.get(f"TTYPE{i}", "")).strip().upper() for i in range(1, columns_said + 1)]
    if not _PROBABILITY & set(columns):
        if columns[:1] == ["UNIQ"] or "MOCORDER" in table or "MOCVERS" in table:
            raise DecodeError("a coverage map (MOC) carries no probability")
        raise DecodeError(f"FITS table of {', '.join(columns)[:200] or 'nothing'}: no column of probability, no sky map")
    promised = start - _padded(_data_size(table)) + _data_size(table)
    if size < promised:
        raise DecodeError(f"sky map cut short: its headers announce {promised} bytes, {size} are there")
    header: dict[str, object] = {**dict(primary), **dict(table)}
    name = _name(primary, table, origin)
    time, notes = _time(header)
    place, odd = position(
        _number(header, "RA_OBJ", "RA"), _number(header, "DEC_OBJ", "DEC"), _number(header, "CIRC_ERR90"), 0.9
    )
    mission = _mission(header)
    fields: dict[str, Scalar] = {key: item for key, item in header.items() if key and isinstance(item, str | int | float)}
    return Notice(
        native_id=f"{name or 'map'}-{digest(data).hex()[:16]}".replace(" ", "_"),
        event_name=name,
        issued=parse_time(_text(header, "DATE")),
        time=time,
        ra=place.ra,
        dec=place.dec,
        ra_dec_error=place.error,
        containment_probability=place.containment,
        mission=mission,
        messenger={"LVK": "GW", "IceCube": "Neutrino", "Fermi": "EM"}.get(mission or ""),
        instrument=_text(header, "INSTRUME"),
        alert_tense="test" if is_mock(name) else "current",
        skymap=data,
        deviations=tuple(notes + odd),
        fields=fields | {"notice_type": "skymap"},
    )


def _unpacked(data: bytes) -> tuple[bytes, int]:
    """The first bytes and the length of the file, unpacked piece by piece so that a small one cannot fill the memory."""
    if not data.startswith(_GZIP):
        return data[:_HEAD], len(data)
    head, size, packed = bytearray(), 0, data
    unpacker = zlib.decompressobj(wbits=31)
    try:
        while packed and not unpacker.eof:
            piece = unpacker.decompress(packed, _CHUNK)
            head += piece[: max(0, _HEAD - len(head))]
            size += len(piece)
            packed = unpacker.unconsumed_tail
            if size > _LARGEST:
                raise DecodeError(f"sky map unpacks to more than {_LARGEST} bytes: refused")
    except zlib.error as error:
        raise DecodeError(f"gzip is damaged: {error}") from None
    if not unpacker.eof:
        raise DecodeError(f"gzip is cut short after {size} unpacked bytes")
    return bytes(head), size


def _header(head: bytes, start: int) -> tuple[fits.Header, int]:
    """Header that begins at `start`, and where the next one would."""
    if not head.startswith((b"SIMPLE  =", b"XTENSION"), start):
        raise DecodeError("FITS file without a table: no sky map" if start else "not a FITS file")
    from astropy.io import fits  # noqa: PLC0415 - slow to load

    end = start
    while True:
        block = head[end : end + _BLOCK]
        if len(block) < _BLOCK:
            raise DecodeError("FITS header cut short")
        end += _BLOCK
        if any(block[i : i + 8] == b"END     " for i in range(0, _BLOCK, 80)):
            break
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is odd about a card does not matter unless it is one of ours
        try:
            header = fits.Header.fromstring(head[start:end].decode("ascii", "replace"))
            return header, end + _padded(_data_size(header))
        except (fits.VerifyError, ValueError, KeyError, TypeError) as error:
            raise DecodeError(f"FITS header cannot be read: {str(error)[:150]}") from None


def _data_size(header: fits.Header) -> int:
    axes = int(header.get("NAXIS", 0))
    if axes == 0:
        return 0
    cells = 1
    for axis in range(1, axes + 1):
        cells *= int(header[f"NAXIS{axis}"])
    return abs(int(header["BITPIX"])) // 8 * (int(header.get("PCOUNT", 0)) + cells)


def _padded(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def _name(primary: fits.Header, table: fits.Header, origin: str | None) -> str | None:
    """Event's name from ``OBJECT``, from IceCube's run and event, else from the name of the file."""
    for header in (table, primary):
        text = str(header.get("OBJECT", "")).strip()
        if text.upper() not in _NO_NAME and name_event(None, text):
            return superevent(text) or text
    if "RUNID" in table and "EVENTID" in table:
        return name_event("IceCube", f"{table['RUNID']}_{table['EVENTID']}")
    found = _SUPEREVENT.search((origin or "").replace("\\", "/").rpartition("/")[2])
    return superevent(found.group(0)) or found.group(0) if found else None


def _time(header: dict[str, object]) -> tuple[datetime | None, list[str]]:
    """Event time: Fermi's trigger time (mission elapsed, counted in TT) before its ``DATE-OBS``, which lacks leap seconds."""
    stated = _text(header, "TIMESYS") or "UTC"
    observed = parse_time(_text(header, "DATE-OBS"), stated if stated.upper() in SCALES else "UTC")
    met, day = _number(header, "TRIGTIME"), _number(header, "MJDREFI")
    if met is not None and day is not None:
        time = from_mjd(day + (_number(header, "MJDREFF") or 0.0) + met / 86_400.0, "tt")
        return time, ["DATE-OBS is not the trigger time: TRIGTIME taken"] if time != observed else []
    mjd = _number(header, "MJD-OBS", "EVENTMJD")
    if observed is None and mjd is not None:
        observed = from_mjd(mjd)
    return observed, [] if observed else ["no DATE-OBS: time unknown"]


def _mission(header: dict[str, object]) -> str | None:
    text = " ".join(filter(None, (_text(header, key) for key in ("ORIGIN", "SENDER", "TELESCOP", "CREATOR"))))
    known = {"LIGO": "LVK", "BAYESTAR": "LVK", "CWB": "LVK", "IceCube": "IceCube", "GLAST": "Fermi", "FERMI": "Fermi"}
    return next((mission for word, mission in known.items() if word in text), None) or _text(header, "TELESCOP")


def _text(header: dict[str, object], *keys: str) -> str | None:
    texts = (header[key] for key in keys if key in header)
    return next((text.strip() for text in texts if isinstance(text, str) and text.strip()), None)


def _number(header: dict[str, object], *keys: str) -> float | None:
    found = (as_number(header[key]) for key in keys if key in header)  # Fermi writes MJDREFF as a text
    return next((number for number in found if number is not None), None)
