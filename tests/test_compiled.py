"""Loops are compiled when first called, with the loops they call."""

from __future__ import annotations

import subprocess
import sys

import numpy as np

from broker.compiled import compiled


@compiled
def _double(number: float) -> float:
    return number * 2.0


@compiled
def _sum_of_doubles(numbers: np.ndarray) -> float:
    total = 0.0
    for number in numbers:
        total += _double(number)
    return total


@compiled
def _inverse(number: float) -> float:
    return 1.0 / number


def test_one_that_calls_another():
    assert _sum_of_doubles(np.array([1.0, 2.5])) == 7.0
    assert _double(4.0) == 8.0


def test_a_division_by_zero_is_as_numpy_has_it():
    assert _inverse(0.0) == np.inf


def test_many_threads_may_call_it_first():
    code = """
import sys, threading
import numpy as np
from broker.science import targets
sys.setswitchinterval(1e-6)
failed, start = [], threading.Barrier(4)
def call():
    start.wait()
    try:
        targets.index_targets(np.arange(50.0), np.arange(50.0), np.ones(50))
    except BaseException as error:
        failed.append(repr(error))
threads = [threading.Thread(target=call) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
sys.exit("; ".join(failed) or 0)
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_it_says_what_it_is():
    assert _inverse.__name__ == "_inverse"
    assert _inverse.function(4.0) == 0.25


def test_the_compiler_waits_for_the_first_call():
    code = "import sys, broker.science.volume, broker.process.crossmatch; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
