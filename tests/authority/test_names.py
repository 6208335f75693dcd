"""Names of certificates, and the limits of authorities."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from ipaddress import ip_network

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from handfast import ConfigurationError, reasons
from handfast.authority import Limits
from handfast.authority.lifetimes import lifetime
from handfast.authority.names import general_name, general_names, text_of
from handfast.authority.outputs import file_name

GOOD = {
    "www.Example.com": ("dns", "www.example.com"),
    "example.com.": ("dns", "example.com"),
    "localhost": ("dns", "localhost"),
    "*.example.com": ("dns", "*.example.com"),
    "bücher.example": ("dns", "xn--bcher-kva.example"),
    "192.0.2.1": ("ip", "192.0.2.1"),
    "::1": ("ip", "::1"),
    "[2001:DB8::1]": ("ip", "2001:db8::1"),
    "alice@Example.com": ("email", "alice@example.com"),
    "a.b+c@bücher.example": ("email", "a.b+c@xn--bcher-kva.example"),
    "spiffe://example.org/web/1": ("uri", "spiffe://example.org/web/1"),
    "https://example.com/id?x=1": ("uri", "https://example.com/id?x=1"),
    "dns:example.com": ("dns", "example.com"),
    "DNS:*.example.com": ("dns", "*.example.com"),
    "ip:192.0.2.1": ("ip", "192.0.2.1"),
    "email:a@example.com": ("email", "a@example.com"),
    "uri:urn-like://host/x": ("uri", "urn-like://host/x"),
}
KINDS = {"dns": x509.DNSName, "ip": x509.IPAddress, "email": x509.RFC822Name, "uri": x509.UniformResourceIdentifier}
BAD = {
    "": "empty",
    "a..b": "empty",
    "a_b.example": "letters, digits",
    "Alice Smith": "letters, digits",
    "*.com": "two labels",
    "*": "one whole label, the first of three or more",
    "*.*.example.com": "one whole label",
    "w*.example.com": "one whole label",
    "a.*.example.com": "one whole label",
    "www.*": "one whole label",
    "1.2.3": "ends in a number",
    "192.0.2.256": "ends in a number",
    "192.0.2.0/24": "letters, digits",
    "fe80::1%eth0": "zone",
    "dns:192.0.2.1": "no DNS name",
    "ip:example.com": "no IP address",
    "@example.com": "e-mail",
    "a b@example.com": "e-mail",
    '"a"@example.com': "e-mail",
    "a@": "empty",
    "a@b@example.com": "e-mail",
    "a@192.0.2.1": "no IP address",
    "a@[::1]": "no IP address",
    "26@00::1%et": "no IP address",
    "https://": "scheme and a host",
    "://example.com": "scheme and a host",
    "https://exa mple.com/": "printable ASCII",
    "https://bücher.example/": "printable ASCII",
    "https://[::1/": "no URI",
    "https://evil.example\\@example.com/": "would not agree on the host",
    "https://example.com@evil.example/": "would not agree on the host",
    "https://example.com/<a>": "would not agree on the host",
    "https://a.example/\x1b[31m": "printable ASCII",
    "spiffe://example.org": "trust domain itself",
    "spiffe://example.org/": "each part",
    "spiffe://example.org/a/": "each part",
    "spiffe://example.org/a//b": "each part",
    "spiffe://example.org/../b": "each part",
    "spiffe://example.org/a?b": "each part",
    "spiffe://example.org/a%20b": "each part",
    "spiffe://Example.org/a": "trust domain",
    "spiffe://example.org:8443/a": "trust domain",
    "spiffe://user@example.org/a": "trust domain",
    "SPIFFE://example.org/a": "small letters",
    "spiffe://example.org/" + "a" * 2048: "2048 bytes",
}


@pytest.mark.parametrize("text", GOOD)
def test_names_that_are_issued(text: str) -> None:
    kind, value = GOOD[text]
    found = general_name(text)
    assert type(found) is KINDS[kind]
    assert text_of(found) == value


@pytest.mark.parametrize("text", BAD)
def test_names_that_are_not(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        general_name(text)
    assert caught.value.reason is reasons.NAME_NOT_ISSUED
    assert BAD[text] in str(caught.value.evidence["problem"])


@given(st.text(max_size=60))
def test_any_text_is_a_name_or_a_refusal(text: str) -> None:
    with contextlib.suppress(ConfigurationError):
        x509.SubjectAlternativeName([general_name(text)]).public_bytes()


def test_one_limit_may_stand_by_itself() -> None:
    """As text it is a sequence too, of letters: each would be a domain."""
    assert Limits.of("example", "10.0.0.0/8") == Limits.of(["example"], ["10.0.0.0/8"])
    assert Limits.allowing("example") == Limits.allowing(["example"])


def test_each_name_once() -> None:
    assert len(general_names(["a.example", "A.example.", "dns:a.example", "b.example"])) == 2


# --- limits -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("permitted", "excluded", "within", "outside"),
    [
        (
            ["example.com"],
            [],
            ["example.com", "a.b.example.com", "*.example.com", "a@example.com", "spiffe://example.com/a"],
            ["example.org", "notexample.com", "com", "10.0.0.1", "::1", "a@example.org", "spiffe://example.org/a"],
        ),
        (["10.0.0.0/8"], [], ["10.1.2.3"], ["11.0.0.1", "::1", "example.com", "a@example.com"]),
        (["2001:db8::/32", "a.example"], [], ["2001:db8::1", "a.example"], ["10.0.0.1", "2001:db9::1"]),
        ([], ["example.com", "10.0.0.0/8"], ["example.org", "192.0.2.1"], ["example.com", "a.example.com", "10.9.9.9"]),
        ([], ["secret.example.com"], ["www.example.com"], ["*.example.com", "a.secret.example.com"]),
        (["example.com"], ["secret.example.com"], ["www.example.com"], ["x.secret.example.com", "*.example.com"]),
        ([".example.com"], [], ["example.com"], ["example.org"]),
        (["192.0.2.1"], [], ["192.0.2.1"], ["192.0.2.2"]),
    ],
)
def test_limits(permitted: list[str], excluded: list[str], within: list[str], outside: list[str]) -> None:
    limits = Limits.of(permitted, excluded)
    assert limits
    for text in within:
        limits.check([general_name(text)])
    for text in outside:
        with pytest.raises(ConfigurationError) as caught:
            limits.check([general_name(text)])
        assert caught.value.reason is reasons.NAME_NOT_ISSUED


def test_no_limits() -> None:
    limits = Limits.of()
    assert not limits
    assert limits.extension() is None
    limits.check(general_names(["example.com", "192.0.2.1"]))


def test_what_is_not_permitted_is_excluded_in_the_certificate() -> None:
    names = Limits.of(["example.com"]).extension()
    assert names is not None
    assert names.permitted_subtrees == [x509.DNSName("example.com")]
    assert names.excluded_subtrees == [
        x509.IPAddress(ip_network("0.0.0.0/0")),
        x509.IPAddress(ip_network("::/0")),
    ]
    addresses = Limits.of(["10.0.0.0/8"]).extension()
    assert addresses is not None
    assert addresses.excluded_subtrees == [x509.DNSName(""), x509.IPAddress(ip_network("::/0"))]
    excluding = Limits.of([], ["a.example"]).extension()
    assert excluding is not None
    assert excluding.permitted_subtrees is None


@pytest.mark.parametrize("text", ["a b", "10.0.0.1/8", "300.0.0.0/8", "", "a@b.example"])
def test_what_is_no_limit(text: str) -> None:
    for make in (lambda: Limits.of([text]), lambda: Limits.of([], [text]), lambda: Limits.allowing([text])):
        with pytest.raises(ConfigurationError) as caught:
            make()
        assert caught.value.evidence["setting"] in ("permit", "exclude", "allow")
        assert "neither a domain" in str(caught.value)


# --- times and files ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [("90m", timedelta(minutes=90)), ("24h", timedelta(1)), (" 30D ", timedelta(30)), ("10y", timedelta(3650))],
)
def test_lifetimes(text: str, value: timedelta) -> None:
    assert lifetime(text) == value


@pytest.mark.parametrize("text", ["", "30", "d", "0d", "-1d", "1.5h", "101y", "9999999d", "1w", "\u0663d"])
def test_no_lifetimes(text: str) -> None:
    with pytest.raises(ConfigurationError):
        lifetime(text, "--lifetime")


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("www.example.com", "www.example.com"),
        ("*.example.com", "_wildcard.example.com"),
        ("spiffe://example.org/web/1", "example.org-web-1"),
        ("https://example.org/x", "example.org-x"),
        ("::1", "1"),
        ("alice@example.com", "alice@example.com"),
        ("../../etc/passwd", "etc-passwd"),
        ("\x1b[31m", "31m"),
        ("..", "certificate"),
        ("a" * 300, "a" * 100),
    ],
)
def test_names_of_files(name: str, file: str) -> None:
    assert file_name(name) == file
