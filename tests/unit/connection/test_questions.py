"""The questions of a handshake: answered inline, awaited, or handed to the application; refused, late, wrong."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from handfast import ASK, AlertReceived, HandshakeTimeout, MisuseError, TLSError, limits, reasons
from handfast.certificates.identity import Identity
from handfast.connection import ClientConnection, Connection
from handfast.errors import CertificateError
from handfast.handshake.flow import (
    CheckPeer,
    ChooseClientIdentity,
    ChooseIdentity,
    Question,
    ReviewClientHello,
    Sign,
    VerifyPeer,
)
from handfast.insecure import NoVerification
from handfast.reasons import CALLBACK_FAILED, REFUSED_BY_CALLBACK
from handfast.testing import pump
from tests.handshake.parties import Ticking, carry, client_identity, fails, identity, started, trust


class Awaitable:
    """What a callback may return instead of an answer. Nobody awaits it here."""

    def __await__(self) -> Any:
        raise AssertionError("a connection awaits nothing")


class Signer:
    """A key whose signing is the test's affair."""

    schemes = identity("ed25519").schemes

    def __init__(self, sign: Callable[[int, bytes], Any]) -> None:
        self._sign = sign

    def sign(self, scheme: int, content: bytes) -> Any:
        return self._sign(scheme, content)


class Verifier:
    """A verifier whose verdict is the test's affair."""

    def __init__(self, verify: Callable[..., Any]) -> None:
        self._verify = verify

    def verify_server(self, chain: Any, server_name: Any, now: Any) -> Any:
        return self._verify(chain, server_name, now)

    def verify_client(self, chain: Any, now: Any) -> Any:
        return self._verify(chain, None, now)


Settings = tuple[dict[str, Any], dict[str, Any]]


@dataclass
class Case:
    """One kind of question.

    ``settings``  of client and server, so that a callback is asked
    ``right``     the answer, from what the callback is called with
    ``subject``   what that is, from the question
    ``asked``     whether the client asks (0) or the server (1)
    ``is_last``   whether the other side has completed its handshake by then
    """

    name: str
    kind: type[Question]
    settings: Callable[[Callable[..., Any]], Settings]
    right: Callable[..., Any]
    subject: Callable[[Any], tuple[Any, ...]]
    asked: int
    is_last: bool = False

    def answer(self, question: Any) -> Any:
        """The right answer to an open question."""
        return self.right(*self.subject(question))


def signer_settings(callback: Callable[..., Any]) -> Settings:
    return {}, {"identities": [Identity(identity("ed25519").chain, Signer(callback))]}


def mutual(server: dict[str, Any], **client: Any) -> Settings:
    """Settings for a client that shows a certificate."""
    client.setdefault("identities", [client_identity()])
    return client, {"client_authentication": "required", **server}


VERIFY = Case(
    "VerifyPeer",
    VerifyPeer,
    lambda callback: ({"verifier": Verifier(callback)}, {}),
    lambda chain, server_name, now: NoVerification().verify_server(chain, server_name, now),
    lambda question: (question.chain, question.server_name, question.now),
    0,
)
SIGN = Case(
    "Sign",
    Sign,
    signer_settings,
    identity("ed25519").signer.sign,
    lambda question: (question.scheme, question.content),
    1,
)
CHOOSE = Case(
    "ChooseIdentity",
    ChooseIdentity,
    lambda callback: ({}, {"choose_identity": callback}),
    lambda hello: identity(),
    lambda question: (question.client_hello,),
    1,
)
REVIEW = Case(
    "ReviewClientHello",
    ReviewClientHello,
    lambda callback: ({}, {"on_client_hello": callback}),
    lambda hello: None,
    lambda question: (question.client_hello,),
    1,
)
CHECK = Case(
    "CheckPeer",
    CheckPeer,
    lambda callback: ({"check_peer": callback}, {}),
    lambda peer: None,
    lambda question: (question.peer,),
    0,
)
CHOOSE_CLIENT = Case(
    "ChooseClientIdentity",
    ChooseClientIdentity,
    lambda callback: mutual({}, choose_identity=callback),
    lambda request: client_identity(),
    lambda question: (question.request,),
    0,
)
VERIFY_CLIENT = replace(
    VERIFY, settings=lambda callback: mutual({"client_verifier": Verifier(callback)}), asked=1, is_last=True
)
CHECK_CLIENT = replace(CHECK, settings=lambda callback: mutual({"check_peer": callback}), asked=1, is_last=True)
CASES = {
    "verify server": VERIFY,
    "sign": SIGN,
    "choose": CHOOSE,
    "review": REVIEW,
    "check server": CHECK,
    "choose client": CHOOSE_CLIENT,
    "verify client": VERIFY_CLIENT,
    "check client": CHECK_CLIENT,
}
each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def asking(case: Case, callback: Callable[..., Any]) -> tuple[Connection, Connection]:
    """The side that asks by this callback, and the other one."""
    both = started(*case.settings(callback))
    return both[case.asked], both[1 - case.asked]


