"""Reports of transients for the Transient Name Server: ``at_report`` of its bulk API, ``POST /api/set/bulk-report``.

Fields are named as in the manual of TNS 2.0 (January 2025): what it has a list of is named by number. A report has a discovery,
with its photometry, and either a non-detection before it or the archive that has no source there.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx

from consumers.errors import RequestError, UnavailableError
from consumers.report.exchange import post

__all__ = ["PRODUCTION", "SANDBOX", "Answer", "Reporting", "at_report", "marker", "reporting", "send"]

SANDBOX = "https://sandbox.wis-tns.org"
PRODUCTION = "https://www.wis-tns.org"

_MJD_EPOCH: Final = datetime(1858, 11, 17, tzinfo=UTC)
_AB: Final = "1"  # units of flux: AB magnitudes
_POINTS: Final = 10  # of one report
# Numbers of https://www.wis-tns.org/api/values for what Nuncius reads; a file can say otherwise.
_FILTERS: Final = {
    "ztf": {"g": "110", "r": "111", "i": "112"},
    "lsst": {"u": "160", "g": "161", "r": "162", "i": "163", "z": "164", "y": "165"},
}
_INSTRUMENTS: Final = {"ztf": "196", "lsst": "287"}
_REPLIES: Final = 30


@dataclass(frozen=True, slots=True)
class Reporting:
    """What a report says beside what was measured.

    Parameters
    ----------
    reporter
        Names and affiliations, as they are to be printed.
    group, source
        Numbers of the reporting group and of the group whose data it is.
    at_type
        1: possible supernova, 2: possible nova, 3: known AGN, 4: possibly nuclear, 5: fast radio burst, 0: other.
    filters, instruments
        TNS's numbers, by stream and band, and by stream.
    archive, archive_remarks
        Number of the archive (0 other, 1 SDSS, 2 DSS) that has no source there, for want of a non-detection.
    remarks
        What else is to be said.
    names
        Fields that are to be called otherwise.
    """

    reporter: str
    group: str
    source: str
    at_type: str = "1"
    filters: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    instruments: Mapping[str, str] = field(default_factory=dict)
    archive: str | None = None
    archive_remarks: str = ""
    remarks: str = ""
    names: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """What TNS says of a report: its number, the object's name once it has one, and what else it answered."""

    report_id: str
    name: str | None
    feedback: Any


def reporting(given: Mapping[str, Any], table: Mapping[str, Any]) -> Reporting:
    """Options of the command line over the table ``[tns]`` of a file.

    Raises
    ------
    RequestError
        The reporter or a group is missing.
    """
    said = {**table, **{name: value for name, value in given.items() if value is not None}}
    lacking = [name for name in ("reporter", "group") if not str(said.get(name, "")).strip()]
    if lacking:
        raise RequestError(
            f"no {' and no '.join(lacking)}: give --{' --'.join(lacking)}, or put them into [tns] of --config FILE"
        )
    plain = {name: str(said[name]) for name in ("at_type", "archive_remarks", "remarks") if said.get(name) is not None}
    archive = None if said.get("archive") is None else str(said["archive"])
    filters = {
        stream: {band: str(number) for band, number in bands.items()} for stream, bands in said.get("filters", {}).items()
    }
    instruments = {stream: str(number) for stream, number in said.get("instruments", {}).items()}
    return Reporting(
        reporter=str(said["reporter"]),
        group=str(said["group"]),
        source=str(said.get("source") or said["group"]),
        filters={stream: {**_FILTERS.get(stream, {}), **filters.get(stream, {})} for stream in {*_FILTERS, *filters}},
        instruments={**_INSTRUMENTS, **instruments},
        archive=archive,
        names=dict(said.get("names", {})),
        **plain,
    )


def at_report(alert: Mapping[str, Any], points: Sequence[Mapping[str, Any]], said: Reporting) -> dict[str, Any]:
    """Report of the object of an alert.

    Parameters
    ----------
    alert
        As ``GET /alerts/{id}`` has it.
    points
        As ``GET /objects/{id}/lightcurve`` has them: MJD, magnitudes, ``kind``.

    Raises
    ------
    RequestError
        TNS would refuse it; the text says what it lacks.
    """
    stream, name = str(alert["stream"]), alert.get("object_id") or alert["alert_id"]
    if alert.get("ra") is None or alert.get("dec") is None:
        raise RequestError(f"alert {alert['alert_id']} has no position: TNS needs one")
    measured = [one for one in points if _usable(one)]
    bright = [one for one in measured if one.get("positive") is not False]  # fainter than the reference is no discovery
    detections = sorted((one for one in bright if one.get("kind", "detection") == "detection"), key=lambda one: one["time"])
    if not detections:
        raise RequestError(f"{name} has no detection in its light curve: there is nothing to report")
    first, last = detections[0], detections[-1]
    limits = [one for one in measured if one.get("kind") == "limit" and one["time"] < first["time"]]
    listed = [first] if first is last else [first, last]
    report: dict[str, Any] = {
        "ra": {"value": f"{alert['ra']:.7f}"},
        "dec": {"value": f"{alert['dec']:.7f}"},
        "reporting_groupid": said.group,
        "data_source_groupid": said.source,
        "reporter": said.reporter,
        "discovery_datetime": _when(first["time"]),
        "at_type": said.at_type,
        "internal_name": name,
        "remarks": said.remarks,
        "non_detection": _non_detection(stream, name, limits, said),
        "photometry": {
            "photometry_group": {str(number): _point(stream, one, said) for number, one in enumerate(listed[:_POINTS])}
        },
    }
    renamed = {said.names.get(key, key): value for key, value in report.items() if value != ""}
    return {"at_report": {"0": renamed}}


