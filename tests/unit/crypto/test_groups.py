"""Key exchange: both sides agree, and no invalid share gets through."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, mlkem, x448, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from handfast.crypto.groups import CLASSICAL_HALF, GROUPS, Hybrid, Montgomery, new_shares
from handfast.errors import PeerMisbehaved
from handfast.profiles import PROFILES
from handfast.reasons import BAD_KEY_SHARE
from handfast.wire.codepoints import NamedGroup as G

# Bytes of the client's share, of the server's, and of the secret (RFC 9846 sections 4.3.8 and 7.4, and
# draft-ietf-tls-ecdhe-mlkem section 4).
LENGTHS = {
    G.X25519MLKEM768: (1216, 1120, 64),
    G.SECP256R1MLKEM768: (1249, 1153, 64),
    G.SECP384R1MLKEM1024: (1665, 1665, 80),
    G.X25519: (32, 32, 32),
    G.SECP256R1: (65, 65, 32),
    G.SECP384R1: (97, 97, 48),
    G.X448: (56, 56, 56),
    G.SECP521R1: (133, 133, 66),
}

CURVES = {G.SECP256R1: ec.SECP256R1(), G.SECP384R1: ec.SECP384R1(), G.SECP521R1: ec.SECP521R1()}

# The prime of each curve's field, and a coordinate that is not below it.
PRIMES = {
    G.SECP256R1: 2**256 - 2**224 + 2**192 + 2**96 - 1,
    G.SECP384R1: 2**384 - 2**128 - 2**96 + 2**32 - 1,
    G.SECP521R1: 2**521 - 1,
}

P = 2**255 - 19
# The points of small order of Curve25519, each in every way to write it (RFC 7748 section 6.1, and the list of
# D. J. Bernstein): with each of them the shared secret is zero.
LOW_ORDER = {
    "zero": 0,
    "one": 1,
    "order 8": 325606250916557431795983626356110631294008115727848805560023387167927233504,
    "order 8, the other": 39382357235489614581723060781553021112529911719440698176882885853963445705823,
    "p - 1": P - 1,
    "p": P,
    "p + 1": P + 1,
}

P448 = 2**448 - 2**224 - 1
# Those of Curve448 (RFC 7748 section 6.2): its cofactor is 4.
LOW_ORDER_448 = {"zero": 0, "one": 1, "p - 1": P448 - 1, "p": P448, "p + 1": P448 + 1}


def montgomery(number: int) -> Montgomery:
    group = GROUPS[number]
    assert isinstance(group, Montgomery)
    return group


def hybrid(number: int) -> Hybrid:
    group = GROUPS[number]
    assert isinstance(group, Hybrid)
    return group


def both_ways(group: int, bad: bytes, problem: str | None = None) -> None:
    """A bad share is refused as the client's by a server, and as the server's by a client."""
    for use in (GROUPS[group].encapsulate, GROUPS[group].new_share().open):
        with pytest.raises(PeerMisbehaved) as caught:
            use(bad)
        assert caught.value.reason is BAD_KEY_SHARE
        assert caught.value.evidence["group"] == G.name(group)
        assert caught.value.alert == 47  # illegal_parameter
        assert problem is None or caught.value.evidence["problem"] == problem


def test_these_are_the_groups_and_the_hybrid_is_preferred() -> None:
    assert list(GROUPS) == list(LENGTHS)
    assert all(group.id == number for number, group in GROUPS.items())
    assert {profile.groups[0] for profile in PROFILES.values()} == {G.X25519MLKEM768}
    assert CLASSICAL_HALF == {
        G.X25519MLKEM768: G.X25519,
        G.SECP256R1MLKEM768: G.SECP256R1,
        G.SECP384R1MLKEM1024: G.SECP384R1,
    }


@pytest.mark.parametrize("group", GROUPS, ids=G.name)
def test_both_sides_agree(group: int) -> None:
    share = GROUPS[group].new_share()
    answer, secret = GROUPS[group].encapsulate(share.public)
    assert share.group == group
    assert (len(share.public), len(answer), len(secret)) == LENGTHS[group]
    assert share.open(answer) == secret


@pytest.mark.parametrize("group", GROUPS, ids=G.name)
def test_each_share_is_fresh(group: int) -> None:
    first, second = GROUPS[group].new_share(), GROUPS[group].new_share()
    assert first.public != second.public
    one, other = GROUPS[group].encapsulate(first.public), GROUPS[group].encapsulate(first.public)
    assert one[0] != other[0]
    assert one[1] != other[1]


@pytest.mark.parametrize("group", GROUPS, ids=G.name)
def test_with_another_share_the_secret_is_another(group: int) -> None:
    first, second = GROUPS[group].new_share(), GROUPS[group].new_share()
    answer, secret = GROUPS[group].encapsulate(first.public)
    assert second.open(answer) != secret


# --- X25519


def test_an_x25519_share_is_the_bare_public_value() -> None:
    theirs = x25519.X25519PrivateKey.generate()
    share = GROUPS[G.X25519].new_share()
    ours = x25519.X25519PublicKey.from_public_bytes(share.public)
    assert share.open(theirs.public_key().public_bytes_raw()) == theirs.exchange(ours)


@pytest.mark.parametrize("length", [0, 1, 31, 33, 64])
def test_x25519_of_another_length_is_refused(length: int) -> None:
    both_ways(G.X25519, b"\x09" * length)


@pytest.mark.parametrize("name", LOW_ORDER)
@pytest.mark.parametrize("high_bit", [0, 1 << 255], ids=["high bit clear", "high bit set"])
def test_x25519_of_low_order_is_refused(name: str, high_bit: int) -> None:
    both_ways(G.X25519, (LOW_ORDER[name] | high_bit).to_bytes(32, "little"))


def test_x25519_ignores_the_high_bit() -> None:
    # RFC 7748 section 5: implementations MUST mask the most significant bit.
    share = GROUPS[G.X25519].new_share()
    other = GROUPS[G.X25519].new_share().public
    assert share.open(other) == share.open(other[:31] + bytes((other[31] | 0x80,)))


# --- X448


def test_an_x448_share_is_the_bare_public_value() -> None:
    theirs = x448.X448PrivateKey.generate()
    share = GROUPS[G.X448].new_share()
    ours = x448.X448PublicKey.from_public_bytes(share.public)
    assert share.open(theirs.public_key().public_bytes_raw()) == theirs.exchange(ours)


@pytest.mark.parametrize("length", [0, 1, 32, 55, 57, 112])
def test_x448_of_another_length_is_refused(length: int) -> None:
    both_ways(G.X448, b"\x05" * length, "not a point of 56 bytes, or of low order")


@pytest.mark.parametrize("name", LOW_ORDER_448)
def test_x448_of_low_order_is_refused(name: str) -> None:
    bad = LOW_ORDER_448[name].to_bytes(56, "little")
    both_ways(G.X448, bad, "not a point of 56 bytes, or of low order")


# Scalar, u-coordinate and what comes of them (RFC 7748 section 5.2). The second u of X25519 has its high bit set.
RFC_7748 = [
    (
        G.X25519,
        "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
        "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
        "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
    ),
    (
        G.X25519,
        "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
        "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
        "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
    ),
    (
        G.X448,
        (
            "3d262fddf9ec8e88495266fea19a34d28882acef045104d0d1aae121"
            "700a779c984c24f8cdd78fbff44943eba368f54b29259a4f1c600ad3"
        ),
        (
            "06fce640fa3487bfda5f6cf2d5263f8aad88334cbd07437f020f08f9"
            "814dc031ddbdc38c19c6da2583fa5429db94ada18aa7a7fb4ef8a086"
        ),
        (
            "ce3e4ff95a60dc6697da1db1d85e6afbdf79b50a2412d7546d5f239f"
            "e14fbaadeb445fc66a01b0779d98223961111e21766282f73dd96b6f"
        ),
    ),
    (
        G.X448,
        (
            "203d494428b8399352665ddca42f9de8fef600908e0d461cb021f8c5"
            "38345dd77c3e4806e25f46d3315c44e0a5b4371282dd2c8d5be3095f"
        ),
        (
            "0fbcc2f993cd56d3305b0b7d9e55d4c1a8fb5dbb52f8e9a1e9b6201b"
            "165d015894e56c4d3570bee52fe205e28a78b91cdfbde71ce8d157db"
        ),
        (
            "884a02576239ff7a2f2f63b2db6a9ff37047ac13568e1e30fe63c4a7"
            "ad1b3ee3a5700df34321d62077e63633c575c1c954514e99da7c179d"
        ),
    ),
]


@pytest.mark.parametrize(("group", "scalar", "coordinate", "product"), RFC_7748)
def test_rfc_7748(group: int, scalar: str, coordinate: str, product: str) -> None:
    kind: Any = x25519.X25519PrivateKey if group == G.X25519 else x448.X448PrivateKey
    share = montgomery(group).share_of(kind.from_private_bytes(bytes.fromhex(scalar)))
    assert share.open(bytes.fromhex(coordinate)) == bytes.fromhex(product)


# --- the NIST curves


def public_of(curve: ec.EllipticCurve) -> ec.EllipticCurvePublicKey:
    return ec.generate_private_key(curve).public_key()


@pytest.mark.parametrize("group", CURVES, ids=G.name)
def test_the_secret_is_the_x_coordinate(group: int) -> None:
    peer = ec.generate_private_key(CURVES[group])
    share = GROUPS[group].new_share()
    ours = ec.EllipticCurvePublicKey.from_encoded_point(CURVES[group], share.public)
    theirs = peer.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    assert share.public[0] == 4
    assert share.open(theirs) == peer.exchange(ec.ECDH(), ours)


@pytest.mark.parametrize("group", CURVES, ids=G.name)
def test_points_that_are_not_uncompressed_are_refused(group: int) -> None:
    key = public_of(CURVES[group])
    point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    compressed = key.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    hybrid = bytes((6 + (point[-1] & 1),)) + point[1:]  # X9.62's third form: both coordinates and the sign
    padded = compressed + bytes(len(point) - len(compressed))
    for bad in (b"", b"\x04", point[:-1], point + b"\0", point[1:], compressed, padded, hybrid, b"\0"):
        both_ways(group, bad, "not an uncompressed point")


@pytest.mark.parametrize("group", CURVES, ids=G.name)
def test_points_that_are_not_on_the_curve_are_refused(group: int) -> None:
    point = public_of(CURVES[group]).public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    size = len(point) // 2
    numbers = int.from_bytes(point[1 : 1 + size]), int.from_bytes(point[1 + size :])
    off_the_curve = point[:-1] + bytes((point[-1] ^ 1,))
    infinity = b"\x04" + bytes(2 * size)
    not_reduced = b"\x04" + PRIMES[group].to_bytes(size) + numbers[1].to_bytes(size)
    all_ones = b"\x04" + b"\xff" * 2 * size
    for bad in (off_the_curve, infinity, not_reduced, all_ones):
        both_ways(group, bad, "not a point on the curve")


def test_a_point_of_another_curve_of_the_same_size_is_refused() -> None:
    point = public_of(ec.SECP256K1()).public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    both_ways(G.SECP256R1, point, "not a point on the curve")


# --- the hybrids

KEMS: dict[int, tuple[Any, Any]] = {
    G.X25519MLKEM768: (mlkem.MLKEM768PrivateKey, mlkem.MLKEM768PublicKey),
    G.SECP256R1MLKEM768: (mlkem.MLKEM768PrivateKey, mlkem.MLKEM768PublicKey),
    G.SECP384R1MLKEM1024: (mlkem.MLKEM1024PrivateKey, mlkem.MLKEM1024PublicKey),
}
HYBRID = pytest.mark.parametrize("group", KEMS, ids=G.name)
KEM_SECRET = 32


def cut(group: int, data: bytes, kem_length: int) -> tuple[bytes, bytes]:
    """ML-KEM's part and the classical one: for X25519 ML-KEM comes first, for the NIST curves it comes second."""
    if group == G.X25519MLKEM768:
        return data[:kem_length], data[kem_length:]
    return data[-kem_length:], data[:-kem_length]


