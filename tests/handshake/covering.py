"""Selections from a matrix that is too large to be run whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, product

Case = dict[str, str]


def every_pair(matrix: Mapping[str, Sequence[str]]) -> list[Case]:
    """Cases in which each value of each dimension meets each value of each other one at least once.

    Most faults of combinations need two values that meet, so a few hundred cases find what tens of thousands would. The
    selection is the same in each run: greedy, each case the one of a few candidates that has the most pairs still missing.
    """
    missing = {
        ((one, here), (other, there))
        for one, other in combinations(matrix, 2)
        for here, there in product(matrix[one], matrix[other])
    }
    cases: list[Case] = []
    while missing:
        (one, here), (other, there) = min(missing)
        best = {one: here, other: there}
        for name in matrix:
            if name not in best:
                at = len(cases) % len(matrix[name])
                turned = [*matrix[name][at:], *matrix[name][:at]]
                best[name] = max(turned, key=lambda value, name=name: _gain(missing, best, name, value))  # type: ignore[misc]
        case = {name: best[name] for name in matrix}
        missing -= set(_pairs(case))
        cases.append(case)
    return cases


def _pairs(case: Mapping[str, str]) -> Iterator[tuple[tuple[str, str], tuple[str, str]]]:
    return combinations(case.items(), 2)


def _gain(missing: set[tuple[tuple[str, str], tuple[str, str]]], case: Case, name: str, value: str) -> int:
    here = (name, value)
    return sum(((here, item) in missing) + ((item, here) in missing) for item in case.items())