def marker(bot_id: str, bot_name: str) -> str:
    """The header ``User-Agent`` by which TNS knows a bot."""
    number = int(bot_id) if bot_id.isdecimal() else bot_id
    return "tns_marker" + json.dumps({"tns_id": number, "type": "bot", "name": bot_name})


def send(
    url: str,
    report: Mapping[str, Any],
    *,
    key: str,
    agent: str,
    say: Callable[[str], None],
    wait: float = 1.0,
    timeout: float = 60.0,
) -> Answer:
    """Send a report and wait for what TNS makes of it.

    Parameters
    ----------
    wait
        Seconds between two looks for the answer.

    Raises
    ------
    RequestError
        TNS refuses the report.
    UnavailableError
        It does not answer, or has not said what it makes of the report, whose number is told.
    """
    root = url.rstrip("/")
    with httpx.Client(headers={"User-Agent": agent}, timeout=timeout) as client:
        form = {"api_key": key, "data": json.dumps(report)}
        answer = post(client, f"{root}/api/set/bulk-report", what="the report", say=say, data=form)
        try:
            number = str(answer.json()["data"]["report_id"])
        except (ValueError, KeyError, TypeError) as error:
            raise UnavailableError(f"{root} answers without a report_id: {answer.text[:300]}") from error
        asked = {"api_key": key, "report_id": number}
        for looked in range(_REPLIES):
            if looked:
                time.sleep(wait)
            what = f"the question for report {number}"
            reply = post(client, f"{root}/api/get/bulk-report-reply", what=what, say=say, data=asked, accept=(200, 400, 404))
            if reply.status_code == 404:  # not worked off yet
                continue
            feedback = _feedback(reply)
            if reply.status_code == 400:
                raise RequestError(f"TNS refuses report {number}: {json.dumps(feedback)[:1000]}")
            return Answer(number, _name(feedback), feedback)
    raise UnavailableError(
        f"TNS has report {number} and has not said yet what it makes of it: look there before it is sent again"
    )


def _feedback(reply: httpx.Response) -> Any:
    try:
        return reply.json()["data"]["feedback"]
    except (ValueError, KeyError, TypeError):
        return reply.text[:500]


def _name(feedback: Any) -> str | None:
    """Name of the object: new (100), or there already (101)."""
    for entry in feedback.get("at_report", []) if isinstance(feedback, Mapping) else []:
        for code in ("100", "101"):
            if isinstance(entry, Mapping) and isinstance(entry.get(code), Mapping) and entry[code].get("objname"):
                return f"{entry[code].get('prefix', 'AT')} {entry[code]['objname']}"
    return None


def _usable(point: Mapping[str, Any]) -> bool:
    return all(isinstance(point.get(name), int | float) and math.isfinite(point[name]) for name in ("time", "mag"))


def _when(mjd: float) -> str:
    time_ = _MJD_EPOCH + timedelta(days=mjd)
    return time_.strftime("%Y-%m-%d %H:%M:%S.") + f"{time_.microsecond // 1000:03d}"


def _numbers(stream: str, point: Mapping[str, Any], said: Reporting) -> dict[str, str]:
    band = str(point.get("band"))
    try:
        return {"flux_unitid": _AB, "filterid": said.filters[stream][band], "instrumentid": said.instruments[stream]}
    except KeyError as error:
        raise RequestError(
            f"TNS's number is not known of band {band!r} or of the instrument of {stream!r}: put them into "
            f"[tns.filters.{stream}] and [tns.instruments] of --config FILE; {PRODUCTION}/api/values has them"
        ) from error


def _point(stream: str, point: Mapping[str, Any], said: Reporting) -> dict[str, str]:
    made = {"obsdate": _when(point["time"]), "flux": f"{point['mag']:.4f}", **_numbers(stream, point, said)}
    if isinstance(point.get("mag_err"), int | float):
        made["flux_error"] = f"{point['mag_err']:.4f}"
    return made


def _non_detection(stream: str, name: str, limits: Sequence[Mapping[str, Any]], said: Reporting) -> dict[str, str]:
    if limits:
        last = max(limits, key=lambda one: one["time"])
        return {"obsdate": _when(last["time"]), "limiting_flux": f"{last['mag']:.4f}", **_numbers(stream, last, said)}
    if said.archive is None:
        raise RequestError(
            f"{name} has no limit before its first detection, and TNS needs one or an archive: --archive 2 (DSS), 1 (SDSS), or "
            f"0 with --archive-remarks"
        )
    if said.archive == "0" and not said.archive_remarks:
        raise RequestError("--archive 0 is any other: say which with --archive-remarks")
    return {"archiveid": said.archive, "archival_remarks": said.archive_remarks}
