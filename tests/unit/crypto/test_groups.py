"""Key exchange: both sides agree, and no invalid share gets through."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, mlkem, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from handfast.crypto.groups import GROUPS, X25519MLKEM768, new_shares
from handfast.errors import PeerMisbehaved
from handfast.reasons import BAD_KEY_SHARE
from handfast.wire.codepoints import NamedGroup as G

# Bytes of the client's share, of the server's, and of the secret (RFC 9846 sections 4.3.8 and 7.4, and
# draft-ietf-tls-ecdhe-mlkem section 4).
LENGTHS = {
    G.X25519MLKEM768: (1216, 1120, 64),
    G.X25519: (32, 32, 32),
    G.SECP256R1: (65, 65, 32),
    G.SECP384R1: (97, 97, 48),
}

CURVES = {G.SECP256R1: ec.SECP256R1(), G.SECP384R1: ec.SECP384R1()}

# The prime of each curve's field, and a coordinate that is not below it.
PRIMES = {
    G.SECP256R1: 2**256 - 2**224 + 2**192 + 2**96 - 1,
    G.SECP384R1: 2**384 - 2**128 - 2**96 + 2**32 - 1,
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


# --- the hybrid


def test_the_hybrid_has_ml_kem_first_in_shares_and_secret() -> None:
    theirs_mlkem, theirs_x25519 = mlkem.MLKEM768PrivateKey.generate(), x25519.X25519PrivateKey.generate()
    public = theirs_mlkem.public_key().public_bytes_raw() + theirs_x25519.public_key().public_bytes_raw()
    answer, secret = GROUPS[G.X25519MLKEM768].encapsulate(public)
    ciphertext, point = answer[:1088], answer[1088:]
    assert secret[:32] == theirs_mlkem.decapsulate(ciphertext)
    assert secret[32:] == theirs_x25519.exchange(x25519.X25519PublicKey.from_public_bytes(point))


def test_a_client_s_hybrid_share_is_an_encapsulation_key_and_a_point() -> None:
    share = GROUPS[G.X25519MLKEM768].new_share()
    kem_secret, ciphertext = mlkem.MLKEM768PublicKey.from_public_bytes(share.public[:1184]).encapsulate()
    ours = x25519.X25519PrivateKey.generate()
    x25519_secret = ours.exchange(x25519.X25519PublicKey.from_public_bytes(share.public[1184:]))
    assert share.open(ciphertext + ours.public_key().public_bytes_raw()) == kem_secret + x25519_secret


@pytest.mark.parametrize("length", [0, 32, 1184, 1215, 1217])
def test_a_client_s_hybrid_share_of_another_length_is_refused(length: int) -> None:
    share = GROUPS[G.X25519MLKEM768].new_share().public
    with pytest.raises(PeerMisbehaved) as caught:
        GROUPS[G.X25519MLKEM768].encapsulate((share + b"\0")[:length])
    assert caught.value.reason is BAD_KEY_SHARE
    assert caught.value.evidence == {"group": "X25519MLKEM768", "problem": "not an encapsulation key and a point"}


@pytest.mark.parametrize("number", [3329, 3330, 4095])
@pytest.mark.parametrize("index", [0, 767])
def test_an_encapsulation_key_whose_numbers_are_not_reduced_is_refused(number: int, index: int) -> None:
    # FIPS 203 section 7.2: each of its 768 numbers of 12 bits has to be below q = 3329.
    share = GROUPS[G.X25519MLKEM768].new_share().public
    numbers = int.from_bytes(share[:1152], "little")
    numbers = numbers & ~(0xFFF << 12 * index) | number << 12 * index
    bad = numbers.to_bytes(1152, "little") + share[1152:]
    with pytest.raises(PeerMisbehaved) as caught:
        GROUPS[G.X25519MLKEM768].encapsulate(bad)
    assert caught.value.reason is BAD_KEY_SHARE
    assert caught.value.evidence["problem"] == "not an encapsulation key"


@pytest.mark.parametrize("name", LOW_ORDER)
def test_a_hybrid_with_a_point_of_low_order_is_refused(name: str) -> None:
    share = GROUPS[G.X25519MLKEM768].new_share()
    answer, _ = GROUPS[G.X25519MLKEM768].encapsulate(share.public)
    low = LOW_ORDER[name].to_bytes(32, "little")
    with pytest.raises(PeerMisbehaved) as caught:
        GROUPS[G.X25519MLKEM768].encapsulate(share.public[:1184] + low)
    assert caught.value.reason is BAD_KEY_SHARE
    with pytest.raises(PeerMisbehaved) as caught:
        share.open(answer[:1088] + low)
    assert caught.value.reason is BAD_KEY_SHARE


@pytest.mark.parametrize("length", [0, 32, 1088, 1119, 1121])
def test_a_server_s_hybrid_share_of_another_length_is_refused(length: int) -> None:
    share = GROUPS[G.X25519MLKEM768].new_share()
    answer, _ = GROUPS[G.X25519MLKEM768].encapsulate(share.public)
    with pytest.raises(PeerMisbehaved) as caught:
        share.open((answer + b"\0")[:length])
    assert caught.value.reason is BAD_KEY_SHARE
    assert caught.value.evidence == {"group": "X25519MLKEM768", "problem": "not a ciphertext and a point"}


def test_a_changed_ciphertext_gives_another_secret_and_no_error() -> None:
    # FIPS 203 section 6.3, implicit rejection: whoever changed it learns nothing; Finished will not match.
    share = GROUPS[G.X25519MLKEM768].new_share()
    answer, secret = GROUPS[G.X25519MLKEM768].encapsulate(share.public)
    changed = share.open(bytes((answer[0] ^ 1,)) + answer[1:])
    assert changed[:32] != secret[:32]
    assert changed[32:] == secret[32:]
    assert len(changed) == 64


# --- the shares of one ClientHello


@pytest.mark.parametrize(
    "groups",
    [
        (G.X25519MLKEM768, G.X25519),
        (G.X25519, G.X25519MLKEM768),
        (G.SECP256R1, G.X25519, G.SECP384R1, G.X25519MLKEM768),
    ],
    ids=lambda groups: " ".join(map(G.name, groups)),
)
def test_hybrid_and_plain_share_have_one_x25519_key(groups: tuple[int, ...]) -> None:
    shares = dict(zip(groups, new_shares(groups), strict=True))
    assert all(share.group == group for group, share in shares.items())
    hybrid, plain = shares[G.X25519MLKEM768], shares[G.X25519]
    assert hybrid.public[X25519MLKEM768.ENCAPSULATION_KEY :] == plain.public
    for group, share in shares.items():
        answer, secret = GROUPS[group].encapsulate(share.public)
        assert share.open(answer) == secret


@pytest.mark.parametrize("groups", [(), (G.X25519MLKEM768,), (G.SECP384R1, G.SECP256R1)], ids=str)
def test_shares_come_in_the_order_asked_for(groups: tuple[int, ...]) -> None:
    assert [share.group for share in new_shares(groups)] == list(groups)
