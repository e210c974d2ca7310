"""What a survey stream is: which of its packets' fields mean what.

A declaration is one TOML file, ``schemas/streams/<stream>.toml``; adding a survey is writing one, no code. A *path* names a
field through records, ``candidate.rb``; where several are given, the first that is neither missing nor null in a packet
counts. ``sources[].mjd`` is the field of the one element of the list ``sources`` that the ``[element]`` table picks.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from broker.errors import DeclarationError

__all__ = [
    "Band",
    "Brightness",
    "Cutout",
    "Declaration",
    "Detect",
    "Element",
    "History",
    "Paths",
    "PositionError",
    "Time",
    "load_declaration",
    "load_declarations",
]

_PATH = re.compile(r"^[A-Za-z_]\w*(\[\])?(\.[A-Za-z_]\w*)*(\+[A-Za-z_]\w*(\[\])?(\.[A-Za-z_]\w*)*)*$")


def _listed(value: object) -> object:
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


def _paths(value: tuple[str, ...]) -> tuple[str, ...]:
    for path in value:
        if not _PATH.match(path):
            raise ValueError(f"{path!r} is not a path: write field names joined by dots, such as 'candidate.rb'")
    return value


def _pairs(value: object) -> object:
    return tuple((str(key), item) for key, item in value.items()) if isinstance(value, dict) else value


def _pattern(value: str | None) -> str | None:
    if value is not None:
        try:
            groups = re.compile(value).groups
        except re.error as error:
            raise ValueError(f"{value!r} is not a regular expression: {error}") from None
        if groups != 1:
            raise ValueError(f"{value!r} must have exactly one group, which is the band")
    return value


Names = Annotated[tuple[str, ...], BeforeValidator(_listed)]
Paths = Annotated[tuple[str, ...], BeforeValidator(_listed), AfterValidator(_paths)]
Some = Annotated[Paths, Field(min_length=1)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Time(_Table):
    """When: paths, what their numbers count from, and the time scale they are in."""

    field: Some
    format: Literal["jd", "mjd"]
    scale: Literal["utc", "tai", "tt", "tdb"]


class Brightness(_Table):
    """How bright: magnitudes as given, or fluxes with mag = zeropoint - 2.5 log10(flux); 31.4 makes AB of nJy.

    `zeropoint_field` names a path with the packet's own zero point. `signed` says that a negative magnitude stands for a
    negative flux.
    """

    mag: Paths = ()
    mag_err: Paths = ()
    flux: Paths = ()
    flux_err: Paths = ()
    zeropoint: float = 31.4
    zeropoint_field: Paths = ()
    signed: bool = False


class Band(_Table):
    """Which band: a path with a name or number, a pattern whose one group is the band, a map; or a constant."""

    field: Paths = ()
    pattern: Annotated[str | None, AfterValidator(_pattern)] = None
    map: Annotated[tuple[tuple[str, str], ...], BeforeValidator(_pairs)] = ()
    value: str | None = None


class History(_Table):
    """A list of earlier measurements in the packet; paths are relative to its elements. Time and bands are as the alert's."""

    field: Some
    time: Some
    band: Paths = ()
    positive: Paths = ()
    mag: Paths = ()
    mag_err: Paths = ()
    flux: Paths = ()
    flux_err: Paths = ()
    zeropoint: float | None = None
    zeropoint_field: Paths = ()
    limit: Paths = ()
    noise: Paths = ()


class Histories(_Table):
    """The kinds of lists a packet may carry."""

    detections: History | None = None
    forced: History | None = None
    limits: History | None = None


class Cutout(_Table):
    """An image in the packet; ``auto`` unpacks gzip where the bytes say so."""

    field: Some
    compression: Literal["auto", "gzip", "none"] = "auto"


class PositionError(_Table):
    """One-sigma errors of the position, degrees; the larger of the two counts."""

    ra: Some
    dec: Some


class Element(_Table):
    """Which element of a list is the alert, where packets hold objects rather than alerts."""

    list: Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$")]
    pick: Literal["latest", "last", "first"] = "latest"


class Detect(_Table):
    """How a packet is told from others: the writer's record name (wildcards) and paths that must exist in its schema.

    All of `fields` must be there; in ``a|b`` either will do. A record name outside `records` is still accepted where no other
    stream's name fits, since re-serialised packets lose theirs.
    """

    records: Names = ()
    fields: Annotated[Names, Field(min_length=1)]


class Declaration(_Table):
    """One survey stream."""

    stream: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$")]
    title: str
    id: Some
    object: Paths = ()
    object_none: Names = ("", "0")
    ra: Some
    dec: Some
    time: Time
    brightness: Brightness = Brightness()
    band: Band = Band()
    reliability: Paths = ()
    positive: Paths = ()
    position_error: PositionError | None = None
    missing: tuple[float, ...] = ()
    keep: Paths = ()
    redshift: Paths = ()
    text: Paths = ()
    element: Element | None = None
    history: Histories = Histories()
    cutouts: Annotated[tuple[tuple[str, Cutout], ...], BeforeValidator(_pairs)] = ()
    detect: Detect
    framing: Annotated[tuple[Literal["ocf", "confluent", "bare"], ...], BeforeValidator(_listed)] = ("ocf", "confluent")


def load_declaration(path: Path) -> Declaration:
    """Read one declaration.

    Raises
    ------
    DeclarationError
        The file cannot be read, is not TOML, lacks a key, has one too many or one of the wrong kind; the message names file
        and key, and says what to write instead.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DeclarationError(f"{path}: cannot be read: {error.strerror}; check the path and its permissions") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DeclarationError(f"{path}: not TOML: {error}") from error
    try:
        declaration = Declaration.model_validate(table)
    except ValidationError as error:
        raise DeclarationError("\n".join(_say(path, item) for item in error.errors())) from error
    if declaration.stream != path.stem:
        raise DeclarationError(
            f"{path}: key 'stream': is {declaration.stream!r} but the file is named {path.stem!r}; make them the same"
        )
    if declaration.element is None and any("[]" in name for name in _all_paths(declaration)):
        raise DeclarationError(f"{path}: key 'element': missing, but paths with '[]' need it; add an [element] table")
    return declaration


def load_declarations(folder: Path) -> dict[str, Declaration]:
    """Every ``*.toml`` of a folder, by stream name; see `load_declaration` for errors."""
    if not folder.is_dir():
        raise DeclarationError(f"{folder}: no such folder of stream declarations; give one that exists")
    return {path.stem: load_declaration(path) for path in sorted(folder.glob("*.toml"))}


def _all_paths(declaration: Declaration) -> set[str]:
    return {*declaration.id, *declaration.object, *declaration.ra, *declaration.dec, *declaration.time.field}


def _say(path: Path, item: object) -> str:
    assert isinstance(item, dict)
    key = ".".join(str(part) for part in item["loc"])
    remedy = {
        "missing": "is missing; add it",
        "extra_forbidden": "is not a key of a declaration; remove it or correct its spelling",
    }.get(item["type"], f"{item['msg']}; got {item.get('input')!r}")
    return f"{path}: key {key!r}: {remedy}"
