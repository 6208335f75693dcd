"""Every good and broken chain: what is accepted, and with which error, alert and evidence the others are refused."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from ipaddress import ip_network
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from hypothesis import given, settings
from hypothesis import strategies as st

from handfast import errors, insecure, reasons
from handfast.certificates import constraints, parsed, path, policy
from handfast.certificates.names import normalized
from handfast.certificates.path import Path
from handfast.certificates.policy import ChainVerifier, Policy
from handfast.certificates.rules import Role, Rule, findings
from handfast.certificates.store import TrustStore
from handfast.errors import CertificateError, ConfigurationError, TLSError
from handfast.testing import BROKEN, GOOD, Authority, Case, IssuedIdentity, chain
from handfast.testing.authority import certify, key_usage
from handfast.testing.chains import SERVER_NAME, root
from handfast.testing.keys import new_key
from tests.unit.certificates.made import root_with_full_serial

NOW = datetime.now(UTC)

# The alerts of RFC 9846 section 6.2, written down a second time.
ALERTS = {
    "certificate_expired": 45,
    "certificate_not_yet_valid": 42,
    "certificate_name_mismatch": 42,
    "certificate_without_names": 42,
    "certificate_wrong_usage": 43,
    "not_a_ca": 42,
    "self_signed_certificate": 48,
    "unknown_issuer": 48,
    "missing_intermediate": 48,
    "bad_certificate_signature": 42,
    "weak_key": 42,
    "weak_signature": 42,
    "unsupported_public_key": 43,
    "certificate_rule_broken": 42,
    "certificate_unreadable": 42,
}


def refusal(case: Case, *relax: Rule | str, now: datetime = NOW) -> CertificateError:
    with pytest.raises(CertificateError) as caught:
        ChainVerifier(case.trust, Policy(relax)).verify_server(case.chain, case.server_name, now)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return caught.value


def refused(
    made: IssuedIdentity | Sequence[bytes], trust: TrustStore, *relax: Rule | str, name: str = SERVER_NAME
) -> CertificateError:
    sent = tuple(made.chain if isinstance(made, IssuedIdentity) else made)
    return refusal(Case("", sent, trust, name), *relax)


@pytest.mark.parametrize("name", GOOD)
def test_good_chains(name: str) -> None:
    case = chain(name)
    peer = ChainVerifier(case.trust).verify_server(case.chain, case.server_name, NOW)
    assert peer.verified_by == "chain"
    assert peer.server_name == case.server_name
    assert peer.chain == case.chain
    assert peer.path[0] == case.chain[0]
    assert x509.load_der_x509_certificate(peer.path[-1]) in case.trust
    assert case.identity is not None
    assert peer.public_key == case.identity.key.public_key()


@pytest.mark.parametrize("name", BROKEN)
def test_broken_chains(name: str) -> None:
    case = chain(name)
    error = refusal(case)
    assert type(error) is case.error
    assert error.reason is case.reason
    assert error.alert == ALERTS[error.reason.name]
    assert error.sent_by == "us"
    if case.at_fault is not None:
        assert error.certificate == case.chain[case.at_fault]
    else:
        assert error.certificate is not None
        assert x509.load_der_x509_certificate(error.certificate) in case.trust
    assert str(error).startswith(error.reason.sentence)
    if name != "unreadable":
        place = "trusted root" if case.at_fault is None else f"certificate {case.at_fault + 1} of {len(case.chain)}"
        assert error.evidence["position"] == place
        assert error.evidence["subject"]
        assert error.evidence["issuer"]
    assert error.evidence.get("relax") == (None if case.relax is None else case.relax.value)


@pytest.mark.parametrize("name", [name for name in BROKEN if chain(name).relax])
def test_a_switch_relaxes_its_rule(name: str) -> None:
    case = chain(name)
    assert case.relax is not None
    for switch in (case.relax, case.relax.value):
        peer = ChainVerifier(case.trust, Policy([switch])).verify_server(case.chain, case.server_name, NOW)
        assert peer.verified_by == "chain"


@pytest.mark.parametrize("name", BROKEN)
def test_a_switch_relaxes_nothing_else(name: str) -> None:
    case = chain(name)
    others = [rule for rule in Rule if rule is not case.relax]
    error = refusal(case, *others)
    assert type(error) is case.error
    assert error.reason is case.reason


@pytest.mark.parametrize("name", [name for name in BROKEN if not chain(name).relax])
def test_where_no_switch_is_named_none_helps(name: str) -> None:
    assert refusal(chain(name), *Rule).reason is chain(name).reason


@pytest.mark.parametrize("name", GOOD)
def test_relaxing_everything_accepts_what_is_good(name: str) -> None:
    case = chain(name)
    assert ChainVerifier(case.trust, Policy(Rule)).verify_server(case.chain, case.server_name, NOW).path


@pytest.mark.parametrize("name", GOOD)
def test_good_chains_are_for_their_name_their_time_and_their_trust_only(name: str) -> None:
    case = chain(name)
    verifier = ChainVerifier(case.trust)
    with pytest.raises(errors.CertificateNameMismatch):
        verifier.verify_server(case.chain, "other.test", NOW)
    with pytest.raises(errors.CertificateExpired):
        verifier.verify_server(case.chain, case.server_name, NOW + timedelta(days=36500))
    with pytest.raises(errors.CertificateNotYetValid):
        verifier.verify_server(case.chain, case.server_name, NOW - timedelta(days=36500))
    with pytest.raises(errors.UnknownIssuer):
        ChainVerifier(Authority.create("somebody else").trust).verify_server(case.chain, case.server_name, NOW)


# --- evidence --------------------------------------------------------------------------------------------------------


def test_dates() -> None:
    error = refusal(chain("expired"))
    assert isinstance(error, errors.CertificateExpired)
    not_after = parsed.parsed(chain("expired").chain[0]).not_after
    assert error.not_after == not_after
    assert error.evidence["not_after"] == not_after.isoformat()
    assert datetime.fromisoformat(str(error.evidence["now"])) == NOW.replace(microsecond=0)
    copied = error.copy()
    assert copied.not_after == not_after
    early = refusal(chain("not_yet_valid"))
    assert isinstance(early, errors.CertificateNotYetValid)
    assert early.evidence["not_before"] == early.not_before.isoformat()


def test_validity_is_inclusive_to_the_second() -> None:
    begin = NOW.replace(microsecond=0)
    made = root().issue(SERVER_NAME, not_before=begin, not_after=begin + timedelta(seconds=10))
    verifier = ChainVerifier(root().trust)
    for good in (begin, begin + timedelta(seconds=10), begin + timedelta(seconds=10, microseconds=999_999)):
        assert verifier.verify_server(made.chain, SERVER_NAME, good)
    elsewhere = begin.astimezone(timezone(timedelta(hours=-7)))
    assert verifier.verify_server(made.chain, SERVER_NAME, elsewhere)
    with pytest.raises(errors.CertificateNotYetValid):
        verifier.verify_server(made.chain, SERVER_NAME, begin - timedelta(microseconds=1))
    with pytest.raises(errors.CertificateExpired):
        verifier.verify_server(made.chain, SERVER_NAME, begin + timedelta(seconds=11))


def test_names() -> None:
    error = refusal(chain("wrong_name"))
    assert error.evidence["asked_for"] == SERVER_NAME
    assert error.evidence["certificate_is_for"] == ["DNS:other.example", "DNS:*.server.example", "IP:192.0.2.1"]
    assert refusal(chain("common_name_only")).evidence["common_name"] == SERVER_NAME
    bare = root().issue(common_name="")
    assert "common_name" not in refused(bare, root().trust).evidence


def test_a_long_list_of_names_is_cut() -> None:
    made = root().issue(*(f"host{number}.example" for number in range(60)))
    listed = refused(made, root().trust).evidence["certificate_is_for"]
    assert isinstance(listed, list)
    assert len(listed) == 51
    assert listed[-1] == "and 10 more"


def test_names_that_tls_does_not_compare_are_named_too() -> None:
    odd = x509.SubjectAlternativeName(
        [
            x509.UniformResourceIdentifier("spiffe://trust.example/service"),
            x509.RFC822Name("mail@server.example"),
            x509.DirectoryName(root().certificate.subject),
            x509.RegisteredID(x509.ObjectIdentifier("1.2.3")),
            x509.OtherName(x509.ObjectIdentifier("1.2.4"), b"\x05\x00"),
        ]
    )
    made = root().issue(extensions={x509.SubjectAlternativeName: (odd, False)})
    error = refused(made, root().trust)
    assert error.reason is reasons.CERTIFICATE_NAME_MISMATCH
    assert error.evidence["certificate_is_for"] == [
        "URI:spiffe://trust.example/service",
        "EMAIL:mail@server.example",
        "DIR:CN=handfast test root,O=handfast testing",
        "OID:1.2.3",
        "OTHER:1.2.4",
    ]


def test_usages_are_named() -> None:
    assert (
        refusal(chain("wrong_usage")).evidence["problem"] == "extendedKeyUsage allows client auth, and not serverAuth"
    )
    usage = x509.ExtendedKeyUsage([x509.ObjectIdentifier("1.2.3.4")])
    made = root().issue(SERVER_NAME, extensions={x509.ExtendedKeyUsage: (usage, False)})
    assert refused(made, root().trust).evidence["problem"] == "extendedKeyUsage allows 1.2.3.4, and not serverAuth"


def test_any_usage_is_enough_for_an_authority_and_not_for_a_server() -> None:
    usage = x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE])
    made = root().issue(SERVER_NAME, extensions={x509.ExtendedKeyUsage: (usage, False)})
    assert refused(made, root().trust, *Rule).reason is reasons.CERTIFICATE_WRONG_USAGE
    authority = root().intermediate(extensions={x509.ExtendedKeyUsage: (usage, False)})
    assert ChainVerifier(root().trust).verify_server(authority.issue(SERVER_NAME).chain, SERVER_NAME, NOW)


def test_where_to_fetch_the_missing_one() -> None:
    assert (
        refusal(chain("missing_intermediate_with_address")).evidence["issuer_can_be_fetched_from"]
        == "http://ca.example/issuer.der"
    )
    assert "issuer_can_be_fetched_from" not in refusal(chain("missing_intermediate")).evidence


def test_an_ocsp_address_is_no_issuers_address() -> None:
    where = x509.AccessDescription(
        x509.AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier("http://ocsp.example")
    )
    extensions = {x509.AuthorityInformationAccess: (x509.AuthorityInformationAccess([where]), False)}
    assert parsed.parsed(root().issue(SERVER_NAME, extensions=extensions).chain[0]).issuer_address is None


@pytest.mark.parametrize(
    ("places", "told"),
    [
        (["ldap:///CN=issuer", "http://ca.example/issuer.der"], "http://ca.example/issuer.der"),
        (["ldap:///CN=issuer"], "ldap:///CN=issuer"),
        ([x509.Name([])], None),
    ],
)
def test_of_several_addresses_the_one_that_can_be_asked_is_told(places: list[Any], told: str | None) -> None:
    uri, name = x509.UniformResourceIdentifier, x509.DirectoryName
    where = [
        x509.AccessDescription(
            x509.AuthorityInformationAccessOID.CA_ISSUERS, uri(place) if isinstance(place, str) else name(place)
        )
        for place in places
    ]
    extensions = {x509.AuthorityInformationAccess: (x509.AuthorityInformationAccess(where), False)}
    assert parsed.parsed(root().issue(SERVER_NAME, extensions=extensions).chain[0]).issuer_address == told


@pytest.mark.parametrize(
    ("extension", "name"),
    [
        (
            x509.CRLDistributionPoints(
                [x509.DistributionPoint([x509.UniformResourceIdentifier("http://a")], None, None, None)]
            ),
            "cRLDistributionPoints",
        ),
        (x509.PrecertPoison(), "precertificate poison"),
        (x509.TLSFeature([x509.TLSFeatureType.status_request]), "TLS feature"),
    ],
)
def test_critical_extensions_that_people_know_are_named(extension: Any, name: str) -> None:
    made = root().issue(SERVER_NAME, extensions={type(extension): (extension, True)})
    assert f"the critical extension {name} (" in str(refused(made, root().trust).evidence["rule"])


def test_a_gap_between_what_was_sent() -> None:
    """The server's certificate and a root, and not what lies between."""
    stranger = chain("unknown_root_sent").chain[1]
    leaf = chain("unknown_issuer").chain[0]
    other_root = Authority.create("another root").der
    assert refused((leaf, stranger), root().trust).reason is reasons.UNKNOWN_ISSUER
    error = refused((leaf, other_root), root().trust)
    assert error.reason is reasons.MISSING_INTERMEDIATE
    assert error.certificate == leaf


