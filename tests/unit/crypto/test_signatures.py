"""Signature schemes: what signs and verifies, and everything that does not (RFC 9846 sections 4.3.3 and 4.5.2)."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, padding, rsa

from handfast.crypto.signatures import (
    CERTIFICATE_SCHEMES,
    SCHEMES,
    SCHEMES_12,
    PssKey,
    kind_of,
    schemes_of,
    sign,
    verify,
)
from handfast.errors import PeerMisbehaved
from handfast.reasons import BAD_SIGNATURE, WRONG_SIGNATURE_TYPE
from handfast.testing.keys import new_key
from handfast.wire.codepoints import SignatureScheme as S

CONTENT = b"what is signed"

PSS = PssKey()
# The key that goes with each scheme, and whether its certificate names it id-RSASSA-PSS.
KEYS: dict[int, tuple[str, PssKey | None]] = {
    S.ECDSA_SECP256R1_SHA256: ("p256", None),
    S.ECDSA_SECP384R1_SHA384: ("p384", None),
    S.ECDSA_SECP521R1_SHA512: ("p521", None),
    S.ED25519: ("ed25519", None),
    S.ED448: ("ed448", None),
    S.RSA_PSS_RSAE_SHA256: ("rsa2048", None),
    S.RSA_PSS_RSAE_SHA384: ("rsa2048", None),
    S.RSA_PSS_RSAE_SHA512: ("rsa2048", None),
    S.RSA_PSS_PSS_SHA256: ("rsa2048", PSS),
    S.RSA_PSS_PSS_SHA384: ("rsa2048", PSS),
    S.RSA_PSS_PSS_SHA512: ("rsa2048", PSS),
    S.MLDSA44: ("mldsa44", None),
    S.MLDSA65: ("mldsa65", None),
    S.MLDSA87: ("mldsa87", None),
}
HASHES = {256: hashes.SHA256(), 384: hashes.SHA384(), 512: hashes.SHA512()}


@cache
def key(kind: str) -> Any:
    """One key of each kind for all tests: RSA keys take their time."""
    return new_key(kind)


def refused(public: Any, scheme: int, signature: bytes, content: bytes = CONTENT, *, pss: PssKey | None = None) -> Any:
    with pytest.raises(PeerMisbehaved) as caught:
        verify(public, scheme, signature, content, pss=pss)
    assert caught.value.evidence["scheme"] == S.name(scheme)
    return caught.value.reason


def test_these_are_the_schemes() -> None:
    assert set(SCHEMES) == set(KEYS)
    pkcs1 = {S.RSA_PKCS1_SHA256, S.RSA_PKCS1_SHA384, S.RSA_PKCS1_SHA512}
    assert set(CERTIFICATE_SCHEMES) == set(SCHEMES) | pkcs1
    assert not {S.RSA_PKCS1_SHA1, S.ECDSA_SHA1} & set(CERTIFICATE_SCHEMES)


@pytest.mark.parametrize("scheme", KEYS, ids=S.name)
def test_what_is_signed_verifies(scheme: int) -> None:
    kind, pss = KEYS[scheme]
    signature = sign(key(kind), scheme, CONTENT)
    verify(key(kind).public_key(), scheme, signature, CONTENT, pss=pss)


@pytest.mark.parametrize("scheme", KEYS, ids=S.name)
def test_every_change_of_signature_or_content_is_noticed(scheme: int) -> None:
    kind, pss = KEYS[scheme]
    public = key(kind).public_key()
    signature = sign(key(kind), scheme, CONTENT)
    middle = len(signature) // 2
    changed = signature[:middle] + bytes((signature[middle] ^ 1,)) + signature[middle + 1 :]
    for bad in (changed, b"", signature[:-1], signature + b"\0", bytes(len(signature)), b"\xff" * len(signature)):
        assert refused(public, scheme, bad, pss=pss) is BAD_SIGNATURE
    assert refused(public, scheme, signature, CONTENT + b"!", pss=pss) is BAD_SIGNATURE
    assert refused(public, scheme, signature, b"", pss=pss) is BAD_SIGNATURE


@pytest.mark.parametrize("scheme", [s for s in KEYS if not KEYS[s][0].startswith("rsa")], ids=S.name)
def test_the_signature_of_another_key_is_refused(scheme: int) -> None:
    kind, _ = KEYS[scheme]
    assert refused(key(kind).public_key(), scheme, sign(new_key(kind), scheme, CONTENT)) is BAD_SIGNATURE


@pytest.mark.parametrize("scheme", KEYS, ids=S.name)
def test_no_scheme_takes_a_key_of_another_kind(scheme: int) -> None:
    right = KEYS[scheme]
    signature = sign(key(right[0]), scheme, CONTENT)
    for kind, pss in set(KEYS.values()) - {right}:
        assert refused(key(kind).public_key(), scheme, signature, pss=pss) is WRONG_SIGNATURE_TYPE


def test_a_wrong_kind_of_key_is_named() -> None:
    with pytest.raises(PeerMisbehaved) as caught:
        verify(key("p384").public_key(), S.ECDSA_SECP256R1_SHA256, b"", CONTENT)
    assert caught.value.evidence == {"scheme": "ecdsa_secp256r1_sha256", "key": "secp384r1"}
    assert caught.value.alert == 47


def test_a_bad_signature_is_a_decrypt_error() -> None:
    with pytest.raises(PeerMisbehaved) as caught:
        verify(key("ed25519").public_key(), S.ED25519, bytes(64), CONTENT)
    assert caught.value.alert == 51


# --- RSA


@pytest.mark.parametrize("scheme", [s for s in KEYS if KEYS[s][0].startswith("rsa")], ids=S.name)
def test_rsa_has_mgf1_with_the_same_hash_and_a_salt_as_long(scheme: int) -> None:
    algorithm = HASHES[SCHEMES[scheme].hash_bits]
    right = padding.PSS(padding.MGF1(algorithm), algorithm.digest_size)
    private, pss = key("rsa2048"), KEYS[scheme][1]
    private.public_key().verify(sign(private, scheme, CONTENT), CONTENT, right, algorithm)
    other = hashes.SHA384() if algorithm.name != "sha384" else hashes.SHA256()
    for wrong in (
        padding.PSS(padding.MGF1(algorithm), 20),
        padding.PSS(padding.MGF1(algorithm), 0),
        padding.PSS(padding.MGF1(other), algorithm.digest_size),
        padding.PKCS1v15(),
    ):
        signature = private.sign(CONTENT, wrong, algorithm)
        assert refused(private.public_key(), scheme, signature, pss=pss) is BAD_SIGNATURE


@pytest.mark.parametrize(
    ("bits", "hashes_that_fit"),
    [(1024, [256, 384]), (1032, [256, 384]), (1040, [256, 384, 512]), (2048, [256, 384, 512])],
)
@pytest.mark.parametrize("pss", [None, PSS], ids=["rsae", "pss"])
def test_an_rsa_key_has_to_have_room_for_hash_and_salt(
    bits: int, hashes_that_fit: list[int], pss: PssKey | None
) -> None:
    # RFC 8017 section 9.1.1: emLen has to be hLen + sLen + 2 at least.
    private = rsa_key(bits)
    schemes = schemes_of(private, pss=pss)
    assert [SCHEMES[scheme].hash_bits for scheme in schemes] == hashes_that_fit
    assert all(SCHEMES[scheme].key == ("rsa-pss" if pss else "rsa") for scheme in schemes)
    for scheme in schemes:
        verify(private.public_key(), scheme, sign(private, scheme, CONTENT), CONTENT, pss=pss)
    assert schemes_of(private.public_key(), pss=pss) == schemes


@cache
def rsa_key(bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


def test_a_signature_that_cannot_exist_is_refused_like_a_wrong_one() -> None:
    assert refused(rsa_key(1024).public_key(), S.RSA_PSS_RSAE_SHA512, bytes(128)) is BAD_SIGNATURE


# --- keys


@pytest.mark.parametrize(
    ("kind", "name", "schemes"),
    [
        ("p256", "secp256r1", (S.ECDSA_SECP256R1_SHA256,)),
        ("p384", "secp384r1", (S.ECDSA_SECP384R1_SHA384,)),
        ("p521", "secp521r1", (S.ECDSA_SECP521R1_SHA512,)),
        ("ed25519", "ed25519", (S.ED25519,)),
        ("ed448", "ed448", (S.ED448,)),
        ("mldsa44", "mldsa44", (S.MLDSA44,)),
        ("mldsa65", "mldsa65", (S.MLDSA65,)),
        ("mldsa87", "mldsa87", (S.MLDSA87,)),
        ("rsa2048", "rsa", (S.RSA_PSS_RSAE_SHA256, S.RSA_PSS_RSAE_SHA384, S.RSA_PSS_RSAE_SHA512)),
        ("p224", "secp224r1", ()),
        ("secp256k1", "secp256k1", ()),
        ("brainpool256", "brainpoolP256r1", ()),
    ],
)
def test_the_kind_of_a_key_and_its_schemes(kind: str, name: str, schemes: tuple[int, ...]) -> None:
    for half in (key(kind), key(kind).public_key()):
        assert kind_of(half) == name
        assert schemes_of(half) == schemes


def test_only_an_rsa_key_can_be_one_of_rsassa_pss() -> None:
    assert kind_of(key("rsa2048"), pss=PSS) == "rsa-pss"
    assert kind_of(key("p256"), pss=PSS) == "secp256r1"
    assert kind_of(key("ed25519").public_key(), pss=PSS) == "ed25519"


@pytest.mark.parametrize("bits", [256, 384, 512])
def test_a_pss_key_may_be_limited_to_one_hash(bits: int) -> None:
    limited = PssKey(bits)
    private = key("rsa2048")
    (scheme,) = schemes_of(private, pss=limited)
    assert (SCHEMES[scheme].key, SCHEMES[scheme].hash_bits) == ("rsa-pss", bits)
    verify(private.public_key(), scheme, sign(private, scheme, CONTENT), CONTENT, pss=limited)
    for other in schemes_of(private, pss=PSS):
        if other != scheme:
            signature = sign(private, other, CONTENT)
            with pytest.raises(PeerMisbehaved) as caught:
                verify(private.public_key(), other, signature, CONTENT, pss=limited)
            assert caught.value.reason is WRONG_SIGNATURE_TYPE
            assert caught.value.evidence["key_is_limited_to"] == f"SHA-{bits}"


def test_a_pss_key_may_be_limited_to_what_tls_does_not_have() -> None:
    private, nothing = key("rsa2048"), PssKey(0)
    assert schemes_of(private, pss=nothing) == ()
    with pytest.raises(PeerMisbehaved) as caught:
        verify(private.public_key(), S.RSA_PSS_PSS_SHA256, bytes(256), CONTENT, pss=nothing)
    assert caught.value.evidence["key_is_limited_to"] == "a hash that TLS 1.3 does not have"


def test_a_key_that_tls_has_no_use_for_is_named_by_its_class() -> None:
    private = key("dsa2048")
    assert "DSA" in kind_of(private)
    assert schemes_of(private) == schemes_of(private.public_key()) == ()


def test_ecdsa_signatures_are_bound_to_curve_and_hash() -> None:
    # In TLS 1.2 a scheme named the hash alone; in TLS 1.3 the curve belongs to it (RFC 9846 section 4.3.3).
    private = key("p256")
    with_sha384 = private.sign(CONTENT, ec.ECDSA(hashes.SHA384()))
    assert refused(private.public_key(), S.ECDSA_SECP256R1_SHA256, with_sha384) is BAD_SIGNATURE
    assert refused(private.public_key(), S.ECDSA_SECP384R1_SHA384, with_sha384) is WRONG_SIGNATURE_TYPE


# --- TLS 1.2

# The keys that go with each scheme of TLS 1.2.
CURVES = ("p256", "p384", "p521")
KEYS_12: dict[int, tuple[tuple[str, PssKey | None], ...]] = {
    **{
        scheme: (owner,) for scheme, owner in KEYS.items() if owner[0] not in (*CURVES, "mldsa44", "mldsa65", "mldsa87")
    },
    **{
        scheme: tuple((kind, None) for kind in CURVES)
        for scheme in (S.ECDSA_SECP256R1_SHA256, S.ECDSA_SECP384R1_SHA384, S.ECDSA_SECP521R1_SHA512)
    },
    **dict.fromkeys((S.RSA_PKCS1_SHA256, S.RSA_PKCS1_SHA384, S.RSA_PKCS1_SHA512), (("rsa2048", None),)),
}
PAIRS_12 = [(scheme, *owner) for scheme, owners in KEYS_12.items() for owner in owners]


def test_these_are_the_schemes_of_tls_1_2() -> None:
    """No SHA-1, which was TLS 1.2's default, and none that came after it."""
    assert set(SCHEMES_12) == set(KEYS_12)
    assert not {S.RSA_PKCS1_SHA1, S.ECDSA_SHA1, S.MLDSA44, S.MLDSA65, S.MLDSA87} & set(SCHEMES_12)
    assert {scheme.hash_bits for scheme in SCHEMES_12.values()} == {0, 256, 384, 512}


