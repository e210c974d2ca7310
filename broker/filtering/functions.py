"""The functions a filter can call: these and no others; none reaches a file, a table or the network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import polars as pl

from broker.filtering import skyfunctions as sky
from broker.filtering.alertfunctions import ALERT
from broker.filtering.like import like_fault, pattern_cost, regex_fault
from broker.filtering.observing import OBSERVING
from broker.filtering.signature import Column, Function, Make, NotKnownError, Parameter
from broker.filtering.values import Value, finite, number

__all__ = ["FUNCTIONS", "NOT_FUNCTIONS"]

_X = Parameter("x")
_TEXT = Parameter("text", "string")
_ANY = Parameter("value", "any")
_TIME = Parameter("time", "time")
_EVENT = Parameter("event", "string", literal=True)
_LEVEL = Parameter("level", literal=True)
_HERE = ("ra", "dec")


def _numeric(apply: Callable[[pl.Expr], pl.Expr], about: str) -> Function:
    return Function(((_X,),), "number", lambda args, _: finite(apply(number(args[0]))), about, cost=3)


def _text(apply: Callable[[pl.Expr, pl.Expr], pl.Expr], about: str) -> Function:
    return Function(
        ((_TEXT, Parameter("part", "string")),), "boolean", lambda args, _: apply(args[0].expr, args[1].expr), about, cost=5
    )


def _horizontal(apply: Callable[..., pl.Expr], about: str) -> Function:
    return Function(((_ANY,),), None, lambda args, _: apply(*(arg.expr for arg in args)), about, repeats=True)


def _round(args: Sequence[Value], _: Column) -> pl.Expr:
    places = int(float(args[1].literal or 0)) if len(args) > 1 else 0
    return number(args[0]).round(min(max(places, 0), 15), mode="half_away_from_zero")


def _separation(args: Sequence[Value], column: Column) -> pl.Expr:
    here = (column("_x"), column("_y"), column("_z")) if len(args) == 2 else sky.vector(number(args[0]), number(args[1]))
    ra, dec = args[-2:]
    if isinstance(ra.literal, int | float) and isinstance(dec.literal, int | float):
        there = sky.direction(float(ra.literal), float(dec.literal))
    else:
        there = sky.vector(number(ra), number(dec))
    return sky.separation(here, there)


def _cone(args: Sequence[Value], column: Column) -> pl.Expr:
    ra, dec, radius = (float(arg.literal or 0.0) for arg in args)
    return sky.in_cone((column("_x"), column("_y"), column("_z")), (ra, dec), radius)


def _skymap(field: str) -> Make:
    def make(args: Sequence[Value], column: Column) -> pl.Expr:
        pattern = str(args[0].literal) if args else None
        if pattern is not None and (fault := like_fault(pattern)):
            raise NotKnownError(fault)
        return column.share(f"_skymap {field} {pattern!r}", sky.skymap(pl.col("skymaps"), field, pattern))

    return make


def _in_skymap(args: Sequence[Value], column: Column) -> pl.Expr:
    *event, level = args
    return _skymap("credible_level")(event, column) <= float(level.literal or 0.0)


def _here(apply: Callable[[sky.Vector], pl.Expr], about: str) -> Function:
    return Function(((),), "number", lambda _, column: apply((column("_x"), column("_y"), column("_z"))), about, columns=_HERE)


def _when(apply: Callable[[pl.Expr], pl.Expr], about: str) -> Function:
    return Function(
        ((), (_TIME,)), "number", lambda args, column: apply(args[0].expr if args else column("time")), about, ("time",)
    )


def _regexp(args: Sequence[Value], column: Column) -> pl.Expr:
    pattern = str(args[1].literal)
    fault = regex_fault(pattern)
    if fault:
        raise NotKnownError(fault, place=1)
    column.spend(pattern_cost(pattern))
    return args[0].expr.str.contains(pattern)


_MATHS: dict[str, Function] = {
    "abs": _numeric(lambda x: x.abs(), "absolute value"),
    "sign": _numeric(lambda x: x.sign(), "-1, 0 or 1"),
    "sqrt": _numeric(lambda x: x.sqrt(), "square root; null below 0"),
    "exp": _numeric(lambda x: x.exp(), "e to the power of x"),
    "ln": _numeric(lambda x: x.log(), "natural logarithm; null at and below 0"),
    "log10": _numeric(lambda x: x.log10(), "decimal logarithm; null at and below 0"),
    "floor": _numeric(lambda x: x.floor(), "largest whole number not above x"),
    "ceil": _numeric(lambda x: x.ceil(), "smallest whole number not below x"),
    "radians": _numeric(lambda x: x.radians(), "degrees to radians"),
    "degrees": _numeric(lambda x: x.degrees(), "radians to degrees"),
    "sin": _numeric(lambda x: x.sin(), "sine of an angle in radians"),
    "cos": _numeric(lambda x: x.cos(), "cosine of an angle in radians"),
    "power": Function(
        ((_X, Parameter("y")),),
        "number",
        lambda args, _: finite(number(args[0]).pow(number(args[1]))),
        "x to the power of y",
        cost=5,
    ),
    "round": Function(
        ((_X,), (_X, Parameter("places", literal=True))),
        "number",
        _round,
        "to whole numbers or 0 to 15 decimal places, halves outwards",
    ),
    "least": _horizontal(pl.min_horizontal, "the smallest argument that is not null"),
    "greatest": _horizontal(pl.max_horizontal, "the largest argument that is not null"),
    "coalesce": _horizontal(pl.coalesce, "the first argument that is not null"),
}

_TEXTS: dict[str, Function] = {
    "lower": Function(((_TEXT,),), "string", lambda args, _: args[0].expr.str.to_lowercase(), "in lower case", cost=10),
    "upper": Function(((_TEXT,),), "string", lambda args, _: args[0].expr.str.to_uppercase(), "in upper case", cost=10),
    "length": Function(
        ((_TEXT,),), "integer", lambda args, _: args[0].expr.str.len_chars().cast(pl.Int64), "number of characters"
    ),
    "starts_with": _text(lambda text, part: text.str.starts_with(part), "whether the text begins with the part"),
    "ends_with": _text(lambda text, part: text.str.ends_with(part), "whether the text ends with the part"),
    "contains": _text(lambda text, part: text.str.contains(part, literal=True), "whether the part is in the text"),
    "regexp_like": Function(
        ((_TEXT, Parameter("pattern", "string", literal=True)),),
        "boolean",
        _regexp,
        "whether the regular expression (Rust's syntax) is found in the text",
    ),
}

_SKY: dict[str, Function] = {
    "sep": Function(
        ((Parameter("ra0"), Parameter("dec0")), (Parameter("ra"), Parameter("dec"), Parameter("ra0"), Parameter("dec0"))),
        "number",
        _separation,
        "degrees between the alert, or (ra, dec), and (ra0, dec0), ICRS",
        columns=_HERE,
        cost=25,
    ),
    "in_cone": Function(
        ((Parameter("ra0", literal=True), Parameter("dec0", literal=True), Parameter("radius", literal=True)),),
        "boolean",
        _cone,
        "whether the alert is within a radius (degrees) of a position (degrees, ICRS)",
        columns=_HERE,
    ),
    "galactic_lat": _here(sky.galactic_latitude, "Galactic latitude, degrees"),
    "galactic_lon": _here(sky.galactic_longitude, "Galactic longitude, degrees, 0 to 360"),
    "ecliptic_lat": _here(sky.ecliptic_latitude, "latitude above the ecliptic of J2000, degrees"),
    "mjd": _when(sky.mjd, "Modified Julian Date (UTC) of the alert, or of a time"),
    "jd": _when(sky.jd, "Julian Date (UTC) of the alert, or of a time"),
    "skymap_level": Function(
        ((), (_EVENT,)),
        "number",
        _skymap("credible_level"),
        "smallest credible level, 0 to 1, that holds the alert in any live sky map, or in those of events LIKE a pattern",
        columns=("skymaps",),
        cost=100,
    ),
    "skymap_dt": Function(
        ((), (_EVENT,)),
        "number",
        _skymap("dt"),
        "seconds from the event whose map holds the alert deepest to the alert",
        columns=("skymaps",),
        cost=100,
    ),
    "in_skymap": Function(
        ((_LEVEL,), (_EVENT, _LEVEL)),
        "boolean",
        _in_skymap,
        "whether the alert is within that credible level of a live sky map, or of one whose event is LIKE a pattern",
        columns=("skymaps",),
        cost=100,
    ),
}

_OTHER_NAMES = {
    "separation": "sep",
    "cone": "in_cone",
    "galactic_b": "galactic_lat",
    "galactic_l": "galactic_lon",
    "pow": "power",
    "ceiling": "ceil",
}

_BY_NAME = {**_MATHS, **_TEXTS, **_SKY, **OBSERVING, **ALERT}

FUNCTIONS: Mapping[str, Function] = {**_BY_NAME, **{other: _BY_NAME[name] for other, name in _OTHER_NAMES.items()}}
"""Every function by name, in lower case."""

NOT_FUNCTIONS: Mapping[str, str] = {
    "log": "say ln (natural) or log10",
    "cast": "numbers and texts are not turned into each other",
    "now": "a filter must give the same answer whenever it is run; compare `time` with a date",
    "if": "write CASE WHEN ... THEN ... ELSE ... END",
    "count": "a filter sees one alert at a time",
}
"""What to do instead of functions that people will try."""
