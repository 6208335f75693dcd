"""The exceptions: what they carry, that they can be raised anew and cross processes, and that they show nothing bad."""

from __future__ import annotations

import copy
import pickle
import traceback
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from handfast import errors, reasons
from handfast.errors import (
    AlertReceived,
    CertificateError,
    CertificateExpired,
    CertificateRefused,
    ConfigurationError,
    DecodeError,
    HandshakeRefused,
    HandshakeTimeout,
    MisuseError,
    PeerIncompatible,
    PeerMisbehaved,
    ProtocolError,
    TLSError,
    TruncationError,
    shown,
)
from handfast.wire.codepoints import AlertDescription

CLASSES = sorted(
    (item for item in vars(errors).values() if isinstance(item, type) and issubclass(item, TLSError)),
    key=lambda kind: kind.__name__,
)
EVERY = pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
# Those that callbacks raise: they take an alert, and no Reason.
CHOOSING: tuple[Any, ...] = (CertificateRefused, HandshakeRefused)
WITH_A_REASON = pytest.mark.parametrize(
    "kind", [kind for kind in CLASSES if kind not in CHOOSING], ids=lambda kind: kind.__name__
)
WITH_AN_ALERT = pytest.mark.parametrize("kind", CHOOSING, ids=lambda kind: kind.__name__)

ARGUMENTS: dict[type[TLSError], tuple[Any, ...]] = {DecodeError: ("field", 7), AlertReceived: (40, "handshake_failure")}


def make(kind: type[TLSError], reason: reasons.Reason | None = None, **evidence: object) -> TLSError:
    if kind in CHOOSING:
        return kind("access_denied", "not this one", **evidence)  # type: ignore[arg-type]
    return kind(*ARGUMENTS.get(kind, ()), reason, **evidence)


def facts(error: TLSError) -> dict[str, object]:
    """All that an error carries."""
    return {"kind": type(error), "args": error.args, "text": str(error), "alert": error.alert, **vars(error)}


# --- what they carry


@EVERY
def test_each_class_has_a_reason_of_its_own_to_fall_back_on(kind: type[TLSError]) -> None:
    error = make(kind)
    assert error.reason is kind.default_reason
    assert error.reason in reasons.every()
    assert str(error).startswith(error.reason.sentence)
    assert error.sent_by in ("us", "peer", "nobody")
    assert error.step == ""
    assert kind.__doc__


@WITH_A_REASON
def test_reason_and_evidence_can_be_given(kind: type[TLSError]) -> None:
    error = make(kind, reasons.KEY_MISMATCH, first_thing=1, second=[b"\xaa", "b"])
    assert error.reason is reasons.KEY_MISMATCH
    assert {"first_thing": 1, "second": [b"\xaa", "b"]}.items() <= error.evidence.items()
    assert str(error).startswith("The private key does not belong to the certificate. (")
    assert "first thing: 1; second: aa, b" in str(error)


@WITH_A_REASON
def test_the_alert_is_that_of_the_reason(kind: type[TLSError]) -> None:
    if kind is not AlertReceived:
        assert make(kind, reasons.WEAK_KEY).alert == reasons.WEAK_KEY.alert
        assert make(kind, reasons.MISUSE).alert is None


@WITH_AN_ALERT
def test_a_callback_chooses_the_alert(kind: Any) -> None:
    error = kind("certificate_revoked", "it is on the list", serial=7)
    assert error.alert == AlertDescription.CERTIFICATE_REVOKED
    assert error.reason is kind.default_reason
    assert error.evidence == {"serial": 7, "problem": "it is on the list"}
    assert "problem: it is on the list" in str(error)
    assert error.sent_by == "us"


def test_a_callback_may_leave_the_alert_to_us() -> None:
    assert CertificateRefused().alert == AlertDescription.CERTIFICATE_UNKNOWN
    assert CertificateRefused().certificate is None
    assert HandshakeRefused().alert == AlertDescription.HANDSHAKE_FAILURE
    for error in (CertificateRefused(), HandshakeRefused()):
        assert error.evidence == {}


