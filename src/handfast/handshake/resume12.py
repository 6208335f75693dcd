"""TLS 1.2 resumed: the abbreviated handshake, by a ticket (RFC 5077) or by an ID of what the server kept.

Figure 2 of RFC 5246 section 7.3, with the ticket of RFC 5077; ``*`` is not always there::

    Client                                               Server

    ClientHello              -------->
                                                    ServerHello
                                              NewSessionTicket*
                                             [ChangeCipherSpec]
                             <--------                 Finished
    [ChangeCipherSpec]
    Finished                 -------->
    Application Data         <------->         Application Data

The main secret is that of the session, and both randoms make new keys of it. Only a session with the extended main secret
is resumed, so it belongs to one handshake alone (RFC 7627 section 5.3).
"""

from __future__ import annotations

from typing import Final

from handfast.config import ServerConfig
from handfast.crypto.schedule12 import MainSecret
from handfast.crypto.suites import Suite
from handfast.errors import PeerMisbehaved
from handfast.handshake import authenticate12, negotiate, usable
from handfast.handshake.authenticate import check_finished
from handfast.handshake.established import Established, Outcome, session_from
from handfast.handshake.flow import CheckPeer, Flow, LoadState, OpenTicket, SealTicket, StoreState, expect
from handfast.handshake.hello import Offer
from handfast.handshake.link import Link
from handfast.handshake.negotiate12 import UNCOMPRESSED
from handfast.limits import STATE
from handfast.reasons import SESSION_CHANGED
from handfast.record.framing import PLAINTEXT_LIMIT
from handfast.sessions.session import Session
from handfast.sessions.verdict import Resumption, WhyNot
from handfast.wire.codepoints import CipherSuite, ProtocolVersion
from handfast.wire.hello import DOWNGRADED_TO_12, ClientHello, ServerHello
from handfast.wire.messages12 import NewSessionTicket12

SESSION_ID_LENGTH: Final = 32
_UNSAID: Final = 86_400  # seconds for which a session is kept where the server does not say (RFC 5246 appendix F.1.4)


# --- the client ---------------------------------------------------------------------------------------------------


def takes_up(offer: Offer, answer: ServerHello) -> bool:
    """Whether the server resumes: it then says the session ID that we sent (RFC 5246 section 7.4.1.3)."""
    session = offer.session
    if session is None or session.version != ProtocolVersion.TLS_1_2 or not answer.legacy_session_id_echo:
        return False
    return answer.legacy_session_id_echo == offer.message.legacy_session_id


def resume_as_client(link: Link, offer: Offer, answer: ServerHello, suite: Suite) -> Flow[Established]:
    """The client's side of Figure 2, after ServerHello."""
    transcript = link.transcript
    session = offer.session
    assert session is not None, "there is a session to resume"
    link.session = session
    if suite.id != session.suite_id:
        raise PeerMisbehaved(SESSION_CHANGED, was=session.suite.name, came=suite.name)
    transcript.use(suite.hash)
    transcript.add(answer)
    main = MainSecret.resumed(suite, session.secret, (offer.message.random, answer.random))
    link.log_secret("CLIENT_RANDOM", offer.message.random, main.secret)
    client_key, server_key = main.record_keys()
    peer = session.peer()

    # The server's ticket, where it renews it, and its Finished.
    ticket = None
    if answer.session_ticket_promised:
        ticket = yield from expect(NewSessionTicket12)
        transcript.add(ticket)
    theirs = yield from authenticate12.receive_finished(link, server_key)
    verified = check_finished(theirs, main.server_finished(transcript.digest()))
    transcript.add(theirs)

    # It is the server of the session. Whether it is still welcome is asked before we say anything.
    if peer is not None and offer.config.check_peer is not None:
        yield CheckPeer(peer)
    authenticate12.send_finished(link, client_key, main.client_finished(transcript.digest()))

    outcome = Outcome(
        ProtocolVersion.TLS_1_2, suite, session.group, session.scheme, 0,
        answer.application_layer_protocol_negotiation, offer.server_name, peer, None, retried=False, resumed=True,
        basis=session.basis,
    )  # fmt: skip
    renewed = ticket is not None and ticket.ticket  # if not, the session goes on as it is
    keeper = session_of(link, offer, outcome, main, ticket, answer) if renewed else None
    return Established(outcome, verified, main.exporter(), theirs.verify_data, session=keeper)


def session_of(
    link: Link, offer: Offer, outcome: Outcome, main: MainSecret, ticket: NewSessionTicket12 | None, answer: ServerHello
) -> Session | None:
    """What a client keeps of a connection of TLS 1.2: by the ticket if there is one, else by the server's session ID."""
    session_id = answer.legacy_session_id_echo
    if not (ticket and ticket.ticket) and not session_id:
        return None
    lifetime = (ticket.ticket_lifetime_hint if ticket else 0) or _UNSAID
    session = session_from(offer.config, outcome, main.secret, link.clock.wall(), lifetime)
    session.ticket = ticket.ticket if ticket else b""
    session.session_id = session_id
    link.session = session
    return session


# --- the server ---------------------------------------------------------------------------------------------------


def known_session(link: Link, config: ServerConfig, hello: ClientHello) -> Flow[Session | None]:
    """The session that the client wants to resume, if we know it and may; None for a full handshake."""
    state: bytes | None = None
    if hello.session_ticket and config.tickets is not None:
        link.resumption = Resumption("ticket")
        state = yield OpenTicket(hello.session_ticket)
    elif hello.legacy_session_id and not hello.session_ticket and config.session_cache is not None:
        state = yield LoadState(hello.legacy_session_id)
        if state is None and ProtocolVersion.TLS_1_3 in (hello.supported_versions or ()):
            return None  # such a client shows an ID for the sake of middleboxes, which means nothing
        link.resumption = Resumption("session ID")
    else:
        if hello.session_ticket:
            link.resumption = Resumption("ticket", why_not=WhyNot.OFF)
        return None
    return (yield from usable.known_session(link, config, hello, state, ProtocolVersion.TLS_1_2))


