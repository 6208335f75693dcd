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
    """What tells whether a certificate is the key's. Raises ConfigurationError where a Signer fails."""
    if not is_signer(key):
        public = public_key(key)
        return lambda certificate: bool(certificate.key == public)
    sign = getattr(key, "sign_and_wait", key.sign)
    fitting = next((scheme for scheme in key.schemes if _can_verify(scheme, certificates)), None)
    if inspect.iscoroutinefunction(sign) or fitting is None:
        return lambda certificate: certificate is certificates[0]
    signature = _tried(sign, fitting)
    if signature is None:
        return lambda certificate: certificate is certificates[0]
    return lambda certificate: _has_signed(certificate, fitting, signature)


def owner(key: Signer | signatures.PrivateKey, certificates: Sequence[Certified]) -> int | None:
    """The index of the first certificate that is the key's; None where none is.

    Of a Signer that has to be awaited nothing is known before it has signed: it is taken for the first one's that it could
    sign for. Raises ConfigurationError where a Signer fails.
    """
    # ownership() has a Signer sign in one way for all: the first certificate may want another way than those behind it.
    for start, some in ((0, certificates[:1]), (1, certificates[1:])):
        if is_signer(key) and not any(_can_verify(scheme, some) for scheme in key.schemes):
            continue
        if some:
            is_ours = ownership(key, some)
            index = next((index for index, certificate in enumerate(some, start) if is_ours(certificate)), None)
            if index is not None:
                return index
    return None


def kind(key: signatures.PrivateKey) -> str:
    """The kind of a private key in this process, and its size: "ECDSA P-256", "RSA 2048"."""
    return kinds.called(signatures.kind_of(key), key)


def fingerprint(key: signatures.PrivateKey) -> str:
    """SHA-256, in hexadecimal, of its public key as certificates have it (subjectPublicKeyInfo)."""
    public = public_key(key).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(public).hexdigest()


def _can_verify(scheme: int, certificates: Sequence[Certified]) -> bool:
    return any(
        item.key is not None and scheme in signatures.schemes_of(item.key, table, pss=item.pss)
        for item in certificates
        for table in (signatures.SCHEMES, signatures.SCHEMES_12)
    )


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
    for table in (signatures.SCHEMES, signatures.SCHEMES_12):
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
