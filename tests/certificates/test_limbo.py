"""x509-limbo's cases: what is expected, what `cryptography`'s verifier says alone, and what we say.

docs/certificate-errors.md lists where we and the suite disagree, and why; ``UPDATE=1 pytest tests/certificates`` writes
the table anew, and without that a change of it is a failure.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from handfast.certificates import pem
from handfast.certificates.names import normalized
from handfast.certificates.policy import ChainVerifier, Policy
from handfast.certificates.store import TrustStore
from handfast.errors import CertificateError, ConfigurationError
from handfast.limits import PATH_DEPTH
from tests.certificates import page

CASES: list[dict[str, Any]] = json.loads((Path(__file__).parents[1] / "vectors" / "limbo.json").read_text())[
    "testcases"
]

# Where we disagree with the suite's verdict, and why. Those whose name ends in a colon stand for all that begin so.
REASONS = {
    "crl::issuer-no-keyusage-extension": "An authority has to say what its key is for; see missing-key-usage.",
    "crl::": "Lists of revoked certificates are not looked at yet.",
    "pathlen::validation-ignores-pathlen-in-leaf": "An authority's own certificate, without digitalSignature, is "
    "not taken from a server.",
    "rfc5280::ca-as-leaf": "An authority's own certificate, without digitalSignature, is not taken from a server.",
    "pathlen::self-issued-certs-pathlen": "The verifier counts authorities that certify themselves, too. Refusing is safe.",
    "pathlen::max-chain-depth-1-self-issued": "The verifier counts authorities that certify themselves, too. Refusing is safe.",
    "rfc5280::aki::cross-signed-root-missing-aki": "This certificate is itself what is trusted, so nobody has to find its issuer.",
    "rfc5280::nc::permitted-dns-match-noncritical": "RFC 5280 wants nameConstraints critical; the web's profile does not. They "
    "are enforced either way.",
    "rfc5280::nc::permitted-dn-match": "The verifier does not know constraints of directory names, and so nothing below them is "
    "accepted. Refusing is safe.",
    "rfc5280::pc::ica-noncritical-pc": "Policies decide nothing here, so constraints of them do not either; a critical one is "
    "refused.",
    "rfc5280::serial::zero": "Private authorities do count from zero, and RFC 5280 section 4.1.2.2 wants it tolerated.",
    "rfc5280::ski::root-missing-ski": "A trusted root is trusted as it is: nobody has to find it by the name of its key.",
    "webpki::aki::root-with-aki-": "A trusted root is trusted as it is: nobody has to find its issuer.",
    "webpki::cn::": "Nobody looks at a common name here, so it may be anything.",
    "webpki::eku::ee-anyeku": "It allows serverAuth, too.",
    "webpki::eku::ee-without-eku": "A certificate without extendedKeyUsage is good for all (RFC 5280 section 4.2.1.12); private "
    "authorities make them.",
    "webpki::eku::root-has-eku": "A trusted root is trusted as it is, and what it is limited to is held.",
    "webpki::san::public-suffix-": "Which domains are public suffixes is a list that changes every week. Authorities check it "
    "before they issue.",
}
WEAK_KEYS = ("p192", "dsa", "rsa")


@dataclass(frozen=True)
class Verdict:
    """Whether a chain is accepted, and in whose words it is not."""

    accepted: bool
    why: str = ""


def _load(text: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(text.encode("ascii"))


def by_pyca(case: dict[str, Any]) -> Verdict | None:
    """The verdict of the verifier alone, as its users call it; None where it cannot be asked."""
    name = case["expected_peer_name"]
    if case["validation_kind"] == "SERVER" and name is None:
        return None  # there is no verifier of servers without a name
    try:
        builder = PolicyBuilder().store(Store([_load(text) for text in case["trusted_certs"]])).time(_now(case))
        if case["max_chain_depth"] is not None:
            builder = builder.max_chain_depth(case["max_chain_depth"])
        leaf, others = _load(case["peer_certificate"]), [_load(text) for text in case["untrusted_intermediates"]]
        if name is None or case["validation_kind"] == "CLIENT":
            builder.build_client_verifier().verify(leaf, others)
        else:
            value = name["value"]
            subject = x509.DNSName(value) if name["kind"] == "DNS" else x509.IPAddress(ip_address(value))
            builder.build_server_verifier(subject).verify(leaf, others)
    except (VerificationError, ValueError) as error:
        return Verdict(False, str(error))
    return Verdict(True)


def by_us(case: dict[str, Any]) -> Verdict:
    """Our verdict. A name that nobody can ask for is refused before anything is sent; any other exception is a bug."""
    trust = TrustStore.from_bytes(*(text.encode("ascii") for text in case["trusted_certs"]))
    depth = PATH_DEPTH if case["max_chain_depth"] is None else min(PATH_DEPTH, case["max_chain_depth"])
    verifier = ChainVerifier(trust, Policy(depth=depth))
    texts = (case["peer_certificate"], *case["untrusted_intermediates"])
    chain = [pem.certificates(text.encode("ascii"))[0] for text in texts]
    name = case["expected_peer_name"]
    try:
        if case["validation_kind"] == "CLIENT":
            verifier.verify_client(chain, _now(case))
        elif name is None:
            verifier.verify_unnamed_server(chain, _now(case))
        else:
            verifier.verify_server(chain, normalized(name["value"]), _now(case))
    except (CertificateError, ConfigurationError) as error:
        return Verdict(False, f"{type(error).__name__}: {error}")
    return Verdict(True)


def _now(case: dict[str, Any]) -> datetime:
    text = case["validation_time"]
    return datetime.fromisoformat(text) if text else datetime.now(UTC)


@cache
def verdicts() -> dict[str, tuple[bool, Verdict | None, Verdict]]:
    """By id: what is expected, what the verifier says, what we say."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of serial numbers
        return {case["id"]: (case["expected_result"] == "SUCCESS", by_pyca(case), by_us(case)) for case in CASES}


