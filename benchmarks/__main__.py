"""``python -m benchmarks [PART] [--quick] [--json FILE]``; the parts are listed in the README beside this."""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import associations, coincidences, decode, deliver, filters, latency, path, skymaps, vtp
from benchmarks.services import both_services
from broker import telemetry

PARTS = {
    "latency": latency.run,  # first, while the disk has nothing else to write
    "deliver": deliver.run,
    "path": path.run,
    "filters": filters.run,
    "associations": associations.run,
    "decode": decode.run,
    "vtp": vtp.run,
    "skymaps": skymaps.run,
    "coincidences": coincidences.run,
}

ALONE = {"decode": decode.run, "vtp": vtp.run, "skymaps": skymaps.run, "coincidences": coincidences.run}  # need no service


def main() -> None:
    """Run what is named, or everything."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("part", nargs="?", choices=sorted(PARTS))
    parser.add_argument("--quick", action="store_true", help="fewer packets, one repeat")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    options = parser.parse_args()
    telemetry.configure("warning")
    figures: dict[str, Any] = {"machine": _machine(), "load before": os.getloadavg()}
    print(f"{figures['machine']}, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory(prefix="nuncius-bench-") as name:
        folder = Path(name)
        if options.part in ALONE:
            figures[options.part] = ALONE[options.part](folder, None, quick=options.quick)
        else:
            with both_services(folder) as services:
                for part, run in PARTS.items():
                    if options.part in {None, part}:
                        figures[part] = run(folder, services, quick=options.quick)
    figures["load after"] = os.getloadavg()
    print(f"load {os.getloadavg()[0]:.1f} at the end: with more than one per core, other work has slowed this run")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2))


def _machine() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    return f"{os.cpu_count()} cores of {model or 'unknown kind'}, Python {platform.python_version()}"


if __name__ == "__main__":
    main()
