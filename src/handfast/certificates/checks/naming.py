"""Whether the peer's certificate is for the name that was asked for (RFC 9525 section 6), and whether all its names are names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography import x509

from handfast import reasons
from handfast.certificates.checks.evidence import about
from handfast.certificates.names import near_miss
from handfast.certificates.rules import Breach
from handfast.errors import CertificateNameMismatch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from handfast.certificates.parsed import Parsed
    from handfast.certificates.path import Path

_NAMES_SHOWN: Final = 50


def check_name(path: Path, server_name: str) -> None:
    """The common name is not looked at; where it is all there is, the error says so. Raises CertificateNameMismatch."""
    leaf = path.certificates[0]
    if server_name in leaf.names:
        return
    presented = leaf.alternative_names
    evidence: dict[str, object] = {"asked_for": server_name}
    if presented:
        more = [f"and {len(presented) - _NAMES_SHOWN} more"] if len(presented) > _NAMES_SHOWN else []
        evidence["certificate_is_for"] = [*presented[:_NAMES_SHOWN], *more]
        problem = _problem(leaf, server_name)
        if problem is not None:
            evidence["problem"] = problem
    elif leaf.common_name is not None:
        evidence["common_name"] = leaf.common_name
    reason = reasons.CERTIFICATE_NAME_MISMATCH if presented else reasons.CERTIFICATE_WITHOUT_NAMES
    raise CertificateNameMismatch(reason, certificate=leaf.der, **about(path, 0), **evidence)


def _problem(leaf: Parsed, server_name: str) -> str | None:
    if not leaf.names and leaf.values(x509.UniformResourceIdentifier):
        return "it names a service by URI, as SPIFFE does, and no host"
    if not leaf.names and leaf.values(x509.RFC822Name):
        return "it names a mailbox, and no host"
    return near_miss(server_name, leaf.values(x509.DNSName))


def odd_name(leaf: Parsed) -> Breach | None:
    """A name that is none, or is two where several stand in one line: applications put them into headers, logs and lists.

    It is looked for in each certificate, once: those that are alike in all else have names of their own.
    """
    if "odd name" not in leaf.notes:
        leaf.notes["odd name"] = _odd_name(leaf)
    found: Breach | None = leaf.notes["odd name"]
    return found


def _odd_name(leaf: Parsed) -> Breach | None:
    for called, comma, names in _texts(leaf):
        together = "".join(names)
        if together.isprintable() and comma not in together:
            continue
        for name in names:
            if name.isprintable() and comma not in name:
                continue
            odd = next((f"U+{ord(character):04X}" for character in name if not character.isprintable()), None)
            has = "a comma, which ends a name in a list of them" if odd is None else f"{odd}, which cannot be printed"
            return Breach(f'its {called} "{name}" has {has}', "RFC 5280 section 4.2.1.6")
    return None


def _texts(leaf: Parsed) -> Iterator[tuple[str, str, Sequence[str]]]:
    """What the names of each kind are called, the comma that none of them may have, and the names."""
    yield "DNS name", ",", leaf.names.texts  # and addresses, in which there is nothing to find
    if not leaf.only_hosts:
        yield "e-mail address", ",", leaf.values(x509.RFC822Name)
        yield "URI", ", ", leaf.values(x509.UniformResourceIdentifier)  # a comma alone may stand there (RFC 3986)
