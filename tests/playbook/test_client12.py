"""Every rule of TLS 1.2 that a client holds its server to: class, Reason, and the alert on the wire."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag

from handfast import AlertReceived, CertificateRefused, HandshakeCompleted, reasons
from handfast.crypto.suites import SUITES_12
from handfast.errors import BadRecord, DecodeError, PeerIncompatible, PeerMisbehaved, TLSError, UnknownIssuer
from handfast.reasons import Reason
from handfast.testing import Authority
from handfast.wire.codepoints import (
    AlertDescription,
    CipherSuite,
    ContentType,
    ExtensionType,
    HandshakeType,
    NamedGroup,
    ProtocolVersion,
    SignatureScheme,
)
from handfast.wire.hello import DOWNGRADED_FURTHER, DOWNGRADED_TO_12, HELLO_RETRY_RANDOM
from handfast.wire.messages12 import Certificate12, Finished12, ServerKeyExchange
from tests.handshake.parties import KEYS, client_identity, fails, identity
from tests.playbook.peers import message, record
from tests.playbook.peers12 import RawServer12
from tests.playbook.playing import at_client, at_client12, check_refused

S = SignatureScheme
ECDSA_128, RSA_128 = (
    CipherSuite.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    CipherSuite.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
)
ONLY_12 = {"max_version": "1.2"}

# --- the fork between versions -------------------------------------------------------------------------------------

FORKS: list[tuple[str, dict[str, Any], dict[str, Any], type[TLSError], Reason]] = [
    ("downgraded to 1.2", {}, {"random": bytes(24) + DOWNGRADED_TO_12}, PeerMisbehaved, reasons.DOWNGRADE),
    ("downgraded further", {}, {"random": bytes(24) + DOWNGRADED_FURTHER}, PeerMisbehaved, reasons.DOWNGRADE),
    (
        "downgraded to 1.1",
        {},
        {"random": bytes(24) + DOWNGRADED_FURTHER, "legacy_version": 0x0302},
        PeerMisbehaved,
        reasons.DOWNGRADE,
    ),
    (
        "downgraded, where only 1.3 is spoken",
        {"min_version": "1.3"},
        {"random": bytes(24) + DOWNGRADED_TO_12},
        PeerMisbehaved,
        reasons.DOWNGRADE,
    ),
    ("TLS 1.2 where only 1.3 is spoken", {"min_version": "1.3"}, {}, PeerIncompatible, reasons.NO_COMMON_VERSION),
    ("TLS 1.1", {}, {"legacy_version": 0x0302}, PeerIncompatible, reasons.NO_COMMON_VERSION),
    ("TLS 1.0", {}, {"legacy_version": 0x0301}, PeerIncompatible, reasons.NO_COMMON_VERSION),
    ("SSL 3.0", {}, {"legacy_version": 0x0300}, PeerIncompatible, reasons.NO_COMMON_VERSION),
    ("TLS 1.3 without the extension", {}, {"legacy_version": 0x0304}, PeerIncompatible, reasons.NO_COMMON_VERSION),
    ("TLS 1.1, where 1.2 is all", ONLY_12, {"legacy_version": 0x0302}, PeerIncompatible, reasons.NO_COMMON_VERSION),
    ("a retry without a version", {}, {"random": HELLO_RETRY_RANDOM}, PeerMisbehaved, reasons.MISSING_EXTENSION),
]


@pytest.mark.parametrize(
    ("settings", "changes", "kind", "reason"), [row[1:] for row in FORKS], ids=[row[0] for row in FORKS]
)
def test_the_fork(settings: dict[str, Any], changes: dict[str, Any], kind: type[TLSError], reason: Reason) -> None:
    server = at_client12(**settings)
    error = check_refused(server, kind, reason, lambda: server.say(server.hello(**changes)))
    assert error.step == "ServerHello"


@pytest.mark.parametrize(
    ("version", "name"), [(0x0302, "TLSv1.1"), (0x0301, "TLSv1.0"), (0x0300, "SSLv3"), (0x0002, "SSLv2")]
)
def test_an_old_server_is_refused_by_name(version: int, name: str) -> None:
    server = at_client12()
    body = version.to_bytes(2) + bytes(32) + b"\0" + b"\x00\x2f" + b"\0"
    error = check_refused(
        server,
        PeerIncompatible,
        reasons.NO_COMMON_VERSION,
        lambda: server.handshake(message(HandshakeType.SERVER_HELLO, body)),
    )
    assert error.evidence == {"peer_speaks": name, "we_offered": ["TLSv1.3", "TLSv1.2"]}
    assert server.heard_alert() == (AlertDescription.PROTOCOL_VERSION, False)


@pytest.mark.parametrize("version", [0x0303, 0x0302, 0x0301, 0x0300])
def test_tls_1_3_s_server_hello_cannot_select_an_older_version(version: int) -> None:
    server = at_client()
    hello = server.hello(selected_version=version)
    check_refused(server, PeerMisbehaved, reasons.VERSION_NOT_OFFERED, lambda: server.say(hello))


def test_tls_1_3_s_server_hello_cannot_answer_a_client_of_tls_1_2() -> None:
    server = at_client12(**ONLY_12)
    hello = server.hello(selected_version=ProtocolVersion.TLS_1_3)
    check_refused(server, PeerMisbehaved, reasons.VERSION_NOT_OFFERED, lambda: server.say(hello))


def test_a_client_of_tls_1_2_alone_does_not_look_for_downgrades() -> None:
    """It asked for no more than TLS 1.2: a server that could do more says so in every ServerHello."""
    server = at_client12(**ONLY_12)
    server.say(server.hello(random=bytes(24) + DOWNGRADED_TO_12))
    assert server.connection.awaiting == "Certificate"


# --- ServerHello ---------------------------------------------------------------------------------------------------

X = ExtensionType
SERVER_HELLOS: list[tuple[str, dict[str, Any], type[TLSError], Reason]] = [
    ("compression", {"legacy_compression_method": 1}, PeerMisbehaved, reasons.BAD_COMPRESSION),
    ("suite of TLS 1.3", {"cipher_suite": 0x1301}, PeerMisbehaved, reasons.SUITE_NOT_OFFERED),
    (
        "suite that is no default",
        {"cipher_suite": CipherSuite.TLS_ECDHE_ECDSA_WITH_AES_128_CCM},
        PeerMisbehaved,
        reasons.SUITE_NOT_OFFERED,
    ),
    ("RSA key exchange", {"cipher_suite": 0x009C}, PeerMisbehaved, reasons.SUITE_NOT_OFFERED),
    ("CBC", {"cipher_suite": 0xC009}, PeerMisbehaved, reasons.SUITE_NOT_OFFERED),
    ("RSA export", {"cipher_suite": 0x0003}, PeerMisbehaved, reasons.SUITE_NOT_OFFERED),
    ("finite-field Diffie-Hellman", {"cipher_suite": 0x009E}, PeerMisbehaved, reasons.SUITE_NOT_OFFERED),
    ("no encryption", {"cipher_suite": 0x0000}, PeerMisbehaved, reasons.SUITE_NOT_OFFERED),
    ("fallback SCSV", {"cipher_suite": 0x5600}, PeerMisbehaved, reasons.SUITE_NOT_OFFERED),
    ("extension not offered", {"other_extensions": {X.HEARTBEAT: b"\1"}}, PeerMisbehaved, reasons.UNSOLICITED_EXTENSION),
    ("ticket not offered", {"other_extensions": {X.SESSION_TICKET: b""}}, PeerMisbehaved, reasons.UNSOLICITED_EXTENSION),
    ("unknown extension", {"other_extensions": {0x1234: b""}}, PeerMisbehaved, reasons.UNSOLICITED_EXTENSION),
    ("protocol, and none offered", {"application_layer_protocol_negotiation": b"h2"}, PeerMisbehaved,
     reasons.UNSOLICITED_EXTENSION),
    ("record sizes, and none offered", {"record_size_limit": 64}, PeerMisbehaved, reasons.UNSOLICITED_EXTENSION),
    ("no secure renegotiation", {"renegotiation_info": None}, PeerIncompatible, reasons.NO_SECURE_RENEGOTIATION),
    ("in a renegotiation", {"renegotiation_info": bytes(24)}, PeerMisbehaved, reasons.BAD_RENEGOTIATION_INFO),
    ("no extended main secret", {"extended_main_secret": None}, PeerIncompatible, reasons.NO_EXTENDED_MAIN_SECRET),
    ("no uncompressed points", {"ec_point_formats": b"\1\2"}, PeerMisbehaved, reasons.BAD_POINT_FORMATS),
    ("session id too long", {"legacy_session_id_echo": bytes(33)}, DecodeError, reasons.DECODE_ERROR),
]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "kind", "reason"), [row[1:] for row in SERVER_HELLOS], ids=[row[0] for row in SERVER_HELLOS]
)
def test_server_hello(changes: dict[str, Any], kind: type[TLSError], reason: Reason) -> None:
    server = at_client12()
    check_refused(server, kind, reason, lambda: server.say(server.hello(**changes)))


def test_a_session_that_was_not_offered_cannot_be_resumed() -> None:
    server = at_client12()
    ours = server.client_hello.legacy_session_id
    assert len(ours) == 32
    hello = server.hello(legacy_session_id_echo=ours)
    check_refused(server, PeerMisbehaved, reasons.RESUMED_NOTHING, lambda: server.say(hello))


@pytest.mark.parametrize("session", [b"", b"x", bytes(32)])
@pytest.mark.parametrize("settings", [{}, ONLY_12], ids=["both versions", "1.2 alone"])
def test_a_server_may_have_a_session_of_its_own(settings: dict[str, Any], session: bytes) -> None:
    server = at_client12(**settings)
    server.say(server.hello(legacy_session_id_echo=session))
    assert server.connection.awaiting == "Certificate"


def test_a_protocol_that_was_not_offered() -> None:
    server = at_client12(alpn=["h2"])
    hello = server.hello(application_layer_protocol_negotiation=b"http/1.1")
    check_refused(server, PeerMisbehaved, reasons.ALPN_NOT_OFFERED, lambda: server.say(hello))


def test_a_record_size_that_is_too_small() -> None:
    server = at_client12(record_size_limit=100)
    hello = server.hello(record_size_limit=63)
    check_refused(server, PeerMisbehaved, reasons.BAD_RECORD_SIZE_LIMIT, lambda: server.say(hello))


# --- Certificate ---------------------------------------------------------------------------------------------------

CERTIFICATES: list[tuple[str, Certificate12, type[TLSError], Reason]] = [
    ("none", Certificate12([]), PeerMisbehaved, reasons.NO_CERTIFICATE),
    ("of no bytes", Certificate12([b""]), DecodeError, reasons.DECODE_ERROR),
    ("too many", Certificate12([b"x"] * 17), DecodeError, reasons.TOO_MANY_ITEMS),
]


@pytest.mark.parametrize(
    ("certificate", "kind", "reason"), [row[1:] for row in CERTIFICATES], ids=[row[0] for row in CERTIFICATES]
)
def test_certificate(certificate: Certificate12, kind: type[TLSError], reason: Reason) -> None:
    server = at_client12("Certificate")
    check_refused(server, kind, reason, lambda: server.say(certificate))


def test_an_untrusted_certificate_ends_with_the_alert_of_its_cause() -> None:
    server = at_client12("Certificate")
    server.who = Authority.create("another root").issue("localhost")
    with pytest.raises(UnknownIssuer):
        server.say(server.certificate())
    assert server.heard_alert() == (AlertDescription.UNKNOWN_CA, False)


def test_who_is_not_welcome_is_refused_once_the_key_is_proven() -> None:
    def check(peer: Any) -> None:
        raise CertificateRefused(alert="certificate_revoked")

    server = at_client12("ServerKeyExchange", check_peer=check)
    with pytest.raises(CertificateRefused):
        server.say(server.exchange())
    assert server.heard_alert() == (AlertDescription.CERTIFICATE_REVOKED, False)


# --- ServerKeyExchange ---------------------------------------------------------------------------------------------


def garbled(exchange: ServerKeyExchange) -> ServerKeyExchange:
    """The same with one bit of the signature changed."""
    exchange.signature = exchange.signature[:-1] + bytes((exchange.signature[-1] ^ 1,))
    return exchange


EXCHANGES: list[tuple[str, Callable[[RawServer12], Any], type[TLSError], Reason]] = [
    ("group that is not offered", lambda s: s.exchange(NamedGroup.X448), PeerMisbehaved, reasons.GROUP_NOT_OFFERED),
    ("unknown group", lambda s: s.exchange(named=0x1234), PeerMisbehaved, reasons.GROUP_NOT_OFFERED),
    (
        "hybrid",
        lambda s: s.exchange(named=NamedGroup.X25519MLKEM768),
        PeerMisbehaved,
        reasons.GROUP_NOT_OFFERED,
    ),
    ("SHA-1", lambda s: s.exchange(scheme=S.ECDSA_SHA1), PeerMisbehaved, reasons.SCHEME_NOT_OFFERED),
    ("MD5", lambda s: s.exchange(scheme=0x0103), PeerMisbehaved, reasons.SCHEME_NOT_OFFERED),
    ("scheme of another key", lambda s: s.exchange(scheme=S.ED25519), PeerMisbehaved, reasons.WRONG_SIGNATURE_TYPE),
    ("RSA with ECDSA", lambda s: s.exchange(scheme=S.RSA_PKCS1_SHA256), PeerMisbehaved, reasons.WRONG_SIGNATURE_TYPE),
    ("ML-DSA", lambda s: s.exchange(scheme=S.MLDSA65), PeerMisbehaved, reasons.SCHEME_NOT_OFFERED),
    ("another hash", lambda s: s.exchange(scheme=S.ECDSA_SECP384R1_SHA384), PeerMisbehaved, reasons.BAD_SIGNATURE),
    ("wrong signature", lambda s: garbled(s.exchange()), PeerMisbehaved, reasons.BAD_SIGNATURE),
    ("no signature", lambda s: s.exchange(signature=b""), PeerMisbehaved, reasons.BAD_SIGNATURE),
    (
        "over the randoms of another connection",
        lambda s: s.exchange(randoms=(bytes(32), s.randoms[1])),
        PeerMisbehaved,
        reasons.BAD_SIGNATURE,
    ),
    (
        "over another server random",
        lambda s: s.exchange(randoms=(s.randoms[0], bytes(32))),
        PeerMisbehaved,
        reasons.BAD_SIGNATURE,
    ),
    ("over no randoms", lambda s: s.exchange(randoms=(b"", b"")), PeerMisbehaved, reasons.BAD_SIGNATURE),
    ("empty share", lambda s: s.exchange(public=b""), DecodeError, reasons.DECODE_ERROR),
    (
        "curve by its parameters",
        lambda s: message(HandshakeType.SERVER_KEY_EXCHANGE, b"\1" + bytes(60)),
        PeerMisbehaved,
        reasons.BAD_CURVE_TYPE,
    ),
    (
        "finite-field parameters",
        lambda s: message(HandshakeType.SERVER_KEY_EXCHANGE, b"\0\x40" + bytes(200)),
        PeerMisbehaved,
        reasons.BAD_CURVE_TYPE,
    ),
]


@pytest.mark.parametrize(
    ("exchange", "kind", "reason"), [row[1:] for row in EXCHANGES], ids=[row[0] for row in EXCHANGES]
)
def test_server_key_exchange(exchange: Callable[[RawServer12], Any], kind: type[TLSError], reason: Reason) -> None:
    server = at_client12("ServerKeyExchange")
    check_refused(server, kind, reason, lambda: server.say(exchange(server)))


def test_the_signature_has_to_be_of_the_certificate_s_key() -> None:
    server = at_client12("ServerKeyExchange")
    server.who = identity("p256", "other.example")
    check_refused(server, PeerMisbehaved, reasons.BAD_SIGNATURE, lambda: server.say(server.exchange()))


@pytest.mark.parametrize(
    ("suite", "key"), [(RSA_128, "p256"), (RSA_128, "ed25519"), (ECDSA_128, "rsa2048"), (ECDSA_128, "rsapss2048")]
)
def test_the_certificate_has_to_be_of_the_kind_that_the_suite_says(suite: int, key: str) -> None:
    server = at_client12(who=identity(key))
    server.suite = SUITES_12[suite]
    server.say(server.hello())
    check_refused(server, PeerMisbehaved, reasons.WRONG_SIGNATURE_TYPE, lambda: server.say(server.certificate()))


def test_a_certificate_with_a_key_that_tls_1_2_does_not_have() -> None:
    server = at_client12(who=identity("mldsa44"))
    server.say(server.hello(cipher_suite=ECDSA_128))
    server.say(server.certificate())
    signature = server.who.signer.sign(S.MLDSA44, b"")
    assert isinstance(signature, bytes)
    exchange = ServerKeyExchange(NamedGroup.X25519, bytes(32), S.MLDSA44, signature)
    check_refused(server, PeerMisbehaved, reasons.SCHEME_NOT_OFFERED, lambda: server.say(exchange))


SHARES = [
    (NamedGroup.X25519, bytes(32)),
    (NamedGroup.X25519, bytes(31)),
    (NamedGroup.SECP256R1, b"\4" + bytes(64)),
    (NamedGroup.SECP256R1, b"\2" + bytes(32)),
    (NamedGroup.SECP256R1, b"\0"),
]


@pytest.mark.parametrize(("group", "public"), SHARES)
def test_a_share_that_is_no_point(group: int, public: bytes) -> None:
    """A signed one: a server may do anything with its own key."""
    server = at_client12("ServerKeyExchange")
    server.say(server.exchange(group, public=public))
    check_refused(server, PeerMisbehaved, reasons.BAD_KEY_SHARE, lambda: server.say(server.done()))


@pytest.mark.parametrize("key", [key for key in KEYS if not key.startswith("mldsa")])
def test_every_kind_of_key_may_sign(key: str) -> None:
    server = at_client12(who=identity(key), groups=["x25519", "secp256r1", "secp384r1", "secp521r1"]).go_to("")
    [completed] = server.events
    assert isinstance(completed, HandshakeCompleted)
    assert completed.handshake.version == "TLSv1.2"


# --- CertificateRequest --------------------------------------------------------------------------------------------

REQUESTS: list[tuple[str, dict[str, Any], str | None]] = [
    ("anything", {}, "p256"),
    ("RSA", {"certificate_types": b"\1"}, "rsa2048"),
    ("ECDSA", {"certificate_types": b"\x40"}, "p256"),
    ("another kind", {"certificate_types": b"\2\3\4"}, None),
    ("a scheme", {"signature_algorithms": [S.RSA_PKCS1_SHA256]}, "rsa2048"),
    ("SHA-1 alone", {"signature_algorithms": [S.RSA_PKCS1_SHA1, S.ECDSA_SHA1]}, None),
    ("another authority", {"certificate_authorities": [b"\x30\0"]}, None),
]


@pytest.mark.parametrize(("changes", "key"), [row[1:] for row in REQUESTS], ids=[row[0] for row in REQUESTS])
def test_a_client_answers_as_it_is_asked(changes: dict[str, Any], key: str | None) -> None:
    server = at_client12(
        "CertificateRequest or ServerHelloDone", identities=[client_identity("p256"), client_identity("rsa2048")]
    )
    server.say(server.request(**changes))
    server.say(server.done())
    heard = server.heard_messages()
    sent = Certificate12.parse(heard[0]).certificate_list
    assert tuple(sent) == (() if key is None else client_identity(key).chain)
    names = [HandshakeType.name(raw[0]) for raw in heard[:-1]]
    assert names == ["certificate", "client_key_exchange"] + ["certificate_verify"] * (key is not None)
    server.change_cipher_spec()
    server.say(server.finished())
    assert server.connection.handshake is not None


@pytest.mark.parametrize("chosen", ["p256", None])
def test_the_application_may_choose_who_it_is(chosen: str | None) -> None:
    """From what the server asks for; the authorities that it names are then the application's affair."""
    asked = []

    def choose(request: Any) -> Any:
        asked.append(request)
        return client_identity(chosen) if chosen else None

    server = at_client12("CertificateRequest or ServerHelloDone", choose_identity=choose)
    server.say(server.request(certificate_authorities=[b"\x30\0"]))
    server.say(server.done())
    sent = Certificate12.parse(server.heard_messages()[0]).certificate_list
    assert tuple(sent) == (client_identity(chosen).chain if chosen else ())
    assert [request.certificate_authorities for request in asked] == [[b"\x30\0"]]


