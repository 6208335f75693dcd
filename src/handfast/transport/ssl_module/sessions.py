"""SSLSession: a session of ours, with the attributes that ``ssl`` gives one; and what ``ssl`` refuses of sessions."""

from __future__ import annotations

import hmac
import ssl
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from handfast.sessions.session import Session

_LABEL: Final = b"handfast: id of an ssl session"


class Unstored:
    """A SessionStore that keeps nothing: clients of ``ssl`` get tickets, and the program itself keeps what it wants."""

    def put(self, session: Session) -> None:
        """The connection has it."""

    def forget(self, session: Session) -> None:
        """The program has it."""

    def take(self, server_name: str | None) -> None:
        """The program gives one, or none."""


UNSTORED: Final = Unstored()


class SSLSession:
    """What ``SSLSocket.session`` and ``SSLObject.session`` are on a client. It belongs to one context.

    Two are equal if they are of the same session, as with ``ssl``: in TLS 1.3 each ticket is one, in TLS 1.2 a resumed
    connection goes on with that of the first.

    ``resumable``  what it holds; None where the server has given nothing to come back with, or not yet: in TLS 1.3
                   tickets come after the handshake, and are seen by the first read
    """

    __slots__ = ("begun", "context", "id", "resumable")

    def __init__(self, context: object, resumable: Session | None, now: float, earlier: SSLSession | None) -> None:
        """``now``: seconds since 1970; ``earlier``: the one that was resumed, which this may be the same as."""
        self.context = context
        self.resumable = resumable
        self.id = b"" if resumable is None else _id_of(resumable)
        self.begun = int(now * 1_000) if resumable is None else resumable.issued
        if resumable is not None and earlier == self:
            assert earlier is not None
            self.begun = earlier.begun  # a ticket was renewed, and the session goes on

    @property
    def time(self) -> int:
        """When it began, in seconds since 1970."""
        return self.begun // 1_000

    @property
    def timeout(self) -> int:
        """Seconds for which it may be resumed, from ``time`` on; 0 where it cannot be."""
        session = self.resumable
        return 0 if session is None else -((self.begun - session.expires) // 1_000)  # lifetimes are whole seconds

    @property
    def has_ticket(self) -> bool:
        """Whether the server has given a ticket, and not just an ID."""
        return self.resumable is not None and bool(self.resumable.ticket)

    @property
    def ticket_lifetime_hint(self) -> int:
        """Seconds that the ticket is good for; 0 without a ticket."""
        return self.timeout if self.has_ticket else 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SSLSession) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<SSLSession {self.id.hex()[:16] or 'that cannot be resumed'}>"


def _id_of(session: Session) -> bytes:
    """32 bytes that tell sessions apart. It comes from the secret, which it does not show: a ticket may be renewed."""
    by_name = session.session_id and not session.ticket
    return session.session_id if by_name else hmac.digest(session.secret, _LABEL, "sha256")


def checked(session: Any, context: object, server_side: bool, shaken: bool) -> SSLSession:
    """The session, where it can be set. Raises what ``ssl`` raises where it cannot."""
    if not isinstance(session, (SSLSession, ssl.SSLSession)):
        raise TypeError("Value is not a SSLSession.")
    if not isinstance(session, SSLSession) or session.context is not context:
        raise ValueError("Session refers to a different SSLContext.")
    if server_side:
        raise ValueError("Cannot set session for server-side SSLSocket.")
    if shaken:
        raise ValueError("Cannot set session after handshake.")
    return session
