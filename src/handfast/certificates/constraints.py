"""Name constraints: authorities that may issue for some names only (RFC 5280 section 4.2.1.10).

`cryptography`'s verifier enforces them for DNS names, IP addresses and e-mail addresses of the subjectAltName, and refuses
what else it meets. What is here says which name broke which constraint. Two things are ours alone: the subject's own
name, which the verifier does not compare with constraints of directory names; and what the constraints of URIs and
directory names mean, so that the reason can be told from "not understood".
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Final

from cryptography import x509

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

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
    if limits is None:
        return None
    permitted, excluded = limits.permitted_subtrees or [], limits.excluded_subtrees or []
    names: list[x509.GeneralName] = list(certificate.extension(x509.SubjectAlternativeName) or ())
    limited = {type(limit) for limit in (*permitted, *excluded)}
    if x509.RFC822Name in limited and certificate.extension(x509.SubjectAlternativeName) is None:
        # "does not include a subject alternative name": then those of the subject count (RFC 5280 section 4.2.1.10)
        names += certificate.mailboxes
    if x509.DirectoryName in limited and certificate.has_subject:
        names.insert(0, x509.DirectoryName(certificate.certificate.subject))
    if not budget.spend(len(names) * (len(permitted) + len(excluded))):
        # Of directory names the verifier has none, so that nobody else would look.
        return "there are too many of them to compare" if x509.DirectoryName in limited else None
    for name in names:
        if type(name) not in limited:
            continue
        allowing = [limit for limit in permitted if type(limit) is type(name)]
        if allowing and not any(_covers(limit, name, whole=True) for limit in allowing):
            return f"{_shown(name)} is outside of what is permitted: {_listed(allowing)}"
        denying = [limit for limit in excluded if type(limit) is type(name) and _covers(limit, name, whole=False)]
        if denying:
            return f"{_shown(name)} is excluded by {_listed(denying)}"
    return None


def not_understood(authority: Parsed, certificate: Parsed) -> str | None:
    """The kind of names that ``authority`` limits and the verifier has no rule for, if it matters; None if it does not.

    RFC 5280 section 4.2.1.10: a certificate that has such names has to be refused. The verifier does not look further
    either where the extension is critical and limits directory names, which every certificate has one of.
    """
    limits = authority.extension(x509.NameConstraints)
    if limits is None:
        return None
    limited = {type(limit) for limit in (*(limits.permitted_subtrees or ()), *(limits.excluded_subtrees or ()))}
    if x509.DirectoryName in limited and authority.is_critical(x509.NameConstraints):
        return _KINDS[x509.DirectoryName]
    names = certificate.extension(x509.SubjectAlternativeName) or ()
    return next((_KINDS[type(name)] for name in names if type(name) in limited and type(name) in _KINDS), None)


_KINDS: Final[dict[type, str]] = {
    x509.UniformResourceIdentifier: "URIs",
    x509.DirectoryName: "directory names",
    x509.RegisteredID: "registered IDs",
    x509.OtherName: "other names",
}


def _covers(limit: x509.GeneralName, name: x509.GeneralName, *, whole: bool) -> bool:
    """Whether the limit holds all (``whole``) or any of what the name stands for; both are of one kind."""
    compare = _COMPARED.get(type(limit))
    return compare is not None and compare(limit.value, name.value, whole)


def _covers_address(network: object, address: object, _: bool) -> bool:
    single = isinstance(address, (ipaddress.IPv4Address, ipaddress.IPv6Address))
    return single and isinstance(network, (ipaddress.IPv4Network, ipaddress.IPv6Network)) and address in network


def _covers_host(limit: str, name: str, whole: bool) -> bool:
    domain, host = limit.lower(), name.lower()
    wildcard = host.startswith("*.")
    host = host.removeprefix("*.")
    # A wildcard is the names right below a domain: a limit below that domain holds some of them, never all.
    return _is_within(host, domain) or (wildcard and not whole and _is_within(domain, host))


def _covers_mail(limit: str, name: str, _: bool) -> bool:
    """A mailbox, all mailboxes of a host, or with a dot in front of all hosts below a domain."""
    local, host = name.rpartition("@")[::2]
    own, at, domain = limit.rpartition("@")
    host, domain = host.lower(), domain.lower()
    if at:
        return (own, domain) == (local, host)  # the part before the @ is compared as it stands
    return host.endswith(domain) if domain.startswith(".") else host == domain


# scheme://user@host:port/...: the host, an IPv6 address in brackets left out (RFC 3986 section 3.2).
_HOST: Final = re.compile(
    r"[a-z][a-z0-9+.-]*://(?:[^/?#@]*@)?([^/?#@:\[\]]+)(?::[0-9]*)?(?:[/?#].*)?", re.IGNORECASE | re.DOTALL
)


def _covers_uri(limit: str, name: str, _: bool) -> bool:
    """By the host alone: this one, or with a dot in front all below a domain."""
    found = _HOST.fullmatch(name)
    host, domain = found[1].lower() if found else "", limit.lower()
    return bool(host) and (host.endswith(domain) if domain.startswith(".") else host == domain)


def _covers_directory(limit: x509.Name, name: x509.Name, _: bool) -> bool:
    """A directory name holds those that begin with it (RFC 5280 section 7.1: case and spaces do not count)."""
    above, below = _parts(limit), _parts(name)
    return below[: len(above)] == above


def _parts(name: x509.Name) -> list[frozenset[tuple[str, object]]]:
    return [frozenset((item.oid.dotted_string, _folded(item.value)) for item in rdn) for rdn in name.rdns]


def _folded(value: str | bytes) -> object:
    return " ".join(value.split()).casefold() if isinstance(value, str) else value


_COMPARED: Final[dict[type, Callable[..., bool]]] = {
    x509.IPAddress: _covers_address,
    x509.DNSName: _covers_host,
    x509.RFC822Name: _covers_mail,
    x509.UniformResourceIdentifier: _covers_uri,
    x509.DirectoryName: _covers_directory,
}


def _is_within(host: str, domain: str) -> bool:
    return not domain or host == domain or host.endswith(domain if domain.startswith(".") else f".{domain}")


def _shown(name: x509.GeneralName) -> str:
    return str(name.value.rfc4514_string() if isinstance(name, x509.DirectoryName) else name.value)


def _listed(names: Iterable[x509.GeneralName]) -> str:
    return ", ".join(map(_shown, names))
