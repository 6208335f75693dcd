"""What is not to be trusted any more, and since when (RFC 5280 section 5.3)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509

from handfast.errors import ConfigurationError

WHY: Final = {
    "unspecified": x509.ReasonFlags.unspecified,
    "key-compromise": x509.ReasonFlags.key_compromise,
    "affiliation-changed": x509.ReasonFlags.affiliation_changed,
    "superseded": x509.ReasonFlags.superseded,
    "cessation-of-operation": x509.ReasonFlags.cessation_of_operation,
    "privilege-withdrawn": x509.ReasonFlags.privilege_withdrawn,
}
"""The reasons of RFC 5280 section 5.3.1 that an end entity's certificate can have. No hold: it cannot be proved later."""


@dataclass(frozen=True, slots=True)
class Revoked:
    """A certificate that was revoked.

    ``serial``  its number
    ``when``    aware
    ``why``     a name of WHY
    """

    serial: int
    when: datetime
    why: str = "unspecified"

    def entry(self) -> x509.RevokedCertificate:
        """As a list has it. An unspecified reason is left out, as section 5.3.1 wants it."""
        builder = x509.RevokedCertificateBuilder().serial_number(self.serial).revocation_date(self.when)
        if self.why != "unspecified":
            builder = builder.add_extension(x509.CRLReason(WHY[self.why]), critical=False)
        return builder.build()


def check_why(why: str) -> str:
    """``why``, if it is one of WHY. Raises ConfigurationError."""
    if why not in WHY:
        raise ConfigurationError(setting="reason", problem=f"no reason is called {why}", known=tuple(WHY))
    return why
