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

from handfast.certificates.identity import Identity
from handfast.certificates.peer import PeerIdentity
from handfast.config import ServerConfig
from handfast.crypto.schedule12 import MainSecret
from handfast.errors import PeerIncompatible
from handfast.handshake import authenticate12, negotiate12
from handfast.handshake.authenticate import check_finished
from handfast.handshake.established import Established, Outcome
from handfast.handshake.flow import ChooseIdentity, Flow, Sign, VerifyPeer, expect
from handfast.handshake.link import Link
from handfast.handshake.negotiate12 import Terms12
from handfast.handshake.resume12 import (
    agree_on_record_sizes,
    give_ticket,
    keep,
    known_session,
    resume_as_server,
    server_hello,
)
from handfast.reasons import CERTIFICATE_REQUIRED_12
from handfast.sessions.session import Basis
from handfast.wire.codepoints import ProtocolVersion
from handfast.wire.hello import ClientHello
from handfast.wire.messages12 import (
    Certificate12,
    ClientKeyExchange,
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
    session = yield from known_session(link, config, hello)
    if session is not None:
        return (yield from resume_as_server(link, config, hello, session))
    chosen: Identity | None = None
    if config.choose_identity is not None:
        chosen = yield ChooseIdentity(hello)
    terms = negotiate12.terms(config, hello, chosen)
    suite = terms.suite
    asking = config.demand != "none"

    # ServerHello and Certificate: in the clear, for everybody to see.
    named = hello.server_name is not None and terms.identity.fits(hello.server_name)
    answer = server_hello(config, hello, suite, terms.protocol, named=named)
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
    finished = yield from authenticate12.receive_finished(link, client_key)
    verified = check_finished(finished, main.client_finished(transcript.digest()))
    transcript.add(finished)

    # Ours, and what the client can come back with.
    outcome = Outcome(
        ProtocolVersion.TLS_1_2, suite, terms.group, terms.scheme, their_scheme, terms.protocol, hello.server_name, peer,
        terms.identity, retried=False, basis=Basis(shown=terms.identity.fingerprint),
    )  # fmt: skip
    yield from give_ticket(link, config, answer, outcome, main)
    yield from keep(link, config, answer, outcome, main)
    authenticate12.send_finished(link, server_key, main.server_finished(transcript.digest()))
    return Established(outcome, verified, main.exporter(), finished.verify_data)


def send_share(link: Link, terms: Terms12, public: bytes, randoms: tuple[bytes, bytes]) -> Flow[None]:
    """ServerKeyExchange: that the share is ours, and of this connection (RFC 8422 section 5.4)."""
    content = b"".join(randoms) + ServerKeyExchange.params(terms.group, public)
    signature: bytes = yield Sign(terms.identity, terms.scheme, content)
    link.say(ServerKeyExchange(terms.group, public, terms.scheme, signature))


def client_chain(link: Link, config: ServerConfig) -> Flow[tuple[bytes, ...]]:
    """The client's chain; empty for a client without certificate, where it may do without."""
    certificate = yield from expect(Certificate12)
    link.transcript.add(certificate)
    if not certificate.certificate_list and config.demand == "required":
        raise PeerIncompatible(CERTIFICATE_REQUIRED_12)
    return tuple(certificate.certificate_list)
