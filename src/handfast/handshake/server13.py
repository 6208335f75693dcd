"""A server of TLS 1.3, after the ClientHello.

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
from handfast.config import ServerConfig
from handfast.errors import PeerIncompatible
from handfast.handshake import negotiate
from handfast.handshake.authenticate import (
    CLIENT_CONTEXT,
    SERVER_CONTEXT,
    certificate_chain,
    check_finished,
    prove_identity,
    verify_identity,
)
from handfast.handshake.established import Established
from handfast.handshake.flow import ChooseIdentity, Flow, VerifyPeer, expect
from handfast.handshake.link import Link
from handfast.handshake.psk import choose_psk, chosen_again, early_secret, known_peer
from handfast.handshake.retry import ask_again
from handfast.handshake.secrets import application_secrets, handshake_secrets
from handfast.handshake.terms13 import Terms
from handfast.handshake.tickets import admitted_early_data, give_tickets, tickets_for
from handfast.reasons import CERTIFICATE_REQUIRED, UNKNOWN_PSK
from handfast.record.framing import PLAINTEXT_LIMIT
from handfast.wire.codepoints import ProtocolVersion
from handfast.wire.extensions import KeyShareEntry
from handfast.wire.hello import ClientHello, ServerHello
from handfast.wire.messages13 import (
    Certificate,
    CertificateRequest,
    EncryptedExtensions,
    EndOfEarlyData,
    Finished,
)


def server13(link: Link, config: ServerConfig, hello: ClientHello) -> Flow[Established]:
    """The server's side of Figure 1 in RFC 9846 section 2, from ServerHello to the client's Finished."""
    transcript = link.transcript
    terms = yield from agree(link, config, hello)
    hello, suite, psk = terms.hello, terms.suite, terms.psk

    # ServerHello: our key share; from here on everything is encrypted.
    early_keys = psk.secret.client_traffic(transcript.digest()) if psk is not None and terms.early else None
    answer, shared_secret = server_hello(link, config, terms)
    link.say(answer)
    if hello.legacy_session_id:
        link.send_change_cipher_spec()
    secret = early_secret(psk, suite).handshake_secret(shared_secret)
    client_handshake, server_handshake = handshake_secrets(link, secret, hello.random)
    link.layer.plaintext_alert_allowed = True
    agree_on_record_sizes(link, config, hello, early=early_keys is not None)
    link.install_keys(read=early_keys or client_handshake, write=server_handshake)

    # EncryptedExtensions, and without a PSK: CertificateRequest where the client has to say who it is, and who we are,
    # by Certificate and CertificateVerify.
    link.say(encrypted_extensions(config, terms))
    request = None
    if terms.identity is not None:
        request = certificate_request(config)
        if request is not None:
            link.say(request)
        yield from prove_identity(link, terms.identity, terms.scheme, SERVER_CONTEXT)

    # Finished: our view of the handshake. What we send next has application keys; what we read does not yet.
    link.say(Finished(server_handshake.verify_data(transcript.digest())))
    main = secret.main_secret()
    client_application, server_application, exporter = application_secrets(link, main, hello.random)
    link.install_keys(write=server_application)

    # With a PSK we know who the client is. Whether it is still welcome is asked before anything that it says counts.
    peer, their_scheme = None, 0
    if psk is not None and early_keys is not None:
        peer, their_scheme = yield from known_peer(config, psk)

    # The end of the client's early data, which goes to the application as it comes, and may be answered at once.
    if early_keys is not None:
        link.answers_early = True
        link.log_secret("CLIENT_EARLY_TRAFFIC_SECRET", hello.random, early_keys.secret)
        link.layer.data_allowed = True
        end = yield from expect(EndOfEarlyData)
        transcript.add(end)
        link.layer.data_allowed = False
        link.early_data_left = None
        agree_on_record_sizes(link, config, hello)
        link.install_keys(read=client_handshake)

    # The client's Certificate and CertificateVerify, where we asked for them.
    if request is not None:
        peer, their_scheme = yield from verify_client(link, config, request)

    # The client's Finished: that it saw the same handshake. Then what it can come back with.
    answered = yield from expect(Finished)
    verified = check_finished(answered, client_handshake.verify_data(transcript.digest()))
    transcript.add(answered)
    link.install_keys(read=client_application)
    if psk is not None and early_keys is None:
        peer, their_scheme = yield from known_peer(config, psk)
    outcome = terms.outcome(peer, their_scheme)
    yield from give_tickets(link, config, terms, outcome, main)
    return Established(outcome, verified, exporter)


def agree(link: Link, config: ServerConfig, hello: ClientHello) -> Flow[Terms]:
    """What we agree to (RFC 9846 section 4.2.1); a missing key share is asked for. Adds the hellos to the transcript."""
    transcript = link.transcript
    negotiate.check_hello(hello)
    suite = negotiate.cipher_suite(config.suite_ids, hello.cipher_suites, config.suite_order == "client")
    chosen = yield from choose_psk(link, config, hello, suite)
    if chosen is not None:
        suite = chosen.suite
    elif is_psk_needed(config, hello):
        raise PeerIncompatible(UNKNOWN_PSK)
    transcript.use(suite.hash)
    share = None if chosen is not None and not chosen.with_dhe else negotiate.key_share(config.group_ids, hello)
    retried = isinstance(share, int) or config.retry == "always"
    early_data = hello.early_data
    if retried:
        transcript.add(hello)
        hello, share = yield from ask_again(link, config, hello, suite, share)
        chosen = chosen_again(link, hello, chosen)
    assert not isinstance(share, int)
    transcript.add(hello)
    psk = None if chosen is None else chosen.psk
    terms = Terms(hello, suite, share, chosen, retried, early_data)
    protocols = hello.application_layer_protocol_negotiation
    if psk is None:
        identity: Identity | None = None
        if config.choose_identity is not None:
            identity = yield ChooseIdentity(hello)
        terms.identity, terms.scheme = negotiate.who_we_are(config, hello, identity)
    terms.protocol = negotiate.application_protocol(config.protocols, protocols)
    terms.early = yield from admitted_early_data(link, config, terms)
    return terms


def is_psk_needed(config: ServerConfig, hello: ClientHello) -> bool:
    """Whether there can be no handshake with certificates: we have keys instead, or the client could verify none."""
    without_certificate = not config.identities and config.choose_identity is None
    return (without_certificate and config.psks is not None) or (
        hello.pre_shared_key is not None and hello.signature_algorithms is None
    )


def server_hello(link: Link, config: ServerConfig, terms: Terms) -> tuple[ServerHello, bytes | None]:
    """Our answer in the clear, and what the key exchange comes to; None where the PSK is all that the key comes from."""
    share, answered, shared_secret = terms.share, None, None
    if share is not None:
        public, shared_secret = link.key_exchange(config.entropy.encapsulate, share.group, share.key_exchange)
        answered = KeyShareEntry(share.group, public)
    answer = ServerHello(
        random=config.entropy.random(32),
        legacy_session_id_echo=terms.hello.legacy_session_id,
        cipher_suite=terms.suite.id,
        selected_version=ProtocolVersion.TLS_1_3,
        key_share=answered,
        selected_identity=None if terms.chosen is None else terms.chosen.index,
    )
    return answer, shared_secret


def encrypted_extensions(config: ServerConfig, terms: Terms) -> EncryptedExtensions:
    """The answers that are nobody else's business (RFC 9846 section 4.4.1)."""
    hello = terms.hello
    extensions = EncryptedExtensions(application_layer_protocol_negotiation=terms.protocol)
    # Not when resuming (RFC 6066 section 3): the session has a name already.
    named = terms.identity is not None and terms.identity.fits(hello.server_name)
    if hello.server_name is not None and named:
        extensions.server_name_acknowledged = True
    if hello.record_size_limit is not None:
        extensions.record_size_limit = config.record_size_limit or PLAINTEXT_LIMIT + 1
    if hello.ticket_request is not None and config.tickets is not None:
        extensions.expected_tickets = tickets_for(config, hello, resumed=terms.comes_back)
    if terms.early:
        extensions.early_data = True
    return extensions


