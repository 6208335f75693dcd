"""What is read out of certificates for people, and out of the files that they come in."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, pkcs7, pkcs12
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from handfast import reasons
from handfast.certificates import containers, pem
from handfast.certificates.examined import CHECKS, Examination, examine
from handfast.certificates.facts import facts
from handfast.certificates.policy import ChainVerifier
from handfast.certificates.store import TrustStore
from handfast.errors import CertificateError, CertificateUnreadable, ConfigurationError
from handfast.testing import Authority
from handfast.testing.chains import BROKEN, root
from handfast.testing.chains import chain as made

NOW = datetime.now(UTC)


# --- facts --------------------------------------------------------------------------------------------------------------

KEYS = {
    "p256": ("ECDSA P-256", "ECDSA with SHA-256"),
    "p384": ("ECDSA P-384", "ECDSA with SHA-384"),
    "rsa2048": ("RSA 2048", "RSA with SHA-256"),
    "ed25519": ("Ed25519", "Ed25519"),
    "ed448": ("Ed448", "Ed448"),
    "mldsa44": ("ML-DSA-44", "ML-DSA-44"),
    "secp256k1": ("ECDSA secp256k1", "ECDSA with SHA-256"),
    "brainpool256": ("ECDSA brainpoolP256r1", "ECDSA with SHA-256"),
    "rsapss2048": ("RSA 2048, for PSS alone", "RSASSA-PSS with SHA-256"),
    "dsa2048": ("DSA 2048", "DSA with SHA-256"),
}


@pytest.mark.parametrize("kind", KEYS)
def test_keys_and_signatures_have_the_names_that_people_know(kind: str) -> None:
    key, signature = KEYS[kind]
    about = facts(Authority.create(key=kind).der)
    assert about.key == key
    if signature is not None:
        assert about.signature == signature


def test_a_signature_of_the_past_is_named_by_its_number() -> None:
    """MD2 with RSA, and an algorithm that nobody has heard of, in place of ECDSA with SHA-256."""
    der = root().issue("a.example").chain[0]
    ecdsa = bytes.fromhex("06082a8648ce3d040302")
    for number, name in (
        ("06082a8648ce3d040309", "1.2.840.10045.4.3.9"),
        ("06082a8648ce3d040301", "ECDSA with SHA-224"),
    ):
        assert facts(der.replace(ecdsa, bytes.fromhex(number))).signature == name


def test_everything_that_a_certificate_may_say() -> None:
    access = [
        x509.AccessDescription(method, x509.UniformResourceIdentifier(url))
        for method, url in (
            (AuthorityInformationAccessOID.OCSP, "http://ca.example/ocsp"),
            (AuthorityInformationAccessOID.CA_ISSUERS, "http://ca.example/issuer"),
        )
    ]
    directory = x509.DirectoryName(x509.Name([]))
    access.append(x509.AccessDescription(AuthorityInformationAccessOID.OCSP, directory))
    access.append(x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, directory))
    points = [
        x509.DistributionPoint([x509.UniformResourceIdentifier("http://ca.example/crl"), directory], None, None, None),
        x509.DistributionPoint(None, None, None, [directory]),
    ]
    policies = [x509.PolicyInformation(x509.ObjectIdentifier(oid), None) for oid in ("2.23.140.1.1", "1.2.3")]
    usages = [ExtendedKeyUsageOID.SERVER_AUTH, x509.ObjectIdentifier("1.2.3.4")]
    extensions: dict[Any, Any] = {
        x509.AuthorityInformationAccess: (x509.AuthorityInformationAccess(access), False),
        x509.CRLDistributionPoints: (x509.CRLDistributionPoints(points), False),
        x509.CertificatePolicies: (x509.CertificatePolicies(policies), False),
        x509.ExtendedKeyUsage: (x509.ExtendedKeyUsage(usages), False),
    }
    about = facts(root().issue("a.example", "192.0.2.1", extensions=extensions).chain[0])
    assert (about.ocsp, about.issuers, about.crls) == (
        ("http://ca.example/ocsp",),
        ("http://ca.example/issuer",),
        ("http://ca.example/crl",),
    )
    assert (about.validation, about.policies) == ("extended validation", ("2.23.140.1.1", "1.2.3"))
    assert about.extended_usage == ("serverAuth", "1.2.3.4")
    assert about.names == ("DNS:a.example", "IP:192.0.2.1")
    assert (about.is_authority, about.self_issued, about.path_length) == (False, False, None)
    assert len(about.sha256) == len(about.key_sha256) == 64
    assert len(about.serial) % 2 == 0


def test_whom_an_authority_may_issue_for() -> None:
    limits = x509.NameConstraints(
        [x509.DNSName("example.com"), x509.DirectoryName(x509.Name([]))],
        [x509.IPAddress(ipaddress.ip_network("10.0.0.0/8"))],
    )
    about = facts(root().intermediate(path_length=1, extensions={x509.NameConstraints: (limits, True)}).der)
    assert about.constraints == ("only DNS:example.com", "only DIR:", "not IP:10.0.0.0/8")
    assert (about.is_authority, about.path_length, about.key_usage) == (True, 1, ("keyCertSign", "cRLSign"))


def test_limits_are_called_as_names_are() -> None:
    mail, uri = x509.RFC822Name("example.com"), x509.UniformResourceIdentifier(".example.com")
    others = [
        x509.RegisteredID(x509.ObjectIdentifier("1.2.3")),
        x509.OtherName(x509.ObjectIdentifier("1.2.4"), b"\x05\0"),
    ]
    own = {x509.NameConstraints: (x509.NameConstraints([mail, uri], others), True)}
    told = ("only EMAIL:example.com", "only URI:.example.com", "not OID:1.2.3", "not OTHER:1.2.4")
    assert facts(root().intermediate(extensions=own).der).constraints == told


def test_a_certificate_that_says_nothing() -> None:
    without = dict.fromkeys(
        (
            x509.BasicConstraints,
            x509.KeyUsage,
            x509.ExtendedKeyUsage,
            x509.AuthorityKeyIdentifier,
            x509.SubjectKeyIdentifier,
        )
    )
    about = facts(root().issue(extensions=without).chain[0])
    assert (about.key_usage, about.extended_usage, about.path_length, about.validation) == (None,) * 4
    assert about.names == about.constraints == about.ocsp == about.crls == about.issuers == about.policies == ()


# --- what they come in --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chain() -> tuple[bytes, ...]:
    return Authority.create().intermediate().issue("a.example").chain


def loaded(chain: tuple[bytes, ...]) -> list[x509.Certificate]:
    return [x509.load_der_x509_certificate(der) for der in chain]


def test_pem_der_and_pkcs7_are_told_apart_by_looking(chain: tuple[bytes, ...]) -> None:
    text = b"".join(map(pem.certificate, chain))
    for data in (
        text,
        b"Subject: somebody\r\n" + text.replace(b"\n", b"\r\n"),
        pem.block("PRIVATE KEY", b"0\x00") + text,
        b"".join(chain),
        pkcs7.serialize_certificates(loaded(chain), Encoding.DER),
        pkcs7.serialize_certificates(loaded(chain), Encoding.PEM),
        pkcs7.serialize_certificates(loaded(chain), Encoding.PEM).replace(b"PKCS7", b"CMS"),
    ):
        assert sorted(containers.certificates(data)) == sorted(chain)
    assert containers.certificates(chain[0]) == [chain[0]]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00\x01",
        b"garbage",
        b"<html>",
        pem.block("PRIVATE KEY", b"0\x00"),
        pem.block("PKCS7", b"0\x03\x02\x01\x05"),
        bytes.fromhex("3010 06092a864886f70d010702 a0033001 00"),
    ],
    ids=str,
)
def test_what_has_none_says_so(data: bytes) -> None:
    with pytest.raises(CertificateError) as caught:
        containers.certificates(data)
    assert caught.value.reason is reasons.NOT_A_CERTIFICATE
    assert caught.value.evidence["problem"]


@pytest.mark.parametrize("data", [b"0\x03\x02\x01\x05", pem.block("CERTIFICATE", b"nonsense"), b"0\x82\xff"], ids=str)
def test_one_that_cannot_be_read_says_so(data: bytes) -> None:
    with pytest.raises(CertificateUnreadable):
        containers.certificates(data)


def test_pkcs12_with_and_without_a_key_and_a_password(chain: tuple[bytes, ...]) -> None:
    identity = Authority.create().intermediate().issue("a.example")
    own, *others = loaded(identity.chain)
    for key in (identity.key, None):
        hidden = BestAvailableEncryption(b"sesame")
        data = pkcs12.serialize_key_and_certificates(
            None, key, own if key else None, others if key else [own, *others], hidden
        )
        assert containers.of_pkcs12(data, "sesame", "a.p12") == list(identity.chain)
        for password, problem in ((None, "no password was given"), ("barley", "the password is wrong")):
            with pytest.raises(ConfigurationError) as caught:
                containers.of_pkcs12(data, password, "a.p12")
            assert caught.value.evidence == {"file": "a.p12", "problem": problem}
            assert caught.value.reason is reasons.KEY_ENCRYPTED


def test_pkcs12_without_certificates_and_none_at_all() -> None:
    key = root().issue("a.example").key
    alone = pkcs12.serialize_key_and_certificates(b"key", key, None, None, NoEncryption())
    for data in (alone, b"0\x80\x02\x01\x03\x30", b"garbage"):
        with pytest.raises(ConfigurationError) as caught:
            containers.of_pkcs12(data, None, "a.p12")
        assert caught.value.reason is reasons.NOT_A_CERTIFICATE


# --- examined -----------------------------------------------------------------------------------------------------------


def looked_at(chain: tuple[bytes, ...], name: str | None, trust: TrustStore, **more: Any) -> Examination:
    return examine(chain, "server", name, NOW, ChainVerifier(trust), **more)


def verdicts(seen: Examination) -> dict[str, bool | None]:
    return {verdict.check: verdict.passed for verdict in seen.verdicts}


def test_a_good_chain_passes_every_check() -> None:
    authority = Authority.create()
    chain = authority.intermediate().issue("a.example").chain
    seen = looked_at(chain, "a.example", authority.trust)
    assert verdicts(seen) == dict.fromkeys(CHECKS, True)
    assert (seen.path, seen.anchored, seen.surplus) == ((*chain, authority.der), True, ())
    assert verdicts(looked_at(chain, None, authority.trust))["name"] is None


def test_every_check_goes_on_behind_the_first_that_fails() -> None:
    authority = Authority.create()
    chain = authority.issue("a.example", key="rsa1024", not_after=NOW - timedelta(minutes=1), usage=("client",)).chain
    seen = looked_at(chain, "b.example", authority.trust)
    failed = {verdict.check: verdict.error.reason for verdict in seen.verdicts if verdict.error is not None}
    assert failed == {
        "dates": reasons.CERTIFICATE_EXPIRED,
        "name": reasons.CERTIFICATE_NAME_MISMATCH,
        "usage": reasons.CERTIFICATE_WRONG_USAGE,
        "strength": reasons.WEAK_KEY,
    }


def test_what_was_fetched_belongs_to_the_path_and_not_to_what_was_sent() -> None:
    authority = Authority.create()
    below = authority.intermediate()
    chain = below.issue("a.example", send_chain=False).chain
    without = looked_at(chain, "a.example", authority.trust)
    assert (without.path, without.anchored) == (chain, False)
    assert (verdicts(without)["root"], verdicts(without)["signatures"]) == (False, None)
    seen = looked_at(chain, "a.example", authority.trust, fetched=[below.der])
    assert seen.path == (*chain, below.der, authority.der)
    assert verdicts(seen) == dict.fromkeys(CHECKS, True)


def test_the_path_that_was_accepted_is_the_one_that_is_shown() -> None:
    """Where there are two ways to a root, ours might take the other one."""
    authority = Authority.create()
    below = authority.intermediate()
    chain = below.issue("a.example").chain
    both = TrustStore.from_bytes(authority.der, below.der)
    shorter = looked_at(chain, "a.example", both)
    assert shorter.path == chain
    longer = (*chain, authority.der)
    assert looked_at(chain, "a.example", both, path=longer).path == longer
    assert looked_at(chain, "a.example", both, path=chain).path == chain


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_no_broken_chain_is_too_broken_to_be_looked_at(name: str) -> None:
    found = made(name)
    try:
        seen = looked_at(tuple(found.chain), found.server_name, found.trust)
    except CertificateUnreadable:
        return
    assert [verdict.check for verdict in seen.verdicts] == list(CHECKS)
