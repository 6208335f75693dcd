"""What kinds of keys and hashes are called where people read it: the same name everywhere."""

from __future__ import annotations

from typing import Any, Final

_CURVES: Final = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}
_KINDS: Final = {
    "DSAPublicKey": "DSA",
    "ed25519": "Ed25519",
    "ed448": "Ed448",
    "mldsa44": "ML-DSA-44",
    "mldsa65": "ML-DSA-65",
    "mldsa87": "ML-DSA-87",
}


def called(kind: str, key: Any, *, for_pss: bool = False) -> str:
    """A key's kind and size: "ECDSA P-256", "RSA 2048".

    ``kind``     as crypto.signatures.kind_of has it
    ``key``      public or private, of `cryptography`; None where it cannot be read
    ``for_pss``  whether its certificate allows RSASSA-PSS alone
    """
    bits = getattr(key, "key_size", None)
    if kind.startswith("rsa"):
        return f"RSA {bits}, for PSS alone" if for_pss else f"RSA {bits}"
    if hasattr(key, "curve"):
        return f"ECDSA {_CURVES.get(kind, kind)}"
    name = _KINDS.get(kind, kind)
    return name if bits is None else f"{name} {bits}"


def hash_called(name: str) -> str:
    """A hash by its name in `cryptography`, as its standard writes it: "SHA-256", "SHA-1", "SHA3-256", "MD5"."""
    found = name.upper()
    return found if "-" in found else found.replace("SHA", "SHA-")
