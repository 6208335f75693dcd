"""What both sides agree on when there is a choice, and how they part when there is nothing in common."""

from __future__ import annotations

from typing import Any

import pytest

from handfast import AlertReceived, reasons
from handfast.errors import CertificateNameMismatch, PeerIncompatible, PeerMisbehaved
from handfast.reasons import Reason
from handfast.testing import pair, pump
from handfast.wire.codepoints import AlertDescription, CipherSuite, ExtensionType, NamedGroup, SignatureScheme
from handfast.wire.hello import ClientHello
from tests.handshake.parties import SUITES, client_config, fails, identity, server_config, started

AES128, AES256, CHACHA = SUITES

# --- suites and groups ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ours", "order", "theirs", "chosen"),
    [
        ((AES256, AES128), "server", (AES128, AES256), AES256),
        ((AES256, AES128), "client", (AES128, AES256), AES128),
        ((AES256, AES128, CHACHA), "server", (CHACHA, AES256), CHACHA),
        ((AES256, AES128, CHACHA), "client", (CHACHA, AES256), CHACHA),
        ((AES256, AES128), "server", (CHACHA, AES128, AES256), AES128),
        ((CHACHA, AES128), "server", (AES128, CHACHA), CHACHA),
        ((AES256,), "server", (AES128, AES256), AES256),
    ],
)
def test_whose_order_of_suites_decides(ours: Any, order: Any, theirs: Any, chosen: str) -> None:
    client, server = pair(
        client_config(cipher_suites=theirs),
        server_config(cipher_suites=ours, suite_order=order),
        server_name="localhost",
    )
    assert client.handshake is not None
    assert server.handshake is not None
    assert client.handshake.cipher_suite == server.handshake.cipher_suite == chosen


@pytest.mark.parametrize(
    ("ours", "client", "chosen"),
    [
        (("x25519",), {}, "x25519"),
        (("X25519MLKEM768", "x25519"), {}, "X25519MLKEM768"),
        (("x25519", "X25519MLKEM768"), {}, "x25519"),
        (("secp256r1", "x25519"), {}, "x25519"),  # there is a share of x25519, and none of the other
        (("secp256r1", "x25519"), {"key_shares": ["secp256r1", "x25519"]}, "secp256r1"),
        (("secp384r1",), {"groups": ["secp384r1", "x25519"]}, "secp384r1"),
    ],
)
def test_groups(ours: Any, client: dict[str, Any], chosen: str) -> None:
    here, there = pair(client_config(**client), server_config(groups=ours))
    assert here.handshake is not None
    assert there.handshake is not None
    assert here.handshake.group == there.handshake.group == chosen


# --- versions ------------------------------------------------------------------------------------------------------

ECDSA_128, ECDSA_256 = (f"TLS_ECDHE_ECDSA_WITH_AES_{size}" for size in ("128_GCM_SHA256", "256_GCM_SHA384"))
RSA_128, ECDSA_CHACHA = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"


@pytest.mark.parametrize(
    ("client", "server", "version"),
    [
        ({}, {}, "TLSv1.3"),
        ({"max_version": "1.2"}, {}, "TLSv1.2"),
        ({}, {"max_version": "1.2"}, "TLSv1.2"),
        ({"min_version": "1.3"}, {}, "TLSv1.3"),
        ({}, {"profile": "modern"}, "TLSv1.3"),
        ({"cipher_suites": [ECDSA_128]}, {}, "TLSv1.2"),
        ({}, {"cipher_suites": [ECDSA_128]}, "TLSv1.2"),
        # The version comes first: what is only fit for TLS 1.2 does not lead there.
        ({"cipher_suites": [ECDSA_128, AES128]}, {"suite_order": "client"}, "TLSv1.3"),
    ],
)
def test_the_version(client: dict[str, Any], server: dict[str, Any], version: str) -> None:
    here, there = pair(client_config(**client), server_config(**server))
    assert here.handshake is not None
    assert there.handshake is not None
    assert here.handshake.version == there.handshake.version == version


