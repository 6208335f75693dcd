"""The rules of the profile, and what is no certificate."""

from __future__ import annotations

from cryptography import x509

from handfast.testing import Authority, chain
from handfast.testing.chains import SERVER_NAME
from tests.certificates.forging import (
    EXTENSIONS,
    SEQUENCE,
    SET,
    VERSION,
    Fields,
    element,
    forged,
    generalized,
    inside,
    split,
)
from tests.certificates.making import (
    NAMELESS,
    RULE,
    UNREADABLE,
    Group,
    Made,
    changed,
    constrained,
    leaf,
    leaf_with,
    presented,
    root,
    shared,
)

GROUP = Group("The profile")
case = GROUP.case
for _name in (
    "critical_san",
    "uncritical_san",
    "critical_usage",
    "critical_policies",
    "missing_aki",
    "incomplete_aki",
    "missing_ski",
    "root_without_key_usage",
    "uncritical_basic_constraints",
    "ca_as_leaf",
):
    _rule = chain(_name).relax
    assert _rule is not None
    case(f"`{_rule}`", shared(_name), RULE, f"relax: {_rule}")
case(
    "an authority without authorityKeyIdentifier",
    lambda: root().intermediate(extensions={x509.AuthorityKeyIdentifier: None}).issue(SERVER_NAME),
    RULE,
    "relax: missing-authority-key-identifier",
)


def _root_without_identifier() -> Made:
    authority = Authority.create(extensions={x509.SubjectKeyIdentifier: None})
    return presented(authority.issue(SERVER_NAME), authority)


case("a trusted root without subjectKeyIdentifier", _root_without_identifier)
case(
    "an authorityKeyIdentifier of another key",
    lambda: leaf_with((x509.AuthorityKeyIdentifier(b"another" * 3, None, None), False)),
)
case(
    "a critical subjectKeyIdentifier of a server",
    lambda: leaf_with((x509.SubjectKeyIdentifier(b"own key" * 3), True)),
)


def _authority_without_text() -> tuple[bytes, ...]:
    """Its name is no UTF-8; those who compare names as bytes can follow it."""
    authority = root().intermediate("another")

    def change(fields: Fields) -> None:
        for which in fields.keys() & {"issuer", "subject"}:
            fields[which] = fields[which].replace(b"another", b"anoth\xff\xff")

    below = forged(authority.issue(SERVER_NAME).chain[0], authority.key, change)
    return below, forged(authority.der, root().key, change)


case("an authority whose name is no text", _authority_without_text)
case("self-signed as `openssl req -x509` does it, and trusted", shared("self_signed_and_trusted"))
case("an unknown critical extension", shared("unknown_critical_extension"), RULE, "is not understood here")
case("two signature algorithms", shared("two_signature_algorithms"), RULE, "two signature algorithms")
case(
    "a negative serial number",
    lambda: changed(lambda fields: fields.update(serial=bytes.fromhex("0201ff"))),
    RULE,
    "negative or too long",
)
case(
    "a serial number of 22 bytes",
    lambda: changed(lambda fields: fields.update(serial=element(0x02, b"\x01" * 22))),
    RULE,
    "negative or too long",
)
case(
    "a date in the form of a later century",
    lambda: changed(generalized(1)),
    RULE,
    "it has a date before 2050 as a GeneralizedTime, and not as a UTCTime",
)
case(
    "version 1",
    lambda: changed(lambda fields: fields.update(version=b"", extensions=b""), common_name=SERVER_NAME),
    NAMELESS,
)
case(
    "version 2 with extensions",
    lambda: changed(lambda fields: fields.update(version=element(VERSION, bytes.fromhex("020101")))),
    UNREADABLE,
    "certificate 1 of 1; problem: it is of version 2",
)
case(
    "nameConstraints in a server's certificate",
    lambda: leaf_with(constrained([x509.DNSName("example")])),
    RULE,
    "nameConstraints stands in a certificate that is no authority's",
)


def _twice(fields: Fields) -> None:
    own = split(inside(inside(fields["extensions"])))
    fields["extensions"] = element(EXTENSIONS, element(SEQUENCE, *own, own[-1]))


case("an extension twice", lambda: changed(_twice), UNREADABLE, "it has the extension subjectAltName (2.5.29.17) twice")
case("a cut certificate", shared("unreadable"), UNREADABLE, "it is cut: of ")
case("bytes behind the certificate", lambda: (leaf().chain[0] + b"\0\0",), UNREADABLE, "2 more follow")
case(
    "a set where a list belongs",
    lambda: changed(lambda fields: fields.update(subject=bytes([SET]) + fields["subject"][1:])),
    UNREADABLE,
)
case("a text that is no certificate", lambda: (b"-----BEGIN CERTIFICATE-----",), UNREADABLE)
