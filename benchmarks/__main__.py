"""``python -m benchmarks [path|latency] [--quick]``."""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path

from benchmarks import latency, path
from benchmarks.services import both_services

PARTS = {"path": path.run, "latency": latency.run}


def main() -> None:
    """Run what is named, or everything."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("part", nargs="?", choices=sorted(PARTS))
    parser.add_argument("--quick", action="store_true", help="a tenth of the packets, one repeat")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    figures = {}
    with tempfile.TemporaryDirectory(prefix="nuncius-bench-") as folder, both_services(Path(folder)) as services:
        for name, run in PARTS.items():
            if options.part in {None, name}:
                figures[name] = run(Path(folder), services, quick=options.quick)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2))


main()
