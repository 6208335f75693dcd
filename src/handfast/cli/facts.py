"""What a client's handshake was besides what was agreed: a round trip lost, a certificate that was asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from handfast.certificates.identity import Identity
from handfast.certificates.parsed import Parsed, parsed
from handfast.errors import CertificateError, shown
from handfast.events import Handshake
from handfast.observe.tap import Trace
from handfast.wire.codepoints import NamedGroup, SignatureScheme
from handfast.wire.hello import ClientHello, ServerHello
from handfast.wire.messages13 import CertificateRequest

_NAMED = 4  # authorities or schemes, before the rest is only counted


@dataclass(frozen=True)
class Retry:
    """A HelloRetryRequest: why a round trip was lost, and how not to lose it.

    ``asked_for``  the group that the server wanted a key share of; None if it only wanted its cookie back
    ``shares``     the groups that we had sent key shares of
    ``offered``    all the groups that we had offered
    """

    asked_for: str | None
    shares: tuple[str, ...]
    offered: tuple[str, ...]

    @property
    def why(self) -> str:
        """Why the server asked for a second ClientHello."""
        if self.asked_for is None:
            return "the server wanted to see its cookie come back, and so that we can be reached where we say we are"
        return f"the server wanted a key share of {self.asked_for}; we had sent {_and(self.shares)}"

    @property
    def remedy(self) -> str:
        """What saves the round trip next time; "" where nothing does."""
        if self.asked_for is None:
            return ""
        order = [self.asked_for, *(group for group in self.offered if group != self.asked_for)]
        return f"offer it first: --group {','.join(order)}"


def retry(trace: Trace) -> Retry | None:
    """The HelloRetryRequest of a handshake, if there was one."""
    hello = None
    for seen in trace.messages:
        if isinstance(seen.message, ClientHello) and hello is None:
            hello = seen.message
        elif isinstance(seen.message, ServerHello) and seen.message.is_retry_request and hello is not None:
            group = seen.message.selected_group
            return Retry(
                None if group is None else NamedGroup.name(group),
                tuple(NamedGroup.name(share.group) for share in hello.key_share or ()),
                tuple(NamedGroup.name(offered) for offered in hello.supported_groups or ()),
            )
    return None


@dataclass(frozen=True)
class ClientProof:
    """Whether the server wanted to know who we are, and what it got.

    ``requested``         whether it asked for a certificate
    ``sent``              our certificate, if it was sent
    ``signature_scheme``  how we proved that it is ours
    ``not_sent``          why none was sent, where one was asked for
    ``accepted``          what the server made of it; None where it has not said
    """

    requested: bool
    sent: Parsed | None = None
    signature_scheme: str | None = None
    not_sent: str | None = None
    accepted: bool | None = None


def client_proof(
    trace: Trace, facts: Handshake | None, identity: Identity | None, accepted: bool | None
) -> ClientProof | None:
    """What came of client authentication; None where the handshake did not get that far.

    ``identity``  the one that the call gave us; None if it gave none
    """
    request = next((seen.message for seen in trace.messages if isinstance(seen.message, CertificateRequest)), None)
    if request is None:
        return ClientProof(requested=False) if facts is not None else None
    if facts is None:
        return ClientProof(requested=True)
    if facts.identity is not None:
        leaf = parsed(facts.identity.chain[0])
        return ClientProof(True, leaf, facts.client_signature_scheme, accepted=accepted)
    return ClientProof(True, not_sent=why_not(identity, request), accepted=accepted)


def why_not(identity: Identity | None, request: CertificateRequest) -> str:
    """Why an identity is not what a server asks for: the checks of negotiate.client_identity, in words."""
    if identity is None:
        return "none was given"
    authorities = request.certificate_authorities or ()
    if authorities and not identity.issued_by(authorities):
        issuers = dict.fromkeys(parsed(der).issuer for der in identity.chain)
        return (
            f"ours is from {' below '.join(map(shown, issuers))}, "
            f"and the server wants one from {_some(authority_name(name) for name in authorities)}"
        )
    ours = _some(map(SignatureScheme.name, identity.schemes))
    theirs = _some(map(SignatureScheme.name, request.signature_algorithms or ()))
    return f"our key signs with {ours}, and the server accepts {theirs}"


def subject(certificate: Parsed) -> str:
    """Whom a certificate is for, on one line: its subject, or else the names in it."""
    return shown(certificate.subject) or shown(certificate.alternative_names)


def authority_name(name: bytes) -> str:
    """A distinguished name (DER) as RFC 4514 writes it; in hexadecimal if it cannot be read.

    Names are read as parts of certificates only, so this makes the shortest one that has it as its issuer, which nobody
    has signed (RFC 5280 section 4.1).
    """
    # tbsCertificate: serialNumber, signature, issuer, validity, subject, subjectPublicKeyInfo.
    moment = _tlv(0x17, b"700101000000Z")
    key = _tlv(0x30, _ED25519 + _tlv(0x03, bytes(33)))
    inner = _tlv(0x30, _tlv(0x02, b"\1") + _ED25519 + name + _tlv(0x30, moment + moment) + _tlv(0x30, b"") + key)
    try:
        text = parsed(_tlv(0x30, inner + _ED25519 + _tlv(0x03, bytes(65)))).issuer
    except CertificateError:
        text = ""
    return shown(text or name)


def _tlv(tag: int, content: bytes) -> bytes:
    """One value in DER."""
    count = len(content)
    if count < 0x80:
        return bytes([tag, count]) + content
    length = count.to_bytes((count.bit_length() + 7) // 8)
    return bytes([tag, 0x80 | len(length)]) + length + content


_ED25519 = _tlv(0x30, bytes.fromhex("06032b6570"))  # AlgorithmIdentifier (RFC 8410 section 3)


def _some(names: Iterable[str]) -> str:
    found = list(names)
    more = f" or {len(found) - _NAMED} others" if len(found) > _NAMED else ""
    return " or ".join(found[:_NAMED]) + more if found else "none"


def _and(names: Sequence[str]) -> str:
    return " and ".join(names) or "none"