def opened(case: Case, returned: object = ASK) -> tuple[Connection, Connection, Any]:
    """The same, with the question open."""
    here, there = asking(case, lambda *_: returned)
    at_here, _ = pump(here, there)
    assert len(at_here) == 1
    return here, there, at_here[0]


# --- answers -------------------------------------------------------------------------------------------------------


@each_case
@pytest.mark.parametrize("returned", [ASK, Awaitable()], ids=["ASK", "awaitable"])
def test_an_open_question_and_its_answer(case: Case, returned: Any) -> None:
    here, there, question = opened(case, returned)
    assert type(question) is case.kind
    assert question.awaitable is (None if returned is ASK else returned)
    assert here.next_event() is None
    assert here.handshake is None
    question.answer(case.answer(question))
    pump(here, there)
    assert here.handshake is not None
    assert there.handshake is not None


@each_case
def test_an_answer_inline_is_no_event(case: Case) -> None:
    asked: list[Any] = []

    def callback(*values: Any) -> Any:
        asked.append(values)
        return case.right(*values)

    here, there = asking(case, callback)
    at_here, _ = pump(here, there)
    assert [type(event).__name__ for event in at_here] == ["HandshakeCompleted"]
    assert len(asked) == 1


def test_what_each_question_knows() -> None:
    _, _, verify = opened(VERIFY)
    assert verify.chain == identity().chain
    assert verify.server_name == "localhost"
    assert verify.now.tzinfo is not None
    _, _, sign = opened(SIGN)
    assert sign.scheme in sign.identity.schemes
    assert sign.content.startswith(b" " * 64 + b"TLS 1.3, server CertificateVerify\0")
    _, _, choose = opened(CHOOSE)
    assert choose.client_hello.server_name == "localhost"
    _, _, review = opened(REVIEW)
    assert review.client_hello.server_name == "localhost"
    _, _, check = opened(CHECK)
    assert (check.peer.chain, check.peer.verified_by) == (identity().chain, "chain")
    _, _, choose = opened(CHOOSE_CLIENT)
    assert choose.request.signature_algorithms
    _, _, verify = opened(VERIFY_CLIENT)
    assert (verify.role, verify.server_name, verify.chain) == ("client", None, client_identity().chain)
    _, _, check = opened(CHECK_CLIENT)
    assert check.peer.uris == ("spiffe://test/client",)


def test_the_default_verifier_may_be_asked_as_well() -> None:
    from handfast import ChainVerifier

    here, there, question = opened(VERIFY)
    question.answer(ChainVerifier(trust()).verify_server(question.chain, question.server_name, question.now))
    pump(here, there)
    assert here.handshake is not None
    assert here.handshake.peer is not None
    assert here.handshake.peer.verified_by == "chain"


def test_asking_may_be_the_configuration_itself() -> None:
    client, server = started({"verifier": ASK}, {"choose_identity": ASK})
    _, (choose,) = pump(client, server)
    choose.answer(None)  # none of ours in particular
    (verify,), _ = pump(client, server)
    verify.answer(VERIFY.answer(verify))
    pump(client, server)
    assert client.handshake is not None


def test_an_answer_from_another_thread() -> None:
    here, there, question = opened(SIGN)
    thread = threading.Thread(target=lambda: question.answer(SIGN.answer(question)))
    thread.start()
    thread.join()
    pump(here, there)
    assert here.handshake is not None