def test_the_switches_of_all_broken_rules_are_named_at_once() -> None:
    usage = x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.SERVER_AUTH])
    made = root().issue(SERVER_NAME, critical_san=True, extensions={x509.ExtendedKeyUsage: (usage, True)})
    error = refused(made, root().trust)
    assert error.evidence["relax"] == "critical-extended-key-usage, critical-subject-alternative-name"
    assert error.evidence["rule"] == "extendedKeyUsage is critical"
    assert error.evidence["also"] == ["subjectAltName is critical beside a subject that is not empty"]
    one = refused(made, root().trust, "critical-extended-key-usage")
    assert one.evidence["relax"] == "critical-subject-alternative-name"
    both = Policy(str(error.evidence["relax"]).split(", "))
    assert ChainVerifier(root().trust, both).verify_server(made.chain, SERVER_NAME, NOW)


def test_a_rule_without_a_switch_is_named_first() -> None:
    odd = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    made = root().issue(SERVER_NAME, critical_san=True, extensions={x509.UnrecognizedExtension: (odd, True)})
    error = refused(made, root().trust)
    assert error.evidence["rule"] == "the critical extension 1.2.3.4 is not understood here"
    assert "relax" not in error.evidence


@pytest.mark.parametrize(
    ("extensions", "rule"),
    [
        ({x509.AuthorityKeyIdentifier: True}, "authorityKeyIdentifier is critical"),
        ({x509.AuthorityInformationAccess: True}, "authorityInfoAccess is critical"),
        ({x509.NameConstraints: False}, "nameConstraints stands in a certificate that is no authority's"),
    ],
)
def test_rules_of_a_leaf_without_a_switch(extensions: dict[Any, bool], rule: str) -> None:
    values: dict[Any, Any] = {
        x509.AuthorityKeyIdentifier: x509.AuthorityKeyIdentifier.from_issuer_public_key(root().key.public_key()),
        x509.AuthorityInformationAccess: x509.AuthorityInformationAccess(
            [
                x509.AccessDescription(
                    x509.AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier("http://ocsp.example")
                )
            ]
        ),
        x509.NameConstraints: x509.NameConstraints([x509.DNSName("example")], None),
    }
    changed = {kind: (values[kind], critical) for kind, critical in extensions.items()}
    error = refused(root().issue(SERVER_NAME, extensions=changed), root().trust, *Rule)
    assert error.evidence["rule"] == rule
    assert "relax" not in error.evidence


