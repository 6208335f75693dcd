"""Each broken or odd chain: what we make of it, and what others do. docs/certificate-errors.md is written from it."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest

from handfast.certificates.policy import ChainVerifier
from handfast.errors import CertificateError, shown
from handfast.reasons import Reason, alerts
from tests.certificates import opinions, page
from tests.certificates.alerts import ALERTS
from tests.certificates.cases import CASES
from tests.certificates.making import Case, Made

_WORDS = {42: "bad_certificate", 43: "unsupported_certificate", 45: "certificate_expired", 46: "certificate_unknown"}
_WORDS |= {48: "unknown_ca", 49: "access_denied"}


def verdict(made: Made) -> CertificateError | None:
    """What we say of a chain; anything but a CertificateError is a bug."""
    verifier = ChainVerifier(made.trust, made.policy)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `cryptography` warns of serial numbers that it will refuse
        try:
            if made.client:
                verifier.verify_client(made.chain, made.at)
            elif made.name is None:
                verifier.verify_unnamed_server(made.chain, made.at)
            else:
                verifier.verify_server(made.chain, made.name, made.at)
        except CertificateError as error:
            return error
    return None


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_chain(case: Case) -> None:
    error = verdict(case.made())
    if case.reason is None:
        assert error is None
        return
    assert type(error) is case.error
    assert error.reason is case.reason
    assert error.alert == ALERTS[case.reason.name]
    assert str(error).startswith(case.reason.sentence)
    assert case.says in str(error)


def test_there_are_enough_of_them() -> None:
    broken = [case for case in CASES if case.reason is not None]
    assert len(broken) >= 60
    assert len({case.name for case in CASES}) == len(CASES)
    assert {case.reason.name for case in broken if case.reason} == set(ALERTS)
    badssl = {"expired", "wrong.host", "self-signed", "untrusted-root", "no-common-name", "no-subject"}
    badssl |= {"incomplete-chain", "sha1-intermediate", "1000-sans", "rsa8192", "ecc384", "superfish"}
    assert badssl <= {name for case in CASES for name in case.badssl.split(", ")}


# --- the page ------------------------------------------------------------------------------------------------------------


@cache
def _reasons() -> tuple[Reason, ...]:
    return tuple(dict.fromkeys(case.reason for case in CASES if case.reason))


def reasons_table() -> str:
    """A row for each Reason that a chain here has."""
    lines = ["| Reason | exception | alert | sentence | hint |", "|---|---|---|---|---|"]
    for reason in _reasons():
        kinds = dict.fromkeys(case.error.__name__ for case in CASES if case.reason is reason and case.error)
        assert reason.alert is not None
        alert = f"{_WORDS[reason.alert]} ({reason.alert})"
        names = ", ".join(f"`{kind}`" for kind in kinds)
        lines.append(f"| `{reason.name}` | {names} | {alert} | {reason.sentence} | {reason.hint} |")
    return "\n".join(lines) + "\n"


# What of the evidence is the point.
_TOLD = (
    "certificate_is_for",
    "not_sent",
    "issuer_can_be_fetched_from",
    "distrusted",
    "problem",
    "rule",
    "key",
    "known_from",
)
_TOLD += ("signature", "clock", "relax", "common_name", "limit")


def _ours(case: Case, error: CertificateError | None) -> str:
    if error is None:
        return "good"
    facts = [f"{key.replace('_', ' ')}: {_plain(error.evidence[key])}" for key in _TOLD if key in error.evidence]
    where = error.evidence.get("position")
    return "; ".join([f"`{error.reason.name}`" + (f", {where}" if where else ""), *facts])


def _plain(value: object) -> str:
    """Without what changes from run to run."""
    text = re.sub(r"\b[0-9a-f]{32,}\b", "...", shown(value))
    return _cell(re.sub(r"\b(of|its) \d+ bytes \d+", r"\1 ... bytes ...", text))


def _cell(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text).replace("|", "\\|")


def cases_tables(others: Sequence[Sequence[str]] | None, errors: Sequence[CertificateError | None]) -> str:
    """A table for each group; ``others``: by case, what OpenSSL, GnuTLS and Go say. None leaves these columns out."""
    lines: list[str] = []
    group = ""
    columns = ["chain", "handfast", *(("OpenSSL", "GnuTLS", "Go") if others else ())]
    for number, (case, error) in enumerate(zip(CASES, errors, strict=True)):
        if case.group != group:
            group = case.group
            lines += ["", f"### {group}", "", f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
        name = f"{case.name} (badssl.com: {case.badssl})" if case.badssl else case.name
        cells = [name, _ours(case, error), *(map(_cell, others[number]) if others else ())]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines[1:]) + "\n"


def test_the_page_has_each_reason() -> None:
    assert all(alerts.by_name(word) == number for number, word in _WORDS.items())
    page.compare("reasons", reasons_table())


@pytest.mark.timeout(600)
def test_the_page_says_what_everybody_says(tmp_path: Path) -> None:
    """Where another version of a peer is installed than the page was written with, only our own column counts."""
    made = [case.make() for case in CASES]  # anew: GnuTLS goes by the clock
    errors = [verdict(item) for item in made]
    versions = opinions.versions()
    heading = ", ".join(f"{name} {version}" for name, version in versions.items())
    if not page.updating() and heading not in page.part("chains"):
        ours = cases_tables(None, errors)
        rows = [line.split(" | ")[:2] for line in page.part("chains").splitlines() if line.startswith("| ")]
        assert rows == [line.removesuffix(" |").split(" | ")[:2] for line in ours.splitlines() if line.startswith("| ")]
        return
    by_go = opinions.go(made, tmp_path)
    others = [
        (opinions.openssl(item, tmp_path), opinions.gnutls(item, tmp_path), told)
        for item, told in zip(made, by_go, strict=True)
    ]
    wrong = [
        [case.name for case, says in zip(CASES, others, strict=True) if case.reason and says[peer] == opinions.GOOD]
        for peer in range(3)
    ]
    count = sum(case.reason is not None for case in CASES)
    accepted = ", ".join(f"{name} accepts {len(names)}" for name, names in zip(versions, wrong, strict=True))
    summary = f"Written with {heading}. Of the {count} chains that handfast refuses, {accepted}.\n\n"
    page.compare("chains", summary + cases_tables(others, errors))
