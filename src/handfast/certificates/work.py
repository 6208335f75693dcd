"""How much work a chain makes, told from its outside: before a signature is verified or a path is built.

Whatever a peer sends, the work is bounded. The verifier of `cryptography` stops after a hundred signatures and a million
comparisons of names, our own search after ISSUERS_TRIED signatures (path.py) and our own comparisons after COMPARISONS
(constraints.py). Keys that take long by themselves are refused unused (strength.py), and so are chains with so many names
and constraints that the verifier would come near its own bound (:func:`excessive`). Within these bounds a chain that is
made to be slow takes a tenth of a second, where an honest one takes a fraction of a millisecond. That is nothing for a
thread of its own, and long for an event loop: hence :func:`is_slow`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography import x509

from handfast.certificates.der import parts
from handfast.certificates.parsed import parsed
from handfast.errors import CertificateUnreadable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from handfast.certificates.parsed import Parsed
    from handfast.certificates.store import TrustStore

# What an honest chain does not exceed, and what all together takes a millisecond or two.
CERTIFICATES: Final = 6
BYTES: Final = 32_768  # a chain of four with ML-DSA-87 everywhere has 30,000; to parse more than that is slow by itself
RSA_BITS: Final = 4_096
EXTENSION_BYTES: Final = 6_144  # a hundred names have 2,500; to make objects of more takes milliseconds by itself
CERTIFICATE_BYTES: Final = 12_288  # one with ML-DSA-87 for key and signature has 7,500; names take up the rest
COMPARISONS: Final = 2_048
STEPS: Final = 16
# What no honest chain comes near, and what takes some fifty milliseconds: a thousand names below 260 constraints.
COMPARISONS_MOST: Final = 1 << 18
SMALL: Final = 8_192  # bytes of a chain that cannot have as many names, whatever its root is


def is_slow(chain: Sequence[bytes], trust: TrustStore | None = None) -> bool:
    """Whether it may take more than a few milliseconds to verify a chain (DER).

    A rough estimate from its size, the kinds of its keys, its name constraints and those of the roots that may have issued
    it, and in how many ways its certificates may have issued one another. A chain that cannot be read is not slow: it is
    refused at once.
    """
    sizes = list(map(len, chain))
    if len(chain) > CERTIFICATES or sum(sizes) > BYTES or max(sizes, default=0) > CERTIFICATE_BYTES:
        return True
    if sum(sizes) > EXTENSION_BYTES and sum(map(_extension_bytes, chain)) > EXTENSION_BYTES:
        return True
    try:
        sent = [parsed(der) for der in chain]
    except CertificateUnreadable:
        return False
    return any(_is_large(item) for item in sent) or comparisons(sent, trust) > COMPARISONS or steps(sent) > STEPS


def _extension_bytes(der: bytes) -> int:
    try:
        return len(parts(der).extensions)
    except IndexError:
        return 0  # it cannot be read


def excessive(sent: Sequence[Parsed], trust: TrustStore) -> int | None:
    """How many comparisons of names a chain may take, where these are too many to begin with; None where they are not.

    Each way in which the certificates may have issued one another is gone separately, with comparisons of its own.
    """
    if sum(len(item.der) for item in sent) <= SMALL:
        return None
    ways = steps(sent)
    count = comparisons(sent, trust) * (ways if ways >= len(sent) else 1)
    return count if count > COMPARISONS_MOST else None


def _is_large(certificate: Parsed) -> bool:
    return certificate.kind.startswith("rsa") and certificate.key.key_size > RSA_BITS  # type: ignore[union-attr]


def comparisons(sent: Sequence[Parsed], trust: TrustStore | None = None) -> int:
    """Each name with each constraint, of whichever two certificates: more than there can be on any path."""
    above = {item.raw.issuer for item in sent} if trust else ()
    roots = [root for name in above for root in trust.by_subject(name)] if trust else []
    limits = sum(map(_constraints, (*sent, *roots)))
    # Each has a subject, too.
    return limits and limits * (len(sent) + sum(len(item.values(kind)) for item in sent for kind in _KINDS))


_KINDS: Final = (x509.DNSName, x509.IPAddress, x509.UniformResourceIdentifier, x509.RFC822Name, x509.DirectoryName)


def _constraints(certificate: Parsed) -> int:
    limits = certificate.extension(x509.NameConstraints)
    return len(limits.permitted_subtrees or ()) + len(limits.excluded_subtrees or ()) if limits is not None else 0


def steps(sent: Sequence[Parsed]) -> int:
    """How many issuers of issuers there are by name, counted in every way to get to them; ends soon after STEPS."""
    count = 0
    waiting = [sent[0]] if sent else []
    while waiting and count <= STEPS:
        last = waiting.pop()
        # The verifier takes a certificate as often as it comes along, and so do we here: twins are each other's issuers.
        issuers = [item for item in sent if item.raw.subject == last.raw.issuer and item is not last]
        count += len(issuers)
        waiting += issuers
    return count
