"""Name constraints: authorities that may issue for some names only (RFC 5280 section 4.2.1.10).

`cryptography`'s verifier enforces them for DNS names, IP addresses and e-mail addresses of the subjectAltName, and refuses
what else it meets. What is here says which name broke which constraint. Two things are ours alone: the subject's own
name, which the verifier does not compare with constraints of directory names; and what the constraints of URIs and
directory names mean, so that the reason can be told from "not understood".
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from typing import TYPE_CHECKING, Any, Final

from cryptography import x509

from handfast.certificates.der import contents, extension_content, span
from handfast.limits import COMPARISONS_OF_A_PATH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from handfast.certificates.parsed import Parsed

TOO_MANY: Final = "its nameConstraints, and the names that they are for, are too many to compare"
_UNSEEN: Final = frozenset(("Cc", "Cf"))  # control characters, soft hyphens, joiners and the like
SHOWN: Final = 10  # constraints in a sentence
_OF_SUBJECTS: Final = frozenset((x509.DirectoryName, x509.RFC822Name))

Prepared = tuple[x509.GeneralName, Any]  # a name, and what of it is compared


class Budget:
    """How many comparisons are left for a path; each part of a directory name, which has to be read, is one too."""

    def __init__(self) -> None:
        self.left = COMPARISONS_OF_A_PATH

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
    if not limited.isdisjoint(_OF_SUBJECTS):
        certificate.check_names()  # the verifier accepts subjects that cannot be read
    # By RFC 5280 section 4.2.1.10 those of the subject count where there is no subjectAltName. A program may go by them
    # where there is one, too, so they always count, as they do for OpenSSL and GnuTLS.
    mailboxes = certificate.mailboxes if x509.RFC822Name in limited else []
    names += mailboxes
    if x509.DirectoryName in limited and certificate.has_subject:
        names.insert(0, x509.DirectoryName(certificate.certificate.subject))
    parts = sum(
        len(item.value.rdns) for item in (*names, *permitted, *excluded) if isinstance(item, x509.DirectoryName)
    )
    if not budget.spend(parts + len(names) * (len(permitted) + len(excluded))):
        # Of directory names and a subject's mailboxes the verifier has none, so that nobody else would look.
        return TOO_MANY if mailboxes or x509.DirectoryName in limited else None
    allowed, denied = _prepared(permitted), _prepared(excluded)
    compared = limited & _COMPARED.keys()  # of the others it is said that they are not understood
    for name, value in _prepared([name for name in names if type(name) in compared]):
        allowing = [limit for limit in allowed if type(limit[0]) is type(name)]
        if allowing and not any(_covers(limit, name, value, whole=True) for limit in allowing):
            return f"it may not issue for {_shown(name)}: its nameConstraints permit only {_listed(allowing)}"
        denying = [
            limit for limit in denied if type(limit[0]) is type(name) and _covers(limit, name, value, whole=False)
        ]
        if denying:
            return f"it may not issue for {_shown(name)}: its nameConstraints exclude {_listed(denying)}"
    return None


def not_understood(authority: Parsed, certificate: Parsed) -> str | None:
    """The kind of names that ``authority`` limits and the verifier has no rule for, if it matters; None if it does not.

    RFC 5280 section 4.2.1.10: a certificate that has such names has to be refused. The verifier does not look further
    either where the extension is critical and limits directory names, which every certificate has one of.
    """
    limits = authority.extension(x509.NameConstraints)
    if limits is None:
        return None
    if _has_distances(authority):
        return "names by how far below they are"
    limited = {type(limit) for limit in (*(limits.permitted_subtrees or ()), *(limits.excluded_subtrees or ()))}
    if x509.DirectoryName in limited and authority.is_critical(x509.NameConstraints):
        return _KINDS[x509.DirectoryName]
    names = certificate.extension(x509.SubjectAlternativeName) or ()
    return next((_KINDS[type(name)] for name in names if type(name) in limited and type(name) in _KINDS), None)


_NAME_CONSTRAINTS: Final = bytes.fromhex("0603551d1e")


def _has_distances(authority: Parsed) -> bool:
    """Whether one of its constraints has a minimum or maximum, which RFC 5280 section 4.2.1.10 forbids and nobody reads.

    `cryptography` does not give them. Without them a constraint would permit more than its authority may.
    """
    value = extension_content(authority.raw.extensions, _NAME_CONSTRAINTS)
    trees = (tree for half in contents(value, *span(value, 0)) for tree in contents(half, 0, len(half)))
    return any(span(tree, 0)[1] < len(tree) for tree in trees)


_KINDS: Final[dict[type, str]] = {
    x509.UniformResourceIdentifier: "URIs",
    x509.DirectoryName: "directory names",
    x509.RegisteredID: "registered IDs",
    x509.OtherName: "other names",
}


def _prepared(names: Iterable[x509.GeneralName]) -> list[Prepared]:
    """Directory names are read once, and not for each comparison."""
    return [(name, _parts(name.value) if isinstance(name, x509.DirectoryName) else name.value) for name in names]


def _covers(limit: Prepared, name: x509.GeneralName, value: Any, *, whole: bool) -> bool:
    """Whether the limit holds all (``whole``) or any of what the name stands for; both are of one kind."""
    compare = _COMPARED.get(type(name))
    return compare is not None and compare(limit[1], value, whole)


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


Parts = list[frozenset[tuple[str, object]]]


def _covers_directory(above: Parts, below: Parts, _: bool) -> bool:
    """A directory name holds those that begin with it (RFC 5280 section 7.1)."""
    return below[: len(above)] == above


def _parts(name: x509.Name) -> Parts:
    return [frozenset((item.oid.dotted_string, _folded(item.value)) for item in rdn) for rdn in name.rdns]


def _folded(value: str | bytes) -> object:
    """What of a text counts: not case, how many spaces, which of several forms, nor what nobody sees (RFC 4518 section 2)."""
    if not isinstance(value, str):
        return value
    if not (value.isascii() and value.isprintable()):
        seen = (
            c for c in unicodedata.normalize("NFKC", value) if c.isspace() or unicodedata.category(c) not in _UNSEEN
        )
        value = unicodedata.normalize("NFKC", "".join(seen).casefold())
    return " ".join(value.split()).casefold()


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


def _listed(limits: Sequence[Prepared]) -> str:
    more = [f"and {len(limits) - SHOWN} more"] if len(limits) > SHOWN else []
    return ", ".join([*(_shown(limit) for limit, _ in limits[:SHOWN]), *more])
