"""F35's half that needs no network: which addresses may be sent to, whatever they are written as."""

import asyncio
import socket
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskmill.tasks.push.addresses import networks, permitted
from taskmill.tasks.push.network import Forbidden, GuardedNetwork

INSIDE = [
    "127.0.0.1", "127.1.2.3", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
    "100.64.0.1", "192.0.0.8", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "240.0.0.1",
    "255.255.255.255", "::", "::1", "fe80::1", "fc00::1", "fd12:3456::1", "ff02::1", "2001:db8::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::a00:1", "2002:7f00:1::", "2002:a9fe:a9fe::1", "fe80::1%eth0", "localhost", "1.1.1.1.1", "",
]  # fmt: skip
OUTSIDE = ["1.1.1.1", "93.184.215.14", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]


@pytest.mark.parametrize("address", INSIDE)
def test_what_is_inside_is_not_sent_to(address: str) -> None:
    assert not permitted(address, ())


@pytest.mark.parametrize("address", OUTSIDE)
def test_the_public_internet_is(address: str) -> None:
    assert permitted(address, ())


@given(st.ip_addresses(v=4))
def test_an_address_in_another_s_clothes_is_judged_as_itself(address: IPv4Address) -> None:
    mapped = str(IPv6Address((0xFFFF << 32) | int(address)))
    assert permitted(mapped, ()) == permitted(str(address), ())


def test_a_network_that_is_allowed_is_sent_to_and_no_other() -> None:
    allowed = networks(["10.0.0.0/8", "::1"])
    assert permitted("10.1.2.3", allowed)
    assert permitted("::1", allowed)
    assert not permitted("127.0.0.1", allowed)
    assert not permitted("::ffff:10.1.2.3", allowed), "only as it is written"
    with pytest.raises(ValueError, match="host bits"):
        networks(["10.0.0.1/8"])


def test_a_name_is_resolved_once_and_its_address_is_the_one_that_is_connected_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name that says another address at each look: the one that was judged is the one that is used."""

    async def main() -> tuple[list[str], int]:
        arrived: list[str] = []

        async def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            arrived.append(writer.get_extra_info("sockname")[0])
            writer.close()

        server = await asyncio.start_server(accept, "127.0.0.2", 0)
        port = server.sockets[0].getsockname()[1]
        asked = 0

        async def resolve(*_: Any, **__: Any) -> list[Any]:
            nonlocal asked
            asked += 1
            address = "127.0.0.2" if asked == 1 else "127.0.0.1"
            return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", (address, port))]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
        network = GuardedNetwork(networks(["127.0.0.2"]))
        stream = await network.connect_tcp("rebinding.test", port, 5)
        await stream.aclose()
        with pytest.raises(Forbidden, match=r"rebinding\.test is 127\.0\.0\.1"):
            await network.connect_tcp("rebinding.test", port, 5)
        server.close()
        await server.wait_closed()
        return arrived, asked

    assert asyncio.run(main()) == (["127.0.0.2"], 2)


def test_a_name_with_one_address_inside_is_refused_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async def resolve(*_: Any, **__: Any) -> list[Any]:
            return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", (one, 80)) for one in ("1.1.1.1", "10.0.0.1")]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
        with pytest.raises(Forbidden, match=r"10\.0\.0\.1.*`allow`"):
            await GuardedNetwork(()).connect_tcp("mixed.test", 80, 5)

    asyncio.run(main())
