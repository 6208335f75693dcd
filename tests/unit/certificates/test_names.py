"""Names of peers: what may be asked for, what is sent, and what a certificate has to say."""

from __future__ import annotations

import ipaddress
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handfast.certificates.names import NameSet, address, normalized, server_name_indication
from handfast.errors import ConfigurationError


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("example.com", "example.com"),
        ("Example.COM", "example.com"),
        ("example.com.", "example.com"),
        ("localhost", "localhost"),
        ("a-b.c--d.example", "a-b.c--d.example"),
        ("3com.example", "3com.example"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example.", "xn--bcher-kva.example"),
        ("日本語。jp", "xn--wgv71a119e.jp"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("127.0.0.1", "127.0.0.1"),
        ("::1", "::1"),
        ("[::1]", "::1"),
        ("2001:DB8:0::0001", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("[fe80::1%25eth0]", "fe80::1"),
        ("a" * 63 + ".example", "a" * 63 + ".example"),
    ],
)
def test_names_have_one_form(given: str, expected: str) -> None:
    assert normalized(given) == expected
    assert normalized(expected) == expected


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("", "it is empty"),
        (".", "it is empty"),
        ("a..b", "a label of it is empty"),
        (".example.com", "a label of it is empty"),
        ("example.com..", "a label of it is empty"),
        ("-a.example", "'-a' is not made of"),
        ("a-.example", "'a-' is not made of"),
        ("a_b.example", "'a_b' is not made of"),
        ("*.example.com", "'*' is not made of"),
        ("exa mple.com", "'exa mple' is not made of"),
        ("example.com\0.evil.example", "is not made of"),
        ("example.com\n", "is not made of"),
        ("https://example.com", "is not made of"),
        ("example.com:443", "is not made of"),
        ("user@example.com", "is not made of"),
        ("a" * 64 + ".example", "more than 63"),
        (".".join(["a" * 60] * 5), "more than 253"),
        ("1.2.3", "ends in a number"),
        ("1.2.3.4.5", "ends in a number"),
        ("256.1.1.1", "ends in a number"),
        ("127.0.0.01", "ends in a number"),
        ("127.0.0.1.", "ends in a number"),
        ("2130706433", "ends in a number"),
        ("0x7f000001", "ends in a number"),
        ("example.0x", "ends in a number"),
        ("::1::", "is not made of"),
        ("xn--ü.example", "no internationalised name"),
        ("ü" * 70 + ".example", "no internationalised name"),
    ],
)
def test_what_is_no_name_is_refused(given: str, problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        normalized(given)
    assert problem in str(caught.value.evidence["problem"])
    assert caught.value.evidence["setting"] == "server_name"
    assert caught.value.evidence["value"] == given
    assert caught.value.alert is None


_LABELS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
_DNS = st.builds(
    lambda labels, last: ".".join([*labels, last]),
    st.lists(_LABELS, max_size=4),
    st.sampled_from(("example", "a", "x1", "org")),
)


@given(_DNS)
def test_good_names_stay_as_they_are(name: str) -> None:
    assert normalized(name) == name
    assert normalized(name.upper() + ".") == name
    assert server_name_indication(name) == name


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=300) | st.text(string.printable, max_size=80))
def test_any_text_is_a_name_or_a_configuration_error(text: str) -> None:
    try:
        name = normalized(text)
    except ConfigurationError:
        return
    assert normalized(name) == name
    assert name.isascii()
    assert name == name.lower()


@given(st.ip_addresses())
def test_addresses_are_known_and_never_sent(found: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    assert address(str(found)) == found
    assert normalized(str(found)) == str(found)
    assert server_name_indication(normalized(str(found))) is None


def test_the_longest_name() -> None:
    longest = ".".join(["a" * 63] * 3 + ["b" * 61])
    assert len(longest) == 253
    assert normalized(longest) == normalized(f"{longest}.") == longest
    with pytest.raises(ConfigurationError, match="more than 253"):
        normalized(f"{longest}b")


def test_no_name_is_sent_where_there_is_none() -> None:
    assert server_name_indication(None) is None


@pytest.mark.parametrize(
    ("presented", "asked", "matches"),
    [
        ("example.com", "example.com", True),
        ("EXAMPLE.com", "example.com", True),
        ("example.com", "www.example.com", False),
        ("www.example.com", "example.com", False),
        ("x.example.com", "y.example.com", False),
        ("*x.example.com", "y.example.com", False),
        ("*.example.com", "www.example.com", True),
        ("*.EXAMPLE.com", "www.example.com", True),
        ("*.example.com", "xn--bcher-kva.example.com", True),
        ("*.example.com", "example.com", False),
        ("*.example.com", "a.b.example.com", False),
        ("w*.example.com", "www.example.com", False),
        ("*w.example.com", "www.example.com", False),
        ("www.*.com", "www.example.com", False),
        ("*.*.com", "www.example.com", False),
        ("*.com", "example.com", False),
        ("*.", "example", False),
        ("*", "example", False),
        ("*..com", "example.com", False),
        ("*..example.com", "www.example.com", False),
        ("example.com.", "example.com", False),
        (".example.com", "www.example.com", False),
        ("", "example.com", False),
        ("127.0.0.1", "127.0.0.1", False),
        ("*.0.0.1", "127.0.0.1", False),
        ("example.com\0.evil.example", "example.com", False),
    ],
)
def test_dns_names_are_compared_whole_but_for_a_wildcard(presented: str, asked: str, matches: bool) -> None:
    assert (asked in NameSet([presented], [])) is matches


def test_addresses_are_compared_as_numbers() -> None:
    names = NameSet(["example.com"], [ipaddress.ip_address("192.0.2.1"), ipaddress.ip_address("2001:db8::1")])
    assert "192.0.2.1" in names
    assert "2001:db8::1" in names
    assert "192.0.2.2" not in names
    assert "::ffff:192.0.2.1" not in names
    assert names.texts == ("example.com", "192.0.2.1", "2001:db8::1")


def test_a_set_without_names_is_false() -> None:
    assert not NameSet([], [])
    assert NameSet(["a.example"], [])


@given(_DNS, _LABELS)
def test_a_wildcard_stands_for_one_label(domain: str, label: str) -> None:
    names = NameSet([f"*.{domain}"], [])
    assert (f"{label}.{domain}" in names) is ("." in domain)
    assert domain not in names or domain.partition(".")[2] == domain
    assert f"{label}.{label}.{domain}" not in names
