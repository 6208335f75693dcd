"""The second ClientHello, held against the first one by a server (RFC 9846 section 4.2.2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest

from handfast import HandshakeCompleted, reasons
from handfast.crypto.groups import GROUPS
from handfast.errors import BadRecord, DecodeError, PeerMisbehaved, TLSError
from handfast.reasons import Reason
from handfast.wire.codepoints import (
    AlertDescription,
    CipherSuite,
    ContentType,
    ExtensionType,
    HandshakeType,
    NamedGroup,
)
from handfast.wire.extensions import KeyShareEntry
from handfast.wire.hello import ClientHello
from handfast.wire.psk import OfferedPsks, PskIdentity
from tests.handshake.parties import COOKIE_KEY, fails
from tests.playbook.peers import CHANGE_CIPHER_SPEC, RawClient, message, record
from tests.playbook.playing import at_server, check_refused

P384, X25519 = NamedGroup.SECP384R1, NamedGroup.X25519
BOTH = [X25519, P384]


def retried(hello: dict[str, Any] | None = None, **settings: Any) -> RawClient:
    """A raw client that has been asked for a share of P-384, in place of the one of X25519 that it sent."""
    client = at_server(groups=["secp384r1"], **settings)
    client.say_hello(**{"supported_groups": BOTH, **(hello or {})})
    assert client.request is not None
    assert client.request.selected_group == P384
    return client


def shown_again(**settings: Any) -> RawClient:
    """A raw client whose share was good, and that has only to bring back a cookie."""
    client = at_server(retry="always", cookie_key=COOKIE_KEY, **settings)
    client.say_hello()
    assert client.request is not None
    assert client.request.selected_group is None
    return client


def share(group: int) -> KeyShareEntry:
    return KeyShareEntry(group, GROUPS[group].new_share().public)


def finish(client: RawClient, **changes: Any) -> None:
    """The rest of the handshake, as it should be."""
    client.say(client.hello_again(**changes))
    client.hear()
    client.say_finished()
    (completed,) = client.events
    assert isinstance(completed, HandshakeCompleted)
    assert completed.handshake.hello_retry_request is True


# --- the request ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suite", [CipherSuite.TLS_AES_128_GCM_SHA256, CipherSuite.TLS_AES_256_GCM_SHA384])
@pytest.mark.parametrize("cookie", [True, False])
def test_a_handshake_with_a_retry(cookie: bool, suite: int) -> None:
    client = retried({"cipher_suites": [suite]}, cookie_key=COOKIE_KEY if cookie else None)
    assert client.request is not None
    assert client.request.cipher_suite == suite
    assert (client.request.cookie is not None) == cookie
    client.deliver(CHANGE_CIPHER_SPEC)
    finish(client)


def test_a_handshake_with_a_cookie_alone() -> None:
    finish(shown_again())


@pytest.mark.parametrize("session_id", [b"", bytes(32)])
def test_one_change_cipher_spec_follows_the_request(session_id: bytes) -> None:
    client = retried({"legacy_session_id": session_id})
    kinds = [kind for kind, _, _ in client.heard]
    assert kinds == [ContentType.HANDSHAKE, ContentType.CHANGE_CIPHER_SPEC][: 2 if session_id else 1]
    assert client.request is not None
    assert client.request.legacy_session_id_echo == session_id
    finish(client)
    assert [kind for kind, _, _ in client.heard].count(ContentType.CHANGE_CIPHER_SPEC) == bool(session_id)


def test_a_client_that_sends_no_share_at_all_is_asked_for_one() -> None:
    finish(retried({"key_share": []}))


def test_a_client_is_never_asked_for_what_it_does_not_offer() -> None:
    client = at_server(groups=["secp521r1", "secp384r1"])
    client.say_hello(supported_groups=BOTH)
    assert client.request is not None
    assert client.request.selected_group == P384


# --- what may change, and what may not -----------------------------------------------------------------------------

OTHERS = {0x1234: b"x", 0x2345: b""}
FIRST: dict[str, Any] = {
    "supported_groups": BOTH,
    "record_size_limit": 4096,
    "other_extensions": OTHERS,
    "application_layer_protocol_negotiation": [b"h2"],
    "certificate_authorities": [b"a"],
    "signature_algorithms_cert": [0x0403],
}
CHANGES: list[tuple[str, dict[str, Any], list[str]]] = [
    ("random", {"random": bytes(32)}, ["random"]),
    ("session id", {"legacy_session_id": bytes(32)}, ["legacy_session_id"]),
    ("TLS 1.2's extended main secret", {"extended_main_secret": True}, ["extended_main_secret"]),
    ("TLS 1.2's renegotiation", {"renegotiation_info": b""}, ["renegotiation_info"]),
    ("TLS 1.2's point formats", {"ec_point_formats": b"\0"}, ["ec_point_formats"]),
    ("session id left out", {"legacy_session_id": b""}, ["legacy_session_id"]),
    ("suites", {"cipher_suites": [CipherSuite.TLS_AES_128_GCM_SHA256, 0x1302]}, ["cipher_suites"]),
    ("suite of the request left out", {"cipher_suites": [0x1302]}, ["cipher_suites"]),
    ("name", {"server_name": "other.example"}, ["server_name"]),
    ("no name", {"server_name": None}, ["server_name"]),
    ("groups", {"supported_groups": [P384]}, ["supported_groups"]),
    ("protocols", {"application_layer_protocol_negotiation": [b"h3"]}, ["application_layer_protocol_negotiation"]),
    ("no protocols", {"application_layer_protocol_negotiation": None}, ["application_layer_protocol_negotiation"]),
    ("schemes", {"signature_algorithms": [0x0403, 0x0807]}, ["signature_algorithms"]),
    ("schemes of certificates", {"signature_algorithms_cert": [0x0804]}, ["signature_algorithms_cert"]),
    ("authorities", {"certificate_authorities": [b"b"]}, ["certificate_authorities"]),
    ("size of records", {"record_size_limit": 64}, ["record_size_limit"]),
    ("versions", {"supported_versions": [0x0304, 0x0303]}, ["supported_versions"]),
    ("no TLS 1.3 any more", {"supported_versions": [0x0303]}, ["supported_versions"]),
    ("unknown extension left out", {"other_extensions": {0x1234: b"x"}}, ["0x2345"]),
    ("unknown extension added", {"other_extensions": {**OTHERS, 0x3456: b""}}, ["0x3456"]),
    ("unknown extension changed", {"other_extensions": {**OTHERS, 0x1234: b"y"}}, ["0x1234"]),
    ("PSK modes", {"psk_key_exchange_modes": b"\1"}, ["psk_key_exchange_modes"]),
    ("request for tickets", {"ticket_request": (2, 1)}, ["ticket_request"]),
    ("ticket of TLS 1.2", {"session_ticket": b""}, ["session_ticket"]),
    ("two things", {"random": bytes(32), "server_name": None}, ["random", "server_name"]),
]


@pytest.mark.parametrize(("changes", "differing"), [row[1:] for row in CHANGES], ids=[row[0] for row in CHANGES])
def test_the_second_hello_is_the_first_one(changes: dict[str, Any], differing: list[str]) -> None:
    client = retried(FIRST)
    again = client.hello_again(**changes)
    error = check_refused(client, PeerMisbehaved, reasons.HELLO_CHANGED, lambda: client.say(again))
    assert error.evidence == {"differing": differing}
    assert error.step == "ClientHello"


def test_every_field_is_among_the_changes_above() -> None:
    tried = {name for _, changes, _ in CHANGES for name in changes}
    of_the_retry = {"key_share", "cookie", "padding", "early_data", "pre_shared_key"}
    refused_by_themselves = {"legacy_version", "legacy_compression_methods"}
    derived = {"extension_types", "raw"}
    names = {field.name for field in fields(ClientHello)}
    assert names - tried == of_the_retry | refused_by_themselves | derived


@pytest.mark.parametrize(
    ("changes", "kind", "reason"),
    [
        ({"legacy_version": 0x0301}, PeerMisbehaved, reasons.BAD_LEGACY_VERSION),
        ({"legacy_compression_methods": b"\1\0"}, PeerMisbehaved, reasons.BAD_COMPRESSION),
        ({"supported_groups": None}, PeerMisbehaved, reasons.MISSING_EXTENSION),
        ({"key_share": None}, PeerMisbehaved, reasons.MISSING_EXTENSION),
        ({"cookie": b""}, DecodeError, reasons.DECODE_ERROR),
        ({"record_size_limit": 63}, PeerMisbehaved, reasons.BAD_RECORD_SIZE_LIMIT),
    ],
)
def test_the_rules_of_a_hello_hold_for_the_second_one(
    changes: dict[str, Any], kind: type[TLSError], reason: Reason
) -> None:
    client = retried(FIRST)
    check_refused(client, kind, reason, lambda: client.say(client.hello_again(**changes)))


def unknown(binder: bytes) -> OfferedPsks:
    return OfferedPsks([PskIdentity(b"nobody knows it")], [binder])


MODES = {"psk_key_exchange_modes": b"\1"}
MAY_CHANGE: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("early_data left out", {"early_data": True, "pre_shared_key": unknown(bytes(32)), **MODES}, {"early_data": None}),
    (
        "pre_shared_key with new binders",
        {"pre_shared_key": unknown(bytes(32)), **MODES},
        {"pre_shared_key": unknown(b"2" * 32)},
    ),
    ("pre_shared_key left out", {"pre_shared_key": unknown(bytes(32)), **MODES}, {"pre_shared_key": None}),
    (
        "ECH encrypted anew",
        {"other_extensions": {ExtensionType.ENCRYPTED_CLIENT_HELLO: b"1"}},
        {"other_extensions": {ExtensionType.ENCRYPTED_CLIENT_HELLO: b"2"}},
    ),
]


@pytest.mark.parametrize(("first", "second"), [row[1:] for row in MAY_CHANGE], ids=[row[0] for row in MAY_CHANGE])
def test_what_may_change(first: dict[str, Any], second: dict[str, Any]) -> None:
    finish(retried(first), **second)


def test_there_is_no_early_data_after_a_retry() -> None:
    client = retried({"pre_shared_key": unknown(bytes(32)), **MODES})
    again = client.hello_again(early_data=True)
    check_refused(client, PeerMisbehaved, reasons.EARLY_DATA_AFTER_RETRY, lambda: client.say(again))


@pytest.mark.parametrize(("before", "after"), [(None, 100), (100, None), (100, 7)])
def test_padding_may_change(before: int | None, after: int | None) -> None:
    finish(retried({"padding": before}), padding=after)


def test_the_order_of_extensions_does_not_matter() -> None:
    client = retried()
    assert client.sent is not None
    types = client.sent.extension_types
    finish(client, extension_types=types[::-1])


# --- the share -----------------------------------------------------------------------------------------------------

SHARES: list[tuple[str, Callable[[], list[KeyShareEntry]], list[str]]] = [
    ("the first share again", lambda: [share(X25519)], ["x25519"]),
    ("both", lambda: [share(X25519), share(P384)], ["x25519", "secp384r1"]),
    ("none", list, []),
]


@pytest.mark.parametrize(("shares", "came"), [row[1:] for row in SHARES], ids=[row[0] for row in SHARES])
def test_the_wrong_shares(shares: Callable[[], list[KeyShareEntry]], came: list[str]) -> None:
    client = retried()
    again = client.hello_again(key_share=shares())
    error = check_refused(client, PeerMisbehaved, reasons.WRONG_RETRY_SHARE, lambda: client.say(again))
    assert error.evidence == {"we_asked_for": "secp384r1", "came": came}


def test_a_share_that_is_no_point() -> None:
    client = retried()
    again = client.hello_again(key_share=[KeyShareEntry(P384, b"\4" + bytes(96))])
    check_refused(client, PeerMisbehaved, reasons.BAD_KEY_SHARE, lambda: client.say(again))


def test_two_shares_of_the_right_group() -> None:
    client = retried()
    again = client.hello_again(key_share=[share(P384), share(P384)])
    check_refused(client, PeerMisbehaved, reasons.BAD_KEY_SHARE_LIST, lambda: client.say(again))


def test_a_share_that_was_good_may_not_change() -> None:
    client = shown_again()
    again = client.hello_again(key_share=[share(X25519)])
    error = check_refused(client, PeerMisbehaved, reasons.HELLO_CHANGED, lambda: client.say(again))
    assert error.evidence == {"differing": ["key_share"]}


# --- the cookie ----------------------------------------------------------------------------------------------------


def _flipped(cookie: bytes, at: int) -> bytes:
    changed = bytearray(cookie)
    changed[at] ^= 1
    return bytes(changed)


COOKIES: list[tuple[str, Callable[[bytes], bytes | None]]] = [
    ("left out", lambda cookie: None),
    ("cut", lambda cookie: cookie[:-1]),
    ("with more behind it", lambda cookie: cookie + b"\0"),
    ("of another server", lambda cookie: bytes(len(cookie))),
    ("its suite changed", lambda cookie: _flipped(cookie, 1)),
    ("its group changed", lambda cookie: _flipped(cookie, 3)),
    ("its hash changed", lambda cookie: _flipped(cookie, 4)),
    ("its MAC changed", lambda cookie: _flipped(cookie, -1)),
]


@pytest.mark.parametrize("start", [retried, shown_again])
@pytest.mark.parametrize("cookie", [row[1] for row in COOKIES], ids=[row[0] for row in COOKIES])
def test_the_cookie(cookie: Callable[[bytes], bytes | None], start: Callable[..., RawClient]) -> None:
    client = start(cookie_key=COOKIE_KEY) if start is retried else start()
    assert client.request is not None
    assert client.request.cookie is not None
    again = client.hello_again(cookie=cookie(client.request.cookie))
    error = check_refused(client, PeerMisbehaved, reasons.BAD_COOKIE, lambda: client.say(again))
    assert error.evidence == {}


def test_a_cookie_for_another_hello_is_refused() -> None:
    theirs = retried({"random": bytes(32)}, cookie_key=COOKIE_KEY)
    assert theirs.request is not None
    client = retried(cookie_key=COOKIE_KEY)
    again = client.hello_again(cookie=theirs.request.cookie)
    check_refused(client, PeerMisbehaved, reasons.BAD_COOKIE, lambda: client.say(again))


def test_a_cookie_depends_on_the_key_and_the_hello_alone() -> None:
    """So any process of a server that has the key can check it."""
    hello = {"key_share": [share(X25519)]}
    first, second, other = (retried(hello, cookie_key=key).request for key in (COOKIE_KEY, COOKIE_KEY, bytes(40)))
    assert first is not None
    assert second is not None
    assert other is not None
    assert first.cookie == second.cookie
    assert first.cookie != other.cookie
    assert first.cookie is not None
    decided = CipherSuite.TLS_AES_128_GCM_SHA256.to_bytes(2) + P384.to_bytes(2)
    assert first.cookie.startswith(decided)


def test_a_cookie_that_was_not_given_is_refused() -> None:
    client = retried()
    assert client.request is not None
    assert client.request.cookie is None
    check_refused(client, PeerMisbehaved, reasons.BAD_COOKIE, lambda: client.say(client.hello_again(cookie=b"c")))


# --- order ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("came", sorted({*HandshakeType.names(), 255} - {HandshakeType.CLIENT_HELLO}))
def test_only_client_hello_may_follow(came: int) -> None:
    client = retried()
    check_refused(client, PeerMisbehaved, reasons.UNEXPECTED_MESSAGE, lambda: client.handshake(message(came)))


@pytest.mark.parametrize("excess", [b"\1", message(HandshakeType.FINISHED, bytes(32))])
def test_nothing_may_stand_behind_the_first_hello(excess: bytes) -> None:
    client = at_server(groups=["secp384r1"])
    raw = client.hello(supported_groups=BOTH).encode()
    check_refused(client, PeerMisbehaved, reasons.EXCESS_HANDSHAKE_DATA, lambda: client.handshake(raw, excess))


@pytest.mark.parametrize("excess", [b"\1", message(HandshakeType.FINISHED, bytes(32))])
def test_nothing_may_stand_behind_the_second_hello(excess: bytes) -> None:
    client = retried()
    raw = client.noted(client.hello_again())
    with fails(PeerMisbehaved, reasons.EXCESS_HANDSHAKE_DATA):
        client.handshake(raw, excess)
    assert client.heard_alert() == (AlertDescription.UNEXPECTED_MESSAGE, True)


def test_there_is_no_third_hello() -> None:
    client = retried()
    client.say(client.hello_again())
    client.hear()
    check_refused(client, PeerMisbehaved, reasons.UNEXPECTED_MESSAGE, lambda: client.say(client.hello_again()))


def test_a_finished_over_the_second_hello_alone_is_refused() -> None:
    client = retried()
    client.say(client.hello_again())
    client.hear()
    client.transcript = client.transcript[4 + 32 :]  # without the message that stands for the first one
    check_refused(client, PeerMisbehaved, reasons.BAD_FINISHED, lambda: client.say(client.finished()))


def test_five_change_cipher_specs_are_too_many() -> None:
    client = retried()
    check_refused(
        client, BadRecord, reasons.TOO_MANY_CHANGE_CIPHER_SPECS, lambda: client.deliver(5 * CHANGE_CIPHER_SPEC)
    )


def test_a_change_cipher_spec_within_the_second_hello() -> None:
    client = retried()
    raw = client.hello_again().encode()
    check_refused(
        client,
        PeerMisbehaved,
        reasons.INTERLEAVED_RECORD,
        lambda: client.deliver(record(ContentType.HANDSHAKE, raw[:9]) + CHANGE_CIPHER_SPEC),
    )
