"""What `handfast serve` knows about clients that come back: what became of each ticket, ID and piece of early data.

The engine says what it thought of a session. Why a store knew none, or a guard did not admit it, they count; so what they
are asked is noted on the way.
"""

from __future__ import annotations

import hashlib
import inspect
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from handfast.errors import shown
from handfast.events import Handshake
from handfast.observe.tap import Trace
from handfast.sessions.protocols import ReplayGuard, SessionCache, TicketSealer
from handfast.sessions.verdict import Resumption, WhyNot
from handfast.wire.hello import ClientHello

T = TypeVar("T")

_NOTED: Final = 10_000  # verdicts that wait for the end of their connection
_OF_TICKETS: Final = {
    "unknown key": "the key of its ticket is not known here: it is gone, or of another server",
    "forged": "its ticket is forged, or damaged",
    "expired": "its ticket has expired",
}
_NOT_RESUMED: Final = {
    WhyNot.OFF: "nothing is resumed here (--tickets 0)",
    WhyNot.UNKNOWN: "its session is of another version of this program",  # where it could be opened
    WhyNot.EXPIRED: "its session has expired",
    WhyNot.OTHER_VERSION: "its session is of {differs}",
    WhyNot.OTHER_SUITE: "its session is of another suite, {differs}",
    WhyNot.OTHER_HASH: "its session goes with another hash, {differs}",
    WhyNot.OTHER_NAME: "its session is of another name, {differs}",
    WhyNot.OTHER_TRUST: "its session stands on other authorities for clients than now",
    WhyNot.OTHER_IDENTITY: "its session stands on no certificate, and one is required now",
    WhyNot.OTHER_MODE: "it does not want psk_dhe_ke",
}
_NOT_EARLY: Final = {
    WhyNot.OFF: "none is taken here (--early-data)",
    WhyNot.RETRIED: "a second hello was needed",
    WhyNot.NOT_RESUMED: "the session was not resumed",
    WhyNot.OTHER_SUITE: "its session is of another suite",
    WhyNot.OTHER_PROTOCOL: "its session is of another application protocol",
    WhyNot.NOT_ALLOWED: "its session allows none",
    WhyNot.WRONG_AGE: "its ticket is not as old as it says",
    WhyNot.NOT_ADMITTED: "the guard is not sure that it is new",
}
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
    "refused: clock": "the clock of this server is not that of the store",
    "refused: new store": "the store is new: what was admitted before it nobody knows",
    "refused: unreachable": "the store cannot be reached, or could not a moment ago",
    "refused: unknown store": "the store does not say which it is",
}


@dataclass(frozen=True)
class Return:
    """Whether a client wanted to come back, and whether it could.

    ``by``     what it showed: "ticket", "session ID" or "external PSK"
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
        self._verdicts: OrderedDict[bytes, str] = OrderedDict()

    def note(self, name: bytes, why: str) -> None:
        """Why a ticket, an ID or a binder was turned down. Of a flood of them the oldest are forgotten."""
        self._verdicts[_short(name)] = why
        while len(self._verdicts) > _NOTED:
            self._verdicts.popitem(last=False)

    def ended(self, trace: Trace | None, facts: Handshake | None) -> Return | None:
        """What there is to say of a connection that is over; None for one that was new, or had no handshake."""
        if trace is None or facts is None:
            return None
        hellos = [seen.message for seen in trace.messages if isinstance(seen.message, ClientHello)]
        found = self._came_back(hellos[0], facts) if hellos else None
        self.totals["resumed" if facts.resumed else "full"] += 1
        if found is not None and found.why:
            self.totals[f"not resumed: {found.why}"] += 1
        if found is not None and found.early is not None:
            self.totals["early data taken" if not found.why_early else f"early data refused: {found.why_early}"] += 1
        return found

    def _came_back(self, hello: ClientHello, facts: Handshake) -> Return | None:
        verdicts = [self._verdicts.pop(name) for name in map(_short, _shown(hello)) if name in self._verdicts]
        found = facts.resumption
        if found is None or found.by is None:
            return None
        why = "" if found.why_not is None else self._why(found.why_not, found, verdicts)
        early, why_early = None, ""
        if hello.early_data:
            early = facts.early_data or "rejected"
            why_early = "" if found.why_not_early is None else self._why_early(found.why_not_early, hello)
        return Return(found.by, facts.resumed, why, early, why_early)

    def _why(self, why: WhyNot, found: Resumption, verdicts: list[str]) -> str:
        if why is WhyNot.UNKNOWN and verdicts:
            return verdicts[0]
        if why is WhyNot.OTHER_NAME and not found.differs:
            return "its session is of no name, and it asks for one"
        differs = found.differs.upper() if why is WhyNot.OTHER_HASH else shown(found.differs)
        return _NOT_RESUMED.get(why, why.value).format(differs=differs)

    def _why_early(self, why: WhyNot, hello: ClientHello) -> str:
        binder = hello.pre_shared_key.binders[0] if hello.pre_shared_key is not None else b""
        verdict = self._verdicts.pop(_short(binder), "")
        return verdict or _NOT_EARLY.get(why, why.value)


def _short(name: bytes) -> bytes:
    """A ticket may be long, and most of those that are noted never come to the end of their connection."""
    return hashlib.sha256(name).digest()


def _shown(hello: ClientHello) -> list[bytes]:
    """The names that a client showed to come back with."""
    names = [each.identity for each in hello.pre_shared_key.identities] if hello.pre_shared_key is not None else []
    return [*names, hello.session_ticket or b"", hello.legacy_session_id]


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
                self._watch.note(binder, why or _NOT_EARLY[WhyNot.NOT_ADMITTED])

        return self._noted(lambda: self._inner.admit(binder, seconds), note, _OF_BINDERS)


def _noter(watch: Watch, name: bytes) -> Callable[[bytes | None, str], None]:
    def note(state: bytes | None, why: str) -> None:
        if state is None:
            watch.note(name, why or "it is not known here")

    return note
