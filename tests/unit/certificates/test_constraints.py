"""Names that authorities may issue for, by kind: what a constraint holds and what it does not."""

from __future__ import annotations

from datetime import UTC, datetime
from ipaddress import ip_network
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from handfast import reasons
from handfast.certificates import constraints
from handfast.certificates.names import normalized
from handfast.certificates.parsed import Parsed, parsed
from handfast.certificates.policy import ChainVerifier
from handfast.certificates.store import TrustStore
from handfast.errors import CertificateUnreadable
from handfast.limits import COMPARISONS_OF_A_PATH
from handfast.testing import Authority
from handfast.testing.authority import certify
from handfast.testing.chains import SERVER_NAME, root
from handfast.testing.keys import new_key
from tests.certificates.forging import SEQUENCE, element, forged, raw_extension
from tests.unit.certificates.made import NOW, refused


def violation(permitted: Any, excluded: Any, *names: str, common_name: str = "handfast test") -> str | None:
    """What becomes of a certificate for these names below an authority with these constraints."""
    limits = x509.NameConstraints(permitted, excluded)
    authority = root().intermediate(extensions={x509.NameConstraints: (limits, False)})
    made = authority.issue(*names, common_name=common_name)
    return constraints.violation(parsed(authority.der), parsed(made.chain[0]), constraints.Budget())


@pytest.mark.parametrize(
    ("limit", "name", "held"),
    [
        ("somebody@example.com", "somebody@example.com", True),
        ("somebody@example.com", "somebody@EXAMPLE.com", True),
        ("somebody@EXAMPLE.com", "somebody@example.com", True),
        ("EXAMPLE.com", "somebody@example.com", True),
        ("somebody@example.com", "Somebody@example.com", False),
        ("example.com", "somebody@example.com", True),
        ("example.com", "somebody@sub.example.com", False),
        (".example.com", "somebody@sub.example.com", True),
        (".example.com", "somebody@example.com", False),
        ("example.com", "somebody@notexample.com", False),
    ],
)
def test_mailboxes(limit: str, name: str, held: bool) -> None:
    assert (violation([x509.RFC822Name(limit)], None, name) is None) is held
    assert (violation(None, [x509.RFC822Name(limit)], name) is not None) is held


@pytest.mark.parametrize(("mailbox", "held"), [("root@example.com", True), ("root@evil.example", False)])
def test_mailboxes_of_a_subject_count_whether_there_are_other_names_or_not(mailbox: str, held: bool) -> None:
    """As for OpenSSL and GnuTLS; RFC 5280 section 4.2.1.10 asks for it where there is no subjectAltName."""
    limits = x509.NameConstraints([x509.RFC822Name("example.com")], None)
    authority = root().intermediate(extensions={x509.NameConstraints: (limits, False)})
    names = x509.Name([x509.NameAttribute(NameOID.EMAIL_ADDRESS, mailbox)])
    for san in (False, True):
        key = new_key("p256")
        own = authority.leaf_extensions(key, ["a.example"] if san else [], ["client"])
        if not san:
            own[x509.SubjectAlternativeName] = None
        valid = (authority.certificate.not_valid_before_utc, authority.certificate.not_valid_after_utc)
        der = certify(names, key.public_key(), authority.certificate.subject, authority.key, own, valid)
        found = constraints.violation(parsed(authority.der), parsed(der), constraints.Budget())
        assert (found is None) is held


@pytest.mark.parametrize(
    ("limit", "name", "held"),
    [
        ("example.org", "spiffe://example.org/web", True),
        ("example.org", "spiffe://EXAMPLE.org/web", True),
        ("EXAMPLE.org", "spiffe://example.org/web", True),
        ("example.org", "https://user@example.org:8443/web?x#y", True),
        ("example.org", "https://example.org", True),
        ("example.org", "https://evil.example@example.org/", True),
        ("example.org", "https://example.org@evil.example/", False),
        ("example.org", "https://evil.example/example.org", False),
        ("example.org", "https://evil.example?@example.org", False),
        ("example.org", "https://sub.example.org/", False),
        (".example.org", "https://sub.example.org/", True),
        (".example.org", "https://example.org/", False),
        ("example.org", "https://[2001:db8::1]/", False),
        ("example.org", "urn://", False),
    ],
)
def test_hosts_of_uris(limit: str, name: str, held: bool) -> None:
    assert (violation([x509.UniformResourceIdentifier(limit)], None, name) is None) is held
    assert (violation(None, [x509.UniformResourceIdentifier(limit)], name) is not None) is held


def directory(*parts: tuple[x509.ObjectIdentifier, str]) -> x509.DirectoryName:
    return x509.DirectoryName(x509.Name([x509.NameAttribute(kind, value) for kind, value in parts]))


ORGANIZATION, COMMON_NAME = NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME


