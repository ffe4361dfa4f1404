"""``http.middleware.proxies``: the address of who asks, where that is behind proxies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Annotated, Any, ClassVar, Final

from msgspec import Meta

from taskmill.http.middleware.incoming import Incoming, Middleware
from taskmill.registry import Entry, EntryConfig, Mistake
from taskmill.supervisor import Context

HOPS: Final = 20  # proxies that are looked through


class ProxiesConfig(EntryConfig, kw_only=True, forbid_unknown_fields=True):
    """Takes the client's address from `X-Forwarded-For`, as far as proxies wrote it that are known. It stands first."""

    trusted: Annotated[
        list[str],
        Meta(min_length=1, description="The networks of the proxies, such as `10.0.0.0/8` or `::1/128`."),
    ]


class Proxies(Middleware):
    """Looks through proxies."""

    kind: ClassVar[str] = "http.middleware.proxies"
    Config: ClassVar[type[EntryConfig]] = ProxiesConfig

    def __init__(self, entry: Entry[Any], _: Context) -> None:
        self._trusted = [ip_network(text) for text in entry.config.trusted]

    @classmethod
    def check(cls, entry: Entry[Any]) -> Iterator[Mistake]:
        """Find what is no network."""
        for index, text in enumerate(entry.config.trusted):
            try:
                ip_network(text)
            except ValueError as error:
                yield Mistake(f"trusted[{index}]", f"no network: {error}")

    async def start(self) -> None:
        """Nothing to begin."""

    async def stop(self) -> None:
        """Nothing to let go of."""

    def meet(self, incoming: Incoming) -> None:
        """Put the client's address in the place of the proxy's."""
        if any(name == b"x-forwarded-for" for name, _ in incoming.headers):
            lines = [value for name, value in incoming.headers if name == b"x-forwarded-for"]
            incoming.client = client(incoming.client, b",".join(lines), self._trusted)


def client(peer: str, forwarded: bytes, trusted: Sequence[IPv4Network | IPv6Network]) -> str:
    """Return the first address, from the nearest on, that is no trusted proxy's.

    What stands before it may be anybody's invention. Where something is no address, the one after it counts.
    """
    found = peer
    for text in reversed(forwarded.split(b",")[-HOPS:]):
        address = _address(found)
        if address is None or not any(address in network for network in trusted):
            return found
        before = _address(text.strip().decode("latin-1"))
        if before is None:
            return found
        found = str(before)
    return found


def _address(text: str) -> IPv4Address | IPv6Address | None:
    if text.startswith("["):  # [2001:db8::1]:4711
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:  # 192.0.2.1:4711
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address
