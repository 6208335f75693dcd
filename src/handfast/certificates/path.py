"""From a server's certificate to a trusted root: the path, and how far it can be followed.

The verifier of `cryptography` finds the path of a good chain. Where it finds none, :func:`follow` goes as far as
issuers can be found, so that the reason can be given; and it finds the paths of the few chains that we accept and the
verifier does not (see policy.py).
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509.oid import SignatureAlgorithmOID

from handfast.certificates.der import pss_parameters
from handfast.limits import ISSUERS_TRIED, PATH_DEPTH

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from cryptography import x509

    from handfast.certificates.parsed import Parsed
    from handfast.certificates.store import TrustStore


class Path(NamedTuple):
    """A way from a leaf towards a root.

    ``certificates``  the leaf first, each issued by the next, as far as names and key identifiers tell
    ``sent``          everything that the peer sent, in its order
    ``anchored``      the last one is a trusted root
    ``forged``        the first one whose signature does not verify with the key of the next; None if all do
    ``unchecked``     a signature is of a kind that cannot be verified here, because it is too weak or unknown
    """

    certificates: tuple[Parsed, ...]
    sent: Sequence[Parsed]
    anchored: bool
    forged: int | None = None
    unchecked: bool = False

    def position(self, index: int) -> str:
        """Where a certificate of the path stands, for people: "certificate 1 of 2" of what was sent."""
        for number, certificate in enumerate(self.sent, 1):
            if certificate.der == self.certificates[index].der:
                return f"certificate {number} of {len(self.sent)}"
        return "trusted root" if index == len(self.certificates) - 1 else "trusted certificate"


def verified(found: Sequence[x509.Certificate], sent: Sequence[Parsed], trust: TrustStore) -> Path:
    """The path that the verifier has found, all signatures of which it has checked."""
    known = {id(item.certificate): item for item in sent}  # it gives back the objects that it was given
    return Path(tuple([known.get(id(item)) or trust.parsed(item) for item in found]), sent, anchored=True)


def follow(sent: Sequence[Parsed], trust: TrustStore, now: datetime) -> Path:
    """The best path from ``sent[0]``: one that ends at a root, whose signatures verify, and that is valid ``now``.

    Where there is none like that, the one that comes closest. Work is bounded by ISSUERS_TRIED and PATH_DEPTH.
    """
    search = _Search(sent, trust, now)
    search.extend((sent[0],), None, unchecked=False)
    return search.best


class _Search:
    """Depth first, trusted issuers before sent ones; ends at the first path that nothing is wrong with."""

    def __init__(self, sent: Sequence[Parsed], trust: TrustStore, now: datetime) -> None:
        self._sent = sent
        self._trust = trust
        self._now = now
        self._left = ISSUERS_TRIED
        self.best = Path((sent[0],), sent, anchored=False)
        self._rank = (False, False, False, 0)

    def extend(self, way: tuple[Parsed, ...], forged: int | None, *, unchecked: bool) -> None:
        """Follow every issuer of the last certificate of ``way``."""
        anchored = way[-1].certificate in self._trust
        self._offer(Path(way, self._sent, anchored, forged, unchecked))
        # One authority more than is allowed is followed, so that checks/profile.py can say that it is one too many.
        if anchored or len(way) > PATH_DEPTH + 2:
            return
        for issuer in self._issuers(way):
            if self._left == 0 or self._rank[:3] == (True, True, True):
                return
            self._left -= 1
            genuine = is_signed_by(way[-1], issuer)
            broken = len(way) - 1 if genuine is False and forged is None else forged
            self.extend((*way, issuer), broken, unchecked=unchecked or genuine is None)

    def _issuers(self, way: tuple[Parsed, ...]) -> Iterator[Parsed]:
        last = way[-1]
        for candidate in (*self._trust.by_subject(last.raw.issuer), *self._sent):
            new = all(candidate.der != seen.der for seen in way)
            if new and last.may_be_issued_by(candidate) and not self._trust.refuses(candidate):
                yield candidate

    def _offer(self, path: Path) -> None:
        valid = all(item.not_before <= self._now <= item.not_after for item in path.certificates)
        # Of those that reach no root, the longest one shows best where the chain breaks.
        sound = path.anchored and path.forged is None
        rank = (path.anchored, sound, sound and valid, len(path.certificates))
        if rank > self._rank:
            self.best, self._rank = path, rank


def unverifiable(path: Path) -> int | None:
    """The first certificate of a path whose signature cannot be verified with the key of the next, good or not."""
    pairs = enumerate(pairwise(path.certificates))
    return next((index for index, (below, above) in pairs if is_signed_by(below, above) is None), None)


def intermediates(certificate: Parsed, trust: TrustStore) -> tuple[Parsed, ...]:
    """The authorities between a certificate and its root, as far as they are among the trusted certificates."""
    way = [certificate]
    while len(way) <= PATH_DEPTH:
        last = way[-1]
        candidates = (item for item in trust.by_subject(last.raw.issuer) if not item.self_issued and item not in way)
        issuer = next((item for item in candidates if last.may_be_issued_by(item) and is_signed_by(last, item)), None)
        if issuer is None:
            break
        way.append(issuer)
    return tuple(way[1:])


def misused_key(certificate: Parsed, issuer: Parsed) -> str | None:
    """How the signature breaks the limits of an issuer's id-RSASSA-PSS key (RFC 4055 section 3.1); None if it does not.

    `cryptography` verifies such a signature with the bare RSA key, also one of PKCS#1 v1.5.
    """
    if issuer.pss is None:
        return None
    if certificate.certificate.signature_algorithm_oid != SignatureAlgorithmOID.RSASSA_PSS:
        return "its issuer's key is for RSASSA-PSS alone, and it is signed in another way"
    used = pss_parameters(certificate.raw.signature_algorithm)
    # RFC 9846 section 4.3.3 has one hash, and a salt as long as it, in certificates too; the verifier holds other
    # authorities to that. It is also as much salt as a key that TLS can use may ask for.
    if used is None or not used.fits_tls or 8 * used.salt_length != used.hash_bits:
        salt = f", such as a salt of {used.salt_length} bytes" if used is not None else ""
        return f"its RSASSA-PSS signature has parameters that TLS 1.3 does not have{salt}"
    if issuer.pss.hash_bits not in (None, used.hash_bits):
        return f"it is signed with SHA-{used.hash_bits}, which its issuer's key is not for"
    return None


def is_signed_by(certificate: Parsed, issuer: Parsed) -> bool | None:
    """Whether the signature verifies; None if it is of a kind that `cryptography` does not verify (SHA-1, MD5)."""
    try:
        certificate.certificate.verify_directly_issued_by(issuer.certificate)
    except InvalidSignature:
        return False
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return True
