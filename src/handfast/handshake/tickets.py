"""What a server of TLS 1.3 gives a client to come back with, and early data of those who do (RFC 9846 sections 4.7.1, 8)."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from handfast.config import ClientConfig, ServerConfig
from handfast.crypto.schedule13 import MainSecret, resumption_psk
from handfast.handshake.established import Established, Outcome, session_from
from handfast.handshake.flow import AdmitEarlyData, Flow, SealTicket
from handfast.handshake.link import Link
from handfast.handshake.psk import AGE_MODULUS
from handfast.handshake.terms13 import Terms
from handfast.limits import STATE, TICKETS
from handfast.sessions.session import CLOCKS, Session
from handfast.sessions.verdict import WhyNot
from handfast.wire.hello import ClientHello
from handfast.wire.messages13 import NewSessionTicket

WINDOW: Final = 10_000  # milliseconds by which a ticket's age may be off: clocks drift, and flights take their time
REMEMBERED: Final = (2 * WINDOW + CLOCKS) / 1_000  # seconds: as long as some node could find a copy fresh (section 8.2)
_NONCE: Final = 1  # byte: it tells the tickets of one connection apart


def tickets_for(config: ServerConfig, hello: ClientHello, resumed: bool) -> int:
    """How many tickets this client gets: what it asks for (RFC 9149), up to a limit, or what the configuration says.

    One that has come back by a ticket has used up one, and gets one for it. None that it could not come back with
    (RFC 9846 section 4.3.9).
    """
    modes = hello.psk_key_exchange_modes or b""
    if config.tickets is None or not any(mode in modes for mode in config.psk_mode_ids):
        return 0
    if hello.ticket_request is None:
        return min(config.ticket_count, 1) if resumed else config.ticket_count
    return min(hello.ticket_request[1 if resumed else 0], TICKETS)


def give_tickets(link: Link, config: ServerConfig, terms: Terms, outcome: Outcome, main: MainSecret) -> Flow[None]:
    """NewSessionTicket, as often as the client may want to come back at once: each ticket is good for once."""
    count = tickets_for(config, terms.hello, resumed=terms.comes_back)
    if not count:
        return
    resumption = main.resumption(link.transcript.digest())
    session = session_from(config, outcome, b"", link.clock.wall(), config.ticket_lifetime)
    session.max_early_data = config.max_early_data if config.early_data is not None else 0
    lifetime = session.seconds
    for number in range(count if lifetime > 0 else 0):
        # Each ticket has a key of its own, and hides its age in a way of its own.
        nonce = number.to_bytes(_NONCE)
        session.secret = resumption_psk(outcome.suite, resumption, nonce)
        session.age_add = int.from_bytes(config.entropy.random(4))
        state = session.encode()
        if len(state) > STATE:
            return
        ticket: bytes | None = yield SealTicket(state, lifetime)
        if ticket is None:
            return
        message = NewSessionTicket(lifetime, session.age_add, nonce, ticket)
        if session.max_early_data:
            message.max_early_data_size = session.max_early_data
        link.send(message)


def session_of(end: Established, message: NewSessionTicket, now: datetime, config: ClientConfig) -> Session:
    """What a client makes of a ticket (RFC 9846 section 4.7.1)."""
    outcome = end.outcome
    secret = resumption_psk(outcome.suite, end.resumption, message.ticket_nonce)
    session = session_from(config, outcome, secret, now, message.ticket_lifetime)
    session.ticket = message.ticket
    session.age_add = message.ticket_age_add
    session.max_early_data = message.max_early_data_size or 0
    return session


def admitted_early_data(link: Link, config: ServerConfig, terms: Terms) -> Flow[bool]:
    """Whether we take the client's early data; what we do not take is skipped.

    It has to come with the first PSK, that of a session with the same suite and protocol (RFC 9846 section 4.3.10), as
    old as the client says it is (section 8.3), and nobody may have sent it before (section 8.2).
    """
    chosen, hello = terms.chosen, terms.hello
    if not hello.early_data:
        return False
    session = None if chosen is None or chosen.index else chosen.psk.session
    why_not = _early_objection(config, terms, session, link.clock.wall())
    if why_not is None:
        assert hello.pre_shared_key is not None, "a PSK was chosen"
        admitted = yield AdmitEarlyData(hello.pre_shared_key.binders[0], REMEMBERED)
        why_not = None if admitted is True else WhyNot.NOT_ADMITTED
    if why_not is None:
        assert session is not None, "early data goes with a session"
        link.early_data_left = session.max_early_data
        return True
    if link.resumption is not None:
        link.resumption.why_not_early = why_not
    link.layer.skip_early_data(config.max_early_data)
    return False


def _early_objection(config: ServerConfig, terms: Terms, session: Session | None, now: datetime) -> WhyNot | None:
    """Why this is not what the early data was meant for, or the ticket not as old as the client says; None if it is."""
    if config.early_data is None:
        return WhyNot.OFF
    if session is None:
        return WhyNot.NOT_RESUMED
    if terms.suite.id != session.suite_id:
        return WhyNot.OTHER_SUITE
    if terms.protocol != session.protocol:
        return WhyNot.OTHER_PROTOCOL
    if not session.max_early_data:
        return WhyNot.NOT_ALLOWED
    assert terms.hello.pre_shared_key is not None, "a PSK was chosen"
    claimed = (terms.hello.pre_shared_key.identities[0].obfuscated_ticket_age - session.age_add) % AGE_MODULUS
    return None if abs(claimed - session.age(now)) < WINDOW else WhyNot.WRONG_AGE
