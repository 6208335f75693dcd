"""The steps by which a side of TLS 1.2 proves who it is (RFC 5246 sections 7.4.3, 7.4.4 and 7.4.8)."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Final

from handfast.certificates.identity import Identity, PeerIdentity
from handfast.crypto import signatures
from handfast.crypto.signatures import SCHEMES_12
from handfast.errors import PeerMisbehaved
from handfast.handshake.authenticate import VerifiedFinished, verified_finished
from handfast.handshake.flow import CheckPeer, Flow, Sign, VerifyPeer, expect
from handfast.handshake.link import Link
from handfast.reasons import BAD_FINISHED, SCHEME_NOT_OFFERED
from handfast.wire.codepoints import SignatureScheme
from handfast.wire.messages12 import (
    Certificate12,
    CertificateRequest12,
    CertificateVerify,
    ClientKeyExchange,
    Finished,
    ServerKeyExchange,
)

if TYPE_CHECKING:
    from handfast.config import ClientConfig, ServerConfig

# ClientCertificateType (RFC 8422 section 5.5): Ed25519 and Ed448 count as ECDSA.
RSA_SIGN: Final = 1
ECDSA_SIGN: Final = 64


def check_signature(
    peer: PeerIdentity, offered: tuple[int, ...], message: ServerKeyExchange | CertificateVerify, content: bytes
) -> None:
    """That ``content`` is signed with the key of the peer's certificate, in a way that we offered."""
    if message.algorithm not in offered:
        raise PeerMisbehaved(
            SCHEME_NOT_OFFERED,
            scheme=SignatureScheme.name(message.algorithm),
            we_offered=[SignatureScheme.name(scheme) for scheme in offered],
        )
    signatures.verify(peer.public_key, message.algorithm, message.signature, content, SCHEMES_12, pss=peer.pss)


def certificate_request(config: ServerConfig) -> CertificateRequest12:
    """How a client is asked who it is (RFC 5246 section 7.4.4)."""
    return CertificateRequest12(
        bytes((ECDSA_SIGN, RSA_SIGN)), list(config.scheme_12_ids), list(config.authorities() or ())
    )


def verify_client(link: Link, config: ServerConfig, question: VerifyPeer) -> Flow[tuple[PeerIdentity, int]]:
    """After ClientKeyExchange: who the client is, and the scheme by which its CertificateVerify proves that."""
    peer: PeerIdentity = yield question
    content = link.transcript.take_kept()
    proof = yield from expect(CertificateVerify)
    check_signature(peer, config.scheme_12_ids, proof, content)
    link.transcript.add(proof)
    if config.check_peer is not None:
        yield CheckPeer(peer)
    return peer, proof.algorithm


def send_certificate(link: Link, identity: Identity | None) -> None:
    """A client's Certificate: the chain, or nothing (RFC 5246 section 7.4.6)."""
    certificate = Certificate12(list(identity.chain) if identity else [])
    link.send(certificate)
    link.transcript.add(certificate)


def prove_identity(link: Link, identity: Identity, scheme: int) -> Flow[None]:
    """A client's CertificateVerify: it signs every message so far, as they are (RFC 5246 section 7.4.8)."""
    signature: bytes = yield Sign(identity, scheme, link.transcript.take_kept())
    proof = CertificateVerify(scheme, signature)
    link.send(proof)
    link.transcript.add(proof)


def check_finished(finished: Finished, verify_data: bytes) -> VerifiedFinished:
    """That both sides saw the same handshake, and have the same secret (RFC 5246 section 7.4.9)."""
    if not hmac.compare_digest(finished.verify_data, verify_data):
        raise PeerMisbehaved(BAD_FINISHED)
    return verified_finished()