def test_the_waiting_is_counted() -> None:
    clock = Ticking()
    client, server = started({"verifier": ASK, "clock": clock.clock}, {})
    (question,), _ = pump(client, server)
    clock.now += 7.0
    question.answer(VERIFY.answer(question))
    pump(client, server)
    assert client.handshake is not None
    assert client.handshake.timings.certificate_verification == 7.0
    assert client.handshake.timings.handshake == 7.0


# --- refusals ------------------------------------------------------------------------------------------------------


@each_case
def test_a_refusal_without_a_reason(case: Case) -> None:
    here, there, question = opened(case)
    question.refuse()
    with fails(TLSError, REFUSED_BY_CALLBACK) as caught:
        here.next_event()
    assert caught.value.evidence == {"question": case.name}
    there.receive_data(here.data_to_send())
    with fails(AlertReceived, reasons.ALERT_RECEIVED) as told:
        there.next_event()
    assert told.value.name == "handshake_failure"


@each_case
def test_a_refusal_with_an_error_of_ours(case: Case) -> None:
    here, there, question = opened(case)
    question.refuse(CertificateError(reasons.CERTIFICATE_EXPIRED, fact="x"))
    with fails(CertificateError, reasons.CERTIFICATE_EXPIRED) as caught:
        here.next_event()
    assert caught.value.evidence == {"fact": "x"}
    there.receive_data(here.data_to_send())
    with fails(AlertReceived, reasons.ALERT_RECEIVED) as told:
        there.next_event()
    assert told.value.name == "certificate_expired"


@each_case
@pytest.mark.parametrize("error", [ValueError("no"), StopIteration("no"), KeyboardInterrupt()], ids=repr)
def test_a_refusal_with_a_foreign_error(case: Case, error: BaseException) -> None:
    here, _, question = opened(case)
    question.refuse(error)
    with fails(TLSError, CALLBACK_FAILED) as caught:
        here.next_event()
    assert caught.value.__cause__ is error
    assert caught.value.evidence["question"] == case.name


@each_case
@pytest.mark.parametrize("error", [ValueError("no"), StopIteration("no"), RuntimeError("generator raised")], ids=repr)
def test_a_callback_that_raises(case: Case, error: Exception) -> None:
    def callback(*_: Any) -> Any:
        raise error

    here, there = asking(case, callback)
    with fails(TLSError, CALLBACK_FAILED) as caught:
        pump(here, there)
    assert caught.value.__cause__ is error
    assert caught.value.evidence["exception"] == f"{type(error).__name__}: {error}"
    with fails(AlertReceived, reasons.ALERT_RECEIVED) as told:
        there.next_event()
    assert told.value.name == "internal_error"


@each_case
def test_a_callback_that_raises_an_error_of_ours(case: Case) -> None:
    def callback(*_: Any) -> Any:
        raise CertificateError(reasons.WEAK_KEY) from ValueError("because")

    here, there = asking(case, callback)
    with fails(CertificateError, reasons.WEAK_KEY) as caught:
        pump(here, there)
    assert isinstance(caught.value.__cause__, ValueError)


@each_case
@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_within_a_callback_gets_through_and_ends_the_connection(
    case: Case, interrupt: type[BaseException]
) -> None:
    def callback(*_: Any) -> Any:
        raise interrupt

    here, there = asking(case, callback)
    with pytest.raises(interrupt):
        pump(here, there)
    assert here.failed
    with fails(TLSError, reasons.INTERNAL_ERROR):
        here.next_event()
    there.receive_data(here.data_to_send())
    with fails(AlertReceived, reasons.ALERT_RECEIVED):
        there.next_event()


@each_case
@pytest.mark.parametrize("wrong", ["text", 0, True, 3.5, (), bytearray(b"x"), ["x"]], ids=repr)
@pytest.mark.parametrize("inline", [True, False], ids=["inline", "later"])
def test_an_answer_of_the_wrong_kind(case: Case, wrong: Any, inline: bool) -> None:
    with fails(TLSError, CALLBACK_FAILED) as caught:
        if inline:
            pump(*asking(case, lambda *_: wrong))
        else:
            here, _, question = opened(case)
            question.answer(wrong)
            here.next_event()
    assert caught.value.evidence["problem"] == f"{type(wrong).__name__} is not an answer"


