"""The key schedule (RFC 9846 section 7), held against HKDF as `cryptography` has it. See tests/vectors for RFC 8448."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from handfast.crypto.schedule13 import EarlySecret, Exporter, HandshakeSecret, MainSecret, TrafficSecret, expand_label
from handfast.crypto.suites import SUITES, Suite

ALL = pytest.mark.parametrize("suite", SUITES.values(), ids=lambda suite: suite.name)
ALGORITHMS = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384()}


def extract(hash_name: str, salt: bytes, secret: bytes) -> bytes:
    """HKDF-Extract (RFC 5869 section 2.2)."""
    return hmac.digest(salt, secret, hash_name)


def expand(hash_name: str, secret: bytes, info: bytes, length: int) -> bytes:
    """HKDF-Expand (RFC 5869 section 2.3), which we did not write."""
    return HKDFExpand(ALGORITHMS[hash_name], length, info).derive(secret)


def label(suite: Suite, secret: bytes, text: bytes, context: bytes, length: int) -> bytes:
    """HKDF-Expand-Label as RFC 9846 section 7.1 writes it down."""
    text = b"tls13 " + text
    info = length.to_bytes(2) + bytes((len(text),)) + text + bytes((len(context),)) + context
    return expand(suite.hash, secret, info, length)


@pytest.mark.parametrize(
    ("secret", "salt", "info", "output"),
    [
        (  # RFC 5869 appendix A.1
            "0b" * 22,
            "000102030405060708090a0b0c",
            "f0f1f2f3f4f5f6f7f8f9",
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
        ),
        (  # A.3: no salt, no info
            "0b" * 22,
            "",
            "",
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
        ),
    ],
    ids=["A.1", "A.3"],
)
def test_what_we_compare_with_is_hkdf(secret: str, salt: str, info: str, output: str) -> None:
    pseudorandom = extract("sha256", bytes.fromhex(salt), bytes.fromhex(secret))
    assert expand("sha256", pseudorandom, bytes.fromhex(info), 42).hex() == output


@ALL
@pytest.mark.parametrize("context", [b"", b"c", bytes(48), bytes(255)], ids=len)
@pytest.mark.parametrize("length", [1, 12, 32])
def test_expand_label_is_hkdf_expand(suite: Suite, context: bytes, length: int) -> None:
    secret = bytes(range(suite.hash_length))
    expected = label(suite, secret, b"some label", context, length)
    assert expand_label(suite, secret, "some label", context, length) == expected


@ALL
def test_more_than_one_block_of_hkdf_is_never_asked_for(suite: Suite) -> None:
    whole = expand_label(suite, bytes(32), "label", b"", suite.hash_length)
    assert whole == label(suite, bytes(32), b"label", b"", suite.hash_length)
    with pytest.raises(AssertionError, match="one block"):
        expand_label(suite, bytes(32), "label", b"", suite.hash_length + 1)


@ALL
def test_the_whole_schedule(suite: Suite) -> None:
    """The figure of RFC 9846 section 7.1, without a PSK."""
    length = suite.hash_length
    zeros = bytes(length)
    empty = hashlib.new(suite.hash).digest()
    hello, finished, client_finished = (hashlib.new(suite.hash, text).digest() for text in (b"SH", b"SF", b"CF"))

    early = extract(suite.hash, zeros, zeros)
    salt = label(suite, early, b"derived", empty, length)
    handshake = extract(suite.hash, salt, b"shared secret")
    salt = label(suite, handshake, b"derived", empty, length)
    main = extract(suite.hash, salt, zeros)

    second = EarlySecret(suite).handshake_secret(b"shared secret")
    assert second.client_traffic(hello).secret == label(suite, handshake, b"c hs traffic", hello, length)
    assert second.server_traffic(hello).secret == label(suite, handshake, b"s hs traffic", hello, length)
    third = second.main_secret()
    assert third.client_traffic(finished).secret == label(suite, main, b"c ap traffic", finished, length)
    assert third.server_traffic(finished).secret == label(suite, main, b"s ap traffic", finished, length)
    assert third.exporter(finished).secret == label(suite, main, b"exp master", finished, length)
    assert third.resumption(client_finished) == label(suite, main, b"res master", client_finished, length)
    assert (second.suite, third.suite, third.client_traffic(finished).suite) == (suite, suite, suite)


@ALL
def test_a_shared_secret_of_any_length_is_mixed_in(suite: Suite) -> None:
    secrets = {
        EarlySecret(suite).handshake_secret(bytes(length)).client_traffic(bytes(suite.hash_length)).secret
        for length in (0, 32, 48, 64)
    }
    assert len(secrets) == 4


@ALL
def test_a_traffic_secret_is_the_root_of_key_and_iv(suite: Suite) -> None:
    secret = bytes(range(100, 100 + suite.hash_length))
    cipher, iv = TrafficSecret(suite, secret).cipher()
    assert iv.to_bytes(12) == label(suite, secret, b"iv", b"", 12)
    expected = suite.aead(label(suite, secret, b"key", b"", suite.key_length))
    sealed = bytearray(4 + suite.tag_length)
    cipher.encrypt_into(bytes(12), b"data", b"header", sealed)
    assert expected.decrypt(bytes(12), bytes(sealed), b"header") == b"data"


@ALL
def test_finished_is_a_mac_over_the_transcript(suite: Suite) -> None:
    secret = bytes(range(suite.hash_length))
    key = label(suite, secret, b"finished", b"", suite.hash_length)
    expected = hmac.digest(key, b"transcript hash", suite.hash)
    assert TrafficSecret(suite, secret).verify_data(b"transcript hash") == expected


@ALL
def test_what_protects_an_idle_connection_keeps_no_key_of_hmac(suite: Suite) -> None:
    """Each has about a KiB: only those are kept of which a Finished is made as well, and these live for a handshake."""
    transcript = bytes(suite.hash_length)
    handshake = EarlySecret(suite).handshake_secret(bytes(32))
    main = handshake.main_secret()
    for secret in (handshake.client_traffic(transcript), handshake.server_traffic(transcript)):
        secret.cipher()
        kept = secret._keyed
        assert kept is not None
        secret.verify_data(transcript)
        assert secret._keyed is kept
    for secret in (main.client_traffic(transcript), main.server_traffic(transcript).next()):
        secret.cipher()
        secret.next()
        assert secret._keyed is None


@ALL
def test_the_next_generation_of_a_traffic_secret(suite: Suite) -> None:
    """RFC 9846 section 7.2: HKDF-Expand-Label(., "traffic upd", "", Hash.length), again and again."""
    secret = TrafficSecret(suite, bytes(range(suite.hash_length)))
    expected = secret.secret
    for _ in range(3):
        expected = label(suite, expected, b"traffic upd", b"", suite.hash_length)
        following = secret.next()
        assert following is not secret
        assert (following.secret, following.suite) == (expected, suite)
        secret = following


@ALL
@pytest.mark.parametrize("context", [b"", b"context", bytes(70_000)], ids=len)
@pytest.mark.parametrize("length", [1, 12, 32, 48, 49, 64, 100, 1000])
def test_what_is_exported(suite: Suite, context: bytes, length: int) -> None:
    """RFC 9846 section 7.5, of any length: there HKDF-Expand may have more than one block."""
    secret = bytes(range(suite.hash_length))
    empty = hashlib.new(suite.hash).digest()
    derived = label(suite, secret, b"EXPORTER-some label", empty, suite.hash_length)
    expected = label(suite, derived, b"exporter", hashlib.new(suite.hash, context).digest(), length)
    assert Exporter(suite, secret).export(b"EXPORTER-some label", context, length) == expected


@ALL
def test_the_most_that_can_be_exported(suite: Suite) -> None:
    """255 blocks: there the counter of HKDF-Expand ends (RFC 5869 section 2.3)."""
    exporter = Exporter(suite, bytes(suite.hash_length))
    assert exporter.limit == 255 * suite.hash_length
    derived = label(suite, bytes(suite.hash_length), b"x" * 249, hashlib.new(suite.hash).digest(), suite.hash_length)
    expected = label(suite, derived, b"exporter", hashlib.new(suite.hash, b"c").digest(), exporter.limit)
    assert exporter.export(b"x" * 249, b"c", exporter.limit) == expected


def test_exports_differ_by_label_context_length_and_connection() -> None:
    suite = SUITES[0x1301]
    one = Exporter(suite, bytes(32))
    exports = {
        one.export(b"a", b"", 32),
        one.export(b"b", b"", 32),
        one.export(b"a", b"b", 32),
        one.export(b"a", b"", 33)[:32],  # the length is an input too, and not where the output is cut
        Exporter(suite, bytes(31) + b"\1").export(b"a", b"", 32),
    }
    assert len(exports) == 5


def test_stages_are_of_different_kinds_so_that_none_can_be_skipped() -> None:
    suite = SUITES[0x1301]
    early = EarlySecret(suite)
    handshake = early.handshake_secret(bytes(32))
    main = handshake.main_secret()
    assert (type(handshake), type(main)) == (HandshakeSecret, MainSecret)
    assert not hasattr(early, "client_traffic")
    assert not hasattr(early, "main_secret")
