"""Broken and odd chains, and what we have to make of them. docs/certificate-errors.md is written from this.

Beside the ones of handfast.testing, which our users have too, here are those that are harder to make. Those of badssl.com
are marked.
"""

from __future__ import annotations

from typing import Final

from tests.certificates.cases import authorities, issuers, names, profile, services, strength, times, usage

GROUPS: Final = (
    times.GROUP,
    names.GROUP,
    usage.GROUP,
    issuers.GROUP,
    strength.GROUP,
    authorities.GROUP,
    profile.GROUP,
    services.GROUP,
)
CASES: Final = tuple(case for group in GROUPS for case in group.cases)
