"""Loops that numba compiles when they are first called: the compiler takes half a second to load, and most verbs run none."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import update_wrapper
from typing import Any, Generic, ParamSpec, TypeVar

__all__ = ["Compiled", "compiled"]

_making = threading.RLock()  # of a loop and those it calls, one thread at a time

P = ParamSpec("P")
R = TypeVar("R")


class Compiled(Generic[P, R]):
    """A function of numbers and arrays, machine code from its first call on; numba keeps that on disk where there is a place.

    Errors are numpy's: a division by zero gives infinity. The interpreter lock is let go of while it runs. numba looks for a
    place in ``__pycache__`` and the user's cache folder; set NUMBA_CACHE_DIR where neither can be written.
    """

    def __init__(self, function: Callable[P, R]) -> None:
        self.function = function
        self._code: Any = None
        update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the machine code."""
        result: R = self.machine_code(*args, **kwargs)
        return result

    @property
    def machine_code(self) -> Any:
        """What numba makes of it."""
        if self._code is None:
            with _making:
                if self._code is None:
                    self._code = self._made()
        return self._code

    def _made(self) -> Any:
        import numba  # noqa: PLC0415

        # numba must find machine code under the names that the function calls, not what would make it.
        names = self.function.__globals__
        for name in self.function.__code__.co_names:
            called = names.get(name)
            if isinstance(called, Compiled):
                names[name] = called.machine_code
        try:
            return numba.njit(cache=True, nogil=True, error_model="numpy")(self.function)
        except RuntimeError:  # no place for it
            return numba.njit(nogil=True, error_model="numpy")(self.function)


def compiled(function: Callable[P, R]) -> Compiled[P, R]:
    """Have a function compiled when it is first called."""
    return Compiled(function)
