"""Declarations: what is refused, and how it is said."""

from __future__ import annotations

import pytest

from broker.decode.declaration import load_declaration, load_declarations
from broker.errors import DeclarationError
from broker.paths import shipped

GOOD = """
stream = "toy"
title = "Toy"
id = ["id"]
ra = ["ra"]
dec = ["dec"]
[time]
field = "when"
format = "mjd"
scale = "tai"
[detect]
fields = ["ra"]
"""


def write(tmp_path, text, name="toy.toml"):
    path = tmp_path / name
    path.write_text(text)
    return path


def test_shipped():
    assert {"atlas", "decat", "elasticc", "lsst", "pgir", "winter", "ztf"} <= load_declarations(
        shipped("schemas") / "streams"
    ).keys()


def test_one_path_or_several(tmp_path):
    declaration = load_declaration(write(tmp_path, GOOD))
    assert declaration.time.field == ("when",)
    assert declaration.framing == ("ocf", "confluent")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('title = "Toy"', "", "key 'title': is missing; add it"),
        ('title = "Toy"', 'tittle = "Toy"', "key 'tittle': is not a key of a declaration"),
        ('scale = "tai"', 'scale = "gps"', "key 'time.scale'"),
        ('id = ["id"]', "id = []", "key 'id'"),
        ('id = ["id"]', 'id = ["a b"]', "'a b' is not a path"),
        ('id = ["id"]', "id = [", "not TOML"),
        ('id = ["id"]', 'id = ["list[].id"]', "key 'element': missing"),
        ('stream = "toy"', 'stream = "other"', "make them the same"),
        ("[detect]", '[band]\npattern = "("\n[detect]', "not a regular expression"),
        ("[detect]", '[band]\npattern = "x"\n[detect]', "exactly one group"),
    ],
)
def test_what_is_refused(tmp_path, old, new, words):
    path = write(tmp_path, GOOD.replace(old, new))
    with pytest.raises(DeclarationError) as caught:
        load_declaration(path)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(DeclarationError, match="cannot be read"):
        load_declaration(tmp_path / "none.toml")
    with pytest.raises(DeclarationError, match="no such folder"):
        load_declarations(tmp_path / "none")
