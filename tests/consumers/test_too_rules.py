"""Rules of the telescope hook: what they say, and where they are wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from consumers.too.advice import advice, longest_night
from consumers.too.errors import RulesError
from consumers.too.kinds import KINDS
from consumers.too.reading import parse_rules
from tests.consumers.strangers import stranger
from tests.consumers.too_world import LCO, rules_text

ROOT = Path(__file__).parents[2]
TABLES = {
    "lco": LCO,
    "json": '[rule.json]\naddress = "https://dome.example/requests"\n',
    "rtml": '[rule.rtml]\naddress = "https://lt.example"\nproject = "PL26A01"\nusername = "me"\ndevice = "IO:O"\n',
    "skyportal": '[rule.skyportal]\naddress = "https://sky.example"\nallocation = 3\n',
    "skyportal_plan": '[rule.skyportal_plan]\naddress = "https://sky.example"\nallocation = 3\n',
    "swift": (
        '[rule.swift]\nusername = "me"\ntarget_type = "Supernova"\nobs_type = "Light Curve"\nscience_just = "x"\n'
        'immediate_objective = "x"\nexp_time_just = "x"\n'
    ),
}


def test_a_rule_says_what_it_says():
    text = rules_text(
        more='cool_down = 10\nonly_once = "event"\nvalid_hours = 12\npriority = 5\noverhead = 30',
        limits=(
            "min_altitude = 40\nmax_airmass = 1.5\nmin_moon_separation = 20\nmax_moon_illumination = 0.8\n"
            "max_sun_altitude = -12\nmax_mag = 19\nmax_credible_level = 0.5\n"
            '[rule.limits.fields]\n"gaia.sep" = { min = 1.0 }\nreliability = { min = 0.7, max = 1 }'
        ),
        exposures='[[rule.exposure]]\nband = "gp"\nseconds = 60\ncount = 2\n[[rule.exposure]]\nband = "ip"\nseconds = 90',
        budget="requests = 3\nseconds = 5400",
    )
    (rule,) = parse_rules(text).rules
    assert (rule.cool_down, rule.only_once, rule.valid_hours, rule.priority) == (10, "event", 12, 5)
    assert rule.seconds == 2 * (60 + 30) + 90 + 30
    assert rule.limits.fields["mag"].high == 19
    assert rule.limits.fields["gaia.sep"].low == 1
    assert (rule.limits.fields["reliability"].low, rule.limits.fields["reliability"].high) == (0.7, 1)
    assert (rule.budget.requests, rule.budget.seconds) == (3, 5400)
    assert rule.site.name == "lapalma"


def test_without_a_budget_there_is_one():
    text = rules_text().replace("[rule.budget]\nrequests = 100\n", "")
    assert parse_rules(text).rules[0].budget.requests == 5


def test_sites_of_the_file_can_be_named():
    text = rules_text(site="roof") + "\n[sites.roof]\nlongitude = 11.5\nlatitude = 45.8\nheight = 1400\n"
    assert parse_rules(text).rules[0].site.height == 1400


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_is_read_with_what_it_must_have(kind):
    (rule,) = parse_rules(rules_text(kind, table=TABLES[kind])).rules
    assert rule.target == kind
    assert rule.table["address"].startswith("http")


WRONG = [
    ("min_altitude = 30", "min_altitude = 120", "min_altitude", "out of range"),
    ("min_altitude = 30", "min_altitud = 30", "min_altitud", "do you mean min_altitude"),
    ('site = "lapalma"', 'site = "atlantis"', "site", "no site"),
    ('target = "lco"', 'target = "lcogt"', "target", "do you mean lco"),
    ('filters = ["bright-transient"]', 'filters = "bright-transient"', "filters", "no list"),
    ('filters = ["bright-transient"]', 'filters = ["^matched[.]("]', "filters", "no regular expression"),
    ("seconds = 60", "seconds = 0", "seconds", "out of range"),
    ("seconds = 60", 'seconds = "60"', "seconds", "no number"),
    ("count = 2", "count = true", "count", "no whole number"),
    ('proposal = "TEST2026-001"', "", "proposal", "is missing"),
    ("requests = 100", "seconds = 100", "budget", "less than the 120 s"),
    ('address = "http://127.0.0.1:9"', 'address = "ftp://x"', "address", "no address"),
    ('address = "http://127.0.0.1:9"', 'address = "http://lco.example"', "address", "in the clear"),
    ('address = "http://127.0.0.1:9"', 'address = "https://me:pw@lco.example"', "address", "no address"),
    ('token_env = "TOO_TEST_TOKEN"', 'token_env = "not a name"', "token_env", "not of the form"),
    ('telescope_class = "1m0"', "telescope_class = 1", "telescope_class", "no text"),
    ("1M0-SCICAM-SINISTRO", "2M0-SCICAM-MUSCAT", "instrument_type", "class 2m0, and telescope_class is '1m0'"),
    ("requests = 100", "requests = -1", "requests", "out of range"),
    ("requests = 100", "requests = nan", "requests", "no whole number"),
]


@pytest.mark.parametrize(("old", "new", "word", "said"), WRONG)
def test_what_is_wrong_is_named_with_its_line(old, new, word, said):
    text = rules_text()
    assert old in text
    broken = text.replace(old, new, 1)
    with pytest.raises(RulesError, match=said) as error:
        parse_rules(broken)
    assert error.value.word == word
    line = broken.splitlines()[error.value.line - 1]
    assert word in line or f"[rule.{word}]" in line or line == "[rule.lco]"


@pytest.mark.parametrize(
    ("manners", "word"), [("timeout = 60\nsettle = 69", "settle"), ("settle = 29.5", "settle"), ("timeout = 51", "timeout")]
)
def test_what_is_given_up_is_not_looked_up_before_it_can_no_longer_arrive(manners, word):
    text = f"[observatory]\n{manners}\n{rules_text()}"
    with pytest.raises(RulesError, match="posted twice; make settle") as error:
        parse_rules(text)
    assert (error.value.word, text.splitlines()[error.value.line - 1].split()[0]) == (word, word)
    assert parse_rules(text.replace("69", "70").replace("29.5", "30").replace("51", "50")).manners.settle >= 30


def test_two_rules_of_one_name_are_refused_at_the_second():
    with pytest.raises(RulesError, match="two rules") as error:
        parse_rules(rules_text() + rules_text())
    assert error.value.line > len(rules_text().splitlines())


def test_broken_toml_names_its_line():
    with pytest.raises(RulesError, match="no TOML") as error:
        parse_rules("[[rule]]\nname = \n")
    assert error.value.line == 2


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "consumers.too", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def test_check_tells_right_from_wrong(tmp_path):
    file = tmp_path / "too.toml"
    file.write_text(rules_text())
    done = run("--rules", str(file), "--check")
    assert (done.returncode, "1 rules are right: follow (lco)" in done.stdout) == (0, True)
    file.write_text(rules_text().replace("min_altitude", "min_height"))
    done = run("--rules", str(file), "--check")
    assert done.returncode == 1
    assert f"{file}:8: min_height" in done.stderr
    assert run("--rules", str(tmp_path / "none.toml"), "--check").returncode == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["too.toml"]


def test_check_says_whether_names_of_filters_were_looked_up(tmp_path):
    file = tmp_path / "too.toml"
    file.write_text(rules_text(filters='["bright-transient", "alerts.ztf", "^matched[.]x"]'))
    assert "not looked up here; give --api" in run("--rules", str(file), "--check").stdout
    with stranger({"/api/v1/filters/bright-transient": [(200, {}, {"name": "bright-transient"}), (404, {}, {})]}) as there:
        assert run("--rules", str(file), "--check", "--api", there.url).returncode == 0
        done = run("--rules", str(file), "--check", "--api", there.url)
        assert (done.returncode, "has no filter bright-transient" in done.stderr) == (1, True)
        assert {path for path, _, _ in there.asked} == {"/api/v1/filters/bright-transient"}


def test_check_warns_of_a_budget_that_no_day_has(tmp_path):
    file = tmp_path / "too.toml"
    file.write_text(rules_text(budget="requests = 721"))
    done = run("--rules", str(file), "--check")
    assert (done.returncode, "warning: rule follow: budget.requests = 721 of 120 s each" in done.stderr) == (0, True)
    for budget in ("requests = 720", "requests = 721\nseconds = 86400", "seconds = 120"):
        assert advice(parse_rules(rules_text(budget=budget))) == []
    assert "budget.seconds = 90000 is 25 h" in advice(parse_rules(rules_text(budget="seconds = 90000")))[0]


def test_one_request_must_fit_into_a_night():
    long = '[[rule.exposure]]\nband = "rp"\nseconds = 28800\n[[rule.exposure]]\nband = "gp"\nseconds = 28900'  # over 16 h
    with pytest.raises(RulesError, match=r"takes 16.03 h .*seconds x count.* longest night at lapalma has 10\.9 h") as error:
        parse_rules(rules_text(exposures=long))
    assert error.value.word == "exposure"
    assert parse_rules(rules_text(exposures=long, site="pole=0,-89.9,2800")).rules[0].seconds == 57700  # months of night
    assert parse_rules(rules_text(exposures=long, limits="max_sun_altitude = 90")).rules[0].seconds == 57700


@pytest.mark.parametrize(
    ("latitude", "sun", "hours"), [(0, 0, 12.0), (90, -18, 24.0), (-89.9, -18, 24.0), (52, 0, 16.5), (28.76, -18, 10.9)]
)
def test_the_longest_night_is_that_of_the_solstice(latitude, sun, hours):
    assert longest_night(latitude, sun) == pytest.approx(hours, abs=0.1)


def test_help_names_an_example_that_works():
    told = run("--help").stdout
    assert "consumers/too/example.toml --check" in " ".join(told.replace("│", " ").split())
    assert run("--rules", "consumers/too/example.toml", "--check").returncode == 0


def test_wrong_use_is_2(tmp_path):
    file = tmp_path / "too.toml"
    file.write_text(rules_text())
    assert run("--rules", str(file), "--live", "--as-of", "2026-11-21").returncode == 2
    missing = run("--rules", str(file), "--live")
    assert (missing.returncode, "TOO_TEST_TOKEN" in missing.stderr) == (2, True)
    assert run("--rules", str(file), "--until", "soon").returncode == 2
    wrong = run("--rules", str(file), "--api", "nonsense", "--until", "now")
    assert (wrong.returncode, "--api 'nonsense' is no URL" in wrong.stderr) == (2, True)
    assert run("--rules", str(file), "--status").returncode == 1  # there is no state yet
