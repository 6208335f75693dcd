"""Registries: open sets with names."""

from __future__ import annotations

import pytest

from handfast.wire import codepoints
from handfast.wire.codepoints import (
    AlertDescription,
    CipherSuite,
    ContentType,
    ExtensionType,
    HandshakeType,
    NamedGroup,
    ProtocolVersion,
    Registry,
    SignatureScheme,
    is_grease,
)

# RFC 8701 section 2.
GREASE = [
    0x0A0A, 0x1A1A, 0x2A2A, 0x3A3A, 0x4A4A, 0x5A5A, 0x6A6A, 0x7A7A,
    0x8A8A, 0x9A9A, 0xAAAA, 0xBABA, 0xCACA, 0xDADA, 0xEAEA, 0xFAFA,
]  # fmt: skip

REGISTRIES = Registry.__subclasses__()


def test_grease_is_those_sixteen_values_and_no_other() -> None:
    assert [value for value in range(1 << 16) if is_grease(value)] == GREASE


@pytest.mark.parametrize(
    ("registry", "value", "name"),
    [
        (ContentType, 23, "application_data"),
        (ProtocolVersion, 0x0304, "TLSv1.3"),
        (ProtocolVersion, 0x0300, "SSLv3"),
        (HandshakeType, 1, "client_hello"),
        (HandshakeType, 254, "message_hash"),
        (AlertDescription, 0, "close_notify"),
        (AlertDescription, 120, "no_application_protocol"),
        (ExtensionType, 0, "server_name"),
        (ExtensionType, 0xFF01, "renegotiation_info"),
        (CipherSuite, 0x1301, "TLS_AES_128_GCM_SHA256"),
        (NamedGroup, 0x11EC, "X25519MLKEM768"),
        (NamedGroup, 0x001D, "x25519"),
        (SignatureScheme, 0x0804, "rsa_pss_rsae_sha256"),
        (SignatureScheme, 0x0905, "mldsa65"),
    ],
)
def test_a_value_has_the_name_of_the_rfc(registry: type[Registry], value: int, name: str) -> None:
    assert registry.name(value) == name
    assert registry.value(name) == value
    assert registry.value(name.upper()) == value
    assert registry.value(name.lower()) == value


@pytest.mark.parametrize(
    ("registry", "value", "name"),
    [
        (NamedGroup, 0x1234, "0x1234"),
        (NamedGroup, 0x0A0A, "GREASE(0x0a0a)"),
        (ExtensionType, 0xFAFA, "GREASE(0xfafa)"),
        (CipherSuite, 0x0000, "0x0000"),
        (HandshakeType, 0x0A, "0x0a"),
        (AlertDescription, 255, "0xff"),
    ],
)
def test_a_value_without_name_is_shown_as_a_number(registry: type[Registry], value: int, name: str) -> None:
    assert registry.name(value) == name


@pytest.mark.parametrize("registry", REGISTRIES, ids=lambda registry: registry.__name__)
def test_names_and_values_belong_together_one_to_one(registry: type[Registry]) -> None:
    names = registry.names()
    assert names
    assert len({name.lower() for name in names.values()}) == len(names)
    for value, name in names.items():
        assert 0 <= value < 1 << 8 * registry.WIDTH
        assert not is_grease(value) or registry.WIDTH == 1
        assert registry.name(value) == name
        assert registry.value(name) == value


@pytest.mark.parametrize("registry", REGISTRIES, ids=lambda registry: registry.__name__)
def test_no_name_is_given_to_two_values(registry: type[Registry]) -> None:
    constants = {name: value for name, value in vars(registry).items() if name.isupper() and isinstance(value, int)}
    constants.pop("WIDTH", None)
    constants.pop("LOWER", None)
    assert len(set(constants.values())) == len(constants) == len(registry.names())


def test_a_name_that_is_not_there_has_no_value() -> None:
    assert NamedGroup.value("secp256k1") is None
    assert NamedGroup.value("WIDTH") is None


def test_every_registry_has_been_looked_at() -> None:
    here = {item for item in vars(codepoints).values() if isinstance(item, type) and issubclass(item, Registry)}
    assert here - {Registry} == set(REGISTRIES)
    assert len(REGISTRIES) == 8
