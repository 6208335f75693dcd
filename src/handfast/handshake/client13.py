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
from handfast.certificates.peer import PeerIdentity
from handfast.config import ClientConfig
from handfast.crypto.suites import Suite
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
from handfast.handshake.established import Established, Outcome, client_basis
from handfast.handshake.flow import Flow, VerifyPeer, expect, expect_either
from handfast.handshake.hello import Offer, agreed_suite
from handfast.handshake.link import Link
from handfast.handshake.negotiate import required
from handfast.handshake.psk import Psk, agreed_psk, early_secret, known_peer, note_answer
from handfast.handshake.secrets import application_secrets, handshake_secrets
from handfast.reasons import (
    ALPN_NOT_OFFERED,
    BAD_CERTIFICATE_CONTEXT,
    BAD_EARLY_DATA,
    GROUP_NOT_OFFERED,
    NO_CERTIFICATE,
)
from handfast.sessions.verdict import WhyNot
from handfast.wire.codepoints import ExtensionType, NamedGroup, ProtocolVersion
from handfast.wire.extensions import KeyShareEntry
from handfast.wire.hello import ServerHello
from handfast.wire.messages13 import (
    Certificate,
    CertificateRequest,
    EncryptedExtensions,
    EndOfEarlyData,
    Finished,
)


def client13(
    link: Link, offer: Offer, answer: ServerHello, retried: bool, early_was_sent: bool = False
) -> Flow[Established]:
    """The client's side of Figure 1 in RFC 9846 section 2, from ServerHello to Finished.

    ``early_was_sent``: with the first hello; a retry means that it was not taken.
    """
    transcript = link.transcript
    client_random = offer.message.random

    # ServerHello: from here on everything is encrypted.
    suite = agreed_suite(offer, answer)
    psk = agreed_psk(offer.psks, answer, suite, offer.config.psk_mode_ids)
    note_answer(link, offer.session, suite, psk)
    share = answer.key_share if psk is not None else required(answer.key_share, ExtensionType.KEY_SHARE)
    shared_secret = None if share is None else link.key_exchange(agreed_secret, offer, share)
    transcript.use(suite.hash)
    transcript.add(answer)
    secret = early_secret(psk, suite).handshake_secret(shared_secret)
    client_handshake, server_handshake = handshake_secrets(link, secret, client_random)
    if offer.message.legacy_session_id:
        link.send_change_cipher_spec()
    if not offer.message.early_data:
        link.install_keys(write=client_handshake)
    link.install_keys(read=server_handshake)

    # EncryptedExtensions: the answers that are nobody else's business.
    extensions = yield from expect(EncryptedExtensions)
    transcript.add(extensions)
    protocol = agreed_protocol(offer, extensions)
    agree_on_record_sizes(link, offer.config, extensions)
    early = accepted_early_data(offer, psk, suite, protocol, extensions)
    if early_was_sent and not early:
        note_refusal(link, offer, psk, suite, protocol, retried=retried)
    if offer.message.early_data and not early:
        link.install_keys(write=client_handshake)  # the server cannot read the others, not even an alert

    # Who the server is: its certificate says so, or the session does, which only that server could take up.
    peer, scheme, request = yield from (verify_server(link, offer) if psk is None else session_peer(offer.config, psk))

    # Finished: that both sides saw the same handshake.
    finished = yield from expect(Finished)
    verified = check_finished(finished, server_handshake.verify_data(transcript.digest()))
    transcript.add(finished)
    link.check_no_excess()  # before we say who we are
    main = secret.main_secret()
    client_application, server_application, exporter = application_secrets(link, main, client_random)

    # Our turn: the end of our early data, who we are where the server has asked, and our view of the handshake.
    if early:
        link.say(EndOfEarlyData())
        link.install_keys(write=client_handshake)
    identity, our_scheme = None, 0
    if request is not None:
        identity, our_scheme = yield from answer_request(link, offer, request)
    link.say(Finished(client_handshake.verify_data(transcript.digest())))
    link.install_keys(read=server_application, write=client_application)

    outcome = Outcome(
        ProtocolVersion.TLS_1_3, suite, 0 if share is None else share.group, scheme, our_scheme, protocol,
        offer.server_name, peer, identity, retried, psk is not None, early if early_was_sent else None,
        client_basis(identity) if psk is None else psk.basis,
    )  # fmt: skip
    return Established(outcome, verified, exporter, resumption=main.resumption(transcript.digest()))


def verify_server(link: Link, offer: Offer) -> Flow[tuple[PeerIdentity | None, int, CertificateRequest | None]]:
    """Certificate and CertificateVerify: who the server is, and that it holds the key of that certificate.

    The identity, the scheme it proved that by, and the CertificateRequest before, by which we are asked who we are, too.
    """
    message = yield from expect_either(CertificateRequest, Certificate)
    request = None
    if isinstance(message, CertificateRequest):
        request = message
        link.transcript.add(request)
        check_request(request)
        message = yield from expect(Certificate)
    link.transcript.add(message)
    question = VerifyPeer(server_chain(message, offer), link.clock.wall(), "server", offer.server_name)
    peer, scheme = yield from verify_identity(link, offer.config, question, SERVER_CONTEXT)
    return peer, scheme, request


def session_peer(config: ClientConfig, psk: Psk) -> Flow[tuple[PeerIdentity | None, int, None]]:
    """With a PSK the server neither says who it is nor asks who we are."""
    peer, scheme = yield from known_peer(config, psk)
    return peer, scheme, None


def accepted_early_data(
    offer: Offer, psk: Psk | None, suite: Suite, protocol: bytes | None, extensions: EncryptedExtensions
) -> bool:
    """Whether the server has taken our early data: only with the first PSK, its suite and its application protocol."""
    if not extensions.early_data:
        return False
    session = offer.session
    if (
        psk is None
        or psk.session is not session
        or session is None
        or (suite.id, protocol) != (session.suite_id, session.protocol)
    ):
        raise PeerMisbehaved(BAD_EARLY_DATA)
    return True


def note_refusal(
    link: Link, offer: Offer, psk: Psk | None, suite: Suite, protocol: bytes | None, *, retried: bool
) -> None:
    """Why the server may have refused early data: it does not say."""
    session = offer.session
    assert session is not None and link.resumption is not None, "early data was sent with a session"
    why = WhyNot.NOT_TAKEN
    if retried:
        why = WhyNot.RETRIED
    elif psk is None or psk.session is not session:
        why = WhyNot.NOT_RESUMED
    elif suite.id != session.suite_id:
        why = WhyNot.OTHER_SUITE
    elif protocol != session.protocol:
        why = WhyNot.OTHER_PROTOCOL
    link.resumption.why_not_early = why


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
