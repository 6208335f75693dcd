"""How far an authority looked into who somebody is, as the certificate's policies say. Shown, and never decided by.

Whether an extended validation is worth something was once for browsers to show; they no longer do, and nothing here
treats such a certificate better. Who reads a chain may want to know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography import x509

if TYPE_CHECKING:
    from handfast.certificates.parsed import Parsed

# CA/Browser Forum, https://cabforum.org/resources/object-registry/
_LEVELS: Final = {
    "2.23.140.1.1": "extended validation",
    "2.23.140.1.2.1": "domain validated",
    "2.23.140.1.2.2": "organization validated",
    "2.23.140.1.2.3": "individual validated",
}


def level(certificate: Parsed) -> str | None:
    """How a public authority calls it: "domain validated", "extended validation" and the like; None if it does not say."""
    return next((_LEVELS[oid] for oid in policies(certificate) if oid in _LEVELS), None)


def policies(certificate: Parsed) -> tuple[str, ...]:
    """The object identifiers of all its certificatePolicies (RFC 5280 section 4.2.1.4)."""
    found = certificate.extension(x509.CertificatePolicies)
    return tuple(item.policy_identifier.dotted_string for item in found or ())
