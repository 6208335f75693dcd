"""What a client's handshake was besides what was agreed: a round trip lost, a version, a certificate asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from handfast.certificates.identity import Identity
from handfast.certificates.parsed import Parsed, parsed
from handfast.errors import CertificateError, shown
from handfast.events import Handshake
from handfast.observe import phrases
from handfast.observe.tap import Trace
from handfast.wire.codepoints import NamedGroup, ProtocolVersion, SignatureScheme
from handfast.wire.hello import DOWNGRADED_TO_12, ClientHello, ServerHello
from handfast.wire.messages12 import Certificate12, CertificateRequest12, CertificateVerify12
from handfast.wire.messages13 import Certificate, CertificateRequest, CertificateVerify

REQUESTS: Final = (CertificateRequest, CertificateRequest12)
"""What a server asks for a certificate with, in either version."""

_NAMED = 4  # authorities or schemes, before the rest is only counted


@dataclass(frozen=True)
class Roots:
    """Where the certificates are from that the server did not send.

    ``trusted``  the roots
    ``fetched``  what --aia brought: certificates (DER) with their addresses
    ``by_id``    whether the server is known by its SPIFFE id, and not by the name that was asked for
    """

    trusted: str
    fetched: Mapping[bytes, str] = field(default_factory=dict)
    by_id: bool = False


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


def why_this_version(trace: Trace) -> str:
    """Why it is TLS 1.2 that was agreed, and not TLS 1.3; "" where it is not TLS 1.2."""
    hello = next((seen.message for seen in trace.messages if isinstance(seen.message, ClientHello)), None)
    answer = next((seen.message for seen in trace.messages if isinstance(seen.message, ServerHello)), None)
    if hello is None or answer is None or answer.version != ProtocolVersion.TLS_1_2:
        return ""
    if ProtocolVersion.TLS_1_3 in (hello.supported_versions or ()):
        return "the best that the server speaks: TLS 1.3 was offered, and not taken"
    if answer.random.endswith(DOWNGRADED_TO_12):
        return "all that was offered; the server speaks TLS 1.3 as well"
    return "all that was offered"


def in_the_clear(trace: Trace) -> str:
    """What TLS 1.2 let everybody on the way read, of what TLS 1.3 encrypts: the certificates, the protocol."""
    parts = []
    for seen in trace.messages:
        message = seen.message
        if isinstance(message, Certificate12) and message.certificate_list:
            parts.append(f"the {phrases.sender(seen.from_client)}'s certificate")
        elif isinstance(message, ServerHello) and message.application_layer_protocol_negotiation is not None:
            parts.append("the application protocol")
    return ", ".join(parts)


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

    @property
    def answered(self) -> bool:
        """Whether we have answered the request: with a certificate, or with none."""
        return self.sent is not None or self.not_sent is not None


def client_proof(
    trace: Trace, facts: Handshake | None, identity: Identity | None, accepted: bool | None
) -> ClientProof | None:
    """What came of client authentication; None where the handshake did not get that far.

    ``identity``  the one that the call gave us; None if it gave none
    ``accepted``  what the server is known to have made of our answer

    In TLS 1.3 the handshake is over on our side before the server has looked at our certificate. In TLS 1.2 its Finished
    comes after it has, and means that it goes on.
    """
    request = next((seen.message for seen in trace.messages if isinstance(seen.message, REQUESTS)), None)
    if request is None:
        return ClientProof(requested=False) if facts is not None else None
    ours = [seen.message for seen in trace.messages if seen.sent]
    shown_one = next((message for message in ours if isinstance(message, (Certificate, Certificate12))), None)
    if shown_one is None:
        return ClientProof(requested=True)
    if accepted is None and facts is not None and isinstance(request, CertificateRequest12):
        accepted = True
    if not shown_one.certificate_list or identity is None:
        return ClientProof(True, not_sent=why_not(identity, request), accepted=accepted)
    proof = next((message for message in ours if isinstance(message, (CertificateVerify, CertificateVerify12))), None)
    scheme = SignatureScheme.name(proof.algorithm) if proof is not None else None
    return ClientProof(True, parsed(identity.chain[0]), scheme, accepted=accepted)


def why_not(identity: Identity | None, request: CertificateRequest | CertificateRequest12) -> str:
    """Why an identity is not what a server asks for: the checks of negotiate.client_identity, in words."""
    if identity is None:
        return "none was given"
    if isinstance(request, CertificateRequest12):
        kinds = phrases.certificate_kinds(request.certificate_types)
        ours = "RSA" if identity.kind.startswith("rsa") else "ECDSA"
        if ours not in kinds:
            return f"our key is for {ours}, and the server accepts {_some(kinds)}"
    authorities = request.certificate_authorities or ()
    if authorities and not identity.issued_by(authorities):
        issuers = dict.fromkeys(parsed(der).issuer for der in identity.chain)
        return (
            f"ours is from {' below '.join(map(shown, issuers))}, "
            f"and the server wants one from {_some(authority_name(name) for name in authorities)}"
        )
    in_12 = isinstance(request, CertificateRequest12)
    can = _some(map(SignatureScheme.name, identity.schemes_12 if in_12 else identity.schemes))
    theirs = _some(map(SignatureScheme.name, request.signature_algorithms or ()))
    return f"our key signs with {can}, and the server accepts {theirs}"


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
