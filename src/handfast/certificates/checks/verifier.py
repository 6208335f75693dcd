"""Why `cryptography`'s verifier refuses a path in which our own checks find nothing.

It has refused already, and what is here looks for what the verifier is known to be strict about, so that the error can say
more than that. One thing decides as well: :func:`odd_signature`, of the few paths that are accepted without the verifier.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509.oid import SignatureAlgorithmOID

from handfast.certificates.constraints import TOO_MANY
from handfast.certificates.der import GENERALIZED_TIME, pss_parameters, time_tags
from handfast.certificates.kinds import hash_called
from handfast.certificates.rules import Breach
from handfast.limits import COMPARISONS_OF_A_PATH

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from handfast.certificates.parsed import Parsed
    from handfast.certificates.path import Path

# Kinds of keys that the web's profile does not have, and the verifier does not follow a path through.
NOT_OF_THE_WEB: Final = frozenset(("ed25519", "ed448", "rsa-pss"))

_LABEL: Final = r"[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?"
_HOST: Final = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_RSA: Final = bytes.fromhex("06092a864886f70d0101")  # PKCS#1's identifiers, but for the last number
_RSA_WITH_A_HASH: Final = range(11, 15)  # SHA-256, -384, -512 and -224
_HASHES: Final = frozenset(("sha256", "sha384", "sha512"))
_FIRST_GENERALIZED: Final = 2050


def likely_cause(path: Path) -> tuple[int, Breach] | None:
    """What of the path the verifier cannot follow, and of which certificate; None where nothing is known."""
    return next(_causes(path), None)


def _causes(path: Path) -> Iterator[tuple[int, Breach]]:
    for index, certificate in enumerate(path.certificates):
        tags = time_tags(certificate.der)
        dates = certificate.not_before, certificate.not_after
        if any(t == GENERALIZED_TIME and d.year < _FIRST_GENERALIZED for t, d in zip(tags, dates, strict=True)):
            problem = f"it has a date before {_FIRST_GENERALIZED} as a GeneralizedTime, and not as a UTCTime"
            yield index, Breach(problem, "RFC 5280 section 4.1.2.5")
        odd = odd_signature(certificate)
        if odd is not None:
            yield index, Breach(odd, "CA/Browser Forum baseline requirements, section 7.1.3.2")
    yield from _limits(path)


def odd_signature(certificate: Parsed) -> str | None:
    """How a certificate is signed, where it is not one of the ways that the web's profile has."""
    content = certificate.raw.signature[2:]
    if content.startswith(_RSA) and content[len(_RSA)] in _RSA_WITH_A_HASH and len(content) == len(_RSA) + 1:
        return "the algorithm of its signature has no parameters where a NULL belongs"
    try:
        used = certificate.signature_hash
    except (UnsupportedAlgorithm, ValueError):
        return "it is signed in a way that is not known here"
    if used is not None and used.name not in _HASHES:
        return f"it is signed with {hash_called(used.name)}, which few verifiers know"
    if certificate.certificate.signature_algorithm_oid != SignatureAlgorithmOID.RSASSA_PSS:
        return None
    found = pss_parameters(certificate.raw.signature)
    if found is not None and found.fits_tls and 8 * found.salt_length == found.hash_bits:
        return None
    return "its RSASSA-PSS signature has parameters that TLS 1.3 does not have, such as another length of the salt"


def _limits(path: Path) -> Iterator[tuple[int, Breach]]:
    """What of an authority's nameConstraints the verifier cannot compare."""
    section = "RFC 5280 section 4.2.1.10"
    foreign = next((item.kind for item in path.certificates[1:] if item.kind in NOT_OF_THE_WEB), None)
    for index, authority in enumerate(path.certificates):
        limits = authority.extension(x509.NameConstraints)
        if not index or limits is None:
            continue
        if foreign is not None:
            problem = f"it limits names, which are not compared here in a path with an authority whose key is {foreign}"
            yield index, Breach(problem, section)
        trees = (*(limits.permitted_subtrees or ()), *(limits.excluded_subtrees or ()))
        domains = [item.value for item in trees if isinstance(item, x509.DNSName)]
        for domain in domains:
            if domain.startswith("."):
                problem = f'its nameConstraints have the DNS name "{domain}", which has to be without the dot in front'
                yield index, Breach(problem, section)
            elif domain and not _HOST.fullmatch(domain):
                yield index, Breach(f'its nameConstraints have "{domain}", which is no DNS name', section)
        below = path.certificates[:index]
        if domains:
            yield from _incomparable(below)
        count = len(trees) * sum(len(item.alternative_names) for item in below)
        problem = "its nameConstraints could not be compared with the names below it"
        yield index, Breach(TOO_MANY if count > COMPARISONS_OF_A_PATH else problem, section)


def _incomparable(below: Collection[Parsed]) -> Iterator[tuple[int, Breach]]:
    for index, certificate in enumerate(below):
        for name in certificate.values(x509.DNSName):
            if not _HOST.fullmatch(name.removeprefix("*.")):
                problem = f'its name "{name}" is no DNS name, and an authority above it limits those'
                yield index, Breach(problem, "RFC 5280 section 4.2.1.6")
