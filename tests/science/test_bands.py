"""What bands, instruments and subjects of circulars say of the light that was seen."""

from __future__ import annotations

import astropy.units as u
import pytest

from broker.science.bands import UNITS, energy, of_band, of_instrument, regime_of
from broker.science.facilities import facility_of

SPELLED = {"angstrom": "AA", "um": "um", "Hz": "Hz"}


@pytest.mark.parametrize("unit", UNITS)
def test_energies_are_astropy_s(unit: str) -> None:
    low, high = energy(2.0, 5.0, unit)
    expected = sorted(
        (value * u.Unit(SPELLED.get(unit, unit))).to_value("keV", equivalencies=u.spectral()) for value in (2.0, 5.0)
    )
    assert [low, high] == pytest.approx(expected, rel=1e-8)
    assert energy(5.0, 2.0, unit) == (low, high)


@pytest.mark.parametrize(
    ("name", "regime", "wavelength"),
    [
        ("r", "optical", 617.6),
        ("r'", "optical", 617.6),
        ("ztf_r", "optical", 617.6),
        ("SDSS-g", "optical", 469.8),
        ("U", "optical", 365.1),
        ("u", "optical", 357.8),
        ("uvw1", "ultraviolet", 257.6),
        ("Ks", "infrared", 2155.0),
        ("X", "radio", 3.06e7),
        ("XRT", "x-ray", 0.716),
        ("0.3-10 keV", "x-ray", 0.716),
        ("4 to 8 GHz", "radio", 5.3e7),
        ("clear", "optical", None),
        ("optical", "optical", None),
    ],
)
def test_names_of_bands(name: str, regime: str, wavelength: float | None) -> None:
    found = of_band(name)
    assert found is not None
    assert found.regime == regime
    assert found.wavelength == (None if wavelength is None else pytest.approx(wavelength, rel=2e-3))


@pytest.mark.parametrize("name", [None, "", " ", "foo", "5", "3-4 bananas", "0-0 keV"])
def test_names_that_say_nothing(name: str | None) -> None:
    assert of_band(name) is None


def test_what_missions_see() -> None:
    assert of_instrument("Fermi", "GBM") == of_instrument("Fermi")
    assert of_instrument("Swift", "XRT") != of_instrument("Swift")
    lvk, icecube = of_instrument("LVK"), of_instrument("IceCube", "Cascade")
    assert lvk is not None
    assert icecube is not None
    assert (lvk.regime, lvk.energy, lvk.wavelength) == ("gw", None, None)
    assert (icecube.regime, icecube.energy) == ("neutrino", None)
    assert of_instrument("nobody", "nothing") is None


@pytest.mark.parametrize(
    ("value", "unit", "regime"),
    [
        (1.0, "GHz", "radio"),
        (2.0, "um", "infrared"),
        (500, "nm", "optical"),
        (200, "nm", "ultraviolet"),
        (2, "keV", "x-ray"),
        (1, "TeV", "gamma-ray"),
    ],
)
def test_regimes(value: float, unit: str, regime: str) -> None:
    assert regime_of(value, value, unit) == regime


@pytest.mark.parametrize(
    ("subject", "name", "regime"),
    [
        ("GRB 250101A: Swift/XRT afterglow detection", "Swift XRT", "x-ray"),
        ("GRB 250101A: NOT optical observations", "NOT", "optical"),
        ("GRB 250101A: not detected by anyone", None, None),
        ("LIGO/Virgo S190425z: Swift UVOT counterpart", "Swift UVOT", "ultraviolet"),
        ("EP250101a: EP-WXT detection of an X-ray transient", "EP WXT", "x-ray"),
        ("IceCube-230416A: no counterpart with ZTF", "ZTF", "optical"),
        ("GRB 250101B: VLA detection at 10 GHz", "VLA", "radio"),
        ("GRB 190114C: optical observations", None, "optical"),
        ("Swift J1727.8-1613: NICER observations", "NICER", "x-ray"),
        (None, None, None),
        ("", None, None),
    ],
)
def test_subjects_of_circulars(subject: str | None, name: str | None, regime: str | None) -> None:
    found = facility_of(subject)
    assert (found.name, found.spectrum and found.spectrum.regime) == (name, regime)
