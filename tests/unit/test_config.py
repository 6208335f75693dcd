"""Settings that cannot be used are refused before any byte is sent."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from handfast import (
    ASK,
    ChainVerifier,
    ClientConfig,
    ClientConnection,
    ConfigurationError,
    ServerConfig,
    TrustStore,
    reasons,
)
from handfast.crypto.signatures import CERTIFICATE_SCHEMES, SCHEMES, SCHEMES_12
from handfast.insecure import NoVerification
from handfast.profiles import INTERMEDIATE
from handfast.sessions.keys import TicketKeyRing
from handfast.sessions.memory import MemoryCache
from handfast.transport.stores.shared import Shared
from handfast.transport.stores.shared_keys import RedisKeyRing
from handfast.transport.stores.shared_states import RedisStore
from handfast.wire.codepoints import NamedGroup, SignatureScheme
from tests.handshake.parties import client_config, client_identity, fails, identity, server_config, trust

WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("cipher_suites", {"cipher_suites": []}, "empty"),
    ("cipher_suites", {"cipher_suites": ["TLS_RSA_WITH_RC4_128_MD5"]}, "RC4 is broken"),
    ("cipher_suites", {"cipher_suites": [0xC0FF]}, "49407 is not known"),
    ("cipher_suites", {"cipher_suites": [0x00FF]}, "255 is not known"),  # a signal is no suite
    ("cipher_suites", {"cipher_suites": [0x009C]}, "156 cannot be used: RSA key exchange has no forward secrecy"),
    ("cipher_suites", {"cipher_suites": ["TLS_RSA_WITH_AES_128_GCM_SHA256"]}, "no forward secrecy"),
    ("cipher_suites", {"cipher_suites": ["tls_ecdhe_rsa_with_aes_128_cbc_sha"]}, "Lucky 13"),
    ("cipher_suites", {"cipher_suites": ["TLS_DHE_RSA_WITH_AES_128_GCM_SHA256"]}, "ECDHE replaces it"),
    ("groups", {"groups": []}, "empty"),
    ("groups", {"groups": ["ffdhe2048"]}, "'ffdhe2048' cannot be used: finite-field Diffie-Hellman is slow"),
    ("groups", {"groups": ["mlkem768"]}, "'mlkem768' is not known"),
    ("groups", {"groups": [None]}, "None is not known"),
    ("alpn", {"alpn": "h2"}, "a list of names"),
    ("alpn", {"alpn": b"h2"}, "a list of names"),
    ("alpn", {"alpn": [""]}, "1 to 255 bytes"),
    ("alpn", {"alpn": ["x" * 256]}, "1 to 255 bytes"),
    ("handshake_timeout", {"handshake_timeout": 0}, "more than 0"),
    ("handshake_timeout", {"handshake_timeout": -1.0}, "more than 0"),
    ("signature_schemes", {"signature_schemes": []}, "empty"),
    ("signature_schemes", {"signature_schemes": ["rsa_pkcs1_sha1"]}, "SHA-1 is broken"),
    ("signature_schemes", {"signature_schemes": ["ecdsa_sha1"]}, "SHA-1 is broken"),
    ("certificate_signature_schemes", {"certificate_signature_schemes": []}, "empty"),
    ("certificate_signature_schemes", {"certificate_signature_schemes": ["rsa_pkcs1_sha1"]}, "SHA-1 is broken"),
    ("record_size_limit", {"record_size_limit": 0}, "64 to 16385"),
    ("record_size_limit", {"record_size_limit": 63}, "64 to 16385"),
    ("record_size_limit", {"record_size_limit": 16_386}, "64 to 16385"),
    ("record_padding", {"record_padding": -1}, "0 to 16385"),
    ("record_padding", {"record_padding": 16_386}, "0 to 16385"),
    ("check_peer", {"check_peer": False}, "a function, and is a value of type bool"),
]
WRONG_CLIENT: list[tuple[str, dict[str, Any], str]] = [
    ("key_shares", {"groups": ["x25519"], "key_shares": ["secp256r1"]}, "not known"),
    (
        "trust",
        {"trust": "roots.pem"},
        "a TrustStore, such as TrustStore.from_files(...) gives, and is a value of type str",
    ),
    ("trust", {"trust": False}, "of type bool"),
    ("trust", {"trust": []}, "of type list"),
    (
        "verifier",
        {"verifier": False},
        "an object that has verify_server, such as a ChainVerifier, and is a value of type",
    ),
    ("verifier", {"verifier": lambda *_: None}, "of type function"),
    ("verifier", {"verifier": NoVerification}, "the class NoVerification itself"),
]
WRONG_SERVER: list[tuple[str, dict[str, Any], str]] = [
    ("identities", {"identities": []}, "a certificate and its key"),
    ("suite_order", {"suite_order": "ours"}, '"server" or "client"'),
    ("unknown_names", {"unknown_names": "ignore"}, '"default" or "refuse"'),
    ("client_authentication", {"client_authentication": "maybe"}, '"none" or "optional" or "required"'),
    ("client_authentication", {"client_authentication": ""}, '"none" or "optional" or "required"'),
    ("client_authentication", {"client_authentication": None, "client_trust": trust()}, "with client_trust"),
    ("client_authentication", {"client_authentication": None, "client_verifier": ASK}, "with client_verifier"),
    (
        "client_authentication",
        {"client_authentication": None, "client_trust": None, "check_peer": print},
        "with check_peer",
    ),
    ("retry", {"retry": "never"}, '"when_needed" or "always"'),
    ("retry", {"retry": "always"}, "needs a cookie_key"),
    ("cookie_key", {"cookie_key": b""}, "32 bytes or more"),
    ("cookie_key", {"cookie_key": bytes(31)}, "32 bytes or more"),
    ("client_trust", {"client_authentication": "optional", "client_trust": None}, "which roots"),
    ("client_trust", {"client_authentication": "optional", "client_trust": "roots.pem"}, "of type str"),
    ("client_verifier", {"client_authentication": "optional", "client_verifier": False}, "that has verify_client"),
    ("client_verifier", {"client_verifier": ChainVerifier}, "the class ChainVerifier itself"),
    ("client_trust", {"client_authentication": "required", "client_trust": None}, "which roots"),
]


@pytest.mark.parametrize(("setting", "settings", "problem"), WRONG + WRONG_CLIENT)
def test_wrong_settings_of_a_client(setting: str, settings: dict[str, Any], problem: str) -> None:
    with fails(ConfigurationError, reasons.BAD_CONFIGURATION) as caught:
        client_config(**settings)
    assert caught.value.evidence["setting"] == setting
    assert problem in str(caught.value.evidence["problem"])
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(("setting", "settings", "problem"), WRONG + WRONG_SERVER)
def test_wrong_settings_of_a_server(setting: str, settings: dict[str, Any], problem: str) -> None:
    with fails(ConfigurationError, reasons.BAD_CONFIGURATION) as caught:
        server_config(**settings)
    assert caught.value.evidence["setting"] == setting
    assert problem in str(caught.value.evidence["problem"])


def test_who_is_trusted_may_be_said_where_nobody_is_asked() -> None:
    """For programs that switch it off for a while."""
    assert server_config(client_authentication="none", client_trust=trust()).demand == "none"
    assert server_config().demand == "none"
    assert server_config(client_authentication="optional", client_trust=trust()).demand == "optional"


def test_a_ticket_lives_no_longer_than_the_keys_of_a_fleet() -> None:
    shared = Shared.from_url("redis://localhost")
    ring = RedisKeyRing(shared, bytes(32), lifetime=7_200)
    for kept in ({"tickets": ring}, {"session_cache": RedisStore(shared, ring)}, {"tickets": RedisStore(shared, ring)}):
        with fails(ConfigurationError, reasons.BAD_CONFIGURATION) as caught:
            server_config(**kept, ticket_lifetime=7_201)
        assert caught.value.evidence["setting"] == "ticket_lifetime"
        assert "lifetime=7201" in str(caught.value.evidence["problem"])
        assert server_config(**kept, ticket_lifetime=7_200).ticket_lifetime == 7_200
    alone = server_config(tickets=TicketKeyRing(), session_cache=MemoryCache(), ticket_lifetime=7_201)
    assert alone.ticket_lifetime == 7_201, "they know what they have sealed themselves"


def test_what_is_known_is_listed() -> None:
    with pytest.raises(ConfigurationError) as caught:
        client_config(groups=["x488"])
    assert caught.value.evidence["known"] == [
        "X25519MLKEM768",
        "SecP256r1MLKEM768",
        "SecP384r1MLKEM1024",
        "x25519",
        "secp256r1",
        "secp384r1",
        "x448",
        "secp521r1",
    ]


def test_names_and_numbers_are_the_same() -> None:
    by_name = client_config(cipher_suites="tls_aes_128_gcm_sha256", groups=["X25519", 0x001D, "secp256R1"])
    assert by_name.suite_ids == (0x1301,)
    assert by_name.group_ids == (0x001D, 0x0017)  # each once


def test_defaults() -> None:
    config = client_config()
    assert config.versions == (0x0304, 0x0303)
    assert (*config.suite_ids, *config.suite_12_ids) == INTERMEDIATE.cipher_suites
    assert config.group_ids == INTERMEDIATE.groups
    assert config.protocols == ()
    assert config.middlebox_compatibility


@pytest.mark.parametrize(
    ("settings", "shares"),
    [
        ({}, ("X25519MLKEM768", "x25519")),
        ({"groups": ["X25519MLKEM768", "secp256r1"]}, ("X25519MLKEM768",)),
        ({"groups": ["x25519", "X25519MLKEM768"]}, ("x25519",)),
        ({"groups": ["secp384r1", "x25519"]}, ("secp384r1",)),
        ({"key_shares": ["secp256r1", "x25519"]}, ("x25519", "secp256r1")),  # in the order of the groups
        ({"key_shares": "secp256r1"}, ("secp256r1",)),
        ({"key_shares": []}, ()),  # the server has to ask
    ],
)
def test_the_shares_that_are_sent(settings: dict[str, Any], shares: tuple[str, ...]) -> None:
    assert tuple(NamedGroup.name(group) for group in client_config(**settings).share_ids) == shares


def test_a_verifier_takes_the_place_of_the_roots() -> None:
    verifier = NoVerification()
    assert ClientConfig(verifier=verifier).server_verifier is verifier
    assert ClientConfig(verifier=ASK).server_verifier is ASK
    assert repr(ASK) == "handfast.ASK"


def test_without_roots_it_is_the_systems() -> None:
    verifier = ClientConfig().server_verifier
    assert isinstance(verifier, ChainVerifier)
    assert verifier.trust is TrustStore.default()


def test_a_name_is_needed_to_verify() -> None:
    with fails(ConfigurationError, reasons.BAD_CONFIGURATION):
        ClientConnection(client_config())
    ClientConnection(ClientConfig(verifier=NoVerification()))


@pytest.mark.parametrize("name", ["", "a..b", "exa mple.com", "x" * 64 + ".example", "1.2.3", "under_score.example"])
def test_a_name_that_cannot_be_one(name: str) -> None:
    with fails(ConfigurationError, reasons.BAD_CONFIGURATION):
        ClientConnection(client_config(), server_name=name)


def test_configurations_are_frozen() -> None:
    for config in (client_config(), server_config()):
        with pytest.raises(dataclasses.FrozenInstanceError):
            config.groups = ()  # type: ignore[misc]


def test_a_list_that_changes_later_changes_nothing() -> None:
    identities = [identity()]
    config = ServerConfig(identities=identities)
    identities.clear()
    assert config.identities == (identity(),)


def test_a_config_can_be_replaced_in_part() -> None:
    config = dataclasses.replace(client_config(alpn=["h2"]), trust=trust(), groups=["x25519"])
    assert config.protocols == (b"h2",)
    assert config.share_ids == (0x001D,)


# --- records, clients and retries


def test_records_are_as_ever_unless_something_else_is_set() -> None:
    for config in (client_config(), server_config()):
        assert (config.record_size_limit, config.record_padding) == (None, 0)
    for size in (64, 16_385):
        assert client_config(record_size_limit=size, record_padding=size).record_size_limit == size


def test_what_the_peer_may_sign_with() -> None:
    for config in (client_config(), server_config()):
        assert config.scheme_ids == tuple(SCHEMES)
        assert set(config.scheme_12_ids) == set(SCHEMES_12)
        assert config.certificate_scheme_ids == tuple(CERTIFICATE_SCHEMES)
    config = server_config(signature_schemes=["ed25519", 0x0403, "ED25519"])
    expected = (SignatureScheme.ED25519, SignatureScheme.ECDSA_SECP256R1_SHA256)
    assert config.scheme_ids == config.scheme_12_ids == expected


def test_a_client_has_no_certificate_unless_it_is_given_one() -> None:
    assert client_config().identities == ()
    assert client_config(identities=[client_identity()]).identities == (client_identity(),)


def test_the_names_of_the_roots_that_a_client_sends() -> None:
    assert client_config().authorities() is None
    assert client_config(certificate_authorities=True).authorities() == list(trust().subjects())


def test_clients_are_verified_by_roots_that_are_named() -> None:
    """Never by the system's: those vouch for servers, and would let in whoever has a web server."""
    assert server_config().verifier_of_clients is None
    verifier = server_config(client_authentication="optional").verifier_of_clients
    assert isinstance(verifier, ChainVerifier)
    assert verifier.trust is trust()
    assert isinstance(server_config(client_authentication="optional").verifier_of_clients, ChainVerifier)


