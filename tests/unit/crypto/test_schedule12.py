"""The key schedule of TLS 1.2 (RFC 5246 sections 5, 6.3, 7.4.9; RFC 7627; RFC 5705)."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from handfast.crypto.mac import keyed
from handfast.crypto.schedule12 import Exporter12, MainSecret, RecordKey, prf
from handfast.crypto.suites import SUITES_12, Suite
from handfast.wire.codepoints import CipherSuite

ALL = pytest.mark.parametrize("suite", SUITES_12.values(), ids=lambda suite: suite.name)
AES128, AES256, CHACHA = SUITES_12[0xC02B], SUITES_12[0xC030], SUITES_12[0xCCA8]

SHARED, HASH = bytes(range(32)), bytes(range(100, 132))
CLIENT_RANDOM, SERVER_RANDOM = b"c" * 32, b"s" * 32
RANDOMS = (CLIENT_RANDOM, SERVER_RANDOM)

# Secret, seed, and the output for the label "test label": the vectors that the TLS working group agreed on when it made
# the PRF (tls@ietf.org, "TLS 1.2 PRF test vectors").
VECTORS = {
    "sha256": (
        "9bbe436ba940f017b17652849a71db35",
        "a0ba9f936cda311827a6f796ffd5198c",
        (
            "e3f229ba727be17b8d122620557cd453c2aab21d07c3d495329b52d4e61edb5a6b301791e90d35c9c9a46b4e14baf9af0fa022f7077def17"
            "abfd3797c0564bab4fbc91666e9def9b97fce34f796789baa48082d122ee42c5a72e5a5110fff70187347b66"
        ),
    ),
    "sha384": (
        "b80b733d6ceefcdc71566ea48e5567df",
        "cd665cf6a8447dd6ff8b27555edb7465",
        (
            "7b0c18e9ced410ed1804f2cfa34a336a1c14dffb4900bb5fd7942107e81c83cde9ca0faa60be9fe34f82b1233c9146a0e534cb400fed2700"
            "884f9dc236f80edd8bfa961144c9e8d792eca722a7b32fc3d416d473ebc2c5fd4abfdad05d9184259b5bf8cd4d90fa0d31e2dec479e4f1a2"
            "6066f2eea9a69236a3e52655c9e9aee691c8f3a26854308d5eaa3be85e0990703d73e56f"
        ),
    ),
}


def by_hand(hash_name: str, secret: bytes, label: bytes, seed: bytes, length: int) -> bytes:
    """P_hash as RFC 5246 section 5 writes it down: A(0) is the seed, A(i) the HMAC of A(i-1)."""

    def mac(data: bytes) -> bytes:
        return hmac.new(secret, data, hash_name).digest()

    seed = label + seed
    a = [seed]
    while len(a) * hashlib.new(hash_name).digest_size <= length + 64:
        a.append(mac(a[-1]))
    return b"".join(mac(item + seed) for item in a[1:])[:length]


@pytest.mark.parametrize("hash_name", VECTORS)
def test_the_vectors_of_the_working_group(hash_name: str) -> None:
    secret, seed, output = map(bytes.fromhex, VECTORS[hash_name])
    assert prf(keyed(hash_name, secret), b"test label", seed, len(output)) == output
    assert by_hand(hash_name, secret, b"test label", seed, len(output)) == output


@pytest.mark.parametrize("hash_name", VECTORS)
@pytest.mark.parametrize("length", [1, 12, 31, 32, 33, 47, 48, 49, 64, 96, 1000])
def test_the_output_is_as_long_as_asked_for_and_begins_the_same(hash_name: str, length: int) -> None:
    output = prf(keyed(hash_name, SHARED), b"label", b"seed", length)
    assert output == prf(keyed(hash_name, SHARED), b"label", b"seed", 2000)[:length]
    assert len(output) == length


def test_label_and_seed_are_one_string() -> None:
    """So RFC 5246 section 5 has it; what keeps them apart is that labels are fixed."""
    key = keyed("sha256", b"key")
    assert prf(key, b"ab", b"c", 32) == prf(key, b"a", b"bc", 32)


def main_of(suite: Suite = AES128) -> MainSecret:
    return MainSecret(suite, SHARED, HASH, RANDOMS)


# --- the main secret, and what comes from it


@ALL
def test_the_extended_main_secret(suite: Suite) -> None:
    """RFC 7627 section 4: 48 bytes over the session hash, not over the randoms; with the suite's hash."""
    assert main_of(suite).secret == by_hand(suite.hash, SHARED, b"extended master secret", HASH, 48)
    assert main_of(suite).secret == MainSecret(suite, SHARED, HASH, (b"x" * 32, b"y" * 32)).secret
    assert main_of(suite).secret != MainSecret(suite, SHARED, HASH[::-1], RANDOMS).secret
    assert main_of(suite).secret != MainSecret(suite, SHARED[::-1], HASH, RANDOMS).secret


