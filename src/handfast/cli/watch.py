"""What `handfast serve` knows about clients that come back: what became of each ticket, ID and piece of early data.

The engine asks for sessions and goes on; why one was not resumed nobody is told. So what it asks is noted on the way.
"""

from __future__ import annotations

import inspect
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Self, TypeVar

from handfast.crypto.suites import SUITES, Suite
from handfast.errors import shown
from handfast.events import Handshake
from handfast.observe.tap import Trace
from handfast.sessions.protocols import ReplayGuard, SessionCache, TicketSealer
from handfast.sessions.session import Session, milliseconds
from handfast.wire.codepoints import CipherSuite, ProtocolVersion
from handfast.wire.hello import ClientHello, ServerHello

T = TypeVar("T")

_NOTED: Final = 10_000  # verdicts that wait for the end of their connection
_OF_TICKETS: Final = {
    "unknown key": "the key of its ticket is not known here: it is gone, or of another server",
    "forged": "its ticket is forged, or damaged",
    "expired": "its ticket has expired",
}
_NO_NAME: Final = "its session is of no name, and it asks for one"
_OF_STATES: Final = {
    "unknown": "its session is not known here, or no more",
    "expired": "its session has expired",
    "refused": "its session is sealed under a key that is not known here, or forged",
    "failed": "the store could not be asked",
}
_OF_BINDERS: Final = {
    "replayed": "it has been here before: a replay",
    "refused: young": "the guard is younger than the time in which this could be a replay",
    "refused: full": "the guard has no room for more",
    "refused: new store": "the store is new: what was admitted before it nobody knows",
    "refused: unreachable": "the store cannot be reached, or could not a moment ago",
    "refused: unknown store": "the store does not say which it is",
}


@dataclass(frozen=True)
class Known:
    """What a session is of: all but its secret and its people, to be kept until the connection is over."""

    version: int
    server_name: str | None
    suite: Suite
    expires: int

    @classmethod
    def of(cls, session: Session) -> Self:
        """Without the rest of it."""
        return cls(session.version, session.server_name, session.suite, session.expires)


@dataclass(frozen=True)
class Verdict:
    """What came of a ticket, an ID or a binder: why it was turned down, or else what the session is of."""

    why: str = ""
    session: Known | None = None


@dataclass(frozen=True)
class Return:
    """Whether a client wanted to come back, and whether it could.

    ``by``     what it showed: "ticket" or "session ID"
    ``why``    why it could not; "" if it could
    ``early``  what became of its early data: "accepted", "rejected", or None for a client that sent none
    ``why_early``  why it was rejected
    """

    by: str
    resumed: bool
    why: str = ""
    early: str | None = None
    why_early: str = ""

    @property
    def in_brief(self) -> list[str]:
        """For a line of the log."""
        parts = [f"resumed by its {self.by}" if self.resumed else f"not resumed by its {self.by}: {self.why}"]
        if self.early == "accepted":
            parts.append("early data taken")
        elif self.early is not None:
            parts.append(f"early data refused: {self.why_early}")
        return parts

    def document(self) -> dict[str, Any]:
        """For --json."""
        return {
            "by": self.by,
            "resumed": self.resumed,
            "why_not": self.why or None,
            "early_data": self.early,
            "early_data_why_not": self.why_early or None,
        }


class Watch:
    """Stands between a server and its sessions, and notes what becomes of each.

    ``totals``  of all connections that are over: how many were "full", "resumed", "early data", and the rest by its reason
    """

    def __init__(self, tickets: TicketSealer | None, cache: SessionCache | None, guard: ReplayGuard | None) -> None:
        self.tickets = None if tickets is None else _Tickets(tickets, self)
        self.cache = None if cache is None else _Cache(cache, self)
        self.guard = None if guard is None else _Guard(guard, self)
        self.totals: Counter[str] = Counter()
        self._verdicts: OrderedDict[bytes, Verdict] = OrderedDict()

    def note(self, name: bytes, verdict: Verdict) -> None:
        """What came of a ticket, an ID or a binder. Of a flood of them the oldest are forgotten."""
        self._verdicts[name] = verdict
        while len(self._verdicts) > _NOTED:
            self._verdicts.popitem(last=False)

    def ended(self, trace: Trace | None, facts: Handshake | None) -> Return | None:
        """What there is to say of a connection that is over; None for one that was new, or had no handshake."""
        if trace is None or facts is None:
            return None
        hellos = [seen.message for seen in trace.messages if isinstance(seen.message, ClientHello)]
        found = self._came_back(hellos[0], trace, facts) if hellos else None
        self.totals["resumed" if facts.resumed else "full"] += 1
        if found is not None and found.why:
            self.totals[f"not resumed: {found.why}"] += 1
        if found is not None and found.early is not None:
            self.totals["early data taken" if not found.why_early else f"early data refused: {found.why_early}"] += 1
        return found

    def _came_back(self, hello: ClientHello, trace: Trace, facts: Handshake) -> Return | None:
        by, names = _shown(hello, facts)
        verdicts = [self._verdicts.pop(name) for name in names if name in self._verdicts]
        if not names:
            return None
        why = "" if facts.resumed else self._why(verdicts, facts)
        early, why_early = None, ""
        if hello.early_data:
            early = facts.early_data or "rejected"
            why_early = "" if early == "accepted" else self._why_early(hello, trace, facts)
        return Return(by, facts.resumed, why, early, why_early)

    def _why(self, verdicts: list[Verdict], facts: Handshake) -> str:
        if self.tickets is None and self.cache is None:
            return "nothing is resumed here (--tickets 0)"
        if not verdicts:
            return f"it was not looked at: what was shown does not go with {facts.version}, or with psk_dhe_ke"
        last = verdicts[-1]
        return last.why or _why_not_taken(last.session, facts)

    def _why_early(self, hello: ClientHello, trace: Trace, facts: Handshake) -> str:
        if any(isinstance(seen.message, ServerHello) and seen.message.is_retry_request for seen in trace.messages):
            return "a second hello was needed"
        if self.guard is None:
            return "none is taken here (--early-data)"
        if not facts.resumed:
            return "the session was not resumed"
        binder = hello.pre_shared_key.binders[0] if hello.pre_shared_key is not None else b""
        verdict = self._verdicts.pop(binder, None)
        if verdict is None:
            return "suite, application protocol or the age of the ticket are not those of the session"
        return verdict.why


