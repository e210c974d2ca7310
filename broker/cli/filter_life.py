"""``nuncius filter add | test | live | retire | list | show | versions``: the life of a filter."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from broker.cli.context import Globals, busy, context, err, opened, out, print_json
from broker.cli.tables import LEAST_PROSE, show_table

if TYPE_CHECKING:
    from broker.store.filters import FilterVersion
    from broker.wiring.parts import Parts

__all__ = ["add", "listing", "live", "retire", "show", "try_out", "versions"]

Name = Annotated[str, typer.Argument(help="Of the filter.")]
Number = Annotated[int | None, typer.Option("--version", help="Which version [default: the newest]", min=1)]
Force = Annotated[bool, typer.Option("--force", help="Even where it passes more of the stream than the settings allow.")]
Document = Annotated[bool, typer.Option("--json", help="As one JSON object.")]


def listing(
    ctx: typer.Context,
    state: Annotated[str, typer.Option(help="live, draft, tested, retired or all: which versions", metavar="STATE")] = "live",
    as_document: Document = False,
) -> None:
    """The filters in force, or all versions in another state. Without a data folder: those that come with Nuncius.

    Example: `nuncius filter list`
    """
    options = context(ctx)
    with busy("open"):
        from broker.errors import UsageError
        from broker.store import filters
    if state not in {*filters.STATES, "all"}:
        raise UsageError(f"--state {state}: there are {', '.join(filters.STATES)} and all")
    rows = _shipped(options) if not options.data.is_dir() else _kept(options, None if state == "all" else state)
    if as_document:
        names = ("name", "version", "state", "streams", "description", "author")
        print_json([dict(zip(names, row, strict=True)) for row in rows])
        return
    table = [
        (name, f"{version} {how}" if state == "all" else str(version), escape(", ".join(streams)), escape(said))
        for name, version, how, streams, said, _ in rows
    ]
    show_table(out, ("name", "version", "stream", "description"), table, prose={"stream": 10, "description": LEAST_PROSE})


_Row = tuple[str, int, str, Sequence[str], str, str]


def _shipped(options: Globals) -> list[_Row]:
    from broker.wiring.parts import filters_of

    found = filters_of(options.settings(), options.data)
    return [(spec.name, spec.version, "shipped", spec.streams, spec.description, "file") for spec in found]


def _kept(options: Globals, state: str | None) -> list[_Row]:
    from broker.errors import UsageError
    from broker.filtering.definition import parse_filter
    from broker.store import filters

    with opened(options.settings(), options.data) as parts:
        found = filters.every(parts.store, state=state)
    rows: list[_Row] = []
    for one in found:
        try:
            spec = parse_filter(one.text, f"{one.name} version {one.version}")
        except UsageError as error:  # written for another edition of the language, or a site that is no longer set
            err.print(f"[yellow]{escape(str(error))}[/]", highlight=False, soft_wrap=True)
            rows.append((one.name, one.version, one.state, (), "cannot be read", one.author))
            continue
        rows.append((one.name, one.version, one.state, spec.streams, spec.description, one.author))
    return rows


def add(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="A filter's file.")],
    base: Annotated[
        int | None, typer.Option(help="Version that was edited: refused where another came after it.", min=0)
    ] = None,
    as_document: Document = False,
) -> None:
    """Keep a filter as a draft: a new version, numbered on where its number is taken.

    Example: `nuncius filter add filters/ztf_bright_transients.toml`
    """
    with busy("open"):
        from broker.filtering.definition import load_filter
        from broker.store import filter_life
        from broker.wiring.parts import use_sites
    options = context(ctx)
    use_sites(options.settings())
    load_filter(file)  # what is wrong is told with the file's name and line
    with opened(options.settings(), options.data) as parts:
        kept = filter_life.add(parts.store, file.read_text("utf-8"), filter_life.LOCAL, base=base)
    _tell(kept, as_document)


def show(ctx: typer.Context, name: Name, version: Number = None, as_document: Document = False) -> None:
    """A version of a filter as it was written: the live one where none is named, else the newest.

    Example: `nuncius filter show ztf_bright_transients`
    """
    with _reading(ctx) as parts:
        from broker.store import filters

        found = filters.get(parts.store, name, version)
    if as_document:
        _tell(found, as_document)
    else:
        sys.stdout.write(found.text if found.text.endswith("\n") else found.text + "\n")


def versions(ctx: typer.Context, name: Name, as_document: Document = False) -> None:
    """The versions of a filter: who brought which into which state, and when.

    Example: `nuncius filter versions ztf_bright_transients`
    """
    with _reading(ctx) as parts:
        from broker.store import filters

        found = filters.versions(parts.store, name)
        history = filters.history(parts.store, name)
    if as_document:
        print_json(
            {
                "name": name,
                "versions": [_said(one) for one in found],
                "history": [
                    {
                        "version": each.version,
                        "state": each.state,
                        "who": each.who,
                        "note": each.note,
                        "at": each.at.isoformat(),
                    }
                    for each in history
                ],
            }
        )
        return
    now = {one.version: one.state for one in found}
    rows = [
        (str(each.version), each.state, f"{each.at:%Y-%m-%d %H:%M:%S}", escape(each.who), escape(each.note or ""))
        for each in history
    ]
    show_table(out, ("version", "became", "at (UTC)", "by", "note"), rows, prose={"note": LEAST_PROSE})
    err.print("now: " + ", ".join(f"{version} {state}" for version, state in now.items()))


def try_out(
    ctx: typer.Context, name: Name, version: Number = None, force: Force = False, as_document: Document = False
) -> None:
    """Try a version: its worked examples, and how much of the alerts kept it would have passed.

    Example: `nuncius filter test ztf_bright_transients`
    """
    with _writing(ctx) as parts:
        from broker.store import filter_life
        from broker.wiring.gate import gate_of

        one = _newest(parts, name, version)
        moved = filter_life.examine(parts.store, name, one.version, filter_life.LOCAL, gate_of(parts), force=force)
    _tell(moved, as_document)


def live(ctx: typer.Context, name: Name, version: Number = None, force: Force = False, as_document: Document = False) -> None:
    """Put a version in force, tried first; whatever processes the streams takes it up with its next batch.

    Example: `nuncius filter live ztf_bright_transients`
    """
    with _writing(ctx) as parts:
        from broker.store import filter_life
        from broker.wiring.gate import gate_of

        one = _newest(parts, name, version)
        moved = filter_life.go_live(parts.store, name, one.version, filter_life.LOCAL, gate_of(parts), force=force)
    _tell(moved, as_document)


def retire(ctx: typer.Context, name: Name, version: Number = None, as_document: Document = False) -> None:
    """Take a filter out of force: its live version, or the one named.

    Example: `nuncius filter retire ztf_bright_transients`
    """
    with _writing(ctx) as parts:
        from broker.errors import UsageError
        from broker.store import filter_life, filters

        one = filters.get(parts.store, name, version)
        if one.state == filters.RETIRED:
            raise UsageError(f"filter {name!r} version {one.version} is retired already: `nuncius filter versions {name}`")
        moved = filter_life.retire(parts.store, name, one.version, filter_life.LOCAL)
    _tell(moved, as_document)


@contextmanager
def _reading(ctx: typer.Context) -> Iterator[Parts]:
    options = context(ctx)
    with opened(options.settings(), options.kept()) as parts:
        yield parts


@contextmanager
def _writing(ctx: typer.Context) -> Iterator[Parts]:
    options = context(ctx)
    with opened(options.settings(), options.data) as parts:
        yield parts


def _newest(parts: Parts, name: str, version: int | None) -> FilterVersion:
    from broker.store import filters

    return filters.versions(parts.store, name)[-1] if version is None else filters.get(parts.store, name, version)


def _said(one: FilterVersion) -> dict[str, object]:
    return {
        "name": one.name,
        "version": one.version,
        "state": one.state,
        "author": one.author,
        "owner": one.owner,
        "team": one.team,
        "visibility": one.visibility,
        "created": one.created.isoformat(),
    }


def _tell(one: FilterVersion, as_document: bool) -> None:
    if as_document:
        print_json({**_said(one), "text": one.text})
    else:
        out.print(f"{escape(one.name)} version {one.version} is {one.state}", highlight=False, soft_wrap=True)
