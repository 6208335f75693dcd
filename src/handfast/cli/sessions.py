"""What `handfast connect` keeps to come back with, and what came of it: whether a session was offered, taken, or why not."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from handfast.config import ClientConfig
from handfast.crypto.suites import SUITES
from handfast.errors import ConfigurationError, shown
from handfast.events import Handshake
from handfast.observe.phrases import count
from handfast.reasons import FILE_UNREADABLE
from handfast.sessions.memory import MemorySessions
from handfast.sessions.session import Session
from handfast.transport.stores.file import FileSessions
from handfast.wire.codepoints import CipherSuite, ProtocolVersion

_TLS13: Final = ProtocolVersion.TLS_1_3
_NOT_SAID: Final = (
    "it was offered, and the server did not take it. It does not say why: the key of its tickets may have changed, the "
    "ticket may have been used before, or the server wants to see more than a session"
)
_NONE: Final = {
    "none": "no session with this server is kept",
    "expired": "the session that was kept has expired",
    "failed": "the sessions that are kept could not be read",
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
        """The newest session, if it may be offered; one that may not under these options is left for others."""
        before = self._store.counts
        session = self._store.take(server_name)
        visit = self.visit
        if session is None:
            after = self._store.counts
            word = next((name for name in _NONE if after.get(name, 0) > before.get(name, 0)), "none")
            visit.why_not = _NONE[word]
            return None
        assert self.config is not None, "the configuration has this store"
        visit.why_not = why_not_offered(self.config, session, server_name, datetime.now(UTC))
        if visit.why_not:
            if session.version == _TLS13:  # which was taken out
                self._store.put(session)
            return None
        visit.session = session
        visit.age = session.age(datetime.now(UTC)) / 1_000
        return session

    def put(self, session: Session) -> None:
        """Keep a session."""
        self.visit.received.append(session)
        self._store.put(session)


@dataclass
class Visit:
    """What one connection had to come back with, and what it got for the next one.

    ``session``   that it offered, ``age`` its seconds then
    ``why_not``   why it had none to offer; "" if it had one, or nobody has looked yet
    ``received``  the sessions for the next one
    """

    session: Session | None = None
    age: float = 0.0
    why_not: str = ""
    received: list[Session] = field(default_factory=list)

    def why_full(self, facts: Handshake) -> str:
        """Why the handshake was a full one; "" if it was not."""
        if facts.resumed:
            return ""
        if self.session is None:
            return self.why_not or "there was no session to offer"
        version, suite = ProtocolVersion.name(self.session.version), self.session.suite
        if facts.version != version:
            return f"the session is of {version}, and the server chose {facts.version}"
        chosen = SUITES.get(CipherSuite.value(facts.cipher_suite) or 0)
        if chosen is not None and chosen.hash != suite.hash:
            return f"the server chose a suite with {_hash(chosen.hash)}, and the session goes with {_hash(suite.hash)}"
        return _NOT_SAID

    @property
    def lifetime(self) -> float | None:
        """Seconds for which the newest of the sessions received may be used; None if there is none."""
        newest = self.received[-1] if self.received else None
        return None if newest is None else (newest.expires - newest.issued) / 1_000

    def document(self, facts: Handshake | None) -> dict[str, Any]:
        """For --json."""
        newest = self.received[-1] if self.received else None
        return {
            "offered": self.session is not None,
            "age_s": None if self.session is None else round(self.age, 3),
            "why_not": (None if facts is None else self.why_full(facts)) or self.why_not or None,
            "received": len(self.received),
            "lifetime_s": self.lifetime,
            "max_early_data": None if newest is None else newest.max_early_data,
        }


def why_not_offered(config: ClientConfig, session: Session, server_name: str | None, now: datetime) -> str:
    """Why a session may not be offered with these options: the checks of psk.may_resume, in words; "" if it may."""
    version = ProtocolVersion.name(session.version)
    in_13 = session.version == _TLS13
    suites = config.suite_ids if in_13 else config.suite_12_ids
    if session.version not in config.versions:
        return f"the session that is kept is of {version}, which is not offered"
    if in_13 and session.suite.hash not in {SUITES[suite].hash for suite in suites if suite in SUITES}:
        return f"the session that is kept goes with {_hash(session.suite.hash)}, and no suite with that is offered"
    if not in_13 and session.suite_id not in suites:
        return f"the session that is kept is of {session.suite.name}, which is not offered"
    if session.server_name != server_name:
        return f"the session that is kept is of {shown(session.server_name or 'no name')}"
    if not session.trust or session.trust != config.trust_id:
        return "the session that is kept stands on other trusted roots or rules than these (--ca, --relax)"
    if session.identity and session.identity not in {identity.fingerprint for identity in config.identities}:
        return "in the session that is kept we showed a certificate that --cert does not name now"
    if not session.is_valid(now):
        return "the session that is kept has expired"
    return ""


@dataclass(frozen=True)
class Early:
    """The data of --early-data, and what came of it on one connection.

    ``outcome``     "accepted", "rejected", or "not sent" early
    ``why``         where it was not accepted
    ``sent_again``  whether it was sent after the handshake
    ``answer``      bytes that the server then sent, the first of them after ``waited`` seconds from the start
    """

    size: int
    outcome: str
    why: str = ""
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


def early(facts: Handshake, visit: Visit, size: int, config: ClientConfig) -> Early:
    """What the handshake made of early data."""
    if facts.early_data == "accepted":
        return Early(size, "accepted")
    if facts.early_data == "rejected":
        return Early(size, "rejected", _why_rejected(facts, visit))
    return Early(size, "not sent", why_not_early(visit, size, config))


def _why_rejected(facts: Handshake, visit: Visit) -> str:
    if facts.hello_retry_request:
        return "the server asked for a second hello, and early data goes with the first one only"
    if not facts.resumed:
        return "the server did not take the session, so it could not read what came with it"
    session = visit.session
    if session is not None and facts.cipher_suite != session.suite.name:
        return f"the server chose {facts.cipher_suite}, and early data needs the session's own suite"
    if session is not None and (facts.alpn or "").encode() != (session.protocol or b""):
        return "the application protocol is another one than in the session"
    return "the server resumed, and would not take it: it may have seen it before, or not be sure that it has not"


def why_not_early(visit: Visit, size: int, config: ClientConfig) -> str:
    """Why data could not go with the ClientHello: the checks of hello.offer, in words."""
    session = visit.session
    if session is None:
        return visit.why_not or "there was no session to send it by"
    if session.version != _TLS13:
        return f"the session is of {ProtocolVersion.name(session.version)}, which has no early data"
    if not session.max_early_data:
        return "the server's ticket allows none"
    if session.max_early_data < size:
        return f"the server's ticket allows {count(session.max_early_data, 'byte')}"
    if session.protocol is not None and session.protocol not in config.protocols:
        return f"it would be for the application protocol {shown(session.protocol)}, which is not offered"
    return f"the session is of {session.suite.name}, which is not offered"


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


def exposed(path: Path) -> str:
    """Why FileSessions believes nothing in a file: others may have written or read it. "" where that is not so."""
    try:
        about = path.stat()
    except OSError:
        return ""
    if os.name != "posix" or not stat.S_ISREG(about.st_mode):
        return ""
    if about.st_uid != os.geteuid():
        return f"{shown(path)} belongs to somebody else: its sessions are not used"
    if about.st_mode & 0o077:
        return f"{shown(path)} may be used by others (mode {about.st_mode & 0o777:o}): its sessions are not used"
    return ""


def _hash(name: str) -> str:
    return name.upper().replace("SHA", "SHA-")
