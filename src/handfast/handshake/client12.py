"""A client of TLS 1.2, after its ClientHello.

The full handshake, as in Figure 1 of RFC 5246 section 7.3; ``*`` is not always there. Everything up to ChangeCipherSpec is
in the clear, certificates too::

    Client                                               Server

    ClientHello              -------->
                                                    ServerHello
                                                    Certificate
                                              ServerKeyExchange
                                            CertificateRequest*
                             <--------          ServerHelloDone
    Certificate*
    ClientKeyExchange
    CertificateVerify*
    [ChangeCipherSpec]
    Finished                 -------->
                                             [ChangeCipherSpec]
                             <--------                 Finished
    Application Data         <------->         Application Data
"""

from __future__ import annotations

from handfast.certificates.identity import Identity
from handfast.certificates.peer import PeerIdentity
from handfast.crypto.schedule12 import MainSecret
from handfast.crypto.suites import SUITES_12, Suite
from handfast.errors import PeerIncompatible, PeerMisbehaved
from handfast.handshake import authenticate12, negotiate12
from handfast.handshake.authenticate import ask_verifier, check_finished, check_solicited, our_identities
from handfast.handshake.established import Established, Outcome, client_basis
from handfast.handshake.flow import CheckPeer, Flow, VerifyPeer, expect, expect_either
from handfast.handshake.hello import Offer
from handfast.handshake.link import Link
from handfast.handshake.negotiate12 import UNCOMPRESSED, signed_by
from handfast.handshake.psk import note_answer
from handfast.handshake.resume12 import resume_as_client, session_of, takes_up
from handfast.reasons import (
    ALPN_NOT_OFFERED,
    BAD_COMPRESSION,
    BAD_POINT_FORMATS,
    BAD_RENEGOTIATION_INFO,
    GROUP_NOT_OFFERED,
    NO_CERTIFICATE,
    NO_EXTENDED_MAIN_SECRET,
    NO_SECURE_RENEGOTIATION,
    RESUMED_NOTHING,
    SUITE_NOT_OFFERED,
    WRONG_SIGNATURE_TYPE,
)
from handfast.wire.codepoints import CipherSuite, NamedGroup, ProtocolVersion
from handfast.wire.hello import ServerHello
from handfast.wire.messages12 import (
    Certificate12,
    CertificateRequest12,
    ClientKeyExchange,
    NewSessionTicket12,
    ServerHelloDone,
    ServerKeyExchange,
)


def client12(link: Link, offer: Offer, answer: ServerHello) -> Flow[Established]:
    """The client's side of Figure 1 in RFC 5246 section 7.3, from ServerHello to the server's Finished."""
    transcript = link.transcript
    config = offer.config
    link.layer.change_cipher_spec_allowed = False

    # ServerHello: what is agreed.
    suite = agreed_suite(offer, answer)
    check_extensions(offer, answer)
    agree_on_record_sizes(link, offer, answer)
    is_resumed = takes_up(offer, answer)
    note_answer(link, offer.session, suite, offer.session if is_resumed else None)
    if is_resumed:
        return (yield from resume_as_client(link, offer, answer, suite))
    transcript.use_and_keep(suite.hash)
    transcript.add(answer)

    # Certificate and ServerKeyExchange: who the server is, and its share, signed with the key of that certificate
    # together with both randoms: so the share is fresh, and nobody else's.
    certificate = yield from expect(Certificate12)
    transcript.add(certificate)
    randoms = (offer.message.random, answer.random)
    peer, exchange = yield from verify_server(link, offer, suite, certificate, randoms)

    # CertificateRequest: we may be asked who we are, too. ServerHelloDone: it is our turn.
    message = yield from expect_either(CertificateRequest12, ServerHelloDone)
    request = None
    if isinstance(message, CertificateRequest12):
        request = message
        transcript.add(request)
        message = yield from expect(ServerHelloDone)
    link.check_no_excess()
    transcript.add(message)

    # Our certificate where we are asked, and our share. Both sides have the main secret then.
    identity: Identity | None = None
    our_scheme = 0
    if request is not None:
        identity, our_scheme = yield from choose_identity(offer, request)
        authenticate12.send_certificate(link, identity)
    public, shared_secret = link.key_exchange(config.entropy.encapsulate, exchange.group, exchange.public)
    link.say(ClientKeyExchange(public))
    main = MainSecret(suite, shared_secret, transcript.digest(), randoms)
    link.log_secret("CLIENT_RANDOM", offer.message.random, main.secret)

    # CertificateVerify: that we hold the key of our certificate. Then Finished12, under the new keys.
    if identity is not None:
        yield from authenticate12.prove_identity(link, identity, our_scheme)
    transcript.drop_kept()
    client_key, server_key = main.record_keys()
    ours = authenticate12.send_finished(link, client_key, main.client_finished(transcript.digest()))

    # The server's ticket where it has promised one, ChangeCipherSpec and Finished: that it saw the same handshake.
    ticket = None
    if answer.session_ticket_promised:
        ticket = yield from expect(NewSessionTicket12)
        transcript.add(ticket)
    theirs = yield from authenticate12.receive_finished(link, server_key)
    verified = check_finished(theirs, main.server_finished(transcript.digest()))

    outcome = Outcome(
        ProtocolVersion.TLS_1_2, suite, exchange.group, exchange.algorithm, our_scheme,
        answer.application_layer_protocol_negotiation, offer.server_name, peer, identity, retried=False,
        basis=client_basis(identity),
    )  # fmt: skip
    session = session_of(link, offer, outcome, main, ticket, answer)
    return Established(outcome, verified, main.exporter(), ours.verify_data, session=session)