@pytest.mark.parametrize(
    ("keys", "ours", "order", "theirs", "chosen"),
    [
        (["p256"], (ECDSA_256, ECDSA_128), "server", (ECDSA_128, ECDSA_256), ECDSA_256),
        (["p256"], (ECDSA_256, ECDSA_128), "client", (ECDSA_128, ECDSA_256), ECDSA_128),
        (["p256"], (ECDSA_128, ECDSA_CHACHA), "server", (ECDSA_CHACHA, ECDSA_128), ECDSA_CHACHA),
        (["p256", "rsa2048"], (RSA_128, ECDSA_128), "server", (ECDSA_128, RSA_128), RSA_128),
        (["p256"], (RSA_128, ECDSA_128), "server", (RSA_128, ECDSA_128), ECDSA_128),
    ],
)
def test_suites_of_tls_1_2(keys: list[str], ours: Any, order: Any, theirs: Any, chosen: str) -> None:
    """There a suite also says by which kind of certificate the server proves who it is."""
    identities = [identity(key) for key in keys]
    client, server = pair(
        client_config(cipher_suites=theirs), server_config(identities=identities, cipher_suites=ours, suite_order=order)
    )
    assert client.handshake is not None
    assert server.handshake is not None
    assert client.handshake.cipher_suite == server.handshake.cipher_suite == chosen
    kind = "rsa" if "_RSA_" in chosen else "secp256r1"
    assert server.handshake.identity is not None
    assert server.handshake.identity.kind == kind


# --- application protocols -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("client", "server", "agreed"),
    [
        (["h2", "http/1.1"], ["http/1.1", "h2"], "http/1.1"),
        (["h2", "http/1.1"], ["h2"], "h2"),
        ([b"\xff\0"], [b"\xff\0"], "\\xff\0"),
        (["h2"], [], None),
        ([], ["h2"], None),
        ([], [], None),
        (["x" * 255], ["x" * 255], "x" * 255),
    ],
)
def test_alpn(client: Any, server: Any, agreed: str | None) -> None:
    here, there = pair(client_config(alpn=client), server_config(alpn=server))
    assert here.handshake is not None
    assert there.handshake is not None
    assert here.handshake.alpn == there.handshake.alpn == agreed


# --- identities ----------------------------------------------------------------------------------------------------


def many() -> list[Any]:
    return [
        identity("p256", "default.example"),
        identity("p256", "*.wild.example"),
        identity("ed25519", "exact.wild.example"),
        identity("rsa2048", "both.example"),
        identity("p256", "both.example"),
    ]


@pytest.mark.parametrize(
    ("name", "schemes", "chosen"),
    [
        ("default.example", None, 0),
        ("a.wild.example", None, 1),
        ("exact.wild.example", None, 1),  # the first that fits
        ("exact.wild.example", ["ed25519"], 2),  # the first that fits and can sign
        ("both.example", None, 3),
        ("both.example", ["ecdsa_secp256r1_sha256"], 4),
    ],
)
def test_the_identity_that_fits(name: str, schemes: Any, chosen: int) -> None:
    settings = {} if schemes is None else {"signature_schemes": schemes}
    client, server = pair(client_config(**settings), server_config(identities=many()), server_name=name)
    assert server.handshake is not None
    assert client.handshake is not None
    assert server.handshake.identity is many()[chosen]
    assert client.handshake.server_name == name


@pytest.mark.parametrize("name", ["unknown.example", "a.b.wild.example", "wild.example"])
def test_an_unknown_name_gets_the_default_and_the_client_decides(name: str) -> None:
    with fails(CertificateNameMismatch, reasons.CERTIFICATE_NAME_MISMATCH):
        pair(client_config(), server_config(identities=many()), server_name=name)


def test_an_unknown_name_may_be_refused() -> None:
    client, server = started(server={"identities": many(), "unknown_names": "refuse"}, server_name="unknown.example")
    with fails(PeerIncompatible, reasons.UNRECOGNIZED_NAME) as caught:
        pump(client, server)
    assert caught.value.evidence["peer_asked_for"] == "unknown.example"
    with fails(AlertReceived, reasons.ALERT_RECEIVED) as told:
        client.next_event()
    assert told.value.name == "unrecognized_name"


def test_a_client_without_a_name_is_never_unknown() -> None:
    pair(client_config(), server_config(unknown_names="refuse"), server_name="127.0.0.1")


def test_a_chosen_identity_is_for_any_name() -> None:
    chosen = identity("p256", "chosen.example")
    seen: list[ClientHello] = []

    def choose(hello: ClientHello) -> Any:
        seen.append(hello)
        return chosen

    client, server = started(
        server={"choose_identity": choose, "identities": many(), "unknown_names": "refuse"}, server_name="other.example"
    )
    with fails(CertificateNameMismatch, reasons.CERTIFICATE_NAME_MISMATCH):
        pump(client, server)
    assert seen[0].server_name == "other.example"


def test_a_chooser_alone_is_enough() -> None:
    _, server = pair(client_config(), server_config(identities=[], choose_identity=lambda hello: identity()))
    assert server.handshake is not None
    assert server.handshake.identity is identity()


