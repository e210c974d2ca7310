"""The audit trail: JSON lines, one a decision, each exactly once and in order."""

from __future__ import annotations

import json
import os
from pathlib import Path

from consumers.too.errors import StateError
from consumers.too.ledger import Ledger

__all__ = ["Trail"]

_TAIL = 1 << 20


class Trail:
    """Moves the ledger's lines into a file.

    A line is in the ledger before it is in the file, and leaves the ledger after: the number of the file's last line tells what
    a crash between the two has left to do. A line cut short by a crash is cut off.

    Parameters
    ----------
    file
        Appended to.
    """

    def __init__(self, ledger: Ledger, file: Path) -> None:
        self._ledger, self._file = ledger, file
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._last = self._repair()
        except OSError as error:
            raise StateError(f"audit trail {file} cannot be written: {error}; name another with --audit") from error

    def flush(self) -> None:
        """Write what waits."""
        waiting = self._ledger.untold()
        if not waiting:
            return
        fresh = [(number, text) for number, text in waiting if number > self._last]
        try:
            with self._file.open("ab") as out:
                for number, text in fresh:
                    out.write(f'{{"seq": {number}, {text[1:]}\n'.encode())
                out.flush()
                os.fsync(out.fileno())
        except OSError as error:
            raise StateError(f"audit trail {self._file} cannot be written: {error}") from error
        self._last = max(self._last, waiting[-1][0])
        with self._ledger.change():
            self._ledger.told(waiting[-1][0])

    def _repair(self) -> int:
        """Number of the last whole line; what is behind it is cut off."""
        if not self._file.exists():
            return 0
        with self._file.open("r+b") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL))
            tail = file.read()
            whole = tail[: tail.rfind(b"\n") + 1]
            if len(whole) < len(tail):
                file.truncate(size - (len(tail) - len(whole)))
        lines = whole.splitlines()
        if not lines:
            return 0
        try:
            last = json.loads(lines[-1])
            number = last["seq"]
            state, mode = last["state_id"], last["mode"]
        except (ValueError, KeyError, TypeError) as error:
            raise StateError(f"{self._file} is no audit trail of ours: name another with --audit") from error
        if mode != ("live" if self._ledger.live else "dry-run"):
            raise StateError(f"{self._file} is the trail of another mode ({mode}): name another with --audit")
        return int(number) if state == self._ledger.meta("id") else 0  # a state begun anew counts from one again
