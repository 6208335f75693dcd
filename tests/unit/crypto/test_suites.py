"""Cipher suites and their AEADs (RFC 9846 appendix B.4)."""

from __future__ import annotations

import hashlib

import pytest

from handfast.crypto.aead import NONCE_LENGTH, TAG_LENGTH, InvalidTag
from handfast.crypto.suites import SUITES, Suite
from handfast.limits import RECORDS_OF_A_KEY
from handfast.profiles import PROFILES

ALL = pytest.mark.parametrize("suite", SUITES.values(), ids=lambda suite: suite.name)


@pytest.mark.parametrize(
    ("number", "name", "hash_name", "hash_length", "key_length"),
    [
        (0x1301, "TLS_AES_128_GCM_SHA256", "sha256", 32, 16),
        (0x1302, "TLS_AES_256_GCM_SHA384", "sha384", 48, 32),
        (0x1303, "TLS_CHACHA20_POLY1305_SHA256", "sha256", 32, 32),
        (0x1304, "TLS_AES_128_CCM_SHA256", "sha256", 32, 16),
        (0x1305, "TLS_AES_128_CCM_8_SHA256", "sha256", 32, 16),
    ],
)
def test_a_suite_is_what_its_name_says(
    number: int, name: str, hash_name: str, hash_length: int, key_length: int
) -> None:
    suite = SUITES[number]
    assert (suite.id, suite.name, suite.hash) == (number, name, hash_name)
    assert (suite.hash_length, suite.key_length) == (hash_length, key_length)
    assert hashlib.new(suite.hash).digest_size == suite.hash_length


def test_there_is_no_other_suite() -> None:
    assert list(SUITES) == [0x1301, 0x1302, 0x1303, 0x1304, 0x1305]


def test_those_with_ccm_are_no_default() -> None:
    for profile in PROFILES.values():
        assert [suite for suite in profile.cipher_suites if suite in SUITES] == [0x1301, 0x1302, 0x1303]


def test_aes_gcm_has_a_limit_and_chacha20_none_that_can_be_reached() -> None:
    # RFC 9846 section 5.5: 2^24.5 records of full size for AES-GCM; the sequence number ends first with ChaCha20.
    assert RECORDS_OF_A_KEY**2 <= 2**49 < (RECORDS_OF_A_KEY + 1) ** 2
    assert [suite.records <= RECORDS_OF_A_KEY for suite in SUITES.values()] == [True, True, False, True, True]
    assert SUITES[0x1303].records < 1 << 64


def test_ccm_has_a_lower_limit_whatever_its_tag() -> None:
    # RFC 9147 section 4.5.3.
    assert SUITES[0x1304].records == SUITES[0x1305].records == 2**23 < RECORDS_OF_A_KEY


def test_the_tag_of_ccm_8_has_8_bytes_and_every_other_one_16() -> None:
    assert {number: suite.tag_length for number, suite in SUITES.items() if suite.tag_length != TAG_LENGTH} == {
        0x1305: 8
    }


def test_ccm_as_nist_has_it() -> None:
    """Example 3 of NIST SP 800-38C, appendix C: a nonce of 12 bytes, as in TLS, and a tag of 8."""
    cipher = SUITES[0x1305].aead(bytes(range(0x40, 0x50)))
    nonce, header, content = bytes(range(0x10, 0x1C)), bytes(range(20)), bytes(range(0x20, 0x38))
    sealed = bytearray(len(content) + 8)
    cipher.encrypt_into(nonce, content, header, sealed)
    assert sealed.hex() == "e3b201a9f5b71a7a9b1ceaeccd97e70b6176aad9a4428aa5484392fbc1b09951"


@ALL
def test_the_aead_takes_the_suite_s_key_and_adds_a_tag(suite: Suite) -> None:
    cipher = suite.aead(bytes(suite.key_length))
    nonce, data = bytes(NONCE_LENGTH), b"data"
    sealed = bytearray(len(data) + suite.tag_length)
    assert cipher.encrypt_into(nonce, data, b"header", sealed) == len(sealed)
    assert cipher.decrypt(nonce, bytes(sealed), b"header") == data


@ALL
@pytest.mark.parametrize("length", range(TAG_LENGTH + 1))
def test_what_is_too_short_for_a_tag_is_an_invalid_tag_too(suite: Suite, length: int) -> None:
    with pytest.raises(InvalidTag):
        suite.aead(bytes(suite.key_length)).decrypt(bytes(NONCE_LENGTH), memoryview(bytes(length)), b"header")


@ALL
def test_it_encrypts_in_place(suite: Suite) -> None:
    cipher = suite.aead(bytes(suite.key_length))
    buffer = bytearray(b"content" + bytes(suite.tag_length))
    cipher.encrypt_into(bytes(NONCE_LENGTH), memoryview(buffer)[:7], b"", buffer)
    assert cipher.decrypt(bytes(NONCE_LENGTH), bytes(buffer), b"") == b"content"
