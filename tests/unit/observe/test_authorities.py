"""Names of authorities, as they come: in words where that can be done, and harmless where not."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from handfast.observe.authorities import distinguished_name


def name(*attributes: tuple[x509.ObjectIdentifier, str]) -> x509.Name:
    return x509.Name([x509.NameAttribute(kind, value) for kind, value in attributes])


@pytest.mark.parametrize(
    "subject",
    [
        name((NameOID.COMMON_NAME, "root")),
        name((NameOID.COUNTRY_NAME, "DE"), (NameOID.ORGANIZATION_NAME, "Müller"), (NameOID.COMMON_NAME, "Root 1")),
        name((NameOID.STATE_OR_PROVINCE_NAME, "x" * 100), (NameOID.LOCALITY_NAME, "y" * 100)),
        name((NameOID.DOMAIN_COMPONENT, "example"), (NameOID.ORGANIZATIONAL_UNIT_NAME, "unit")),
        name(),
    ],
)
def test_it_reads_as_cryptography_writes_it(subject: x509.Name) -> None:
    assert distinguished_name(subject.public_bytes()) == subject.rfc4514_string()


def test_several_attributes_of_one_part() -> None:
    both = x509.Name(
        [
            x509.RelativeDistinguishedName(
                [x509.NameAttribute(NameOID.COMMON_NAME, "a"), x509.NameAttribute(NameOID.ORGANIZATION_NAME, "b")]
            )
        ]
    )
    assert sorted(distinguished_name(both.public_bytes()).split(",")) == ["CN=a", "O=b"]


@pytest.mark.parametrize(
    ("kind", "encoded", "text"),
    [(0x1E, "Ä".encode("utf-16-be"), "Ä"), (0x14, b"\xc4", "Ä"), (0x0C, b"\xff", "\\xff"), (0x13, b"\xc4", "\\xc4")],
)
def test_the_other_kinds_of_strings(kind: int, encoded: bytes, text: str) -> None:
    attribute = b"\x06\x03\x55\x04\x03" + bytes((kind, len(encoded))) + encoded
    one = bytes((0x30, len(attribute))) + attribute
    part = bytes((0x31, len(one))) + one
    assert distinguished_name(bytes((0x30, len(part))) + part) == f"CN={text}"


def test_an_attribute_without_a_name_here() -> None:
    assert distinguished_name(name((NameOID.TITLE, "Dr")).public_bytes()) == "?=Dr"


@pytest.mark.parametrize("junk", [b"", b"\x30", b"junk", b"\x30\xff", b"\x30\x84\xff\xff\xff\xff", b"\x30\x02\x31\x05"])
def test_what_is_no_name_is_empty(junk: bytes) -> None:
    assert distinguished_name(junk) == ""


@given(st.binary(max_size=80))
def test_any_bytes(data: bytes) -> None:
    assert isinstance(distinguished_name(data), str)


@given(cut=st.integers(0, 60), at=st.integers(0, 60), value=st.integers(0, 255))
def test_a_name_changed_or_cut(cut: int, at: int, value: int) -> None:
    der = bytearray(name((NameOID.COUNTRY_NAME, "DE"), (NameOID.COMMON_NAME, "root")).public_bytes())
    der[at % len(der)] = value
    assert isinstance(distinguished_name(bytes(der[: len(der) - cut])), str)
