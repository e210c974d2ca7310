"""Errors of the hook; their text names the thing, the place and the remedy."""

from __future__ import annotations

from consumers.errors import ClientError, RequestError

__all__ = ["RulesError", "StateError", "TooError"]


class TooError(ClientError):
    """Root of all."""


class RulesError(TooError, RequestError):
    """The rules ask for what cannot be.

    Parameters
    ----------
    message
        What is wrong.
    line
        Line of the file, from 1; 0 where none is to blame.
    word
        The word that is wrong.
    file
        Name of the file.
    """

    def __init__(self, message: str, *, line: int = 0, word: str = "", file: str = "") -> None:
        super().__init__(message)
        self.message, self.line, self.word, self.file = message, line, word, file

    def __str__(self) -> str:
        place = f"{self.file or 'rules'}:{self.line}: " if self.line else f"{self.file}: " if self.file else ""
        return f"{place}{self.word}: {self.message}" if self.word else f"{place}{self.message}"


class StateError(TooError):
    """The state file cannot be used."""
