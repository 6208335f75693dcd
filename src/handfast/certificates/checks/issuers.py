"""Whether a path leads to a trusted root, and was signed all the way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from handfast.certificates.checks.evidence import about
from handfast.errors import (
    BadCertificateSignature,
    CertificateError,
    MissingIntermediate,
    SelfSignedCertificate,
    UnknownIssuer,
)

if TYPE_CHECKING:
    from handfast.certificates.parsed import Parsed
    from handfast.certificates.path import Path
    from handfast.certificates.store import TrustStore

_SKIPPED: Final = 3  # roots that could not be loaded, before the rest is only counted: Fedora's bundle has dozens


def check_ending(path: Path, trust: TrustStore) -> None:
    """Whether the path ends at a root, and none of its certificates was distrusted by hand.

    Raises a CertificateError; where the path ends too early an UnknownIssuer: of its subclasses the likeliest cause.
    """
    _check_distrusted(path, trust)
    if path.anchored:
        return
    index = len(path.certificates) - 1
    last = path.certificates[index]
    evidence: dict[str, object] = {**about(path, index), "trusted_roots": f"{len(trust)} of {trust.source}"}
    if trust.skipped:
        more = [f"and {len(trust.skipped) - _SKIPPED} more"] if len(trust.skipped) > _SKIPPED else []
        evidence["skipped"] = [*map(str, trust.skipped[:_SKIPPED]), *more]
    if trust.distrusts(last.raw.subject) or trust.distrusts(last.raw.issuer):
        evidence["distrusted"] = "a root of this name was taken out by hand"
    if any(trust.refuses(item) and last.may_be_issued_by(item) for item in path.sent):
        problem = "the issuer that was sent, or its key, was distrusted by hand"
        raise UnknownIssuer(certificate=last.der, **evidence, problem=problem)
    if last.self_issued:
        if index == 0:
            raise SelfSignedCertificate(certificate=last.der, **evidence)
        raise UnknownIssuer(certificate=last.der, **evidence, problem="the root that was sent is not trusted here")
    if trust.names(last.raw.issuer):
        raise UnknownIssuer(certificate=last.der, **evidence, problem=_not_by_the_root(last, trust))
    if any(last.may_be_issued_by(item) for item in path.certificates[:index]):
        raise UnknownIssuer(certificate=last.der, **evidence, problem="its authorities certify one another in a circle")
    if "distrusted" not in evidence and _lacks_an_intermediate(path, last, trust):
        evidence["not_sent"] = last.issuer or "(an issuer without a name)"
        if last.issuer_key:
            evidence["its_key_identifier"] = last.issuer_key.hex()
        if last.issuer_address:
            evidence["issuer_can_be_fetched_from"] = last.issuer_address
        raise MissingIntermediate(certificate=last.der, **evidence)
    raise UnknownIssuer(certificate=last.der, **evidence)


def _check_distrusted(path: Path, trust: TrustStore) -> None:
    for index, certificate in enumerate(path.certificates):  # no path is found through any but the peer's own
        if trust.refuses(certificate):
            problem = "this certificate, or its key, was distrusted by hand"
            raise CertificateError(certificate=certificate.der, **about(path, index), problem=problem)


def _not_by_the_root(last: Parsed, trust: TrustStore) -> str:
    """Why no trusted root of the issuer's name is the issuer."""
    if not trust.by_subject(last.raw.issuer):
        return "the trusted root that has the issuer's name cannot be read"
    return "a trusted root has the issuer's name, and another key"


def _lacks_an_intermediate(path: Path, last: Parsed, trust: TrustStore) -> bool:
    """Whether an intermediate was left out, rather than that the issuer is a root that is not trusted here.

    Nobody can know: the missing certificate would tell. Signs of a missing one are:

    - the peer sent its own certificate without the issuer's, and that certificate says where the issuer's can be
      fetched (caIssuers). Public authorities say so, and never issue from a root; private roots hardly ever do;
    - the issuer belongs to an organisation that also owns a trusted root;
    - the peer sent certificates that do not belong to the path, a self-signed one among them: a root, and not what
      lies between.
    """
    if len(path.certificates) == 1 and last.issuer_address is not None:
        return True
    if last.organization is not None and last.organization in trust.organizations:
        return True
    ours = {certificate.der for certificate in path.certificates}
    return any(stray.self_issued and stray.der not in ours for stray in path.sent)


def check_signatures(path: Path) -> None:
    """RFC 5280 section 6.1.3 (a)(1). What the verifier accepted has been verified by it. Raises BadCertificateSignature."""
    if path.forged is not None:
        certificate = path.certificates[path.forged]
        raise BadCertificateSignature(certificate=certificate.der, **about(path, path.forged))
