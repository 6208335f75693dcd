"""The rules of the profile: those of rules.py, and those that concern several certificates of a path."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography import x509

from handfast.certificates import constraints
from handfast.certificates.checks.evidence import about
from handfast.certificates.checks.naming import odd_name
from handfast.certificates.path import misused_key
from handfast.certificates.rules import Breach
from handfast.errors import CertificateRuleBroken

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from handfast.certificates.path import Path
    from handfast.certificates.rules import Findings, Rule


def check_profile(path: Path, found: Sequence[Findings], relax: Collection[Rule], depth: int) -> None:
    """Raises CertificateRuleBroken.

    A rule that no switch relaxes is named first: to relax another one would not help. Of those with a switch the first
    is named, and the switches of all.
    """
    broken = [item for item in _breaches(path, found, depth) if item[1].rule not in relax]
    if not broken:
        return
    index, breach = min(broken, key=lambda item: item[1].rule is not None)
    switches = dict.fromkeys(str(item.rule) for _, item in broken if item.rule is not None)
    others = [item.sentence for _, item in broken if item is not breach]
    raise CertificateRuleBroken(
        certificate=path.certificates[index].der,
        **about(path, index),
        rule=breach.sentence,
        section=breach.section,
        **({"also": others} if others else {}),
        **({"relax": ", ".join(switches)} if breach.rule is not None else {}),
    )


def _breaches(path: Path, found: Sequence[Findings], depth: int) -> Iterator[tuple[int, Breach]]:
    is_own_root = path.anchored and len(found) == 1
    budget = constraints.Budget()
    odd = odd_name(path.certificates[0])
    if odd is not None:
        yield 0, odd
    for index, item in enumerate(found):
        for breach in item.breaches:
            # A peer's own certificate among the trusted ones is trusted as it is; no authority has to have made it.
            if breach.rule is None or not is_own_root:
                yield index, breach
        if item.depth is not None and index - 1 > item.depth:
            below = "1 authority is" if index == 2 else f"{index - 1} authorities are"
            problem = f"{below} below it, and it allows {item.depth or 'none'}"
            yield index, Breach(problem, "RFC 5280 section 4.2.1.9")
        if item.limits:
            yield from _limited(path, index, budget)
    if len(found) - 2 > depth:
        yield 0, Breach(_too_deep(depth), "RFC 5280 section 6")


def _limited(path: Path, index: int, budget: constraints.Budget) -> Iterator[tuple[int, Breach]]:
    """What an authority allows, and those below it do not keep to."""
    certificate = path.certificates[index]
    misuse = misused_key(path.certificates[index - 1], certificate)
    if misuse is not None:
        yield index - 1, Breach(misuse, "RFC 4055 section 3.1")
    if certificate.extension(x509.NameConstraints) is not None:
        yield from _constrained(path, index, budget)


def is_too_deep(found: Sequence[Findings], depth: int) -> bool:
    """Whether there are more authorities than are allowed, between its ends or below one of them."""
    between = len(found) - 2
    if between <= 0:
        return False
    return between > depth or any(item.depth is not None and index - 1 > item.depth for index, item in enumerate(found))


def _too_deep(depth: int) -> str:
    if depth == 0:
        return "there is an authority between it and its root, and none is allowed"
    return f"there are more than {depth} authorities between it and its root"


def _constrained(path: Path, index: int, budget: constraints.Budget) -> Iterator[tuple[int, Breach]]:
    """What the names of the certificates below make of an authority's nameConstraints."""
    for position, below in enumerate(path.certificates[:index]):
        if position and below.self_issued:
            continue  # an authority that changes its keys or rules may name itself (RFC 5280 section 4.2.1.10)
        violation = constraints.violation(path.certificates[index], below, budget)
        if violation is not None:
            yield index, Breach(violation, "RFC 5280 section 4.2.1.10")
            continue
        kind = constraints.not_understood(path.certificates[index], below)
        if kind is not None:
            problem = f"its nameConstraints limit {kind}, which is not understood here"
            yield index, Breach(problem, "RFC 5280 section 4.2.1.10")
