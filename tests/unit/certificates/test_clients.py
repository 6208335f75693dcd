"""Clients' chains: what is accepted, refused and told, beside what test_chains.py and its neighbours show for servers."""

from __future__ import annotations

import hashlib
import ipaddress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from handfast import errors, reasons
from handfast.certificates import described
from handfast.certificates.peer import PeerIdentity
from handfast.certificates.policy import ChainVerifier, Policy
from handfast.certificates.rules import Rule
from handfast.certificates.spiffe import AllowSpiffe
from handfast.certificates.store import TrustStore
from handfast.errors import CertificateError, CertificateRuleBroken
from handfast.testing import Authority, IssuedIdentity
from handfast.testing.authority import certify, key_usage, subject_of
from handfast.testing.chains import _stranger, root
from handfast.testing.keys import new_key

NOW = datetime.now(UTC)
SPIFFE = "spiffe://trust.example/service"


def issued(*names: str, by: Authority | None = None, **options: Any) -> IssuedIdentity:
    return (by or root()).issue(*(names or (SPIFFE,)), **{"usage": ("client",), **options})


def nameless(**options: Any) -> IssuedIdentity:
    """One whose subject alone says who it is."""
    return root().issue(usage=("client",), **options)


def accepted(made: IssuedIdentity, trust: TrustStore | None = None, *relax: Rule | str) -> PeerIdentity:
    return ChainVerifier(trust or root().trust, Policy(relax)).verify_client(made.chain, NOW)


def refused(made: IssuedIdentity, trust: TrustStore | None = None, *relax: Rule | str) -> CertificateError:
    with pytest.raises(CertificateError) as caught:
        accepted(made, trust, *relax)
    return caught.value


# --- accepted -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("names", [("client.example",), (SPIFFE,), ("192.0.2.7",), ("a@client.example",)], ids=str)
def test_a_client_may_have_any_kind_of_name(names: tuple[str, ...]) -> None:
    made = issued(*names)
    peer = accepted(made)
    assert (peer.verified_by, peer.server_name, peer.chain) == ("chain", None, made.chain)
    assert peer.path == (*made.chain, root().der)
    assert peer.public_key == made.key.public_key()


@pytest.mark.parametrize("usage", [("client",), ("client", "server"), ()], ids=str)
def test_usages_that_are_good_for_clients(usage: tuple[str, ...]) -> None:
    assert accepted(issued(usage=usage))


@pytest.mark.parametrize("kind", ["p384", "p521", "rsa2048", "ed25519", "ed448", "mldsa44"])
def test_every_kind_of_key(kind: str) -> None:
    authority = Authority.create(key=kind)
    made = issued(SPIFFE, by=authority.intermediate(key=kind), key=kind)
    assert accepted(made, authority.trust).path == (*made.chain, authority.der)


def test_a_certificate_that_is_itself_trusted() -> None:
    key, name = new_key("p256"), subject_of("a client")
    der = certify(name, key.public_key(), name, key, {}, (NOW - timedelta(days=1), NOW + timedelta(days=1)))
    made = IssuedIdentity([der], key)
    assert accepted(made, TrustStore.from_bytes(der)).path == (der,)
    assert isinstance(refused(made), errors.SelfSignedCertificate)


def test_one_certificate_can_serve_both_sides() -> None:
    made = issued("both.example", usage=("client", "server"))
    verifier = ChainVerifier(root().trust)
    assert verifier.verify_client(made.chain, NOW).server_name is None
    assert verifier.verify_server(made.chain, "both.example", NOW).server_name == "both.example"


# --- refused ------------------------------------------------------------------------------------------------------------


def test_a_server_s_certificate_is_none_of_a_client_and_the_other_way_round() -> None:
    error = refused(issued("server.example", usage=("server",)))
    assert error.reason is reasons.CERTIFICATE_WRONG_USAGE
    assert error.evidence["problem"] == "extendedKeyUsage allows serverAuth, and not clientAuth"
    with pytest.raises(errors.CertificateUsageError) as caught:
        ChainVerifier(root().trust).verify_server(issued("a.example").chain, "a.example", NOW)
    assert caught.value.evidence["problem"] == "extendedKeyUsage allows clientAuth, and not serverAuth"


def test_any_usage_is_enough_for_an_authority_and_not_for_a_client() -> None:
    anything = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE])
    assert isinstance(
        refused(issued(extensions={x509.ExtendedKeyUsage: (anything, False)})), errors.CertificateUsageError
    )
    authority = root().intermediate(extensions={x509.ExtendedKeyUsage: (anything, False)})
    assert accepted(issued(by=authority))


def test_an_authority_for_servers() -> None:
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    authority = root().intermediate(extensions={x509.ExtendedKeyUsage: (usage, False)})
    error = refused(issued(by=authority))
    assert error.certificate == authority.der
    assert error.evidence["problem"] == "extendedKeyUsage of the authority allows serverAuth, and not clientAuth"