def test_a_chooser_that_knows_nobody() -> None:
    client, server = started(server={"identities": [], "choose_identity": lambda hello: None})
    with fails(PeerIncompatible, reasons.NO_COMMON_SIGNATURE_SCHEME):
        pump(client, server)


# --- nothing in common ---------------------------------------------------------------------------------------------

NOTHING_IN_COMMON: list[tuple[str, dict[str, Any], dict[str, Any], Reason, dict[str, Any]]] = [
    (
        "suite",
        {"cipher_suites": [AES128]},
        {"cipher_suites": [AES256, CHACHA]},
        reasons.NO_COMMON_SUITE,
        {"peer_offered": [AES128], "we_accept": [AES256, CHACHA]},
    ),
    (
        "group",
        {"groups": ["x25519"]},
        {"groups": ["secp256r1", "secp384r1"]},
        reasons.NO_COMMON_GROUP,
        {"peer_offered": ["x25519"], "we_accept": ["secp256r1", "secp384r1"]},
    ),
    (
        "scheme",
        {"signature_schemes": ["ed25519"]},
        {},
        reasons.NO_COMMON_SIGNATURE_SCHEME,
        {"peer_offered": ["ed25519"], "we_can_sign_with": ["ecdsa_secp256r1_sha256"]},
    ),
    (
        "alpn",
        {"alpn": ["h2"]},
        {"alpn": ["http/1.1"]},
        reasons.NO_COMMON_ALPN,
        {"peer_offered": ["h2"], "we_accept": ["http/1.1"]},
    ),
]


@pytest.mark.parametrize(
    ("client", "server", "reason", "evidence"),
    [row[1:] for row in NOTHING_IN_COMMON],
    ids=[row[0] for row in NOTHING_IN_COMMON],
)
def test_nothing_in_common_in_tls_1_3(
    client: dict[str, Any], server: dict[str, Any], reason: Reason, evidence: dict[str, Any]
) -> None:
    here, there = started(client, {"min_version": "1.3", **server})
    with fails(PeerIncompatible, reason) as caught:
        pump(here, there)
    assert caught.value.evidence == evidence
    assert caught.value.step == "ClientHello"
    assert caught.value.sent_by == "us"
    with fails(AlertReceived, reasons.ALERT_RECEIVED) as told:
        here.next_event()
    assert told.value.description == reason.alert
    assert told.value.step == "ServerHello"


def test_versions_without_a_common_one() -> None:
    here, there = started({"max_version": "1.2"}, {"min_version": "1.3"})
    with fails(PeerIncompatible, reasons.NO_COMMON_VERSION) as caught:
        pump(here, there)
    assert caught.value.evidence["peer_speaks"] == "TLSv1.2"
    with fails(AlertReceived, reasons.VERSION_REFUSED) as told:
        here.next_event()
    assert told.value.evidence["we_offered"] == ["TLSv1.2"]


def test_the_side_that_refuses_is_the_one_that_raises() -> None:
    with fails(PeerIncompatible, reasons.NO_COMMON_ALPN):
        pair(client_config(alpn=["a"]), server_config(alpn=["b"]))


# --- the shape of the hello ----------------------------------------------------------------------------------------


def hello_of(server_name: str = "localhost", **settings: Any) -> tuple[bytes, ClientHello]:
    client, _ = started(settings, server_name=server_name)
    record = bytes(client.data_to_send())
    assert record[:3] == b"\x16\x03\x01"  # RFC 9846 section 5.1: a first record says TLS 1.0
    return record[5:], ClientHello.parse(record[5:])


