"""Chains that the verifier of `cryptography` alone refuses: the error says what it is strict about."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from handfast.certificates import policy
from handfast.certificates.checks.verifier import likely_cause
from handfast.certificates.der import GENERALIZED_TIME, time_tags
from handfast.certificates.examined import examine
from handfast.certificates.parsed import parsed
from handfast.certificates.path import Path
from handfast.certificates.policy import ChainVerifier
from handfast.certificates.store import TrustStore
from handfast.errors import CertificateRuleBroken
from handfast.testing import Authority
from tests.certificates.forging import forged, generalized, signed_anew, without_null

NAME = "server.example"


def refusal(authority: Authority, leaf: bytes) -> CertificateRuleBroken:
    """By an intermediate authority with its chain, of a server's certificate."""
    with pytest.raises(CertificateRuleBroken) as caught:
        ChainVerifier(authority.trust).verify_server((leaf, *authority.chain[:-1]), NAME, datetime.now(UTC))
    return caught.value


def limited(*permitted: x509.GeneralName, key: str = "p256") -> Authority:
    limits = x509.NameConstraints(permitted, None)
    return Authority.create().intermediate(key=key, extensions={x509.NameConstraints: (limits, True)})


@pytest.mark.parametrize(
    ("limit", "names", "rule", "position"),
    [
        (".example", (NAME,), 'have the DNS name ".example", which has to be without the dot', 2),
        ("exa_mple", (NAME,), 'have "exa_mple", which is no DNS name', 2),
        ("example", (NAME, "a_b.example"), 'its name "a_b.example" is no DNS name', 1),
        ("example", (NAME, "b*.example"), 'its name "b*.example" is no DNS name', 1),
    ],
)
def test_names_that_cannot_be_compared(limit: str, names: tuple[str, ...], rule: str, position: int) -> None:
    authority = limited(*map(x509.DNSName, (limit, "example")))
    own = x509.SubjectAlternativeName(list(map(x509.DNSName, names)))
    leaf = authority.issue(NAME, extensions={x509.SubjectAlternativeName: (own, False)}).chain[0]
    error = refusal(authority, leaf)
    assert rule in error.evidence["rule"]
    assert error.evidence["position"] == f"certificate {position} of 2"
    assert error.certificate == (leaf, authority.der)[position - 1]


@pytest.mark.parametrize("key", ["ed25519", "ed448"])
def test_limits_in_a_path_that_the_verifier_does_not_follow(key: str) -> None:
    authority = limited(x509.DNSName("example"), key=key)
    error = refusal(authority, authority.issue(NAME).chain[0])
    assert error.evidence["rule"].endswith(f"in a path with an authority whose key is {key}")
    assert error.evidence["section"] == "RFC 5280 section 4.2.1.10"
    assert error.certificate == authority.der


@pytest.mark.parametrize("which", [0, 1])
def test_dates_in_the_form_of_a_later_century(which: int) -> None:
    authority = Authority.create().intermediate()
    leaf = authority.issue(NAME).chain[0]
    assert GENERALIZED_TIME not in time_tags(leaf)
    changed = forged(leaf, authority.key, generalized(which))
    assert time_tags(changed)[which] == GENERALIZED_TIME
    assert "as a GeneralizedTime" in refusal(authority, changed).evidence["rule"]


def test_a_signature_s_algorithm_without_null() -> None:
    authority = Authority.create().intermediate(key="rsa2048")
    leaf = authority.issue(NAME).chain[0]
    error = refusal(authority, without_null(leaf, authority.key))
    assert "where a NULL belongs" in error.evidence["rule"]


ODD: list[Any] = [
    ("p256", hashes.SHA224(), None, "signed with SHA-224"),
    ("p256", hashes.SHA3_256(), None, "signed with SHA3-256"),
    ("rsa2048", hashes.SHA224(), None, "signed with SHA-224"),
    ("rsa2048", hashes.SHA256(), 20, "RSASSA-PSS signature has parameters that TLS 1.3 does not have"),
]


@pytest.mark.parametrize(("key", "algorithm", "salt", "rule"), ODD)
def test_signatures_that_are_not_of_the_web(key: str, algorithm: Any, salt: int | None, rule: str) -> None:
    authority = Authority.create().intermediate(key=key)
    leaf = signed_anew(authority.issue(NAME).chain[0], authority.key, algorithm, salt)
    assert rule in refusal(authority, leaf).evidence["rule"]


@pytest.mark.parametrize(("key", "algorithm", "salt", "rule"), ODD)
def test_they_are_not_accepted_without_the_verifier_either(
    key: str, algorithm: Any, salt: int | None, rule: str
) -> None:
    """Of a path with an authority that it does not know, such as one of Ed25519, we alone decide."""
    root = Authority.create(key=key)
    below = root.intermediate(key="ed25519")
    leaf = below.issue(NAME).chain[0]
    assert ChainVerifier(root.trust).verify_server((leaf, below.der), NAME, datetime.now(UTC))
    odd = Authority((signed_anew(below.der, root.key, algorithm, salt), *below.chain[1:]), below.key)
    error = refusal(odd, leaf)
    assert rule in error.evidence["rule"]
    assert error.certificate == odd.der


def test_how_a_root_has_signed_itself_proves_nothing() -> None:
    root = Authority.create(key="p256")
    odd = TrustStore.from_bytes(signed_anew(root.der, root.key, hashes.SHA224(), None))
    below = root.intermediate(key="ed25519")
    assert ChainVerifier(odd).verify_server((below.issue(NAME).chain[0], below.der), NAME, datetime.now(UTC))


def test_what_the_verifier_alone_refuses_fails_a_check_and_has_no_switch() -> None:
    authority = limited(x509.DNSName(".example"))
    chain = (authority.issue(NAME).chain[0], authority.der)
    error = refusal(authority, chain[0])
    assert "no switch" in error.hint
    verifier = ChainVerifier(authority.trust)
    seen = examine(chain, "server", NAME, datetime.now(UTC), verifier, refused=error)
    assert [verdict.check for verdict in seen.verdicts if not verdict.passed] == ["rules"]
    assert next(verdict.error for verdict in seen.verdicts if verdict.check == "rules") is error
    # What a check of ours has found stays where it was found.
    other = examine(chain, "server", "other.example", datetime.now(UTC), verifier, refused=error)
    assert [verdict.check for verdict in other.verdicts if not verdict.passed] == ["name"]


def test_where_nothing_is_known_the_path_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "likely_cause", lambda _: None)
    authority = limited(x509.DNSName("example"), key="ed25519")
    error = refusal(authority, authority.issue(NAME).chain[0])
    assert error.evidence["rule"].startswith("the verifier refuses this chain, and none of the checks")
    assert len(error.evidence["path"]) == 3


def test_nothing_is_made_up() -> None:
    def path_of(authority: Authority) -> Path:
        sent: Any = tuple(map(parsed, (authority.issue(NAME).chain[0], *authority.chain)))
        return Path(sent, sent, anchored=True)

    assert likely_cause(path_of(Authority.create().intermediate())) is None
    found = likely_cause(path_of(limited(x509.DNSName("example"))))
    assert found is not None
    assert found[1].sentence == "its nameConstraints could not be compared with the names below it"