def _shown(hello: ClientHello, facts: Handshake) -> tuple[str, list[bytes]]:
    """What a client showed to come back with. In TLS 1.3 a session ID of the hello means nothing."""
    names = [each.identity for each in hello.pre_shared_key.identities] if hello.pre_shared_key is not None else []
    if hello.session_ticket:
        names.append(hello.session_ticket)
    if names:
        return "ticket", names
    if hello.legacy_session_id and ProtocolVersion.TLS_1_3 not in (hello.supported_versions or ()):
        return "session ID", [hello.legacy_session_id]
    return "session ID", [hello.legacy_session_id] if facts.resumed else []


def _why_not_taken(session: Known | None, facts: Handshake) -> str:
    """Why a session that we know was not resumed: the checks of psk.may_continue, in words."""
    if session is None:
        return "its session is of another version of this program"
    version = ProtocolVersion.name(session.version)
    chosen = SUITES.get(CipherSuite.value(facts.cipher_suite) or 0)
    if version != facts.version:
        return f"its session is of {version}"
    if session.server_name != facts.server_name:
        return f"its session is of another name, {shown(session.server_name)}" if session.server_name else _NO_NAME
    if session.expires <= milliseconds(datetime.now(UTC)):
        return "its session has expired"
    if chosen is not None and chosen.hash != session.suite.hash:
        return f"its session goes with another hash, {session.suite.hash.upper()}"
    if session.version == ProtocolVersion.TLS_1_2 and session.suite.name != facts.cipher_suite:
        return f"its session is of another suite, {session.suite.name}"
    return "its session stands on other authorities for clients than now, or on no certificate"


# --- what stands in between


class _Noting:
    """Calls what is behind it, and notes what came of that."""

    def __init__(self, inner: Any, watch: Watch) -> None:
        self._inner = inner
        self._watch = watch

    def _noted(
        self, call: Callable[[], T | Awaitable[T]], note: Callable[[T, str], None], words: dict[str, str]
    ) -> T | Awaitable[T]:
        """``note`` gets what the call returns, and the sentence for that count of the inner one which has grown."""
        before = dict(self._inner.counts)
        result = call()
        if inspect.isawaitable(result):
            return self._later(result, before, note, words)
        note(result, self._grown(before, words))
        return result

    async def _later(
        self, result: Awaitable[T], before: dict[str, int], note: Callable[[T, str], None], words: dict[str, str]
    ) -> T:
        found = await result
        note(found, self._grown(before, words))
        return found

    def _grown(self, before: dict[str, int], words: dict[str, str]) -> str:
        """Where several have grown, since others were waiting for the store too, it is one of them."""
        after = self._inner.counts
        grown = [sentence for name, sentence in words.items() if after.get(name, 0) > before.get(name, 0)]
        return "; or ".join(grown)


class _Tickets(_Noting):
    """A TicketSealer."""

    def seal(self, state: bytes, seconds: int) -> Any:
        """A ticket."""
        return self._inner.seal(state, seconds)

    def open(self, ticket: bytes) -> Any:
        """What was sealed."""
        return self._noted(lambda: self._inner.open(ticket), _noter(self._watch, ticket), _OF_TICKETS)


class _Cache(_Noting):
    """A SessionCache."""

    def store(self, session_id: bytes, state: bytes, seconds: int) -> Any:
        """Keep a state."""
        return self._inner.store(session_id, state, seconds)

    def load(self, session_id: bytes) -> Any:
        """What was kept."""
        return self._noted(lambda: self._inner.load(session_id), _noter(self._watch, session_id), _OF_STATES)


class _Guard(_Noting):
    """A ReplayGuard."""

    def admit(self, binder: bytes, seconds: float) -> Any:
        """Whether it is new."""

        def note(admitted: bool, why: str) -> None:
            if not admitted:
                self._watch.note(binder, Verdict(why or "the guard is not sure that it is new"))

        return self._noted(lambda: self._inner.admit(binder, seconds), note, _OF_BINDERS)


def _noter(watch: Watch, name: bytes) -> Callable[[bytes | None, str], None]:
    def note(state: bytes | None, why: str) -> None:
        if state is None:
            watch.note(name, Verdict(why or "it is not known here"))
        else:
            session = Session.decode(state)
            watch.note(name, Verdict("", None if session is None else Known.of(session)))

    return note