@WITH_AN_ALERT
@pytest.mark.parametrize("name", ["", "no such alert", "close_notify", "CERTIFICATE_REVOKED", "by_name"])
def test_an_alert_has_to_be_one_for_errors(kind: Any, name: str) -> None:
    with pytest.raises(ValueError, match="no error alert called"):
        kind(name)


@WITH_AN_ALERT
@pytest.mark.parametrize("name", sorted(name.lower() for name in vars(reasons.alerts) if name.isupper()))
def test_every_alert_of_the_table_can_be_chosen(kind: Any, name: str) -> None:
    assert AlertDescription.name(kind(name).alert) == name


def test_the_alert_of_an_alert_is_the_one_that_came() -> None:
    error = AlertReceived(40, "handshake_failure")
    assert (error.alert, error.description, error.name, error.sent_by) == (40, 40, "handshake_failure", "peer")
    assert str(error).startswith(
        "The peer broke off with an alert. (alert: handshake_failure; it means: nothing in common"
    )


def test_what_to_try_after_an_alert_is_that_of_the_alert() -> None:
    error = AlertReceived(48, "unknown_ca")
    assert error.meaning == "the issuer of the certificate is not trusted there"
    assert error.hint == "Send the whole chain (fullchain.pem), or let the peer trust the root of it."
    assert pickle.loads(pickle.dumps(error)).hint == error.hint
    refused = AlertReceived(70, "protocol_version", reasons.VERSION_REFUSED)
    assert refused.hint == reasons.VERSION_REFUSED.hint
    assert "it means" not in str(refused), "its reason has said it"
    unknown = AlertReceived(200, "200")
    assert (unknown.meaning, bool(unknown.hint)) == ("an alert that has no name in TLS", True)
    assert AlertReceived(90, "user_canceled").hint == "", "there is nothing to try"


def test_any_error_says_what_to_try() -> None:
    assert PeerIncompatible(reasons.NO_COMMON_VERSION).hint == reasons.NO_COMMON_VERSION.hint


def test_a_decode_error_names_field_and_offset() -> None:
    error = DecodeError("key_exchange", 99, problem="too short")
    assert (error.field, error.offset, error.reason) == ("key_exchange", 99, reasons.DECODE_ERROR)
    assert error.evidence == {"field": "key_exchange", "offset": 99, "problem": "too short"}


def test_a_certificate_error_has_the_certificate() -> None:
    assert CertificateError(certificate=b"DER").certificate == b"DER"
    assert CertificateError().certificate is None


@pytest.mark.parametrize(
    ("kind", "bases"),
    [
        (DecodeError, (PeerMisbehaved, ProtocolError)),
        (PeerIncompatible, (ProtocolError,)),
        (HandshakeTimeout, (TimeoutError,)),
        (ConfigurationError, (ValueError,)),
        (MisuseError, (RuntimeError,)),
    ],
)
def test_errors_can_be_caught_by_what_they_are(kind: type[TLSError], bases: tuple[type, ...]) -> None:
    error = make(kind)
    assert all(isinstance(error, base) for base in (*bases, TLSError))


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    assert errors.__doc__
    for kind in CLASSES:
        if not issubclass(kind, CertificateError) or kind is CertificateError:
            assert kind.__name__ in errors.__doc__


# --- raised anew


@EVERY
def test_a_copy_carries_the_same_and_no_traceback(kind: type[TLSError]) -> None:
    error = make(kind, reasons.WEAK_KEY, fact=[1])
    error.step = "Finished"
    with pytest.raises(kind):
        try:
            raise KeyError("context")
        except KeyError as cause:
            raise error from cause
    assert error.__traceback__ is not None
    fresh = error.copy()
    assert fresh is not error
    assert facts(fresh) == facts(error)
    assert (fresh.__traceback__, fresh.__cause__, fresh.__context__) == (None, None, None)
    fresh.evidence["more"] = 1
    assert "more" not in error.evidence


def test_raising_copies_does_not_let_the_traceback_grow() -> None:
    error = TruncationError()
    lengths = set()
    for _ in range(5):
        try:
            raise error.copy() from None
        except TruncationError as raised:
            lengths.add(len(traceback.extract_tb(raised.__traceback__)))
    assert lengths == {1}


# --- across processes