def test_a_signature_that_is_wrong_is_seen_by_the_peer() -> None:
    here, there = asking(SIGN, lambda *_: b"x" * 64)
    with pytest.raises(TLSError) as caught:
        pump(there, here)
    assert caught.value.reason is reasons.BAD_SIGNATURE


def test_a_none_for_a_verdict_is_no_verdict() -> None:
    with fails(TLSError, CALLBACK_FAILED):
        pump(*asking(VERIFY, lambda *_: None))


# --- late and second answers ---------------------------------------------------------------------------------------


@each_case
def test_the_second_answer_is_ignored(case: Case) -> None:
    here, there, question = opened(case)
    question.answer(case.answer(question))
    question.refuse(ValueError("too late"))
    question.answer("nonsense")
    pump(here, there)
    question.refuse()
    question.answer(None)
    pump(here, there)
    assert here.handshake is not None


@each_case
@pytest.mark.parametrize("end", ["close", "timeout"])
def test_a_late_answer_is_ignored(case: Case, end: str) -> None:
    clock = Ticking()
    both = case.settings(lambda *_: ASK)
    both[case.asked]["clock"] = clock.clock
    pairs = started(*both)
    here, there = pairs[case.asked], pairs[1 - case.asked]
    (question,), _ = pump(here, there)
    if end == "close":
        here.close()
        question.answer(case.answer(question))
        assert here.next_event() is None
        assert here.handshake is None
    else:
        clock.now += limits.HANDSHAKE_SECONDS
        here.handle_timeout()
        question.answer(case.answer(question))
        with fails(HandshakeTimeout, reasons.HANDSHAKE_TIMEOUT):
            here.next_event()


def test_a_question_that_belongs_to_nobody() -> None:
    question = ChooseIdentity(None)  # type: ignore[arg-type]
    question.answer(None)
    question.refuse()


# --- while a question is open --------------------------------------------------------------------------------------


def test_input_is_held_while_a_question_is_open() -> None:
    """The whole flight arrives with the certificate; what stands behind it waits."""
    client, server = started({"verifier": ASK})
    carry(client, server)
    flight = bytes(server.data_to_send())
    (question,) = [event for at in range(0, len(flight), 100) for event in _fed(client, flight[at : at + 100])]
    assert client.awaiting == "Certificate"
    question.answer(VERIFY.answer(question))
    pump(client, server)
    assert client.handshake is not None


def _fed(connection: Connection, data: bytes) -> list[Any]:
    connection.receive_data(data)
    return list(connection.events())


