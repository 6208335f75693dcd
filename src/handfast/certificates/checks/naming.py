"""Whether the peer's certificate is for the name that was asked for (RFC 9525 section 6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography import x509

from handfast import reasons
from handfast.certificates.checks.evidence import about
from handfast.certificates.names import near_miss
from handfast.errors import CertificateNameMismatch

if TYPE_CHECKING:
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
