"""The table of reasons: whole, unambiguous, and in step with the registry of alerts."""

from __future__ import annotations

import re

import pytest

from handfast import errors, reasons
from handfast.reasons import Reason, alerts
from handfast.wire.codepoints import AlertDescription

EVERY = pytest.mark.parametrize("reason", reasons.every(), ids=lambda reason: reason.name)

# What is no rule of any RFC: it happens on this side, before there is a peer.
WITHOUT_SECTION = {"bad_configuration", "file_unreadable", "file_unwritable", "misuse"} | {
    "not_an_authority",
    "authority_exists",
    "authority_busy",
    "authority_damaged",
    "authority_key_elsewhere",
    "file_there_already",
}


def constants() -> dict[str, Reason]:
    return {name: value for name, value in vars(reasons).items() if isinstance(value, Reason)}


def test_each_reason_is_a_constant_of_its_own_name() -> None:
    assert {name.lower(): value for name, value in constants().items()} == {
        reason.name: reason for reason in reasons.every()
    }
    assert len({reason.name for reason in reasons.every()}) == len(reasons.every()) == len(constants())


@EVERY
def test_the_alert_is_one_that_the_rfc_knows(reason: Reason) -> None:
    assert reason.alert is None or reason.alert in AlertDescription.names()
    assert reason.alert != AlertDescription.CLOSE_NOTIFY


def test_the_numbers_of_alerts_are_called_what_the_registry_calls_them() -> None:
    numbers = {name: value for name, value in vars(alerts).items() if name.isupper()}
    assert numbers
    for name, value in numbers.items():
        assert AlertDescription.name(value) == name.lower()


@EVERY
def test_the_section_says_where_the_rule_stands(reason: Reason) -> None:
    if reason.name in WITHOUT_SECTION:
        assert reason.section == ""
    else:
        assert re.fullmatch(r"RFC \d{4} (section \d+(\.\d+)*|appendix [A-Z](\.\d+)*)", reason.section)


@EVERY
def test_the_sentence_and_the_hint_can_be_read_by_anybody(reason: Reason) -> None:
    for text in (reason.sentence, reason.hint):
        assert text.isprintable()
        assert text.isascii()
        assert text == text.strip()
    assert re.fullmatch(r"[A-Z\w].*\.", reason.sentence)
    assert not reason.hint or reason.hint[-1] in ".?)"


def test_no_two_reasons_say_the_same() -> None:
    sentences = [reason.sentence for reason in reasons.every()]
    assert len(set(sentences)) == len(sentences)


def test_a_reason_is_found_by_its_name() -> None:
    for reason in reasons.every():
        assert reasons.by_name(reason.name) is reason
    with pytest.raises(KeyError):
        reasons.by_name("no_such_reason")


def test_a_reason_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        reasons.DECODE_ERROR.alert = 0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "alert"),
    [
        ("decode_error", "decode_error"),
        ("bad_record_mac", "bad_record_mac"),
        ("record_overflow", "record_overflow"),
        ("duplicate_extension", "illegal_parameter"),
        ("extension_not_allowed", "illegal_parameter"),
        ("unsolicited_extension", "unsupported_extension"),
        ("missing_extension", "missing_extension"),
        ("bad_key_share", "illegal_parameter"),
        ("no_common_version", "protocol_version"),
        ("no_common_suite", "handshake_failure"),
        ("bad_signature", "decrypt_error"),
        ("bad_finished", "decrypt_error"),
        ("wrong_signature_type", "illegal_parameter"),
        ("unexpected_message", "unexpected_message"),
        ("no_certificate", "decode_error"),
        ("unknown_issuer", "unknown_ca"),
        ("certificate_expired", "certificate_expired"),
        ("no_common_alpn", "no_application_protocol"),
        ("unrecognized_name", "unrecognized_name"),
        ("internal_error", "internal_error"),
    ],
)
def test_alerts_that_the_rfc_asks_for(name: str, alert: str) -> None:
    number = reasons.by_name(name).alert
    assert number is not None
    assert AlertDescription.name(number) == alert


def test_the_default_reason_of_every_error_is_in_the_table() -> None:
    kinds = [item for item in vars(errors).values() if isinstance(item, type) and issubclass(item, errors.TLSError)]
    assert all(kind.default_reason in reasons.every() for kind in kinds)
