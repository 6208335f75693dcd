"""HelloRetryRequest, held against its rules by a client (RFC 9846 sections 4.2.4 and 4.3.8)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest

from handfast import ApplicationData, HandshakeCompleted, reasons
from handfast.errors import BadRecord, DecodeError, PeerIncompatible, PeerMisbehaved, TLSError
from handfast.reasons import Reason
from handfast.wire.codepoints import CipherSuite, ContentType, ExtensionType, HandshakeType, NamedGroup
from handfast.wire.extensions import KeyShareEntry
from handfast.wire.hello import ClientHello
from handfast.wire.messages13 import EncryptedExtensions
from tests.playbook.peers import CHANGE_CIPHER_SPEC, RawServer, message, record
from tests.playbook.playing import at_client, check_refused

P384 = NamedGroup.SECP384R1

# --- the request ---------------------------------------------------------------------------------------------------

REQUESTS: list[tuple[str, dict[str, Any], type[TLSError], Reason]] = [
    ("nothing asked for", {"group": None}, PeerMisbehaved, reasons.RETRY_WITHOUT_CHANGE),
    (
        "group of the first share",
        {"group": NamedGroup.X25519MLKEM768},
        PeerMisbehaved,
        reasons.RETRY_WITHOUT_CHANGE,
    ),
    ("group of the second share", {"group": NamedGroup.X25519}, PeerMisbehaved, reasons.RETRY_WITHOUT_CHANGE),
    (
        "group of a share, and a cookie",
        {"group": NamedGroup.X25519, "cookie": b"cookie"},
        PeerMisbehaved,
        reasons.RETRY_WITHOUT_CHANGE,
    ),
    ("group not offered", {"group": NamedGroup.X448}, PeerMisbehaved, reasons.GROUP_NOT_OFFERED),
    ("unknown group", {"group": 0x1234}, PeerMisbehaved, reasons.GROUP_NOT_OFFERED),
    (
        "group not offered, and a cookie",
        {"group": 0x1234, "cookie": b"c"},
        PeerMisbehaved,
        reasons.GROUP_NOT_OFFERED,
    ),
    ("empty cookie", {"cookie": b""}, DecodeError, reasons.DECODE_ERROR),
    (
        "share with a public value",
        {
            "group": None,
            "other_extensions": {ExtensionType.KEY_SHARE: b"\0\x18\0\1x"},
            "extension_types": [ExtensionType.SUPPORTED_VERSIONS, ExtensionType.KEY_SHARE],
        },
        DecodeError,
        reasons.DECODE_ERROR,
    ),
    ("session id changed", {"legacy_session_id_echo": bytes(32)}, PeerMisbehaved, reasons.SESSION_ID_NOT_ECHOED),
    ("session id left out", {"legacy_session_id_echo": b""}, PeerMisbehaved, reasons.SESSION_ID_NOT_ECHOED),
    ("legacy_version", {"legacy_version": 0x0304}, PeerMisbehaved, reasons.BAD_LEGACY_VERSION),
    ("compression", {"legacy_compression_method": 1}, PeerMisbehaved, reasons.BAD_COMPRESSION),
    (
        "suite not offered",
        {"cipher_suite": CipherSuite.TLS_CHACHA20_POLY1305_SHA256},
        PeerMisbehaved,
        reasons.SUITE_NOT_OFFERED,
    ),
    ("TLS 1.2 selected", {"selected_version": 0x0303}, PeerMisbehaved, reasons.VERSION_NOT_OFFERED),
    ("TLS 1.4 selected", {"selected_version": 0x0305}, PeerMisbehaved, reasons.VERSION_NOT_OFFERED),
    (
        "no version",
        {"selected_version": None, "group": None},
        PeerIncompatible,
        reasons.NO_COMMON_VERSION,
    ),
    ("unknown extension", {"other_extensions": {0x1234: b""}}, PeerMisbehaved, reasons.UNSOLICITED_EXTENSION),
    (
        "encrypted_client_hello",
        {"other_extensions": {ExtensionType.ENCRYPTED_CLIENT_HELLO: bytes(8)}},
        PeerMisbehaved,
        reasons.UNSOLICITED_EXTENSION,
    ),
    (
        "pre_shared_key",
        {"other_extensions": {ExtensionType.PRE_SHARED_KEY: b"\0\0"}},
        PeerMisbehaved,
        reasons.EXTENSION_NOT_ALLOWED,
    ),
    (
        "extension of EncryptedExtensions",
        {"other_extensions": {ExtensionType.SERVER_NAME: b""}},
        PeerMisbehaved,
        reasons.EXTENSION_NOT_ALLOWED,
    ),
]


@pytest.mark.parametrize(("changes", "kind", "reason"), [row[1:] for row in REQUESTS], ids=[row[0] for row in REQUESTS])
def test_the_request(changes: dict[str, Any], kind: type[TLSError], reason: Reason) -> None:
    server = at_client()
    error = check_refused(server, kind, reason, lambda: server.say(server.retry(**changes)))
    assert error.step == "ServerHello"


def test_what_was_sent_and_what_is_asked_for_is_in_the_evidence() -> None:
    server = at_client()
    request = server.retry(NamedGroup.X25519)
    error = check_refused(server, PeerMisbehaved, reasons.RETRY_WITHOUT_CHANGE, lambda: server.say(request))
    assert error.evidence == {"asked_for": "x25519", "we_sent_shares_of": ["X25519MLKEM768", "x25519"]}
    server = at_client()
    error = check_refused(
        server, PeerMisbehaved, reasons.GROUP_NOT_OFFERED, lambda: server.say(server.retry(NamedGroup.X448))
    )
    assert error.evidence == {
        "selected": "x448",
        "we_offered": ["X25519MLKEM768", "x25519", "secp256r1", "secp384r1"],
    }


@pytest.mark.parametrize("excess", [b"\x02", message(HandshakeType.SERVER_HELLO, bytes(40))])
def test_nothing_may_stand_behind_it(excess: bytes) -> None:
    server = at_client()
    raw = server.retry().encode()
    check_refused(server, PeerMisbehaved, reasons.EXCESS_HANDSHAKE_DATA, lambda: server.handshake(raw, excess))


# --- the second ClientHello ----------------------------------------------------------------------------------------


def test_the_second_hello_has_what_was_asked_for_and_nothing_else_is_changed() -> None:
    server = at_client(alpn=["h2"], record_size_limit=4096, certificate_authorities=True)
    first = server.client_hello
    server.say_retry(P384, cookie=b"a cookie")
    second = server.client_hello
    assert first.cookie is None
    assert second.cookie == b"a cookie"
    assert [share.group for share in second.key_share or ()] == [P384]
    changed = {"cookie", "key_share", "extension_types", "padding", "raw"}
    for field in fields(ClientHello):
        if field.name not in changed:
            assert getattr(first, field.name) == getattr(second, field.name), field.name
    new = set(second.extension_types) - set(first.extension_types)
    assert new - {ExtensionType.PADDING} == {ExtensionType.COOKIE}


def test_a_cookie_alone_leaves_the_shares() -> None:
    server = at_client()
    first = server.client_hello
    server.say_retry(None, cookie=b"\0" * 5000)
    second = server.client_hello
    assert second.key_share == first.key_share
    assert second.cookie == b"\0" * 5000
    server.go_to("")
    assert server.connection.handshake is not None
    assert server.connection.handshake.hello_retry_request is True


@pytest.mark.parametrize("protocol", ["h2", "x" * 100, "x" * 255])
@pytest.mark.parametrize("length", range(1, 300, 29))
def test_the_second_hello_is_padded_anew(length: int, protocol: str) -> None:
    """No hello has 256 to 511 bytes (RFC 7685 section 4), whatever a cookie adds to it."""
    server = at_client(groups=["x25519"], alpn=[protocol])
    server.say_retry(None, cookie=bytes(length))
    second = server.client_hello
    assert not 256 <= len(second.raw) < 512
    assert second.padding is None or len(second.raw) == 512


@pytest.mark.parametrize("compatible", [True, False])
def test_a_change_cipher_spec_goes_before_it_and_no_second_one_later(compatible: bool) -> None:
    """RFC 9846 appendix E.4."""
    server = at_client(middlebox_compatibility=compatible)
    server.say_retry()
    assert [kind for kind, _, _ in server.heard[1:]] == (
        [ContentType.CHANGE_CIPHER_SPEC, ContentType.HANDSHAKE] if compatible else [ContentType.HANDSHAKE]
    )
    server.say_hello(P384)
    server.say(EncryptedExtensions(), server.certificate())
    server.say(server.proof())
    server.say(server.finished())
    server.use_application_keys()
    assert ContentType.CHANGE_CIPHER_SPEC not in [kind for kind, _, _ in server.hear()]


@pytest.mark.parametrize("group", [P384, NamedGroup.SECP256R1])
@pytest.mark.parametrize("cookie", [None, b"c"])
@pytest.mark.parametrize("suite", [CipherSuite.TLS_AES_128_GCM_SHA256, CipherSuite.TLS_AES_256_GCM_SHA384])
def test_a_handshake_with_a_retry(suite: int, cookie: bytes | None, group: int) -> None:
    """The first hello counts by its hash, in whatever hash the suite has (RFC 9846 section 4.1)."""
    from handfast.crypto.suites import SUITES

    server = at_client()
    server.suite = SUITES[suite]
    server.deliver(CHANGE_CIPHER_SPEC)
    server.say_retry(group, cookie=cookie)
    server.deliver(CHANGE_CIPHER_SPEC)
    server.say_hello(group)
    server.say(EncryptedExtensions(), server.certificate())
    server.say(server.proof())
    server.say(server.finished())
    server.use_application_keys()
    server.send(ContentType.APPLICATION_DATA, b"data")
    completed, data = server.events
    assert isinstance(completed, HandshakeCompleted)
    assert completed.handshake.hello_retry_request is True
    assert completed.handshake.group == NamedGroup.name(group)
    assert data == ApplicationData(b"data")


def test_a_server_that_forgets_the_first_hello_is_not_understood() -> None:
    """Whoever changes the first hello on the way changes the keys: nothing after it can be read."""
    server = at_client()
    server.say_retry()
    server.transcript = server.transcript.replace(server.transcript[4:36], bytes(32), 1)
    server.say_hello(P384)
    with pytest.raises(BadRecord) as caught:
        server.say(EncryptedExtensions())
    assert caught.value.reason is reasons.BAD_RECORD_MAC


# --- the answer to the second hello --------------------------------------------------------------------------------

ANSWERS: list[tuple[str, Callable[[RawServer], Any], Reason]] = [
    ("the same request again", lambda s: s.retry(P384), reasons.SECOND_RETRY),
    ("a request for another group", lambda s: s.retry(NamedGroup.SECP256R1), reasons.SECOND_RETRY),
    ("a request with a cookie", lambda s: s.retry(None, cookie=b"c"), reasons.SECOND_RETRY),
    (
        "another suite",
        lambda s: s.hello(P384, cipher_suite=CipherSuite.TLS_AES_256_GCM_SHA384),
        reasons.RETRY_NOT_KEPT,
    ),
    ("another version", lambda s: s.hello(P384, selected_version=0x0303), reasons.RETRY_NOT_KEPT),
    ("TLS 1.2", lambda s: s.hello(P384, selected_version=None, key_share=None), reasons.RETRY_NOT_KEPT),
    (
        "another session id",
        lambda s: s.hello(P384, legacy_session_id_echo=bytes(32)),
        reasons.SESSION_ID_NOT_ECHOED,
    ),
    (
        "a share of the group that was not good enough",
        lambda s: s.hello(P384, key_share=KeyShareEntry(NamedGroup.X25519, bytes(range(32)))),
        reasons.GROUP_NOT_OFFERED,
    ),
    (
        "a share of another group",
        lambda s: s.hello(P384, key_share=KeyShareEntry(NamedGroup.SECP256R1, b"\4" + bytes(64))),
        reasons.GROUP_NOT_OFFERED,
    ),
    (
        "a bad share",
        lambda s: s.hello(P384, key_share=KeyShareEntry(P384, b"\4" + bytes(96))),
        reasons.BAD_KEY_SHARE,
    ),
    ("no share", lambda s: s.hello(P384, key_share=None), reasons.MISSING_EXTENSION),
    (
        "cookie",
        lambda s: s.hello(P384, other_extensions={ExtensionType.COOKIE: b"\0\1c"}),
        reasons.EXTENSION_NOT_ALLOWED,
    ),
]


@pytest.mark.parametrize(("answer", "reason"), [row[1:] for row in ANSWERS], ids=[row[0] for row in ANSWERS])
def test_the_answer_to_the_second_hello(answer: Callable[[RawServer], Any], reason: Reason) -> None:
    server = at_client()
    server.say_retry()
    check_refused(server, PeerMisbehaved, reason, lambda: server.say(answer(server)))


def test_what_was_not_kept_is_in_the_evidence() -> None:
    server = at_client()
    server.say_retry()
    answer = server.hello(P384, cipher_suite=CipherSuite.TLS_AES_256_GCM_SHA384)
    error = check_refused(server, PeerMisbehaved, reasons.RETRY_NOT_KEPT, lambda: server.say(answer))
    assert error.evidence == {
        "asked_for": ["TLSv1.3", "TLS_AES_128_GCM_SHA256"],
        "came": ["TLSv1.3", "TLS_AES_256_GCM_SHA384"],
    }


@pytest.mark.parametrize("came", sorted({*HandshakeType.names(), 255} - {HandshakeType.SERVER_HELLO}))
def test_only_server_hello_may_follow(came: int) -> None:
    server = at_client()
    server.say_retry()
    check_refused(server, PeerMisbehaved, reasons.UNEXPECTED_MESSAGE, lambda: server.handshake(message(came)))


def test_application_data_between_the_hellos_is_refused() -> None:
    server = at_client()
    server.say_retry()
    check_refused(
        server,
        BadRecord,
        reasons.UNEXPECTED_RECORD,
        lambda: server.deliver(record(ContentType.APPLICATION_DATA, bytes(40))),
    )
