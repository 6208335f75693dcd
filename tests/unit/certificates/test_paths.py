"""The ways from a certificate to a root: which is taken, and how far one is looked for."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509

from handfast import errors, limits, reasons
from handfast.certificates import path
from handfast.certificates.policy import ChainVerifier
from handfast.certificates.store import TrustStore
from handfast.errors import CertificateError
from handfast.testing import Authority, chain
from handfast.testing.chains import SERVER_NAME, root
from tests.unit.certificates.made import NOW, chain_by, refused


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