def forged(made: IssuedIdentity) -> IssuedIdentity:
    der = bytearray(made.chain[0])
    der[-1] ^= 1
    return IssuedIdentity([bytes(der)], made.key)


NO_SIGNING = {x509.KeyUsage: (key_usage(key_encipherment=True), True)}
ODD = {x509.UnrecognizedExtension: (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"\x05\x00"), True)}
REFUSED: dict[str, tuple[Any, reasons.Reason]] = {
    "expired": (lambda: issued(not_after=NOW - timedelta(minutes=1)), reasons.CERTIFICATE_EXPIRED),
    "not yet valid": (lambda: issued(not_before=NOW + timedelta(days=1)), reasons.CERTIFICATE_NOT_YET_VALID),
    "no digitalSignature": (lambda: issued(extensions=NO_SIGNING), reasons.CERTIFICATE_WRONG_USAGE),
    "unknown issuer": (lambda: issued(by=_stranger()), reasons.UNKNOWN_ISSUER),
    "no intermediate": (lambda: issued(by=root().intermediate(), send_chain=False), reasons.MISSING_INTERMEDIATE),
    "not an authority": (
        lambda: issued(by=root().intermediate(extensions={x509.BasicConstraints: None})),
        reasons.NOT_A_CA,
    ),
    "forged": (lambda: forged(issued()), reasons.BAD_CERTIFICATE_SIGNATURE),
    "weak key": (lambda: issued(key="rsa1024"), reasons.WEAK_KEY),
    "unknown critical extension": (lambda: issued(extensions=ODD), reasons.CERTIFICATE_RULE_BROKEN),
    "path length": (
        lambda: issued(by=root().intermediate(path_length=0).intermediate("lower")),
        reasons.CERTIFICATE_RULE_BROKEN,
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_of_servers_is_refused_of_clients(name: str) -> None:
    make, reason = REFUSED[name]
    error = refused(make(), None, *Rule)
    assert error.reason is reason
    assert error.evidence["position"]
    assert error.certificate is not None


def test_no_certificate_and_too_many() -> None:
    verifier = ChainVerifier(root().trust)
    with pytest.raises(CertificateError) as caught:
        verifier.verify_client((), NOW)
    assert caught.value.reason is reasons.NO_CERTIFICATE
    with pytest.raises(CertificateError) as caught:
        verifier.verify_client(issued().chain * 17, NOW)
    assert caught.value.evidence["certificates"] == 17


def test_name_constraints_hold_for_clients_too() -> None:
    limits = x509.NameConstraints([x509.DNSName("example")], None)
    authority = root().intermediate(extensions={x509.NameConstraints: (limits, True)})
    assert accepted(issued("client.example", by=authority))
    error = refused(issued("client.test", by=authority), None, *Rule)
    assert error.reason is reasons.CERTIFICATE_RULE_BROKEN
    assert "client.test" in str(error.evidence["rule"])


def critical_usage() -> dict[Any, Any]:
    return {x509.ExtendedKeyUsage: (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), True)}


RULES: dict[Rule, Any] = {
    Rule.MISSING_SUBJECT_ALTERNATIVE_NAME: nameless,
    Rule.CRITICAL_SUBJECT_ALTERNATIVE_NAME: lambda: issued("a.example", critical_san=True),
    Rule.UNCRITICAL_SUBJECT_ALTERNATIVE_NAME: lambda: issued("a.example", common_name=""),
    Rule.CRITICAL_EXTENDED_KEY_USAGE: lambda: issued(extensions=critical_usage()),
    Rule.MISSING_AUTHORITY_KEY_IDENTIFIER: lambda: issued(extensions={x509.AuthorityKeyIdentifier: None}),
    Rule.MISSING_SUBJECT_KEY_IDENTIFIER: lambda: issued(
        by=root().intermediate(extensions={x509.SubjectKeyIdentifier: None})
    ),
    Rule.MISSING_KEY_USAGE: lambda: issued(by=root().intermediate(extensions={x509.KeyUsage: None})),
    Rule.AUTHORITY_AS_LEAF: lambda: issued(
        extensions={x509.BasicConstraints: (x509.BasicConstraints(ca=True, path_length=None), True)}
    ),
}


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_a_switch_relaxes_its_rule_and_no_other(rule: Rule) -> None:
    made = RULES[rule]()
    assert refused(made).evidence["relax"] == rule.value
    assert refused(made, None, *(other for other in Rule if other is not rule)).evidence["relax"] == rule.value
    assert accepted(made, None, rule)


def test_a_rule_is_told_of_a_client() -> None:
    rule = refused(RULES[Rule.AUTHORITY_AS_LEAF]()).evidence["rule"]
    assert rule == "a certificate authority's certificate is used by a client"


def test_a_client_without_a_name_is_allowed_by_the_name_of_the_rule() -> None:
    error = refused(nameless())
    assert (error.reason, error.evidence["section"]) == (reasons.CERTIFICATE_RULE_BROKEN, "RFC 5280 section 4.2.1.6")
    assert "no subjectAltName" in str(error.evidence["rule"])
    assert error.evidence["relax"] == "missing-subject-alternative-name"
    peer = accepted(nameless(common_name="me"), None, str(error.evidence["relax"]))
    assert (peer.subject, peer.verified_by) == ("CN=me,O=handfast testing", "chain")
    # It lets pass no other thing, and means nothing for servers.
    assert refused(nameless(key="rsa1024"), None, *Rule).reason is reasons.WEAK_KEY
    with pytest.raises(errors.CertificateNameMismatch) as caught:
        ChainVerifier(root().trust, Policy(Rule)).verify_server(root().issue().chain, "a.example", NOW)
    assert caught.value.reason is reasons.CERTIFICATE_WITHOUT_NAMES
    assert ChainVerifier(root().trust).verify_unnamed_server(root().issue().chain, NOW)


def test_a_relaxed_rule_relaxes_no_usage() -> None:
    both = {x509.ExtendedKeyUsage: (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), True)}
    error = refused(issued(extensions=both), None, *Rule)
    assert error.reason is reasons.CERTIFICATE_WRONG_USAGE


