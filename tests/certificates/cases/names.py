"""For whom certificates are."""

from __future__ import annotations

from cryptography import x509

from handfast.testing.chains import SERVER_NAME
from tests.certificates.forging import element
from tests.certificates.making import (
    NAME,
    NAMELESS,
    RULE,
    Group,
    Made,
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
case(
    "a zero byte in a name that was not asked for",
    lambda: raw_names(element(0x82, b"server.example") + element(0x82, b"a.example\0.evil.example")),
    RULE,
    'its DNS name "a.example\\x00.evil.example" has U+0000, which cannot be printed',
)
case(
    "the end of a line in a client's URI",
    lambda: _client(element(0x86, b"spiffe://example.org/a\r\nX-Admin: 1")),
    RULE,
    "has U+000D, which cannot be printed",
)
case(
    "an escape sequence in a client's e-mail address",
    lambda: _client(element(0x81, b"a\x1b[2J@example.org")),
    RULE,
    "its e-mail address",
)
case(
    "a second name within a client's DNS name",
    lambda: _client(element(0x82, b"client.example, DNS:admin.example")),
    RULE,
    "has a comma, which ends a name in a list of them",
)
case(
    "a second name within a client's URI",
    lambda: _client(element(0x86, b"spiffe://example.org/a, DNS:admin.example")),
    RULE,
    "has a comma, which ends a name in a list of them",
)
case("a comma in a client's URI", lambda: _client(element(0x86, b"https://example.org/a,b")))
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


def _client(names: bytes) -> Made:
    """A client with any content of its subjectAltName."""
    return presented(raw_names(names, usage=("client",)), name=None, client=True)
