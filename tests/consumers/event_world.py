"""Events that Nuncius was told of, and Nuncius serving them: simulated gravitational waves, and one without a map."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import numpy as np

from broker.simulate.lvk import Event, make_event, notices
from tests.notices import igwn, voevent
from tests.running import Installation, install, wait_for

WHEN = datetime(2026, 11, 20, 21, 0, tzinfo=UTC)
DATE = "2026-11-21"


@dataclass(frozen=True)
class Told:
    """Where it is served, and the events: an arc, a small spot, one that was taken back, one without a map."""

    url: str
    nuncius: Installation
    arc: Event
    spot: Event
    back: Event
    bare: str


@contextmanager
def told(folder: Path) -> Iterator[Told]:
    nuncius = install(folder / "data")
    rng = np.random.default_rng(7)
    arc = make_event(rng, WHEN, place=(60.0, 15.0), distance=120.0, width=2.0, length=9.0)
    spot = make_event(rng, WHEN.replace(hour=22), place=(95.0, 30.0), distance=90.0, width=0.25, length=0.3)
    back = make_event(rng, WHEN.replace(hour=23), place=(80.0, 5.0), distance=90.0, width=1.0, length=1.0)
    files = folder / "notices"
    files.mkdir()
    for event, retract in ((arc, False), (spot, False), (back, True)):
        for number, packet in enumerate(notices(event, retract=retract)):
            (files / f"{event.name}-{number}.json").write_bytes(packet.data)
    bare = "S261120zz"
    (files / f"{bare}-0.json").write_bytes(igwn(bare, "PRELIMINARY", "2026-11-20T20:01:00Z", time="2026-11-20T20:00:00.000Z"))
    burst = voevent(
        "ivo://nasa.gsfc.gcn/SWIFT#BAT_GRB_Pos_1300000-1", place=(95.0, 30.0, 0.05), time="2026-11-20T22:00:05", TrigID=1300000
    )
    (files / "burst.xml").write_bytes(burst)
    nuncius.run("ingest", str(files))
    galaxies = [
        f"G{number},{event.ra + d_ra},{event.dec + d_dec},{event.distance * away},14"
        for number, (event, d_ra, d_dec, away) in enumerate(
            (event, d_ra, d_dec, away)
            for event in (arc, spot)
            for d_ra in (-0.3, 0.0, 0.3)
            for d_dec in (-0.2, 0.1)
            for away in (0.9, 1.1)
        )
    ]
    (folder / "grid.csv").write_text("\n".join(["id,ra,dec,dist,b_mag", *galaxies]))
    nuncius.run("catalog", "add", "grid", str(folder / "grid.csv"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        try:
            return httpx.get(f"{url}/api/v1/health/live", timeout=2).is_success
        except httpx.HTTPError:
            return False

    with nuncius.running("serve", "--port", str(port)):
        wait_for(answers, 60.0, "nuncius serve does not answer")
        yield Told(url, nuncius, arc, spot, back, bare)
