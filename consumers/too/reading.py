"""The file of rules, read and checked."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from consumers import sites
from consumers.errors import RequestError
from consumers.too.advice import longest_night
from consumers.too.errors import RulesError
from consumers.too.kinds import KINDS, read_kind
from consumers.too.rules import Bound, Budget, Exposure, Limits, Manners, Rule, Rules, Source
from consumers.too.toml_lines import lines_of
from consumers.too.toml_table import Table

__all__ = ["parse_rules", "read_rules"]

_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9_.-]*"
_LATE: Final = 10.0  # seconds by which what was given up after `timeout` may still arrive
SITELESS: Final = ("swift", "skyportal_plan")  # a satellite; a plan that the observatory itself fits into the night


def read_rules(file: Path) -> Rules:
    """Rules of a file.

    Raises
    ------
    RulesError
        It cannot be read, or says what cannot be; names line and word.
    """
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RulesError(f"cannot be read: {error}", file=str(file)) from error
    try:
        return parse_rules(text)
    except RulesError as error:
        error.file = error.file or str(file)
        raise


def parse_rules(text: str) -> Rules:
    """Rules of a text.

    Raises
    ------
    RulesError
        It says what cannot be.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        raise RulesError(f"is no TOML: {error}", line=int(line[1]) if line else 0) from error
    top = Table(data, (), lines_of(text))
    own = _sites(top)
    source, manners = _source(top.table("source")), _manners(top.table("observatory"))
    rules = tuple(_rule(table, own) for table in top.tables("rule", needed=True))
    top.end()
    names = [rule.name for rule in rules]
    for number, name in enumerate(names):
        if name in names[:number]:
            place = Table({}, ("rule", number), lines_of(text))
            raise place.wrong("name", f"{name!r} is the name of two rules")
    return Rules(rules, source, manners, own)


def _sites(top: Table) -> Mapping[str, Any]:
    table = top.table("sites")
    own: dict[str, Any] = {}
    for name in table.names():
        one = table.table(name)
        own[name] = {
            "longitude": one.number("longitude", low=-360.0, high=360.0),
            "latitude": one.number("latitude", low=-90.0, high=90.0),
            "height": one.number("height", 0.0, low=-500.0, high=10_000.0),
        }
        one.end()
    return own


def _source(table: Table) -> Source:
    plain = Source()
    properties = table.free("properties")
    if not all(isinstance(value, str | int | float) for value in properties.values()):
        raise table.wrong("properties", "are librdkafka's: texts and numbers")
    found = Source(
        address=table.text("address", plain.address),
        group=table.text("group", "", pattern=_NAME),
        registry=table.text("registry", None),
        start_at=table.text("start_at", plain.start_at),
        properties={key: str(value) for key, value in properties.items()},
    )
    table.end()
    return found


def _manners(table: Table) -> Manners:
    plain = Manners()
    found = Manners(
        timeout=table.number("timeout", plain.timeout, above=0.0, high=600.0),
        settle=table.number("settle", plain.settle, low=0.0, high=86_400.0),
        tries=table.whole("tries", plain.tries, low=1, high=20),
        poll=table.number("poll", plain.poll, above=0.0),
    )
    table.end()
    if found.settle < (least := found.timeout + _LATE):
        raise table.wrong(
            "settle" if "settle" in table else "timeout",
            f"settle is {found.settle:g} s, and what was given up after a timeout of {found.timeout:g} s may arrive until "
            f"{least:g} s: looked up before, it would be posted twice; make settle {least:g} or more, or timeout shorter",
        )
    return found


def _rule(table: Table, own: Mapping[str, Any]) -> Rule:
    name = table.text("name", pattern=_NAME, longest=60)
    target = table.text("target", choices=tuple(KINDS))
    site = table.text("site", None) if target in SITELESS else table.text("site")
    try:
        place = sites.find(site, own) if site is not None else None
    except RequestError as error:
        raise table.wrong("site", str(error)) from error
    filters = table.texts("filters")
    for one in filters:
        if one.startswith("^"):
            try:
                re.compile(one)
            except re.error as error:
                raise table.wrong("filters", f"{one!r} is no regular expression: {error}") from error
    found = Rule(
        name=name,
        filters=filters,
        target=target,
        table=read_kind(target, table.table(target, needed=True)),
        exposures=tuple(_exposure(one) for one in table.tables("exposure", needed=True)),
        budget=_budget(table.table("budget")),
        limits=_limits(table.table("limits")),
        site=place,
        source=table.text("source", ""),
        cool_down=table.number("cool_down", 0.0, low=0.0),
        only_once=table.text("only_once", "object", choices=("object", "event", "alert")),
        valid_hours=table.number("valid_hours", None, above=0.0, high=24.0 * 14),
        cancel_on_rescore=table.flag("cancel_on_rescore", True),
        priority=table.whole("priority", 3, low=1, high=5),
        overhead=table.number("overhead", 0.0, low=0.0),
    )
    table.end()
    _alike(found, table)
    _fits(found, table)
    if found.budget.seconds is not None and found.seconds > found.budget.seconds:
        raise table.wrong(
            "budget", f"{found.budget.seconds:g} s a night is less than the {found.seconds:g} s that one request takes"
        )
    return found


