"""Which mechanism of PKCS#11 makes the signatures of which scheme of TLS (RFC 9846 section 4.3.3)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Final

import pkcs11
from pkcs11 import MGF, Attribute, KeyType, Mechanism
from pkcs11.util.ec import encode_ecdsa_signature

from handfast.wire.codepoints import SignatureScheme as S


def _unchanged(data: bytes) -> bytes:
    return data


@dataclass(frozen=True, slots=True)
class Way:
    """How a token signs: ``mechanism`` with ``parameter``, of what ``before`` makes of the content; then ``after``."""

    mechanism: Mechanism
    parameter: Any = None
    before: Callable[[bytes], bytes] = _unchanged
    after: Callable[[bytes], bytes] = _unchanged


def _hashed(name: str, length: int | None = None) -> Callable[[bytes], bytes]:
    """The hash; the leftmost ``length`` bytes of it, where the curve has no room for more (FIPS 186-5 section 6.4.1)."""
    return lambda content: hashlib.new(name, content).digest()[:length]


def _pss(bits: int) -> tuple[Way, ...]:
    """In the token if it can hash too, else of a hash that is made here."""
    of_hash, mask = getattr(Mechanism, f"SHA{bits}"), getattr(MGF, f"SHA{bits}")
    parameter = (of_hash, mask, bits // 8)  # RFC 9846 section 4.3.3: a salt as long as the hash
    return (
        Way(getattr(Mechanism, f"SHA{bits}_RSA_PKCS_PSS"), parameter),
        Way(Mechanism.RSA_PKCS_PSS, parameter, before=_hashed(f"sha{bits}")),
    )


def _pkcs1(bits: int) -> tuple[Way, ...]:
    return (Way(getattr(Mechanism, f"SHA{bits}_RSA_PKCS")),)


def _ecdsa(bits: int, size: int) -> tuple[Way, ...]:
    # A token gives r and s, each as long as the order; TLS has them in DER.
    return (Way(Mechanism.ECDSA, before=_hashed(f"sha{bits}", size), after=encode_ecdsa_signature),)


_RSA: Final = {
    S.RSA_PSS_RSAE_SHA256: _pss(256),
    S.RSA_PSS_RSAE_SHA384: _pss(384),
    S.RSA_PSS_RSAE_SHA512: _pss(512),
    # What the certificate says of the key decides between these and those above.
    S.RSA_PSS_PSS_SHA256: _pss(256),
    S.RSA_PSS_PSS_SHA384: _pss(384),
    S.RSA_PSS_PSS_SHA512: _pss(512),
    S.RSA_PKCS1_SHA256: _pkcs1(256),
    S.RSA_PKCS1_SHA384: _pkcs1(384),
    S.RSA_PKCS1_SHA512: _pkcs1(512),
}


def _of_curve(own: int, size: int) -> dict[int, tuple[Way, ...]]:
    """The schemes of a curve: the one that TLS 1.3 has first, then those that TLS 1.2 has besides."""
    found = {
        S.ECDSA_SECP256R1_SHA256: _ecdsa(256, size),
        S.ECDSA_SECP384R1_SHA384: _ecdsa(384, size),
        S.ECDSA_SECP521R1_SHA512: _ecdsa(512, size),
    }
    return {own: found.pop(own), **found}


_EDDSA: Final = (Way(Mechanism.EDDSA),)
# By the parameters of the key: the curve's OID in DER, or its name (PKCS #11 3.0 section 2.3.7 lets Edwards curves have one).
_CURVES: Final[dict[bytes, dict[int, tuple[Way, ...]]]] = {
    bytes.fromhex("06082a8648ce3d030107"): _of_curve(S.ECDSA_SECP256R1_SHA256, 32),
    bytes.fromhex("06052b81040022"): _of_curve(S.ECDSA_SECP384R1_SHA384, 48),
    bytes.fromhex("06052b81040023"): _of_curve(S.ECDSA_SECP521R1_SHA512, 66),
    bytes.fromhex("06032b6570"): {S.ED25519: _EDDSA},
    b"\x13\x0cedwards25519": {S.ED25519: _EDDSA},
    bytes.fromhex("06032b6571"): {S.ED448: _EDDSA},
    b"\x13\x0aedwards448": {S.ED448: _EDDSA},
}


def ways(key: Any, mechanisms: Collection[Any]) -> dict[int, Way]:
    """By scheme, the best first: how this key (an object of python-pkcs11) can sign in a token with these mechanisms."""
    if key.key_type == KeyType.RSA:
        known: dict[int, tuple[Way, ...]] = dict(_RSA)
    elif key.key_type in (KeyType.EC, KeyType.EC_EDWARDS):
        known = _CURVES.get(bytes(key[Attribute.EC_PARAMS]), {})
    else:
        known = {}
    found = {
        scheme: next((way for way in several if way.mechanism in mechanisms), None) for scheme, several in known.items()
    }
    return {scheme: way for scheme, way in found.items() if way is not None}


def needs_pin_each_time(key: Any) -> bool:
    """Whether the key wants the PIN with every signature (CKA_ALWAYS_AUTHENTICATE)."""
    try:
        return bool(key[Attribute.ALWAYS_AUTHENTICATE])
    except pkcs11.PKCS11Error:
        return False
