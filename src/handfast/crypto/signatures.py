"""Signature schemes (RFC 9846 section 4.3.3): what signs, what verifies, and which key goes with which scheme."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, mldsa, padding, rsa

from handfast.errors import PeerMisbehaved
from handfast.reasons import BAD_SIGNATURE, WRONG_SIGNATURE_TYPE
from handfast.wire.codepoints import SignatureScheme as S

PublicKey = Any  # one of the public key classes of `cryptography`; they share no base class
PrivateKey = Any


@dataclass(frozen=True, slots=True)
class PssKey:
    """That a certificate calls its RSA key id-RSASSA-PSS, which `cryptography` does not tell from the key itself.

    Such a key is good for the rsa_pss_pss schemes alone (RFC 9846 section 4.3.3).

    ``hash_bits``  it is limited to the scheme with this hash (RFC 4055 section 3.1); None for any of them, 0 for none
    """

    hash_bits: int | None = None

    def allows(self, scheme: Scheme) -> bool:
        """Whether the key may be used with a scheme of its kind."""
        return self.hash_bits is None or self.hash_bits == scheme.hash_bits


@dataclass(frozen=True, slots=True)
class Scheme:
    """One signature scheme.

    ``key``      the kind of key, as :func:`kind_of` names it
    ``options``  what `cryptography` wants besides signature and content
    """

    id: int
    key: str
    options: Callable[[], tuple[Any, ...]]
    hash_bits: int = 0


def _fixed(*options: Any) -> Callable[[], tuple[Any, ...]]:
    return lambda: options


def _pss(algorithm: hashes.HashAlgorithm) -> Callable[[], tuple[Any, ...]]:
    # RFC 9846 section 4.3.3: MGF1 with the same hash, and a salt as long as the hash.
    return _fixed(padding.PSS(padding.MGF1(algorithm), algorithm.digest_size), algorithm)


_SHA256, _SHA384, _SHA512 = hashes.SHA256(), hashes.SHA384(), hashes.SHA512()

# Those of TLS 1.3 that CertificateVerify may use. RSA PKCS#1 is not among them: it may stand in certificates alone.
SCHEMES: Final = {
    scheme.id: scheme
    for scheme in (
        Scheme(S.ECDSA_SECP256R1_SHA256, "secp256r1", _fixed(ec.ECDSA(_SHA256)), 256),
        Scheme(S.ECDSA_SECP384R1_SHA384, "secp384r1", _fixed(ec.ECDSA(_SHA384)), 384),
        Scheme(S.ECDSA_SECP521R1_SHA512, "secp521r1", _fixed(ec.ECDSA(_SHA512)), 512),
        Scheme(S.ED25519, "ed25519", _fixed()),
        Scheme(S.ED448, "ed448", _fixed()),
        Scheme(S.RSA_PSS_RSAE_SHA256, "rsa", _pss(_SHA256), 256),
        Scheme(S.RSA_PSS_RSAE_SHA384, "rsa", _pss(_SHA384), 384),
        Scheme(S.RSA_PSS_RSAE_SHA512, "rsa", _pss(_SHA512), 512),
        Scheme(S.RSA_PSS_PSS_SHA256, "rsa-pss", _pss(_SHA256), 256),
        Scheme(S.RSA_PSS_PSS_SHA384, "rsa-pss", _pss(_SHA384), 384),
        Scheme(S.RSA_PSS_PSS_SHA512, "rsa-pss", _pss(_SHA512), 512),
        Scheme(S.MLDSA44, "mldsa44", _fixed()),
        Scheme(S.MLDSA65, "mldsa65", _fixed()),
        Scheme(S.MLDSA87, "mldsa87", _fixed()),
    )
}

# Those of TLS 1.2, where ECDSA goes with any curve (RFC 8422 section 5.1.3) and RSA PKCS#1 is allowed.
SCHEMES_12: Final = {
    scheme.id: scheme
    for scheme in (
        Scheme(S.ECDSA_SECP256R1_SHA256, "ec", _fixed(ec.ECDSA(_SHA256)), 256),
        Scheme(S.ECDSA_SECP384R1_SHA384, "ec", _fixed(ec.ECDSA(_SHA384)), 384),
        Scheme(S.ECDSA_SECP521R1_SHA512, "ec", _fixed(ec.ECDSA(_SHA512)), 512),
        *(scheme for scheme in SCHEMES.values() if scheme.key in ("ed25519", "ed448", "rsa", "rsa-pss")),
        Scheme(S.RSA_PKCS1_SHA256, "rsa", _fixed(padding.PKCS1v15(), _SHA256), 256),
        Scheme(S.RSA_PKCS1_SHA384, "rsa", _fixed(padding.PKCS1v15(), _SHA384), 384),
        Scheme(S.RSA_PKCS1_SHA512, "rsa", _fixed(padding.PKCS1v15(), _SHA512), 512),
    )
}

_ALL: Final = {**SCHEMES_12, **SCHEMES}  # how to sign is the same in both

# What may sign a certificate besides: RSA PKCS#1 (RFC 9846 section 4.3.3), never with SHA-1.
CERTIFICATE_SCHEMES: Final = (*SCHEMES, S.RSA_PKCS1_SHA256, S.RSA_PKCS1_SHA384, S.RSA_PKCS1_SHA512)

_KINDS: Final = (
    ("ed25519", (ed25519.Ed25519PublicKey, ed25519.Ed25519PrivateKey)),
    ("ed448", (ed448.Ed448PublicKey, ed448.Ed448PrivateKey)),
    ("rsa", (rsa.RSAPublicKey, rsa.RSAPrivateKey)),
    ("mldsa44", (mldsa.MLDSA44PublicKey, mldsa.MLDSA44PrivateKey)),
    ("mldsa65", (mldsa.MLDSA65PublicKey, mldsa.MLDSA65PrivateKey)),
    ("mldsa87", (mldsa.MLDSA87PublicKey, mldsa.MLDSA87PrivateKey)),
    ("ec", (ec.EllipticCurvePublicKey, ec.EllipticCurvePrivateKey)),
)


_known_classes: dict[type, str] = {}  # what _kind has found out


def _kind(key_class: type) -> str:
    """The kind of a key class. These classes are abstract, and asking whether a key is of one is slow."""
    if key_class not in _known_classes:
        matches = (kind for kind, classes in _KINDS if issubclass(key_class, classes))
        _known_classes[key_class] = next(matches, key_class.__name__)
    return _known_classes[key_class]


def kind_of(key: PublicKey | PrivateKey, *, pss: PssKey | None = None) -> str:
    """The kind of a key: "secp256r1", "rsa", "rsa-pss", "ed25519", ...

    A curve that TLS does not know has its own name. ``pss``: what the key's certificate says, see :class:`PssKey`.
    """
    kind = _kind(type(key))
    if kind == "ec":
        curve: str = key.curve.name
        return curve
    return "rsa-pss" if pss is not None and kind == "rsa" else kind


def schemes_of(
    key: PublicKey | PrivateKey, schemes: Mapping[int, Scheme] = SCHEMES, *, pss: PssKey | None = None
) -> tuple[int, ...]:
    """The ``schemes`` a key can be used with, best first; none for a key that this version has no scheme for.

    An RSA key has to be long enough for the hash and its salt (RFC 8017 section 9.1.1).
    """
    kind = kind_of(key, pss=pss)
    room = key.key_size - 16 if kind.startswith("rsa") else 1 << 16
    found = [
        scheme
        for scheme in schemes.values()
        if _fits(scheme, key, kind) and 2 * scheme.hash_bits <= room and (pss is None or pss.allows(scheme))
    ]
    if kind in _HASH_OF_CURVE:  # of the schemes of TLS 1.2 the one that TLS 1.3 has too comes first
        found.sort(key=lambda scheme: scheme.hash_bits != _HASH_OF_CURVE[kind])
    return tuple(scheme.id for scheme in found)


_HASH_OF_CURVE: Final = {"secp256r1": 256, "secp384r1": 384, "secp521r1": 512}


def _fits(scheme: Scheme, key: PublicKey | PrivateKey, kind: str) -> bool:
    """Whether the key is of the scheme's kind: in TLS 1.2 "ec" is any curve that TLS knows."""
    return scheme.key == kind or (scheme.key == "ec" and kind in _HASH_OF_CURVE)


