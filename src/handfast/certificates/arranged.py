"""Certificates as they come, from a file that somebody has put together, made into the chain that is sent.

RFC 9846 section 4.5.1 wants our own certificate first. The others had to certify the one before them in older versions,
so they are put into that order too. What no peer needs stays out: roots, duplicates, and what belongs to others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from handfast.certificates.notes import Note, placed
from handfast.certificates.path import is_signed_by
from handfast.reasons import CHAIN_REORDERED, DUPLICATE_LEFT_OUT, ROOT_LEFT_OUT, STRAY_LEFT_OUT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from handfast.certificates.parsed import Parsed


@dataclass(frozen=True, slots=True)
class Arranged:
    """A chain to send (DER, our own certificate first), and what was done to get there."""

    chain: tuple[bytes, ...]
    notes: tuple[Note, ...]


def arranged(certificates: Sequence[Parsed], is_ours: Callable[[Parsed], bool]) -> Arranged | None:
    """The chain of the first certificate that ``is_ours``; None where none is."""
    leaf = next(filter(is_ours, certificates), None)
    if leaf is None:
        return None
    ders = [item.der for item in certificates]
    known = {item.der: item for item in certificates}  # each once
    left = [item for item in known.values() if item is not leaf]
    chain, roots = [leaf], set[bytes]()
    for certificate in chain:  # which grows: an authority may have several certificates, from its own issuers each
        for issuer in [item for item in left if _issued(certificate, item)]:
            left.remove(issuer)
            if _is_root(issuer):
                roots.add(issuer.der)
            else:
                chain.append(issuer)
    sent = tuple(item.der for item in chain)
    notes = []
    if [der for der in known if der in sent] != list(sent):
        notes.append(Note(CHAIN_REORDERED, {"sent": ", then ".join(item.subject or "(empty)" for item in chain)}))
    for position, der in enumerate(ders, 1):
        where = placed(known[der], position, len(ders))
        if der in ders[: position - 1]:
            notes.append(Note(DUPLICATE_LEFT_OUT, where))
        elif der in roots:
            notes.append(Note(ROOT_LEFT_OUT, where))
        elif der not in sent:
            notes.append(Note(STRAY_LEFT_OUT, where))
    return Arranged(sent, tuple(notes))


def _issued(certificate: Parsed, issuer: Parsed) -> bool:
    # A signature of a kind that cannot be verified here is for the peer to judge.
    return certificate.may_be_issued_by(issuer) and is_signed_by(certificate, issuer) is not False


def _is_root(certificate: Parsed) -> bool:
    return certificate.self_issued and is_signed_by(certificate, certificate) is not False