def agree_on_record_sizes(link: Link, config: ServerConfig, hello: ClientHello, *, early: bool = False) -> None:
    """Shorter records in one or both directions, if the client has the extension (RFC 8449 section 4).

    ``early``: what comes next was sent before the client could know our limit.
    """
    if hello.record_size_limit is None:
        return
    link.layer.limit_sending(hello.record_size_limit - 1)
    if not early:
        link.layer.limit_receiving(config.record_size_limit or PLAINTEXT_LIMIT + 1)


def certificate_request(config: ServerConfig) -> CertificateRequest | None:
    """How a client is asked who it is (RFC 9846 section 4.4.2); None if it is not."""
    if config.demand == "none":
        return None
    return CertificateRequest(
        signature_algorithms=list(config.scheme_ids),
        signature_algorithms_cert=list(config.certificate_scheme_ids),
        certificate_authorities=config.authorities(),
    )


def verify_client(
    link: Link, config: ServerConfig, request: CertificateRequest
) -> Flow[tuple[PeerIdentity | None, int]]:
    """The client's Certificate and CertificateVerify: who it is, and the scheme it signed with.

    (None, 0) for a client without certificate, where it may do without (RFC 9846 section 4.5.1.3).
    """
    certificate = yield from expect(Certificate)
    link.transcript.add(certificate)
    chain = certificate_chain(certificate, request.extension_types)
    if chain:
        question = VerifyPeer(chain, link.clock.wall(), "client")
        return (yield from verify_identity(link, config, question, CLIENT_CONTEXT))
    if config.demand == "required":
        raise PeerIncompatible(CERTIFICATE_REQUIRED)
    return None, 0