def verify_server(
    link: Link, offer: Offer, suite: Suite, certificate: Certificate12, randoms: tuple[bytes, bytes]
) -> Flow[tuple[PeerIdentity, ServerKeyExchange]]:
    """Whose the Certificate is, and the ServerKeyExchange that its key has signed."""
    if not certificate.certificate_list:
        raise PeerMisbehaved(NO_CERTIFICATE)
    chain = tuple(certificate.certificate_list)
    peer = yield from ask_verifier(VerifyPeer(chain, link.clock.wall(), "server", offer.server_name))
    check_key(offer, suite, peer)
    exchange = yield from expect(ServerKeyExchange)
    link.transcript.add(exchange)
    check_exchange(offer, peer, exchange, randoms)
    if offer.config.check_peer is not None:
        yield CheckPeer(peer)
    return peer, exchange


def agreed_suite(offer: Offer, answer: ServerHello) -> Suite:
    """What ServerHello has to be, and the suite it selects (RFC 5246 section 7.4.1.3)."""
    is_ours = answer.legacy_session_id_echo and answer.legacy_session_id_echo == offer.message.legacy_session_id
    if is_ours and not takes_up(offer, answer):
        raise PeerMisbehaved(RESUMED_NOTHING)
    if answer.legacy_compression_method:
        raise PeerMisbehaved(BAD_COMPRESSION, method=answer.legacy_compression_method)
    if answer.cipher_suite not in offer.config.suite_12_ids:
        raise PeerMisbehaved(
            SUITE_NOT_OFFERED,
            selected=CipherSuite.name(answer.cipher_suite),
            we_offered=[CipherSuite.name(suite) for suite in offer.config.suite_12_ids],
        )
    return SUITES_12[answer.cipher_suite]


def check_extensions(offer: Offer, answer: ServerHello) -> None:
    """The server's extensions: only what was offered, and those without which TLS 1.2 is not safe."""
    check_solicited(offer.message.extension_types, answer.extension_types)
    if answer.renegotiation_info is None:
        raise PeerIncompatible(NO_SECURE_RENEGOTIATION)
    if answer.renegotiation_info:
        raise PeerMisbehaved(BAD_RENEGOTIATION_INFO)
    if not answer.extended_main_secret:
        raise PeerIncompatible(NO_EXTENDED_MAIN_SECRET)
    if answer.ec_point_formats is not None and UNCOMPRESSED not in answer.ec_point_formats:
        raise PeerMisbehaved(BAD_POINT_FORMATS, selected=list(answer.ec_point_formats))
    protocol = answer.application_layer_protocol_negotiation
    if protocol is not None and protocol not in offer.config.protocols:
        raise PeerMisbehaved(ALPN_NOT_OFFERED, selected=protocol, we_offered=list(offer.config.protocols))


def agree_on_record_sizes(link: Link, offer: Offer, answer: ServerHello) -> None:
    """Shorter records in one or both directions, if both sides have the extension (RFC 8449 section 4)."""
    if answer.record_size_limit is not None and offer.config.record_size_limit is not None:
        link.layer.limit_sending(answer.record_size_limit)
        link.layer.limit_receiving(offer.config.record_size_limit)


def check_key(offer: Offer, suite: Suite, peer: PeerIdentity) -> None:
    """The key of the server's certificate: of the suite's kind, and on a curve that we offered (RFC 8422 section 5.3)."""
    if signed_by(peer.kind) != suite.signed_by:
        raise PeerMisbehaved(WRONG_SIGNATURE_TYPE, suite=suite.name, key=peer.kind)
    curve = NamedGroup.value(peer.kind)
    if curve is not None:
        check_group(offer, curve)


def check_group(offer: Offer, selected: int) -> None:
    """A curve that the server has selected is one that we offered."""
    ours = offer.config.group_12_ids
    if selected not in ours:
        raise PeerMisbehaved(
            GROUP_NOT_OFFERED,
            selected=NamedGroup.name(selected),
            we_offered=[NamedGroup.name(group) for group in ours],
        )


def check_exchange(offer: Offer, peer: PeerIdentity, exchange: ServerKeyExchange, randoms: tuple[bytes, bytes]) -> None:
    """The server's share: of a group that we offered, and signed with its key (RFC 8422 section 5.4)."""
    check_group(offer, exchange.group)
    content = b"".join(randoms) + ServerKeyExchange.params(exchange.group, exchange.public)
    authenticate12.check_signature(peer, offer.config.scheme_12_ids, exchange, content)


def choose_identity(offer: Offer, request: CertificateRequest12) -> Flow[tuple[Identity | None, int]]:
    """Who we are for this server, and the scheme to sign with; (None, 0) for no certificate."""
    config = offer.config
    identities = yield from our_identities(config, request)
    return negotiate12.client_identity(identities, request, chosen=config.choose_identity is not None)
