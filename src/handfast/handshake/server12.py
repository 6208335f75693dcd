"""A server of TLS 1.2, after the ClientHello.

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

from handfast.certificates.identity import Identity, PeerIdentity
from handfast.config import ServerConfig
from handfast.crypto.schedule12 import MainSecret
from handfast.errors import PeerIncompatible
from handfast.handshake import authenticate12, negotiate12
from handfast.handshake.authenticate import check_finished
from handfast.handshake.established import Established, Outcome
from handfast.handshake.flow import ChooseIdentity, Flow, Sign, VerifyPeer, expect
from handfast.handshake.link import Link
from handfast.handshake.negotiate12 import UNCOMPRESSED, Terms12
from handfast.reasons import CERTIFICATE_REQUIRED_12
from handfast.record.framing import PLAINTEXT_LIMIT
from handfast.wire.alert import ChangeCipherSpec
from handfast.wire.codepoints import CipherSuite, ProtocolVersion
from handfast.wire.hello import DOWNGRADED_TO_12, ClientHello, ServerHello
from handfast.wire.messages12 import (
    Certificate12,
    ClientKeyExchange,
    Finished12,
    ServerHelloDone,
    ServerKeyExchange,
)


def server12(link: Link, config: ServerConfig, hello: ClientHello) -> Flow[Established]:
    """The server's side of Figure 1 in RFC 5246 section 7.3, from ServerHello to its Finished."""
    transcript = link.transcript
    transcript.add(hello)
    link.layer.change_cipher_spec_allowed = False

    # What we agree to.
    link.check_no_excess()
    negotiate12.check_hello(hello)
    chosen: Identity | None = None
    if config.choose_identity is not None:
        chosen = yield ChooseIdentity(hello)
    terms = negotiate12.terms(config, hello, chosen)
    suite = terms.suite
    asking = config.client_authentication != "none"

    # ServerHello and Certificate: in the clear, for everybody to see.
    answer = server_hello(config, hello, terms)
    link.say(answer)
    if asking:
        transcript.use_and_keep(suite.hash)
    else:
        transcript.use(suite.hash)
    agree_on_record_sizes(link, hello, answer)
    link.say(Certificate12(list(terms.identity.chain)))

    # ServerKeyExchange: our share, signed together with both randoms, so that it is fresh and ours.
    randoms = (hello.random, answer.random)
    [share] = link.key_exchange(config.entropy.new_shares, (terms.group,))
    yield from send_share(link, terms, share.public, randoms)

    # CertificateRequest where the client has to say who it is, and ServerHelloDone: it is the client's turn.
    if asking:
        link.say(authenticate12.certificate_request(config))
    link.say(ServerHelloDone())

    # The client's certificate, where we asked for one, and its share. Both sides have the main secret then.
    chain = (yield from client_chain(link, config)) if asking else ()
    theirs = yield from expect(ClientKeyExchange)
    transcript.add(theirs)
    shared_secret = link.key_exchange(share.open, theirs.public)
    main = MainSecret(suite, shared_secret, transcript.digest(), randoms)
    link.log_secret("CLIENT_RANDOM", hello.random, main.secret)

    # The client's CertificateVerify: that it holds the key of its certificate.
    peer: PeerIdentity | None = None
    their_scheme = 0
    if chain:
        question = VerifyPeer(chain, link.clock.wall(), "client")
        peer, their_scheme = yield from authenticate12.verify_client(link, config, question)
    transcript.drop_kept()

    # The client's ChangeCipherSpec and Finished: that it saw the same handshake.
    client_key, server_key = main.record_keys()
    link.layer.change_cipher_spec_allowed = True
    yield from expect(ChangeCipherSpec)
    link.layer.change_cipher_spec_allowed = False
    link.install_keys(read=client_key)
    finished = yield from expect(Finished12)
    verified = check_finished(finished, main.client_finished(transcript.digest()))
    link.check_no_excess()
    transcript.add(finished)

    # Ours.
    link.send_change_cipher_spec()
    link.install_keys(write=server_key)
    link.send(Finished12(main.server_finished(transcript.digest())))

    outcome = Outcome(
        ProtocolVersion.TLS_1_2, suite, terms.group, terms.scheme, their_scheme, terms.protocol, hello.server_name, peer,
        terms.identity, retried=False,
    )  # fmt: skip
    return Established(outcome, verified, main.exporter(), finished.verify_data)


def send_share(link: Link, terms: Terms12, public: bytes, randoms: tuple[bytes, bytes]) -> Flow[None]:
    """ServerKeyExchange: that the share is ours, and of this connection (RFC 8422 section 5.4)."""
    content = b"".join(randoms) + ServerKeyExchange.params(terms.group, public)
    signature: bytes = yield Sign(terms.identity, terms.scheme, content)
    link.say(ServerKeyExchange(terms.group, public, terms.scheme, signature))


def server_hello(config: ServerConfig, hello: ClientHello, terms: Terms12) -> ServerHello:
    """Our answer, with what TLS 1.3 has in EncryptedExtensions."""
    random = config.entropy.random(32)
    if ProtocolVersion.TLS_1_3 in config.versions:
        # Both sides may speak TLS 1.3: a client that offered it learns here that its offer did not arrive
        # (RFC 9846 section 4.2.3).
        random = random[: -len(DOWNGRADED_TO_12)] + DOWNGRADED_TO_12
    answer = ServerHello(
        random=random,
        legacy_session_id_echo=b"",  # there is nothing to resume by it
        cipher_suite=terms.suite.id,
        extended_main_secret=True,
        application_layer_protocol_negotiation=terms.protocol,
    )
    if hello.renegotiation_info is not None or CipherSuite.TLS_EMPTY_RENEGOTIATION_INFO_SCSV in hello.cipher_suites:
        answer.renegotiation_info = b""
    if hello.ec_point_formats is not None:
        answer.ec_point_formats = UNCOMPRESSED
    if hello.server_name is not None and terms.identity.fits(hello.server_name):
        answer.server_name_acknowledged = True
    if hello.record_size_limit is not None:
        answer.record_size_limit = min(config.record_size_limit or PLAINTEXT_LIMIT, PLAINTEXT_LIMIT)
    return answer


def agree_on_record_sizes(link: Link, hello: ClientHello, answer: ServerHello) -> None:
    """Shorter records in one or both directions, if the client has the extension (RFC 8449 section 4)."""
    if hello.record_size_limit is not None and answer.record_size_limit is not None:
        link.layer.limit_sending(hello.record_size_limit)
        link.layer.limit_receiving(answer.record_size_limit)


def client_chain(link: Link, config: ServerConfig) -> Flow[tuple[bytes, ...]]:
    """The client's chain; empty for a client without certificate, where it may do without."""
    certificate = yield from expect(Certificate12)
    link.transcript.add(certificate)
    if not certificate.certificate_list and config.client_authentication == "required":
        raise PeerIncompatible(CERTIFICATE_REQUIRED_12)
    return tuple(certificate.certificate_list)