def glue(group: int, kem: bytes, classical: bytes) -> bytes:
    return kem + classical if group == G.X25519MLKEM768 else classical + kem


@HYBRID
def test_a_server_s_hybrid_share_is_a_ciphertext_and_a_point(group: int) -> None:
    private = KEMS[group][0].generate()
    classical = GROUPS[CLASSICAL_HALF[group]].new_share()
    public = glue(group, private.public_key().public_bytes_raw(), classical.public)
    answer, secret = GROUPS[group].encapsulate(public)
    ciphertext, point = cut(group, answer, hybrid(group).ciphertext)
    assert secret == glue(group, private.decapsulate(ciphertext), classical.open(point))


@HYBRID
def test_a_client_s_hybrid_share_is_an_encapsulation_key_and_a_point(group: int) -> None:
    share = GROUPS[group].new_share()
    key, point = cut(group, share.public, hybrid(group).encapsulation_key)
    kem_secret, ciphertext = KEMS[group][1].from_public_bytes(key).encapsulate()
    answer, classical_secret = GROUPS[CLASSICAL_HALF[group]].encapsulate(point)
    assert len(kem_secret) == KEM_SECRET
    assert share.open(glue(group, ciphertext, answer)) == glue(group, kem_secret, classical_secret)


@HYBRID
def test_a_hybrid_share_of_another_length_is_refused(group: int) -> None:
    share = GROUPS[group].new_share()
    answer, _ = GROUPS[group].encapsulate(share.public)
    kem_first = group == G.X25519MLKEM768
    for use, good, problem in (
        (GROUPS[group].encapsulate, share.public, ("an encapsulation key", "a point")),
        (share.open, answer, ("a ciphertext", "a point")),
    ):
        first, second = problem if kem_first else problem[::-1]
        for length in (0, 32, len(good) // 2, len(good) - 1, len(good) + 1):
            with pytest.raises(PeerMisbehaved) as caught:
                use((good + b"\0")[:length])
            assert caught.value.reason is BAD_KEY_SHARE
            assert caught.value.evidence == {"group": G.name(group), "problem": f"not {first} and {second}"}


@HYBRID
@pytest.mark.parametrize("number", [3329, 3330, 4095])
def test_an_encapsulation_key_whose_numbers_are_not_reduced_is_refused(group: int, number: int) -> None:
    # FIPS 203 section 7.2: each of its numbers of 12 bits has to be below q = 3329; the last 32 bytes are a seed.
    key, point = cut(group, GROUPS[group].new_share().public, hybrid(group).encapsulation_key)
    size = len(key) - 32
    for index in (0, size * 8 // 12 - 1):
        numbers = int.from_bytes(key[:size], "little")
        numbers = numbers & ~(0xFFF << 12 * index) | number << 12 * index
        with pytest.raises(PeerMisbehaved) as caught:
            GROUPS[group].encapsulate(glue(group, numbers.to_bytes(size, "little") + key[size:], point))
        assert caught.value.reason is BAD_KEY_SHARE
        assert caught.value.evidence == {"group": G.name(group), "problem": "not an encapsulation key"}


def bad_points(group: int) -> list[tuple[bytes, str]]:
    """Bad classical halves of the right length, and what is wrong with them."""
    if group == G.X25519MLKEM768:
        return [(low.to_bytes(32, "little"), "not a point of 32 bytes, or of low order") for low in LOW_ORDER.values()]
    point = GROUPS[CLASSICAL_HALF[group]].new_share().public
    return [
        (b"\x02" + point[1:], "not an uncompressed point"),
        (point[:-1] + bytes((point[-1] ^ 1,)), "not a point on the curve"),
        (b"\x04" + bytes(len(point) - 1), "not a point on the curve"),
    ]


@HYBRID
def test_a_hybrid_with_a_bad_point_is_refused(group: int) -> None:
    share = GROUPS[group].new_share()
    answer, _ = GROUPS[group].encapsulate(share.public)
    key, _ = cut(group, share.public, hybrid(group).encapsulation_key)
    ciphertext, _ = cut(group, answer, hybrid(group).ciphertext)
    for point, problem in bad_points(group):
        for use, kem in ((GROUPS[group].encapsulate, key), (share.open, ciphertext)):
            with pytest.raises(PeerMisbehaved) as caught:
                use(glue(group, kem, point))
            assert caught.value.reason is BAD_KEY_SHARE
            assert caught.value.evidence == {"group": G.name(group), "problem": problem}
            assert caught.value.__suppress_context__


@HYBRID
def test_a_changed_ciphertext_gives_another_secret_and_no_error(group: int) -> None:
    # FIPS 203 section 6.3, implicit rejection: whoever changed it learns nothing; Finished will not match.
    share = GROUPS[group].new_share()
    answer, secret = GROUPS[group].encapsulate(share.public)
    ciphertext, point = cut(group, answer, hybrid(group).ciphertext)
    changed = share.open(glue(group, bytes((ciphertext[0] ^ 1,)) + ciphertext[1:], point))
    assert len(changed) == len(secret)
    assert cut(group, changed, KEM_SECRET)[0] != cut(group, secret, KEM_SECRET)[0]
    assert cut(group, changed, KEM_SECRET)[1] == cut(group, secret, KEM_SECRET)[1]


# --- the shares of one ClientHello


@pytest.mark.parametrize(
    "groups",
    [
        (G.X25519MLKEM768, G.X25519),
        (G.X25519, G.X25519MLKEM768),
        (G.SECP256R1, G.X25519, G.SECP384R1, G.X25519MLKEM768),
        (G.SECP256R1MLKEM768, G.SECP256R1),
        (G.SECP384R1MLKEM1024, G.X448, G.SECP384R1),
        tuple(GROUPS),
    ],
    ids=lambda groups: " ".join(map(G.name, groups)),
)
def test_hybrid_and_plain_share_have_one_classical_key(groups: tuple[int, ...]) -> None:
    shares = dict(zip(groups, new_shares(groups), strict=True))
    assert all(share.group == group for group, share in shares.items())
    for group in KEMS.keys() & shares.keys():
        _, point = cut(group, shares[group].public, hybrid(group).encapsulation_key)
        assert point == shares[CLASSICAL_HALF[group]].public
    for group, share in shares.items():
        answer, secret = GROUPS[group].encapsulate(share.public)
        assert share.open(answer) == secret


def test_a_hybrid_without_its_plain_share_has_a_key_of_its_own() -> None:
    hybrid_share, plain = new_shares((G.SECP256R1MLKEM768, G.SECP384R1))
    assert hybrid_share.public[: len(plain.public)] != plain.public
    assert len({share.public for share in new_shares((G.X25519MLKEM768,)) + new_shares((G.X25519MLKEM768,))}) == 2


@pytest.mark.parametrize("groups", [(), (G.X25519MLKEM768,), (G.SECP384R1, G.SECP256R1)], ids=str)
def test_shares_come_in_the_order_asked_for(groups: tuple[int, ...]) -> None:
    assert [share.group for share in new_shares(groups)] == list(groups)
