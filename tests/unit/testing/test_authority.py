"""The authority in memory."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from handfast import testing
from handfast.certificates.identity import Identity
from handfast.certificates.policy import ChainVerifier
from handfast.certificates.store import TrustStore
from handfast.errors import BadCertificateSignature, ConfigurationError
from handfast.testing import KEY_KINDS, Authority, IssuedIdentity
from handfast.testing.authority import certify, key_pem, key_usage, subject_of, tampered, write_private
from handfast.testing.chains import chain
from handfast.testing.keys import new_key

NOW = datetime.now(UTC)
USABLE = [kind for kind in KEY_KINDS if kind not in ("rsa1024", "p224", "secp256k1", "brainpool256", "dsa2048")]


@pytest.mark.parametrize("kind", USABLE)
def test_every_kind_of_key_in_every_place(kind: str) -> None:
    authority = Authority.create(key=kind)
    made = authority.intermediate(key=kind).issue("server.example", key=kind)
    peer = ChainVerifier(authority.trust).verify_server(made.chain, "server.example", NOW)
    assert peer.path == (*made.chain, authority.der)


def test_what_an_identity_holds() -> None:
    made = Authority.create().issue("server.example", "*.server.example", "127.0.0.1", "::1", "spiffe://a.example/b")
    assert isinstance(made, Identity)
    assert made.names == ("server.example", "*.server.example", "127.0.0.1", "::1")
    certificate = x509.load_der_x509_certificate(made.chain[0])
    assert certificate.not_valid_after_utc - certificate.not_valid_before_utc == timedelta(days=90)
    assert certificate.not_valid_before_utc < NOW
    assert len(made.chain) == 1


def test_options() -> None:
    begin = datetime(2030, 1, 1, tzinfo=UTC)
    authority = Authority.create("a name", not_before=begin, not_after=begin + timedelta(days=2), path_length=1)
    assert authority.certificate.not_valid_before_utc == begin
    limits = authority.certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert (limits.ca, limits.path_length) == (True, 1)
    below = authority.intermediate("another name", not_before=begin, path_length=0)
    assert below.chain == (below.der, authority.der)
    made = below.issue(
        "server.example",
        common_name="somebody",
        not_before=begin,
        not_after=begin + timedelta(days=1),
        usage=("server", "client"),
        critical_san=True,
    )
    assert made.chain[1:] == (below.der,)
    certificate = x509.load_der_x509_certificate(made.chain[0])
    assert certificate.subject.rfc4514_string() == "CN=somebody,O=handfast testing"
    assert certificate.not_valid_after_utc == begin + timedelta(days=1)
    assert certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).critical
    usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usages) == [x509.ExtendedKeyUsageOID.SERVER_AUTH, x509.ExtendedKeyUsageOID.CLIENT_AUTH]
    assert below.issue("server.example", send_chain=False).chain[1:] == ()


def test_extensions_can_be_replaced_and_left_out() -> None:
    usage = (key_usage(key_agreement=True), False)
    made = Authority.create().issue("server.example", extensions={x509.KeyUsage: usage, x509.ExtendedKeyUsage: None})
    found = x509.load_der_x509_certificate(made.chain[0]).extensions
    assert found.get_extension_for_class(x509.KeyUsage).value == usage[0]
    with pytest.raises(x509.ExtensionNotFound):
        found.get_extension_for_class(x509.ExtendedKeyUsage)


def test_an_authority_without_a_key_identifier_issues_too() -> None:
    authority = Authority.create(extensions={x509.SubjectKeyIdentifier: None})
    made = authority.issue("server.example")
    assert ChainVerifier(authority.trust).verify_server(made.chain, "server.example", NOW)


def test_a_signature_that_is_not_good() -> None:
    authority = Authority.create()
    made = authority.issue("server.example")
    changed = tampered(made.chain[0])
    assert [changed[:-1], len(changed)] == [made.chain[0][:-1], len(made.chain[0])]
    with pytest.raises(BadCertificateSignature):
        ChainVerifier(authority.trust).verify_server((changed,), "server.example", NOW)


@pytest.mark.parametrize("kind", ["p256", "rsa2048", "rsapss2048"])
def test_serial_and_hash_can_be_chosen(kind: str) -> None:
    key, name = new_key(kind), subject_of("somebody")
    der = certify(
        name, key.public_key(), name, key, {}, (NOW, NOW + timedelta(days=1)), algorithm=hashes.SHA512(), serial=1
    )
    found = x509.load_der_x509_certificate(der)
    assert found.serial_number == 1
    assert found.signature_hash_algorithm is not None
    assert found.signature_hash_algorithm.name == "sha512"


def test_files(tmp_path: Path) -> None:
    authority = Authority.create()
    made = authority.intermediate().issue("server.example")
    certificates, key = made.write(tmp_path, "mine")
    assert (certificates.name, key.name) == ("mine.pem", "mine.key")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert Identity.load(certificates, key).chain == made.chain
    assert authority.write(tmp_path).read_bytes() == authority.pem
    assert authority.write(tmp_path, "root").name == "root.pem"
    assert TrustStore.from_files(tmp_path / "ca.pem").roots == authority.trust.roots == (authority.certificate,)


def test_a_key_file_is_private_even_where_another_file_was(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"before")
    path.chmod(0o644)
    write_private(path, b"after")
    assert path.read_bytes() == b"after"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_pem() -> None:
    made = Authority.create().issue("server.example")
    assert x509.load_pem_x509_certificates(made.certificate_pem)[0].public_key() == made.key.public_key()
    assert serialization.load_pem_private_key(made.key_pem, None) is not None
    assert b"ENCRYPTED" in key_pem(made.key, "secret")


def test_unknown_names() -> None:
    with pytest.raises(ConfigurationError) as caught:
        new_key("rsa512")
    assert caught.value.evidence["known"] == KEY_KINDS
    with pytest.raises(ConfigurationError):
        chain("perfect")


def test_the_public_names() -> None:
    assert all(hasattr(testing, name) for name in testing.__all__)
    assert not set(testing.GOOD) & set(testing.BROKEN)
    assert {"expired", "wrong_name", "self_signed", "unknown_issuer", "missing_intermediate"} <= set(testing.BROKEN)
    assert isinstance(chain("good_chain").identity, IssuedIdentity)
    assert chain("good_chain") is chain("good_chain")