def test_a_critical_subject_key_identifier_of_an_authority() -> None:
    identifier = x509.SubjectKeyIdentifier(b"identifier")
    authority = root().intermediate(extensions={x509.SubjectKeyIdentifier: (identifier, True)})
    error = refused(authority.issue(SERVER_NAME), root().trust)
    assert error.evidence["rule"] == "subjectKeyIdentifier is critical"
    # In a server's certificate it is harmless.
    made = root().issue(SERVER_NAME, extensions={x509.SubjectKeyIdentifier: (identifier, True)})
    assert ChainVerifier(root().trust).verify_server(made.chain, SERVER_NAME, NOW)


def test_authorities_that_are_none() -> None:
    for extensions in (
        {x509.BasicConstraints: None},
        {x509.BasicConstraints: (x509.BasicConstraints(False, None), True)},
    ):
        authority = root().intermediate(extensions=extensions)
        error = refused(authority.issue(SERVER_NAME), root().trust, *Rule)
        assert error.reason is reasons.NOT_A_CA
        assert error.certificate == authority.der


def test_the_most_helpful_cause_wins() -> None:
    """Expired, for another name, for clients only, by a stranger: it is told in this order."""
    stranger = Authority.create("a stranger")
    past = {"not_before": NOW - timedelta(days=3), "not_after": NOW - timedelta(days=2)}
    everything = stranger.issue("other.example", usage=("client",), key="rsa1024", critical_san=True, **past)  # type: ignore[arg-type]
    assert refused(everything, root().trust).reason is reasons.CERTIFICATE_EXPIRED
    name = stranger.issue("other.example", usage=("client",), key="rsa1024", critical_san=True)
    assert refused(name, root().trust).reason is reasons.CERTIFICATE_NAME_MISMATCH
    usage = stranger.issue(SERVER_NAME, usage=("client",), key="rsa1024", critical_san=True)
    assert refused(usage, root().trust).reason is reasons.CERTIFICATE_WRONG_USAGE
    issuer = stranger.issue(SERVER_NAME, key="rsa1024", critical_san=True)
    assert isinstance(refused(issuer, root().trust), errors.UnknownIssuer)
    key = root().issue(SERVER_NAME, key="rsa1024", critical_san=True)
    assert refused(key, root().trust).reason is reasons.WEAK_KEY


