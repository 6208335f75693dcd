"""Whether the keys and signatures of a path prove anything (RFC 9325 section 4.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handfast import reasons
from handfast.certificates.checks.evidence import about
from handfast.errors import UnusableKey, WeakCertificate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from handfast.certificates.leaked import KeyList
    from handfast.certificates.path import Path
    from handfast.certificates.rules import Findings


def check_strength(path: Path, found: Sequence[Findings]) -> None:
    """Raises WeakCertificate, with a reason for each way to be weak, or UnusableKey."""
    for index, (certificate, item) in enumerate(zip(path.certificates, found, strict=True)):
        if item.weak_key is not None:
            raise WeakCertificate(
                item.weak_key.reason, certificate=certificate.der, **about(path, index), key=item.weak_key.sentence
            )
        if item.unusable_key is not None:
            raise UnusableKey(certificate=certificate.der, **about(path, index), key=item.unusable_key)
        # That of a peer's own certificate among the trusted ones proves nothing either.
        is_own_root = path.anchored and len(found) == 1
        if item.weak_signature is not None and not is_own_root:
            raise WeakCertificate(
                reasons.WEAK_SIGNATURE,
                certificate=certificate.der,
                **about(path, index),
                signature=item.weak_signature,
            )


def check_leaks(path: Path, known: KeyList) -> None:
    """Whether somebody else is known to have one of the keys. Raises WeakCertificate."""
    for index, certificate in enumerate(path.certificates):
        source = known.find(certificate)
        if source is not None:
            reason = reasons.DEBIAN_KEY if source.kind == "debian" else reasons.LEAKED_KEY
            raise WeakCertificate(reason, certificate=certificate.der, **about(path, index), known_from=source.name)
