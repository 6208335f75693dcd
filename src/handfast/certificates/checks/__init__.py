"""Our own checks of a path: each cause of refusal with its exception, its reason and its evidence.

They run on every path, also on those that `cryptography`'s verifier accepts; and on what can be followed of those that
it refuses, to say why. The order is the order of usefulness: who has an expired certificate for another name learns of
the date, and a broken rule of the profile is named only where nothing else is wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from handfast.certificates.checks.issuers import check_ending, check_signatures
from handfast.certificates.checks.naming import check_name, odd_name
from handfast.certificates.checks.profile import check_profile, is_too_deep
from handfast.certificates.checks.strength import check_leaks, check_strength
from handfast.certificates.checks.times import check_times
from handfast.certificates.checks.usage import check_usage
from handfast.certificates.rules import findings

if TYPE_CHECKING:
    from datetime import datetime

    from handfast.certificates.path import Path
    from handfast.certificates.policy import Policy
    from handfast.certificates.rules import Findings
    from handfast.certificates.store import TrustStore
    from handfast.certificates.usages import Purpose


def check(
    path: Path, purpose: Purpose, server_name: str | None, now: datetime, policy: Policy, trust: TrustStore
) -> None:
    """Raise the CertificateError that explains best what is wrong with a path; return if nothing is.

    ``purpose``      what the peer's certificate has to be for
    ``server_name``  normalized; None for the path of a client, who has no name that we could compare, and of a server
                     whose name does not count
    """
    check_times(path, now)
    if server_name is not None:
        check_name(path, server_name)
    found = found_in(path, purpose)
    plain = all(item.plain for item in found)
    if not plain:
        check_usage(path, found)
    check_ending(path, trust)
    check_signatures(path)
    if not plain:
        check_strength(path, found)
    check_leaks(path, policy.known_keys)
    if not plain or is_too_deep(found, policy.depth) or odd_name(path.certificates[0]) is not None:
        check_profile(path, found, policy.relax, policy.depth)


def found_in(path: Path, purpose: Purpose) -> list[Findings]:
    """What is wrong with each certificate of a path by itself, in its role."""
    found = [findings(path.certificates[0], "leaf", purpose)]
    last = len(path.certificates) - 1
    for index, item in enumerate(path.certificates[1:], 1):
        found.append(findings(item, "root" if path.anchored and index == last else "issuer", purpose))
    return found
