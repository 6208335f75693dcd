"""Names that authorities may issue for, by kind: what a constraint holds and what it does not."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from handfast.certificates import constraints
from handfast.certificates.parsed import parsed
from handfast.certificates.policy import ChainVerifier
from handfast.certificates.store import TrustStore
from handfast.errors import CertificateUnreadable
from handfast.testing.authority import certify
from handfast.testing.chains import root
from handfast.testing.keys import new_key
from tests.certificates.forging import forged


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
def test_mailboxes_of_a_subject_count_where_there_is_no_other_name(mailbox: str, held: bool) -> None:
    """RFC 5280 section 4.2.1.10. Clients without subjectAltName are let in by the name of the rule."""
    limits = x509.NameConstraints([x509.RFC822Name("example.com")], None)
    authority = root().intermediate(extensions={x509.NameConstraints: (limits, False)})
    names = x509.Name([x509.NameAttribute(NameOID.EMAIL_ADDRESS, mailbox)])
    for san, counts in ((False, True), (True, False)):
        key = new_key("p256")
        own = authority.leaf_extensions(key, ["a.example"] if san else [], ["client"])
        if not san:
            own[x509.SubjectAlternativeName] = None
        valid = (authority.certificate.not_valid_before_utc, authority.certificate.not_valid_after_utc)
        der = certify(names, key.public_key(), authority.certificate.subject, authority.key, own, valid)
        found = constraints.violation(parsed(authority.der), parsed(der), constraints.Budget())
        assert (found is None) is (held or not counts)


@pytest.mark.parametrize(
    ("limit", "name", "held"),
    [
        ("example.org", "spiffe://example.org/web", True),
        ("example.org", "spiffe://EXAMPLE.org/web", True),
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
        return found, constraints.COMPARISONS - budget.left

    found, spent = told(20, 3)
    assert found is None
    assert 20 * 20 + 40 * 4 <= spent <= 21 * 20 + 40 * 4 + 4
    assert told(90, 99) == (constraints.TOO_MANY, 0)


NO_TEXT = bytes.fromhex("300f310d300b060355040a0c04fffefdfc")  # an organization that is no UTF-8


def test_a_subject_that_cannot_be_read_is_refused_where_it_would_have_to_be_compared() -> None:
    """`cryptography`'s verifier accepts it: it compares names as bytes."""
    limits = x509.NameConstraints(None, [directory((ORGANIZATION, "somebody else"))])
    limited = root().intermediate(extensions={x509.NameConstraints: (limits, False)})
    for authority, refused in ((limited, True), (root().intermediate(), False)):
        der = authority.issue("a.example").chain[0]
        odd = forged(der, authority.key, lambda fields: fields.update(subject=NO_TEXT))
        verifier = ChainVerifier(TrustStore.from_bytes(root().der))
        if refused:
            with pytest.raises(CertificateUnreadable):
                verifier.verify_server((odd, authority.der), "a.example", datetime.now(UTC))
        else:
            verifier.verify_server((odd, authority.der), "a.example", datetime.now(UTC))


def test_a_sentence_has_ten_constraints_at_most() -> None:
    found = violation([x509.DNSName(f"x{number}.test") for number in range(12)], None, "server.example")
    assert found is not None
    assert found.endswith("x9.test, and 2 more")
