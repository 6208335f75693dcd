"""The questions about sessions and keys: each store may take its time, refuse, or answer with what is no answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from handfast import TLSError, limits, reasons
from handfast.connection import ClientConnection, ServerConnection
from handfast.events import SessionReceived
from handfast.handshake.flow import (
    AdmitEarlyData,
    FindPsk,
    LoadSession,
    LoadState,
    OpenTicket,
    Question,
    SealTicket,
    StoreState,
)
from handfast.sessions.external import ExternalPsk
from tests.handshake.parties import client_config, fails, server_config
from tests.handshake.returning import Cache, Guard, Sessions, Tickets, first_session

KEY = {
    role: ExternalPsk(b"us", bytes(range(32)), role=role)  # type: ignore[arg-type]
    for role in ("client", "server")
}


class Awaitable:
    """What a store may return instead of an answer. Nobody awaits it here."""

    def __await__(self) -> Any:
        raise AssertionError("a connection awaits nothing")


class Slow:
    """A store that answers later, to one kind of question."""

    def __init__(self, store: Any, method: str) -> None:
        self.inner, self.method = store, method
        self.given: list[Awaitable] = []

    def __getattr__(self, name: str) -> Any:
        return self._later if name == self.method else getattr(self.inner, name)

    def __call__(self, *_: Any) -> Awaitable:
        return self._later()

    def _later(self, *_: Any) -> Awaitable:
        self.given.append(Awaitable())
        return self.given[-1]


@dataclass
class Case:
    """``setting``: of ``side`` (0 is the client), whose store is slow in ``method``; ``answer``: from that store."""

    kind: type[Question]
    side: int
    setting: str
    method: str
    subject: Callable[[Any], tuple[Any, ...]]
    version: str = "1.3"
    wrong: tuple[Any, ...] = ("text", 7)

    def prepare(self) -> tuple[dict[str, Any], dict[str, Any], Slow]:
        """Both sides' settings, for a client that comes back to a slow store."""
        client: dict[str, Any] = {"sessions": Sessions(), "max_version": self.version}
        server: dict[str, Any] = {"early_data": Guard()}
        server["session_cache" if self.setting == "session_cache" else "tickets"] = (
            Cache() if self.setting == "session_cache" else Tickets()
        )
        first_session(client, server)
        if self.kind is FindPsk:
            client = {"psks": [KEY["client"]]}
            server = {"psks": {b"us": KEY["server"]}}
        if self.kind is StoreState:
            client["sessions"] = Sessions()
        settings = (client, server)[self.side]
        slow = settings[self.setting] = Slow(settings[self.setting], self.method)
        return client, server, slow


CASES = [
    Case(LoadSession, 0, "sessions", "take", lambda question: (question.server_name,), wrong=(b"bytes", 7)),
    Case(FindPsk, 1, "psks", "get", lambda question: (question.identity,), wrong=(b"bytes", "text")),
    Case(OpenTicket, 1, "tickets", "open", lambda question: (question.ticket,)),
    Case(SealTicket, 1, "tickets", "seal", lambda question: (question.state, question.seconds)),
    Case(
        AdmitEarlyData, 1, "early_data", "admit", lambda question: (question.binder, question.seconds), wrong=(None, 1)
    ),
    Case(LoadState, 1, "session_cache", "load", lambda question: (question.session_id,), "1.2"),
    Case(
        StoreState,
        1,
        "session_cache",
        "store",
        lambda question: (question.session_id, question.state, question.seconds),
        "1.2",
        (True, b"bytes"),
    ),
]
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.kind.NAME)


class Talk:
    """Both sides, until there is a question."""

    def __init__(self, client: dict[str, Any], server: dict[str, Any]) -> None:
        self.client = ClientConnection(client_config(**client), server_name="localhost", early_data=b"early")
        self.server = ServerConnection(server_config(**server))
        self.events: list[Any] = []
        self.client.start()
        self.server.start()

    def question(self) -> Any:
        """The next one; None if both sides have nothing more to say."""
        for _ in range(10):
            for side, other in ((self.client, self.server), (self.server, self.client)):
                for event in side.events():
                    if isinstance(event, Question):
                        return event
                    self.events.append(event)
                other.receive_data(side.data_to_send())
        return None


def right(slow: Slow, case: Case, question: Any) -> Any:
    """What the store itself has to say."""
    return getattr(slow.inner, case.method)(*case.subject(question))


@each_case
def test_an_answer_may_take_its_time(case: Case) -> None:
    client, server, slow = case.prepare()
    talk = Talk(client, server)
    seen = 0
    while (question := talk.question()) is not None:
        assert type(question) is case.kind
        assert question.awaitable is slow.given[seen]
        seen += 1
        asker = (talk.client, talk.server)[case.side]
        assert asker.next_event() is None, "it waits"
        answer = right(slow, case, question)
        question.answer(answer)
        question.answer(None)  # a second answer is none
        question.refuse()
    assert seen == 1
    assert talk.client.handshake is not None
    assert talk.server.handshake is not None
    assert talk.client.handshake.resumed is (case.kind is not StoreState)
    if case.kind is StoreState:
        assert len(slow.inner.kept) == 2
    if case.kind is AdmitEarlyData:
        assert talk.client.handshake.early_data == "accepted"


