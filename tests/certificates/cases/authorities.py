"""What an authority may issue."""

from __future__ import annotations

from cryptography import x509

from handfast.certificates.policy import Policy
from handfast.testing import Authority, IssuedIdentity
from handfast.testing.chains import SERVER_NAME
from tests.certificates.forging import SEQUENCE, element, forged, raw_extension
from tests.certificates.making import (
    COMPARISONS,
    RULE,
    Group,
    Made,
    below,
    between,
    constrained,
    directory,
    presented,
    root,
    shared,
)

GROUP = Group("What an authority may issue")
case = GROUP.case
case(
    "a name outside of what is permitted",
    shared("outside_name_constraints"),
    RULE,
    "may not issue for server.example: its nameConstraints permit only other.example",
)
case(
    "an address that is excluded",
    shared("excluded_by_name_constraints"),
    RULE,
    "127.0.0.1: its nameConstraints exclude 127.0.0.0/8",
)
case(
    "a wildcard that reaches into what is excluded",
    lambda: presented(
        below(constrained(None, [x509.DNSName("secret.server.example")]), names=["*.server.example"]),
        name="www.server.example",
    ),
    RULE,
    "*.server.example: its nameConstraints exclude secret.server.example",
)
case(
    "an e-mail address of another host",
    lambda: presented(
        root()
        .intermediate(extensions={x509.NameConstraints: constrained([x509.RFC822Name("example.com")])})
        .issue("somebody@example.org", usage=("client",)),
        name=None,
        client=True,
    ),
    RULE,
    "somebody@example.org: its nameConstraints permit only example.com",
)
case(
    "an e-mail address of another host in the subject",
    lambda: _with_mailbox("somebody@example.org"),
    RULE,
    "somebody@example.org: its nameConstraints permit only example.com",
)
case(
    "a subject of another organization",
    lambda: below(constrained([directory("somebody else")], critical=False)),
    RULE,
    "CN=handfast test,O=handfast testing: its nameConstraints permit only O=somebody else",
)
case(
    "a critical constraint of directory names",
    lambda: below(constrained([directory("handfast testing")])),
    RULE,
    "limit directory names, which is not understood here",
)
case(
    "a service outside of its trust domain",
    lambda: presented(
        root()
        .intermediate(extensions={x509.NameConstraints: constrained([x509.UniformResourceIdentifier("example.org")])})
        .issue("spiffe://example.com/web", usage=("client",)),
        name=None,
        client=True,
    ),
    RULE,
    "spiffe://example.com/web: its nameConstraints permit only example.org",
)
case(
    "a constraint with a dot in front",
    lambda: below(constrained([x509.DNSName(".example")])),
    RULE,
    'have the DNS name ".example", which has to be without the dot in front',
)
case(
    "a constraint that is no DNS name",
    lambda: below(constrained([x509.DNSName("exa_mple"), x509.DNSName("example")])),
    RULE,
    'have "exa_mple", which is no DNS name',
)
case(
    "a name with an underscore, below a constraint",
    lambda: below(constrained([x509.DNSName("example")]), names=[SERVER_NAME, "a_b.example"]),
    RULE,
    "certificate 1 of 2",
)
case(
    "a constraint with a minimum",
    lambda: below((_constraint_with(0x80), True)),
    RULE,
    "limit names by how far below they are, which is not understood here",
)
case(
    "a constraint with a maximum",
    lambda: below((_constraint_with(0x81), False)),
    RULE,
    "limit names by how far below they are, which is not understood here",
)
case(
    "constraints, and an Ed25519 authority",
    lambda: _edwards().issue(SERVER_NAME),
    RULE,
    "in a path with an authority whose key is ed25519",
)


def _constraint_with(distance: int) -> x509.UnrecognizedExtension:
    """What permits "example", with 1 as the minimum (0x80) or maximum (0x81)."""
    tree = element(SEQUENCE, element(0x82, b"example"), element(distance, b"\1"))
    return raw_extension("2.5.29.30", element(SEQUENCE, element(0xA0, tree)))


def _with_mailbox(mailbox: str) -> Made:
    """A server's certificate with its name in the subjectAltName, and a mailbox in its subject."""
    limits = constrained([x509.RFC822Name("example.com")])
    authority = root().intermediate(extensions={x509.NameConstraints: limits})
    subject = x509.Name([x509.NameAttribute(x509.NameOID.EMAIL_ADDRESS, mailbox)]).public_bytes()
    own = forged(authority.issue(SERVER_NAME).chain[0], authority.key, lambda fields: fields.update(subject=subject))
    return presented((own, authority.der))


def _edwards() -> Authority:
    limits = constrained([x509.DNSName("example")])
    return root().intermediate(key="ed25519", extensions={x509.NameConstraints: limits})


case(
    "more authorities than one of them allows",
    shared("path_too_long"),
    RULE,
    "1 authority is below it, and it allows none",
)


def _too_many_names() -> Made:
    excluded = x509.NameConstraints(None, [x509.DNSName(f"x{number}.test") for number in range(300)])
    authority = Authority.create(extensions={x509.NameConstraints: (excluded, True)})
    return presented(authority.issue(SERVER_NAME, *(f"n{number}.example" for number in range(1_000))), authority)


case("a thousand names below 300 constraints", _too_many_names, COMPARISONS, "limit: 262144")


def _deep(count: int) -> IssuedIdentity:
    authority = root()
    for number in range(count):
        authority = authority.intermediate(f"authority {number}")
    return authority.issue(SERVER_NAME)


case("eight authorities", lambda: _deep(8))
case("nine authorities", lambda: _deep(9), RULE, "more than 8 authorities")
case(
    "one authority where none is allowed",
    lambda: presented(between().issue(SERVER_NAME), policy=Policy(depth=0)),
    RULE,
    "and none is allowed",
)
