"""How much work a chain makes, told from its outside: before a signature is verified or a path is built.

Whatever a peer sends, the work is bounded. The verifier of `cryptography` stops after a hundred signatures and a million
comparisons of names, our own search after ISSUERS_TRIED signatures (path.py), and our own comparisons after
COMPARISONS_OF_A_PATH (constraints.py). Keys that take long by themselves are refused unused (strength.py), and so are
chains with so many names and constraints that the verifier would come near its own bound (:func:`excessive`). Within these
bounds a chain that is made to be slow takes a tenth of a second, where an honest one takes a fraction of a millisecond.
That is nothing for a thread of its own, and long for an event loop: hence :func:`is_slow`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography import x509

from handfast.certificates.der import parts
from handfast.certificates.parsed import parsed
from handfast.errors import CertificateUnreadable
from handfast.limits import (
    COMPARISONS_OF_A_CHAIN,
    QUICK_BYTES,
    QUICK_CERTIFICATE_BYTES,
    QUICK_CERTIFICATES,
    QUICK_COMPARISONS,
    QUICK_EXTENSION_BYTES,
    QUICK_RSA_BITS,
    QUICK_STEPS,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from handfast.certificates.parsed import Parsed
    from handfast.certificates.store import TrustStore

_SMALL: Final = 8_192  # bytes of a chain that cannot have as many names, whatever its root is


def is_slow(chain: Sequence[bytes], trust: TrustStore | None = None) -> bool:
    """Whether it may take more than a few milliseconds to verify a chain (DER).

    A rough estimate from its size, the kinds of its keys, its name constraints and those of the roots that may have issued
    it, and in how many ways its certificates may have issued one another. A chain that cannot be read is not slow: it is
    refused at once.
    """
    sizes = list(map(len, chain))
    if len(chain) > QUICK_CERTIFICATES or sum(sizes) > QUICK_BYTES or max(sizes, default=0) > QUICK_CERTIFICATE_BYTES:
        return True
    if sum(sizes) > QUICK_EXTENSION_BYTES and sum(map(_extension_bytes, chain)) > QUICK_EXTENSION_BYTES:
        return True
    try:
        sent = [parsed(der) for der in chain]
    except CertificateUnreadable:
        return False
    return (
        any(_is_large(item) for item in sent)
        or comparisons(sent, trust) > QUICK_COMPARISONS
        or steps(sent) > QUICK_STEPS
    )


def _extension_bytes(der: bytes) -> int:
    try:
        return len(parts(der).extensions)
    except IndexError:
        return 0  # it cannot be read


def excessive(sent: Sequence[Parsed], trust: TrustStore) -> int | None:
    """How many comparisons of names a chain may take, where these are too many to begin with; None where they are not.

    Each way in which the certificates may have issued one another is gone separately, with comparisons of its own.
    """
    if sum(len(item.der) for item in sent) <= _SMALL:
        return None
    ways = steps(sent)
    count = comparisons(sent, trust) * (ways if ways >= len(sent) else 1)
    return count if count > COMPARISONS_OF_A_CHAIN else None


def _is_large(certificate: Parsed) -> bool:
    return certificate.kind.startswith("rsa") and certificate.key.key_size > QUICK_RSA_BITS  # type: ignore[union-attr]


def comparisons(sent: Sequence[Parsed], trust: TrustStore | None = None) -> int:
    """Each name with each constraint, of whichever two certificates: more than there can be on any path."""
    above = {item.raw.issuer for item in sent} if trust else ()
    roots = [root for name in above for root in trust.by_subject(name)] if trust else []
    constraints = sum(map(_constraints, (*sent, *roots)))
    # Each has a subject, too.
    return constraints and constraints * (len(sent) + sum(len(item.values(kind)) for item in sent for kind in _KINDS))


_KINDS: Final = (x509.DNSName, x509.IPAddress, x509.UniformResourceIdentifier, x509.RFC822Name, x509.DirectoryName)


def _constraints(certificate: Parsed) -> int:
    found = certificate.extension(x509.NameConstraints)
    return len(found.permitted_subtrees or ()) + len(found.excluded_subtrees or ()) if found is not None else 0


def steps(sent: Sequence[Parsed]) -> int:
    """How many issuers of issuers there are by name, counted in every way to get to them; ends after QUICK_STEPS."""
    count = 0
    waiting = [sent[0]] if sent else []
    while waiting and count <= QUICK_STEPS:
        last = waiting.pop()
        # The verifier takes a certificate as often as it comes along, and so do we here: twins are each other's issuers.
        issuers = [item for item in sent if item.raw.subject == last.raw.issuer and item is not last]
        count += len(issuers)
        waiting += issuers
    return count
