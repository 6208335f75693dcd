"""Private keys by name, for tests: "p256", "rsa2048", "rsapss2048", "ed25519", "mldsa65", ..."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, mldsa, rsa

from handfast.errors import ConfigurationError
from handfast.testing.pss import PssPrivateKey

if TYPE_CHECKING:
    from collections.abc import Callable


def _rsa(bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


_KINDS: Final[dict[str, Callable[[], Any]]] = {
    "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "p521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "ed448": ed448.Ed448PrivateKey.generate,
    "rsa2048": lambda: _rsa(2048),
    "rsa3072": lambda: _rsa(3072),
    "rsa4096": lambda: _rsa(4096),
    "rsapss2048": lambda: PssPrivateKey(_rsa(2048)),
    "rsapss2048-sha256": lambda: PssPrivateKey(_rsa(2048), 256),
    "rsapss2048-sha384": lambda: PssPrivateKey(_rsa(2048), 384),
    "rsapss2048-sha512": lambda: PssPrivateKey(_rsa(2048), 512),
    "mldsa44": mldsa.MLDSA44PrivateKey.generate,
    "mldsa65": mldsa.MLDSA65PrivateKey.generate,
    "mldsa87": mldsa.MLDSA87PrivateKey.generate,
    # Those that nobody should accept.
    "rsa1024": lambda: _rsa(1024),
    "p224": lambda: ec.generate_private_key(ec.SECP224R1()),
    "secp256k1": lambda: ec.generate_private_key(ec.SECP256K1()),
    "brainpool256": lambda: ec.generate_private_key(ec.BrainpoolP256R1()),
    "dsa2048": lambda: dsa.generate_private_key(2048),
}

KEY_KINDS: Final = tuple(_KINDS)


def new_key(kind: str) -> Any:
    """A fresh private key. Raises ConfigurationError for a kind that is not in KEY_KINDS."""
    if kind not in _KINDS:
        raise ConfigurationError(setting="key", value=kind, known=KEY_KINDS)
    return _KINDS[kind]()
