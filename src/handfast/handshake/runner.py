"""Runs a script: gives it the messages it waits for, and gets its questions answered."""

from __future__ import annotations

import contextlib

from handfast.certificates.identity import Identity
from handfast.certificates.peer import PeerIdentity
from handfast.config import ASK, ServerConfig
from handfast.crypto.guard import Guarded
from handfast.errors import ConnectionFailed, HandshakeTimeout, ProtocolError, TLSError, shown
from handfast.handshake.answers import ask
from handfast.handshake.established import Established
from handfast.handshake.flow import (
    AdmitEarlyData,
    CheckPeer,
    ChooseClientIdentity,
    ChooseIdentity,
    FindPsk,
    Flow,
    LoadSession,
    LoadState,
    Message,
    OpenTicket,
    Question,
    ReviewClientHello,
    SealTicket,
    Sign,
    StoreState,
    VerifyPeer,
)
from handfast.handshake.link import Link
from handfast.reasons import CALLBACK_FAILED
from handfast.sessions.external import ExternalPsk
from handfast.sessions.session import Session

_TICKET = (1 << 16) - 1  # bytes (RFC 9846 section 4.7.1)
_ANSWERS: dict[type[Question], tuple[type, ...]] = {
    VerifyPeer: (PeerIdentity,),
    CheckPeer: (type(None),),
    Sign: (bytes,),
    ReviewClientHello: (ServerConfig, type(None)),
    ChooseIdentity: (Identity, type(None)),
    LoadSession: (Session, type(None)),
    FindPsk: (ExternalPsk, type(None)),
    OpenTicket: (bytes, type(None)),
    SealTicket: (bytes, type(None)),
    LoadState: (bytes, type(None)),
    StoreState: (type(None),),
    AdmitEarlyData: (bool,),
    ChooseClientIdentity: (Identity, type(None)),
}
# What those who write callbacks of their own get wrong: a check that returns its verdict, a verifier that returns True.
_WANTED: dict[type[Question], str] = {
    VerifyPeer: "a PeerIdentity, as ChainVerifier returns it; to refuse, raise CertificateRefused",
    CheckPeer: "None; to refuse, raise CertificateRefused",
}


class Runner(Guarded):
    """One handshake.

    ``expected``  the messages that the script waits for, by HandshakeType
    ``step``      the message that is awaited or handled, by its RFC name
    ``question``  the question that is open, None if there is none
    """

    __slots__ = ("_answer", "_asked_at", "_flow", "_link", "expected", "question", "step")

    def __init__(self, flow: Flow[Established], link: Link) -> None:
        self._flow: Flow[Established] | None = flow
        self._link = link
        self._asked_at = 0.0
        self._answer: tuple[object, BaseException | None] | None = None
        self.expected: dict[int, type[Message]] = {}
        self.question: Question | None = None
        self.step = ""

    def advance(self, value: object) -> Established | Question | None:
        """Give the script what it waited for.

        None when it waits for a message next; the question when it has one that cannot be answered at once; what it
        returns when it is done.
        """
        flow = self._flow
        if flow is None:
            return None  # closed meanwhile, by another thread
        try:
            request = flow.send(value)
            while isinstance(request, Question):
                answered, answer = self._answered_inline(request)
                if self._flow is None:  # closed by the callback, or meanwhile: nothing more may be sent
                    self.question = None
                    flow.close()
                    return None
                if not answered:
                    return request
                request = flow.send(answer)
        except StopIteration as end:
            self._flow = None
            self.step = ""
            outcome: Established = end.value
            return outcome
        self.expected = request.by_type
        self.step = request.names
        return None

    @property
    def answered(self) -> bool:
        """Whether the open question has its answer."""
        return self._answer is not None

    def take_answer(self) -> Established | Question | None:
        """Go on with the answer to the open question, as :meth:`advance` does."""
        question, answer = self.question, self._answer
        if question is None or answer is None:
            return None  # closed meanwhile, by another thread
        self.question = self._answer = None
        self._count_time(question)
        value, error = answer
        if error is not None:
            if not _is_elsewhere(error):
                raise error
            raise _callback_failed(question, error) from error
        return self.advance(_checked(question, value))

    def close(self) -> None:
        """Drop the script, and with its frames the secrets in them."""
        flow, self._flow = self._flow, None
        self.question = None
        if flow is not None:
            with contextlib.suppress(ValueError):  # it is running, in the thread that reads, and ends there
                flow.close()

    def _answered_inline(self, question: Question) -> tuple[bool, object]:
        """Answer a question at once where that is possible; else leave it open."""
        self._asked_at = self._link.clock.monotonic()
        try:
            answer = ask(self._link.config, question)
        except Exception as error:  # StopIteration too, which must not end the script
            if not _is_elsewhere(error):
                raise
            raise _callback_failed(question, error) from error
        if answer is not ASK and not hasattr(answer, "__await__"):
            self._count_time(question)
            return True, _checked(question, answer)
        if answer is not ASK:
            question.awaitable = answer
        question._reply = self._reply
        self.question = question
        return False, None

    def _reply(self, question: Question, value: object, error: BaseException | None) -> None:
        """Called by Question.answer and refuse, from any thread. A late or second answer is ignored."""
        if question is self.question and self._answer is None:
            self._answer = (value, error)

    def _count_time(self, question: Question) -> None:
        seconds = self._link.clock.monotonic() - self._asked_at
        if isinstance(question, VerifyPeer):
            self._link.timings.certificate_verification += seconds
        elif isinstance(question, Sign):
            self._link.timings.signature += seconds


def _is_elsewhere(error: BaseException) -> bool:
    """Whether an error is what a callback's own connection met with: no verdict on our peer, nor an alert for it."""
    elsewhere = (ProtocolError, ConnectionFailed, HandshakeTimeout)
    return not isinstance(error, TLSError) or error.sent_by == "peer" or isinstance(error, elsewhere)


def _callback_failed(question: Question, error: BaseException) -> TLSError:
    return TLSError(CALLBACK_FAILED, question=question.NAME, exception=f"{type(error).__name__}: {shown(error)}")


def _checked(question: Question, answer: object) -> object:
    """An answer of the kind that the question asks for; anything else would fail later and further away."""
    wanted = _ANSWERS[type(question)]
    if not isinstance(answer, wanted):
        names = " or ".join("None" if kind is type(None) else kind.__name__ for kind in wanted)
        problem = f"{type(answer).__name__} is not an answer"
        wants = _WANTED.get(type(question), names)
        raise TLSError(CALLBACK_FAILED, question=question.NAME, problem=problem, wanted=wants)
    if isinstance(question, SealTicket) and isinstance(answer, bytes) and not 1 <= len(answer) <= _TICKET:
        return None  # it cannot be sent: a client's chain, which is in it, may be long
    return answer
