"""Every error the client raises on purpose.

::

    ClientError
    ├── RequestError          what was asked for cannot be: a wrong argument, no such filter     (exit status 2)
    ├── UnavailableError      Kafka or the API stayed away for longer than `timeout`              (exit status 1)
    └── BadRecordError        a record cannot be read; carries its bytes and where it is from      (exit status 1)
        └── SchemaError       because the schema it was written with cannot be had
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BadRecordError", "ClientError", "RequestError", "SchemaError", "UnavailableError"]


class ClientError(Exception):
    """Root of all; its text names the thing, the place and the remedy. Itself: no Nuncius API is at an address."""


class RequestError(ClientError):
    """What was asked for cannot be."""


class UnavailableError(ClientError):
    """Kafka or the API stayed away for longer than we were told to wait."""


@dataclass(eq=False)
class BadRecordError(ClientError):
    """A record cannot be read; the next call goes on with the one after it.

    Parameters
    ----------
    reason
        What is wrong with it.
    data
        Its bytes, as they came.
    topic, partition, offset
        Where it is from.
    headers
        As they came.
    """

    reason: str
    data: bytes = b""
    topic: str = ""
    partition: int = -1
    offset: int = -1
    headers: tuple[tuple[str, bytes], ...] = ()

    def __str__(self) -> str:
        place = f"{self.topic}[{self.partition}]@{self.offset}: " if self.topic else ""
        return place + self.reason


class SchemaError(BadRecordError):
    """The schema a record was written with cannot be had."""
