"""The ways from a certificate to a root: which is taken, and how far one is looked for."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from handfast import errors, limits, reasons
from handfast.certificates import path
from handfast.certificates.parsed import parsed
from handfast.certificates.policy import ChainVerifier, Policy
from handfast.certificates.store import TrustStore
from handfast.errors import CertificateError
from handfast.testing import Authority, chain
from handfast.testing.authority import certify, key_usage
from handfast.testing.chains import SERVER_NAME, root
from tests.certificates.forging import SEQUENCE, element, inside, split
from tests.unit.certificates.made import NOW, chain_by, ed25519_root, refused


def test_a_cross_signed_authority_reaches_the_root_that_is_trusted() -> None:
    """The old root has expired, and is sent; the new one is trusted."""
    new = Authority.create("new root")
    old = Authority.create("old root", not_before=NOW - timedelta(days=20), not_after=NOW - timedelta(days=10))
    issuer = new.intermediate()
    crossed = Authority((chain_by(old, issuer), old.der), issuer.key)
    made = issuer.issue(SERVER_NAME)
    sent = (made.chain[0], crossed.der, old.der, issuer.der)
    peer = ChainVerifier(new.trust).verify_server(sent, SERVER_NAME, NOW)
    assert peer.path == (made.chain[0], issuer.der, new.der)


def test_intermediates_may_be_trusted_in_place_of_a_root() -> None:
    authority = root().intermediate()
    made = authority.issue(SERVER_NAME)
    peer = ChainVerifier(TrustStore.from_bytes(authority.der)).verify_server(made.chain, SERVER_NAME, NOW)
    assert peer.path == made.chain


def test_the_path_has_a_limit() -> None:
    authority = root()
    for number in range(8):
        authority = authority.intermediate(f"authority {number}")
    assert ChainVerifier(root().trust).verify_server(authority.issue(SERVER_NAME).chain, SERVER_NAME, NOW)
    too_long = authority.intermediate("one too many").issue(SERVER_NAME)
    error = refused(too_long, root().trust)
    assert error.evidence["rule"] == "there are more than 8 authorities between it and its root"
    assert error.certificate == too_long.chain[0]
    far_too_long = authority.intermediate("one too many").intermediate("two too many").issue(SERVER_NAME)
    assert isinstance(refused(far_too_long, root().trust), CertificateError)


def test_the_path_of_ed25519_authorities_has_the_same_limit() -> None:
    first = authority = Authority.create(key="ed25519")
    for number in range(8):
        authority = authority.intermediate(f"authority {number}", key="ed25519")
    assert ChainVerifier(first.trust).verify_server(authority.issue(SERVER_NAME).chain, SERVER_NAME, NOW)
    too_long = authority.intermediate("one too many", key="ed25519").issue(SERVER_NAME)
    assert refused(too_long, first.trust).reason is reasons.CERTIFICATE_RULE_BROKEN


def certified(
    subject: Authority, by: Authority, not_before: datetime, not_after: datetime, extensions: Any = None
) -> bytes:
    """The certificate of an authority once more, by another one, for another time, and with other extensions."""
    others = extensions or {}
    extensions = {type(item.value): (item.value, item.critical) for item in subject.certificate.extensions}
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(by.key.public_key())
    extensions[x509.AuthorityKeyIdentifier] = (identifier, False)
    extensions.update(others)
    own, key = subject.certificate.subject, subject.key.public_key()
    return certify(own, key, by.certificate.subject, by.key, extensions, (not_before, not_after))


def test_a_good_way_is_found_among_those_that_are_none() -> None:
    """Below Ed25519, where the verifier finds none at all. One has expired, one is forged and one leads nowhere."""
    now, day = NOW.replace(microsecond=0), timedelta(days=1)
    ours, other, stranger = ed25519_root(), ed25519_root(), ed25519_root()
    between = ours.intermediate(key="ed25519")
    good = certified(between, ours, now, now + day)
    expired = certified(between, other, now - 2 * day, now - day)
    forged = bytearray(certified(between, other, now - day, now + 2 * day))
    forged[-1] ^= 1
    nowhere = certified(between, stranger, now - day, now + 2 * day)
    leaf = between.issue(SERVER_NAME, not_before=now - day, not_after=now + 2 * day).chain[0]
    verifier = ChainVerifier(ours.trust | other.trust, remember=0)
    for others in permutations((good, expired, bytes(forged), nowhere, stranger.der)):
        for at in (now, now + day):  # the first and the last second of the good one
            assert verifier.verify_server((leaf, *others), SERVER_NAME, at).path == (leaf, good, ours.der)


@pytest.mark.parametrize(
    ("rule", "fault"),
    [
        ("missing-key-usage", (key_usage(crl_sign=True), True)),
        ("critical-extended-key-usage", (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False)),
        ("uncritical-basic-constraints", (x509.BasicConstraints(False, None), True)),
        (
            "incomplete-authority-key-identifier",
            (x509.AuthorityKeyIdentifier.from_issuer_public_key(root().key.public_key()), True),
        ),
    ],
)
def test_a_rule_that_is_relaxed_leads_to_no_authority_with_another_fault(rule: str, fault: Any) -> None:
    """Which stands beside a good one: all that the verifier no longer looks at has to be looked at in its place."""
    made = root().intermediate()
    bounds = NOW - timedelta(days=1), NOW + timedelta(days=1)
    good, bad = certified(made, root(), *bounds), certified(made, root(), *bounds, {type(fault[0]): fault})
    leaf = made.issue(SERVER_NAME).chain[0]
    verifier = ChainVerifier(root().trust, Policy([rule]), remember=0)
    for sent in ((leaf, good, bad), (leaf, bad, good)):
        assert verifier.verify_server(sent, SERVER_NAME, NOW).path == (leaf, good, root().der)
    with pytest.raises(CertificateError):
        verifier.verify_server((leaf, bad), SERVER_NAME, NOW)


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_signature_that_cannot_be_verified_is_not_forgotten_further_up(which: int) -> None:
    """Below Ed25519 nobody but us looks at it: here it is called one by RSA, which the key above cannot have made."""
    authority = ed25519_root()
    made = authority.intermediate(key="ed25519").intermediate("lower", key="ed25519").issue(SERVER_NAME)
    assert ChainVerifier(authority.trust).verify_server(made.chain, SERVER_NAME, NOW)
    tbs, of_key, signature = split(inside(made.chain[which]))
    by_rsa = bytes.fromhex("300d06092a864886f70d01010b0500")
    odd = element(SEQUENCE, element(SEQUENCE, inside(tbs).replace(of_key, by_rsa, 1)), by_rsa, signature)
    sent = (*made.chain[:which], odd, *made.chain[which + 1 :])
    assert path.follow([parsed(der) for der in sent], authority.trust, NOW).unchecked
    error = refused(sent, authority.trust)
    assert error.reason is reasons.BAD_CERTIFICATE_SIGNATURE
    assert error.certificate == odd


def test_a_cycle_of_authorities_ends() -> None:
    first, second = Authority.create("first"), Authority.create("second")
    one, two = chain_by(second, first), chain_by(first, second)
    made = first.issue(SERVER_NAME)
    error = refused((made.chain[0], one, two), root().trust)
    assert isinstance(error, errors.UnknownIssuer)


def test_many_issuers_of_one_name_are_not_all_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = 0
    real = path.is_signed_by

    def counted(certificate: Any, issuer: Any) -> bool | None:
        nonlocal tried
        tried += 1
        return real(certificate, issuer)

    monkeypatch.setattr(path, "is_signed_by", counted)
    no_identifier = {x509.AuthorityKeyIdentifier: None, x509.SubjectKeyIdentifier: None}
    doubles = [Authority.create("twin", extensions=no_identifier).der for _ in range(15)]
    made = Authority.create("twin", extensions=no_identifier).issue(
        SERVER_NAME, extensions={x509.AuthorityKeyIdentifier: None}
    )
    assert isinstance(refused((made.chain[0], *doubles), root().trust), CertificateError)
    assert 0 < tried <= limits.ISSUERS_TRIED


def test_too_many_certificates() -> None:
    leaf = chain("good_chain").chain[0]
    error = refused((leaf,) * 17, root().trust)
    assert error.evidence["certificates"] == 17
    assert refused((), root().trust).reason is reasons.NO_CERTIFICATE


def test_the_same_certificate_again_and_again_does_no_harm() -> None:
    leaf = chain("good_chain").chain[0]
    assert ChainVerifier(root().trust).verify_server((leaf,) * 16, SERVER_NAME, NOW).path == (leaf, root().der)
