"""Certificate, CertificateVerify and Finished: the steps by which a side proves who it is (RFC 9846 section 4.5).

Client and server take the same steps, the server always and the client where it is asked to.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from handfast.certificates.identity import Identity
from handfast.certificates.peer import PeerIdentity
from handfast.crypto import signatures
from handfast.errors import PeerMisbehaved, TLSError
from handfast.handshake.flow import CheckPeer, ChooseClientIdentity, Flow, Sign, VerifyPeer, expect
from handfast.reasons import (
    BAD_CERTIFICATE_CONTEXT,
    BAD_FINISHED,
    CALLBACK_FAILED,
    SCHEME_NOT_OFFERED,
    UNSOLICITED_EXTENSION,
)
from handfast.wire.codepoints import ExtensionType, SignatureScheme
from handfast.wire.messages13 import Certificate, CertificateEntry, CertificateVerify, Finished

if TYPE_CHECKING:
    from handfast.config import ClientConfig, ServerConfig
    from handfast.handshake.link import Link
    from handfast.wire.messages12 import CertificateRequest12
    from handfast.wire.messages13 import CertificateRequest

CERTIFICATE_MESSAGES: Final = 64  # of our own that are kept, one for each chain

# What is signed begins with a text that occurs in no other protocol (RFC 9846 section 4.5.2).
SERVER_CONTEXT: Final = b" " * 64 + b"TLS 1.3, server CertificateVerify\0"
CLIENT_CONTEXT: Final = b" " * 64 + b"TLS 1.3, client CertificateVerify\0"


def prove_identity(link: Link, identity: Identity, scheme: int, context: bytes) -> Flow[None]:
    """Certificate and CertificateVerify: who we are, and that we hold the key of that certificate."""
    link.say(our_certificate(identity.chain))
    signature: bytes = yield Sign(identity, scheme, context + link.transcript.digest())
    link.say(CertificateVerify(scheme, signature))


@lru_cache(maxsize=CERTIFICATE_MESSAGES)
def our_certificate(chain: tuple[bytes, ...]) -> Certificate:
    """The message with this chain (DER), which is the same on every connection: it is encoded once."""
    message = Certificate([CertificateEntry(certificate) for certificate in chain])
    message.raw = message.encode()
    return message


def verify_identity(
    link: Link, config: ClientConfig | ServerConfig, question: VerifyPeer, context: bytes
) -> Flow[tuple[PeerIdentity, int]]:
    """After the peer's Certificate: who it is, and the scheme by which its CertificateVerify proves that."""
    peer = yield from ask_verifier(question)
    proof = yield from expect(CertificateVerify)
    check_certificate_verify(proof, peer, config.scheme_ids, context + link.transcript.digest())
    link.transcript.add(proof)
    if config.check_peer is not None:
        yield CheckPeer(peer)
    return peer, proof.algorithm


def ask_verifier(question: VerifyPeer) -> Flow[PeerIdentity]:
    """Who the peer is: the key that proves it has to be that of the certificate that was sent."""
    peer: PeerIdentity = yield question
    if peer.der != question.chain[0]:
        raise TLSError(CALLBACK_FAILED, question=question.NAME, problem="the identity is of another certificate")
    return peer


def our_identities(
    config: ClientConfig, request: CertificateRequest | CertificateRequest12
) -> Flow[Sequence[Identity]]:
    """A client's identities for this server: the one that the application chooses, where it wants to, or all."""
    if config.choose_identity is None:
        return config.identities
    chosen: Identity | None = yield ChooseClientIdentity(request)
    return () if chosen is None else (chosen,)


def certificate_chain(certificate: Certificate, offered: Sequence[int]) -> tuple[bytes, ...]:
    """The peer's chain, DER (RFC 9846 section 4.5.1). ``offered``: the extensions of the message that it answers."""
    if certificate.certificate_request_context:
        raise PeerMisbehaved(BAD_CERTIFICATE_CONTEXT)
    for entry in certificate.certificate_list:
        check_solicited(offered, entry.extension_types)
    return tuple(entry.cert_data for entry in certificate.certificate_list)


def check_solicited(offered: Iterable[int], answered: Iterable[int]) -> None:
    """An answer may hold only extensions that were offered (RFC 9846 section 4.3)."""
    allowed = set(offered)
    for extension in answered:
        if extension not in allowed:
            raise PeerMisbehaved(UNSOLICITED_EXTENSION, extension=ExtensionType.name(extension))


def check_certificate_verify(
    proof: CertificateVerify, peer: PeerIdentity, offered: Sequence[int], content: bytes
) -> None:
    """That the peer holds the key of its certificate (RFC 9846 section 4.5.2)."""
    if proof.algorithm not in offered:
        raise PeerMisbehaved(
            SCHEME_NOT_OFFERED,
            scheme=SignatureScheme.name(proof.algorithm),
            we_offered=[SignatureScheme.name(scheme) for scheme in offered],
        )
    signatures.verify(peer.public_key, proof.algorithm, proof.signature, content, pss=peer.pss)


_PROOF = object()


class VerifiedFinished:
    """Says that the peer's Finished was right. Only :func:`check_finished` makes one, and Established needs it."""

    __slots__ = ()

    def __init__(self, proof: object) -> None:
        if proof is not _PROOF:
            raise TypeError("a VerifiedFinished is made by check_finished alone")


def check_finished(finished: Finished, verify_data: bytes) -> VerifiedFinished:
    """That both sides saw the same handshake, and have the same secrets (RFC 9846 section 4.5.3)."""
    if not hmac.compare_digest(finished.verify_data, verify_data):
        raise PeerMisbehaved(BAD_FINISHED)
    return VerifiedFinished(_PROOF)
