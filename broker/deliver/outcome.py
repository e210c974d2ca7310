"""What came of sending something to a subscriber."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Outcome", "printable"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one attempt.

    Parameters
    ----------
    ok
        Whether the subscriber has it.
    status
        HTTP status of the answer; ``None`` where there was none.
    error
        What went wrong, with a remedy where there is one; empty where nothing did.
    again
        Whether to try again. Not where the subscriber wants no more, or may not be sent to.
    retry_after
        Seconds the subscriber asked us to wait.
    told
        Marks of the addresses that have it, where there are several: `broker.deliver.message.mark_of`.
    """

    ok: bool
    status: int | None = None
    error: str = ""
    again: bool = True
    retry_after: float | None = None
    told: frozenset[str] = frozenset()


def printable(text: str, most: int = 200) -> str:
    """What a stranger's server said, on one line and without what a terminal or a page would act on."""
    said = " ".join("".join(each if each.isprintable() else " " for each in text[: 4 * most]).split())
    return said if len(said) <= most else said[: most - 1] + "…"
