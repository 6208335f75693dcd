"""What an error about a chain tells: dates, names, usages, rules and switches; and which cause of several."""

from __future__ import annotations

from datetime import timedelta, timezone
from typing import Any

import pytest
from cryptography import x509

from handfast import errors, reasons
from handfast.certificates import parsed, pem
from handfast.certificates.policy import ChainVerifier, Policy
from handfast.certificates.rules import Rule
from handfast.certificates.store import TrustStore
from handfast.testing import Authority, chain
from handfast.testing.chains import SERVER_NAME, root
from tests.unit.certificates.made import NOW, refusal, refused


def test_dates() -> None:
    error = refusal(chain("expired"))
    assert isinstance(error, errors.CertificateExpired)
    not_after = parsed.parsed(chain("expired").chain[0]).not_after
    assert error.not_after == not_after
    assert error.evidence["not_after"] == not_after
    assert error.evidence["now"] == NOW.replace(microsecond=0)
    assert f"not after: {not_after:%Y-%m-%d %H:%M} UTC" in str(error)
    copied = error.copy()
    assert copied.not_after == not_after
    early = refusal(chain("not_yet_valid"))
    assert isinstance(early, errors.CertificateNotYetValid)
    assert early.evidence["not_before"] == early.not_before


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
    assert refusal(chain("wrong_usage")).evidence["problem"] == "extendedKeyUsage allows clientAuth, and not serverAuth"
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


def test_roots_that_were_not_loaded_are_named_where_the_issuer_is_unknown() -> None:
    """It may be the one that is missing."""
    made = Authority.create("another root").issue(SERVER_NAME)
    whole = TrustStore.from_bytes(root().pem)
    assert "skipped" not in refused(made, whole).evidence
    cut = TrustStore.from_bytes(root().pem, pem.certificate(made.chain[0])[:200])
    assert refused(made, cut).evidence["skipped"] == [f"certificate 2: {pem.CUT}"]
    many = TrustStore.from_bytes(root().pem, *[pem.certificate(b"\0")] * 5)
    assert refused(made, many).evidence["skipped"][-1] == "and 2 more"