def resume_as_server(link: Link, config: ServerConfig, hello: ClientHello, session: Session) -> Flow[Established]:
    """The server's side of Figure 2."""
    transcript = link.transcript
    suite = session.suite
    peer = session.peer()

    # ServerHello, and a fresh ticket for a client that has them: the old one may have been seen by others.
    protocol = negotiate.application_protocol(config.protocols, hello.application_layer_protocol_negotiation)
    answer = server_hello(config, hello, suite, protocol, named=False)  # not when resuming (RFC 6066 section 3)
    answer.legacy_session_id_echo = hello.legacy_session_id
    transcript.use(suite.hash)
    link.say(answer)
    agree_on_record_sizes(link, hello, answer)
    main = MainSecret.resumed(suite, session.secret, (hello.random, answer.random))
    link.log_secret("CLIENT_RANDOM", hello.random, main.secret)
    outcome = Outcome(
        ProtocolVersion.TLS_1_2, suite, session.group, 0, session.scheme, protocol, hello.server_name, peer, None,
        retried=False, resumed=True, basis=session.basis,
    )  # fmt: skip
    yield from give_ticket(link, config, answer, outcome, main, session.expires)

    # Our Finished first: the client shows next that it has the session's secret.
    client_key, server_key = main.record_keys()
    ours = authenticate12.send_finished(link, server_key, main.server_finished(transcript.digest()))
    theirs = yield from authenticate12.receive_finished(link, client_key)
    verified = check_finished(theirs, main.client_finished(transcript.digest()))
    if peer is not None and config.check_peer is not None:
        yield CheckPeer(peer)
    return Established(outcome, verified, main.exporter(), ours.verify_data)


def promise(config: ServerConfig, hello: ClientHello, answer: ServerHello) -> None:
    """Say how the client can come back: by a ticket if it has those, else by an ID."""
    if hello.session_ticket is not None and config.tickets is not None:
        answer.session_ticket_promised = True
    elif config.session_cache is not None:
        answer.legacy_session_id_echo = config.entropy.random(SESSION_ID_LENGTH)


def give_ticket(
    link: Link,
    config: ServerConfig,
    answer: ServerHello,
    outcome: Outcome,
    main: MainSecret,
    expires: int | None = None,
) -> Flow[None]:
    """NewSessionTicket, where it was promised: empty if there is none after all (RFC 5077 section 3.3).

    ``expires``: of a session that goes on; it does not live longer for being used.
    """
    if not answer.session_ticket_promised:
        return
    session = session_from(config, outcome, main.secret, link.clock.wall(), config.ticket_lifetime)
    session.expires = expires or session.expires
    seconds, state = session.seconds, session.encode()
    ticket: bytes | None = None
    if seconds > 0 and len(state) <= STATE:
        ticket = yield SealTicket(state, seconds)
    link.say(NewSessionTicket12(seconds if ticket else 0, ticket or b""))


def keep(link: Link, config: ServerConfig, answer: ServerHello, outcome: Outcome, main: MainSecret) -> Flow[None]:
    """Keep the session under the ID that the client was given."""
    if not answer.legacy_session_id_echo or config.session_cache is None:
        return
    session = session_from(config, outcome, main.secret, link.clock.wall(), config.ticket_lifetime)
    seconds, state = session.seconds, session.encode()
    if seconds > 0 and len(state) <= STATE:
        yield StoreState(answer.legacy_session_id_echo, state, seconds)


def server_hello(
    config: ServerConfig, hello: ClientHello, suite: Suite, protocol: bytes | None, *, named: bool
) -> ServerHello:
    """Our answer, with what TLS 1.3 has in EncryptedExtensions. ``named``: we are who the client asked for."""
    random = config.entropy.random(32)
    if ProtocolVersion.TLS_1_3 in config.versions:
        # Both sides may speak TLS 1.3: a client that offered it learns here that its offer did not arrive
        # (RFC 9846 section 4.2.3).
        random = random[: -len(DOWNGRADED_TO_12)] + DOWNGRADED_TO_12
    answer = ServerHello(
        random=random,
        legacy_session_id_echo=b"",
        cipher_suite=suite.id,
        extended_main_secret=True,
        application_layer_protocol_negotiation=protocol,
    )
    if hello.renegotiation_info is not None or CipherSuite.TLS_EMPTY_RENEGOTIATION_INFO_SCSV in hello.cipher_suites:
        answer.renegotiation_info = b""
    if hello.ec_point_formats is not None:
        answer.ec_point_formats = UNCOMPRESSED
    if hello.server_name is not None and named:
        answer.server_name_acknowledged = True
    if hello.record_size_limit is not None:
        answer.record_size_limit = min(config.record_size_limit or PLAINTEXT_LIMIT, PLAINTEXT_LIMIT)
    promise(config, hello, answer)
    return answer


def agree_on_record_sizes(link: Link, hello: ClientHello, answer: ServerHello) -> None:
    """Shorter records in one or both directions, if the client has the extension (RFC 8449 section 4)."""
    if hello.record_size_limit is not None and answer.record_size_limit is not None:
        link.layer.limit_sending(hello.record_size_limit)
        link.layer.limit_receiving(answer.record_size_limit)