@pytest.mark.parametrize(
    ("limit", "held"),
    [
        (directory((ORGANIZATION, "handfast testing")), True),
        (directory((ORGANIZATION, "Handfast  TESTING")), True),
        (directory((ORGANIZATION, "\uff28andfast\u00a0test\u00ading\u200b")), True),  # another H, an unseen hyphen
        (directory((ORGANIZATION, "\uff28andfast testing")), True),
        (directory((ORGANIZATION, "handfast\ttesting")), True),
        (directory((ORGANIZATION, "handfasttesting")), False),
        (directory((ORGANIZATION, "handfast testing"), (COMMON_NAME, "somebody")), True),
        (directory((ORGANIZATION, "handfast testing"), (COMMON_NAME, "nobody")), False),
        (directory((COMMON_NAME, "somebody")), False),
        (directory((ORGANIZATION, "somebody else")), False),
        (directory(), True),
    ],
)
def test_subjects(limit: x509.DirectoryName, held: bool) -> None:
    """The verifier does not compare them: it is ours alone that they are held."""
    assert (violation([limit], None, "server.example", common_name="somebody") is None) is held
    assert (violation(None, [limit], "server.example", common_name="somebody") is not None) is held


def test_nobody_s_name_breaks_no_constraint() -> None:
    assert violation([directory((ORGANIZATION, "somebody else"))], None, "server.example", common_name="") is None


def test_attributes_that_are_no_text_are_compared_as_they_are() -> None:
    def directory_of(value: bytes) -> x509.DirectoryName:
        kind = NameOID.X500_UNIQUE_IDENTIFIER
        return x509.DirectoryName(x509.Name([x509.NameAttribute(kind, value, x509.name._ASN1Type.BitString)]))

    authority = root().intermediate(extensions={x509.NameConstraints: (_permitting(directory_of(b"\0one")), False)})
    made = authority.issue("server.example").chain[0]
    for value, held in ((b"\0one", True), (b"\0two", False)):
        subject = directory_of(value).value.public_bytes()
        own = forged(made, authority.key, lambda fields, subject=subject: fields.update(subject=subject))
        assert (violation_of(parsed(authority.der), parsed(own)) is None) is held


def _permitting(limit: x509.GeneralName) -> x509.NameConstraints:
    return x509.NameConstraints([limit], None)


@pytest.mark.parametrize("half", [0xA0, 0xA1])
@pytest.mark.parametrize("distance", [0x80, 0x81])
@pytest.mark.parametrize("unique", [b"", element(0x81, b"\0one") + element(0x82, b"\0two")])
def test_distances_are_not_understood(half: int, distance: int, unique: bytes) -> None:
    """As RFC 5280 section 4.2.1.10 has it. In the second tree of a half, too, and behind unique identifiers."""
    plain = element(SEQUENCE, element(0x82, b"example"))
    for trees, understood in (
        ([plain, plain], True),
        ([plain, element(SEQUENCE, element(0x82, b"example"), element(distance, b"\1"))], False),
    ):
        odd = raw_extension("2.5.29.30", element(SEQUENCE, element(half, *trees)))
        made = root().intermediate(extensions={x509.UnrecognizedExtension: (odd, True)})
        der = forged(made.der, root().key, lambda fields: fields.update(key=fields["key"] + unique))
        below = parsed(made.issue("server.test").chain[0])
        assert (constraints.not_understood(parsed(der), below) is None) is understood


def test_what_is_not_understood() -> None:
    def told(limit: x509.GeneralName, name: str, *, critical: bool) -> str | None:
        extensions = {x509.NameConstraints: (x509.NameConstraints([limit], None), critical)}
        authority = root().intermediate(extensions=extensions)
        return constraints.not_understood(parsed(authority.der), parsed(authority.issue(name).chain[0]))

    uri, name = x509.UniformResourceIdentifier("example.org"), directory((ORGANIZATION, "handfast testing"))
    assert told(uri, "spiffe://example.org/web", critical=True) == "URIs"
    assert told(uri, "server.example", critical=True) is None
    assert told(name, "server.example", critical=True) == "directory names"
    assert told(name, "server.example", critical=False) is None
    assert told(x509.DNSName("example"), "server.example", critical=True) is None
    assert constraints.not_understood(parsed(root().der), parsed(root().der)) is None


def test_directory_names_beyond_the_budget_are_refused() -> None:
    """Nobody else would compare them."""
    limits = [directory((ORGANIZATION, "handfast testing")), *(x509.DNSName(f"x{n}.test") for n in range(150))]
    found = violation(limits, None, *(f"n{number}.example" for number in range(120)))
    assert found == constraints.TOO_MANY