# --- paths -------------------------------------------------------------------------------------------------------------


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


def chain_by(authority: Authority, subject: Authority) -> bytes:
    """The same name and key, certified by another authority."""
    extensions = {type(item.value): (item.value, item.critical) for item in subject.certificate.extensions}
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
    extensions[x509.AuthorityKeyIdentifier] = (identifier, False)
    return certify(
        subject.certificate.subject,
        subject.key.public_key(),
        authority.certificate.subject,
        authority.key,
        extensions,
        (authority.certificate.not_valid_before_utc, authority.certificate.not_valid_after_utc),
    )


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
    doubles = [chain_by_name("twin", extensions=no_identifier).der for _ in range(15)]
    made = chain_by_name("twin", extensions=no_identifier).issue(
        SERVER_NAME, extensions={x509.AuthorityKeyIdentifier: None}
    )
    assert isinstance(refused((made.chain[0], *doubles), root().trust), CertificateError)
    assert 0 < tried <= path.ISSUERS_TRIED


def chain_by_name(name: str, **options: Any) -> Authority:
    return Authority.create(name, **options)


def test_too_many_certificates() -> None:
    leaf = chain("good_chain").chain[0]
    error = refused((leaf,) * 17, root().trust)
    assert error.evidence["certificates"] == 17
    assert refused((), root().trust).reason is reasons.NO_CERTIFICATE


