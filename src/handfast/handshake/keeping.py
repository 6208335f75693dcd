"""What a client keeps of a connection to come back with, and what it keeps no more."""

from __future__ import annotations

import contextlib

from handfast.config import ClientConfig
from handfast.crypto.guard import Guarded
from handfast.errors import ConnectionFailed, HandshakeTimeout, TLSError, TruncationError
from handfast.handshake.established import Established
from handfast.handshake.link import Link
from handfast.handshake.tickets import session_of
from handfast.limits import TICKET_OFFERED, TICKETS_TAKEN
from handfast.sessions.session import Session
from handfast.wire.messages13 import NewSessionTicket


class Keeping(Guarded):
    """Between a client's connection and the store of its configuration, if it has one."""

    __slots__ = ("_config", "_link", "_tickets")

    def __init__(self, config: ClientConfig, link: Link) -> None:
        self._config = config
        self._link = link
        self._tickets = 0

    def ticket(self, end: Established | None, message: NewSessionTicket) -> Session | None:
        """The session that a ticket is for (RFC 9846 section 4.7.1).

        None if the connection was closed meanwhile, for a ticket that is to be thrown away at once, and for one too many.
        """
        if end is None or not message.ticket_lifetime or self._tickets >= TICKETS_TAKEN:
            return None
        self._tickets += 1
        return self.keep(session_of(end, message, self._link.clock.wall(), self._config))

    def keep(self, session: Session) -> Session:
        """Give it to the store, unless it could never be offered."""
        store = self._config.sessions
        if store is not None and session.trust and len(session.ticket) <= TICKET_OFFERED:
            store.put(session)
        return session

    def failed(self, error: TLSError) -> None:
        """A session of TLS 1.2 whose connection ended with a fatal alert must not be resumed (RFC 5246 section 7.2.2)."""
        session, store = self._link.session, self._config.sessions
        if session is None or store is None:
            return
        if not isinstance(error, TruncationError | ConnectionFailed | HandshakeTimeout):
            with contextlib.suppress(Exception):  # it must not hide the cause
                store.forget(session)