@ALL
def test_the_keys_stand_in_the_key_block_as_the_rfc_has_them(suite: Suite) -> None:
    """RFC 5246 section 6.3: no MAC keys with an AEAD; client key, server key, client IV, server IV. Server random first."""
    key, iv = suite.key_length, suite.iv_length
    main = main_of(suite)
    block = by_hand(suite.hash, main.secret, b"key expansion", SERVER_RANDOM + CLIENT_RANDOM, 2 * key + 2 * iv)
    client, server = main.record_keys()
    assert (client._key, server._key) == (block[:key], block[key : 2 * key])
    assert (client._iv, server._iv) == (block[2 * key : 2 * key + iv], block[2 * key + iv :])
    assert client.suite is server.suite is suite


@pytest.mark.parametrize(
    ("suite", "key", "iv"), [(AES128, 16, 4), (AES256, 32, 4), (CHACHA, 32, 12)], ids=["AES-128", "AES-256", "ChaCha20"]
)
def test_how_long_keys_and_ivs_are(suite: Suite, key: int, iv: int) -> None:
    """RFC 5288 section 3 (4 of the 12 bytes of a nonce, the rest is in the record), RFC 7905 section 2 (all 12)."""
    for made in main_of(suite).record_keys():
        assert (len(made._key), len(made._iv)) == (key, iv)


@ALL
def test_the_number_that_nonces_are_made_from(suite: Suite) -> None:
    """The fixed part stands first, in network order, and zeros where the record's part comes."""
    key = RecordKey(suite, bytes(suite.key_length), bytes(range(1, suite.iv_length + 1)))
    cipher, number = key.cipher()
    assert number.to_bytes(12) == bytes(range(1, suite.iv_length + 1)) + bytes(12 - suite.iv_length)
    sealed = bytearray(len(b"content") + suite.tag_length)
    cipher.encrypt_into(bytes(12), b"content", b"", sealed)
    assert suite.aead(bytes(suite.key_length)).decrypt(bytes(12), bytes(sealed), b"") == b"content"


@ALL
@pytest.mark.parametrize("side", ["client", "server"])
def test_the_content_of_finished(suite: Suite, side: str) -> None:
    """RFC 5246 section 7.4.9: 12 bytes, whatever the hash; each side has a label of its own."""
    main = main_of(suite)
    made = {"client": main.client_finished, "server": main.server_finished}[side](HASH)
    assert made == by_hand(suite.hash, main.secret, f"{side} finished".encode(), HASH, 12)
    assert len(made) == 12
    assert main.client_finished(HASH) != main.server_finished(HASH)
    assert main.client_finished(HASH) != main.client_finished(HASH[::-1])


# --- exporters


@ALL
def test_an_exporter_without_context(suite: Suite) -> None:
    """RFC 5705 section 4: client random first, and no length of a context."""
    main = main_of(suite)
    expected = by_hand(suite.hash, main.secret, b"EXPERIMENTAL x", CLIENT_RANDOM + SERVER_RANDOM, 77)
    assert main.exporter().export(b"EXPERIMENTAL x", None, 77) == expected


