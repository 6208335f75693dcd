"""What is said of bytes that are no certificate."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handfast.certificates.damage import damage
from handfast.certificates.der import parts
from handfast.certificates.parsed import parsed
from handfast.certificates.policy import ChainVerifier
from handfast.errors import CertificateUnreadable
from handfast.testing.chains import SERVER_NAME, root

LEAF = root().issue(SERVER_NAME).chain[0]
NAME = parts(LEAF).issuer
KEY_USAGE = bytes.fromhex("0603551d0f")


def problem(der: bytes) -> str:
    with pytest.raises(CertificateUnreadable) as caught:
        parsed(der)
    return str(caught.value.evidence["problem"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda der: b"", "it does not begin as a certificate does"),
        (lambda der: b"\x31" + der[1:], "it does not begin as a certificate does"),
        (lambda der: b"\x30\xff" + b"\xff" * 200, "it does not begin as a certificate does"),
        (lambda der: b"\x30", "it is cut: of 2 bytes 1 are there"),
        (lambda der: b"\x30\x05abc", "it is cut: of 7 bytes 5 are there"),
        (lambda der: der[:-7], "it is cut: of WHOLE bytes LESS are there"),
        (lambda der: der + b"\0", "after its WHOLE bytes 1 more follow"),
        (lambda der: b"-----BEGIN CERTIFICATE-----\n", "it is text (PEM), and belongs here in its binary form (DER)"),
        (lambda der: der[:4] + b"\x31" + der[5:], "it is not built as a certificate is"),
        (lambda der: der.replace(NAME, b"\x31" + NAME[1:]), "it is not built as a certificate is, in its issuer"),
        (lambda der: der.replace(b"\x17\x0d", b"\x17\x0c"), "it is not built as a certificate is, in its dates"),
        (
            lambda der: der.replace(KEY_USAGE, b"\x01" + KEY_USAGE[1:]),
            "it is not built as a certificate is, in its extensions",
        ),
    ],
    ids=[
        "nothing",
        "a set",
        "a huge length",
        "one byte",
        "three bytes",
        "cut",
        "one more",
        "PEM",
        "a set within",
        "issuer",
        "dates",
        "extensions",
    ],
)
def test_in_words(change: Callable[[bytes], bytes], said: str) -> None:
    numbers = said.replace("WHOLE", str(len(LEAF))).replace("LESS", str(len(LEAF) - 7))
    assert problem(change(LEAF)) == numbers


def test_what_the_parser_says_in_words_is_kept() -> None:
    assert (
        damage(LEAF, ValueError("one without the other"))
        == "it is not built as a certificate is: one without the other"
    )


def test_which_one_of_a_chain() -> None:
    with pytest.raises(CertificateUnreadable) as caught:
        ChainVerifier(root().trust).verify_server((LEAF, LEAF, LEAF[:-1]), SERVER_NAME, datetime.now(UTC))
    assert list(caught.value.evidence) == ["position", "problem"]
    assert caught.value.evidence["position"] == "certificate 3 of 3"


@given(st.binary(max_size=300))
def test_there_are_words_for_anything(data: bytes) -> None:
    assert damage(data, ValueError("odd"))