def test_the_same_certificate_again_and_again_does_no_harm() -> None:
    leaf = chain("good_chain").chain[0]
    assert ChainVerifier(root().trust).verify_server((leaf,) * 16, SERVER_NAME, NOW).path == (leaf, root().der)


# --- the chains that we accept and the verifier does not -----------------------------------------------------------------


def ed25519_root(**options: Any) -> Authority:
    return Authority.create(key="ed25519", **options)


def test_an_ed25519_signature_is_checked() -> None:
    authority = ed25519_root()
    good = authority.issue(SERVER_NAME).chain[0]
    forged = bytearray(good)
    forged[-1] ^= 1
    assert refused((bytes(forged),), authority.trust).reason is reasons.BAD_CERTIFICATE_SIGNATURE


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


# --- name constraints -------------------------------------------------------------------------------------------------


def violation(authority: parsed.Parsed, certificate: parsed.Parsed) -> str | None:
    return constraints.violation(authority, certificate, constraints.Budget())


@pytest.mark.parametrize(
    ("permitted", "excluded", "names", "violates"),
    [
        (["example"], [], ["a.example", "example"], False),
        ([".example"], [], ["a.example"], False),
        ([".example"], [], ["example"], True),
        (["a.example"], [], ["b.example"], True),
        (["a.example"], [], ["xa.example"], True),
        (["a.example"], [], ["*.a.example"], False),
        (["b.a.example"], [], ["*.a.example"], True),
        ([], ["a.example"], ["b.example"], False),
        ([], ["a.example"], ["A.example"], True),
        ([], ["b.a.example"], ["*.a.example"], True),
        ([], [""], ["anything.example"], True),
        (["192.0.2.0/24"], [], ["192.0.2.1"], False),
        (["192.0.2.0/24"], [], ["192.0.3.1"], True),
        (["192.0.2.0/24"], [], ["a.example"], False),
        (["192.0.2.0/24"], [], ["2001:db8::1"], True),
        ([], ["2001:db8::/32"], ["2001:db8::1"], True),
        (["example"], ["a.example"], ["b.example", "a.example"], True),
    ],
)
def test_name_constraints(permitted: list[str], excluded: list[str], names: list[str], violates: bool) -> None:
    def general(text: str) -> x509.GeneralName:
        return x509.IPAddress(ip_network(text)) if "/" in text else x509.DNSName(text)

    limits = x509.NameConstraints([*map(general, permitted)] or None, [*map(general, excluded)] or None)
    authority = root().intermediate(extensions={x509.NameConstraints: (limits, True)})
    made = authority.issue(*names)
    found = violation(parsed.parsed(authority.der), parsed.parsed(made.chain[0]))
    assert (found is not None) is violates
    asked = normalized(names[-1].replace("*", "www"))
    if violates:
        assert refused(made, root().trust, name=asked).reason is reasons.CERTIFICATE_RULE_BROKEN
    elif not permitted or not permitted[0].startswith("."):  # which the verifier does not understand
        assert ChainVerifier(root().trust).verify_server(made.chain, asked, NOW)


