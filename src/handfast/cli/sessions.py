"""What `handfast connect` keeps to come back with, and what came of it: whether a session was offered, taken, or why not."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from handfast.config import ClientConfig
from handfast.crypto.suites import SUITES
from handfast.errors import ConfigurationError, shown
from handfast.events import Handshake
from handfast.handshake.usable import obstacle
from handfast.observe.phrases import count
from handfast.reasons import FILE_UNREADABLE
from handfast.sessions.memory import MemorySessions
from handfast.sessions.session import Session
from handfast.sessions.verdict import WhyNot
from handfast.transport.stores.file import FileSessions, exposed
from handfast.wire.codepoints import CipherSuite, ProtocolVersion

_NOT_SAID: Final = (
    "it was offered, and the server did not take it. It does not say why: the key of its tickets may have changed, the "
    "ticket may have been used before, or the server wants to see more than a session"
)
_NONE: Final = {
    "none": "no session with this server is kept",
    "expired": "the session that was kept has expired",
    "failed": "the sessions that are kept could not be read",
}
_NOT_OFFERED: Final = {
    WhyNot.OTHER_VERSION: "the session that is kept is of {version}, which is not offered",
    WhyNot.OTHER_HASH: "the session that is kept goes with {hash}, and no suite with that is offered",
    WhyNot.OTHER_SUITE: "the session that is kept is of {suite}, which is not offered",
    WhyNot.OTHER_NAME: "the session that is kept is of {name}",
    WhyNot.OTHER_TRUST: "the session that is kept stands on other trusted roots or rules than these (--ca, --relax)",
    WhyNot.OTHER_IDENTITY: "in the session that is kept we showed a certificate that --cert does not name now",
    WhyNot.EXPIRED: "the session that is kept has expired",
    WhyNot.TICKET_TOO_LONG: "the ticket of the session that is kept is too long for a hello",
}
_NOT_TAKEN: Final = {
    WhyNot.OTHER_VERSION: "the session is of {version}, and the server chose {chosen_version}",
    WhyNot.OTHER_HASH: "the server chose a suite with {chosen_hash}, and the session goes with {hash}",
}
_NOT_EARLY: Final = {
    WhyNot.RETRIED: "the server asked for a second hello, and early data goes with the first one only",
    WhyNot.NOT_RESUMED: "the server did not take the session, so it could not read what came with it",
    WhyNot.OTHER_SUITE: "the server chose {chosen_suite}, and early data needs the session's own suite",
    WhyNot.OTHER_PROTOCOL: "the application protocol is another one than in the session",
    WhyNot.NOT_TAKEN: "the server resumed, and would not take it: it may have seen it before, or not be sure that it has not",
}
_NOT_SENT: Final = {
    WhyNot.NOT_RESUMED: "the session is of {version}, which has no early data",
    WhyNot.NOT_ALLOWED: "the server's ticket allows {allowed}",
    WhyNot.OTHER_SUITE: "the session is of {suite}, which is not offered",
    WhyNot.OTHER_PROTOCOL: "it would be for the application protocol {protocol}, which is not offered",
}


class Keeper:
    """A SessionStore over a file, or over the memory of this run: it notes what each connection took from it and got.

    ``config``  the configuration that it is part of, once there is one
    """

    def __init__(self, path: Path | None, warn: Any) -> None:
        self._store: FileSessions | MemorySessions
        self._store = MemorySessions() if path is None else FileSessions(path, warn=warn)
        self.path = path
        self.config: ClientConfig | None = None
        self.visit = Visit()

    def take(self, server_name: str | None) -> Session | None:
        """The newest session."""
        before = self._store.counts
        session = self._store.take(server_name)
        visit = self.visit
        if session is None:
            after = self._store.counts
            word = next((name for name in _NONE if after.get(name, 0) > before.get(name, 0)), "none")
            visit.why_not = _NONE[word]
            return None
        assert self.config is not None, "the configuration has this store"
        now = datetime.now(UTC)
        refused = obstacle(self.config, session, server_name, now)
        visit.why_not = "" if refused is None else _words(_NOT_OFFERED, refused, session)
        visit.session = session
        visit.age = session.age(now) / 1_000
        return session

    def forget(self, session: Session) -> None:
        """Keep a session no more."""
        self._store.forget(session)

    def put(self, session: Session) -> None:
        """Keep a session: a new one, or one that was taken and may not be offered."""
        if session is not self.visit.session:
            self.visit.received.append(session)
        self._store.put(session)


@dataclass
class Visit:
    """What one connection had to come back with, and what it got for the next one.

    ``session``   that was kept, ``age`` its seconds then
    ``why_not``   why there was none to offer; "" if there was one, or nobody has looked yet
    ``received``  the sessions for the next one
    """

    session: Session | None = None
    age: float = 0.0
    why_not: str = ""
    received: list[Session] = field(default_factory=list)

    @property
    def offered(self) -> bool:
        """Whether there was a session to offer."""
        return self.session is not None and not self.why_not

    def why_full(self, facts: Handshake) -> str:
        """Why the handshake was a full one; "" if it was not."""
        if facts.resumed:
            return ""
        if self.session is None or self.why_not:
            return self.why_not or "there was no session to offer"
        why = facts.resumption.why_not if facts.resumption is not None else None
        return _NOT_SAID if why not in _NOT_TAKEN else _words(_NOT_TAKEN, why, self.session, facts)

    @property
    def lifetime(self) -> float | None:
        """Seconds for which the newest of the sessions received may be used; None if there is none."""
        newest = self.received[-1] if self.received else None
        return None if newest is None else (newest.expires - newest.issued) / 1_000

    def document(self, facts: Handshake | None) -> dict[str, Any]:
        """For --json."""
        newest = self.received[-1] if self.received else None
        return {
            "offered": self.offered,
            "age_s": round(self.age, 3) if self.offered else None,
            "why_not": (None if facts is None else self.why_full(facts)) or self.why_not or None,
            "received": len(self.received),
            "lifetime_s": self.lifetime,
            "max_early_data": None if newest is None else newest.max_early_data,
        }


def _words(table: Mapping[WhyNot, str], why: WhyNot, session: Session, facts: Handshake | None = None) -> str:
    """A reason of the engine's, with what the session is of, and what was chosen."""
    details = {
        "version": ProtocolVersion.name(session.version),
        "suite": session.suite.name,
        "hash": _hash(session.suite.hash),
        "name": shown(session.server_name or "no name"),
        "protocol": shown(session.protocol or b""),
        "allowed": count(session.max_early_data, "byte") if session.max_early_data else "none",
    }
    if facts is not None:
        suite = SUITES.get(CipherSuite.value(facts.cipher_suite) or 0, session.suite)
        details |= {"chosen_version": facts.version, "chosen_suite": suite.name, "chosen_hash": _hash(suite.hash)}
    return table.get(why, why.value).format(**details)