def test_directory_names_are_read_once_and_long_ones_count_for_more() -> None:
    """A name of forty parts takes forty times as long as one of a single part."""

    def long(number: int, parts: int) -> x509.DirectoryName:
        return directory(*[(NameOID.ORGANIZATIONAL_UNIT_NAME, "a")] * parts, (COMMON_NAME, str(number)))

    def told(names: int, parts: int) -> tuple[str | None, int]:
        limits = x509.NameConstraints(None, [long(number, parts) for number in range(names)])
        authority = root().intermediate(extensions={x509.NameConstraints: (limits, False)})
        subjects = x509.SubjectAlternativeName([long(-1 - number, parts) for number in range(names)])
        issued = authority.issue("a.example", extensions={x509.SubjectAlternativeName: (subjects, False)})
        budget = constraints.Budget()
        found = constraints.violation(parsed(authority.der), parsed(issued.chain[0]), budget)
        return found, COMPARISONS_OF_A_PATH - budget.left

    found, spent = told(20, 3)
    assert found is None
    assert 20 * 20 + 40 * 4 <= spent <= 21 * 20 + 40 * 4 + 4
    assert told(90, 99) == (constraints.TOO_MANY, 0)


NO_TEXT = bytes.fromhex("300f310d300b060355040a0c04fffefdfc")  # an organization that is no UTF-8


def test_a_subject_that_cannot_be_read_is_refused_where_it_would_have_to_be_compared() -> None:
    """`cryptography`'s verifier accepts it: it compares names as bytes."""
    limits = x509.NameConstraints(None, [directory((ORGANIZATION, "somebody else"))])
    limited = root().intermediate(extensions={x509.NameConstraints: (limits, False)})
    for authority, unreadable in ((limited, True), (root().intermediate(), False)):
        der = authority.issue("a.example").chain[0]
        odd = forged(der, authority.key, lambda fields: fields.update(subject=NO_TEXT))
        verifier = ChainVerifier(TrustStore.from_bytes(root().der))
        if unreadable:
            with pytest.raises(CertificateUnreadable):
                verifier.verify_server((odd, authority.der), "a.example", datetime.now(UTC))
        else:
            verifier.verify_server((odd, authority.der), "a.example", datetime.now(UTC))


def test_a_sentence_has_ten_constraints_at_most() -> None:
    found = violation([x509.DNSName(f"x{number}.test") for number in range(12)], None, "server.example")
    assert found is not None
    assert found.endswith("x9.test, and 2 more")


# --- beside the verifier --------------------------------------------------------------------------------------------------


def violation_of(authority: Parsed, certificate: Parsed) -> str | None:
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
        ([], ["A.example"], ["a.example"], True),
        ([], ["b.a.example"], ["a.example"], False),
        ([], ["b.example"], ["*.a.example"], False),
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
    found = violation_of(parsed(authority.der), parsed(made.chain[0]))
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
    assert parsed(renewed.der).self_issued
    assert len(ChainVerifier(top.trust).verify_server(renewed.issue(SERVER_NAME).chain, SERVER_NAME, NOW).path) == 3
    other = top.intermediate("another name", extensions={x509.SubjectAlternativeName: (alternative, False)})
    assert refused(other.issue(SERVER_NAME), top.trust).certificate == top.der


def test_a_peer_that_has_its_issuer_s_name_is_held_to_constraints() -> None:
    """RFC 5280 section 4.2.1.10: only authorities that name themselves are not. Nobody else compares directory names."""
    limits = x509.NameConstraints([directory((ORGANIZATION, "somebody else"))], None)
    authority = root().intermediate(extensions={x509.NameConstraints: (limits, False)})
    made = authority.issue(SERVER_NAME).chain[0]
    own = forged(made, authority.key, lambda fields: fields.update(subject=fields["issuer"]))
    error = refused((own, authority.der), root().trust)
    assert error.evidence["rule"].endswith("its nameConstraints permit only O=somebody else")


def test_an_authority_of_another_name_is_held_to_constraints() -> None:
    limits = x509.NameConstraints(None, [directory((ORGANIZATION, "handfast testing"), (COMMON_NAME, "lower"))])
    authority = root().intermediate(extensions={x509.NameConstraints: (limits, False)})
    made = authority.intermediate("lower")
    error = refused(made.issue(SERVER_NAME), root().trust)
    assert error.certificate == authority.der
    assert error.evidence["rule"].startswith("it may not issue for CN=lower,O=handfast testing")


def test_too_many_constraints_are_not_compared() -> None:
    limits = x509.NameConstraints(None, [x509.DNSName(f"{number}.example") for number in range(130)])
    authority = root().intermediate(extensions={x509.NameConstraints: (limits, True)})
    made = authority.issue(*(f"{number}.example" for number in range(130)))
    assert violation_of(parsed(authority.der), parsed(made.chain[0])) is None
    error = refused(made, root().trust, name="1.example")
    assert error.evidence["rule"] == constraints.TOO_MANY


def test_certificates_without_names_break_no_constraint() -> None:
    limits = x509.NameConstraints([x509.DNSName("example")], None)
    authority = root().intermediate(extensions={x509.NameConstraints: (limits, True)})
    assert violation_of(parsed(authority.der), parsed(root().der)) is None
    assert violation_of(parsed(root().der), parsed(authority.der)) is None
