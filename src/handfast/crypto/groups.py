"""Groups for the key exchange (RFC 9846 sections 4.3.8 and 7.4; hybrids: draft-ietf-tls-ecdhe-mlkem).

A key exchange is seen as a KEM, as RFC 9846 does: the client makes a share, the server answers it with a share of its
own and has the secret, the client opens that answer and has it too.

::

    client                                  server
    share = group.new_share()
               --- share.public --->
                                            answer, secret = group.encapsulate(share.public)
               <----- answer -------
    secret = share.open(answer)
"""

from __future__ import annotations

from typing import Any, Final, Protocol

from cryptography.hazmat.primitives.asymmetric import ec, mlkem, x448, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from handfast.crypto.guard import Guarded
from handfast.errors import PeerMisbehaved
from handfast.reasons import BAD_KEY_SHARE
from handfast.wire.codepoints import NamedGroup


class Share(Protocol):
    """The private half of a key share; used for one connection only (RFC 9846 section 4.3.8), and never copied."""

    group: int
    public: bytes

    def open(self, answer: bytes) -> bytes:
        """The shared secret, from the other side's share. PeerMisbehaved if that is not a valid public value."""


class Group(Protocol):
    """A way to exchange keys."""

    id: int

    def new_share(self) -> Share:
        """A fresh key share."""

    def encapsulate(self, public: bytes) -> tuple[bytes, bytes]:
        """Our share and the shared secret, in answer to the peer's share. PeerMisbehaved as in Share.open."""


def _refuse(group: int, problem: object) -> PeerMisbehaved:
    return PeerMisbehaved(BAD_KEY_SHARE, group=NamedGroup.name(group), problem=problem)


# --- X25519 and X448 ----------------------------------------------------------------------------------------------------


class _MontgomeryShare(Guarded):
    __slots__ = ("_parse", "_private", "group", "public")

    def __init__(self, group: int, private: Any, parse: Any) -> None:
        self.group = group
        self._private = private
        self._parse = parse
        self.public: bytes = private.public_key().public_bytes_raw()

    def open(self, answer: bytes) -> bytes:
        try:
            secret: bytes = self._private.exchange(self._parse(answer))
        except ValueError:
            # Of the wrong length, or of low order: an all-zero secret is refused (RFC 9846 section 7.4.2).
            raise _refuse(self.group, f"not a point of {len(self.public)} bytes, or of low order") from None
        return secret


class Montgomery:
    """X25519 and X448 (RFC 7748). A share has ``length`` bytes, and so has the secret."""

    def __init__(self, group: int, private: Any, public: Any, length: int) -> None:
        """``private, public``: the classes of `cryptography` for the two halves of a key."""
        self.id = group
        self.length = length
        self._generate = private.generate
        self._parse = public.from_public_bytes

    def new_share(self) -> Share:
        """A fresh key share: the bare public value."""
        return self.share_of(self._generate())

    def share_of(self, private: Any) -> Share:
        """The share with this private key: for test vectors."""
        return _MontgomeryShare(self.id, private, self._parse)

    def encapsulate(self, public: bytes) -> tuple[bytes, bytes]:
        """Our share and the secret."""
        share = self.new_share()
        return share.public, share.open(public)


# --- the NIST curves ----------------------------------------------------------------------------------------------------


class _CurveShare(Guarded):
    __slots__ = ("_private", "group", "public")

    def __init__(self, group: int, private: ec.EllipticCurvePrivateKey) -> None:
        self.group = group
        self._private = private
        self.public = private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    def open(self, answer: bytes) -> bytes:
        # legacy_form 4 and no other: `cryptography` would take a compressed point, TLS does not (section 4.3.8.2). It
        # checks that the point is on the curve, and not the point at infinity.
        if len(answer) != len(self.public) or answer[0] != 4:
            raise _refuse(self.group, "not an uncompressed point")
        try:
            point = ec.EllipticCurvePublicKey.from_encoded_point(self._private.curve, answer)
        except ValueError:
            raise _refuse(self.group, "not a point on the curve") from None
        return self._private.exchange(ec.ECDH(), point)