@dataclass(frozen=True)
class Early:
    """The data of --early-data, and what came of it on one connection.

    ``outcome``     "accepted", "rejected", or "not sent" early
    ``why``         where it was not accepted
    ``misfit``      whether it was made for another application protocol than the one that was agreed
    ``sent_again``  whether it was sent after the handshake
    ``answer``      bytes that the server then sent, the first of them after ``waited`` seconds from the start
    """

    size: int
    outcome: str
    why: str = ""
    misfit: bool = False
    sent_again: bool = False
    answer: int = 0
    waited: float | None = None

    def document(self) -> dict[str, Any]:
        """For --json."""
        return {
            "bytes": self.size,
            "outcome": self.outcome,
            "why": self.why or None,
            "sent_again": self.sent_again,
            "answer_bytes": self.answer,
            "answered_after_ms": None if self.waited is None else round(self.waited * 1_000, 3),
        }


def early(facts: Handshake, visit: Visit, size: int) -> Early:
    """What the handshake made of early data."""
    if facts.early_data == "accepted":
        return Early(size, "accepted")
    outcome = "rejected" if facts.early_data == "rejected" else "not sent"
    why = None if facts.resumption is None else facts.resumption.why_not_early
    if visit.session is None or why is None or not visit.offered:
        return Early(size, outcome, visit.why_not or "there was no session to send it by")
    words = _words(_NOT_EARLY if outcome == "rejected" else _NOT_SENT, why, visit.session, facts)
    misfit = (facts.alpn or "").encode() != (visit.session.protocol or b"")
    return Early(size, outcome, f"{words}; so it is not sent at all" if misfit else words, misfit)


def read_early_data(path: Path) -> bytes:
    """The file of --early-data. Raises ConfigurationError."""
    try:
        data = path.read_bytes()
    except OSError as error:
        problem = error.strerror or type(error).__name__
        raise ConfigurationError(FILE_UNREADABLE, file=str(path), problem=problem) from None
    if not data:
        raise ConfigurationError(setting="--early-data", problem="there is nothing in the file", file=str(path))
    return data


def warning_of(path: Path) -> str:
    """That FileSessions believes nothing in a file, and why; "" if it does."""
    try:
        about = path.stat()
    except OSError:
        return ""
    why = exposed(about) if stat.S_ISREG(about.st_mode) else ""
    return f"{shown(path)} {why}: its sessions are not used" if why else ""


def _hash(name: str) -> str:
    return name.upper().replace("SHA", "SHA-")
