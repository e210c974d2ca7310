"""The process in which strangers' XPath is evaluated: whatever an expression does, it does it to this process alone.

Asked on its standard input for expressions and events, it answers on its standard output, a line an expression. An expression
that takes longer than it may is ended by the kernel together with the process, which needs nobody who is still there to do it.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from lxml import etree

from broker.errors import DecodeError
from broker.safe_xml import parse_xml

__all__ = ["main"]

MEMORY_BYTES = 1 << 30
_NOTHING = etree.Element("VOEvent")


def main() -> None:
    """Answer until the other side has gone.

    A question is a line of JSON, ``filters``, ``sizes`` of the events that follow it, ``seconds`` of processor time for an
    expression and for ``all`` of them. An answer is a line that says that the events are read, then one an expression.
    """
    os.nice(10)  # events for those without filters go first
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    with suppress(ValueError, OSError):  # bounded more tightly already, or not to be bounded here
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    for line in sys.stdin.buffer:
        asked = json.loads(line)
        events = [_parsed(sys.stdin.buffer.read(size)) for size in asked["sizes"]]
        _say({})
        spent = 0.0
        for text in asked["filters"]:
            if spent > asked["all"]:
                _say({"late": True})
                continue
            signal.setitimer(signal.ITIMER_PROF, asked["seconds"])
            began = time.process_time()
            answer = _answer(text, events)
            signal.setitimer(signal.ITIMER_PROF, 0)
            took = time.process_time() - began
            spent += took
            _say(answer | {"seconds": took})


def _parsed(event: bytes) -> etree._Element | None:
    try:
        return parse_xml(event)
    except DecodeError:
        return None


def _answer(text: str, events: Sequence[etree._Element | None]) -> dict[str, Any]:
    """Numbers of the events it is true for; or why it can be asked of no event at all."""
    try:
        test = etree.XPath(f"boolean({text})", regexp=False)
        test(_NOTHING)  # an unknown function or prefix shows only when it is asked
    except etree.XPathError as error:
        return {"error": str(error)}
    passed = []
    for number, event in enumerate(events):
        with suppress(etree.XPathError):
            if event is not None and test(event):
                passed.append(number)
    return {"passed": passed}


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
