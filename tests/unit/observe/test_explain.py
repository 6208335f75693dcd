"""Each message in a few words, whatever a peer put into it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from handfast import ClientConfig
from handfast.insecure import NoVerification
from handfast.observe import explain, words
from handfast.observe.tap import Seen
from handfast.profiles import KNOWN_GROUPS, KNOWN_SUITES
from handfast.reasons import alert_words
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
    KeyUpdate,
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
AUTHORITY = Authority.create("evil\x1b[31m root")
AUTHORITIES = [AUTHORITY.certificate.subject.public_bytes(), b"junk", b"more"]
COOKIE_ALONE = replace(RETRY, selected_group=None, cookie=b"\x1b" * 100)
BOTH_ASKED = replace(RETRY, cookie=b"c", other_extensions={0xFE0D: bytes(8)}, extension_types=[43, 51, 44, 0xFE0D])
HELLO_AGAIN = replace(
    HELLO,
    cookie=b"\x1b" * 100,
    record_size_limit=16_385,
    signature_algorithms_cert=[SignatureScheme.RSA_PKCS1_SHA256],
    certificate_authorities=AUTHORITIES,
    other_extensions={0x0A0A: b"", 0x1234: b"x"},
    extension_types=[0x0A0A, 0x1234],
)
REQUEST = CertificateRequest(
    b"x",
    signature_algorithms=[SignatureScheme.ED25519, 0x9999],
    signature_algorithms_cert=[SignatureScheme.RSA_PKCS1_SHA256],
    certificate_authorities=AUTHORITIES,
    other_extensions={48: b"", 0x2A2A: b""},
    extension_types=[13, 50, 47, 48, 0x2A2A],
)
CHAIN = Certificate([CertificateEntry(Authority.create().issue("example.com").chain[0]), CertificateEntry(b"junk")])
MESSAGES = [
    HELLO,
    OLD_HELLO,
    ANSWER,
    HELLO_AGAIN,
    RETRY,
    COOKIE_ALONE,
    BOTH_ASKED,
    replace(RETRY, selected_group=None),
    EncryptedExtensions(
        application_layer_protocol_negotiation=b"\x1b]0;",
        server_name_acknowledged=True,
        other_extensions={28: b""},
        extension_types=[28],
    ),
    EncryptedExtensions(),
    EncryptedExtensions(record_size_limit=64, supported_groups=[NamedGroup.X448]),
    REQUEST,
    CertificateRequest(signature_algorithms=[SignatureScheme.ED25519], certificate_authorities=[b"x"]),
    CertificateRequest(),
    CHAIN,
    Certificate([]),
    CertificateVerify(SignatureScheme.ED25519, bytes(64)),
    Finished(bytes(32)),
    NewSessionTicket(7200, 0, b"", b"ticket"),
    KeyUpdate(update_requested=True),
    KeyUpdate(update_requested=False),
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
    assert "key_share" not in fields_of(OLD_HELLO)
    assert fields_of(replace(HELLO, key_share=None))["key_share"][0] == "none"


def fields_of(message: Any) -> dict[str, tuple[str, str]]:
    return {name: (value, meaning) for name, value, meaning in explain.lines(message)}


def test_a_retry_is_told_apart() -> None:
    assert explain.summary(RETRY) == "wants a key share of secp384r1"
    assert Seen(False, RETRY, False, 0.0).name == "HelloRetryRequest"
    assert Seen(False, ANSWER, False, 0.0).name == "ServerHello"
    assert "another group" in explain.purpose(RETRY, from_client=False)
    assert explain.milestone(RETRY, from_client=False) == ""
    assert "secp256r1" in explain.summary(ANSWER)
    fields = fields_of(RETRY)
    assert fields["selected_group"][0] == "secp384r1"
    assert "tells a HelloRetryRequest from a ServerHello" in fields["random"][1]
    assert "replaced by its hash" in fields["message_hash"][1]
    assert "message_hash" not in fields_of(ANSWER)


def test_a_retry_for_a_cookie_is_another_thing() -> None:
    assert explain.summary(COOKIE_ALONE) == "wants its cookie back"
    assert "reaches it" in explain.purpose(COOKIE_ALONE, from_client=False)
    assert fields_of(COOKIE_ALONE)["cookie"][0] == "1b1b1b1b1b1b1b1b... (100 bytes)"
    assert "selected_group" not in fields_of(COOKIE_ALONE)
    assert explain.summary(BOTH_ASKED) == "wants a key share of secp384r1 and its cookie back"
    assert fields_of(BOTH_ASKED)["other extensions"][0] == "encrypted_client_hello"
    assert explain.summary(replace(RETRY, selected_group=None)) == "wants nothing new"  # and is refused for it


def test_the_second_hello_with_a_cookie_is_told_as_such() -> None:
    assert "again" in explain.purpose(HELLO_AGAIN, from_client=True)
    assert "again, with the server's cookie" in explain.summary(HELLO_AGAIN)
    assert "again" not in explain.summary(HELLO)
    fields = fields_of(HELLO_AGAIN)
    assert "brought back" in fields["cookie"][1]
    assert fields["record_size_limit"][0] == "16,385 bytes"
    assert fields["other extensions"][0] == "GREASE(0x0a0a), 0x1234"
    assert fields["signature_algorithms_cert"][0] == "rsa_pkcs1_sha256"
    assert "the server's certificates" in fields["signature_algorithms_cert"][1]


def test_a_request_says_how_and_by_whom() -> None:
    fields = fields_of(REQUEST)
    assert fields["certificate_request_context"][0] == "78 (1 byte)"
    assert fields["signature_algorithms"] == ("ed25519, 0x9999", "how the client may prove who it is")
    assert fields["certificate_authorities"][0].startswith("CN=evil\\x1b[31m root,O=handfast testing; ")
    assert fields["certificate_authorities"][0].endswith("and 1 more")
    assert fields["other extensions"][0] == "oid_filters, GREASE(0x2a2a)"
    assert explain.summary(REQUEST) == "asks for a client certificate of 3 authorities"
    assert explain.summary(CertificateRequest(certificate_authorities=[b"x"])).endswith("of 1 authority")
    assert explain.summary(CertificateRequest()) == "asks for a client certificate"
    assert "proved itself" in explain.purpose(REQUEST, from_client=False)


def test_an_empty_certificate_is_no_fault_of_a_client() -> None:
    assert "up to the server" in explain.purpose(Certificate([]), from_client=True)
    assert "which it has to" in explain.purpose(Certificate([]), from_client=False)
    assert explain.summary(Certificate([])) == "no certificate"


def test_sizes_are_said_on_both_sides() -> None:
    answer = EncryptedExtensions(record_size_limit=64)
    assert fields_of(answer)["record_size_limit"][0] == "64 bytes"


@pytest.mark.parametrize(("from_client", "who", "other"), [(True, "client", "server"), (False, "server", "client")])
def test_key_updates_say_whose_key_changes(from_client: bool, who: str, other: str) -> None:
    asking, telling = KeyUpdate(update_requested=True), KeyUpdate(update_requested=False)
    for message in (asking, telling):
        assert explain.purpose(message, from_client=from_client).startswith(f"The {who} changes")
        assert who in explain.milestone(message, from_client=from_client)
    assert f"asks the {other}" in explain.purpose(asking, from_client=from_client)
    assert "asks" not in explain.purpose(telling, from_client=from_client)
    assert fields_of(asking)["request_update"][0] == "update_requested"
    assert fields_of(telling)["request_update"][0] == "update_not_requested"
    assert explain.summary(asking) != explain.summary(telling)


def test_a_certificate_that_cannot_be_read_is_said() -> None:
    lines = explain.lines(CHAIN)
    assert any(meaning == "cannot be read" for _, _, meaning in lines)
    assert any(name == "names" and "example.com" in value for name, value, _ in lines)


def test_every_alert_of_the_registry_is_explained() -> None:
    for description in AlertDescription.names():
        assert alert_words.meaning(description) != alert_words.meaning(200), AlertDescription.name(description)


def test_everything_that_we_can_offer_has_words() -> None:
    config = ClientConfig(verifier=NoVerification())
    assert all(words.suite(value) for value in KNOWN_SUITES)
    assert all(words.group(value) for value in KNOWN_GROUPS)
    assert all(words.scheme(value) for value in config.scheme_ids)
    assert all(words.scheme_12(value) for value in config.scheme_12_ids)
    assert (words.suite(1), words.group(1), words.scheme(1), words.scheme_12(1)) == ("", "", "", "")


def test_in_tls_1_2_a_scheme_of_ecdsa_names_no_curve() -> None:
    assert words.scheme(SignatureScheme.ECDSA_SECP256R1_SHA256) == "ECDSA on P-256 with SHA-256"
    assert words.scheme_12(SignatureScheme.ECDSA_SECP256R1_SHA256) == "ECDSA with SHA-256"
    assert words.scheme_12(SignatureScheme.ED25519) == words.scheme(SignatureScheme.ED25519)


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
    assert "chooses TLSv1.2: its certificate follows in the clear" in explain.purpose(old, from_client=False)


def test_something_unknown_has_no_words() -> None:
    assert explain.purpose(object(), from_client=True) == ""
    assert explain.summary(object()) == ""
    assert explain.lines(object()) == []
