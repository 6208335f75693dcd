"""A client of TLS 1.3, after its ClientHello.

The handshake with a certificate, as in Figure 1 of RFC 9846 section 2; ``{}`` is encrypted with handshake keys, ``[]``
with application keys, ``*`` is not always there::

    Client                                               Server

    ClientHello              -------->
                                                    ServerHello
                                          {EncryptedExtensions}
                                          {CertificateRequest*}
                                                  {Certificate}
                                            {CertificateVerify}
                             <--------               {Finished}
    {Certificate*}
    {CertificateVerify*}
    {Finished}               -------->
    [Application Data]       <------->       [Application Data]
"""

from __future__ import annotations

from handfast.certificates.identity import Identity
from handfast.config import ClientConfig
from handfast.crypto.schedule13 import EarlySecret
from handfast.errors import PeerMisbehaved
from handfast.handshake import negotiate
from handfast.handshake.authenticate import (
    CLIENT_CONTEXT,
    SERVER_CONTEXT,
    certificate_chain,
    check_finished,
    check_solicited,
    our_identities,
    prove_identity,
    verify_identity,
)
from handfast.handshake.established import Established, Outcome
from handfast.handshake.flow import Flow, VerifyPeer, expect, expect_either
from handfast.handshake.hello import Offer, agreed_suite
from handfast.handshake.link import Link
from handfast.handshake.negotiate import required
from handfast.handshake.secrets import application_secrets, handshake_secrets
from handfast.reasons import ALPN_NOT_OFFERED, BAD_CERTIFICATE_CONTEXT, GROUP_NOT_OFFERED, NO_CERTIFICATE
from handfast.wire.codepoints import ExtensionType, NamedGroup, ProtocolVersion
from handfast.wire.extensions import KeyShareEntry
from handfast.wire.hello import ServerHello
from handfast.wire.messages13 import (
    Certificate,
    CertificateRequest,
    EncryptedExtensions,
    Finished,
)


def client13(link: Link, offer: Offer, answer: ServerHello, retried: bool) -> Flow[Established]:
    """The client's side of Figure 1 in RFC 9846 section 2, from ServerHello to Finished."""
    transcript = link.transcript
    client_random = offer.message.random

    # ServerHello: from here on everything is encrypted.
    suite = agreed_suite(offer, answer)
    share = required(answer.key_share, ExtensionType.KEY_SHARE)
    shared_secret = link.key_exchange(agreed_secret, offer, share)
    transcript.use(suite.hash)
    transcript.add(answer)
    secret = EarlySecret(suite).handshake_secret(shared_secret)
    client_handshake, server_handshake = handshake_secrets(link, secret, client_random)
    if offer.message.legacy_session_id:
        link.send_change_cipher_spec()
    link.install_keys(read=server_handshake, write=client_handshake)

    # EncryptedExtensions: the answers that are nobody else's business.
    extensions = yield from expect(EncryptedExtensions)
    transcript.add(extensions)
    protocol = agreed_protocol(offer, extensions)
    agree_on_record_sizes(link, offer.config, extensions)

    # CertificateRequest: we may be asked who we are, too.
    message = yield from expect_either(CertificateRequest, Certificate)
    request = None
    if isinstance(message, CertificateRequest):
        request = message
        transcript.add(request)
        check_request(request)
        message = yield from expect(Certificate)

    # Certificate and CertificateVerify: who the server is, and that it holds the key of that certificate.
    transcript.add(message)
    question = VerifyPeer(server_chain(message, offer), link.clock.wall(), "server", offer.server_name)
    peer, scheme = yield from verify_identity(link, offer.config, question, SERVER_CONTEXT)

    # Finished: that both sides saw the same handshake.
    finished = yield from expect(Finished)
    verified = check_finished(finished, server_handshake.verify_data(transcript.digest()))
    transcript.add(finished)
    link.check_no_excess()  # before we say who we are
    client_application, server_application, exporter = application_secrets(link, secret, client_random)

    # Our turn: who we are, where the server has asked, and our view of the handshake.
    identity, our_scheme = None, 0
    if request is not None:
        identity, our_scheme = yield from answer_request(link, offer, request)
    link.send(Finished(client_handshake.verify_data(transcript.digest())))
    link.install_keys(read=server_application, write=client_application)

    outcome = Outcome(
        ProtocolVersion.TLS_1_3,
        suite,
        share.group,
        scheme,
        our_scheme,
        protocol,
        offer.server_name,
        peer,
        identity,
        retried,
    )
    return Established(outcome, verified, exporter)


def answer_request(link: Link, offer: Offer, request: CertificateRequest) -> Flow[tuple[Identity | None, int]]:
    """Certificate and CertificateVerify of a client; without an identity an empty Certificate (section 4.5.1).

    The identity, and the scheme that its key signed with.
    """
    config = offer.config
    identities = yield from our_identities(config, request)
    identity, scheme = negotiate.client_identity(identities, request, chosen=config.choose_identity is not None)
    if identity is None:
        nothing = Certificate([])
        link.send(nothing)
        link.transcript.add(nothing)
    else:
        yield from prove_identity(link, identity, scheme, CLIENT_CONTEXT)
    return identity, scheme


def agreed_secret(offer: Offer, answer: KeyShareEntry) -> bytes:
    """The shared secret, from our share of the group that the server answers in (RFC 9846 section 4.3.8)."""
    for share in offer.shares:
        if share.group == answer.group:
            return share.open(answer.key_exchange)
    raise PeerMisbehaved(
        GROUP_NOT_OFFERED,
        selected=NamedGroup.name(answer.group),
        we_sent_shares_of=[NamedGroup.name(share.group) for share in offer.shares],
    )


def agreed_protocol(offer: Offer, extensions: EncryptedExtensions) -> bytes | None:
    """The application protocol (RFC 7301 section 3.2), None if the server has no ALPN."""
    check_solicited(offer.message.extension_types, extensions.extension_types)
    protocol = extensions.application_layer_protocol_negotiation
    if protocol is not None and protocol not in offer.config.protocols:
        raise PeerMisbehaved(ALPN_NOT_OFFERED, selected=protocol, we_offered=list(offer.config.protocols))
    return protocol


def agree_on_record_sizes(link: Link, config: ClientConfig, extensions: EncryptedExtensions) -> None:
    """Shorter records in one or both directions, if both sides have the extension (RFC 8449 section 4)."""
    if extensions.record_size_limit is not None and config.record_size_limit is not None:
        link.layer.limit_sending(extensions.record_size_limit - 1)
        link.layer.limit_receiving(config.record_size_limit)


def server_chain(certificate: Certificate, offer: Offer) -> tuple[bytes, ...]:
    """The server's chain, which is never empty (RFC 9846 section 4.5.1.3)."""
    chain = certificate_chain(certificate, offer.message.extension_types)
    if not chain:
        raise PeerMisbehaved(NO_CERTIFICATE)
    return chain


def check_request(request: CertificateRequest) -> None:
    """What a CertificateRequest of the handshake has to be (RFC 9846 section 4.4.2)."""
    if request.certificate_request_context:
        raise PeerMisbehaved(BAD_CERTIFICATE_CONTEXT)
    required(request.signature_algorithms, ExtensionType.SIGNATURE_ALGORITHMS)