class Curve:
    """The NIST curves; the secret is the X coordinate of the shared point (RFC 9846 section 7.4.2).

    A share has ``length`` bytes: the form, and two coordinates.
    """

    def __init__(self, group: int, curve: ec.EllipticCurve) -> None:
        self.id = group
        self.length = 1 + 2 * ((curve.key_size + 7) // 8)
        self.curve = curve

    def new_share(self) -> Share:
        """A fresh key share: an uncompressed point."""
        return self.share_of(ec.generate_private_key(self.curve))

    def share_of(self, private: ec.EllipticCurvePrivateKey) -> Share:
        """The share with this private key: for test vectors."""
        return _CurveShare(self.id, private)

    def encapsulate(self, public: bytes) -> tuple[bytes, bytes]:
        """Our share and the secret."""
        share = self.new_share()
        return share.public, share.open(public)


# --- hybrids ------------------------------------------------------------------------------------------------------------


class _HybridShare(Guarded):
    __slots__ = ("_classical", "_hybrid", "_kem", "group", "public")

    def __init__(self, hybrid: Hybrid, kem: Any, classical: Share) -> None:
        self.group = hybrid.id
        self._hybrid = hybrid
        self._kem = kem
        self._classical = classical
        self.public = hybrid.join(kem.public_key().public_bytes_raw(), classical.public)

    def open(self, answer: bytes) -> bytes:
        hybrid = self._hybrid
        ciphertext, point = hybrid.split(answer, hybrid.ciphertext, "a ciphertext")
        # A wrong ciphertext gives a random secret, not an error (FIPS 203 section 6.3): Finished then does not match.
        secret = self._kem.decapsulate(ciphertext)
        try:
            return hybrid.join(secret, self._classical.open(point))
        except PeerMisbehaved as error:
            raise _refuse(hybrid.id, error.evidence["problem"]) from None


class Hybrid:
    """ML-KEM and a classical group together: safe as long as one of the two is.

    ``classical``          the classical group
    ``encapsulation_key``  bytes of ML-KEM's part of a client's share
    ``ciphertext``         bytes of ML-KEM's part of a server's share
    ``kem_first``          which part comes first, in shares and in the secret alike. NIST's rules want the part that
                           they approve in front, so it differs (draft-ietf-tls-ecdhe-mlkem section 4)
    """

    def __init__(
        self, group: int, classical: Montgomery | Curve, kem: tuple[Any, Any, int, int], *, kem_first: bool
    ) -> None:
        """``kem``: the classes of `cryptography` for private and public keys, and the two lengths of FIPS 203."""
        self.id = group
        self.classical = classical
        private, public, self.encapsulation_key, self.ciphertext = kem
        self._generate = private.generate
        self._parse = public.from_public_bytes
        self.kem_first = kem_first
        self._point = classical.length

    def new_share(self) -> Share:
        """A fresh key share: an encapsulation key and a point."""
        return self.new_share_beside(self.classical.new_share())

    def new_share_beside(self, classical: Share) -> Share:
        """A key share whose classical half is a share that stands alone in the same ClientHello.

        One of the two at most is answered, so the private key is used once (draft-ietf-tls-hybrid-design section 3.2).
        """
        return self.share_of(self._generate(), classical)

    def share_of(self, kem: Any, classical: Share) -> Share:
        """The share with this private key of ML-KEM and this classical half: for test vectors."""
        return _HybridShare(self, kem, classical)

    def encapsulate(self, public: bytes) -> tuple[bytes, bytes]:
        """Our share, a ciphertext and a point, and the secret."""
        encapsulation_key, point = self.split(public, self.encapsulation_key, "an encapsulation key")
        try:
            # `cryptography` makes the encapsulation key check of FIPS 203 section 7.2.
            kem_secret, ciphertext = self._parse(encapsulation_key).encapsulate()
        except ValueError:
            raise _refuse(self.id, "not an encapsulation key") from None
        try:
            answer, secret = self.classical.encapsulate(point)
        except PeerMisbehaved as error:
            raise _refuse(self.id, error.evidence["problem"]) from None
        return self.join(ciphertext, answer), self.join(kem_secret, secret)

    def join(self, kem: bytes, classical: bytes) -> bytes:
        """The two parts, in this group's order."""
        return kem + classical if self.kem_first else classical + kem

    def split(self, share: bytes, length: int, part: str) -> tuple[bytes, bytes]:
        """The part of ML-KEM, which has ``length`` bytes, and the point, from what the peer sent."""
        if len(share) != length + self._point:
            raise _refuse(self.id, f"not {part} and a point" if self.kem_first else f"not a point and {part}")
        if self.kem_first:
            return share[:length], share[length:]
        return share[self._point :], share[: self._point]


_X25519 = Montgomery(NamedGroup.X25519, x25519.X25519PrivateKey, x25519.X25519PublicKey, 32)
_SECP256R1 = Curve(NamedGroup.SECP256R1, ec.SECP256R1())
_SECP384R1 = Curve(NamedGroup.SECP384R1, ec.SECP384R1())
# FIPS 203 section 8, table 3: bytes of an encapsulation key and of a ciphertext.
_MLKEM768 = (mlkem.MLKEM768PrivateKey, mlkem.MLKEM768PublicKey, 1184, 1088)
_MLKEM1024 = (mlkem.MLKEM1024PrivateKey, mlkem.MLKEM1024PublicKey, 1568, 1568)

# Every group there is, in our order of preference. What a KeyShareEntry of a group looks like is its own affair.
GROUPS: Final[dict[int, Group]] = {
    group.id: group
    for group in (
        Hybrid(NamedGroup.X25519MLKEM768, _X25519, _MLKEM768, kem_first=True),
        Hybrid(NamedGroup.SECP256R1MLKEM768, _SECP256R1, _MLKEM768, kem_first=False),
        Hybrid(NamedGroup.SECP384R1MLKEM1024, _SECP384R1, _MLKEM1024, kem_first=False),
        _X25519,
        _SECP256R1,
        _SECP384R1,
        Montgomery(NamedGroup.X448, x448.X448PrivateKey, x448.X448PublicKey, 56),
        Curve(NamedGroup.SECP521R1, ec.SECP521R1()),
    )
}

# The classical half of each hybrid, by their code points.
CLASSICAL_HALF: Final[dict[int, int]] = {
    number: group.classical.id for number, group in GROUPS.items() if isinstance(group, Hybrid)
}


def new_shares(groups: tuple[int, ...]) -> list[Share]:
    """One share for each of ``groups``, in their order. A hybrid shares its classical half with the plain share of it."""
    shares = {number: GROUPS[number].new_share() for number in groups if number not in CLASSICAL_HALF}
    for number in groups:
        hybrid = GROUPS[number]
        if isinstance(hybrid, Hybrid):
            plain = shares.get(hybrid.classical.id)
            shares[number] = hybrid.new_share() if plain is None else hybrid.new_share_beside(plain)
    return [shares[number] for number in groups]
