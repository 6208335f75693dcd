"""Each message in a few words, whatever a peer put into it."""

from __future__ import annotations

from typing import Any

import pytest

from handfast import ClientConfig
from handfast.insecure import NoVerification
from handfast.observe import explain, words
from handfast.observe.tap import Seen
from handfast.testing import Authority
from handfast.wire.alert import FATAL, Alert, ChangeCipherSpec
from handfast.wire.codepoints import AlertDescription, CipherSuite, NamedGroup, ProtocolVersion, SignatureScheme
from handfast.wire.extensions import KeyShareEntry
from handfast.wire.hello import HELLO_RETRY_RANDOM, ClientHello, ServerHello
from handfast.wire.messages13 import (
    Certificate,
    CertificateEntry,
    CertificateRequest,
    CertificateVerify,
    EncryptedExtensions,
    Finished,
    NewSessionTicket,
)

HELLO = ClientHello(
    random=bytes(32),
    legacy_session_id=bytes(32),
    cipher_suites=[0x0A0A, CipherSuite.TLS_AES_128_GCM_SHA256],
    server_name="evil\x1b[31m.example",
    supported_versions=[ProtocolVersion.TLS_1_3],
    supported_groups=[NamedGroup.X25519],
    key_share=[KeyShareEntry(NamedGroup.X25519, bytes(32))],
    signature_algorithms=[SignatureScheme.ED25519],
    application_layer_protocol_negotiation=[b"h2", b"\x1b[0m\xff"],
)
OLD_HELLO = ClientHello(random=bytes(32), legacy_session_id=b"", cipher_suites=[0xC02F])
ANSWER = ServerHello(
    random=bytes(32),
    legacy_session_id_echo=b"",
    cipher_suite=CipherSuite.TLS_AES_256_GCM_SHA384,
    selected_version=ProtocolVersion.TLS_1_3,
    key_share=KeyShareEntry(NamedGroup.SECP256R1, bytes(65)),
)
RETRY = ServerHello(
    random=HELLO_RETRY_RANDOM,
    legacy_session_id_echo=b"",
    cipher_suite=CipherSuite.TLS_AES_128_GCM_SHA256,
    selected_version=ProtocolVersion.TLS_1_3,
    selected_group=NamedGroup.SECP384R1,
)
CHAIN = Certificate([CertificateEntry(Authority.create().issue("example.com").chain[0]), CertificateEntry(b"junk")])
MESSAGES = [
    HELLO,
    OLD_HELLO,
    ANSWER,
    RETRY,
    EncryptedExtensions(
        application_layer_protocol_negotiation=b"\x1b]0;",
        server_name_acknowledged=True,
        other_extensions={28: b""},
        extension_types=[28],
    ),
    EncryptedExtensions(),
    CertificateRequest(signature_algorithms=[SignatureScheme.ED25519], certificate_authorities=[b"x"]),
    CertificateRequest(),
    CHAIN,
    Certificate([]),
    CertificateVerify(SignatureScheme.ED25519, bytes(64)),
    Finished(bytes(32)),
    NewSessionTicket(7200, 0, b"", b"ticket"),
    ChangeCipherSpec(),
    Alert(FATAL, AlertDescription.UNKNOWN_CA),
    Alert(FATAL, 200),
]


@pytest.mark.parametrize("message", MESSAGES, ids=[f"{at}-{message.NAME}" for at, message in enumerate(MESSAGES)])
def test_every_message_has_words_and_they_are_harmless(message: Any) -> None:
    texts = [explain.summary(message), *(explain.purpose(message, from_client=side) for side in (True, False))]
    assert all(texts)
    for text in (*texts, *(part for line in explain.lines(message) for part in line)):
        assert text.isprintable(), text


def test_a_client_hello_is_told_field_by_field() -> None:
    fields = {name: value for name, value, _ in explain.lines(HELLO)}
    assert fields["cipher_suites"] == "GREASE(0x0a0a), TLS_AES_128_GCM_SHA256"
    assert fields["key_share"] == "x25519 (32 bytes)"
    assert fields["alpn"].startswith("h2, \\x1b[0m")
    assert fields["server_name"] == "evil\\x1b[31m.example"
    assert {name: value for name, value, _ in explain.lines(OLD_HELLO)}["key_share"] == "none"


def test_a_retry_is_told_apart() -> None:
    assert "secp384r1" in explain.summary(RETRY)
    assert Seen(False, RETRY, False, 0.0).name == "HelloRetryRequest"
    assert Seen(False, ANSWER, False, 0.0).name == "ServerHello"
    assert "another group" in explain.purpose(RETRY, from_client=False)
    assert explain.milestone(RETRY, from_client=False) == ""
    assert "secp256r1" in explain.summary(ANSWER)


def test_a_certificate_that_cannot_be_read_is_said() -> None:
    lines = explain.lines(CHAIN)
    assert any(meaning == "cannot be read" for _, _, meaning in lines)
    assert any(name == "names" and "example.com" in value for name, value, _ in lines)


def test_every_alert_of_the_registry_that_tls_13_has_is_explained() -> None:
    only_older = {21, 30, 41, 60, 100, 111, 114}
    for description in AlertDescription.names():
        known = words.alert(description) != words.alert(200)
        assert known == (description not in only_older), AlertDescription.name(description)


def test_everything_that_we_can_offer_has_words() -> None:
    config = ClientConfig(verifier=NoVerification())
    assert all(words.suite(value) for value in config.suite_ids)
    assert all(words.group(value) for value in config.group_ids)
    assert all(words.scheme(value) for value in config.scheme_ids)
    assert (words.suite(1), words.group(1), words.scheme(1)) == ("", "", "")


def test_the_turning_points_are_said() -> None:
    assert "encrypted" in explain.milestone(ANSWER, from_client=False)
    assert "complete" in explain.milestone(Finished(bytes(32)), from_client=True)
    assert explain.milestone(Finished(bytes(32)), from_client=False) == ""
    assert explain.milestone(HELLO, from_client=True) == ""


def test_both_sides_are_told_apart() -> None:
    verify = CertificateVerify(SignatureScheme.ED25519, bytes(64))
    assert "the server signs" in explain.purpose(verify, from_client=False)
    assert "the client signs" in explain.purpose(verify, from_client=True)


def test_old_peers_are_told_as_such() -> None:
    assert "TLS 1.3 is not among it" in explain.purpose(OLD_HELLO, from_client=True)
    old = ServerHello(random=bytes(32), legacy_session_id_echo=b"", cipher_suite=0xC02F)
    assert explain.purpose(old, from_client=False) == "The server answers in TLSv1.2."


def test_something_unknown_has_no_words() -> None:
    assert explain.purpose(object(), from_client=True) == ""
    assert explain.summary(object()) == ""
    assert explain.lines(object()) == []
