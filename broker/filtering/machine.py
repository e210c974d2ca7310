"""Many filters over one frame: what their programs read as arrays, one compiled loop, and Polars for what only Polars does.

It goes in two rounds. The first runs every clause that needs nothing but columns of the frame. Of the filters that have more to
ask, Polars then makes what the others need, once for all of them and only for the rows that are left, and the loop runs
again on those.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl

from broker.filtering.machine_kernel import Ints, run
from broker.filtering.machine_link import Image, Tables, link
from broker.filtering.machine_program import Program, Shared

__all__ = ["Machine", "Rows", "load", "make"]

Rows = npt.NDArray[np.int64]
_NO_ROWS = np.zeros(0, np.int64)
_FAULTS = (pl.exceptions.PolarsError, pl.exceptions.PanicException)


@dataclass(frozen=True, slots=True)
class Machine:
    """Filters ready to be run over frames of one schema.

    Parameters
    ----------
    names
        Of the filters that can pick something.
    first, second
        Their clauses of the two rounds; those of the second are of the filters numbered `later`.
    before
        Columns to be made before the first round.
    shared
        Columns that the second round, and what Polars makes for it, may read: they take the place of the frame's.
    made, needs
        What Polars makes, by name, and which of `shared` and these each filter of `later` needs.
    reads
        Columns of the frame that the second round reads, itself or for what Polars makes for it.
    suspects
        What has failed: from then on it is made alone.
    """

    names: Sequence[str]
    first: Image
    second: Image
    later: Ints
    before: Mapping[str, pl.Expr]
    shared: Mapping[str, pl.Expr]
    made: Mapping[str, pl.Expr]
    needs: Sequence[frozenset[str]]
    reads: frozenset[str]
    suspects: set[str] = field(default_factory=set)

    def rows(self, frame: pl.DataFrame, fault: Callable[[str, str], None]) -> dict[str, Rows]:
        """Rows that each filter picks, of filters that pick any; a filter that fails is told to `fault` and left out."""
        height = frame.height
        if not self.names or not height:
            return {}
        given = frame.with_columns(expr.alias(name) for name, expr in self.before.items()) if self.before else frame
        bounds, rows = _run(self.first, self.first.tables(given.get_column, height), height)
        found = {index: rows[bounds[index] : bounds[index + 1]] for index in np.flatnonzero(np.diff(bounds)).tolist()}
        asking = [place for place, index in enumerate(self.later.tolist()) if index in found]
        if asking:
            self._ask(frame, found, asking, fault)
        return {self.names[index]: kept for index, kept in found.items() if len(kept)}

    def _ask(
        self, frame: pl.DataFrame, found: dict[int, Rows], asking: Sequence[int], fault: Callable[[str, str], None]
    ) -> None:
        """Run the second round of some filters over the rows that are left of theirs."""
        numbers = self.later.tolist()
        left = np.zeros(frame.height, dtype=np.bool_)
        for place in asking:
            left[found[numbers[place]]] = True
        union = np.flatnonzero(left)
        # A frame has hundreds of columns, and Polars looks at all of them; without any, one is taken for the height.
        names = frame.columns
        narrow = pl.DataFrame([frame.get_column(name) for name in self.reads.intersection(names) or names[:1]])
        few = narrow if len(union) == frame.height else narrow[union]
        columns, failed = self._columns(few, frozenset().union(*(self.needs[place] for place in asking)))
        for place in asking:
            for name in sorted(self.needs[place] & failed.keys())[:1]:
                fault(self.names[numbers[place]], failed[name])
                del found[numbers[place]]
        running = [place for place in asking if numbers[place] in found]
        places = [np.searchsorted(union, found[numbers[place]]) for place in running]
        starts = np.concatenate([np.zeros(1, np.int64), np.cumsum([len(each) for each in places], dtype=np.int64)])
        tables = self.second.tables(columns.get, len(union))
        bounds, rows = _run(
            self.second, tables, len(union), np.array(running, np.int64), starts, np.concatenate([_NO_ROWS, *places])
        )
        for position, place in enumerate(running):
            found[numbers[place]] = union[rows[bounds[position] : bounds[position + 1]]]

    def _columns(self, frame: pl.DataFrame, wanted: frozenset[str]) -> tuple[dict[str, pl.Series], dict[str, str]]:
        """Columns of the second round by name, and what is wrong with those that cannot be made."""
        failed: dict[str, str] = {}
        shared = self._made(frame, self.shared, wanted, failed)
        if shared or failed:
            frame = frame.drop(failed.keys() & set(frame.columns)).with_columns(**shared)
        made = self._made(frame, self.made, wanted, failed)
        self.suspects.update(failed)
        return {**{each.name: each for each in frame.get_columns()}, **made}, failed

    def _made(
        self, frame: pl.DataFrame, exprs: Mapping[str, pl.Expr], wanted: frozenset[str], failed: dict[str, str]
    ) -> dict[str, pl.Series]:
        asked = {name: expr for name, expr in exprs.items() if name in wanted}
        made = make(frame, {name: expr for name, expr in asked.items() if name not in self.suspects}, failed)
        for name in sorted(asked.keys() & self.suspects):
            made |= make(frame, {name: asked[name]}, failed)
        return made


def make(frame: pl.DataFrame, exprs: Mapping[str, pl.Expr], failed: dict[str, str]) -> dict[str, pl.Series]:
    """Columns of full height by name; those that fail are found by halving, and told in `failed`."""
    if not exprs:
        return {}
    names = list(exprs)
    asked = [exprs[name].alias(str(at)) for at, name in enumerate(names)]
    try:
        result = frame.select(*asked)
        if result.height != frame.height:  # what has no column, such as TRUE, takes the height of a count beside it
            result = frame.select(pl.int_range(pl.len()).alias(""), *asked)
    except _FAULTS as error:
        if len(names) == 1:
            failed[names[0]] = str(error).strip().splitlines()[0]
            return {}
        half = len(names) // 2
        halves = names[:half], names[half:]
        one, other = (make(frame, {name: exprs[name] for name in some}, failed) for some in halves)
        return one | other
    return {name: result[str(at)] for at, name in enumerate(names)}


def load(programs: Mapping[str, Program], shared: Mapping[str, pl.Expr], known: Mapping[str, Shared]) -> Machine:
    """Make programs ready to be run together.

    Parameters
    ----------
    programs
        By filter name.
    shared, known
        Columns that many of them read, and what these are.
    """
    names = [name for name, program in programs.items() if not program.never]
    dictionary: dict[str, int] = {}
    clauses = [programs[name].clauses for name in names]
    later = [index for index, each in enumerate(clauses) if any(clause.made for clause in each)]
    first = link([[clause.code for clause in each if not clause.made] for each in clauses], dictionary)
    second = link([[clause.code for clause in clauses[index] if clause.made] for index in later], dictionary)
    made = {name: expr for index in later for name, expr in programs[names[index]].made.items()}
    roots = {name: shared.keys() & set(expr.meta.root_names()) for name, expr in made.items()}
    always = frozenset(name for name in second.columns() & shared.keys() if known[name].cheap)
    asked = [frozenset[str]().union(*(clause.made for clause in clauses[index])) for index in later]
    needs = [each.union(always, *(roots.get(name, frozenset()) for name in each)) for each in asked]
    ready = {name: shared[name] for name in sorted(shared.keys() & frozenset().union(*needs))}
    return Machine(
        names,
        first,
        second,
        np.array(later, np.int64),
        {name: shared[name] for name in first.columns() & shared.keys() if not known[name].plain},
        ready,
        made,
        needs,
        frozenset(second.columns()).union(*(expr.meta.root_names() for expr in (*ready.values(), *made.values()))),
    )


def _run(  # noqa: PLR0917 - two rounds, one call
    image: Image,
    tables: Tables,
    height: int,
    which: Ints | None = None,
    given_from: Ints = _NO_ROWS,
    given: Ints = _NO_ROWS,
) -> tuple[Ints, Ints]:
    starts = image.starts if which is None else image.starts[which]
    bounds, rows = run(
        image.code,
        starts,
        image.floats,
        image.integers,
        tables.floats,
        tables.integers,
        tables.flags,
        tables.float_slots,
        tables.integer_slots,
        tables.flag_slots,
        tables.texts,
        tables.text_bounds,
        tables.text_slots,
        height,
        which is not None,
        given_from,
        given,
    )
    return bounds, rows
