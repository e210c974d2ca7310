"""XPath filters of strangers: told apart from nonsense here, evaluated in processes that can be killed.

XPath has no bounds: a hundred characters can ask for more steps than there is time. So an expression is only compiled by us;
what it says is asked in a process of its own, within a budget of processor time. Filters are tried before they are in force, in
one process, and asked about events in another, so that newcomers delay nobody whose filters are known.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from lxml import etree

from broker.telemetry import get_logger

__all__ = ["FILTER_SECONDS", "Answer", "Asking", "Refused", "objection"]

log = get_logger(__name__)

FILTER_LENGTH, FILTERS, NESTING = 1024, 16, 16
FILTER_SECONDS = 1.0  # of processor time, over the events of one time
PATIENCE = 30.0  # seconds for an answer, on a machine that has other work
REFUSED, REFUSED_SECONDS = 256, 600.0
_LITERAL = re.compile(r"\"[^\"]*\"|'[^']*'")


def objection(filters: Sequence[str]) -> str:
    """Why filters are none, as far as that shows without asking them; empty if it does not."""
    if len(filters) > FILTERS or any(len(each) > FILTER_LENGTH for each in filters):
        return f"at most {FILTERS} filters of {FILTER_LENGTH} characters"
    for each in filters:
        if _nesting(each) > NESTING:
            return f"filter {each!r} is nested more than {NESTING} deep"
        try:
            etree.XPath(each, regexp=False)
        except (etree.XPathError, ValueError) as error:
            return f"filter {each!r} is not XPath: {error}"
    return ""


def _nesting(text: str) -> int:
    depth = deepest = 0
    for character in _LITERAL.sub("", text):
        depth += (character in "([") - (character in ")]")
        deepest = max(deepest, depth)
    return deepest


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of an expression.

    Parameters
    ----------
    text
        The expression.
    passed
        Numbers of the events it is true for.
    seconds
        Of processor time.
    fault
        Why its owners are to be refused, if they are.
    lasting
        Whether that will be so the next time.
    """

    text: str
    passed: frozenset[int] = frozenset()
    seconds: float = 0.0
    fault: str = ""
    lasting: bool = False


class Asking:
    """One process that answers, started when first asked and again after it was killed."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._one = asyncio.Lock()

    async def ask(self, texts: Sequence[str], events: Sequence[bytes], seconds: float) -> AsyncIterator[Answer]:
        """An answer for each expression, in order, as it is found.

        Parameters
        ----------
        seconds
            Processor time for all of them; those that it does not suffice for are faulted.
        """
        left = list(texts)
        async with self._one:
            while left:
                ready = False
                try:
                    process = await self._asked(left, events, seconds)
                    await _line(process)
                    ready = True
                    while left:
                        answer = _read(left[0], await _line(process))
                        seconds -= answer.seconds
                        left.pop(0)
                        yield answer
                except (EOFError, OSError, TimeoutError):
                    await self._kill()
                    if not ready:  # no filter's fault
                        log.exception("filters cannot be evaluated")
                        for text in left:
                            yield Answer(text)
                        return
                    text = left.pop(0)
                    seconds -= FILTER_SECONDS
                    fault = f"filter {text!r} takes more than {FILTER_SECONDS:g} s, or too much memory"
                    yield Answer(text, seconds=FILTER_SECONDS, fault=fault, lasting=True)
                except BaseException:
                    await self._kill()  # its answers to this question would be taken for those to the next
                    raise

    async def close(self) -> None:
        """End the process."""
        await self._kill()

    async def _asked(self, texts: Sequence[str], events: Sequence[bytes], seconds: float) -> asyncio.subprocess.Process:
        if self._process is None:
            # Of a session of its own: Ctrl-C is for us to answer.
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "broker.deliver.xpath_process",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,  # what a stranger makes it say is not for our log
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                start_new_session=True,
            )
        asked = {"filters": texts, "sizes": [len(event) for event in events], "seconds": FILTER_SECONDS, "all": seconds}
        assert self._process.stdin is not None
        self._process.stdin.write(b"".join((json.dumps(asked).encode(), b"\n", *events)))
        async with asyncio.timeout(PATIENCE):  # unlike wait_for it never swallows a cancellation
            await self._process.stdin.drain()
        return self._process

    async def _kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def _line(process: asyncio.subprocess.Process) -> bytes:
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE):
        line = await process.stdout.readline()
    if not line.endswith(b"\n"):
        raise EOFError
    return line


def _read(text: str, line: bytes) -> Answer:
    told = json.loads(line)
    if "error" in told:
        return Answer(text, seconds=told["seconds"], fault=f"filter {text!r} is not XPath: {told['error']}", lasting=True)
    if "late" in told:
        return Answer(text, fault=f"there is no time for filter {text!r}: ask for less, or come again")
    return Answer(text, frozenset(told["passed"]), told["seconds"])


class Refused:
    """Filters that were refused for good reason lately, so that who comes again with one costs nothing; a limited number."""

    def __init__(self) -> None:
        self._reasons: dict[str, tuple[float, str]] = {}

    def add(self, text: str, reason: str) -> None:
        """Refuse it for a while."""
        self._reasons.pop(text, None)
        self._reasons[text] = (time.monotonic() + REFUSED_SECONDS, reason)
        while len(self._reasons) > REFUSED:
            del self._reasons[next(iter(self._reasons))]

    def reason(self, filters: Sequence[str]) -> str:
        """Why one of the filters is refused, if one is."""
        now = time.monotonic()
        return next((why for text in filters for until, why in [self._reasons.get(text, (0.0, ""))] if until > now), "")