@pytest.mark.parametrize(
    "body",
    [
        b"\0" + b"\0\2\4\3" + b"\0\0",
        b"\1\1" + b"\0\1\4" + b"\0\0",
        b"\1\1" + b"\0\2\4\3" + b"\0\2\0\0",
        b"\1\1\0\0\0\0",
        b"",
    ],
    ids=["no types", "half a scheme", "empty name", "no schemes", "nothing"],
)
def test_a_request_that_does_not_parse(body: bytes) -> None:
    server = at_client12("CertificateRequest or ServerHelloDone")
    raw = message(HandshakeType.CERTIFICATE_REQUEST, body)
    check_refused(server, DecodeError, reasons.DECODE_ERROR, lambda: server.handshake(raw))


def test_a_server_hello_done_with_content() -> None:
    server = at_client12("CertificateRequest or ServerHelloDone")
    raw = message(HandshakeType.SERVER_HELLO_DONE, b"\0")
    check_refused(server, DecodeError, reasons.DECODE_ERROR, lambda: server.handshake(raw))


# --- Finished ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [bytes(12), b"", bytes(11), bytes(32)], ids=["wrong", "empty", "short", "long"])
def test_finished(data: bytes) -> None:
    server = at_client12("Finished")
    error = check_refused(server, PeerMisbehaved, reasons.BAD_FINISHED, lambda: server.say(Finished12(data)))
    assert error.evidence == {}