def test_constraints_of_other_kinds_of_names_are_left_to_the_verifier() -> None:
    limits = x509.NameConstraints(None, [x509.RFC822Name("example.com")])
    authority = root().intermediate(extensions={x509.NameConstraints: (limits, True)})
    assert ChainVerifier(root().trust).verify_server(authority.issue(SERVER_NAME).chain, SERVER_NAME, NOW)


def test_an_authority_may_name_itself() -> None:
    limits = x509.NameConstraints([x509.DNSName("example")], None)
    top = Authority.create(extensions={x509.NameConstraints: (limits, True)})
    alternative = x509.SubjectAlternativeName([x509.DNSName("outside.test")])
    name = "handfast test root"
    renewed = top.intermediate(name, extensions={x509.SubjectAlternativeName: (alternative, False)})
    assert parsed.parsed(renewed.der).self_issued
    assert len(ChainVerifier(top.trust).verify_server(renewed.issue(SERVER_NAME).chain, SERVER_NAME, NOW).path) == 3
    other = top.intermediate("another name", extensions={x509.SubjectAlternativeName: (alternative, False)})
    assert refused(other.issue(SERVER_NAME), top.trust).certificate == top.der


def test_too_many_constraints_are_not_compared() -> None:
    limits = x509.NameConstraints(None, [x509.DNSName(f"{number}.example") for number in range(130)])
    authority = root().intermediate(extensions={x509.NameConstraints: (limits, True)})
    made = authority.issue(*(f"{number}.example" for number in range(130)))
    assert violation(parsed.parsed(authority.der), parsed.parsed(made.chain[0])) is None
    error = refused(made, root().trust, name="1.example")
    assert error.evidence["rule"] == constraints.TOO_MANY


