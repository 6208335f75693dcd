"""Our own checks of a path: each cause of refusal with its exception, its reason and its evidence.

They run on every path, also on those that `cryptography`'s verifier accepts; and on what can be followed of those that
it refuses, to say why. The order is the order of usefulness: who has an expired certificate for another name learns of
the date, and a broken rule of the profile is named only where nothing else is wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography import x509

from handfast import reasons
from handfast.certificates import constraints
from handfast.certificates.path import misused_key
from handfast.certificates.rules import Breach, Findings, findings
from handfast.errors import (
    BadCertificateSignature,
    CertificateExpired,
    CertificateNameMismatch,
    CertificateNotYetValid,
    CertificateRuleBroken,
    CertificateUsageError,
    MissingIntermediate,
    SelfSignedCertificate,
    UnknownIssuer,
    UnusableKey,
    WeakCertificate,
)
from handfast.limits import PATH_DEPTH

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from datetime import datetime

    from handfast.certificates.parsed import Parsed
    from handfast.certificates.path import Path
    from handfast.certificates.rules import Purpose, Rule
    from handfast.certificates.store import TrustStore

_NAMES_SHOWN: Final = 50


def check(
    path: Path, purpose: Purpose, server_name: str | None, now: datetime, relax: Collection[Rule], trust: TrustStore
) -> None:
    """Raise the CertificateError that explains best what is wrong with a path; return if nothing is.

    ``purpose``      what the peer's certificate has to be for
    ``server_name``  normalized; None for the path of a client, who has no name that we could compare, and of a server
                     whose name does not count
    ``relax``        rules of the profile that do not count
    """
    _times(path, now)
    if server_name is not None:
        _name(path, server_name)
    _usage(path, purpose)
    _ending(path, trust)
    _signatures(path)
    _strength(path, purpose)
    _profile(path, purpose, relax)


def _found(path: Path, index: int, purpose: Purpose) -> Findings:
    """What is wrong with one certificate of a path by itself."""
    return findings(path.certificates[index], "issuer" if index else "leaf", purpose)


def _about(path: Path, index: int) -> dict[str, str]:
    """What every piece of evidence begins with. Text out of certificates is made harmless where it is shown."""
    certificate = path.certificates[index]
    return {
        "position": path.position(index),
        "subject": certificate.subject or "(empty)",
        "issuer": certificate.issuer or "(empty)",
    }


def _times(path: Path, now: datetime) -> None:
    """RFC 5280 section 4.1.2.5, for each certificate of the path, its root included."""
    for index, certificate in enumerate(path.certificates):
        if now > certificate.not_after:
            expired = CertificateExpired(
                certificate=certificate.der,
                **_about(path, index),
                not_after=certificate.not_after.isoformat(),
                now=now.isoformat(timespec="seconds"),
            )
            expired.not_after = certificate.not_after
            raise expired
        if now < certificate.not_before:
            early = CertificateNotYetValid(
                certificate=certificate.der,
                **_about(path, index),
                not_before=certificate.not_before.isoformat(),
                now=now.isoformat(timespec="seconds"),
            )
            early.not_before = certificate.not_before
            raise early


def _name(path: Path, server_name: str) -> None:
    """RFC 9525 section 6. The common name is not looked at; where it is all there is, the error says so."""
    leaf = path.certificates[0]
    if server_name in leaf.names:
        return
    presented = leaf.alternative_names
    evidence: dict[str, object] = {"asked_for": server_name}
    if presented:
        more = [f"and {len(presented) - _NAMES_SHOWN} more"] if len(presented) > _NAMES_SHOWN else []
        evidence["certificate_is_for"] = [*presented[:_NAMES_SHOWN], *more]
    elif leaf.common_name is not None:
        evidence["common_name"] = leaf.common_name
    reason = reasons.CERTIFICATE_NAME_MISMATCH if presented else reasons.CERTIFICATE_WITHOUT_NAMES
    raise CertificateNameMismatch(reason, certificate=leaf.der, **_about(path, 0), **evidence)


def _usage(path: Path, purpose: Purpose) -> None:
    """What the certificates may be used for (RFC 5280 sections 4.2.1.3, 4.2.1.9 and 4.2.1.12)."""
    for index, certificate in enumerate(path.certificates):
        found = _found(path, index, purpose)
        if found.usage is not None:
            reason = reasons.NOT_A_CA if found.not_a_ca else reasons.CERTIFICATE_WRONG_USAGE
            raise CertificateUsageError(reason, certificate=certificate.der, **_about(path, index), problem=found.usage)


def _ending(path: Path, trust: TrustStore) -> None:
    """Whether the path ends at a root, and if not, the likeliest cause."""
    if path.anchored:
        return
    index = len(path.certificates) - 1
    last = path.certificates[index]
    evidence: dict[str, object] = {**_about(path, index), "trusted_roots": f"{len(trust)} of {trust.source}"}
    if last.self_issued:
        if index == 0:
            raise SelfSignedCertificate(certificate=last.der, **evidence)
        raise UnknownIssuer(certificate=last.der, **evidence, problem="the root that was sent is not trusted here")
    if trust.names(last.raw.issuer):
        raise UnknownIssuer(
            certificate=last.der, **evidence, problem="a trusted root has the issuer's name, and is not the issuer"
        )
    if _lacks_an_intermediate(path, last, trust):
        if last.issuer_address:
            evidence["issuer_can_be_fetched_from"] = last.issuer_address
        raise MissingIntermediate(certificate=last.der, **evidence)
    raise UnknownIssuer(certificate=last.der, **evidence)


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


def _signatures(path: Path) -> None:
    """RFC 5280 section 6.1.3 (a)(1). What the verifier accepted has been verified by it."""
    if path.forged is not None:
        certificate = path.certificates[path.forged]
        raise BadCertificateSignature(certificate=certificate.der, **_about(path, path.forged))


def _strength(path: Path, purpose: Purpose) -> None:
    """RFC 9325 section 4.5. The signature of a trusted root proves nothing, so it may be weak."""
    for index, certificate in enumerate(path.certificates):
        found = _found(path, index, purpose)
        about = _about(path, index) if found.weak_key or found.unusable_key or found.weak_signature else {}
        if found.weak_key is not None:
            raise WeakCertificate(reasons.WEAK_KEY, certificate=certificate.der, **about, key=found.weak_key)
        if found.unusable_key is not None:
            raise UnusableKey(certificate=certificate.der, **about, key=found.unusable_key)
        is_root = path.anchored and index == len(path.certificates) - 1
        if found.weak_signature is not None and not is_root:
            raise WeakCertificate(
                reasons.WEAK_SIGNATURE, certificate=certificate.der, **about, signature=found.weak_signature
            )


def _profile(path: Path, purpose: Purpose, relax: Collection[Rule]) -> None:
    """The rules of rules.py, and those that concern several certificates.

    A rule that no switch relaxes is named first: to relax another one would not help. Of those with a switch the first
    is named, and the switches of all.
    """
    broken = [item for item in _breaches(path, purpose) if item[1].rule not in relax]
    if not broken:
        return
    index, breach = min(broken, key=lambda item: item[1].rule is not None)
    switches = dict.fromkeys(str(item.rule) for _, item in broken if item.rule is not None)
    others = [item.sentence for _, item in broken if item is not breach]
    raise CertificateRuleBroken(
        certificate=path.certificates[index].der,
        **_about(path, index),
        rule=breach.sentence,
        section=breach.section,
        **({"also": others} if others else {}),
        **({"relax": ", ".join(switches)} if breach.rule is not None else {}),
    )


def _breaches(path: Path, purpose: Purpose) -> Iterator[tuple[int, Breach]]:
    is_own_root = path.anchored and len(path.certificates) == 1
    budget = constraints.Budget()
    for index, certificate in enumerate(path.certificates):
        for breach in _found(path, index, purpose).breaches:
            # A peer's own certificate among the trusted ones is trusted as it is; no authority has to have made it.
            if not (is_own_root and breach.rule is not None):
                yield index, breach
        if index == 0:
            continue
        misuse = misused_key(path.certificates[index - 1], certificate)
        if misuse is not None:
            yield index - 1, Breach(misuse, "RFC 4055 section 3.1")
        limits = certificate.extension(x509.BasicConstraints)
        if limits is not None and limits.path_length is not None and index - 1 > limits.path_length:
            problem = f"{index - 1} authorities are below it, and it allows {limits.path_length}"
            yield index, Breach(problem, "RFC 5280 section 4.2.1.9")
        for position, below in enumerate(path.certificates[:index]):
            if position and below.self_issued:
                continue  # an authority that changes its keys or rules may name itself (RFC 5280 section 4.2.1.10)
            violation = constraints.violation(certificate, below, budget)
            if violation is not None:
                yield index, Breach(violation, "RFC 5280 section 4.2.1.10")
    if len(path.certificates) - 2 > PATH_DEPTH:
        yield 0, Breach(f"there are more than {PATH_DEPTH} authorities between it and its root", "RFC 5280 section 6")