# --- what the application gets ------------------------------------------------------------------------------------------


def test_what_is_known_of_a_client() -> None:
    names = [
        x509.DNSName("client.example"),
        x509.DNSName("*.client.example"),
        x509.IPAddress(ipaddress.ip_address("192.0.2.7")),
        x509.IPAddress(ipaddress.ip_network("198.51.100.0/24")),
        x509.IPAddress(ipaddress.ip_address("2001:db8::7")),
        x509.UniformResourceIdentifier(SPIFFE),
        x509.RFC822Name("someone@client.example"),
    ]
    made = issued(
        common_name="a client",
        extensions={x509.SubjectAlternativeName: (x509.SubjectAlternativeName(names), False)},
    )
    peer = accepted(made)
    certificate = x509.load_der_x509_certificate(made.chain[0])
    assert peer.subject == "CN=a client,O=handfast testing"
    assert peer.issuer == "CN=handfast test root,O=handfast testing"
    assert peer.dns_names == ("client.example", "*.client.example")
    assert peer.ip_addresses == (ipaddress.ip_address("192.0.2.7"), ipaddress.ip_address("2001:db8::7"))
    assert peer.uris == (SPIFFE,)
    assert peer.email_addresses == ("someone@client.example",)
    assert peer.serial_number == certificate.serial_number
    assert peer.fingerprint_sha256 == hashlib.sha256(made.chain[0]).hexdigest()
    assert (peer.not_before, peer.not_after) == (certificate.not_valid_before_utc, certificate.not_valid_after_utc)


def test_names_of_clients_as_the_testing_authority_takes_them() -> None:
    peer = accepted(issued("client.example", "192.0.2.7", SPIFFE, "someone@client.example"))
    assert (peer.dns_names, peer.uris, peer.email_addresses) == (
        ("client.example",),
        (SPIFFE,),
        ("someone@client.example",),
    )
    assert peer.ip_addresses == (ipaddress.ip_address("192.0.2.7"),)


def test_what_is_not_there_is_empty() -> None:
    peer = accepted(nameless(), None, "missing-subject-alternative-name")
    assert peer.dns_names == peer.ip_addresses == peer.uris == peer.email_addresses == ()
    assert peer.subject_alternative_names == ()


SMTP_UTF8_MAILBOX = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.9")  # id-on-SmtpUTF8Mailbox


def test_a_mailbox_in_utf_8_is_nobody_s_name() -> None:
    """RFC 9598: an e-mail address in an otherName. It is not compared with constraints, so nobody is told that it is one."""
    mailbox = "r\u00f6\u00f6t@evil.example".encode()
    name = x509.OtherName(SMTP_UTF8_MAILBOX, bytes([0x0C, len(mailbox)]) + mailbox)
    own = {x509.SubjectAlternativeName: (x509.SubjectAlternativeName([name]), False)}
    limits = x509.NameConstraints([x509.RFC822Name("example.com")], None)
    limited = root().intermediate(extensions={x509.NameConstraints: (limits, True)})
    made = limited.issue("x@example.com", usage=("client", "server"), extensions=own)
    peer = accepted(made)
    assert peer.subject_alternative_names == ("OTHER:1.3.6.1.5.5.7.8.9",)
    assert peer.email_addresses == peer.dns_names == peer.uris == ()
    assert "evil" not in repr(peer)
    shown = described.described(made.chain[0], lambda identifier: identifier)
    assert shown["subjectAltName"] == (("othername", "<unsupported>"),)
    for allowed in ("spiffe://evil.example/*", "spiffe://example.com/*"):
        with pytest.raises(CertificateError) as caught:
            ChainVerifier(root().trust, Policy(allow=AllowSpiffe(allowed))).verify_client(made.chain, NOW)
        assert caught.value.reason is reasons.PEER_NOT_ALLOWED
    with pytest.raises(errors.CertificateNameMismatch):
        ChainVerifier(root().trust).verify_server(made.chain, "evil.example", NOW)


