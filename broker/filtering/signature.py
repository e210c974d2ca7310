"""What a function of the filter language is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import polars as pl

from broker.filtering.values import Kind, Value

__all__ = ["Column", "Function", "Make", "Parameter"]

Column = Callable[[str], pl.Expr]
"""A column the function needs: one of the alert's, or ``_x``, ``_y``, ``_z``, the unit vector towards it."""
Make = Callable[[Sequence[Value], Column], pl.Expr]


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
    """

    signatures: tuple[tuple[Parameter, ...], ...]
    result: Kind | None
    make: Make
    about: str
    columns: tuple[str, ...] = ()
    repeats: bool = False
