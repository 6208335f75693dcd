"""Who may have issued whom, among any number of certificates: for drawing them, in time that grows with their number alone.

By names and key identifiers, as Parsed.may_be_issued_by has it. It decides nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography import x509

from handfast.certificates.parsed import parsed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from handfast.certificates.parsed import Parsed


def issuers_of(chain: Sequence[bytes]) -> dict[bytes, bytes | None]:
    """The first that may have issued each; None for those who name themselves, and where it is not here."""
    named: dict[bytes, dict[bytes | None, tuple[int, bytes]]] = {}  # by subject and key: position, and which
    for position, der in enumerate(chain):
        certificate = parsed(der)
        identifier = certificate.extension(x509.SubjectKeyIdentifier)
        key = None if identifier is None else identifier.digest
        named.setdefault(certificate.raw.subject, {}).setdefault(key, (position, der))
    return {der: _issuer(parsed(der), named.get(parsed(der).raw.issuer, {})) for der in chain}


def _issuer(certificate: Parsed, named: dict[bytes | None, tuple[int, bytes]]) -> bytes | None:
    """``named``  those that have the issuer's name, the first of each key."""
    if certificate.self_issued or not named:
        return None
    wanted = certificate.issuer_key
    if wanted is None:
        return next(iter(named.values()))[1]
    found = [named[key] for key in (wanted, None) if key in named]
    return min(found)[1] if found else None


def rooted(issuers: dict[bytes, bytes | None]) -> set[bytes]:
    """Those whose issuers' issuers come to an end: certificates that have signed each other are no tree."""
    found, lost = set[bytes](), set[bytes]()
    for der in issuers:
        way: dict[bytes, None] = {}
        at: bytes | None = der
        while at is not None and not (at in found or at in lost or at in way):
            way[at] = None
            at = issuers[at]
        (found if at is None or at in found else lost).update(way)
    return found
