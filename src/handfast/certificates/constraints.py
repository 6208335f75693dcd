"""Name constraints: authorities that may issue for some names only (RFC 5280 section 4.2.1.10).

`cryptography`'s verifier enforces them. What is here says which name broke which constraint, for the DNS names and IP
addresses that TLS compares.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final

from cryptography import x509

if TYPE_CHECKING:
    from collections.abc import Iterable

    from handfast.certificates.parsed import Parsed

COMPARISONS: Final = 1 << 14  # of a name with a constraint, on one path; some ten milliseconds


class Budget:
    """How many comparisons are left for a path."""

    def __init__(self) -> None:
        self.left = COMPARISONS

    def spend(self, count: int) -> bool:
        """Take so many, if there are."""
        if count > self.left:
            return False
        self.left -= count
        return True


def violation(authority: Parsed, certificate: Parsed, budget: Budget) -> str | None:
    """The first name of ``certificate`` that ``authority`` may not issue for, and why; None if it may.

    None also where there would be too much to compare: the verifier is bounded too, and has the last word.
    """
    limits = authority.extension(x509.NameConstraints)
    names = certificate.extension(x509.SubjectAlternativeName)
    if limits is None or names is None:
        return None
    permitted, excluded = limits.permitted_subtrees or [], limits.excluded_subtrees or []
    if not budget.spend(len(list(names)) * (len(permitted) + len(excluded))):
        return None
    for name in names:
        allowing = [limit for limit in permitted if type(limit) is type(name)]
        if allowing and not any(_covers(limit, name, whole=True) for limit in allowing):
            return f"{name.value} is outside of what is permitted: {_listed(allowing)}"
        denying = [limit for limit in excluded if _covers(limit, name, whole=False)]
        if denying:
            return f"{name.value} is excluded by {_listed(denying)}"
    return None


def _covers(limit: x509.GeneralName, name: x509.GeneralName, *, whole: bool) -> bool:
    """Whether the limit holds all (``whole``) or any of what the name stands for. Other kinds than these two: no."""
    if isinstance(limit, x509.IPAddress) and isinstance(name, x509.IPAddress):
        network, address = limit.value, name.value
        single = isinstance(address, (ipaddress.IPv4Address, ipaddress.IPv6Address))
        return single and not isinstance(network, (ipaddress.IPv4Address, ipaddress.IPv6Address)) and address in network
    if isinstance(limit, x509.DNSName) and isinstance(name, x509.DNSName):
        domain, host = limit.value.lower(), name.value.lower()
        wildcard = host.startswith("*.")
        host = host.removeprefix("*.")
        # A wildcard is the names right below a domain: a limit below that domain holds some of them, never all.
        return _is_within(host, domain) or (wildcard and not whole and _is_within(domain, host))
    return False


def _is_within(host: str, domain: str) -> bool:
    return not domain or host == domain or host.endswith(domain if domain.startswith(".") else f".{domain}")


def _listed(names: Iterable[x509.GeneralName]) -> str:
    return ", ".join(str(name.value) for name in names)
