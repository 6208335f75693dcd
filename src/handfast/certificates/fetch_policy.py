"""What may be fetched because a certificate that nobody has verified says so: how much, how long, and from where."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from handfast import reasons
from handfast.errors import ConfigurationError, FetchFailed

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

HTTP_PORT: Final = 80
_LOWEST_FREE_PORT: Final = 1024
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: an IPv4 address is in the last 32 bits

# What :mod:`ipaddress` takes for everybody's, some of its versions only, and is not.
_NOT_PUBLIC: Final = tuple(
    map(
        ipaddress.ip_network,
        (
            "168.63.129.16/32",  # of each virtual machine in Azure, the host beneath it
            "192.88.99.0/24",  # the next relay to IPv6, whosever that is (RFC 7526)
            "64:ff9b:1::/48",  # NAT64 of one's own network (RFC 8215)
            "3fff::/20",  # documentation (RFC 9637)
            "5f00::/16",  # routers of one's own network (RFC 9602)
            "fec0::/10",  # site-local, which some sites have still (RFC 3879)
        ),
    )
)


@dataclass(frozen=True, slots=True)
class FetchPolicy:
    """What may be fetched for one chain.

    ``seconds``    for everything, name resolution and redirects included
    ``fetches``    addresses that are asked, redirects not counted
    ``depth``      certificates that may be missing one above the other
    ``size``       bytes of an answer
    ``redirects``  of one fetch
    ``networks``   addresses that are allowed besides those of the public Internet: "10.0.0.0/8"

    Raises ConfigurationError for a number that makes no sense, and for a network that is none.
    """

    seconds: float = 8.0
    fetches: int = 6
    depth: int = 4
    size: int = 131_072
    redirects: int = 3
    networks: tuple[Network, ...] = ()

    def __init__(
        self,
        *,
        seconds: float = 8.0,
        fetches: int = 6,
        depth: int = 4,
        size: int = 131_072,
        redirects: int = 3,
        networks: Iterable[str | Network] = (),
    ) -> None:
        for name, value, least in (
            ("seconds", seconds, 0.001),
            ("fetches", fetches, 1),
            ("depth", depth, 1),
            ("size", size, 1),
            ("redirects", redirects, 0),
        ):
            if not least <= value < 1e9:
                raise ConfigurationError(setting=name, value=value, problem=f"has to be a number of {least} or more")
            object.__setattr__(self, name, value)
        given = [networks] if isinstance(networks, str) else networks
        object.__setattr__(self, "networks", tuple(map(_network, given)))

    def why_not(self, address: str, port: int) -> FetchFailed | None:
        """What forbids to connect to a numeric address and a port; None if nothing does."""
        where = _address(address)
        if where is None or (not _is_public(where) and not self._is_allowed(where)):
            return FetchFailed(reasons.FETCH_ADDRESS, address=address)
        if port != HTTP_PORT and port < _LOWEST_FREE_PORT and not self._is_allowed(where):
            return FetchFailed(reasons.FETCH_PORT, port=port)
        return None

    def _is_allowed(self, address: Address) -> bool:
        return any(item in network for network in self.networks for item in (address, *_embedded(address)))


def _network(given: str | Network) -> Network:
    try:
        return ipaddress.ip_network(given, strict=False)
    except ValueError as error:
        raise ConfigurationError(setting="networks", value=str(given), problem=str(error)) from None


def _address(text: str) -> Address | None:
    try:
        return ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None


def _embedded(address: Address) -> list[Address]:
    """The IPv4 addresses that an IPv6 address leads to, by one mechanism of transition or another."""
    if isinstance(address, ipaddress.IPv4Address):
        return []
    found: list[Address | None] = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in _NAT64:
        found.append(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
    return [item for item in found if item is not None]


def _is_public(address: Address) -> bool:
    """Whether it is everybody's: not private, loopback, link-local, multicast, reserved, nor a way to one that is."""
    inner = _embedded(address)
    if inner:
        return all(map(_is_public, inner))
    if any(address in network for network in _NOT_PUBLIC):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)
