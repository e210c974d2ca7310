"""Where deliveries may go: every spelling of every address that is not everybody's is refused."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.deliver.addresses import UnknownNameError, check_url, look_up, networks, reachable
from broker.errors import UsageError
from tests.deliver.servers import run

INSIDE = [
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "172.16.3.4",
    "172.31.255.255",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "100.100.100.200",
    "100.127.255.255",
    "168.63.129.16",
    "192.0.0.192",
    "192.0.2.1",
    "198.18.0.1",
    "198.51.100.7",
    "203.0.113.9",
    "192.88.99.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b::a00:1",
    "64:ff9b:1::8.8.8.8",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "2002:c0a8:101::1",
    "2002:808:808::1",
    "2001:0:7f00:1::",
    "2001:0:808:808::f5ff:fffe",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fd00:ec2::254",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
    "2001:db8::1",
    "3fff::1",
    "5f00::1",
    "2606:4700::5efe:a00:1",
    "2606:4700::200:5efe:7f00:1",
    "100::1",
]
OUTSIDE = [
    "8.8.8.8",
    "1.1.1.1",
    "193.144.1.1",
    "100.63.255.255",
    "100.128.0.1",
    "172.32.0.1",
    "2606:4700:4700::1111",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
]


@pytest.mark.parametrize("address", INSIDE)
def test_what_is_not_everybodys_is_refused(address: str) -> None:
    assert not reachable(ip_address(address))
    host = f"[{address.replace('%', '%25')}]" if ":" in address else address
    with pytest.raises(UsageError, match=r"deliver\.allow|is no URL|is no name"):
        check_url(f"https://{host}/hook")


@pytest.mark.parametrize("address", OUTSIDE)
def test_what_is_everybodys_is_not(address: str) -> None:
    assert reachable(ip_address(address))
    check_url(f"https://[{address}]:8443/hook" if ":" in address else f"https://{address}:8443/hook")


@given(st.ip_addresses(v=4))
def test_an_address_within_another_counts_as_itself(inner: IPv4Address) -> None:
    low = int(inner)
    for outer in (0xFFFF << 32 | low, 0x64FF9B << 96 | low):
        assert reachable(IPv6Address(outer)) == reachable(inner), IPv6Address(outer)
    assert not reachable(IPv6Address(0x2002 << 112 | low << 80 | 1))


@pytest.mark.parametrize(
    "host",
    [
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "127.1",
        "0",
        "127。0。0。1",
        "localhost",
        "LOCALHOST.",
        "a.localhost",
        "[::ffff:7f00:1]",
    ],
)
def test_other_spellings_of_loopback(host: str) -> None:
    with pytest.raises(UsageError, match=r"deliver\.allow"):
        check_url(f"http://{host}:8000/")


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("ftp://example.org/x", "not to ftp:"),
        ("file:///etc/passwd", "not to file:"),
        ("gopher://example.org", "not to gopher:"),
        ("example.org/x", "https:// or http://"),
        ("", "https:// or http://"),
        ("https://", "names no host"),
        ("https:///path", "names no host"),
        ("https://user:secret@example.org/", "leave the user's name"),
        ("https://example.org\\@127.0.0.1/", "leave the user's name"),
        ("https://@example.org/", "leave the user's name"),
        ("https://example.org:0/", "no port 0"),
        ("https://example.org:65536/", "no port 65536"),
        ("https://exa mple.org/", "no name of a host"),
        ("https://ex%61mple.org/", "no name of a host"),
        ("https://example.org/\r\nX-Evil: 1", "is no URL"),
        ("https://0177.0.0.1/", "is no URL"),
        ("https://" + "a" * 300 + ".org/", "is no name|is no URL"),
    ],
)
def test_what_is_no_address_of_a_webhook(url: str, told: str) -> None:
    with pytest.raises(UsageError, match=told) as failed:
        check_url(url)
    assert "secret" not in str(failed.value)
    assert "\n" not in str(failed.value)


def test_networks_that_are_allowed() -> None:
    allowed = networks(["10.1.0.0/16", " 127.0.0.1", "fd00::/8"])
    for good in ("http://10.1.2.3/", "http://127.0.0.1:8000/", "http://2130706433/", "http://[::ffff:10.1.2.3]/", "http://[fd12::1]/",
                 "http://localhost:8000/"):  # fmt: skip
        check_url(good, allowed)
    for bad in ("http://10.2.0.1/", "http://127.0.0.2/", "http://[fc00::1]/", "http://[::1]/"):
        with pytest.raises(UsageError, match=r"deliver\.allow"):
            check_url(bad, allowed)


@pytest.mark.parametrize("text", ["10.1.2.3/16", "ten", "", "10.0.0.0/33"])
def test_what_is_no_network(text: str) -> None:
    with pytest.raises(UsageError, match=r"deliver\.allow"):
        networks([text])


def test_where_a_name_leads() -> None:
    lo = networks(["127.0.0.0/8"])
    assert set(run(look_up("localhost", 8443, lo))) == {"127.0.0.1"}  # and not ::1, which is not allowed
    assert set(run(look_up("127.0.0.1", 80, lo))) == {"127.0.0.1"}
    with pytest.raises(UsageError, match="localhost is"):
        run(look_up("localhost", 80))


@pytest.mark.parametrize("name", ["nowhere.invalid", "a..b", "x" * 70 + ".invalid"])
def test_a_name_without_an_address(name: str) -> None:
    with pytest.raises(UnknownNameError, match="has no address"):
        run(look_up(name, 80))
