"""The parts that scripts are made of: expectations, proofs, the link, the runner, the table after the handshake."""

from __future__ import annotations

from typing import Any

import pytest

from handfast import reasons
from handfast.clock import Clock
from handfast.config import ASK
from handfast.crypto.schedule13 import TrafficSecret
from handfast.crypto.suites import SUITES
from handfast.errors import PeerMisbehaved, TLSError
from handfast.handshake import authenticate, established
from handfast.handshake.established import Established
from handfast.handshake.flow import ChooseIdentity, Expect, Flow, expect, expect_either
from handfast.handshake.link import Link
from handfast.handshake.runner import Runner
from handfast.record.layer import RecordLayer
from handfast.wire.codepoints import HandshakeType
from handfast.wire.messages13 import Certificate, CertificateEntry, CertificateRequest, Finished
from tests.handshake.parties import fails, server_config

SUITE = SUITES[0x1301]


def link(**settings: Any) -> Link:
    return Link(RecordLayer(), server_config(**settings))


# --- what a script waits for ---------------------------------------------------------------------------------------


def test_an_expectation_names_its_messages() -> None:
    one, two = next(expect(Finished)), next(expect_either(CertificateRequest, Certificate))
    assert isinstance(one, Expect)
    assert isinstance(two, Expect)
    assert (one.names, one.by_type) == ("Finished", {20: Finished})
    assert two.names == "CertificateRequest or Certificate"
    assert two.by_type == {13: CertificateRequest, 11: Certificate}
    assert next(expect(Finished)) is one  # there are a handful, and each handshake needs them all


def test_what_is_sent_in_is_what_is_expected() -> None:
    waiting = expect(Finished)
    next(waiting)
    message = Finished(b"")
    with pytest.raises(StopIteration) as done:
        waiting.send(message)
    assert done.value.value is message


# --- proofs --------------------------------------------------------------------------------------------------------


def test_a_verified_finished_cannot_be_made_by_others() -> None:
    with pytest.raises(TypeError, match="check_finished"):
        authenticate.VerifiedFinished(object())


def test_finished_is_verified() -> None:
    secret = TrafficSecret(SUITE, bytes(32))
    right = secret.verify_data(bytes(32))
    assert isinstance(authenticate.check_finished(Finished(right), right), authenticate.VerifiedFinished)
    for wrong in (b"", right[:-1], right + b"\0", bytes(32)):
        with fails(PeerMisbehaved, reasons.BAD_FINISHED):
            authenticate.check_finished(Finished(wrong), right)


@pytest.mark.parametrize("side", ["client", "server"])
def test_what_is_signed_is_nothing_else(side: str) -> None:
    """RFC 9846 section 4.5.2: 64 spaces, the context, a zero; the transcript's hash follows."""
    context = {"client": authenticate.CLIENT_CONTEXT, "server": authenticate.SERVER_CONTEXT}[side]
    assert context == b"\x20" * 64 + f"TLS 1.3, {side} CertificateVerify".encode() + b"\0"


def test_only_what_was_offered_may_be_answered() -> None:
    authenticate.check_solicited([1, 2], [])
    authenticate.check_solicited([1, 2], [2, 1])
    with fails(PeerMisbehaved, reasons.UNSOLICITED_EXTENSION) as caught:
        authenticate.check_solicited([1, 2], [2, 16])
    assert caught.value.evidence == {"extension": "application_layer_protocol_negotiation"}


def test_the_chain_of_a_certificate_message() -> None:
    entries = [CertificateEntry(b"a"), CertificateEntry(b"b", extension_types=[5])]
    assert authenticate.certificate_chain(Certificate(entries), [5]) == (b"a", b"b")
    with fails(PeerMisbehaved, reasons.UNSOLICITED_EXTENSION):
        authenticate.certificate_chain(Certificate(entries), [])


# --- the link ------------------------------------------------------------------------------------------------------


