"""The steps by which a side of TLS 1.2 proves who it is (RFC 5246 sections 7.4.3, 7.4.4 and 7.4.8)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handfast.certificates.identity import Identity
from handfast.certificates.peer import PeerIdentity
from handfast.crypto import signatures
from handfast.crypto.schedule12 import RecordKey
from handfast.crypto.signatures import SCHEMES_12
from handfast.errors import PeerMisbehaved
from handfast.handshake.authenticate import ask_verifier
from handfast.handshake.flow import CheckPeer, Flow, Sign, VerifyPeer, expect
from handfast.handshake.link import Link
from handfast.handshake.negotiate12 import ECDSA_SIGN, RSA_SIGN
from handfast.reasons import SCHEME_NOT_OFFERED
from handfast.wire.alert import ChangeCipherSpec
from handfast.wire.codepoints import SignatureScheme
from handfast.wire.messages12 import (
    Certificate12,
    CertificateRequest12,
    CertificateVerify12,
    Finished12,
    ServerKeyExchange,
)

if TYPE_CHECKING:
    from handfast.config import ServerConfig


def check_signature(
    peer: PeerIdentity, offered: tuple[int, ...], message: ServerKeyExchange | CertificateVerify12, content: bytes
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
    peer = yield from ask_verifier(question)
    content = link.transcript.take_kept()
    proof = yield from expect(CertificateVerify12)
    check_signature(peer, config.scheme_12_ids, proof, content)
    link.transcript.add(proof)
    if config.check_peer is not None:
        yield CheckPeer(peer)
    return peer, proof.algorithm


def send_finished(link: Link, key: RecordKey, verify_data: bytes) -> Finished12:
    """ChangeCipherSpec and Finished: our view of the handshake, under the new keys."""
    finished = Finished12(verify_data)
    link.send_change_cipher_spec()
    link.install_keys(write=key)
    link.say(finished)
    link.flush()
    return finished


def receive_finished(link: Link, key: RecordKey) -> Flow[Finished12]:
    """The peer's ChangeCipherSpec and Finished, for the caller to check and to add to the transcript."""
    link.layer.change_cipher_spec_allowed = True
    yield from expect(ChangeCipherSpec)
    link.layer.change_cipher_spec_allowed = False
    link.install_keys(read=key)
    finished = yield from expect(Finished12)
    link.check_no_excess()
    return finished


def send_certificate(link: Link, identity: Identity | None) -> None:
    """A client's Certificate: the chain, or nothing (RFC 5246 section 7.4.6)."""
    link.say(Certificate12(list(identity.chain) if identity else []))


def prove_identity(link: Link, identity: Identity, scheme: int) -> Flow[None]:
    """A client's CertificateVerify: it signs every message so far, as they are (RFC 5246 section 7.4.8)."""
    signature: bytes = yield Sign(identity, scheme, link.transcript.take_kept())
    proof = CertificateVerify12(scheme, signature)
    link.say(proof)
