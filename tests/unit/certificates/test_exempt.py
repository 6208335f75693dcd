"""The chains that we accept and the verifier does not: authorities of other kinds of keys, and a server's own certificate."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from handfast import errors, reasons
from handfast.certificates import parsed, policy
from handfast.certificates.path import Path
from handfast.certificates.policy import ChainVerifier, Policy
from handfast.certificates.rules import Rule
from handfast.certificates.store import TrustStore
from handfast.testing import Authority, chain
from handfast.testing.authority import key_usage
from handfast.testing.chains import SERVER_NAME, root
from tests.certificates.forging import forged, generalized, signed_anew
from tests.unit.certificates.made import NOW, ed25519_root, refused


def test_an_ed25519_signature_is_checked() -> None:
    authority = ed25519_root()
    good = authority.issue(SERVER_NAME).chain[0]
    changed = bytearray(good)
    changed[-1] ^= 1
    assert refused((bytes(changed),), authority.trust).reason is reasons.BAD_CERTIFICATE_SIGNATURE


@pytest.mark.parametrize("kind", ["ed25519", "ed448"])
def test_every_other_rule_holds_below_an_edwards_authority(kind: str) -> None:
    authority = Authority.create(key=kind)
    trust = authority.trust
    below = authority.intermediate(path_length=0)
    constrained = authority.intermediate(
        extensions={x509.NameConstraints: (x509.NameConstraints([x509.DNSName("example")], None), True)}
    )
    expectations = [
        (authority.issue(SERVER_NAME, critical_san=True), reasons.CERTIFICATE_RULE_BROKEN),
        (authority.issue(SERVER_NAME, usage=("client",)), reasons.CERTIFICATE_WRONG_USAGE),
        (authority.issue(SERVER_NAME, key="rsa1024"), reasons.WEAK_KEY),
        (authority.issue("other.example"), reasons.CERTIFICATE_NAME_MISMATCH),
        (authority.issue(SERVER_NAME, not_after=NOW - timedelta(minutes=1)), reasons.CERTIFICATE_EXPIRED),
        (below.intermediate("lower").issue(SERVER_NAME), reasons.CERTIFICATE_RULE_BROKEN),
        (authority.intermediate(extensions={x509.BasicConstraints: None}).issue(SERVER_NAME), reasons.NOT_A_CA),
        (authority.intermediate(extensions={x509.KeyUsage: None}).issue(SERVER_NAME), reasons.CERTIFICATE_RULE_BROKEN),
        (
            authority.intermediate(extensions={x509.KeyUsage: (key_usage(digital_signature=True), True)}).issue(
                SERVER_NAME
            ),
            reasons.NOT_A_CA,
        ),
        (authority.intermediate(key="rsa1024").issue(SERVER_NAME), reasons.WEAK_KEY),
        (constrained.issue(SERVER_NAME), reasons.CERTIFICATE_RULE_BROKEN),
    ]
    for made, reason in expectations:
        assert refused(made, trust).reason is reason


def test_name_constraints_below_an_ed25519_authority_fail_closed() -> None:
    authority = ed25519_root()
    limits = x509.NameConstraints([x509.DNSName("example")], None)
    made = authority.intermediate(extensions={x509.NameConstraints: (limits, True)}).issue(SERVER_NAME)
    error = refused(made, authority.trust, *Rule)
    assert type(error) is errors.CertificateRuleBroken
    assert "in a path with an authority whose key is ed25519" in str(error.evidence["rule"])
    assert error.certificate == made.chain[1]
    assert "relax" not in error.evidence


def test_a_relaxed_rule_below_an_ed25519_authority() -> None:
    authority = ed25519_root()
    made = authority.issue(SERVER_NAME, critical_san=True)
    verifier = ChainVerifier(authority.trust, Policy(["critical-subject-alternative-name"]))
    assert verifier.verify_server(made.chain, SERVER_NAME, NOW).path == (made.chain[0], authority.der)


def test_a_mixed_path_with_an_ed25519_authority() -> None:
    made = root().intermediate(key="ed25519").intermediate("lower", key="rsa2048").issue(SERVER_NAME, key="mldsa44")
    assert len(ChainVerifier(root().trust).verify_server(made.chain, SERVER_NAME, NOW).path) == 4


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"not_after": NOW - timedelta(minutes=1)}, reasons.CERTIFICATE_EXPIRED),
        ({"usage": ("client",)}, reasons.CERTIFICATE_WRONG_USAGE),
        ({"key": "rsa1024"}, reasons.WEAK_KEY),
    ],
)
def test_a_trusted_certificate_of_a_server_has_to_be_good_all_the_same(
    options: dict[str, Any], reason: reasons.Reason
) -> None:
    made = root().issue(SERVER_NAME, critical_san=True, **options)
    assert refused(made, TrustStore.from_bytes(made.chain[0])).reason is reason


def test_a_trusted_certificate_of_a_server_is_trusted_for_its_names_only() -> None:
    case = chain("self_signed_and_trusted")
    with pytest.raises(errors.CertificateNameMismatch):
        ChainVerifier(case.trust).verify_server(case.chain, "other.example", NOW)


def test_a_trusted_certificate_with_an_unknown_critical_extension() -> None:
    odd = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    made = root().issue(SERVER_NAME, extensions={x509.UnrecognizedExtension: (odd, True)})
    error = refused(made, TrustStore.from_bytes(made.chain[0]))
    assert error.reason is reasons.CERTIFICATE_RULE_BROKEN


def test_a_peer_s_own_key_exempts_nothing() -> None:
    """Below an authority of a usual kind the verifier has the last word, also of what nobody else looks at."""
    made = root().issue(SERVER_NAME, key="ed25519").chain[0]
    assert ChainVerifier(root().trust).verify_server((made,), SERVER_NAME, NOW)
    odd = forged(made, root().key, generalized(1))
    error = refused((odd,), root().trust)
    assert error.evidence["rule"] == "it has a date before 2050 as a GeneralizedTime, and not as a UTCTime"


def test_a_signature_by_pss_has_one_hash_below_an_edwards_authority() -> None:
    """The mask has SHA-256 here, and the salt is as long as the hash."""
    authority = ed25519_root()
    issuer = authority.intermediate(key="rsa2048")
    leaf = issuer.issue(SERVER_NAME).chain[0]
    one = signed_anew(leaf, issuer.key, hashes.SHA256(), 32)
    assert ChainVerifier(authority.trust).verify_server((one, issuer.der), SERVER_NAME, NOW)
    two = signed_anew(leaf, issuer.key, hashes.SHA384(), 48)
    error = refused((two, issuer.der), authority.trust)
    assert "its RSASSA-PSS signature has parameters" in str(error.evidence["rule"])


def test_an_exemption_needs_a_whole_path() -> None:
    authority = ed25519_root()
    whole = parsed.parsed(authority.issue(SERVER_NAME).chain[0]), parsed.parsed(authority.der)
    assert policy._is_exempt(Path(whole, (), anchored=True))
    assert not policy._is_exempt(Path(whole, (), anchored=False))
    assert not policy._is_exempt(Path(whole, (), anchored=True, forged=0))
    assert not policy._is_exempt(Path(whole, (), anchored=True, unchecked=True))
