"""What the certificates may be used for (RFC 5280 sections 4.2.1.3, 4.2.1.9 and 4.2.1.12)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handfast import reasons
from handfast.certificates.checks.evidence import about
from handfast.errors import CertificateUsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from handfast.certificates.path import Path
    from handfast.certificates.rules import Findings


def check_usage(path: Path, found: Sequence[Findings]) -> None:
    """``found``: of each certificate of the path in its role. Raises CertificateUsageError."""
    for index, (certificate, item) in enumerate(zip(path.certificates, found, strict=True)):
        if item.usage is not None:
            reason = reasons.NOT_A_CA if item.not_a_ca else reasons.CERTIFICATE_WRONG_USAGE
            raise CertificateUsageError(reason, certificate=certificate.der, **about(path, index), problem=item.usage)