def test_what_is_held_has_a_cap() -> None:
    here, there, question = opened(VERIFY)
    piece = b"\x17\x03\x03\x40\x00" + bytes(0x4000)
    for _ in range(limits.INPUT_HELD // len(piece) - 1):
        here.receive_data(piece)
    assert not here.failed
    here.receive_data(piece)
    here.receive_data(piece)
    assert here.failed
    with fails(TLSError, reasons.TOO_MUCH_HELD) as caught:
        here.next_event()
    assert caught.value.evidence == {"limit": limits.INPUT_HELD}
    question.answer(VERIFY.answer(question))
    assert here.failed
    there.receive_data(here.data_to_send())
    with fails(AlertReceived, reasons.ALERT_RECEIVED):
        there.next_event()


def test_the_end_of_input_waits_too() -> None:
    here, _, question = opened(VERIFY)
    here.receive_eof()
    assert here.next_event() is None
    question.answer(VERIFY.answer(question))
    event = here.next_event()
    assert type(event).__name__ == "HandshakeCompleted"
    with pytest.raises(TLSError) as caught:
        here.next_event()
    assert caught.value.reason is reasons.TRUNCATED


def test_the_deadline_runs_on() -> None:
    clock = Ticking()
    client, server = started({"verifier": ASK, "clock": clock.clock, "handshake_timeout": 5.0})
    assert client.deadline == clock.now + 5.0
    (question,), _ = pump(client, server)
    clock.now += 4.9
    client.handle_timeout()
    assert not client.failed
    clock.now += 0.2
    client.handle_timeout()
    client.handle_timeout()
    with fails(HandshakeTimeout, reasons.HANDSHAKE_TIMEOUT) as caught:
        client.next_event()
    assert caught.value.evidence == {"seconds": 5.0}
    assert isinstance(caught.value, TimeoutError)
    question.answer(VERIFY.answer(question))
    with fails(AlertReceived, reasons.CLOSED_DURING_HANDSHAKE):
        pump_until_it_fails(client, server)


def pump_until_it_fails(source: Connection, target: Connection) -> None:
    target.receive_data(source.data_to_send())
    target.next_event()


# --- callbacks that call back --------------------------------------------------------------------------------------


@each_case
@pytest.mark.parametrize("call", ["next_event", "start"])
def test_a_callback_that_calls_its_own_connection(case: Case, call: str) -> None:
    mine: list[Connection] = []

    def callback(*_: Any) -> Any:
        getattr(mine[0], call)()

    here, there = asking(case, callback)
    mine.append(here)
    with fails(MisuseError, reasons.MISUSE):
        pump(here, there)
    with fails(AlertReceived, reasons.ALERT_RECEIVED) as told:
        there.next_event()
    assert told.value.name == "internal_error"


def test_a_callback_that_catches_its_own_misuse_goes_on() -> None:
    mine: list[ClientConnection] = []

    def callback(*values: Any) -> Any:
        with fails(MisuseError, reasons.MISUSE):
            mine[0].next_event()
        return NoVerification().verify_server(*values)

    here, there = asking(VERIFY, callback)
    assert isinstance(here, ClientConnection)
    mine.append(here)
    pump(here, there)
    assert here.handshake is not None


@each_case
@pytest.mark.parametrize("raising", [True, False], ids=["raises", "answers"])
def test_a_deadline_that_passes_within_a_callback(case: Case, raising: bool) -> None:
    """Another thread may look at the clock meanwhile. The first failure is the one that stays."""
    clock = Ticking()
    mine: list[Connection] = []

    def callback(*values: Any) -> Any:
        clock.now += 1e6
        mine[0].handle_timeout()
        if raising:
            raise ValueError("later")
        return case.right(*values)

    settings = case.settings(callback)
    settings[case.asked]["clock"] = clock.clock
    both = started(*settings)
    here, there = both[case.asked], both[1 - case.asked]
    mine.append(here)
    with fails(HandshakeTimeout, reasons.HANDSHAKE_TIMEOUT):
        pump(here, there)
    assert here.handshake is None
    if case.is_last:  # to the other side it is a close after the handshake, which pump has seen
        assert there.next_event() is None
        assert not there.failed
        return
    with fails(AlertReceived, reasons.CLOSED_DURING_HANDSHAKE):
        there.next_event()


# --- a verifier that speaks of somebody else -----------------------------------------------------------------------


@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize("asking", ["client", "server"])
@pytest.mark.parametrize("later", [False, True], ids=["at once", "later"])
def test_an_identity_of_another_certificate(asking: str, version: str, later: bool) -> None:
    """The key that has to sign is that of the certificate that was sent: another one would let its owner in instead."""
    other = {"client": identity("p256", "other.example"), "server": client_identity("p384")}[asking]

    def verify(chain: Any, server_name: Any, now: Any) -> Any:
        return NoVerification().verify_server(other.chain, server_name or "other.example", now)

    verifier = ASK if later else Verifier(verify)
    client: dict[str, Any] = {"max_version": version, "min_version": version, "identities": [client_identity()]}
    server: dict[str, Any] = {"client_authentication": "required"}
    if asking == "client":
        client["verifier"] = verifier
    else:
        server["client_verifier"] = verifier
    sides = started(client, server)
    here = sides[asking == "server"]

    def run() -> None:
        at = pump(*sides)[asking == "server"]
        question = at[-1]
        assert isinstance(question, VerifyPeer)
        question.answer(verify(question.chain, question.server_name, question.now))
        pump(*sides)

    with fails(TLSError, CALLBACK_FAILED) as caught:
        run()
    assert caught.value.evidence == {"question": "VerifyPeer", "problem": "the identity is of another certificate"}
    assert here.handshake is None
    assert here.failed
    with fails(AlertReceived, reasons.ALERT_RECEIVED) as told:
        sides[asking == "client"].next_event()
    assert told.value.name == "internal_error"
