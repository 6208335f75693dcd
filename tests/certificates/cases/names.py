"""For whom certificates are."""

from __future__ import annotations

from cryptography import x509

from handfast.testing.chains import SERVER_NAME
from tests.certificates.forging import element
from tests.certificates.making import (
    NAME,
    NAMELESS,
    Group,
    alternatives,
    leaf,
    leaf_with,
    presented,
    raw_names,
    root,
    shared,
)

GROUP = Group("Names")
case = GROUP.case
case("for other names", shared("wrong_name"), NAME, "certificate is for: DNS:other.example", "wrong.host")
case("a common name alone", shared("common_name_only"), NAMELESS, f"common name: {SERVER_NAME}", "no-common-name")
case("no name at all", lambda: root().issue(common_name=""), NAMELESS, "subject: (empty)", "no-subject")
case(
    "a wildcard, and two labels below it",
    lambda: presented(leaf("*.example"), name="a.b.example"),
    NAME,
    "stands for one label, and a.b.example has more below example",
)
case(
    "a wildcard, and the name above it",
    lambda: leaf("*.server.example"),
    NAME,
    "stands for the names right below server.example, and not for server.example itself",
)
case("a wildcard for a whole top-level domain", lambda: leaf("*.example"), NAME, "which nobody owns")
case("a wildcard for everything", lambda: leaf("*"), NAME)
case("a wildcard within a label", lambda: leaf("s*.example"), NAME, "a wildcard that is not a whole label")
case(
    "a wildcard in the middle",
    lambda: presented(leaf("www.*.example"), name="www.server.example"),
    NAME,
)
case("with www, without www asked", lambda: leaf("www.server.example"), NAME, "it is for www.server.example, and not")
case("a name that ends in a dot", lambda: leaf("server.example."), NAME, "ends in a dot")
case(
    "another address",
    shared("wrong_address"),
    NAME,
    "certificate is for: IP:127.0.0.1",
)
case(
    "an address as a DNS name",
    lambda: presented(leaf_with(alternatives(x509.DNSName("192.0.2.1"))), name="192.0.2.1"),
    NAME,
    "the address stands in it as a DNS name",
)
case(
    "an address as the common name",
    lambda: presented(root().issue(common_name="192.0.2.1"), name="192.0.2.1"),
    NAMELESS,
    "common name: 192.0.2.1",
)
case("a service's URI, and no host", lambda: leaf("spiffe://example.org/web"), NAME, "it names a service by URI")
case("an e-mail address, and no host", lambda: leaf("server@server.example"), NAME, "EMAIL:server@server.example")
case("an empty list of names", lambda: raw_names(b""), NAMELESS)
case(
    "a zero byte in a name",
    lambda: raw_names(element(0x82, b"server.example\0.evil.example")),
    NAME,
    "certificate is for: DNS:server.example\\x00.evil.example",
)
case(
    "a name that is not ASCII",
    lambda: presented(raw_names(element(0x82, "b\u00fccher.example".encode())), name="xn--bcher-kva.example"),
    NAME,
    "is not in the form that is compared",
)
case("an internationalised name", lambda: presented(leaf("xn--bcher-kva.example"), name="xn--bcher-kva.example"))
case("another case of letters", lambda: leaf("SERVER.Example"))
case("a wildcard", shared("wildcard"))
case("an address", shared("address"))
case("a thousand names", lambda: leaf(*(f"{n}.example" for n in range(1000)), SERVER_NAME), badssl="1000-sans")
case(
    "a long name",
    lambda: presented(leaf(f"{'long.' * 40}example"), name=f"{'long.' * 40}example"),
    badssl="long-extended-subdomain-name-containing-many-letters-and-dashes",
)
