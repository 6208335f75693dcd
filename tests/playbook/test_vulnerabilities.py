"""What the attacks of docs/vulnerabilities.md need and do not find here; the rules they broke have tests of their own."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import pytest

from handfast import ClientConfig, HandshakeCompleted, reasons
from handfast.crypto.groups import GROUPS
from handfast.crypto.schedule12 import MainSecret
from handfast.crypto.signatures import CERTIFICATE_SCHEMES, SCHEMES, SCHEMES_12
from handfast.crypto.suites import SUITES, SUITES_12
from handfast.errors import BadRecord, ConfigurationError, PeerIncompatible, PeerMisbehaved, TLSError
from handfast.profiles import KNOWN_GROUPS, KNOWN_SCHEMES, KNOWN_SUITES, PROFILES
from handfast.sessions.external import ExternalPsk
from handfast.testing import pair
from handfast.wire.codepoints import ExtensionType, NamedGroup, SignatureScheme
from handfast.wire.messages13 import CertificateVerify
from tests.handshake.parties import carry, client_config, fails, identity, server_config, started
from tests.playbook.peers12 import RawServer12
from tests.playbook.playing import at_client, at_client12, at_server, at_server12, check_refused

VERSIONS = pytest.mark.parametrize("version", ["1.2", "1.3"])
AEADS = ("AES_128_GCM", "AES_256_GCM", "CHACHA20_POLY1305", "AES_128_CCM", "AES_256_CCM")

# Suites that attacks were about, by their numbers in IANA's registry.
WEAK_SUITES = {
    "no encryption": [0x0000, 0x0001, 0x0002, 0xC006, 0xC010],
    "export": [0x0003, 0x0006, 0x0008, 0x0011, 0x0014, 0x0017],
    "RC4": [0x0004, 0x0005, 0xC007, 0xC011],
    "3DES": [0x000A, 0x0016, 0xC008, 0xC012],
    "RSA key exchange": [0x002F, 0x0035, 0x003C, 0x009C, 0x009D, 0xC09C],
    "CBC": [0x002F, 0x0033, 0xC009, 0xC00A, 0xC013, 0xC014, 0xC023, 0xC024, 0xC027, 0xC028],
    "finite-field Diffie-Hellman": [0x0033, 0x0039, 0x0067, 0x009E, 0x009F, 0xCCAA],
    "static Diffie-Hellman": [0x0030, 0x00A0, 0xC004, 0xC00E, 0xC02D, 0xC031],
    "anonymous": [0x0018, 0x0034, 0x006C, 0x00A6, 0xC018],
    "pre-shared keys": [0x008C, 0x00A8, 0x00AA, 0xC035, 0xCCAC, 0xD001],
    "signalling values": [0x00FF, 0x5600],
}
BROKEN_SCHEMES = (0x0101, 0x0103, 0x0201, 0x0202, 0x0203, 0x0301, 0x0303)  # MD5, SHA-1 and SHA-224
FINITE_FIELDS = (0x0100, 0x0101, 0x0102, 0x0103, 0x0104)
BINARY_AND_SMALL_CURVES = (1, 6, 9, 14, 15, 16, 18, 19, 20, 21, 0xFF01, 0xFF02)


# --- what cannot be configured -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", WEAK_SUITES)
def test_no_weak_suite_can_be_configured(kind: str) -> None:
    for suite in WEAK_SUITES[kind]:
        for make in (ClientConfig, server_config):
            with pytest.raises(ConfigurationError):
                make(cipher_suites=[suite])


def test_every_suite_has_ephemeral_keys_and_an_aead() -> None:
    for suite in (*SUITES.values(), *SUITES_12.values()):
        assert re.fullmatch(rf"TLS_(ECDHE_(ECDSA|RSA)_WITH_)?({'|'.join(AEADS)})(_8)?(_SHA256|_SHA384)?", suite.name), (
            suite.name
        )
        assert ("ECDHE" in suite.name) == (suite.id in SUITES_12)
    assert set(KNOWN_SUITES) == {*SUITES, *SUITES_12}


def test_every_group_is_a_curve_or_a_hybrid() -> None:
    for group in (*FINITE_FIELDS, *BINARY_AND_SMALL_CURVES):
        for make in (ClientConfig, server_config):
            with pytest.raises(ConfigurationError):
                make(groups=[group])
    assert set(KNOWN_GROUPS) == set(GROUPS)
    assert not any(NamedGroup.name(group).startswith("ffdhe") for group in KNOWN_GROUPS)


def test_no_scheme_has_a_broken_hash() -> None:
    for scheme in BROKEN_SCHEMES:
        for setting in ("signature_schemes", "certificate_signature_schemes"):
            with pytest.raises(ConfigurationError):
                ClientConfig(**{setting: [scheme]})
    known = {*SCHEMES, *SCHEMES_12, *CERTIFICATE_SCHEMES, *KNOWN_SCHEMES}
    assert not known & set(BROKEN_SCHEMES)
    assert not [name for name in map(SignatureScheme.name, known) if re.search("sha1|md5|sha224", name)]


@pytest.mark.parametrize("version", ["1.0", "1.1", "SSLv3", "SSLv2", "TLSv1"])
def test_no_old_version_can_be_configured(version: str) -> None:
    for setting in ("min_version", "max_version"):
        with pytest.raises(ConfigurationError):
            ClientConfig(**{setting: version})
    assert {version for profile in PROFILES.values() for version in profile.versions} == {0x0303, 0x0304}


# --- what is never said --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, {"max_version": "1.2"}, {"min_version": "1.3"}], ids=["both", "1.2", "1.3"])
def test_what_is_offered_has_nothing_that_attacks_need(settings: dict[str, Any]) -> None:
    client, _ = started(settings)
    hello = RawServer12(client).client_hello
    assert hello.legacy_compression_methods == b"\0"  # CRIME
    assert not {ExtensionType.HEARTBEAT, ExtensionType.PRE_SHARED_KEY, ExtensionType.SESSION_TICKET, 0x0016} & set(
        hello.extension_types
    )
    assert set(hello.cipher_suites) <= set(KNOWN_SUITES)
    assert not set(hello.supported_groups or ()) & set(FINITE_FIELDS)
    assert not {*(hello.signature_algorithms or ()), *(hello.signature_algorithms_cert or ())} & set(BROKEN_SCHEMES)
    if ExtensionType.SUPPORTED_VERSIONS in hello.extension_types:
        assert set(hello.supported_versions or ()) <= {0x0303, 0x0304}


@VERSIONS
def test_what_is_selected_has_nothing_that_attacks_need(version: str) -> None:
    """Though a client offers it all."""
    client = (at_server if version == "1.3" else at_server12)()
    offered = client.hello()
    weak = [suite for suites in WEAK_SUITES.values() for suite in suites if suite != 0x5600]
    hello = client.hello(
        cipher_suites=[*weak, *offered.cipher_suites],
        legacy_compression_methods=b"\0" if version == "1.3" else b"\1\0",
        supported_groups=[*FINITE_FIELDS, *BINARY_AND_SMALL_CURVES, *(offered.supported_groups or ())],
        signature_algorithms=[*BROKEN_SCHEMES, *(offered.signature_algorithms or ())],
        other_extensions={ExtensionType.HEARTBEAT: b"\1", ExtensionType.SESSION_TICKET: b"", 0x0016: b""},
    )
    client.say(hello)
    client.hear()
    if version == "1.3":
        client.say(client.finished())
    else:
        client.say_exchange()
        client.change_cipher_spec()
        client.say_finished()
    [completed] = client.events
    assert isinstance(completed, HandshakeCompleted)
    facts = completed.handshake
    assert facts.signature_scheme == "ecdsa_secp256r1_sha256"
    assert facts.group == "x25519"
    assert "GCM" in facts.cipher_suite
    answer = client.server_hello
    assert answer.legacy_compression_method == 0
    assert answer.other_extensions == {}


@VERSIONS
def test_a_heartbeat_is_refused(version: str) -> None:
    for at in (at_client, at_server) if version == "1.3" else (at_client12, at_server12):
        peer: Any = at("")
        raw = peer.wire(24, b"\1\x40\0")
        peer.hear()
        check_refused(peer, BadRecord, reasons.UNEXPECTED_RECORD, partial(peer.deliver, raw))


# --- one connection's secrets are no other's -----------------------------------------------------------------------


def test_keys_belong_to_one_handshake_though_all_secrets_are_the_same() -> None:
    """The triple handshake gave two connections one main secret. Here it is bound to all that was said (RFC 7627)."""
    randoms, shared = (bytes(32), bytes(32)), b"the same"
    suite = next(iter(SUITES_12.values()))
    first, second = (MainSecret(suite, shared, session_hash * 32, randoms) for session_hash in (b"1", b"2"))
    assert first.secret != second.secret
    assert first.client_finished(bytes(32)) != second.client_finished(bytes(32))
    assert first.exporter().export(b"x", None, 32) != second.exporter().export(b"x", None, 32)


def test_a_signature_of_tls_1_2_is_none_of_tls_1_3() -> None:
    """What is signed in TLS 1.3 begins with 64 spaces and a text, so that no other message can be meant (SMACK, SLOTH)."""
    server = at_client("CertificateVerify")
    signature = server.who.signer.sign(server.who.schemes[0], server.digest())
    assert isinstance(signature, bytes)
    proof = CertificateVerify(server.who.schemes[0], signature)
    check_refused(server, PeerMisbehaved, reasons.BAD_SIGNATURE, lambda: server.say(proof))


def test_an_external_pre_shared_key_has_one_direction() -> None:
    """Selfie needs a key that a peer takes in both roles: it was made to talk to itself (RFC 9257 section 4.1)."""
    key = ExternalPsk(b"us", bytes(32), role="client")
    with pytest.raises(ConfigurationError, match="Selfie"):
        server_config(psks={b"us": key})
    with pytest.raises(ConfigurationError, match="Selfie"):
        client_config(psks=[ExternalPsk(b"us", bytes(32), role="server")])
    # A callback's key is looked at when it comes.
    client, server = started({"psks": [key]}, {"psks": lambda identity: key})
    with fails(TLSError, reasons.CALLBACK_FAILED) as caught:
        carry(client, server)
    assert caught.value.evidence == {"question": "FindPsk", "problem": "the key is for a client"}


@pytest.mark.parametrize("settings", [{}, {"max_version": "1.2"}], ids=["1.3", "1.2"])
def test_a_peer_does_not_talk_to_itself(settings: dict[str, Any]) -> None:
    client, server = started(settings, settings)
    hello = bytes(client.data_to_send())
    with fails(PeerMisbehaved, reasons.UNEXPECTED_MESSAGE):
        client.receive_data(hello)
        list(client.events())
    server.receive_data(hello)
    list(server.events())
    flight = bytes(server.data_to_send())
    with pytest.raises((PeerMisbehaved, BadRecord)):
        server.receive_data(flight)
        list(server.events())


# --- which service a client talks to -------------------------------------------------------------------------------


@VERSIONS
def test_a_service_is_not_taken_for_another_one(version: str) -> None:
    """ALPACA: a client of one protocol was led to a server of another that had a certificate for the same name."""
    only = {"min_version": version, "max_version": version}
    with fails(PeerIncompatible, reasons.NO_COMMON_ALPN):
        pair(client_config(alpn=["http/1.1"], **only), server_config(alpn=["imap", "smtp"]))
    with fails(PeerIncompatible, reasons.UNRECOGNIZED_NAME):
        pair(
            client_config(**only),
            server_config(identities=[identity("p256", "mail.example")], unknown_names="refuse"),
            server_name="localhost",
        )