def test_a_verifier_of_clients_takes_the_place_of_the_roots() -> None:
    verifier = NoVerification()
    for given in (verifier, ASK):
        config = server_config(client_authentication="required", client_verifier=given)
        assert config.verifier_of_clients is given


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({}, None),
        ({"client_authentication": "optional"}, "roots"),
        ({"client_authentication": "optional", "client_authorities": [b"0\0", b"0\1"]}, [b"0\0", b"0\1"]),
        ({"client_authentication": "optional", "client_authorities": ()}, None),
        ({"client_authentication": "optional", "client_verifier": ASK}, None),
    ],
)
def test_the_names_that_clients_choose_their_certificate_by(settings: dict[str, Any], names: Any) -> None:
    expected = list(trust().subjects()) if names == "roots" else names
    assert server_config(**settings).authorities() == expected


def test_a_key_for_cookies_does_not_show() -> None:
    config = server_config(cookie_key=bytes(range(32)), retry="always")
    assert config.retry == "always"
    assert "cookie_key" not in repr(config)
    assert server_config(cookie_key=bytes(64)).retry == "when_needed"


def test_a_server_needs_an_identity_or_somebody_who_names_one() -> None:
    for settings in ({"choose_identity": ASK}, {"on_client_hello": ASK}):
        assert ServerConfig(**settings).identities == ()  # type: ignore[arg-type]
    with fails(ConfigurationError, reasons.BAD_CONFIGURATION):
        ServerConfig(check_peer=ASK)
