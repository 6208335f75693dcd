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
    {Finished}               -------->
    [Application Data]       <------->       [Application Data]
"""

from __future__ import annotations

from handfast.certificates.identity import PeerIdentity
from handfast.crypto.schedule13 import EarlySecret
from handfast.crypto.suites import SUITES, Suite
from handfast.errors import PeerMisbehaved
from handfast.handshake import authenticate
from handfast.handshake.established import Established, Outcome
from handfast.handshake.flow import Flow, VerifyPeer, expect, expect_either
from handfast.handshake.hello import Offer
from handfast.handshake.link import Link
from handfast.handshake.negotiate import required
from handfast.reasons import (
    ALPN_NOT_OFFERED,
    BAD_CERTIFICATE_CONTEXT,
    BAD_COMPRESSION,
    BAD_LEGACY_VERSION,
    GROUP_NOT_OFFERED,
    SESSION_ID_NOT_ECHOED,
    SUITE_NOT_OFFERED,
)
from handfast.wire.codepoints import CipherSuite, ExtensionType, NamedGroup, ProtocolVersion
from handfast.wire.extensions import KeyShareEntry
from handfast.wire.hello import ServerHello
from handfast.wire.messages13 import (
    Certificate,
    CertificateRequest,
    CertificateVerify,
    EncryptedExtensions,
    Finished,
)


def client13(link: Link, offer: Offer, answer: ServerHello) -> Flow[Established]:
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
    until_hello = transcript.digest()
    client_handshake = secret.client_traffic(until_hello)
    server_handshake = secret.server_traffic(until_hello)
    link.log_secret("CLIENT_HANDSHAKE_TRAFFIC_SECRET", client_random, client_handshake.secret)
    link.log_secret("SERVER_HANDSHAKE_TRAFFIC_SECRET", client_random, server_handshake.secret)
    if offer.message.legacy_session_id:
        link.send_change_cipher_spec()
    link.install_keys(read=server_handshake, write=client_handshake)

    # EncryptedExtensions: the answers that are nobody else's business.
    extensions = yield from expect(EncryptedExtensions)
    transcript.add(extensions)
    protocol = agreed_protocol(offer, extensions)

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
    chain = authenticate.certificate_chain(message, offer.message.extension_types)
    peer: PeerIdentity = yield VerifyPeer(chain, offer.server_name, link.clock.wall())
    proof = yield from expect(CertificateVerify)
    content = authenticate.server_signature_content(transcript.digest())
    authenticate.check_certificate_verify(proof, peer, offer.config.scheme_ids, content)
    transcript.add(proof)

    # Finished: that both sides saw the same handshake.
    finished = yield from expect(Finished)
    verified = authenticate.check_finished(finished, server_handshake, transcript.digest())
    transcript.add(finished)
    main = secret.main_secret()
    until_finished = transcript.digest()
    client_application = main.client_traffic(until_finished)
    server_application = main.server_traffic(until_finished)
    link.log_secret("CLIENT_TRAFFIC_SECRET_0", client_random, client_application.secret)
    link.log_secret("SERVER_TRAFFIC_SECRET_0", client_random, server_application.secret)

    # Our turn. Asked for a certificate we answer that we have none (RFC 9846 section 4.5.1.2).
    if request is not None:
        nothing = Certificate([], request.certificate_request_context)
        link.send(nothing)
        transcript.add(nothing)
    link.send(Finished(client_handshake.verify_data(transcript.digest())))
    link.install_keys(read=server_application, write=client_application)

    outcome = Outcome(suite, share.group, proof.algorithm, protocol, offer.server_name, peer, None)
    return Established(outcome, verified)


def agreed_suite(offer: Offer, answer: ServerHello) -> Suite:
    """What ServerHello has to be, and the suite it selects (RFC 9846 section 4.2.3)."""
    if answer.legacy_version != ProtocolVersion.TLS_1_2:
        raise PeerMisbehaved(BAD_LEGACY_VERSION, legacy_version=ProtocolVersion.name(answer.legacy_version))
    if answer.legacy_session_id_echo != offer.message.legacy_session_id:
        raise PeerMisbehaved(SESSION_ID_NOT_ECHOED)
    if answer.legacy_compression_method:
        raise PeerMisbehaved(BAD_COMPRESSION, method=answer.legacy_compression_method)
    authenticate.check_solicited(offer.message.extension_types, answer.extension_types)
    if answer.cipher_suite not in offer.config.suite_ids:
        raise PeerMisbehaved(
            SUITE_NOT_OFFERED,
            selected=CipherSuite.name(answer.cipher_suite),
            we_offered=[CipherSuite.name(suite) for suite in offer.config.suite_ids],
        )
    return SUITES[answer.cipher_suite]


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
    authenticate.check_solicited(offer.message.extension_types, extensions.extension_types)
    protocol = extensions.application_layer_protocol_negotiation
    if protocol is not None and protocol not in offer.config.protocols:
        raise PeerMisbehaved(ALPN_NOT_OFFERED, selected=protocol, we_offered=list(offer.config.protocols))
    return protocol


def check_request(request: CertificateRequest) -> None:
    """What a CertificateRequest of the handshake has to be (RFC 9846 section 4.4.2)."""
    if request.certificate_request_context:
        raise PeerMisbehaved(BAD_CERTIFICATE_CONTEXT)
    required(request.signature_algorithms, ExtensionType.SIGNATURE_ALGORITHMS)
