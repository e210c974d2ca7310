"""Every error Nuncius raises on purpose.

::

    NunciusError
    ├── UsageError            the caller asked for something that cannot be   (exit status 2, HTTP 400)
    │   ├── SettingsError     a setting is unknown, missing or of the wrong kind
    │   ├── ExpressionError   a filter expression is wrong; carries the position
    │   ├── FilterError       a filter file is wrong
    │   └── DeclarationError  a stream declaration is wrong
    ├── RefusedError          it can be, but should not, unless forced          (exit status 1, HTTP 409)
    ├── NotFoundError         nothing by that name                              (exit status 1, HTTP 404)
    ├── ConflictError         somebody else changed it meanwhile                (exit status 1, HTTP 409)
    ├── PoisonError           these bytes can never be processed: dead-lettered, with stage and reason
    │   ├── DecodeError       the bytes are not what they should be
    │   └── SchemaUnavailableError  the schema the bytes were written with cannot be had
    ├── FencedError           a newer publisher has taken this one's name; only a restart helps
    ├── StreamHaltedError     too much of a stream is rejected: it waits for an operator
    ├── SkyMapError           a sky map is refused, and why; the notice goes on without it
    └── TransientError        Kafka or the database is away: waited out, never dead-lettered
        ├── LogUnavailableError
        └── StoreUnavailableError

Third-party errors are mapped to these at one seam each: `broker.stream.kafka`, `broker.store.engine`, `broker.decode`.
"""

from __future__ import annotations

__all__ = [
    "ConflictError",
    "DeclarationError",
    "DecodeError",
    "ExpressionError",
    "FencedError",
    "FilterError",
    "LogUnavailableError",
    "NotFoundError",
    "NunciusError",
    "PoisonError",
    "RefusedError",
    "SchemaUnavailableError",
    "SettingsError",
    "SkyMapError",
    "StoreUnavailableError",
    "StreamHaltedError",
    "TransientError",
    "UsageError",
]


class NunciusError(Exception):
    """Root of all; its text names the thing, the place and the remedy."""


class UsageError(NunciusError):
    """The caller asked for something that cannot be."""


class SettingsError(UsageError):
    """A setting is unknown, missing or of the wrong kind."""


class ExpressionError(UsageError):
    """A filter expression is wrong.

    Parameters
    ----------
    message
        What is wrong and what would be right.
    line, column
        1-based place in the expression; 0 where it has none.
    word
        What stands there.
    nearest
        The known name that is nearest to it, where one is.
    """

    def __init__(self, message: str, *, line: int = 0, column: int = 0, word: str = "", nearest: str = "") -> None:
        place = f"line {line}, column {column}: " if line else ""
        super().__init__(place + message)
        self.message = message
        self.line = line
        self.column = column
        self.word = word
        self.nearest = nearest


class FilterError(UsageError):
    """A filter file is wrong.

    Parameters
    ----------
    text
        What is wrong, with file, place and key, and what would be right.
    message
        The same without file and place; `text` where not given.
    line, column
        1-based place in the file; 0 where it has none.
    word, nearest
        As of `ExpressionError`.
    key
        Key of the file it belongs to.
    """

    def __init__(
        self,
        text: str,
        *,
        message: str = "",
        line: int = 0,
        column: int = 0,
        word: str = "",
        nearest: str = "",
        key: str = "",
    ) -> None:
        super().__init__(text)
        self.message = message or text
        self.key = key
        self.line = line
        self.column = column
        self.word = word
        self.nearest = nearest


class DeclarationError(UsageError):
    """A stream declaration is wrong."""


class RefusedError(NunciusError):
    """What is asked for can be, and should not be unless it is forced."""


class NotFoundError(NunciusError):
    """Nothing by that name."""


class ConflictError(NunciusError):
    """Somebody else changed it meanwhile."""


class PoisonError(NunciusError):
    """These bytes can never be processed."""


class DecodeError(PoisonError):
    """The bytes are not what they should be."""


class SchemaUnavailableError(PoisonError):
    """The schema the bytes were written with cannot be had."""


class FencedError(NunciusError):
    """A newer publisher has taken this one's name."""


class StreamHaltedError(NunciusError):
    """Too much of a stream is rejected."""


class SkyMapError(NunciusError):
    """A sky map is refused, and why."""


class TransientError(NunciusError):
    """A fault that passes: wait and do it again."""


class LogUnavailableError(TransientError):
    """The log cannot be reached."""


class StoreUnavailableError(TransientError):
    """The database or the archive cannot be reached."""
