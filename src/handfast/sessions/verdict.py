"""Whether a client could come back, and if not, why not: for those who run clients and servers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Literal

from handfast.sessions.session import Session
from handfast.wire.codepoints import ProtocolVersion


class WhyNot(Enum):
    """Why a session was not resumed, or early data not sent or not taken. Its value is a sentence."""

    OFF = "none is taken here"
    NONE_KEPT = "no session with this server is kept"
    UNKNOWN = "the name of the session is not known here: it is old, of another server, or forged"
    EXPIRED = "the session has expired"
    OTHER_VERSION = "the session is of another version"
    OTHER_SUITE = "the session is of another cipher suite"
    OTHER_HASH = "the session goes with another hash"
    OTHER_NAME = "the session is of another server name"
    OTHER_TRUST = "the session stands on other trusted roots or rules"
    OTHER_IDENTITY = "the session stands on another identity of the client's, or on none"
    OTHER_CERTIFICATE = "the session was made under a certificate that is not shown here, or not for this name"
    OTHER_ALGORITHM = "the session stands on an algorithm that is not accepted any more"
    OTHER_PROTOCOL = "the session is of another application protocol"
    OTHER_MODE = "there is no common way to use a pre-shared key"
    TICKET_TOO_LONG = "the ticket is too long for a ClientHello"
    NOT_TAKEN = "the server did not take it, and does not say why"
    # Of early data alone.
    NOT_RESUMED = "no session was resumed that it could go with"
    RETRIED = "the server asked for a second hello, and early data goes with the first one only"
    NOT_ALLOWED = "the session allows none, or less"
    WRONG_AGE = "the ticket is not as old as the client says: it may have been held up on the way, or be a replay"
    NOT_ADMITTED = "it is a replay, or the replay guard cannot be sure that it is none"


@dataclass(slots=True)
class Resumption:
    """What became of what a client had to come back with.

    ``by``             what it has shown: "ticket", "session ID" (TLS 1.2), or "external PSK"; None if it showed nothing
    ``age``            seconds since the session was made; None where that is not known
    ``identity``       of the key from outside that was used: its name, as it was given or imported
    ``why_not``        why it was not resumed; None if it was
    ``differs``        where ``why_not`` says that something is another one: what the session has ("TLSv1.2", a name)
    ``why_not_early``  why early data was not sent, or not taken; None if it was taken, or there was none
    """

    by: Literal["ticket", "session ID", "external PSK"] | None = None
    age: float | None = None
    identity: bytes | None = None
    why_not: WhyNot | None = None
    differs: str = ""
    why_not_early: WhyNot | None = None

    def seen(self, session: Session, now: datetime) -> None:
        """The session is known."""
        self.age = session.age(now) / 1_000

    def refuse(self, why: WhyNot, session: Session | None = None) -> None:
        """It is not resumed."""
        self.why_not = why
        self.differs = "" if session is None else _differs(why, session)


def _differs(why: WhyNot, session: Session) -> str:
    if why is WhyNot.OTHER_VERSION:
        return ProtocolVersion.name(session.version)
    if why is WhyNot.OTHER_SUITE:
        return session.suite.name
    if why is WhyNot.OTHER_HASH:
        return session.suite.hash
    return (session.server_name or "") if why is WhyNot.OTHER_NAME else ""
