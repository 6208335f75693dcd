"""What is worth saying of our own certificates, and is no error."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography import x509

from handfast.certificates import pem
from handfast.certificates.parsed import parsed
from handfast.certificates.usages import WANTED, called
from handfast.errors import shown
from handfast.reasons import (
    CHAIN_CUT,
    OWN_CERTIFICATE_EXPIRED,
    OWN_CERTIFICATE_NOT_YET_VALID,
    OWN_CERTIFICATE_WITHOUT_NAMES,
    OWN_CERTIFICATE_WRONG_USAGE,
    OWN_INTERMEDIATE_MISSING,
    Reason,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from handfast.certificates.parsed import Parsed
    from handfast.certificates.usages import Purpose


@dataclass(frozen=True, slots=True)
class Note:
    """Something that was found: ``reason`` says what, ``evidence`` of which certificate. ``str()`` is a sentence."""

    reason: Reason
    evidence: Mapping[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        facts = "; ".join(f"{name.replace('_', ' ')}: {shown(value)}" for name, value in self.evidence.items())
        return self.reason.sentence + (f" ({facts})" if facts else "")


def of_a_file(data: bytes, source: str) -> tuple[Note, ...]:
    """What is to be said of the file that certificates of ours are from."""
    return (Note(CHAIN_CUT, {"file": source}),) if pem.is_cut(data) else ()


def concerns(chain: Sequence[bytes], purpose: Purpose, now: datetime) -> Iterator[Note]:
    """Why peers may refuse a chain of ours (DER, our own certificate first) ``now``, an aware time."""
    certificates = [parsed(der) for der in chain]
    leaf = certificates[0]
    for certificate in certificates:
        if now > certificate.not_after:
            days = (now - certificate.not_after).days
            evidence = {"certificate": certificate.subject, "ended": certificate.not_after, "days_ago": days}
            yield Note(OWN_CERTIFICATE_EXPIRED, evidence)
        elif now < certificate.not_before:
            evidence = {"certificate": certificate.subject, "begins": certificate.not_before}
            yield Note(OWN_CERTIFICATE_NOT_YET_VALID, evidence)
    usage = leaf.extension(x509.ExtendedKeyUsage)
    if usage is not None and WANTED[purpose] not in usage:  # "any" is not enough: see rules.py
        yield Note(
            OWN_CERTIFICATE_WRONG_USAGE,
            {"certificate": leaf.subject, "lacks": called(WANTED[purpose]), "is_for": list(map(called, usage))},
        )
    key_usage = leaf.extension(x509.KeyUsage)
    if key_usage is not None and not key_usage.digital_signature:
        yield Note(OWN_CERTIFICATE_WRONG_USAGE, {"certificate": leaf.subject, "lacks": "digitalSignature"})
    if purpose == "server" and not leaf.names.texts and not _is_service(leaf):
        yield Note(OWN_CERTIFICATE_WITHOUT_NAMES, {"certificate": leaf.subject or "(empty)"})
    if len(certificates) == 1 and not leaf.self_issued and leaf.issuer_address:
        yield Note(
            OWN_INTERMEDIATE_MISSING,
            {"certificate": leaf.subject, "issuer": leaf.issuer, "can_be_had_at": leaf.issuer_address},
        )


def _is_service(leaf: Parsed) -> bool:
    """Whether it is for those who know the server by its SPIFFE id, and ask for no name."""
    return any(uri.startswith("spiffe://") for uri in leaf.values(x509.UniformResourceIdentifier))


def placed(certificate: Parsed, position: int, count: int) -> dict[str, object]:
    """Which one it is, for people."""
    return {"certificate": certificate.subject or "(empty)", "position": f"{position} of {count}"}
