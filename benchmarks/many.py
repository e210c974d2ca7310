"""Filters as a thousand people would write them: a dozen kinds a stream, each with limits of its own."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["HOSTILE", "KINDS", "conditions", "write_filters"]

# Kinds of search as brokers' users have them; what stands in braces differs from filter to filter, so that few conditions
# are shared. Each picks one alert in some thousands, as filters do that people want to read.
_CONE = "in_cone({ra:.3f}, {dec:.3f}, {wide:.2f})"
_ZTF = (
    f"""mag < {{bright:.2f}} AND candidate.rb > {{real:.3f}} AND candidate.nbad = 0 AND abs(galactic_lat()) > {{lat:.1f}}
    AND candidate.ndethist < {{few}} AND {_CONE}""",
    f"""candidate.drb > {{real:.3f}} AND positive AND candidate.distpsnr1 < {{near:.2f}} AND candidate.sgscore1 < {{star:.2f}}
    AND candidate.fwhm BETWEEN 1 AND {{seeing:.2f}} AND mag < {{bright:.2f}} AND {_CONE}""",
    """lightcurve.rate < -{rise:.2f} AND lightcurve.n_det BETWEEN 2 AND {few} AND mag < {bright:.2f}
    AND candidate.rb > {real:.3f}""",
    """lightcurve.age < {age:.1f} AND lightcurve.rate < -{rise:.2f} AND band = '{band}' AND candidate.distnr > {near:.2f}
    AND sep(ra, dec, {ra:.3f}, {dec:.3f}) < {wide:.2f}""",
    """gw.credible_level <= {level:.2f} AND gw.dt BETWEEN 0 AND {days} AND candidate.rb > {real:.3f} AND mag > {faint:.2f}""",
    """ngc.sep < {arcsec:.1f} AND mag < {bright:.2f} AND (candidate.sgscore1 > {star:.2f}) IS NOT TRUE
    AND candidate.rb > {real:.3f} AND candidate.jdendhist - candidate.jdstarthist < {age:.1f}""",
    f"""candidate.magpsf < candidate.magnr - {{rise:.2f}} AND candidate.distnr < {{near:.2f}} AND band IN ('g', '{{band}}')
    AND candidate.rb >= {{real:.3f}} AND candidate.ndethist > {{few}} AND {_CONE}""",
    f"""abs(ecliptic_lat()) > {{lat:.1f}} AND candidate.drb > {{real:.3f}} AND mag BETWEEN {{low:.2f}} AND {{bright:.2f}}
    AND (candidate.ssdistnr IS NULL OR candidate.ssdistnr < 0 OR candidate.ssdistnr > {{arcsec:.1f}}) AND {_CONE}""",
    """candidate.scorr > {scorr:.1f} AND candidate.rb > {real:.3f} AND coalesce(candidate.distpsnr2, 99) > {near:.2f}
    AND sqrt(power(candidate.xpos - 1536, 2) + power(candidate.ypos - 1540, 2)) < {pixels} AND mag < {low:.2f}""",
    """CASE WHEN band = '{band}' THEN mag < {low:.2f} ELSE mag < {low:.2f} - 0.3 END AND candidate.nbad = 0
    AND candidate.rb > {real:.3f} AND candidate.field BETWEEN {field} AND {field} + 20""",
)
_LSST = (
    f"""mag < {{bright:.2f}} + 3 AND reliability > {{real:.3f}} AND positive AND abs(galactic_lat()) > {{lat:.1f}}
    AND diaObject.nDiaSources < {{few}} AND {_CONE}""",
    f"""reliability > {{real:.3f}} AND diaSource.extendedness < {{star:.2f}} AND diaSource.snr > {{scorr:.1f}}
    AND diaSource.isDipole IS NOT TRUE AND mag < {{bright:.2f}} + 3 AND {_CONE}""",
    """lightcurve.rate < -{rise:.2f} AND lightcurve.n_det BETWEEN 2 AND {few} AND mag < {bright:.2f}
    AND reliability > {real:.3f}""",
    """lightcurve.age < {age:.1f} AND lightcurve.rate < -{rise:.2f} AND band = '{band}' AND diaSource.snr > {scorr:.1f}
    AND sep(ra, dec, {ra:.3f}, {dec:.3f}) < {wide:.2f}""",
    """gw.credible_level <= {level:.2f} AND gw.dt BETWEEN 0 AND {days} AND reliability > {real:.3f}
    AND mag > {faint:.2f} + 2""",
    """ngc.sep < {arcsec:.1f} AND mag < {bright:.2f} + 3 AND (diaSource.extendedness > {star:.2f}) IS NOT TRUE
    AND reliability > {real:.3f} AND diaObject.lastDiaSourceMjdTai - diaObject.firstDiaSourceMjdTai < {age:.1f}""",
    f"""diaSource.psfFlux > diaSource.templateFlux * {{rise:.2f}} AND band IN ('g', '{{band}}') AND positive
    AND reliability >= {{real:.3f}} AND diaObject.nDiaSources > {{few}} AND {_CONE}""",
    f"""abs(ecliptic_lat()) > {{lat:.1f}} AND coalesce(diaSource.ssObjectId, 0) = 0 AND reliability > {{real:.3f}}
    AND mag BETWEEN {{low:.2f}} AND {{bright:.2f}} + 3 AND {_CONE}""",
    """diaSource.snr > {scorr:.1f} AND reliability > {real:.3f} AND diaSource.pixelFlags_streak IS NOT TRUE
    AND sqrt(power(diaSource.x - 2000, 2) + power(diaSource.y - 2000, 2)) < {pixels} AND mag < {low:.2f} + 3""",
    """CASE WHEN band = '{band}' THEN mag < {low:.2f} + 2 ELSE mag < {low:.2f} + 1.7 END
    AND mjd() - diaObject.firstDiaSourceMjdTai < {age:.1f} AND reliability > {real:.3f}""",
)
KINDS: Mapping[str, Sequence[str]] = {"ztf": _ZTF, "lsst": _LSST}
"""Templates of conditions by stream."""

HOSTILE: Sequence[str] = (
    "power(exp(sqrt(abs(sin(radians(ra)) * 1e300))), 9) / 0 > ln(-1) OR mag / 0 = 1",  # nothing but what is not defined
    "sqrt(" * 10 + "mag" + ")" * 10 + " < 1",  # whose expression doubles with each call
    " OR ".join(f"object_id LIKE '%{number}_{number}%'" for number in range(5)),  # patterns, of every alert
    " OR ".join(f"(ra - {number}) * (dec - {number}) / (mag - {number}) > 1e9" for number in range(200)),  # long
    "regexp_like(object_id, '(x+x+)+y') OR regexp_like(object_id, '^(([a-z])+.)+[A-Z]([a-z])+$')",  # known to hang others
    "mag IN (" + ", ".join(f"{number / 7:.9f}" for number in range(5_000)) + ")",  # a long list
)
"""What is to cost the others nothing."""


def conditions(count: int, stream: str, *, seed: int = 1) -> list[str]:
    """So many conditions for a stream."""
    rng, kinds = random.Random(seed), KINDS[stream]
    return [kinds[number % len(kinds)].format(**_limits(rng)) for number in range(count)]


def write_filters(folder: Path, count: int, *, stream: str = "ztf", seed: int = 1, more: Sequence[str] = ()) -> None:
    """A folder of `count` filters of a stream; further conditions in `more`."""
    folder.mkdir(parents=True)
    for number, where in enumerate([*conditions(count, stream, seed=seed), *more]):
        text = f'name = "many_{number:04d}"\nversion = 1\nstream = "{stream}"\ndescription = "Search {number}"\n'
        (folder / f"many_{number:04d}.toml").write_text(text + f'where = """{where}"""\nselect = ["mag"]\n')


def _limits(rng: random.Random) -> dict[str, object]:
    return {
        "bright": rng.uniform(17.5, 19.5),
        "low": rng.uniform(14.0, 15.5),
        "faint": rng.uniform(19.0, 20.0),
        "real": rng.uniform(0.5, 0.97),
        "lat": rng.uniform(5, 25),
        "ra": rng.uniform(0, 360),
        "dec": rng.uniform(-25, 80),
        "wide": rng.uniform(0.5, 3.0),
        "near": rng.uniform(0.4, 3.0),
        "star": rng.uniform(0.3, 0.9),
        "seeing": rng.uniform(2.0, 4.0),
        "rise": rng.uniform(0.8, 2.0),
        "few": rng.randrange(2, 8),
        "age": rng.uniform(1.0, 10.0),
        "band": rng.choice("gri"),
        "level": rng.uniform(0.3, 0.95),
        "days": rng.randrange(86_400, 604_800),
        "arcsec": rng.uniform(5, 60),
        "scorr": rng.uniform(20, 60),
        "pixels": rng.randrange(300, 1500),
        "field": rng.randrange(200, 800),
    }