@pytest.mark.parametrize("context", [b"", b"\0", b"context", bytes(65_535)], ids=len)
def test_an_exporter_with_a_context(context: bytes) -> None:
    main = main_of()
    seed = CLIENT_RANDOM + SERVER_RANDOM + len(context).to_bytes(2) + context
    expected = by_hand("sha256", main.secret, b"EXPERIMENTAL x", seed, 32)
    assert main.exporter().export(b"EXPERIMENTAL x", context, 32) == expected


def test_no_context_is_another_thing_than_an_empty_one() -> None:
    exporter = main_of().exporter()
    assert exporter.export(b"x", None, 32) != exporter.export(b"x", b"", 32)


def test_an_exporter_gives_as_much_as_it_says() -> None:
    exporter = main_of().exporter()
    assert isinstance(exporter, Exporter12)
    assert len(exporter.export(b"x", None, exporter.limit)) == exporter.limit == 65_536


def test_labels_of_the_protocol_itself_are_reserved() -> None:
    """RFC 5705 section 4: with these an exporter would give away keys of the connection."""
    main = main_of()
    assert {"client finished", "server finished", "master secret", "key expansion"} < Exporter12.RESERVED
    assert "extended master secret" in Exporter12.RESERVED
    # Why: this is the key block, but for the order of the randoms.
    swapped = MainSecret(AES128, SHARED, HASH, (SERVER_RANDOM, CLIENT_RANDOM))
    assert swapped.exporter().export(b"key expansion", None, 16) == main.record_keys()[0]._key


# --- the suites


@pytest.mark.parametrize(
    ("name", "hash_name", "key", "tag", "explicit", "signed_by"),
    [
        ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "sha256", 16, 16, 8, "ECDSA"),
        ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "sha256", 16, 16, 8, "RSA"),
        ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "sha384", 32, 16, 8, "ECDSA"),
        ("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "sha384", 32, 16, 8, "RSA"),
        ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "sha256", 32, 16, 0, "ECDSA"),
        ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", "sha256", 32, 16, 0, "RSA"),
        ("TLS_ECDHE_ECDSA_WITH_AES_128_CCM", "sha256", 16, 16, 8, "ECDSA"),
        ("TLS_ECDHE_ECDSA_WITH_AES_256_CCM", "sha256", 32, 16, 8, "ECDSA"),
        ("TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8", "sha256", 16, 8, 8, "ECDSA"),
        ("TLS_ECDHE_ECDSA_WITH_AES_256_CCM_8", "sha256", 32, 8, 8, "ECDSA"),
    ],
)
def test_a_suite_is_what_its_name_says(
    name: str, hash_name: str, key: int, tag: int, explicit: int, signed_by: str
) -> None:
    number = CipherSuite.value(name)
    assert number is not None
    suite = SUITES_12[number]
    assert (suite.name, suite.hash, suite.key_length) == (name, hash_name, key)
    assert (suite.tag_length, suite.explicit_nonce, suite.iv_length) == (tag, explicit, 12 - explicit)
    assert suite.signed_by == signed_by
    assert suite.hash_length == hashlib.new(hash_name).digest_size


def test_there_is_no_other_suite() -> None:
    """Nothing without forward secrecy, and nothing but AEADs: no name here has RSA key exchange, CBC or RC4 in it."""
    assert len(SUITES_12) == 10
    assert all(suite.name.startswith("TLS_ECDHE_") for suite in SUITES_12.values())
    assert all(any(aead in suite.name for aead in ("GCM", "CCM", "POLY1305")) for suite in SUITES_12.values())


def test_the_limits_are_those_of_tls_1_3() -> None:
    """RFC 9846 section 5.5: they belong to the AEAD, not to the version."""
    assert AES128.records == AES256.records < 2**24.5 <= AES128.records + 1
    assert CHACHA.records == 1 << 62
    assert {suite.records for suite in SUITES_12.values() if "CCM" in suite.name} == {1 << 23}
