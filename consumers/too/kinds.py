"""What each kind of observatory must be told in its table of a rule."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

from consumers.too.toml_table import Table

__all__ = ["KINDS", "read_kind"]

LCO: Final = "https://observe.lco.global"
SWIFT: Final = "https://www.swift.psu.edu/api/v4"
_ENVIRONMENT: Final = r"[A-Za-z_][A-Za-z0-9_]*"
_CLASS: Final = r"[0-9]+[mM][0-9]+(?=-)"  # with which instrument types of Las Cumbres begin; others name no class
_CONFIGURATION_TYPES: Final = (
    "EXPOSE",
    "REPEAT_EXPOSE",
    "SPECTRUM",
    "REPEAT_SPECTRUM",
    "NRES_SPECTRUM",
    "REPEAT_NRES_SPECTRUM",
)


def read_kind(kind: str, table: Table) -> dict[str, Any]:
    """The table of a kind, checked; the keys are those of its reference in ``docs/too.md``.

    Raises
    ------
    RulesError
        A key is missing, wrong or unknown.
    """
    found = dict(KINDS[kind](table))
    table.end()
    return found


def _lco(table: Table) -> Mapping[str, Any]:
    size, instrument = table.text("telescope_class", longest=20), table.text("instrument_type", longest=255)
    own = re.match(_CLASS, instrument)
    if own and own[0].lower() != size.lower():
        raise table.wrong(
            "instrument_type",
            f"{instrument!r} is of telescopes of the class {own[0].lower()}, and telescope_class is {size!r}: make them one",
        )
    return {
        **_reach(table, LCO, "Token"),
        "proposal": table.text("proposal", longest=100),
        "telescope_class": size,
        "site": table.text("site", "", longest=20),
        "instrument_type": instrument,
        "type": table.text("type", "EXPOSE", choices=_CONFIGURATION_TYPES),
        "optical_element": table.text("optical_element", "filter", longest=40),
        "observation_type": table.text("observation_type", "NORMAL", choices=("NORMAL", "RAPID_RESPONSE", "TIME_CRITICAL")),
        "ipp_value": table.number("ipp_value", 1.05, low=0.5, high=2.0),
        "acceptability_threshold": table.number("acceptability_threshold", 90.0, low=0.0, high=100.0),
        "guiding_mode": table.text("guiding_mode", "ON", longest=50),
        "guiding_optional": table.flag("guiding_optional", True),
        "acquisition_mode": table.text("acquisition_mode", "OFF", longest=50),
        "readout_mode": table.text("readout_mode", "", longest=50),
        "extra_params": table.free("extra_params"),
    }


def _skyportal(table: Table) -> Mapping[str, Any]:
    return {
        **_reach(table, None, "token"),
        "allocation": table.whole("allocation", low=1),
        "groups": table.wholes("groups", ()),
        "source_groups": table.wholes("source_groups", ()),
        "payload": table.free("payload"),
    }


def _skyportal_plan(table: Table) -> Mapping[str, Any]:
    strategy = table.text("schedule_strategy", "tiling", choices=("tiling", "galaxy"))
    filters = table.text("filter_strategy", "block", choices=("block", "integrated"))
    return {
        **_reach(table, None, "token"),
        "allocation": table.whole("allocation", low=1),
        "groups": table.wholes("groups", ()),
        "gcnevent_id": table.whole("gcnevent_id", None, low=1),
        "localization_id": table.whole("localization_id", None, low=1),
        "schedule_type": table.text(
            "schedule_type", "greedy_slew", choices=("greedy", "greedy_slew", "sear", "airmass_weighted")
        ),
        "schedule_strategy": strategy,
        "filter_strategy": filters,
        "minimum_time_difference": table.number("minimum_time_difference", 30.0, low=0.0, high=180.0),
        "galaxy_catalog": table.text("galaxy_catalog") if strategy == "galaxy" else table.text("galaxy_catalog", ""),
        "galaxy_sorting": table.text(
            "galaxy_sorting",
            "mstar_prob_weighted",
            choices=("mstar_prob_weighted", "equal", "sfr_fuv", "mstar", "magb", "magk"),
        ),
        "integrated_probability": table.number("integrated_probability", 90.0, low=0.0, high=100.0),
        "galactic_latitude": table.number("galactic_latitude", 10.0, low=0.0, high=90.0),
        "max_tiles": table.whole("max_tiles", None, low=1, high=1000),
        "payload": table.free("payload"),
    }


def _swift(table: Table) -> Mapping[str, Any]:
    visits = table.whole("num_of_visits", 1, low=1)
    return {
        **_reach(table, SWIFT, "session"),
        "username": table.text("username", longest=100),
        "target_type": table.text("target_type", longest=100),
        "obs_type": table.text("obs_type", choices=("Spectroscopy", "Light Curve", "Position", "Timing")),
        "instrument": table.text("instrument", "XRT", choices=("XRT", "UVOT", "BAT")),
        "science_just": table.text("science_just", longest=5000),
        "immediate_objective": table.text("immediate_objective", longest=2000),
        "exp_time_just": table.text("exp_time_just", longest=2000),
        "num_of_visits": visits,
        "monitoring_freq": table.text("monitoring_freq") if visits > 1 else table.text("monitoring_freq", "1 day"),
        "xrt_mode": table.whole("xrt_mode", 7, high=9),
        "uvot_mode": table.text("uvot_mode", "0x9999", pattern="0x[0-9A-Fa-f]{4}"),
        "uvot_just": table.text("uvot_just", ""),
        "other_brightness": table.text("other_brightness", ""),
        "xrt_countrate": table.text("xrt_countrate", ""),
        "bat_countrate": table.text("bat_countrate", ""),
        "grb_detector": table.text("grb_detector", ""),
        "proposal_id": table.text("proposal_id", ""),
        "proposal_pi": table.text("proposal_pi", ""),
        "proposal_trigger_just": table.text("proposal_trigger_just", ""),
        "validate_only": table.flag("validate_only", False),
        "debug": table.flag("debug", False),
    }


def _rtml(table: Table) -> Mapping[str, Any]:
    return {
        **_reach(table, None, "Bearer", schemes=("Bearer", "Token", "headers")),
        "project": table.text("project", pattern=r"\S+", longest=100),
        "username": table.text("username", longest=100),
        "device": table.text("device", longest=100),
        "device_type": table.text("device_type", "camera", choices=("camera", "spectrograph", "polarimeter", "photometer")),
        "spectral_region": table.text("spectral_region", "optical", choices=("optical", "infrared", "ultraviolet")),
        "binning": table.whole("binning", None, low=1, high=16),
    }


def _json(table: Table) -> Mapping[str, Any]:
    return {
        **_reach(table, None, "Bearer", schemes=("Bearer", "Token", "token")),
        "telescope": table.text("telescope", "", longest=100),
        "instrument": table.text("instrument", "", longest=100),
        "proposal": table.text("proposal", "", longest=100),
        "lookup": table.flag("lookup", True),
        "extra": table.free("extra"),
    }


def _reach(table: Table, address: str | None, scheme: str, *, schemes: tuple[str, ...] = ()) -> Mapping[str, Any]:
    """Where it is, and which variable of the environment has the token: the token itself is in no file of ours."""
    url = table.text("address") if address is None else table.text("address", address)
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.password or parts.query:
        raise table.wrong("address", f"{url!r} is no address: write it like https://host/path, without a user or a query")
    token_env = table.text("token_env", "", pattern=_ENVIRONMENT)
    if parts.scheme == "http" and token_env and not _here(parts.hostname):
        raise table.wrong("address", f"{url!r} would send the token of {token_env} in the clear: write https")
    auth = table.text("auth", scheme, choices=schemes) if schemes else scheme
    return {"address": url.rstrip("/"), "token_env": token_env, "auth": auth}


def _here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


KINDS: Final[Mapping[str, Callable[[Table], Mapping[str, Any]]]] = {
    "json": _json,
    "lco": _lco,
    "rtml": _rtml,
    "skyportal": _skyportal,
    "skyportal_plan": _skyportal_plan,
    "swift": _swift,
}