@each_case
def test_nothing_is_an_answer_too(case: Case) -> None:
    """No session, no key, no ticket: then it is a full handshake, or one without tickets."""
    client, server, _ = case.prepare()
    talk = Talk(client, server)
    while (question := talk.question()) is not None:
        question.answer(False if case.kind is AdmitEarlyData else None)
    assert talk.client.handshake is not None
    resumes = case.kind in (SealTicket, AdmitEarlyData)
    assert talk.client.handshake.resumed is resumes
    assert talk.client.handshake.early_data != "accepted" or case.kind is SealTicket


@each_case
def test_a_refusal_ends_the_handshake(case: Case) -> None:
    client, server, _ = case.prepare()
    talk = Talk(client, server)
    talk.question().refuse()
    with fails(TLSError, reasons.REFUSED_BY_CALLBACK):
        talk.question()


@each_case
def test_a_foreign_error_is_wrapped(case: Case) -> None:
    client, server, _ = case.prepare()
    talk = Talk(client, server)
    talk.question().refuse(RuntimeError("no connection to the store"))
    with fails(TLSError, reasons.CALLBACK_FAILED) as caught:
        talk.question()
    evidence = {"question": case.kind.NAME, "exception": "RuntimeError: no connection to the store"}
    assert caught.value.evidence == evidence


@each_case
def test_what_is_no_answer(case: Case) -> None:
    for wrong in case.wrong:
        client, server, _ = case.prepare()
        talk = Talk(client, server)
        talk.question().answer(wrong)
        with fails(TLSError, reasons.CALLBACK_FAILED) as caught:
            talk.question()
        problem = f"{type(wrong).__name__} is not an answer"
        told = caught.value.evidence
        assert (told.pop("question"), told.pop("problem"), [*told]) == (case.kind.NAME, problem, ["wanted"])


@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize(("length", "fits"), [(0, False), (1, True), (65_000, True), (65_536, False)])
def test_a_ticket_has_a_length_that_can_be_sent(length: int, fits: bool, version: str) -> None:
    class Sealer(Tickets):
        """Its tickets have this length."""

        def seal(self, state: bytes, seconds: int) -> bytes | None:
            return bytes(length)

    sessions = Sessions()
    talk = Talk({"sessions": sessions, "max_version": version}, {"tickets": Sealer()})
    assert talk.question() is None
    assert talk.client.handshake is not None
    given = [event.session for event in talk.events if isinstance(event, SessionReceived)]
    assert [len(session.ticket) for session in given] == ([length] * (2 if version == "1.3" else 1)) * fits
    assert len(sessions.kept) == (0 if length > limits.TICKET_OFFERED else len(given)), "no ClientHello has room for it"


def test_a_client_s_store_that_raises_ends_the_connection_and_tells_nothing() -> None:
    class Broken(Sessions):
        """It must not raise, and does."""

        def put(self, session: Any) -> None:
            raise RuntimeError("disk full")

    talk = Talk({"sessions": Broken()}, {"tickets": Tickets()})
    with fails(TLSError, reasons.INTERNAL_ERROR) as caught:
        talk.question()
    assert caught.value.evidence == {"exception": "RuntimeError: disk full"}


@each_case
def test_a_late_answer_is_ignored(case: Case) -> None:
    client, server, slow = case.prepare()
    talk = Talk(client, server)
    question = talk.question()
    asker = (talk.client, talk.server)[case.side]
    answer = right(slow, case, question)
    asker.close()
    sent = bytes(asker.data_to_send())
    question.answer(answer)
    assert asker.next_event() is None
    assert not asker.has_data_to_send
    assert sent == b"" or asker.handshake is None


@each_case
def test_no_representation_shows_what_is_asked_about(case: Case) -> None:
    client, server, slow = case.prepare()
    question = Talk(client, server).question()
    shown = repr(question)
    for secret in case.subject(question):
        if isinstance(secret, bytes) and case.kind not in (FindPsk, LoadState) and len(secret) > 32:
            assert repr(secret)[2:-1] not in shown
    assert "state=" not in shown
    assert "binder=" not in shown
    assert "ticket=" not in shown
    assert slow.given


def test_early_data_is_held_while_the_guard_thinks() -> None:
    """It may not grow without end meanwhile."""
    client, server, _ = next(case for case in CASES if case.kind is AdmitEarlyData).prepare()
    talk = Talk(client, server)
    talk.question()
    talk.server.receive_data(b"\x17\x03\x03\x40\x00" + bytes(1 << 14))
    assert talk.server.next_event() is None
    talk.server.receive_data(bytes(limits.INPUT_HELD))
    with fails(TLSError, reasons.TOO_MUCH_HELD):
        talk.server.next_event()