def test_certificates_without_names_break_no_constraint() -> None:
    limits = x509.NameConstraints([x509.DNSName("example")], None)
    authority = root().intermediate(extensions={x509.NameConstraints: (limits, True)})
    assert violation(parsed.parsed(authority.der), parsed.parsed(root().der)) is None
    assert violation(parsed.parsed(root().der), parsed.parsed(authority.der)) is None


# --- odd ones, as they can only be made by hand ---------------------------------------------------------------------------


def breaches(der: bytes, role: Role) -> list[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `cryptography` warns of serial numbers that it will refuse
        found = findings(parsed.parsed_root(x509.load_der_x509_certificate(der)), role)
    return [breach.sentence for breach in found.breaches]


def test_serial_numbers() -> None:
    made = root_with_full_serial()
    serial = made.certificate.serial_number.to_bytes(20, "big")
    assert breaches(made.der.replace(serial, b"\x80" + bytes(19)), "root") == [
        "its serial number is negative or too long"
    ]
    assert breaches(made.der, "root") == []


def test_an_issuer_without_a_name() -> None:
    key = new_key("p256")
    extensions = root().leaf_extensions(key, [])
    validity = (NOW, NOW + timedelta(days=1))
    der = certify(x509.Name([]), key.public_key(), x509.Name([]), root().key, extensions, validity)
    assert breaches(der, "leaf") == ["its issuer has no name"]
    assert parsed.parsed(der).self_issued


def test_names_that_are_no_text() -> None:
    """The verifier compares names byte by byte, so such a certificate may be good; to show it must not fail."""
    authority = Authority.create(key="rsa2048")
    made = authority.issue(SERVER_NAME)
    odd = x509.load_der_x509_certificate(made.chain[0]).tbs_certificate_bytes
    odd = odd.replace(b"\x0c\x0dhandfast test0", b"\x0c\x0dhandfast \xff\xff\xff\xff0")
    signature = authority.key.sign(odd, padding.PKCS1v15(), hashes.SHA256())
    original = x509.load_der_x509_certificate(made.chain[0]).tbs_certificate_bytes
    der = made.chain[0].replace(original, odd)[: -len(signature)] + signature
    assert der != made.chain[0]
    peer = ChainVerifier(authority.trust).verify_server((der,), SERVER_NAME, NOW)
    assert peer.subject == ""
    assert peer.subject_alternative_names == (f"DNS:{SERVER_NAME}",)
    assert refused((der,), root().trust).reason is reasons.CERTIFICATE_UNREADABLE


def test_an_exemption_needs_a_whole_path() -> None:
    authority = ed25519_root()
    good = Path((parsed.parsed(authority.issue(SERVER_NAME).chain[0]), parsed.parsed(authority.der)), (), anchored=True)
    assert policy._is_exempt(good)
    assert not policy._is_exempt(replace(good, anchored=False))
    assert not policy._is_exempt(replace(good, forged=0))
    assert not policy._is_exempt(replace(good, unchecked=True))


# --- the rest -----------------------------------------------------------------------------------------------------------


def test_a_name_is_needed() -> None:
    with pytest.raises(ConfigurationError):
        ChainVerifier(root().trust).verify_server(chain("good_chain").chain, None, NOW)


def test_policies() -> None:
    assert Policy() == Policy([])
    assert Policy(["missing-key-usage"]) == Policy([Rule.MISSING_KEY_USAGE]) == Policy("missing-key-usage")
    assert hash(Policy(Rule)) == hash(Policy(Rule))
    with pytest.raises(AttributeError):
        Policy().relax = frozenset(Rule)  # type: ignore[misc]
    with pytest.raises(ConfigurationError) as caught:
        Policy(["everything"])
    assert caught.value.evidence["known"] == [rule.value for rule in Rule]
    assert repr(ChainVerifier(root().trust, Policy("missing-key-usage"))).endswith("without missing-key-usage>")
    assert repr(ChainVerifier(root().trust)).endswith("1 root>>")


def test_no_verification() -> None:
    verifier = insecure.NoVerification()
    for name in BROKEN:
        case = chain(name)
        if name == "unreadable":
            with pytest.raises(errors.CertificateUnreadable):
                verifier.verify_server(case.chain, case.server_name, NOW)
            continue
        peer = verifier.verify_server(case.chain, case.server_name, NOW)
        assert (peer.verified_by, peer.path, peer.chain) == ("nothing", (), case.chain)
    assert verifier.verify_server(chain("good_chain").chain, None, NOW).server_name is None
    with pytest.raises(CertificateError) as caught:
        verifier.verify_server((), SERVER_NAME, NOW)
    assert caught.value.reason is reasons.NO_CERTIFICATE
    assert "anybody" in repr(verifier)


def test_no_verification_of_a_key_that_nobody_knows() -> None:
    der = chain("good_chain").chain[0]
    unknown = der.replace(bytes.fromhex("06082a8648ce3d030107"), bytes.fromhex("06082a8648ce3d03017f"))
    assert unknown != der
    with pytest.raises(errors.UnusableKey):
        insecure.NoVerification().verify_server((unknown,), SERVER_NAME, NOW)
    error = refused((unknown,), root().trust)
    assert isinstance(error, CertificateError)


def test_large_certificates_are_not_kept() -> None:
    names = [f"a-rather-long-name-to-make-this-certificate-large-{number}.example" for number in range(150)]
    made = root().issue(*names)
    assert len(made.chain[0]) > parsed.CACHED_BYTES
    assert parsed.parsed(made.chain[0]) is not parsed.parsed(made.chain[0])
    assert ChainVerifier(root().trust).verify_server(made.chain, names[7], NOW)
    assert parsed.parsed(root().der) is parsed.parsed(bytes(bytearray(root().der)))


_MADE = chain("intermediate_sent")


@settings(max_examples=300)
@given(st.integers(0, 1), st.integers(0, 8 * 400 - 1))
def test_a_flipped_bit_is_never_accepted_and_never_a_crash(which: int, bit: int) -> None:
    sent = list(_MADE.chain)
    changed = bytearray(sent[which])
    changed[bit // 8 % len(changed)] ^= 1 << bit % 8
    sent[which] = bytes(changed)
    with pytest.raises(TLSError):
        ChainVerifier(_MADE.trust).verify_server(sent, SERVER_NAME, NOW)


@given(st.integers(0, 600), st.binary(max_size=40))
def test_a_cut_certificate_is_unreadable(length: int, tail: bytes) -> None:
    leaf = _MADE.chain[0]
    broken = leaf[: length % len(leaf)] + tail
    if broken == leaf:
        return
    with pytest.raises(CertificateError):
        ChainVerifier(_MADE.trust).verify_server([broken], SERVER_NAME, NOW)


@given(st.permutations(range(4)))
def test_the_order_of_intermediates_does_not_matter(order: list[int]) -> None:
    case = chain("any_order")
    sent = (case.chain[0], *(case.chain[1:][index] for index in order))
    assert len(ChainVerifier(case.trust).verify_server(sent, SERVER_NAME, NOW).path) == 4
