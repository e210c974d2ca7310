"""What the API is handed: everything it serves comes through here, put together by wiring.

The store and the log are read directly; whatever needs decoding, or lies with other parts, is a plain callable.

Longer than 300 lines, because a list of all that the API is handed is of use only whole.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from broker.api.policy import Auth
from broker.api.principal import Owned
from broker.api.subscribing import NO_SUBSCRIBING, Subscribing
from broker.errors import NotFoundError
from broker.filtering.check import Checked, check_condition, check_filter
from broker.filtering.columns import Known
from broker.filtering.definition import FilterSpec
from broker.science.skymap import SkyMap
from broker.science.skymap_fits import read_skymap
from broker.store.engine import Store
from broker.store.search import Cone
from broker.stream.log import Log

if TYPE_CHECKING:
    from broker.science.finding_chart import Source
    from broker.science.skyplot import Candidate

__all__ = [
    "Backtests",
    "BuiltCatalog",
    "Cell",
    "ExpressionQuery",
    "FilterWindow",
    "Galaxies",
    "GalaxyQuery",
    "PublishedSchema",
    "Services",
    "Weight",
]

Cell = tuple[int, int]
"""A HEALPix cell: order and NESTED index."""


def no_map(path: str) -> SkyMap:
    """Where no maps are kept."""
    raise NotFoundError(f"no sky map {path}")


@dataclass(frozen=True, slots=True)
class ExpressionQuery:
    """A search by filter expression over the kept frames.

    Parameters
    ----------
    where
        Boolean expression in the language of the filters.
    streams
        Those to search; none means all.
    columns
        Columns wanted besides the common ones.
    limit
        Rows at most.
    alert_ids, object_id, cone, start, end
        What else must hold; `start` is included, `end` is not.
    before
        Time and id of the last row already had: give those that come after it, newest first, ties by falling id.
    """

    where: str
    streams: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    limit: int = 100
    alert_ids: tuple[str, ...] = ()
    object_id: str | None = None
    cone: Cone | None = None
    start: datetime | None = None
    end: datetime | None = None
    before: tuple[datetime | None, str] | None = None


Weight = Literal["luminosity", "none"]


@dataclass(frozen=True, slots=True)
class GalaxyQuery:
    """Which galaxies of an event are wanted.

    Parameters
    ----------
    limit
        At most so many, the likeliest first.
    level
        Those in the smallest part of the sky that holds so much of the map's probability.
    weight
        Whether they are weighed by their luminosity; ``None`` for where the map has distances. Of a map without any the first
        would be the farthest quasars.
    catalog
        Name of the catalogue.
    """

    limit: int = 50
    level: float = 0.99
    weight: Weight | None = None
    catalog: str = "glade"


@dataclass(frozen=True, slots=True, eq=False)
class Galaxies:
    """Galaxies ranked as hosts of an event: a row each, the likeliest first, and what is to be said of all of them."""

    frame: pl.DataFrame
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class BuiltCatalog:
    """A catalogue that alerts are matched against.

    Parameters
    ----------
    rows
        How many sources it has.
    columns
        What it says of each, besides position and name.
    ranks
        Whether it has distances, as a catalogue that hosts are looked for in.
    meta
        ``source``, ``version``, ``match``, ``licence``, ``citation``, where they are known.
    """

    name: str
    rows: int
    columns: tuple[str, ...]
    ranks: bool
    meta: Mapping[str, Any]


def no_voevent(event: Mapping[str, Any]) -> bytes:
    """Where none are made."""
    raise NotFoundError(f"no VOEvent of {event['event_name']!r}: none are made here")


def _no_galaxies(event: str, _asked: GalaxyQuery) -> Galaxies:
    raise NotFoundError(f"no galaxies for event {event!r}: no catalogue is served here")


def _no_columns(stream: str, _hidden: Collection[str]) -> Known:
    raise NotFoundError(f"no columns of {stream!r}: none are listed here")


def _unknown_columns(text: str, _stream: str | None, _hidden: Collection[str]) -> Checked:
    return check_filter(text)


def _unknown_columns_of(where: str, _stream: str | None, _hidden: Collection[str]) -> Checked:
    return check_condition(where)


@dataclass(frozen=True, slots=True)
class FilterWindow:
    """A filter and the alerts it is asked about.

    Parameters
    ----------
    since, until
        Half-open window of the alerts' time, UTC.
    alert_id
        One alert only.
    force
        However large a part it picks.
    who
        Account that asks; ``None`` without one.
    """

    spec: FilterSpec
    since: datetime | None = None
    until: datetime | None = None
    alert_id: str | None = None
    force: bool = False
    who: str | None = None


def _nothing_kept(_asked: FilterWindow) -> Mapping[str, Any]:
    raise NotFoundError("nothing is explained here: no alerts are kept")


def _no_trace(alert_id: str) -> Mapping[str, Any]:
    raise NotFoundError(f"no trace of {alert_id!r}: none is kept here")


@dataclass(frozen=True, slots=True)
class Backtests:
    """Backtests that are run for whoever asks.

    Parameters
    ----------
    start
        Begins one and tells its id. `TooBusyError` where there are too many.
    get
        ``id, state, done, total, result, error, who`` by id. `NotFoundError` where there is none.
    plot
        PNG by id.
    close
        Ends them, however far they are.
    """

    start: Callable[[FilterWindow], str]
    get: Callable[[str], Mapping[str, Any]]
    plot: Callable[[str], bytes]
    close: Callable[[], None] = lambda: None


def _no_backtests(_asked: FilterWindow) -> str:
    raise NotFoundError("no backtests are run here")


def _no_backtest(name: str) -> Any:
    raise NotFoundError(f"no backtest {name!r}: none are run here")


NO_BACKTESTS = Backtests(_no_backtests, _no_backtest, _no_backtest)


@dataclass(frozen=True, slots=True)
class PublishedSchema:
    """A schema our topics are written with.

    Parameters
    ----------
    id
        The number that stands in front of each message.
    subject, version
        Its name, and which edition of it.
    schema
        The Avro schema, or the JSON schema, as text.
    """

    id: int
    subject: str
    version: int
    schema: str
    type: Literal["AVRO", "JSON"] = "AVRO"


@dataclass(frozen=True, slots=True)
class Services:
    """Everything the API serves from.

    Parameters
    ----------
    store, log
        Read directly.
    packet
        The bytes an alert came in, exactly, by alert id. `NotFoundError` where there is no such alert.
    packet_fields
        The packet decoded, by alert id.
    cutout
        FITS bytes by alert id and kind (``science``, ``template``, ``difference``); ``None`` where the packet has none.
    neighbours
        Catalogues' sources round a place (degrees, ICRS), to be marked in finding charts.
    light_curve
        By object id: columns ``time`` (MJD, UTC), ``mag``, ``mag_err``, ``band``, ``kind`` (``detection``, ``forced`` or
        ``limit``), and whatever more the survey gives, such as ``flux``. Empty for an object without one.
    query
        Alerts by expression, ordered by falling time and id: the common columns, those asked for, those the expression names.
    status
        Ledger totals, lag, halted streams, uptime, rates; see `broker.api.status.Status` for the shape.
    filters
        Those that are live.
    schemas
        Those our topics are written with.
    region
        By event name and credible level: the HEALPix cells of its latest map inside that level, coarse enough to draw.
        Empty where the event has no map.
    skymap
        The map kept under a path of an event's ``map_path``.
    read_map
        The map in a file that was sent to us. `SkyMapError` where it is refused.
    max_upload
        Bytes of the largest file that is taken.
    candidates
        By event name: alerts inside its map, to be marked in pictures of it.
    voevent
        Of an event as `broker.store.events.get_event` has it.
    catalogs
        Those that are built.
    galaxies
        By event name: those of a catalogue that can be its host. `NotFoundError` where event, map or catalogue is not there.
    columns
        What is known of a stream's columns, but those of lists that are hidden (`broker.api.hidden`). `UsageError` where
        there is no such stream.
    check_filter, check_condition
        What is wrong with a filter's file, or with a condition, and with its columns on a stream where one is named; hidden
        lists are as if they were not there.
    alarms
        What is wrong beside our own parts, by what it is wrong with: upstreams that have fallen silent.
    gate
        Raises `RefusedError` where a filter would pass more than the settings allow.
    explain
        What each clause of a filter lets through, or says of one alert; see `broker.api.explain`.
    backtests
        What filters would have picked.
    subscribing
        How subscriptions are made, changed and ended.
    trace
        By alert id: the steps it took. `NotFoundError` where nothing is known of it.
    auth
        Who may do what.
    filter_owners
        Whose each filter is, by name; one that is not there is public.
    column_owners
        Whose the columns are that come of people's watchlists and regions, by how their names begin: ``watchlist.<name>``,
        ``moc.<name>``; what is not there is public.
    version
        Ours.
    live_readers
        Live streams served at once; one more is asked to come back later.
    heartbeat
        Seconds of silence on a live stream after which it says it is alive.
    live_patience
        Seconds after which a live reader that takes nothing is dropped.
    introduction
        Seconds for the first message of a WebSocket, which says who it is.
    """

    store: Store
    log: Log
    packet: Callable[[str], bytes]
    packet_fields: Callable[[str], Mapping[str, Any]]
    cutout: Callable[[str, str], bytes | None]
    light_curve: Callable[[str], pl.DataFrame]
    query: Callable[[ExpressionQuery], pl.DataFrame]
    status: Callable[[], Mapping[str, Any]]
    filters: Callable[[], Sequence[FilterSpec]]
    schemas: Sequence[PublishedSchema] = ()
    neighbours: Callable[[float, float], Sequence[Source]] = lambda _ra, _dec: ()
    region: Callable[[str, float], Sequence[Cell]] = lambda _event, _level: ()
    skymap: Callable[[str], SkyMap] = no_map
    read_map: Callable[[Path], SkyMap] = read_skymap
    max_upload: int = 1 << 28
    candidates: Callable[[str], Sequence[Candidate]] = lambda _event: ()
    voevent: Callable[[Mapping[str, Any]], bytes] = no_voevent
    catalogs: Callable[[], Sequence[BuiltCatalog]] = tuple
    galaxies: Callable[[str, GalaxyQuery], Galaxies] = _no_galaxies
    columns: Callable[[str, Collection[str]], Known] = _no_columns
    check_filter: Callable[[str, str | None, Collection[str]], Checked] = _unknown_columns
    check_condition: Callable[[str, str | None, Collection[str]], Checked] = _unknown_columns_of
    alarms: Callable[[], Mapping[str, str]] = dict
    gate: Callable[[FilterSpec], None] = lambda _spec: None
    explain: Callable[[FilterWindow], Mapping[str, Any]] = _nothing_kept
    backtests: Backtests = NO_BACKTESTS
    subscribing: Subscribing = NO_SUBSCRIBING
    trace: Callable[[str], Mapping[str, Any]] = _no_trace
    auth: Auth = field(default_factory=Auth)
    filter_owners: Callable[[], Mapping[str, Owned]] = dict
    column_owners: Callable[[], Mapping[str, Owned]] = dict
    version: str = "0"
    live_readers: int = 64
    heartbeat: float = 15.0
    live_patience: float = 60.0
    introduction: float = 5.0
