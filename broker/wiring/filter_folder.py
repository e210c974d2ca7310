"""The folder of filters, taken in as live versions when Nuncius starts and whenever a file changes."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection

from broker.errors import FilterError, RefusedError, TransientError, UsageError
from broker.filtering.definition import FilterSpec, parse_filter
from broker.filtering.examples import run_examples
from broker.filtering.versions import digest, name_of
from broker.store import filter_files, filters
from broker.store.engine import Store, connection
from broker.store.filter_life import enter, put_live
from broker.telemetry import get_logger

__all__ = ["FILE", "Allow", "take_in", "watching"]

log = get_logger(__name__)

FILE = "file"
"""Author of versions that come from the folder."""
LOOK_SECONDS = 0.5
_TOLD = 8  # names of filters in one line of the log

Allow = Callable[[FilterSpec], None]
"""Raises `UsageError` or `RefusedError` where a filter must not go live."""


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    name: str
    text: str
    digest: str


def allow_all(_spec: FilterSpec) -> None:
    """No objection."""


def take_in(store: Store, folder: Path, allow: Allow = allow_all, place: str = "") -> None:
    """Make the filters of a folder live: those that are new or have changed since the folder was last taken in.

    A file that is wrong, or whose worked examples fail, is told in the log and changes nothing. A filter whose file is gone is
    retired, unless somebody has replaced it by other means.

    Parameters
    ----------
    allow
        Raises where a filter must not go live.
    place
        Whose folder it is, where several share a database: what another has and this one never had is not gone, and what
        another has taken in already is not new.

    Raises
    ------
    FilterError
        There is no such folder.
    """
    if not folder.is_dir():
        raise FilterError(f"no folder of filters at {folder}: make it, or name another in the settings")
    found, spoiled = _read(folder)
    with connection(store) as conn:
        before, elsewhere = filter_files.files(conn, place)
    changed = [file for name, file in found.items() if before.get(name) != file.digest]
    same = [file for file in changed if file.name not in before and (file.name, file.digest) in elsewhere]
    right = [(file, spec) for file in changed if file not in same and (spec := _checked(file, allow)) is not None]
    # A file that cannot be read may be that of any filter, and a wrong one with a new name may be one that was renamed: none is
    # retired as long as there is one.
    refused = {file.name for file in changed} - {file.name for file in same} - {file.name for file, _ in right} - before.keys()
    gone = set[str]() if spoiled or refused else before.keys() - found.keys()
    if not right and not gone and not same:
        return
    taken: list[str] = []
    with filters.editing(store) as conn:
        known, _ = filter_files.files(conn, place)  # another process may have been faster, and somebody have retired it since
        for file in same:
            filter_files.keep_file(conn, place, file.name, file.digest)
        for file, spec in right:
            if known.get(file.name) != file.digest and _take(conn, file, spec):
                filter_files.keep_file(conn, place, file.name, file.digest)
                taken.append(file.name)
        gone &= known.keys()
        for name in sorted(gone):
            _put_aside(conn, name, FILE, "its file is gone")
            filter_files.keep_file(conn, place, name, None)
    if not taken and not gone:
        return
    told = {"taken": _few(taken), "gone": _few(gone)}
    log.info("filters taken in from their folder", folder=str(folder), **{how: names for how, names in told.items() if names})


@contextmanager
def watching(store: Store, folder: Path, allow: Allow = allow_all, place: str = "") -> Iterator[None]:
    """Take the folder in again whenever a file of it has changed and then rested, while the block runs."""
    stop = threading.Event()

    def watch() -> None:
        taken: Mapping[str, tuple[int, int, int]] | None = None  # it may have changed since it was taken in at the start
        before = _signs(folder)
        reason = ""
        while not stop.wait(LOOK_SECONDS):
            now = _signs(folder)
            if now != taken and now == before:  # at rest: nobody is still writing
                try:
                    take_in(store, folder, allow, place)
                    taken, reason = now, ""
                except Exception as error:  # it is looked at again, and told of once: whoever edits filters waits for them
                    if str(error) != reason:
                        strange = not isinstance(error, TransientError | FilterError)
                        log.error("filters cannot be taken in", reason=str(error), exc_info=strange)  # noqa: TRY400 - the sentence often says it all
                    reason = str(error)
            before = now

    thread = threading.Thread(target=watch, name="filters", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _signs(folder: Path) -> Mapping[str, tuple[int, int, int]]:
    found: dict[str, tuple[int, int, int]] = {}
    for path in folder.glob("*.toml"):
        with suppress(OSError):
            status = path.stat()
            found[path.name] = (status.st_mtime_ns, status.st_size, status.st_ino)
    return found


def _read(folder: Path) -> tuple[dict[str, _File], bool]:
    """Files by the name of their filter, and whether one could not be read."""
    found: dict[str, _File] = {}
    spoiled = False
    for path in sorted(folder.glob("*.toml")):
        try:
            data = path.read_bytes()
            text = data.decode()
            name, _ = name_of(text, str(path))
        except (OSError, UnicodeDecodeError, FilterError) as error:
            spoiled = True
            _refuse(path, error)
            continue
        if name in found:
            _refuse(path, FilterError(f"the name {name!r} is taken by {found[name].path}: choose another"))
            continue
        found[name] = _File(path, name, text, hashlib.sha256(data).hexdigest())
    return found, spoiled


def _checked(file: _File, allow: Allow) -> FilterSpec | None:
    """The filter in a file, if it may go live."""
    try:
        spec = parse_filter(file.text, str(file.path))
        wrong = run_examples(spec)
        if wrong:
            raise FilterError(f"{file.path}: example {wrong[0].number}: {wrong[0].reason}")
        allow(spec)
    except (UsageError, RefusedError) as error:
        _refuse(file.path, error)
        return None
    return spec


def _take(conn: Connection, file: _File, spec: FilterSpec) -> bool:
    try:
        version, taken = enter(conn, file.text, digest(spec), FILE, str(file.path))
    except FilterError as error:  # its number cannot be counted up
        _refuse(file.path, error)
        return False
    if taken != spec.version:
        log.warning("a filter's text changed, its version did not: counted on", file=str(file.path), version=taken)
    if spec.active:
        put_live(conn, version, f"{FILE} {file.path.name}")
    else:
        _put_aside(conn, file.name, f"{FILE} {file.path.name}", "not active")
    return True


def _few(names: Iterable[str]) -> str:
    some = sorted(names)
    return ", ".join(some[:_TOLD]) + (f" and {len(some) - _TOLD} more" if len(some) > _TOLD else "")


def _put_aside(conn: Connection, name: str, who: str, why: str) -> None:
    for one in filters.of(conn, name):
        if one.state == filters.LIVE and one.author == FILE:
            filters.set_state(conn, name, one.version, filters.RETIRED, who, why)


def _refuse(path: Path, error: Exception) -> None:
    log.error("a filter's file is wrong: what was live stays", file=str(path), reason=str(error))
