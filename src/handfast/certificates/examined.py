"""A chain, looked at by every check on its own: for whoever wants to see all that is right and wrong with it.

A verifier stops at what explains best. This goes on, and says of each check whether the chain passes it. It decides
nothing: who is trusted is said by a verifier alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from handfast.certificates import path as paths
from handfast.certificates.checks import found_in
from handfast.certificates.checks.issuers import check_ending, check_signatures
from handfast.certificates.checks.naming import check_name
from handfast.certificates.checks.profile import check_profile
from handfast.certificates.checks.strength import check_leaks, check_strength
from handfast.certificates.checks.times import check_times
from handfast.certificates.checks.usage import check_usage
from handfast.certificates.parsed import parsed
from handfast.certificates.surplus import Surplus, surplus
from handfast.errors import CertificateError

if TYPE_CHECKING:
    from datetime import datetime

    from handfast.certificates.policy import ChainVerifier
    from handfast.certificates.usages import Purpose

CHECKS: Final = ("dates", "name", "usage", "root", "signatures", "strength", "leaks", "rules")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one check says.

    ``check``   one of CHECKS, or "spiffe"
    ``error``   why the chain fails it; None where it passes, and where the check was not made
    ``passed``  None where it was not made
    """

    check: str
    error: CertificateError | None = None
    passed: bool | None = True


@dataclass(frozen=True, slots=True)
class Examination:
    """What there is to say of a chain.

    ``path``      DER from the peer's certificate as far up as issuers are known, and to a root if ``anchored``
    ``verdicts``  of each of CHECKS, in this order; then of "spiffe", where the policy allows some ids alone
    ``surplus``   what was sent and need not be
    """

    path: tuple[bytes, ...]
    anchored: bool
    verdicts: tuple[Verdict, ...]
    surplus: tuple[Surplus, ...]


def examine(
    chain: Sequence[bytes],
    purpose: Purpose,
    server_name: str | None,
    now: datetime,
    verifier: ChainVerifier,
    *,
    fetched: Sequence[bytes] = (),
    path: Sequence[bytes] = (),
    refused: CertificateError | None = None,
) -> Examination:
    """Look at a chain with the roots and the policy of a verifier.

    ``chain``        DER as it was sent
    ``server_name``  normalized; None for no name
    ``fetched``      issuers that were not sent (DER)
    ``path``         that a verifier has accepted, where one has
    ``refused``      why a verifier has refused the chain, where one has. Where none of the checks says so, it is counted
                     among the rules: the verifier of `cryptography` has some of its own

    Raises CertificateUnreadable where one of the certificates cannot be read.
    """
    now = now.replace(microsecond=0)
    trust, policy = verifier.trust, verifier.policy
    sent = [parsed(der) for der in chain]
    way = paths.follow([*sent, *map(parsed, fetched)], trust, now)
    if path and tuple(item.der for item in way.certificates) != tuple(path):
        way = paths.Path(tuple(map(parsed, path)), sent, anchored=True)
    # A root that is not trusted here keeps to the rules of a root all the same: what else is wrong would be so if it were.
    ended = way._replace(anchored=True) if way.certificates[-1].self_issued else way
    found = found_in(ended, purpose)
    made: dict[str, Callable[[], None]] = {
        "dates": lambda: check_times(way, now),
        "usage": lambda: check_usage(way, found),
        "root": lambda: check_ending(way, trust),
        "signatures": lambda: check_signatures(way),
        "strength": lambda: check_strength(ended, found),
        "leaks": lambda: check_leaks(way, policy.known_keys),
        "rules": lambda: check_profile(ended, found, policy.relax, policy.depth),
    }
    if server_name is not None:
        made["name"] = lambda: check_name(way, server_name)
    if way.unchecked or (len(way.certificates) == 1 and not way.anchored):
        del made["signatures"]
    ders = tuple(item.der for item in way.certificates)
    verdicts = [_verdict(name, made.get(name)) for name in CHECKS]
    allow = policy.allow
    if allow is not None:
        verdicts.append(_verdict("spiffe", lambda: allow.check(way.certificates)))
    if refused is not None and all(verdict.error is None for verdict in verdicts):
        verdicts[CHECKS.index("rules")] = Verdict("rules", refused, passed=False)
    return Examination(ders, way.anchored, tuple(verdicts), surplus(chain, ders))


def _verdict(name: str, check: Callable[[], None] | None) -> Verdict:
    if check is None:
        return Verdict(name, passed=None)
    try:
        check()
    except CertificateError as error:
        return Verdict(name, error, passed=False)
    return Verdict(name)
