"""Which of several certificates a private key belongs to.

A key in this process has its public key with it. One that is kept elsewhere signs something of no meaning, and the
certificate that this verifies with is its own: so at the start of a program it is known that the key can be reached, and
is the right one.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, Protocol, TypeGuard

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from handfast.certificates import kinds
from handfast.crypto import signatures
from handfast.errors import ConfigurationError, PeerMisbehaved, TLSError, shown
from handfast.reasons import KEY_MISMATCH, NOT_A_KEY

if TYPE_CHECKING:
    from handfast.certificates.identity import Signer
    from handfast.certificates.parsed import Parsed

_TABLES: Final = (signatures.SCHEMES, signatures.SCHEMES_12)
_TRIAL: Final = b"handfast: to which certificate does this key belong?"  # no message of any version of TLS


def is_signer(key: object) -> TypeGuard[Signer]:
    """Whether it is a Signer."""
    # Private keys of `cryptography` have sign() too, with other arguments; only a Signer says what it can sign with.
    return hasattr(key, "schemes") and hasattr(key, "sign") and not inspect.isclass(key)


def public_key(key: signatures.PrivateKey) -> signatures.PublicKey:
    """That of a private key in this process. Raises ConfigurationError for anything else."""
    try:
        return key.public_key()
    except AttributeError:
        raise ConfigurationError(NOT_A_KEY, problem=f"a {type(key).__name__} is no private key and no Signer") from None


class Certified(Protocol):
    """What a key may belong to: a certificate, or a request for one."""

    @property
    def key(self) -> signatures.PublicKey | None:
        """The public key; None for a kind that is not known here."""

    @property
    def pss(self) -> signatures.PssKey | None:
        """What it may be used for, where it is for RSASSA-PSS alone."""


def ownership(key: Signer | signatures.PrivateKey, certificates: Sequence[Certified]) -> Callable[[Certified], bool]:
    """What tells whether a certificate is the key's. Raises ConfigurationError where a Signer fails, also when called.

    Of a Signer that has to be awaited nothing is known before it has signed: any is its own that it could sign for. Where
    it could for none of them, the first one is, and whoever wants to use it says why that cannot be.
    """
    if not is_signer(key):
        public = public_key(key)
        return lambda certificate: bool(certificate.key == public)
    sign = getattr(key, "sign_and_wait", key.sign)
    is_usable = any(_scheme(key, certificate) is not None for certificate in certificates)
    # A certificate may want another way of signing than the one that it was issued by.
    made: dict[int, bytes | None] = {}

    def is_ours(certificate: Certified) -> bool:
        scheme = _scheme(key, certificate)
        if scheme is None:
            return not is_usable and certificate is certificates[0]
        if scheme not in made:
            made[scheme] = None if inspect.iscoroutinefunction(sign) else _tried(sign, scheme)
        signature = made[scheme]
        return signature is None or _has_signed(certificate, scheme, signature)

    return is_ours


def owner(key: Signer | signatures.PrivateKey, certificates: Sequence[Certified]) -> int | None:
    """The index of the first certificate that is the key's; None where none is. Raises ConfigurationError as ownership()."""
    if is_signer(key) and all(_scheme(key, certificate) is None for certificate in certificates):
        return None
    is_ours = ownership(key, certificates)
    return next((index for index, certificate in enumerate(certificates) if is_ours(certificate)), None)


def kind(key: signatures.PrivateKey) -> str:
    """The kind of a private key in this process, and its size: "ECDSA P-256", "RSA 2048"."""
    return kinds.called(signatures.kind_of(key), key)


def fingerprint(key: signatures.PrivateKey) -> str:
    """SHA-256, in hexadecimal, of its public key as certificates have it (subjectPublicKeyInfo)."""
    public = public_key(key).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(public).hexdigest()


def _scheme(key: Signer, certificate: Certified) -> int | None:
    """The first way in which this key could sign for a certificate."""
    if certificate.key is None:
        return None
    of_it = [signatures.schemes_of(certificate.key, table, pss=certificate.pss) for table in _TABLES]
    return next((scheme for scheme in key.schemes if any(scheme in schemes for schemes in of_it)), None)


def _tried(sign: Callable[[int, bytes], object], scheme: int) -> bytes | None:
    """A signature of no meaning; None from a signer that has to be awaited."""
    try:
        signature = sign(scheme, _TRIAL)
    except TLSError as error:
        raise ConfigurationError(error.reason, **error.evidence) from None
    except Exception as error:
        problem = f"the signer fails: {type(error).__name__}: {shown(error)}"
        raise ConfigurationError(setting="identity", problem=problem) from error
    if isinstance(signature, bytes):
        return signature
    getattr(signature, "close", getattr(signature, "cancel", bool))()  # nobody awaits it
    return None


def _has_signed(certificate: Certified, scheme: int, signature: bytes) -> bool:
    for table in _TABLES:
        if certificate.key is None or scheme not in signatures.schemes_of(certificate.key, table, pss=certificate.pss):
            continue
        try:
            signatures.verify(certificate.key, scheme, signature, _TRIAL, table, pss=certificate.pss)
        except PeerMisbehaved:
            return False
        return True
    return False


def mismatch(key: Signer | signatures.PrivateKey, certificates: Sequence[Parsed]) -> ConfigurationError:
    """That the key belongs to none of these."""
    first, others = certificates[0], len(certificates) - 1
    ours = {} if is_signer(key) else {"key": kind(key)}
    return ConfigurationError(
        KEY_MISMATCH,
        certificate=first.subject or first.names.texts,
        certificate_key=kinds.called(first.kind, first.key, for_pss=first.pss is not None),
        **ours,
        **({"problem": f"it belongs to none of the {others + 1} certificates"} if others else {}),
    )