def test_what_is_offered_by_default() -> None:
    _, hello = hello_of()
    assert [share.group for share in hello.key_share or ()] == [0x11EC, 0x001D]
    assert [CipherSuite.name(suite) for suite in hello.cipher_suites] == [
        "TLS_AES_128_GCM_SHA256",
        "TLS_AES_256_GCM_SHA384",
        "TLS_CHACHA20_POLY1305_SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    ]
    assert hello.supported_versions == [0x0304, 0x0303]
    assert (hello.extended_main_secret, hello.renegotiation_info, hello.ec_point_formats) == (True, b"", b"\0")
    assert hello.legacy_version == 0x0303
    assert len(hello.legacy_session_id) == 32
    assert hello.server_name == "localhost"
    shares = {share.group: share.key_exchange for share in hello.key_share or ()}
    assert shares[0x11EC].endswith(shares[0x001D])  # the hybrid's half and the plain share are one key


def test_what_is_offered_of_tls_1_3_alone() -> None:
    _, hello = hello_of(profile="modern")
    assert [CipherSuite.name(suite) for suite in hello.cipher_suites] == list(SUITES)
    assert hello.supported_versions == [0x0304]
    for extension in (
        ExtensionType.EXTENDED_MAIN_SECRET,
        ExtensionType.RENEGOTIATION_INFO,
        ExtensionType.EC_POINT_FORMATS,
    ):
        assert extension not in hello.extension_types
    assert SignatureScheme.RSA_PKCS1_SHA256 not in (hello.signature_algorithms or ())
    assert SignatureScheme.RSA_PKCS1_SHA256 in (hello.signature_algorithms_cert or ())


def test_what_is_offered_of_tls_1_2_alone() -> None:
    """Nothing that a server of TLS 1.2 does not know: no versions, no shares, no session to pretend, no hybrids."""
    _, hello = hello_of(max_version="1.2")
    assert {CipherSuite.name(suite)[:10] for suite in hello.cipher_suites} == {"TLS_ECDHE_"}
    assert (hello.supported_versions, hello.key_share, hello.legacy_session_id) == (None, None, b"")
    assert hello.legacy_version == 0x0303
    assert hello.supported_groups == [NamedGroup.X25519, NamedGroup.SECP256R1, NamedGroup.SECP384R1]
    assert SignatureScheme.RSA_PKCS1_SHA256 in (hello.signature_algorithms or ())
    assert SignatureScheme.MLDSA44 not in (hello.signature_algorithms or ())


def test_two_connections_share_nothing() -> None:
    first, second = hello_of()[1], hello_of()[1]
    assert first.random != second.random
    assert first.legacy_session_id != second.legacy_session_id
    assert first.key_share is not None
    assert second.key_share is not None
    for here, there in zip(first.key_share, second.key_share, strict=True):
        assert here.key_exchange != there.key_exchange


@pytest.mark.parametrize("length", range(1, 256, 3))
def test_no_hello_has_256_to_511_bytes(length: int) -> None:
    """Some servers hang on those (RFC 7685 section 4)."""
    raw, hello = hello_of(groups=["x25519"], alpn=["x" * length])
    assert not 256 <= len(raw) < 512
    if hello.padding:
        assert len(raw) == 512
        assert hello.extension_types[-1] == ExtensionType.PADDING


def test_a_padded_hello_is_understood() -> None:
    raw, hello = hello_of(groups=["x25519"], alpn=["x" * 100])
    assert hello.padding is not None
    assert raw[-hello.padding :] == bytes(hello.padding)
    pair(client_config(groups=["x25519"], alpn=["x" * 100]), server_config())


@pytest.mark.parametrize("on", [True, False])
def test_middlebox_compatibility(on: bool) -> None:
    """RFC 9846 appendix E.4: a session id, and a change_cipher_spec of each side, which mean nothing."""
    client, server = started({"middlebox_compatibility": on})
    sent = {"client": b"", "server": b""}
    for _ in range(3):
        data = bytes(client.data_to_send())
        sent["client"] += data
        server.receive_data(data)
        list(server.events())
        data = bytes(server.data_to_send())
        sent["server"] += data
        client.receive_data(data)
        list(client.events())
    assert client.handshake is not None
    for data in sent.values():
        assert data.count(b"\x14\x03\x03\x00\x01\x01") == on
    assert sent["client"][43] == (32 if on else 0)


def test_an_address_is_not_sent_as_a_name() -> None:
    _, hello = hello_of("127.0.0.1")
    assert hello.server_name is None
    assert ExtensionType.SERVER_NAME not in hello.extension_types


def test_a_peer_of_another_version_is_named() -> None:
    _, server = started()
    body = b"\x03\x02" + bytes(32) + b"\0" + b"\0\2\xc0\x2f" + b"\1\0"
    server.receive_data(b"\x16\x03\x01" + (len(body) + 4).to_bytes(2) + b"\1\0" + len(body).to_bytes(2) + body)
    with fails(PeerIncompatible, reasons.NO_COMMON_VERSION) as caught:
        server.next_event()
    assert caught.value.evidence["peer_speaks"] == "TLSv1.1"
    assert server.data_to_send() == b"\x15\x03\x03\x00\x02\x02" + bytes((AlertDescription.PROTOCOL_VERSION,))


def test_a_bad_share_of_the_client_is_its_fault() -> None:
    client, server = started({"groups": ["x25519"]})
    data = client.data_to_send()
    _, hello = data[:5], ClientHello.parse(bytes(data[5:]))
    assert hello.key_share is not None
    public = hello.key_share[0].key_exchange
    server.receive_data(bytes(data).replace(public, bytes(32)))
    with fails(PeerMisbehaved, reasons.BAD_KEY_SHARE):
        server.next_event()
