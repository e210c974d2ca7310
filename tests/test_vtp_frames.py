"""What a frame is, told without parsing it."""

from __future__ import annotations

import pytest

from broker.safe_xml import root_name
from broker.vtp import Role, Transport, ivorn_and_role, role_of, transport
from tests.vtp_peers import voevent

ALIVE = b'<trn:Transport role="iamalive" version="1.0">'


@pytest.mark.parametrize("role", ["ack", "nak", "iamalive", "authenticate"])
def test_transport_messages_are_known_by_their_role(role: Role) -> None:
    message = transport(Transport(role, "ivo://us"))
    assert role_of(message) == role
    assert role_of(message.replace(b"<trn:", b"<!-- " + ALIVE + b" --><trn:", 1)) == role


def test_an_event_may_speak_of_transport_messages() -> None:
    head, rest = voevent(1).split(b"\n", 1)
    commented = head + b"<!-- an answer to " + ALIVE + b" -->" + rest
    assert ivorn_and_role(commented) == ("ivo://example.org/tests#1", "test")
    assert role_of(commented) is None
    assert role_of(voevent(1, padding="&lt;" + ALIVE.decode()[1:])) is None


def test_what_opens_a_comment_does_not_close_it() -> None:
    assert root_name(b"<!--><VOEvent>--><!DOCTYPE VOEvent [<!ENTITY a 'lol'>]><VOEvent ivorn='a'>&a;</VOEvent>") == "!DOCTYPE"
    assert root_name(b"<?xml version='1.0'?><!-- a --><?p?><VOEvent/>") == "VOEvent"
