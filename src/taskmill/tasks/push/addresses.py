"""Which addresses may be sent to: those of the public internet, and what the registry allows beside."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network

# An IPv6 address that stands for an IPv4 one: a translator (RFC 6052, RFC 8215) sends what goes there to that.
_TRANSLATED = (ip_network("64:ff9b::/96"), ip_network("64:ff9b:1::/48"))

# Python's own table of what is not public lacks it before 3.13 (RFC 6890).
_PROTOCOLS = ip_network("192.0.0.0/24")


def networks(declared: Sequence[str]) -> tuple[Network, ...]:
    """Read networks such as `10.0.0.0/8`, or single addresses; raise ValueError."""
    return tuple(ip_network(one) for one in declared)


def permitted(address: str, allowed: Sequence[Network]) -> bool:
    """Whether something may be sent to an address, which no scope (`%eth0`) may follow."""
    try:
        found = ip_address(address)
    except ValueError:
        return False
    if any(found.version == network.version and found in network for network in allowed):
        return True
    return all(_public(one) for one in _meanings(found))


def _meanings(address: IPv4Address | IPv6Address) -> list[IPv4Address | IPv6Address]:
    """Return an address, and those that it would be sent on to."""
    found = [address]
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if any(address in network for network in _TRANSLATED):
            inner = IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            found.append(inner)
    return found


def _public(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return True  # what it stands for is judged by itself
    return address.is_global and not address.is_multicast and address not in _PROTOCOLS
