"""The funnel over every packet of the real data, held against plain Python that goes through them one by one."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from broker.alert import NOT_REAL
from broker.cli.app import run
from broker.filtering.definition import FilterSpec, parse_filter
from broker.settings import load
from broker.store import tables
from broker.store.engine import connection
from broker.wiring import reading
from broker.wiring.explain import REAL, funnel, verdicts
from broker.wiring.parts import Parts, open_parts

pytestmark = pytest.mark.data

Value = Any
Row = Mapping[str, Value]
Clause = Callable[[Row], bool | None]

STANDS_FOR_NULL = (-999.0, -99.0, -9999.0, -99999.0)  # in ZTF's packets; others say null
SURVEYS = ("ztf", "lsst", "elasticc", "atlas", "winter", "pgir")


def over(name: str, limit: float) -> Clause:
    return lambda row: None if row[name] is None else row[name] > limit


def under(name: str, limit: float) -> Clause:
    return lambda row: None if row[name] is None else row[name] < limit


def between(name: str, low: float, high: float) -> Clause:
    return lambda row: None if row[name] is None else low <= row[name] <= high


def among(name: str, *values: str) -> Clause:
    return lambda row: None if row[name] is None else row[name] in values


FILTERS: dict[str, tuple[tuple[str, ...], dict[str, Clause]]] = {
    "surveys": (
        SURVEYS,
        {
            "mag < 20.5": under("mag", 20.5),
            "positive": lambda row: row["positive"],
            "(candidate.sgscore1 > 0.5) IS NOT TRUE": lambda row: over("candidate.sgscore1", 0.5)(row) is not True,
            "coalesce(reliability, 1) > 0.5": lambda row: (1 if row["reliability"] is None else row["reliability"]) > 0.5,
            "abs(dec) > 5 OR mag < 18": lambda row: either(abs(row["dec"]) > 5, under("mag", 18)(row)),
        },
    ),
    "ztf": (
        ("ztf",),
        {
            "candidate.rb > 0.6": over("candidate.rb", 0.6),
            "candidate.nbad = 0": lambda row: None if row["candidate.nbad"] is None else row["candidate.nbad"] == 0,
            "candidate.magpsf - candidate.magnr < 1": lambda row: less(row["candidate.magpsf"], row["candidate.magnr"], 1),
            "NOT candidate.distpsnr1 < 1": lambda row: opposite(under("candidate.distpsnr1", 1)(row)),
            "candidate.ndethist BETWEEN 2 AND 200": between("candidate.ndethist", 2, 200),
        },
    ),
    "lsst": (
        ("lsst", "elasticc"),
        {
            "diaSource.psfFlux > 500": over("diaSource.psfFlux", 500),
            "band IN ('r', 'i', 'z')": among("band", "r", "i", "z"),
            "diaSource.snr > 5": over("diaSource.snr", 5),
        },
    ),
    "notices": (
        ("gcn", "lvk"),
        {
            "messenger = 'EM'": among("messenger", "EM"),
            "mission IN ('Fermi', 'Swift')": among("mission", "Fermi", "Swift"),
            "ra_dec_error <= 10": lambda row: None if row["ra_dec_error"] is None else row["ra_dec_error"] <= 10,
            "alert_type <> 'retraction'": lambda row: None if row["alert_type"] is None else row["alert_type"] != "retraction",
        },
    ),
    "waves": (
        ("lvk",),
        {
            "far < 1e-6": under("far", 1e-6),
            "messenger = 'GW'": among("messenger", "GW"),
            "p_astro > 0.5": over("p_astro", 0.5),
        },
    ),
}


def either(one: bool | None, other: bool | None) -> bool | None:
    return True if one or other else None if None in {one, other} else False


def opposite(one: bool | None) -> bool | None:
    return None if one is None else not one


def less(one: float | None, other: float | None, by: float) -> bool | None:
    return None if one is None or other is None else one - other < by


def spec(name: str) -> FilterSpec:
    streams, clauses = FILTERS[name]
    where = " AND ".join(f"({text})" if " OR " in text else text for text in clauses)
    listed = ", ".join(f'"{stream}"' for stream in streams)
    return parse_filter(f'name = "{name}"\nversion = 1\nstream = [{listed}]\ndescription = "x"\nwhere = "{where}"\n')


@pytest.fixture(scope="module")
def parts(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    data = tmp_path_factory.mktemp("funnel") / "data"
    assert run(["--data", str(data), "ingest", str(data_dir), "--json"]) == 0
    with open_parts(load(None), data) as opened:
        yield opened


@pytest.fixture(scope="module")
def rows(parts: Parts) -> dict[str, dict[str, Value]]:
    """Every alert kept: its common columns, and its packet's own fields by dotted name."""
    wanted = {name for _, clauses in FILTERS.values() for text in clauses for name in names_in(text)}
    with connection(parts.store) as conn:
        found = [dict(row) for row in conn.execute(tables.alerts.select()).mappings()]
    return {row["alert_id"]: row | fields(parts, row, wanted) for row in found}


def names_in(text: str) -> set[str]:
    return {word.strip("(),") for word in text.split() if "." in word and word.strip("(),")[0].isalpha()}


def fields(parts: Parts, row: Mapping[str, Value], wanted: set[str]) -> dict[str, Value]:
    if row["stream"] not in SURVEYS:
        return dict.fromkeys(wanted)
    packet = reading.fields(parts, row["alert_id"])
    return {name: at(packet, name) for name in wanted}


def at(packet: Value, name: str) -> Value:
    for part in name.split("."):
        packet = packet.get(part) if isinstance(packet, Mapping) else None
    number = isinstance(packet, int | float) and not isinstance(packet, bool)
    return None if number and (packet != packet or packet in STANDS_FOR_NULL) else packet  # noqa: PLR0124 - not a number


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", FILTERS)
def test_counts_are_those_of_every_packet(parts: Parts, rows: dict[str, dict[str, Value]], name: str) -> None:
    streams, clauses = FILTERS[name]
    seen = [row for row in rows.values() if any(fnmatchcase(row["stream"], stream) for stream in streams)]
    assert seen
    told = funnel(parts, spec(name))
    assert told.evaluated == len(seen)
    asked = dict(clauses)
    if told.clauses[0].text == REAL:
        asked = {REAL: lambda row: row["alert_tense"] not in NOT_REAL} | asked
    left = seen
    for clause, (text, test) in zip(told.clauses, asked.items(), strict=True):
        assert clause.text.strip("()") == text.strip("()")
        left = [row for row in left if test(row) is True]
        assert (text, clause.passes_alone) == (text, sum(test(row) is True for row in seen))
        assert (text, clause.passes_in_order) == (text, len(left))
    assert told.matched == len(left)
    picked = {row["alert_id"] for row in left}
    some = random.Random(name).sample(seen, min(len(seen), 20))
    for row in some:
        said = {each.text.strip("()"): each.true for each in verdicts(parts, spec(name), row["alert_id"])}
        assert said == {text.strip("()"): test(row) for text, test in asked.items()}
        # Who was dropped was dropped by a clause that can be named.
        assert (row["alert_id"] in picked) == all(said.values())