@pytest.mark.parametrize(("scheme", "kind", "pss"), PAIRS_12)
def test_what_is_signed_in_tls_1_2_verifies(scheme: int, kind: str, pss: PssKey | None) -> None:
    """ECDSA goes with any curve there (RFC 8422 section 5.1.3)."""
    signature = sign(key(kind), scheme, CONTENT)
    verify(key(kind).public_key(), scheme, signature, CONTENT, SCHEMES_12, pss=pss)
    for bad, content in ((signature[:-1], CONTENT), (b"", CONTENT), (signature, CONTENT + b"!")):
        with pytest.raises(PeerMisbehaved) as caught:
            verify(key(kind).public_key(), scheme, bad, content, SCHEMES_12, pss=pss)
        assert caught.value.reason is BAD_SIGNATURE


@pytest.mark.parametrize("scheme", KEYS_12, ids=S.name)
def test_no_scheme_of_tls_1_2_takes_a_key_of_another_kind(scheme: int) -> None:
    right = KEYS_12[scheme]
    signature = sign(key(right[0][0]), scheme, CONTENT)
    for kind, pss in {*KEYS.values(), ("p224", None), ("secp256k1", None)} - set(right):
        with pytest.raises(PeerMisbehaved) as caught:
            verify(key(kind).public_key(), scheme, signature, CONTENT, SCHEMES_12, pss=pss)
        assert caught.value.reason is WRONG_SIGNATURE_TYPE