@EVERY
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_errors_can_be_pickled(kind: type[TLSError], protocol: int) -> None:
    error = make(kind, reasons.WEAK_KEY, numbers=[1, 2], text="b", raw=b"\xff")
    error.step = "Certificate"
    back = pickle.loads(pickle.dumps(error, protocol))
    assert facts(back) == facts(error)
    assert back.reason is error.reason  # the table's own entry, not a copy of it


@EVERY
def test_errors_can_be_copied(kind: type[TLSError]) -> None:
    error = make(kind, fact="a")
    assert facts(copy.copy(error)) == facts(error)
    assert facts(copy.deepcopy(error)) == facts(error)


# --- text that may come from a peer


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain text, ümläuts and 漢字", "plain text, ümläuts and 漢字"),
        ("two\nlines\r\n", r"two\nlines\r\n"),
        ("tab\tbell\abackspace\b", r"tab\tbell\x07backspace\x08"),
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x9b31m", r"\x9b31m"),  # the one-byte CSI of 8-bit terminals
        ("null\x00delete\x7f", r"null\x00delete\x7f"),
        ("abc\u202egnp.exe", r"abc\u202egnp.exe"),  # right-to-left override
        ("\u2066isolate\u2069", r"\u2066isolate\u2069"),
        ("zero\u200bwidth\ufeff", r"zero\u200bwidth\ufeff"),
        ("line\u2028separator\u2029", r"line\u2028separator\u2029"),
        ("no-break\u00a0space", r"no-break\xa0space"),
        ("\ud800 alone", r"\ud800 alone"),  # half a surrogate pair cannot be printed
        ("\U000e0041 tag", r"\U000e0041 tag"),
        (b"\x00\xff", "00 ff"),
        (bytearray(b"\x1b["), "1b 5b"),
        pytest.param(memoryview(b"ab"), "61 62", id="memoryview"),
        (b"", ""),
        ([], "nothing"),
        ((), "nothing"),
        (["a", b"\xff", 3], "a, ff, 3"),
        ([["a\n", ["\x1b"]], ()], r"a\n, \x1b, nothing"),
        ({"one"}, "one"),
        (frozenset(), "nothing"),
        (None, "None"),
        (0x0304, "772"),
        (datetime(2026, 12, 21, 19, 24, 59, tzinfo=UTC), "2026-12-21 19:24 UTC"),
        (datetime(2026, 12, 21, 19, 24, tzinfo=timezone(timedelta(hours=1))), "2026-12-21 19:24:00+01:00"),
        ({"key\n": "\x1b"}, r"{'key\n': '\x1b'}"),
    ],
    ids=lambda value: ascii(bytes(value) if isinstance(value, memoryview) else value),
)
def test_hostile_text_is_made_harmless(value: object, text: str) -> None:
    assert shown(value) == text
    assert shown(value).isprintable()


@pytest.mark.parametrize("code", [*range(0x20), *range(0x7F, 0xA1), *range(0x2028, 0x202F), 0x2066, 0xFFF9])
def test_no_character_that_moves_or_hides_text_survives(code: int) -> None:
    assert chr(code) not in shown(f"a{chr(code)}b")


def test_long_values_are_cut() -> None:
    assert shown(bytes(64)) == " ".join(["00"] * 64)
    assert shown(bytes(65)) == " ".join(["00"] * 64) + " ..."
    assert shown("x" * 2000) == "x" * 2000
    assert shown("x" * 2001) == "x" * 2000 + "..."
    assert shown("\x1b" * 1_000_000) == r"\x1b" * 500 + "..."
    assert len(shown(["x" * 3000] * 1000)) == 2003


def test_what_an_error_says_is_one_printable_line() -> None:
    error = PeerMisbehaved(reasons.UNSOLICITED_EXTENSION, name="\x1b[2J\n\u202e", raw=b"\n" * 1000, names=["a\r\nb"])
    text = str(error)
    assert text.isprintable()
    assert text.startswith("The peer answered with an extension that was never offered. (name: \\x1b[2J\\n\\u202e; ")


def test_an_expired_root_is_to_be_replaced_by_who_trusts_it() -> None:
    assert "Trust the authority's new root" in CertificateExpired(position="trusted root").hint
    assert CertificateExpired(position="certificate 1 of 1").hint == reasons.CERTIFICATE_EXPIRED.hint