def test_messages_of_one_flight_share_a_record() -> None:
    there = link()
    there.send(Finished(b"one"))
    there.send(Finished(b"two"))
    assert not there.layer.pending
    there.flush()
    there.flush()
    assert bytes(there.layer.take()) == b"\x16\x03\x03\x00\x0e" + b"\x14\0\0\3one" + b"\x14\0\0\3two"


def test_a_change_of_keys_ends_a_record() -> None:
    there = link()
    there.send(Finished(b"one"))
    there.install_keys(write=TrafficSecret(SUITE, bytes(32)))
    there.send(Finished(b"two"))
    there.flush()
    sent = bytes(there.layer.take())
    assert sent[:12] == b"\x16\x03\x03\x00\x07" + b"\x14\0\0\3one"
    assert sent[12:14] == b"\x17\x03"


def test_what_is_discarded_is_not_sent() -> None:
    there = link()
    there.send(Finished(b"one"))
    there.discard()
    there.flush()
    assert not there.layer.pending


def test_half_a_message_bars_new_keys() -> None:
    there = link()
    there.messages.feed(b"\x14")
    with fails(PeerMisbehaved, reasons.EXCESS_HANDSHAKE_DATA):
        there.install_keys(read=TrafficSecret(SUITE, bytes(32)))
    assert not there.layer.decrypting


def test_the_time_of_a_step_counts_when_it_fails_too() -> None:
    seconds = iter([1.0, 4.0])
    there = link(clock=Clock(monotonic=lambda: next(seconds)))
    with pytest.raises(ZeroDivisionError):
        there.key_exchange(lambda: 1 // 0)
    assert there.timings.key_exchange == 3.0


# --- the runner ----------------------------------------------------------------------------------------------------


def script(*requests: Any) -> Flow[Any]:
    got: list[Any] = []
    for request in requests:
        got += [(yield request)]
    return got


def question() -> ChooseIdentity:
    return ChooseIdentity(None)  # type: ignore[arg-type]


def test_a_runner_answers_what_it_can_and_leaves_the_rest_open() -> None:
    asked = [question(), question()]
    answers = iter([None, ASK])
    runner = Runner(script(*asked, Expect(Finished)), link(choose_identity=lambda _: next(answers)))
    assert runner.advance(None) is asked[1]
    assert runner.question is asked[1]
    assert not runner.answered
    asked[1].answer(None)
    assert runner.answered
    assert runner.take_answer() is None
    assert runner.step == "Finished"
    end: Any = runner.advance("message")
    assert end == [None, None, "message"]
    assert runner.step == ""


def test_a_runner_that_is_closed_does_nothing() -> None:
    runner = Runner(script(Expect(Finished)), link())
    runner.close()
    runner.close()
    assert runner.advance(None) is None


def test_a_runner_may_be_closed_while_its_script_runs() -> None:
    def closing(runner: list[Runner]) -> Flow[Established]:
        runner[0].close()
        return (yield Expect(Finished))  # type: ignore[return-value]

    mine: list[Runner] = []
    runner = Runner(closing(mine), link())
    mine.append(runner)
    assert runner.advance(None) is None
    assert runner.advance(None) is None


def test_a_callback_that_stops_an_iteration_does_not_end_the_script() -> None:
    def choose(_: object) -> Any:
        raise StopIteration("done")

    runner = Runner(script(question()), link(choose_identity=choose))
    with fails(TLSError, reasons.CALLBACK_FAILED) as caught:
        runner.advance(None)
    assert isinstance(caught.value.__cause__, StopIteration)


# --- after the handshake -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", sorted(HandshakeType.names()))
def test_what_may_come_after_the_handshake(kind: int) -> None:
    for table in (*established.OF_CLIENT.values(), *established.OF_SERVER.values()):
        if kind in table:
            assert established.handler(table, kind) is table[kind]
        else:
            with fails(PeerMisbehaved, reasons.UNEXPECTED_MESSAGE):
                established.handler(table, kind)