@pytest.mark.parametrize("scheme", [S.RSA_PKCS1_SHA256, S.RSA_PKCS1_SHA384, S.RSA_PKCS1_SHA512], ids=S.name)
def test_rsa_pkcs_1_is_pkcs_1(scheme: int) -> None:
    algorithm = HASHES[SCHEMES_12[scheme].hash_bits]
    private = key("rsa2048")
    assert sign(private, scheme, CONTENT) == private.sign(CONTENT, padding.PKCS1v15(), algorithm)
    pss = private.sign(CONTENT, padding.PSS(padding.MGF1(algorithm), algorithm.digest_size), algorithm)
    with pytest.raises(PeerMisbehaved) as caught:
        verify(private.public_key(), scheme, pss, CONTENT, SCHEMES_12)
    assert caught.value.reason is BAD_SIGNATURE


@pytest.mark.parametrize("kind", CURVES)
def test_the_hash_of_the_curve_comes_first(kind: str) -> None:
    """A peer that speaks TLS 1.3 too is the surer to know it."""
    both = schemes_of(key(kind)), schemes_of(key(kind), SCHEMES_12)
    assert both[0][0] == both[1][0]
    assert len(both[1]) == 3


def test_a_curve_that_tls_does_not_know_has_no_scheme_in_tls_1_2() -> None:
    for kind in ("p224", "secp256k1", "brainpool256"):
        assert schemes_of(key(kind), SCHEMES_12) == ()


