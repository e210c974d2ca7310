"""What a function of the filter language is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import polars as pl

from broker.filtering.values import Kind, Value

__all__ = ["Column", "Function", "Make", "NotKnownError", "Parameter"]


class Column(Protocol):
    """Gives a column the function needs: one of the alert's, or ``_x``, ``_y``, ``_z``, the unit vector towards it."""

    def __call__(self, name: str) -> pl.Expr:
        """The column of that name."""

    def share(self, name: str, expr: pl.Expr) -> pl.Expr:
        """`expr`, or the column that holds it for all filters: made once of the alert's own columns, whoever asks."""

    def spend(self, cost: int) -> None:
        """Count what it costs beside `Function.cost`, in operators."""


Make = Callable[[Sequence[Value], Column], pl.Expr]


class NotKnownError(ValueError):
    """An argument, written out, names nothing there is.

    Parameters
    ----------
    place
        Which argument.
    near
        The known name that is nearest, empty for none.
    """

    def __init__(self, message: str, *, place: int = 0, near: str = "") -> None:
        super().__init__(message)
        self.place = place
        self.near = near


@dataclass(frozen=True, slots=True)
class Parameter:
    """What an argument must be.

    Parameters
    ----------
    kind
        ``any`` takes everything.
    literal
        It must be written out, not taken from a column.
    """

    name: str
    kind: Kind = "number"
    literal: bool = False


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the filter language.

    Parameters
    ----------
    signatures
        The ways to call it, told apart by how many arguments there are.
    result
        Kind of its value; ``None`` for that of its arguments, which must agree.
    make
        Polars expression from the arguments and the columns it needs.
    about
        A line for people, with units.
    columns
        Columns it reads beside its arguments.
    repeats
        The last parameter may be given any number of times.
    reads
        Columns it reads that are told by its arguments, which are written out; one of them may be missing.
    cost
        Operators it counts as, since it takes as long as so many.
    """

    signatures: tuple[tuple[Parameter, ...], ...]
    result: Kind | None
    make: Make
    about: str
    columns: tuple[str, ...] = ()
    repeats: bool = False
    reads: Callable[[Sequence[Value]], tuple[str, ...]] | None = None
    cost: int = 1
