"""An authority in memory: what it issues, for whom, for how long, and what it refuses."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from handfast import CertificateError, ChainVerifier, Clock, ConfigurationError, MisuseError, reasons
from handfast.authority import KEY_KINDS, Authority, Limits, Revoked
from handfast.authority.making import hash_for
from handfast.testing.keys import new_key

NOW = datetime(2030, 5, 17, 12, 30, 15, 987_654, tzinfo=UTC)
WHOLE = NOW.replace(microsecond=0)
CLOCK = Clock(wall=lambda: NOW)


@pytest.fixture(scope="module")
def root() -> Authority:
    return Authority.create("Example root", clock=CLOCK)


@pytest.fixture(scope="module")
def issuer(root: Authority) -> Authority:
    return root.intermediate("Example intermediate")


def certificate(der: bytes) -> x509.Certificate:
    return x509.load_der_x509_certificate(der)


def extension(der: bytes, kind: Any) -> x509.Extension[Any]:
    return certificate(der).extensions.get_extension_for_class(kind)


def has(der: bytes, kind: Any) -> bool:
    return any(isinstance(found.value, kind) for found in certificate(der).extensions)


@pytest.mark.parametrize("kind", KEY_KINDS)
def test_every_kind_of_key_in_every_place(kind: str) -> None:
    authority = Authority.create("root", key=kind).intermediate("intermediate", key=kind)
    made = authority.issue("server.example", key=kind)
    peer = ChainVerifier(authority.trust).verify_server(made.chain, "server.example", datetime.now(UTC))
    assert peer.path == (made.chain[0], *authority.chain)


def test_keys_are_what_they_are_called(issuer: Authority) -> None:
    assert isinstance(issuer.issue("a.example").key.curve, ec.SECP256R1)
    assert isinstance(issuer.issue("a.example", key="p384").key.curve, ec.SECP384R1)
    assert isinstance(issuer.issue("a.example", key="ed25519").key, ed25519.Ed25519PrivateKey)
    made = issuer.issue("a.example", key="rsa3072").key
    assert isinstance(made, rsa.RSAPrivateKey)
    assert (made.key_size, made.public_key().public_numbers().e) == (3072, 65537)


def test_a_signature_s_hash_is_as_long_as_its_curve() -> None:
    sizes = {kind: hash_for(new_key(kind)) for kind in ("p256", "p384", "p521", "rsa2048", "ed25519")}
    assert {kind: found and found.name for kind, found in sizes.items()} == {
        "p256": "sha256",
        "p384": "sha384",
        "p521": "sha512",
        "rsa2048": "sha256",
        "ed25519": None,
    }


# --- what stands in certificates --------------------------------------------------------------------------------------


def test_authorities(root: Authority, issuer: Authority) -> None:
    for authority, length, self_signed in ((root, 1, True), (issuer, 0, False)):
        limits = extension(authority.der, x509.BasicConstraints)
        assert (limits.critical, limits.value.ca, limits.value.path_length) == (True, True, length)
        usage = extension(authority.der, x509.KeyUsage)
        assert usage.critical
        assert (usage.value.key_cert_sign, usage.value.crl_sign, usage.value.digital_signature) == (True, True, False)
        assert has(authority.der, x509.AuthorityKeyIdentifier) is not self_signed
        assert not has(authority.der, x509.ExtendedKeyUsage)
        assert not has(authority.der, x509.NameConstraints)
    below = extension(issuer.der, x509.AuthorityKeyIdentifier).value.key_identifier
    assert below == extension(root.der, x509.SubjectKeyIdentifier).value.digest
    assert issuer.chain == (issuer.der, root.der)
    assert issuer.pem == root.pem


@pytest.mark.parametrize(
    ("kind", "name", "usages"),
    [
        ("server", "a.example", [ExtendedKeyUsageOID.SERVER_AUTH]),
        ("client", "a.example", [ExtendedKeyUsageOID.CLIENT_AUTH]),
        ("both", "a.example", [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
        ("spiffe", "spiffe://a.example/b", [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
    ],
)
def test_usages_by_kind(issuer: Authority, kind: Any, name: str, usages: list[Any]) -> None:
    der = issuer.issue(name, kind=kind).chain[0]
    usage = extension(der, x509.KeyUsage)
    assert usage.critical
    assert usage.value.digital_signature
    bits = (usage.value.key_encipherment, usage.value.key_cert_sign, usage.value.crl_sign, usage.value.key_agreement)
    assert not any(bits)
    assert list(extension(der, x509.ExtendedKeyUsage).value) == usages
    limits = extension(der, x509.BasicConstraints)
    assert (limits.critical, limits.value.ca, limits.value.path_length) == (True, False, None)
    assert extension(der, x509.AuthorityKeyIdentifier).value.key_identifier is not None
    assert has(der, x509.SubjectKeyIdentifier)
    assert not has(der, x509.CRLDistributionPoints)
    assert not has(der, x509.AuthorityInformationAccess)


@pytest.mark.parametrize(
    ("names", "subject"),
    [
        (["a.example", "b.example"], "CN=a.example"),
        (["192.0.2.1", "a.example"], "CN=a.example"),
        (["a" * 60 + ".example", "b.example"], "CN=b.example"),
        (["192.0.2.1"], ""),
        (["::1", "https://a.example/b", "a.example"], "CN=a.example"),
    ],
)
def test_the_common_name_is_a_copy_where_there_is_one_that_fits(
    issuer: Authority, names: list[str], subject: str
) -> None:
    der = issuer.issue(*names).chain[0]
    assert certificate(der).subject.rfc4514_string() == subject
    found = extension(der, x509.SubjectAlternativeName)
    assert found.critical is (not subject)
    assert [str(name.value) for name in found.value] == names


def test_where_lists_and_issuers_are_found(root: Authority) -> None:
    urls = {"crl_url": "http://a.example/intermediate.crl", "issuer_url": "http://a.example/intermediate.cer"}
    der = root.intermediate("x", **urls).issue("a.example").chain[0]
    point = extension(der, x509.CRLDistributionPoints)
    assert not point.critical
    assert [name.value for name in point.value[0].full_name] == [urls["crl_url"]]
    access = extension(der, x509.AuthorityInformationAccess).value
    assert [(item.access_method._name, item.access_location.value) for item in access] == [
        ("caIssuers", urls["issuer_url"])
    ]


def test_serial_numbers_are_random_and_long(issuer: Authority) -> None:
    serials = [certificate(issuer.issue("a.example").chain[0]).serial_number for _ in range(60)]
    assert len(set(serials)) == len(serials)
    assert all(0 < serial < 1 << 159 for serial in serials)
    # Of 159 bits each, all but the leading ones are set as often as not: none is always the same.
    for bit in range(159):
        assert len({serial >> bit & 1 for serial in serials}) == 2, bit


# --- how long ---------------------------------------------------------------------------------------------------------------


def test_it_is_valid_from_five_minutes_ago(root: Authority) -> None:
    found = certificate(root.der)
    assert found.not_valid_before_utc == WHOLE - timedelta(minutes=5)
    assert found.not_valid_after_utc == WHOLE + timedelta(days=3650)


@pytest.mark.parametrize(
    ("name", "length"), [("a.example", timedelta(days=30)), ("spiffe://a.example/b", timedelta(hours=24))]
)
def test_it_is_short_by_default(issuer: Authority, name: str, length: timedelta) -> None:
    found = certificate(issuer.issue(name).chain[0])
    assert found.not_valid_after_utc == WHOLE + length


def test_it_never_outlives_its_issuer(root: Authority) -> None:
    below = root.intermediate("short", lifetime=timedelta(hours=2))
    assert certificate(below.issue("a.example").chain[0]).not_valid_after_utc == WHOLE + timedelta(hours=2)
    long = root.intermediate("long", lifetime=timedelta(days=36_500))
    assert certificate(long.der).not_valid_after_utc == certificate(root.der).not_valid_after_utc


def test_it_does_not_begin_before_its_issuer() -> None:
    moments = iter([WHOLE, *[WHOLE - timedelta(minutes=1)] * 10])  # a clock set back
    authority = Authority.create("root", clock=Clock(wall=lambda: next(moments)))
    found = certificate(authority.issue("a.example").chain[0])
    assert found.not_valid_before_utc == WHOLE - timedelta(minutes=5)


@pytest.mark.parametrize("away", [timedelta(days=3651), -timedelta(hours=1)])
def test_an_authority_that_is_not_valid_issues_nothing(root: Authority, away: timedelta) -> None:
    later = Authority(root.chain, root.private_key, clock=Clock(wall=lambda: NOW + away))
    with pytest.raises(ConfigurationError) as caught:
        later.issue("a.example")
    assert caught.value.reason is reasons.AUTHORITY_ENDED
    assert ("clock" in caught.value.evidence) is (away < timedelta(0))
    assert f"{NOW + away:%Y-%m-%d %H:%M} UTC" == caught.value.evidence["now"]


# --- what it refuses ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "kind", "words"),
    [
        ([], None, "at least one name"),
        (["a@b.example"], None, "for a client there is the kind client"),
        (["https://a.example/x"], "server", "DNS name or an IP address"),
        (["a.example"], "spiffe", "needs a SPIFFE id"),
        (["spiffe://a.example/b"], "client", "is a server and a client"),
        (["spiffe://a.example/b", "a.example"], "server", "is a server and a client"),
        (["spiffe://a.example/b", "spiffe://a.example/c"], None, "has one, and no other URI"),
        (["spiffe://a.example/b", "https://a.example/c"], "client", "has one, and no other URI"),
    ],
)
def test_kinds_and_names_that_do_not_go_together(issuer: Authority, names: list[str], kind: Any, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        issuer.issue(*names, kind=kind)
    assert caught.value.reason is reasons.NAME_NOT_ISSUED
    assert words in str(caught.value.evidence["problem"])


@pytest.mark.parametrize("choice", [{"kind": "wizard"}, {"key": "rsa1024"}])
def test_unknown_choices(issuer: Authority, choice: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        issuer.issue("a.example", **choice)
    assert caught.value.evidence["setting"] in choice
    assert caught.value.evidence["known"]


@pytest.mark.parametrize("name", ["x" * 65, "a\nb", " root", "root "])
def test_names_that_no_authority_has(name: str) -> None:
    with pytest.raises(ConfigurationError):
        Authority.create(name)


def test_a_key_that_is_another_one_s(root: Authority) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Authority(root.chain, new_key("p256"))
    assert caught.value.reason is reasons.KEY_MISMATCH


def test_it_says_nothing_of_its_key_and_is_never_copied(root: Authority) -> None:
    assert repr(root) == "<Authority CN=Example root>"
    with pytest.raises(MisuseError):
        copy.copy(root)


# --- limits -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["p256", "p384", "rsa2048"])
def test_limits_stand_in_both_certificates_and_our_verifier_holds_them(key: str) -> None:
    limits = Limits.of(["example.com", "10.0.0.0/8"], ["secret.example.com"])
    root = Authority.create("root", key=key, limits=limits)
    below = root.intermediate("intermediate", key=key)
    for authority in (root, below):
        assert extension(authority.der, x509.NameConstraints).critical
    made = below.issue("www.example.com", "10.1.2.3")
    assert ChainVerifier(root.trust).verify_server(made.chain, "10.1.2.3", datetime.now(UTC))
    below.limits = Limits()  # an authority that forgets its limits: what it makes does not get out
    for name in ("example.org", "secret.example.com", "192.0.2.1", "::1"):
        with pytest.raises(CertificateError, match=r"its nameConstraints (permit only|exclude)"):
            below.issue(name)


def test_an_ed25519_authority_has_no_limits() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Authority.create("root", key="ed25519", limits=Limits.of(["example.com"]))
    assert "handfast's own clients would refuse it" in str(caught.value)
    with pytest.raises(ConfigurationError):
        Authority.create("root", limits=Limits.of(["example.com"])).intermediate("below", key="ed25519")


# --- revocation lists -----------------------------------------------------------------------------------------------------


def test_revocation_lists(issuer: Authority) -> None:
    when = WHOLE - timedelta(days=1)
    der = issuer.revocations([Revoked(5, when, "key-compromise"), Revoked(6, when)], 42, timedelta(days=2))
    found = x509.load_der_x509_crl(der)
    assert found.is_signature_valid(issuer.certificate.public_key())
    assert (found.last_update_utc, found.next_update_utc) == (WHOLE, WHOLE + timedelta(days=2))
    assert found.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 42
    identifier = found.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    assert identifier == extension(issuer.der, x509.SubjectKeyIdentifier).value.digest
    first, second = found
    assert (first.serial_number, first.revocation_date_utc) == (5, when)
    assert first.extensions.get_extension_for_class(x509.CRLReason).value.reason is x509.ReasonFlags.key_compromise
    assert (second.serial_number, len(second.extensions)) == (6, 0)


def test_an_authority_can_be_tried_before_it_is_kept(root: Authority, issuer: Authority) -> None:
    root.check()
    issuer.check()
    too_deep = Authority.create("root", path_length=0, clock=CLOCK).intermediate("below")
    with pytest.raises(CertificateError, match="rule"):
        too_deep.check()
