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

from typing import Protocol

from cryptography.hazmat.primitives.asymmetric import ec, mlkem, x25519
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


def _refuse(group: int, problem: str) -> PeerMisbehaved:
    return PeerMisbehaved(BAD_KEY_SHARE, group=NamedGroup.name(group), problem=problem)


class _X25519Share(Guarded):
    __slots__ = ("_private", "group", "public")

    def __init__(self, group: int) -> None:
        self.group = group
        self._private = x25519.X25519PrivateKey.generate()
        self.public = self._private.public_key().public_bytes_raw()

    def open(self, answer: bytes) -> bytes:
        try:
            return self._private.exchange(x25519.X25519PublicKey.from_public_bytes(answer))
        except ValueError:
            # Of the wrong length, or of low order: an all-zero secret is refused (RFC 9846 section 7.4.2).
            raise _refuse(self.group, "not a point of 32 bytes, or of low order") from None


class X25519:
    """RFC 7748."""

    def __init__(self, group: int) -> None:
        self.id = group

    def new_share(self) -> Share:
        """A fresh key share of 32 bytes."""
        return _X25519Share(self.id)

    def encapsulate(self, public: bytes) -> tuple[bytes, bytes]:
        """Our share of 32 bytes and the secret of 32 bytes."""
        share = _X25519Share(self.id)
        return share.public, share.open(public)


class _CurveShare(Guarded):
    __slots__ = ("_private", "group", "public")

    def __init__(self, group: int, curve: ec.EllipticCurve) -> None:
        self.group = group
        self._private = ec.generate_private_key(curve)
        self.public = self._private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

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
    """The NIST curves; the secret is the X coordinate of the shared point (RFC 9846 section 7.4.2)."""

    def __init__(self, group: int, curve: ec.EllipticCurve) -> None:
        self.id = group
        self._curve = curve

    def new_share(self) -> Share:
        """A fresh key share: an uncompressed point."""
        return _CurveShare(self.id, self._curve)

    def encapsulate(self, public: bytes) -> tuple[bytes, bytes]:
        """Our share and the secret."""
        share = _CurveShare(self.id, self._curve)
        return share.public, share.open(public)


class _X25519MLKEM768Share(Guarded):
    __slots__ = ("_mlkem", "_x25519", "group", "public")

    def __init__(self, group: int, x25519_share: Share) -> None:
        self.group = group
        self._mlkem = mlkem.MLKEM768PrivateKey.generate()
        self._x25519 = x25519_share
        self.public = self._mlkem.public_key().public_bytes_raw() + x25519_share.public

    def open(self, answer: bytes) -> bytes:
        if len(answer) != X25519MLKEM768.CIPHERTEXT + 32:
            raise _refuse(self.group, "not a ciphertext and a point")
        # A wrong ciphertext gives a random secret, not an error (FIPS 203 section 6.3): Finished then does not match.
        secret = self._mlkem.decapsulate(answer[: X25519MLKEM768.CIPHERTEXT])
        return secret + self._x25519.open(answer[X25519MLKEM768.CIPHERTEXT :])


class X25519MLKEM768:
    """ML-KEM-768 and X25519 together: safe as long as one of the two is. The ML-KEM half stands first."""

    ENCAPSULATION_KEY = 1184
    CIPHERTEXT = 1088

    def __init__(self, group: int, x25519_group: X25519) -> None:
        self.id = group
        self._x25519 = x25519_group

    def new_share(self) -> Share:
        """A fresh key share of 1216 bytes."""
        return self.new_share_beside(self._x25519.new_share())

    def new_share_beside(self, x25519_share: Share) -> Share:
        """A key share whose X25519 half is a share that stands alone in the same ClientHello.

        One of the two at most is answered, so the private key is used once (draft-ietf-tls-hybrid-design section 3.2).
        """
        return _X25519MLKEM768Share(self.id, x25519_share)

    def encapsulate(self, public: bytes) -> tuple[bytes, bytes]:
        """Our share of 1120 bytes and the secret of 64 bytes."""
        if len(public) != self.ENCAPSULATION_KEY + 32:
            raise _refuse(self.id, "not an encapsulation key and a point")
        try:
            # `cryptography` makes the encapsulation key check of FIPS 203 section 7.2.
            key = mlkem.MLKEM768PublicKey.from_public_bytes(public[: self.ENCAPSULATION_KEY])
            secret, ciphertext = key.encapsulate()
        except ValueError:
            raise _refuse(self.id, "not an encapsulation key") from None
        point, x25519_secret = self._x25519.encapsulate(public[self.ENCAPSULATION_KEY :])
        return ciphertext + point, secret + x25519_secret


_X25519_GROUP = X25519(NamedGroup.X25519)

# Every group there is, in our order of preference. What a KeyShareEntry of a group looks like is its own affair.
GROUPS: dict[int, Group] = {
    group.id: group
    for group in (
        X25519MLKEM768(NamedGroup.X25519MLKEM768, _X25519_GROUP),
        _X25519_GROUP,
        Curve(NamedGroup.SECP256R1, ec.SECP256R1()),
        Curve(NamedGroup.SECP384R1, ec.SECP384R1()),
    )
}


def new_shares(groups: tuple[int, ...]) -> list[Share]:
    """One share for each of ``groups``, in their order. A hybrid shares its X25519 half with a plain X25519 share."""
    shares: dict[int, Share] = {}
    for group in sorted(groups, key=lambda group: group == NamedGroup.X25519MLKEM768):
        hybrid = GROUPS[group]
        beside = shares.get(NamedGroup.X25519)
        if isinstance(hybrid, X25519MLKEM768) and beside is not None:
            shares[group] = hybrid.new_share_beside(beside)
        else:
            shares[group] = hybrid.new_share()
    return [shares[group] for group in groups]
