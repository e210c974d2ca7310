"""The same kind of burst as a VOEvent 2.0 packet."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import voeventparse

from broker.simulate.survey import Packet

__all__ = ["gbm_position"]


def gbm_position(
    trigger: datetime, place: tuple[float, float], error: float, *, number: int, tense: str = "test", delay: float = 45.0
) -> Packet:
    """Position of a gamma-ray burst, with the parameters GCN Classic gives a Fermi GBM ground position.

    Parameters
    ----------
    place, error
        Degrees, ICRS: the position as measured, and the radius it is good to.
    number
        Trigger number.
    tense
        ``current`` makes the packet's role ``observation``, anything else ``test``.
    delay
        Seconds from the trigger to the packet.
    """
    sent = trigger + timedelta(seconds=delay)
    name = f"GBM_Gnd_Pos_{trigger:%Y-%m-%dT%H:%M:%S}.{trigger.microsecond // 10000:02d}_{number}_0-001"
    role = voeventparse.definitions.roles.observation if tense == "current" else voeventparse.definitions.roles.test
    packet = voeventparse.Voevent(stream="nasa.gsfc.gcn/Fermi", stream_id=name, role=role)
    voeventparse.set_who(packet, date=sent.astimezone(UTC).replace(tzinfo=None), author_ivorn="nuncius.invalid/simulator")
    voeventparse.set_author(packet, title="Simulated Fermi GBM position: no such burst happened")
    packet.What.extend(
        [
            voeventparse.Param("Packet_Type", value="112"),
            voeventparse.Param("TrigID", value=str(number), ucd="meta.id"),
            voeventparse.Param("Data_Signif", value="16.60", unit="sigma", ucd="stat.snr"),
            voeventparse.Param("Burst_Inten", value="1170", unit="cts", ucd="phot.count"),
        ]
    )
    voeventparse.add_where_when(
        packet,
        coords=voeventparse.Position2D(
            ra=round(place[0] % 360.0, 4),
            dec=round(place[1], 4),
            err=error,
            units="deg",
            system=voeventparse.definitions.sky_coord_system.utc_fk5_geo,
        ),
        obs_time=trigger.astimezone(UTC),
        observatory_location=voeventparse.definitions.observatory_location.geolunar,
    )
    # Inferences by hand: voevent-parse 1.0.3 takes them through collections.Iterable, gone since Python 3.10.
    voeventparse.add_why(packet, importance=0.5)
    packet.Why.append(voeventparse.Inference(probability=0.9, concept="process.variation.burst;em.gamma"))
    data = voeventparse.dumps(packet, pretty_print=True)
    return Packet(sent, "gcn", data, name.replace(":", ""), ".xml")