def test_the_client_s_own_finished_is_not_taken_back() -> None:
    server = at_client12("Finished")
    server.is_server = False
    check_refused(server, PeerMisbehaved, reasons.BAD_FINISHED, lambda: server.say(server.finished()))


def test_the_right_finished_with_more_behind_it() -> None:
    server = at_client12("Finished")
    longer = Finished12(server.finished().verify_data + b"\0")
    check_refused(server, PeerMisbehaved, reasons.BAD_FINISHED, lambda: server.say(longer))


def test_a_changed_transcript_shows_in_finished() -> None:
    """What nobody signed, a suite taken out of the ClientHello, say, both sides have to agree on here (SMACK, Logjam)."""
    server = at_client12("CertificateRequest or ServerHelloDone")
    offered = server.client_hello.cipher_suites[0].to_bytes(2)
    server.transcript = server.transcript.replace(offered, b"\x1a\x1a", 1)
    server.say(server.done())
    # With the extended main secret the two sides do not even have the same keys any more.
    with pytest.raises(InvalidTag):
        server.hear()
    server.change_cipher_spec()
    with fails(BadRecord, reasons.BAD_RECORD_MAC):
        server.say(server.finished())


def test_a_curve_of_a_certificate_has_to_be_one_that_was_offered() -> None:
    server = at_client12("Certificate", who=identity("p521"))
    check_refused(server, PeerMisbehaved, reasons.GROUP_NOT_OFFERED, lambda: server.say(server.certificate()))


@pytest.mark.parametrize("reply", [record(ContentType.ALERT, b"\2\x46"), record(ContentType.ALERT, b"\2\x28")])
def test_an_alert_that_answers_client_hello_names_what_we_offered(reply: bytes) -> None:
    server = at_client12()
    with pytest.raises(TLSError) as caught:
        server.deliver(reply)
    offered = caught.value.evidence.get("versions_we_offered") or caught.value.evidence["we_offered"]
    assert offered == ["TLSv1.3", "TLSv1.2"]


def test_a_fallen_back_client_is_told() -> None:
    server = at_client12()
    with fails(AlertReceived, reasons.ALERT_RECEIVED) as caught:
        server.alert(AlertDescription.INAPPROPRIATE_FALLBACK)
    assert caught.value.name == "inappropriate_fallback"
