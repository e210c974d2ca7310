"""What the documents say is there: they name every setting, command and resource, and their links lead somewhere."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import get_args, get_origin

import pytest
from prometheus_client import REGISTRY
from pydantic import BaseModel
from typer.main import get_command

from broker.api.app import create_app
from broker.api.policy import SOCKETS
from broker.cli.app import app
from broker.decode.declaration import load_declaration
from broker.filtering.definition import parse_filter
from broker.filtering.examples import run_examples
from broker.filtering.expression import compile_expression
from broker.filtering.functions import FUNCTIONS
from broker.settings import Settings
from tests.api.world import world

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.glob("*.md"), *(ROOT / "benchmarks").glob("*.md")])


def text(name: str) -> str:
    return (DOCS / name).read_text("utf-8")


def blocks(name: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text(name), re.DOTALL | re.MULTILINE)


def settings_of(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from settings_of(kind, f"{prefix}{name}.")
        elif get_origin(kind) is dict and isinstance(of := get_args(kind)[1], type) and issubclass(of, BaseModel):
            yield from settings_of(of, f"{prefix}{name}.<name>.")
        else:
            yield f"{prefix}{name}"


def verbs() -> Iterator[str]:
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        inner = getattr(command, "commands", None)
        yield from (f"nuncius {name} {verb}" for verb in inner) if inner else [f"nuncius {name}"]


def without_code(page: Path) -> str:
    return re.sub(r"^```.*?^```|`[^`\n]*`", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("name", list(settings_of(Settings)))
def test_every_setting_is_in_operations(name: str):
    assert re.search(rf"^\| `{re.escape(name)}` \|", text("operations.md"), re.MULTILINE)


def test_operations_names_no_setting_that_is_not():
    tables = "|".join(Settings.model_fields)
    told = set(re.findall(rf"^\| `((?:{tables})\.[^`]+)` \|", text("operations.md"), re.MULTILINE))
    assert told <= set(settings_of(Settings))


@pytest.mark.parametrize("verb", list(verbs()))
def test_every_verb_is_in_operations(verb: str):
    assert f"`{verb}`" in text("operations.md")


def test_every_resource_is_in_the_api_page(tmp_path: Path):
    with world(tmp_path) as made:
        paths = create_app(made.services).openapi()["paths"]
    told = text("api.md")
    resources = {path for path in paths if path.startswith("/api/v1")} | SOCKETS  # of which OpenAPI knows nothing
    assert resources
    assert not [path for path in resources if f"| `{path}` |" not in told]
    assert set(re.findall(r"^\| `(/api/v1[^`]*)` \|", told, re.MULTILINE)) == resources
    asked = [parameter["name"] for parameter in paths["/api/v1/alerts"]["get"]["parameters"]]
    assert not [name for name in asked if f"`{name}`" not in told]


def test_every_function_is_in_the_page_of_filters_and_its_examples_compile():
    told = text("filters.md").split("\n## Functions\n")[1].split("\n## ")[0]
    assert not [name for name in FUNCTIONS if not re.search(rf"`{name}[`(]", told)]
    examples = re.findall(r"\| `([^`]+)` \|$", told, re.MULTILINE)
    assert len(examples) > 20
    for example in examples:
        compile_expression(example)


def test_the_filters_shown_are_right():
    for shown in blocks("filters.md", "toml"):
        assert not run_examples(parse_filter(shown))


@pytest.mark.parametrize("page", ["streams.md", "architecture.md"])
def test_the_declaration_shown_is_right(page: str, tmp_path: Path):
    assert blocks(page, "toml")
    for shown in blocks(page, "toml"):
        file = tmp_path / f"{tomllib.loads(shown)['stream']}.toml"
        file.write_text(shown, "utf-8")
        load_declaration(file)


def test_the_settings_shown_are_right():
    for shown in blocks("operations.md", "toml"):
        Settings.model_validate(tomllib.loads(shown))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path):
    for link in re.findall(r"\]\(([^)\s]+)\)", without_code(page)):
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        if anchor:
            assert anchor in anchors(target), link


def test_every_metric_is_in_operations():
    names = {metric.name + "_total" * (metric.type == "counter") for metric in REGISTRY.collect() if "nuncius" in metric.name}
    assert len(names) > 5
    assert set(re.findall(r"^\| `(nuncius_\w+)` \|", text("operations.md"), re.MULTILINE)) == names


def test_files_of_the_architecture_are_there():
    page = text("architecture.md")
    named = re.findall(r"`((?:broker|schemas|filters|infra|tests|docs|consumers)/[\w/.-]+)`", page)
    assert len(named) > 10
    assert not [name for name in named if not (ROOT / name).exists()]
    for name in re.findall(
        r"`((?:cli|wiring|ingest|decode|process|deliver|api|store|stream|science|filtering)/[\w*/]+\.py)`", page
    ):
        assert list((ROOT / "broker").glob(name)), name


def test_the_house_is_as_drawn():
    drawn = text("architecture.md").split("## The house")[1].split("```")[1].split("\nfilters/")[0]
    folder, seen = "", 0
    for line in drawn.splitlines()[2:]:
        if begins := re.match(r"  (\w+)/ ", line):
            folder = begins[1]
        elif not line.startswith("    "):
            folder = ""
        for name in re.findall(r"(?<!\S)([\w*]+\.py|[\w*]+/)(?!\S)", line):
            assert list((ROOT / "broker" / folder).glob(name)) or (ROOT / "broker" / name).is_dir(), f"{folder}/{name}"
            seen += 1
    assert seen > 60
    folders = {path.parent.name for path in (ROOT / "broker").glob("*/__init__.py")}
    assert not [name for name in folders if f"\n  {name}/ " not in drawn]