def test_an_authority_that_limits_such_mailboxes_is_not_followed() -> None:
    name = x509.OtherName(SMTP_UTF8_MAILBOX, bytes.fromhex("0c01") + b"x")
    own = {x509.SubjectAlternativeName: (x509.SubjectAlternativeName([name]), False)}
    limited = root().intermediate(extensions={x509.NameConstraints: (x509.NameConstraints([name], None), True)})
    with pytest.raises(CertificateRuleBroken, match="limit other names, which is not understood here"):
        accepted(limited.issue("x@example.com", usage=("client",), extensions=own))


@pytest.mark.parametrize("number", [1, 163])
def test_an_authority_s_own_limits_use_up_nobody_s_comparisons(number: int) -> None:
    """A client's mailboxes stand in its subject, and below one limit there is another of so many that none is left."""
    key = new_key("p256")
    limits = [[x509.RFC822Name("example.com")], [x509.RFC822Name(f"x{n}.evil.example") for n in range(number)]]
    authority = Authority.create()
    trust = authority.trust
    for permitted in limits:
        authority = authority.intermediate(
            str(len(permitted)), extensions={x509.NameConstraints: (x509.NameConstraints(permitted, None), True)}
        )
    own = {**authority.leaf_extensions(key, [], ["client"]), x509.SubjectAlternativeName: None}
    who = x509.Name([x509.NameAttribute(x509.NameOID.EMAIL_ADDRESS, "root@x0.evil.example")] * 100)
    valid = (authority.certificate.not_valid_before_utc, authority.certificate.not_valid_after_utc)
    der = certify(who, key.public_key(), authority.certificate.subject, authority.key, own, valid)
    relaxed = ChainVerifier(trust, Policy(["missing-subject-alternative-name"]))
    with pytest.raises(CertificateRuleBroken):
        relaxed.verify_client((der, *authority.chain[:-1]), NOW)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("me\r\nX-Admin: 1", r"CN=me\0D\0AX-Admin: 1"),
        ("\x1b[31m", r"CN=\1B[31m"),
        ("a\u202eb\u2028", r"CN=a\E2\80\AEb\E2\80\A8"),
        ("Jürgen, \\0D", r"CN=Jürgen\, \\0D"),
    ],
)
def test_a_subject_ends_no_line_of_a_header(name: str, shown: str) -> None:
    """As an application sees it, and as ASGI's extension has it. What is escaped already stays as it is."""
    authority = Authority.create(name)
    chain = authority.issue("spiffe://example.org/me", usage=["client"], common_name=name).chain
    peer = ChainVerifier(authority.trust).verify_client(chain, datetime.now(UTC))
    assert peer.subject == f"{shown},O=handfast testing"
    assert peer.issuer == peer.subject


def test_names_that_are_none_are_looked_for_in_each_certificate() -> None:
    """Those that are alike share what the rules say of them, and not this."""
    verifier = ChainVerifier(root().trust)
    odd = x509.SubjectAlternativeName([x509.DNSName._init_without_validation("a.example\r\nX-Admin: 1")])
    for _ in range(2):
        assert verifier.verify_client(issued("client.example").chain, NOW)
    refusal = refused(issued("client.example", extensions={x509.SubjectAlternativeName: (odd, False)}))
    assert isinstance(refusal, CertificateRuleBroken)
    assert "has U+000D, which cannot be printed" in str(refusal.evidence["rule"])


def test_a_directory_s_name_ends_no_name_in_a_list() -> None:
    """It may have a comma and a blank in it, as RFC 4514 writes it, or in hexadecimal digits."""
    name = x509.Name(
        [
            x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "Us, DNS:admin.example\r\n"),
            x509.NameAttribute(x509.NameOID.COMMON_NAME, "a\\"),
        ]
    )
    own = x509.SubjectAlternativeName([x509.DirectoryName(name), x509.DNSName("client.example")])
    peer = accepted(issued("client.example", extensions={x509.SubjectAlternativeName: (own, False)}))
    assert peer.subject_alternative_names == (
        "DIR:CN=a\\\\,O=Us\\2C DNS:admin.example\\0D\\0A",
        "DNS:client.example",
    )
