"""Functions of what we know of an alert beside its packet: light curve, events, watchlists and regions, read from columns."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence

import polars as pl

from broker.alert import BANDS
from broker.filtering import skyfunctions as sky
from broker.filtering.parse import meant, near
from broker.filtering.signature import Column, Function, NotKnownError, Parameter
from broker.filtering.values import Value, finite

__all__ = ["ALERT"]

_BAND = Parameter("band", "string", literal=True)
_NAME = Parameter("name", "string", literal=True)
_EVENT = Parameter("event", "string", literal=True)
_LEVEL = Parameter("level", literal=True)
_LIST = re.compile(r"[a-z][a-z0-9_]{0,63}")  # as the store has it: `broker.store.lists`
_FARTHEST = 3600.0  # arcseconds: how far watchlists look
_SNR = 2.5 / math.log(10.0)  # magnitudes of an error of one part in one


def _column(name: str, about: str) -> Function:
    return Function(((),), "number", lambda _, column: column(name), about, columns=(name,))


def _in_event(args: Sequence[Value], column: Column) -> pl.Expr:
    event, level = str(args[0].literal), float(args[1].literal or 0.0)
    return column.share(f"_event {event!r}", sky.event_level(pl.col("skymaps"), event)) <= level


def _list(parameter: str) -> Callable[[Sequence[Value]], str]:
    def name(args: Sequence[Value]) -> str:
        found = str(args[0].literal)
        if not _LIST.fullmatch(found):
            raise NotKnownError(
                f"{found[:100]!r} cannot be the name of a {parameter}: a lower-case letter, then a-z, 0-9 and _"
            )
        return found

    return name


_watchlist, _region = _list("watchlist"), _list("region")


def _watched(args: Sequence[Value]) -> tuple[str, ...]:
    name = _watchlist(args)
    if len(args) == 1:
        return (f"watchlist.{name}.inside",)
    radius = float(args[1].literal or 0.0)
    if not 0.0 <= radius <= _FARTHEST:
        raise NotKnownError(f"a radius is 0 to {_FARTHEST:g} arcseconds, not {radius:g}", place=1)
    return f"watchlist.{name}.sep", f"watchlist.{name}.inside"


def _in_watchlist(args: Sequence[Value], column: Column) -> pl.Expr:
    sep, *inside = (column(name) for name in _watched(args))
    if not inside:
        return sep
    # Of a list that is there, no target within a degree means no; of one that is not, nothing is known.
    close = pl.when(sep.is_not_null()).then(sep <= float(args[1].literal or 0.0))
    return close.when(inside[0].is_not_null()).then(pl.lit(value=False))


def _of_band(prefix: str) -> Callable[[Sequence[Value]], tuple[str, ...]]:
    def name(args: Sequence[Value]) -> tuple[str, ...]:
        if not args:
            return (prefix,)
        band = str(args[0].literal)
        if band not in BANDS:
            like = near(band, BANDS)
            raise NotKnownError(f"no band {band[:100]!r}{meant(like)}; there are {' '.join(BANDS)}", near=like)
        return (f"{prefix}.{band}",)

    return name


_rate, _detections = _of_band("lightcurve.rate"), _of_band("lightcurve.n_det")


ALERT: Mapping[str, Function] = {
    "age": _column("lightcurve.age", "days since the first detection of the object"),
    "n_det": Function(
        ((), (_BAND,)),
        "number",
        lambda args, column: column(*_detections(args)),
        "detections of the object, this one included; in one band, those of that band",
        reads=_detections,
    ),
    "rise_rate": Function(
        ((_BAND,),),
        "number",
        lambda args, column: -column(*_rate(args)),
        "magnitudes a day by which it brightens in a band, between its two latest detections there at least 0.02 d apart",
        reads=_rate,
    ),
    "in_watchlist": Function(
        ((_NAME,), (_NAME, Parameter("radius_arcsec", literal=True))),
        "boolean",
        _in_watchlist,
        "whether a target of the watchlist is within its own radius, or within so many arcseconds (3600 at most)",
        reads=_watched,
    ),
    "in_moc": Function(
        ((_NAME,),),
        "boolean",
        lambda args, column: column(f"moc.{_region(args)}"),
        "whether the alert is in the region of that name",
        reads=lambda args: (f"moc.{_region(args)}",),
    ),
    "snr": Function(
        ((),),
        "number",
        lambda _, column: finite(_SNR / column("mag_err")),
        "signal to noise of the measurement, from the error of its magnitude",
        columns=("mag_err",),
    ),
    "in_event": Function(
        ((_EVENT, _LEVEL),),
        "boolean",
        _in_event,
        "whether the alert is within that credible level of the live sky map of the event of that name",
        columns=("skymaps",),
        cost=100,
    ),
}
