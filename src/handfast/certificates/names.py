"""The names of peers: what a user may ask for, what is sent as server_name, and what a certificate has to say.

RFC 9525 is the rule for comparing, RFC 6066 section 3 for what may be sent.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NoReturn

from handfast.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# RFC 1123 section 2.1: letters, digits and hyphens, a hyphen neither first nor last. An underscore is no letter.
_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
# "1.2.3", "0x7f000001" and the like: some resolvers read such names as addresses, so they are nobody's name.
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")


def address(name: str) -> Address | None:
    """``name`` as an IP address, None if it is none. An IPv6 address may stand in brackets and have a zone."""
    if not (":" in name or name[-1:].isdigit()):
        return None  # most names: nothing else can be an address
    if name.startswith("[") and name.endswith("]"):
        name = name[1:-1]
    try:
        return ipaddress.ip_address(name.partition("%")[0])  # a zone says which way to send, not whom to reach
    except ValueError:
        return None


@lru_cache(maxsize=512)
def normalized(name: str) -> str:
    """A server name as a user writes it, in the one form that is sent and compared.

    DNS names: A-labels (RFC 5890) in small letters, without the dot at the end. IP addresses: their shortest text,
    without brackets and zone. Raises ConfigurationError for anything else.
    """
    found = address(name)
    if found is not None:
        return str(found)
    text = (name if name.isascii() else _to_ascii(name)).lower().removesuffix(".")
    labels = text.split(".")
    for label in labels:
        if not label:
            _unusable(name, "a label of it is empty" if text else "it is empty")
        if len(label) > 63:
            _unusable(name, "a label has more than 63 characters (RFC 1035 section 2.3.4)")
        if not _LABEL.fullmatch(label):
            _unusable(name, f"{label!r} is not made of letters, digits and inner hyphens (RFC 1123 section 2.1)")
    if len(text) > 253:
        _unusable(name, "it has more than 253 characters (RFC 1035 section 2.3.4)")
    if _NUMBER.fullmatch(labels[-1]):
        _unusable(name, "it ends in a number and is no IP address")
    return text


def _to_ascii(name: str) -> str:
    import idna  # only for names that need it: its tables cost more to load than most handshakes

    try:
        return idna.encode(name, uts46=True).decode("ascii")
    except idna.IDNAError as error:
        _unusable(name, f"it is no internationalised name (RFC 5891): {error}")


def _unusable(name: str, problem: str) -> NoReturn:
    raise ConfigurationError(setting="server_name", value=name, problem=problem) from None


def server_name_indication(name: str | None) -> str | None:
    """What a client sends as server_name for a :func:`normalized` name; None for IP addresses (RFC 6066 section 3)."""
    return None if name is None or address(name) is not None else name


class NameSet:
    """The DNS names and IP addresses that a certificate presents, ready for comparing in constant time a name.

    A wildcard stands for exactly one whole left-most label, and at least two labels have to follow it (RFC 9525
    section 6.3, and the habit of OpenSSL and browsers: nobody owns "*.com").
    """

    __slots__ = ("_addresses", "_exact", "_wildcards", "texts")

    def __init__(self, dns: Iterable[str], addresses: Iterable[Address | None]) -> None:
        names = [name.lower() for name in dns]
        found = [item for item in addresses if item is not None]
        self.texts = (*names, *map(str, found))
        self._exact = frozenset([name for name in names if "*" not in name])
        self._wildcards = frozenset([name[2:] for name in names if name.startswith("*.") and _owned(name[2:])])
        self._addresses = frozenset(found)

    def __contains__(self, name: str) -> bool:
        """Whether ``name``, which is :func:`normalized`, is one of these."""
        found = address(name)
        if found is not None:
            return found in self._addresses  # never against a DNS name or wildcard (RFC 9525 section 6.2)
        return name in self._exact or name.partition(".")[2] in self._wildcards

    def __bool__(self) -> bool:
        return bool(self.texts)


NO_NAMES: Final = NameSet((), ())


def _owned(domain: str) -> bool:
    return "." in domain and "*" not in domain and not domain.startswith(".")


def near_miss(name: str, dns: Iterable[str]) -> str | None:
    """What a certificate has that looks as if it were for ``name`` (:func:`normalized`), and is not; None if nothing.

    ``dns``: the DNS names of the certificate.
    """
    presented = [item.lower() for item in dns]
    if address(name) is not None:
        as_text = name in presented
        return "the address stands in it as a DNS name, which is no address (RFC 9525 section 6.2)" if as_text else None
    for item in presented:
        problem = _odd_form(item, name) or (_odd_wildcard(item, name) if "*" in item else None)
        if problem is not None:
            return problem
    label, _, domain = name.partition(".")
    other = domain if label == "www" else f"www.{name}"
    return f"it is for {other}, and not for {name}" if other in presented else None


def _odd_form(item: str, name: str) -> str | None:
    if item.endswith(".") and item[:-1] == name:
        return f"{item} ends in a dot, which no name in a certificate may have (RFC 5280 section 4.2.1.6)"
    if not item.isascii():
        return f"{item} is not in the form that is compared (A-labels, RFC 5890)"
    if not item.isprintable() and name in item:
        return f"{item} has characters that no name may have (RFC 5890 section 2.3.1)"
    return None


def _odd_wildcard(item: str, name: str) -> str | None:
    if item == "*":
        return "* would be a wildcard for every name"
    domain = name.partition(".")[2]
    first, _, below = item.partition(".")
    if first == "*" and name == below:
        return f"{item} stands for the names right below {below}, and not for {below} itself"
    if first == "*" and name.endswith("." + below) and domain != below:
        return f"{item} stands for one label, and {name} has more below {below}"
    if first == "*" and domain == below and not _owned(below):
        return f"{item} would be a wildcard for all of {below}, which nobody owns"
    if first != "*" and below == domain:
        return f"{item} has a wildcard that is not a whole label (RFC 9525 section 6.3)"
    if first != "*" and _would_fit(item, name):
        return f"{item} has a wildcard that is not in front (RFC 9525 section 6.3)"
    return None


def _would_fit(pattern: str, name: str) -> bool:
    """Whether a wildcard would fit that stood for one label, wherever it stands."""
    labels, asked = pattern.split("."), name.split(".")
    return len(labels) == len(asked) and all(one in ("*", other) for one, other in zip(labels, asked, strict=True))
