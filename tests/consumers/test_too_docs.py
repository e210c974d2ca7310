"""The page of the telescope hook says what is there."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from importlib.resources import files
from pathlib import Path

import jsonschema_rs

from consumers.too.kinds import KINDS
from consumers.too.ledger import COUNTED
from consumers.too.reading import parse_rules
from consumers.too.rules import Limits, Manners, Rule, Source
from consumers.too.toml_table import Table
from tests.consumers.test_too_rules import TABLES
from tests.consumers.too_world import Bench, alert, in_map, rules_text

PAGE = (Path(__file__).parents[2] / "docs" / "too.md").read_text("utf-8")


def block(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    return str(found)


def test_the_example_that_comes_along_is_the_one_shown():
    assert (files("consumers.too") / "example.toml").read_text("utf-8") == block("toml")


def test_the_rules_shown_are_right_and_ask_two_observatories(tmp_path):
    rules = parse_rules(block("toml"))
    assert [rule.target for rule in rules.rules] == ["lco", "json"]
    with Bench(tmp_path, block("toml")) as bench:
        lines = bench.take(in_map(ra=60.0, dec=50.0, mag=17.1, topic="matched.gw_counterparts"))
    assert [(line["rule"], line["decision"]) for line in lines] == [("gw-1m", "request"), ("gw-dome", "request")]


def test_the_generic_request_shown_is_as_its_schema_says():
    schema = json.loads((files("consumers.too") / "request.schema.json").read_text("utf-8"))
    jsonschema_rs.validate(schema, json.loads(block("json")))
    assert sorted(json.loads(block("json"))) == sorted(schema["properties"])


def test_every_key_is_told():
    told = set(re.findall(r"`([a-z_]+)`", PAGE))
    names = {item.name for kind in (Source, Manners, Limits) for item in fields(kind)}
    names |= {item.name for item in fields(Rule)} - {"table", "exposures", "limits", "budget"}
    for kind, text in TABLES.items():
        asked = Table(parse_rules(rules_text(kind, table=text)).rules[0].table)
        names |= {name for name in asked.names() if name != "auth"}
        KINDS[kind](asked)
    assert not names - told


def test_every_state_and_decision_is_told(tmp_path):
    told = set(re.findall(r"`([a-z-]+)`", PAGE))
    assert not {*COUNTED, "refused"} - told
    with Bench(tmp_path, rules_text()) as bench:
        back = alert(update="retracted", update_event="S261121a")
        lines = bench.take(in_map(), in_map(), back, alert(2, dec=-80.0), alert(3, update="retracted", update_event="S1"))
    assert {line["decision"] for line in lines} == {"request", "repeat", "cancel", "refuse", "nothing"} & told
