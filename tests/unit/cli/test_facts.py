"""What is said about a handshake besides what was agreed."""

from __future__ import annotations

import pytest

from handfast.certificates.store import TrustStore
from handfast.cli.facts import Retry, authority_name, why_not
from handfast.testing import Authority
from handfast.wire.codepoints import SignatureScheme
from handfast.wire.messages13 import CertificateRequest

_P256 = int(SignatureScheme.ECDSA_SECP256R1_SHA256)


def test_names_of_authorities_are_text() -> None:
    for length in (1, 55):  # short and long forms of DER's lengths
        authority = Authority.create("\x1b[31m" + "x" * length)
        name = authority_name(authority.trust.subjects()[0])
        assert name == "CN=\\x1b[31m" + "x" * length + ",O=handfast testing"


def test_every_name_of_the_system_can_be_read() -> None:
    assert all("=" in authority_name(name) for name in TrustStore.default().subjects())


@pytest.mark.parametrize("name", [b"", b"\x30\x05abcde", b"\x31\x00", bytes(300)])
def test_a_name_that_is_none_is_shown_in_hexadecimal(name: bytes) -> None:
    assert authority_name(name).replace(" ...", "").replace(" ", "") == name[:64].hex()


def test_many_authorities_are_counted() -> None:
    ours = Authority.create("ours").issue("a")
    names = [Authority.create(f"root {number}").trust.subjects()[0] for number in range(6)]
    text = why_not(ours, CertificateRequest(signature_algorithms=[_P256], certificate_authorities=names))
    assert text.startswith("ours is from CN=ours,O=handfast testing, and the server wants one from CN=root 0,")
    assert "root 3" in text
    assert text.endswith(" or 2 others")


def test_a_scheme_that_is_missing_is_named() -> None:
    ours = Authority.create("ours").issue("a", key="ed448")
    text = why_not(ours, CertificateRequest(signature_algorithms=[_P256]))
    assert text == "our key signs with ed448, and the server accepts ecdsa_secp256r1_sha256"


def test_a_retry_for_a_cookie_cannot_be_avoided() -> None:
    retry = Retry(None, ("x25519",), ("x25519",))
    assert "cookie" in retry.why
    assert retry.remedy == ""


def test_a_retry_for_a_group_is_avoided_by_offering_it_first() -> None:
    retry = Retry("secp384r1", ("x25519",), ("x25519", "secp384r1"))
    assert retry.why == "the server wanted a key share of secp384r1; we had sent x25519"
    assert retry.remedy == "offer it first: --group secp384r1,x25519"