def sign(key: PrivateKey, scheme: int, content: bytes) -> bytes:
    """Sign ``content`` with one of the schemes of :func:`schemes_of`."""
    options = _ALL[scheme].options()
    signature: bytes = key.sign(content, *options)
    return signature


def verify(
    key: PublicKey,
    scheme: int,
    signature: bytes,
    content: bytes,
    schemes: Mapping[int, Scheme] = SCHEMES,
    *,
    pss: PssKey | None = None,
) -> None:
    """Check a signature of the peer (RFC 9846 section 4.5.2) by one of the ``schemes`` of the version.

    Raises :class:`~handfast.errors.PeerMisbehaved`: WRONG_SIGNATURE_TYPE when the scheme does not fit the key,
    BAD_SIGNATURE when the signature is wrong. ``scheme`` has to be one that we offered.
    """
    wanted = schemes[scheme]
    kind = kind_of(key, pss=pss)
    if not _fits(wanted, key, kind):
        raise PeerMisbehaved(WRONG_SIGNATURE_TYPE, scheme=S.name(scheme), key=kind)
    if pss is not None and not pss.allows(wanted):
        limit = f"SHA-{pss.hash_bits}" if pss.hash_bits else "a hash that TLS 1.3 does not have"
        raise PeerMisbehaved(WRONG_SIGNATURE_TYPE, scheme=S.name(scheme), key=kind, key_is_limited_to=limit)
    try:
        key.verify(signature, content, *wanted.options())
    except (InvalidSignature, UnsupportedAlgorithm, ValueError):
        raise PeerMisbehaved(BAD_SIGNATURE, scheme=S.name(scheme)) from None
