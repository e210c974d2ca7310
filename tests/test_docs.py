"""The guides name what there is, and what they point to is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from broker.cli.app import app
from broker.filtering.functions import FUNCTIONS
from broker.paths import shipped
from broker.settings import Settings, Source

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("benchmarks/*.md")])


def settings(model: type[BaseModel], prefix: str = "") -> list[str]:
    names = []
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            names += settings(inner, f"{prefix}{name}.")
        else:
            names.append(prefix + name)
    return names


def test_every_setting_is_told() -> None:
    page = (ROOT / "docs/operations.md").read_text()
    assert [name for name in settings(Settings) if f"`{name}`" not in page] == []
    assert set(Source.model_fields) >= {"kind", "topics", "stream", "bootstrap_servers", "group"}


def test_every_verb_is_told() -> None:
    page = (ROOT / "docs/operations.md").read_text()
    verbs = [command.name or command.callback.__name__ for command in app.registered_commands if command.callback]
    verbs += [group.name or "" for group in app.registered_groups]
    assert len(verbs) > 10
    assert [verb for verb in verbs if f"`{verb}`" not in page] == []


def test_every_function_is_told() -> None:
    page = (ROOT / "docs/filters.md").read_text()
    assert [name for name in FUNCTIONS if not re.search(rf"`{name}\b", page)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)\)", page.read_text())
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


def test_files_of_the_architecture_are_there() -> None:
    page = (ROOT / "docs/architecture.md").read_text()
    named = re.findall(r"`((?:broker|schemas|filters|infra|tests|docs|consumers)/[\w/.-]+\.(?:py|toml|yml|md))`", page)
    assert len(named) > 8
    assert [name for name in named if not (ROOT / name).exists()] == []
    house = page.split("## The house")[1].split("```")[1]
    for line in house.splitlines():
        folder = re.match(r"  (\w+)/ ", line)
        if folder:
            for name in re.findall(r"\b(\w+\.py)\b", line):
                assert (ROOT / "broker" / folder[1] / name).exists(), name
    assert (shipped("schemas") / "streams").is_dir()