def _reason(name: str) -> str:
    found = next((start for start in REASONS if name == start or (start[-1] in ":-" and name.startswith(start))), None)
    assert found is not None, f"{name}: no reason is given"
    return REASONS[found]


def table() -> str:
    """The part of the page about them."""
    found = verdicts()
    theirs = [name for name, (expected, pyca, _) in found.items() if pyca is not None and pyca.accepted != expected]
    ours = [name for name, (expected, _, us) in found.items() if us.accepted != expected]
    lines = [
        f"Of {len(found)} cases the verifier of `cryptography` alone disagrees with {len(theirs)}, handfast with {len(ours)}.",
        "One, `rfc5280::nc::permitted-dn-match`, it cannot be asked: it names no server.",
        "",
        "| case | expected | `cryptography` | handfast | why |",
        "|---|---|---|---|---|",
    ]
    for name in ours:
        expected, pyca, us = found[name]
        alone = "-" if pyca is None else _word(pyca.accepted)
        lines.append(f"| `{name}` | {_word(expected)} | {alone} | {_word(us.accepted)} | {_reason(name)} |")
    right = sorted(set(theirs) - set(ours))
    lines += [
        "",
        "What the verifier has wrong and handfast has not:",
        "",
        "| case | expected | what handfast finds |",
        "|---|---|---|",
    ]
    for name in right:
        expected, _, us = found[name]
        lines.append(f"| `{name}` | {_word(expected)} | {us.why.split(' (')[0] or 'nothing'} |")
    return "\n".join(lines) + "\n"


def _word(accepted: bool) -> str:
    return "good" if accepted else "bad"


def test_who_disagrees_with_the_suite(capsys: pytest.CaptureFixture[str]) -> None:
    found = verdicts()
    assert len(found) == 208
    theirs = {name for name, (expected, pyca, _) in found.items() if pyca is not None and pyca.accepted != expected}
    ours = {name for name, (expected, _, us) in found.items() if us.accepted != expected}
    with capsys.disabled():
        print(
            f"\nx509-limbo, {len(found)} cases: the verifier alone disagrees with {len(theirs)}, handfast with {len(ours)}"
        )
    assert len(theirs) == 40
    assert len(ours) == 31
    unasked = {name for name, (_, pyca, _) in found.items() if pyca is None}
    assert ours - unasked <= theirs, "the verifier alone had these right"
    assert not [
        name for name in ours if name.startswith("webpki::forbidden") and any(kind in name for kind in WEAK_KEYS)
    ]


def test_each_disagreement_has_its_reason() -> None:
    ours = {name for name, (expected, _, us) in verdicts().items() if us.accepted != expected}
    for name in ours:
        assert _reason(name)
    unused = [start for start in REASONS if not any(name.startswith(start) for name in ours)]
    assert not unused, "these have become right"


def test_the_page_says_so() -> None:
    page.compare("limbo", table())
