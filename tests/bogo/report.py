"""What a run comes to: counts, and the tables of docs/conformance.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "conformance.md"
_BEGIN, _END = "<!-- bogo: written by tests.bogo.run --report -->\n", "<!-- bogo: end -->\n"

# Whatever is disabled for these is another protocol, and no part of what handfast is measured by.
_OUTSIDE = ("DTLS:", "QUIC:", "TLS 1.1 and older:")

# What the name of a test says of the version; it may say nothing, and then it is mostly TLS 1.2 or either.
_VERSIONS = {"TLS 1.3": "TLS13", "TLS 1.2": "TLS12", "not named": ""}

# A test answered with 89 names the first flag that the shim does not know. What the flags are about, by how they begin.
_FEATURES = (
    ("Renegotiation", ("renegotiat", "expect-total-reneg")),
    ("False start (RFC 7918)", ("false-start", "allow-false-start", "handshake-never-done")),
    ("Cipher suites with RSA key exchange, CBC or 3DES", ("cipher suites",)),
    ("Signatures with SHA-1, or of drafts", ("signature scheme",)),
    (
        "Resumption and tickets",
        ("resum", "reverify-on-resume", "expect-ticket", "expect-session", "expect-no-session-id", "ticket-"),
    ),
    ("Resumption and tickets", ("use-ticket", "renew-ticket", "skip-ticket", "expect-resumable", "expect-not-resum")),
    ("0-RTT", ("0-RTT", "enable-early-data", "expect-early", "expect-accept-early", "expect-reject-early", "early-")),
    ("Raw public keys (RFC 7250)", ("raw public keys", "new-rpk", "accepted-peer-cert", "available-client-cert")),
    ("Raw public keys (RFC 7250)", ("expect-peer-certificate-type", "expect-peer-rpk")),
    ("OCSP and SCT", ("use-ocsp", "enable-ocsp", "ocsp-", "expect-ocsp", "set-ocsp", "decline-ocsp", "fail-ocsp")),
    ("OCSP and SCT", ("enable-signed", "signed-cert", "expect-signed")),
    ("Encrypted Client Hello (RFC 9849)", ("ech-", "enable-ech", "expect-ech", "expect-no-ech", "reject-unusable")),
    ("Imported PSKs (RFC 9258)", ("new-psk", "psk-importer")),
    ("Cipher suites with pre-shared keys", ("psk",)),
    ("Delegated credentials (RFC 9345)", ("new-delegated", "delegated-")),
    ("Certificate compression (RFC 8879)", ("install-cert-compression", "install-one-cert")),
    ("ML-KEM without a curve", ("group 514",)),
    ("Compliance policies of BoringSSL", ("fips", "wpa", "cnsa")),
    ("Other inventions of Google", ("application-settings", "defer-alps", "alps-", "expect-peer-application")),
    ("Other inventions of Google", ("enable-channel-id", "expect-channel-id", "send-channel-id", "jdk11", "quic-")),
    ("Other inventions of Google", ("advertise-npn", "advertise-empty-npn", "select-next", "select-empty-next")),
    ("Other inventions of Google", ("expect-next", "expect-no-next", "new-spake", "pake-", "request-server-padding")),
    ("Other inventions of Google", ("server-supports-padding", "requested-trust", "available-trust", "allow-hint")),
    ("Other inventions of Google", ("expect-peer-available", "expect-peer-match", "retain-only", "expect-sha256")),
    ("Other inventions of Google", ("on-handshaker", "cert-properties", "server-supported-groups-hint")),
)


PASSED, FAILED, UNIMPLEMENTED, DISABLED = _OUTCOMES = (
    "PASS",
    "FAIL",
    "SKIP",
    "disabled",
)  # the first three: the runner's


@dataclass(frozen=True)
class Summary:
    """Counts of tests.

    ``all``        of the runner
    ``outside``    disabled because they are about another protocol, by reason
    ``disabled``   disabled for another reason, by reason
    ``outcomes``   of all that are not outside, by what their names say of the version
    ``missing``    why tests were answered with 89, by feature
    """

    all: int
    outside: Counter[str]
    disabled: Counter[str]
    outcomes: dict[str, Counter[str]]
    missing: Counter[str]

    @property
    def total(self) -> Counter[str]:
        """Outcomes of all versions. Its total is N: what handfast is measured by."""
        return sum(self.outcomes.values(), Counter())


def summarize(
    names: Sequence[str], outcomes: Mapping[str, str], notes: Sequence[str], disabled: Mapping[str, str]
) -> Summary:
    """``outcomes``: of the tests that were run; ``disabled``: reasons by the globs of the configuration."""
    summary = Summary(
        all=len(names),
        outside=Counter(),
        disabled=Counter(),
        outcomes={version: Counter() for version in _VERSIONS},
        missing=Counter(feature(note) for note in notes),
    )
    for name in names:
        outcome = outcomes.get(name, DISABLED)
        if outcome == DISABLED:
            reason = _reason(name, disabled)
            if reason.startswith(_OUTSIDE):
                summary.outside[reason] += 1
                continue
            summary.disabled[reason] += 1
        version = next(version for version, part in _VERSIONS.items() if part in name)
        summary.outcomes[version][outcome] += 1
    return summary


def _reason(name: str, disabled: Mapping[str, str]) -> str:
    """Why a test is disabled. Where two globs fit, what puts it outside of N goes first."""
    reasons = [reason for glob, reason in disabled.items() if fnmatchcase(name, glob)]
    if not reasons:
        raise ValueError(f"{name} was not run, and nothing disables it")
    return min(reasons, key=lambda reason: not reason.startswith(_OUTSIDE))


def feature(note: str) -> str:
    """What a test wanted that was answered with 89, from what the shim has noted: a flag, or a sentence."""
    plain = note.lstrip("-")
    for prefix in ("on-initial-", "on-resume-", "on-retry-", "on-shim-"):
        plain = plain.removeprefix(prefix)
    return next((name for name, beginnings in _FEATURES if plain.startswith(beginnings)), "Something else")


def as_text(summary: Summary) -> str:
    """For a terminal."""
    total = summary.total
    share = 100 * total[PASSED] / (total.total() or 1)
    rest = f"{total[UNIMPLEMENTED]} not implemented, {total[DISABLED]} disabled, of {total.total()}"
    lines = [f"{total[PASSED]} passed, {total[FAILED]} failed, {rest} ({share:.0f} % passed)"]
    lines += [f"  not implemented: {count:5} {name}" for name, count in summary.missing.most_common()]
    lines += [f"  disabled:        {count:5} {reason}" for reason, count in summary.disabled.most_common()]
    lines += [f"  not counted:     {count:5} {reason}" for reason, count in summary.outside.most_common()]
    return "\n".join(lines)


def as_markdown(summary: Summary) -> str:
    """The tables of the document."""
    versions = {**summary.outcomes, "**all**": summary.total}
    rows = [(name, *(came[outcome] for outcome in _OUTCOMES), came.total()) for name, came in versions.items()]
    return "\n".join(
        [
            *_table(("version", "passed", "failed", "not implemented", "disabled", "all"), rows),
            "",
            "What the tests ask for that are not implemented; many ask for several things, and count for the first:",
            "",
            *_table(("feature", "tests"), summary.missing.most_common()),
            "",
            "Why tests are disabled:",
            "",
            *_table(("reason", "tests"), summary.disabled.most_common()),
            "",
            f"Not counted are, of the runner's {summary.all:,} tests:",
            "",
            *_table(("reason", "tests"), summary.outside.most_common()),
            "",
        ]
    )


def _table(head: Sequence[str], rows: Sequence[tuple[str | int, ...]]) -> list[str]:
    lines = [head, ("---", *("---:" for _ in head[1:])), *rows]
    return ["| " + " | ".join(f"{cell:,}" if isinstance(cell, int) else cell for cell in line) + " |" for line in lines]


def write(summary: Summary) -> None:
    """Replace the tables of docs/conformance.md."""
    before, _, rest = DOCUMENT.read_text().partition(_BEGIN)
    _, _, after = rest.partition(_END)
    DOCUMENT.write_text(f"{before}{_BEGIN}\n{as_markdown(summary)}\n{_END}{after}")