def test_a_pss_key_has_no_pkcs_1() -> None:
    schemes = schemes_of(key("rsa2048"), SCHEMES_12, pss=PSS)
    assert schemes == (S.RSA_PSS_PSS_SHA256, S.RSA_PSS_PSS_SHA384, S.RSA_PSS_PSS_SHA512)


# --- vectors

# Secret key, message and signature (RFC 8032 section 7.4, "Blank" and "1 octet"): Ed448 without a context.
RFC_8032 = [
    (
        "6c82a562cb808d10d632be89c8513ebf6c929f34ddfa8c9f63c9960ef6e348a3528c8a3fcc2f044e39a3fc5b94492f8f032e7549a20098f95b",
        "",
        (
            "533a37f6bbe457251f023c0d88f976ae2dfb504a843e34d2074fd823d41a591f2b233f034f628281f2fd7a22ddd47d7828c59bd0a21bfd39"
            "80ff0d2028d4b18a9df63e006c5d1c2d345b925d8dc00b4104852db99ac5c7cdda8530a113a0f4dbb61149f05a7363268c71d95808ff2e65"
            "2600"
        ),
    ),
    (
        "c4eab05d357007c632f3dbb48489924d552b08fe0c353a0d4a1f00acda2c463afbea67c5e8d2877c5e3bc397a659949ef8021e954e0a12274e",
        "03",
        (
            "26b8f91727bd62897af15e41eb43c377efb9c610d48f2335cb0bd0087810f4352541b143c4b981b7e18f62de8ccdf633fc1bf037ab7cd779"
            "805e0dbcc0aae1cbcee1afb2e027df36bc04dcecbf154336c19f0af7e0a6472905e799f1953d2a0ff3348ab21aa4adafd1d234441cf807c0"
            "3a00"
        ),
    ),
]


