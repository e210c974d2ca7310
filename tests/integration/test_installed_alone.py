"""The service runs on what its own lock installs: a test tool that happens to be there must not be needed."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[2]

ONLY = """
import sys

class Only:
    def __init__(self, finder):
        self.finder = finder
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in REFUSED:
            return None
        return self.finder.find_spec(name, path, target)
    def __getattr__(self, name):
        return getattr(self.finder, name)

REFUSED = frozenset(sys.argv.pop(1).split(","))
sys.meta_path[:] = [Only(finder) for finder in sys.meta_path]
from broker.__main__ import main
main()
"""


def beside(lock: Path) -> set[str]:
    """Modules of this environment that come with no distribution of the lock."""
    locked = {re.sub(r"[-_.]+", "-", name).lower() for name in re.findall(r"(?m)^([A-Za-z0-9_.-]+)==", lock.read_text())}
    assert "polars" in locked
    locked.add("nuncius")
    return {
        module
        for module, distributions in packages_distributions().items()
        if not locked.intersection(re.sub(r"[-_.]+", "-", name).lower() for name in distributions)
    }


def test_a_night_is_played(tmp_path: Path) -> None:
    """With hosts' distances, maps, galaxies, VOEvents: all that the demonstration has."""
    refused = beside(ROOT / "requirements" / "broker.lock")
    assert {"scipy", "pytest", "ligo"} <= refused
    night = [sys.executable, "-c", ONLY, ",".join(sorted(refused)), "--data", str(tmp_path / "night")]
    found = subprocess.run([*night, "demo", "--exit"], capture_output=True, text=True, timeout=280, check=False)
    assert found.returncode == 0, found.stdout[-2000:] + found.stderr[-4000:]
    assert "all accounted for" in found.stdout
    for event in ("skymap plot", "event list"):
        told = subprocess.run([*night, *event.split(), "--help"], capture_output=True, text=True, timeout=100, check=False)
        assert told.returncode == 0, told.stderr[-2000:]
