"""What every piece of evidence about a certificate of a path begins with."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from handfast.certificates.path import Path


def about(path: Path, index: int) -> dict[str, str]:
    """Which certificate it is. Text out of certificates is made harmless where it is shown."""
    certificate = path.certificates[index]
    return {
        "position": path.position(index),
        "subject": certificate.subject or "(empty)",
        "issuer": certificate.issuer or "(empty)",
    }