def _fits(rule: Rule, table: Table) -> None:
    """One request must fit into a night of the site; what is never observed all through is known before it is asked for."""
    if rule.site is None:
        return
    sun = rule.limits.max_sun_altitude
    hours = longest_night(rule.site.latitude, sun)
    if rule.seconds > 3600.0 * hours and hours < 24.0:
        raise table.wrong(
            "exposure",
            f"one request takes {rule.seconds / 3600.0:.4g} h (seconds x count of every [[rule.exposure]], with overhead), and "
            f"the longest night at {rule.site.name} has {hours:.1f} h below max_sun_altitude = {sun:g}",
        )


def _alike(rule: Rule, table: Table) -> None:
    """SkyPortal's forms have one exposure time, and that of a source one count, for all bands."""
    own = set(rule.table.get("payload") or ())
    if rule.target == "skyportal_plan" and "exposure_time" not in own and len({one.seconds for one in rule.exposures}) > 1:
        raise table.wrong(
            "exposure",
            "a plan of SkyPortal has one time for all bands: make the exposures of one length, write a rule for each, or give "
            "exposure_time in [rule.skyportal_plan.payload]",
        )
    told = {"exposure_time", "exposure_counts"} <= own
    if rule.target == "skyportal" and not told and len({(one.seconds, one.count) for one in rule.exposures}) > 1:
        raise table.wrong(
            "exposure",
            "SkyPortal takes one time and one count for all bands: make the exposures alike, write a rule for each, or give "
            "exposure_time and exposure_counts in [rule.skyportal.payload]",
        )


def _exposure(table: Table) -> Exposure:
    found = Exposure(
        band=table.text("band", longest=40),
        seconds=table.number("seconds", above=0.0, high=36_000.0),
        count=table.whole("count", 1, low=1, high=10_000),
    )
    table.end()
    return found


def _budget(table: Table) -> Budget:
    """Of a rule that has none: five requests a night, so that none spends the night by oversight."""
    requests, seconds = table.whole("requests", None, low=0), table.number("seconds", None, low=0.0)
    table.end()
    return Budget(5 if requests is None and seconds is None else requests, seconds)


def _limits(table: Table) -> Limits:
    plain = Limits()
    fields = {name: _bound(each) for name, each in ((n, t) for n, t in _tables(table.table("fields")))}
    for key, name, side in (("min_mag", "mag", "low"), ("max_mag", "mag", "high")):
        bound = table.number(key, None, low=-30.0, high=40.0)
        if bound is not None:
            known = fields.get(name, Bound())
            fields[name] = Bound(bound, known.high) if side == "low" else Bound(known.low, bound)
    found = Limits(
        min_altitude=table.number("min_altitude", plain.min_altitude, low=-5.0, high=89.0),
        max_airmass=table.number("max_airmass", None, low=1.0, high=25.0),
        min_moon_separation=table.number("min_moon_separation", None, low=0.0, high=180.0),
        max_moon_illumination=table.number("max_moon_illumination", None, low=0.0, high=1.0),
        max_sun_altitude=table.number("max_sun_altitude", plain.max_sun_altitude, low=-90.0, high=90.0),
        max_age_hours=table.number("max_age_hours", plain.max_age_hours, above=0.0),
        max_credible_level=table.number("max_credible_level", None, low=0.0, high=1.0),
        fields=fields,
    )
    table.end()
    return found


def _tables(table: Table) -> list[tuple[str, Table]]:
    return [(name, table.table(name)) for name in table.names()]


def _bound(table: Table) -> Bound:
    found = Bound(table.number("min", None), table.number("max", None))
    table.end()
    if found.low is None and found.high is None:
        raise table.wrong("min", "give min, max or both")
    return found