@pytest.mark.parametrize(("secret", "message", "signature"), RFC_8032)
def test_rfc_8032(secret: str, message: str, signature: str) -> None:
    private = ed448.Ed448PrivateKey.from_private_bytes(bytes.fromhex(secret))
    assert sign(private, S.ED448, bytes.fromhex(message)).hex() == signature
    verify(private.public_key(), S.ED448, bytes.fromhex(signature), bytes.fromhex(message))


@pytest.mark.parametrize(
    ("scheme", "public", "signature"), [(S.MLDSA44, 1312, 2420), (S.MLDSA65, 1952, 3309), (S.MLDSA87, 2592, 4627)]
)
def test_ml_dsa_has_the_lengths_of_fips_204(scheme: int, public: int, signature: int) -> None:
    private = key(KEYS[scheme][0])
    assert len(private.public_key().public_bytes_raw()) == public
    assert len(sign(private, scheme, CONTENT)) == signature


def test_ml_dsa_has_an_empty_context() -> None:
    # draft-ietf-tls-mldsa section 3: the context of FIPS 204 is the empty string.
    private = key("mldsa44")
    verify(private.public_key(), S.MLDSA44, private.sign(CONTENT, b""), CONTENT)
    assert refused(private.public_key(), S.MLDSA44, private.sign(CONTENT, b"TLS")) is BAD_SIGNATURE
