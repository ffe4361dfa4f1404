"""Pieces of middleware by themselves: what they count, look through, take and refuse."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskmill.http.middleware.compression import takes_gzip
from taskmill.http.middleware.proxies import client
from taskmill.http.middleware.rate_limit import Meter, network
from taskmill.http.origin import is_foreign

TRUSTED = [ip_network("10.0.0.0/8"), ip_network("::1/128")]


def test_a_quota_is_spent_and_comes_back() -> None:
    meter = Meter(limit=10, per=1.0, burst=3)
    assert [meter.take("a", 100.0)[0] for _ in range(3)] == [2, 1, 0]
    over = meter.take("a", 100.0)
    assert over.requests == 0
    assert over.wait == pytest.approx(0.1)
    assert meter.take("b", 100.0).requests == 2  # another's is untouched
    assert meter.take("a", 100.11).wait == 0
    assert meter.take("a", 100.11).wait > 0
    assert meter.take("a", 200.0).requests == 2


@given(st.lists(st.floats(0, 0.5), max_size=60), st.integers(1, 20), st.integers(1, 20))
def test_no_more_than_the_limit_ever_passes(pauses: list[float], limit: int, burst: int) -> None:
    meter, now, passed = Meter(limit, 1.0, burst), 0.0, 0
    for pause in pauses:
        now += pause
        passed += meter.take("a", now).wait == 0
    assert passed <= burst + now * limit + 1e-6


def test_what_is_remembered_is_bounded_and_the_busy_stay() -> None:
    meter = Meter(limit=1, per=1000.0, burst=1, most=100)
    for number in range(1000):
        meter.take(str(number), 1.0)
        assert len(meter._whole_at) <= 100
    assert meter.take("999", 1.0).wait > 0


@pytest.mark.parametrize(
    ("address", "counted"),
    [("192.0.2.1", "192.0.2.1"), ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"), ("::ffff:192.0.2.1", "192.0.2.1"),
     ("fe80::1%eth0", "fe80::/64"), ("", ""), ("no:address", "no:address")],
)  # fmt: skip
def test_an_address_is_counted_as_its_network(address: str, counted: str) -> None:
    assert network(address) == counted


@pytest.mark.parametrize(
    ("peer", "forwarded", "found"),
    [
        ("192.0.2.9", b"203.0.113.5", "192.0.2.9"),  # who is no proxy is not believed
        ("10.0.0.1", b"203.0.113.5", "203.0.113.5"),
        ("10.0.0.1", b"1.1.1.1, 203.0.113.5, 10.2.2.2", "203.0.113.5"),  # what stands before may be invented
        ("10.0.0.1", b"10.0.0.7", "10.0.0.7"),
        ("10.0.0.1", b"nonsense", "10.0.0.1"),
        ("10.0.0.1", b"203.0.113.5, <script>", "10.0.0.1"),
        ("10.0.0.1", b"", "10.0.0.1"),
        ("10.0.0.1", b"203.0.113.5:4711", "203.0.113.5"),
        ("::1", b"[2001:db8::7]:80", "2001:db8::7"),
        ("::ffff:10.0.0.1", b"203.0.113.5", "203.0.113.5"),
        ("10.0.0.1", b"10.0.0.2," * 1000 + b"10.0.0.3", "10.0.0.2"),
    ],
)
def test_the_client_is_who_the_nearest_proxies_say(peer: str, forwarded: bytes, found: str) -> None:
    assert client(peer, forwarded, TRUSTED) == found


@given(st.binary(max_size=200))
def test_whatever_a_proxy_forwards_does_no_harm(forwarded: bytes) -> None:
    assert client("10.0.0.1", forwarded, TRUSTED)


@pytest.mark.parametrize(
    ("accepted", "takes"),
    [(b"gzip", True), (b"br, GZIP;q=0.5", True), (b"gzip;q=0", False), (b"gzip; q=0.0", False), (b"br", False),
     (b"", False), (b"x-gzip", True), (b"*", False)],
)  # fmt: skip
def test_what_is_said_of_gzip(accepted: bytes, takes: bool) -> None:
    assert takes_gzip(accepted) is takes


@pytest.mark.parametrize(
    ("method", "site", "origin", "foreign"),
    [
        (b"POST", None, None, False),  # no browser
        (b"POST", b"same-origin", b"http://tasks:8080", False),
        (b"POST", b"none", None, False),  # typed by the reader
        (b"POST", b"cross-site", b"https://evil.example", True),
        (b"POST", b"cross-site", None, True),
        (b"POST", b"cross-site", b"null", True),
        (b"POST", b"same-site", b"http://other.tasks:8080", True),
        (b"POST", b"cross-site", b"https://shop.example", False),  # it is allowed
        (b"POST", None, b"http://tasks:8080", False),
        (b"POST", None, b"http://TASKS:8080", False),
        (b"POST", None, b"http://tasks:9090", True),
        (b"POST", None, b"null", True),
        (b"DELETE", None, b"https://evil.example", True),
        (b"GET", b"cross-site", b"https://evil.example", False),  # it changes nothing
        (b"OPTIONS", b"cross-site", b"https://evil.example", False),
    ],
)
def test_whose_pages_may_change_something(
    method: bytes, site: bytes | None, origin: bytes | None, foreign: bool
) -> None:
    headers = [(b"host", b"tasks:8080")]
    headers += [] if site is None else [(b"sec-fetch-site", site)]
    headers += [] if origin is None else [(b"origin", origin)]
    assert is_foreign(method, headers, {b"https://shop.example"}) is foreign
    assert is_foreign(method, headers, {b"*"}) is (foreign and origin is None)
