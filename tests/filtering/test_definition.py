"""Filter files: what they hold, what is wrong with them, and the examples of those that are shipped."""

import re

import pytest

from broker.errors import FilterError
from broker.filtering.definition import load_filter, load_filters, parse_filter
from broker.filtering.examples import lacking, run_examples
from broker.paths import shipped

GOOD = """\
name = "bright"
version = 3
stream = ["ztf", "ls*"]
description = "Bright things."
where = '''
mag < 19
AND candidate.rb > 0.5
'''
select = ["candidate.rb", "candidate.magpsf - candidate.magnr AS contrast"]

[[example]]
alert = { mag = 18, candidate.rb = 0.9 }
matches = true
note = "bright and real"

[[example]]
alert = { mag = 18.5 }
matches = false
"""


def edited(old, new):
    assert old in GOOD
    return GOOD.replace(old, new)


def test_a_filter_is_read():
    spec = parse_filter(GOOD, "x.toml")
    assert (spec.name, spec.version, spec.active, spec.packet) == ("bright", 3, True, False)
    assert spec.columns == {"mag", "candidate.rb", "candidate.magpsf", "candidate.magnr"}
    assert [(chosen.name, chosen.sql) for chosen in spec.select] == [
        ("candidate.rb", '"candidate"."rb"'),
        ("contrast", "candidate.magpsf - candidate.magnr"),
    ]
    assert [stream for stream in ("ztf", "lsst", "gcn") if spec.sees(stream)] == ["ztf", "lsst"]
    assert spec.examples[0].alert == {"mag": 18, "candidate.rb": 0.9}
    assert run_examples(spec) == []
    assert lacking(spec) == []


def test_an_inactive_filter_sees_nothing():
    assert not parse_filter(edited("version = 3", "version = 3\nactive = false")).sees("ztf")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (edited("version = 3", ""), "version is missing"),
        (edited("version = 3", "version = 0"), "line 2, version: 0 is not a version"),
        (edited("version = 3", "version = true"), "line 2, version: must be a whole number"),
        (edited("version = 3", 'version = "3"'), "line 2, version: must be a whole number"),
        (edited("version = 3", "version = 3\nwhen = 1"), "line 3, when: there is no such key (did you mean where?)"),
        (edited('"bright"', '"bright/er"'), "line 1, name: 'bright/er' cannot be part of a topic's name"),
        (edited('"bright"', '"' + "b" * 201 + '"'), "up to 200 letters"),
        (edited('["ztf", "ls*"]', "[]"), "line 3, stream: must name a stream"),
        (edited('"Bright things."', '" "'), "line 4, description: is empty"),
        (edited("candidate.rb > 0.5\n", "candidate.rb >\n"), "line 7, column 18, where: near '>'"),
        (edited("mag < 19\n", "mag < 'x'\n"), "line 6, column 1, where: kinds do not go together"),
        (edited('"candidate.rb", ', '"candidate.rb + 1", '), "line 9, select: 'candidate.rb + 1' needs a name"),
        (edited('"candidate.rb", ', '"candidate.rb", "mag AS contrast", '), "line 9, select: 'contrast' is there twice"),
        (edited("magnr AS", "magnr + 'x' AS"), "line 9, column 65, select: arithmetic takes numbers; 'x' is text"),
        (edited("candidate.rb = 0.9", "candidate.br = 0.9"), "does not read 'candidate.br' (did you mean candidate.rb?)"),
        (edited("matches = false", "match = false"), "line 11, example: an example has alert"),
        (edited('note = "bright and real"', 'nota = "x"'), "no 'nota' in an example (did you mean note?)"),
        (GOOD[:40], "not TOML"),
        (GOOD[:200], "not TOML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, words):
    path = tmp_path / "broken.toml"
    path.write_text(text)
    with pytest.raises(FilterError, match=re.escape(words)) as caught:
        load_filter(path)
    assert str(path) in str(caught.value)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(FilterError, match="cannot be read"):
        load_filter(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b'name = "\xe9"')
    with pytest.raises(FilterError, match="not UTF-8"):
        load_filter(tmp_path / "latin.toml")
    with pytest.raises(FilterError, match="no folder of filters"):
        load_filters(tmp_path / "none")


def test_two_filters_of_one_name(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.toml").write_text(GOOD)
    with pytest.raises(FilterError, match=r"b\.toml: the name 'bright' is taken by .*a\.toml"):
        load_filters(tmp_path)


def test_examples_that_come_out_otherwise_are_told():
    wrong = parse_filter(edited("mag = 18,", "mag = 20,"))
    (failure,) = run_examples(wrong)
    assert (failure.number, failure.note, failure.reason) == (1, "bright and real", "a match expected, none came")
    lone = parse_filter(edited("matches = false", "matches = true"))
    assert {failure.number for failure in run_examples(lone)} == {2}
    assert len(lacking(lone)) == 1
    strange = parse_filter(edited("candidate.rb = 0.9", 'candidate.rb = "high"'))
    assert "do not go together" in run_examples(strange)[0].reason
    assert len(lacking(parse_filter(GOOD.partition("[[example]]")[0]))) == 2


SHIPPED = load_filters(shipped("filters"))


@pytest.mark.parametrize("spec", SHIPPED, ids=lambda spec: spec.name)
def test_shipped_filters_do_what_their_examples_say(spec):
    assert run_examples(spec) == []
    assert lacking(spec) == []


def test_shipped_filters_cover_both_kinds_of_stream():
    assert len(SHIPPED) >= 8
    for stream in ("ztf", "lsst", "gcn", "lvk"):
        assert any(spec.sees(stream) for spec in SHIPPED), stream
