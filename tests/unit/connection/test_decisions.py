"""What an application may decide in a handshake: the configuration a client gets, who is welcome, who we are."""

from __future__ import annotations

from typing import Any

import pytest

from handfast import ASK, AlertReceived, CertificateRefused, HandshakeRefused, MisuseError, TLSError, reasons
from handfast.certificates.peer import PeerIdentity
from handfast.config import ServerConfig
from handfast.connection import ClientConnection, ServerConnection
from handfast.errors import CertificateError, PeerIncompatible
from handfast.testing import Authority, pair, pump
from handfast.wire.codepoints import AlertDescription
from handfast.wire.hello import ClientHello
from handfast.wire.messages13 import CertificateRequest
from tests.handshake.parties import (
    COOKIE_KEY,
    Lines,
    Recorder,
    client_config,
    client_identity,
    fails,
    identity,
    server_config,
    started,
    trust,
)


class Awaitable:
    """What an asynchronous callback returns. Nobody awaits it here."""

    def __await__(self) -> Any:
        raise AssertionError("a connection awaits nothing")


def told(connection: ClientConnection | ServerConnection) -> str:
    """The alert by which a connection learned of the end."""
    with fails(AlertReceived, reasons.ALERT_RECEIVED) as caught:
        connection.next_event()
    name: str = caught.value.name
    return name


# --- the configuration that a client gets --------------------------------------------------------------------------

OTHER: dict[str, Any] = {"alpn": ["other"], "groups": ["secp384r1"], "cipher_suites": ["TLS_CHACHA20_POLY1305_SHA256"]}


def check_other(client: ClientConnection, server: ServerConnection) -> None:
    """That both sides have agreed on what the other configuration says."""
    assert client.handshake is not None
    assert server.handshake is not None
    for facts in (client.handshake, server.handshake):
        assert (facts.alpn, facts.group, facts.cipher_suite) == (
            "other",
            "secp384r1",
            "TLS_CHACHA20_POLY1305_SHA256",
        )
        assert facts.hello_retry_request
        assert facts.signature_scheme == "ed25519"


def test_another_configuration_is_used_for_all_that_follows() -> None:
    seen: list[ClientHello] = []
    other = server_config("ed25519", **OTHER)
    config = server_config(on_client_hello=lambda hello: seen.append(hello) or other)
    client, server = pair(client_config(alpn=["other"]), config)
    check_other(client, server)
    assert [hello.server_name for hello in seen] == ["localhost"]  # once, and not again for the second hello


@pytest.mark.parametrize("awaited", [True, False], ids=["awaitable", "ASK"])
def test_the_configuration_may_come_later(awaited: bool) -> None:
    pending = Awaitable()
    client, server = started({"alpn": ["other"]}, {"on_client_hello": (lambda hello: pending) if awaited else ASK})
    _, (question,) = pump(client, server)
    assert question.awaitable is (pending if awaited else None)
    assert not server.has_data_to_send  # nothing is said before it is known who answers
    question.answer(server_config("ed25519", **OTHER))
    pump(client, server)
    check_other(client, server)


def test_none_keeps_the_configuration_there_is() -> None:
    client, _ = pair(client_config(alpn=["h2"]), server_config(alpn=["h2"], on_client_hello=lambda hello: None))
    assert client.handshake is not None
    assert client.handshake.alpn == "h2"


def test_a_server_needs_no_identity_of_its_own_where_each_client_gets_a_configuration() -> None:
    config = ServerConfig(on_client_hello=lambda hello: server_config())
    client, _ = pair(client_config(), config)
    assert client.handshake is not None


def test_a_server_without_identity_whose_review_names_none_refuses() -> None:
    client, server = started(server={"identities": [], "on_client_hello": lambda hello: None})
    with fails(PeerIncompatible, reasons.NO_COMMON_SIGNATURE_SCHEME):
        pump(client, server)


def test_callbacks_of_the_other_configuration_are_called() -> None:
    chosen: list[str | None] = []
    checked: list[PeerIdentity] = []

    def choose(hello: ClientHello) -> Any:
        chosen.append(hello.server_name)
        return identity("ed25519")

    def never(*_: Any) -> Any:
        raise AssertionError("this configuration is not in force any more")

    other = server_config(
        choose_identity=choose, client_authentication="required", check_peer=checked.append, on_client_hello=never
    )
    config = server_config(
        choose_identity=never, client_authentication="none", check_peer=never, on_client_hello=lambda hello: other
    )
    client, server = pair(client_config(identities=[client_identity()]), config)
    assert chosen == ["localhost"]
    assert server.handshake is not None
    assert checked == [server.handshake.peer]
    assert client.handshake is not None
    assert client.handshake.signature_scheme == "ed25519"


def test_padding_and_record_sizes_are_those_of_the_other_configuration() -> None:
    tap = Recorder()
    other = server_config(record_padding=1024, record_size_limit=2048)
    config = server_config(on_client_hello=lambda hello: other)
    client, server = pair(client_config(record_size_limit=4096), config, server_tap=tap)
    server.send(b"x")
    client.send(bytes(4000))
    pump(client, server)
    encrypted = [length for sent, _, length, hidden in tap.records if sent and hidden]
    assert encrypted
    assert {(length - 16) % 1024 for length in encrypted} == {0}
    received = [length - 16 for sent, _, length, hidden in tap.records if not sent and hidden]
    assert max(received) == 2048


def test_secrets_go_to_the_log_of_the_other_configuration() -> None:
    first, second = Lines(), Lines()
    other = server_config(keylog=second)
    pair(client_config(), server_config(keylog=first, on_client_hello=lambda hello: other))
    assert (len(first.lines), len(second.lines)) == (0, 5)


@pytest.mark.parametrize(
    "name", ["access_denied", "general_error", "unrecognized_name", "internal_error", "handshake_failure"]
)
def test_a_client_can_be_refused_by_any_alert(name: str) -> None:
    def refuse(hello: ClientHello) -> Any:
        raise HandshakeRefused(name, "not today", peer=hello.server_name)

    client, server = started(server={"on_client_hello": refuse})
    with fails(HandshakeRefused, reasons.REFUSED_BY_CALLBACK) as caught:
        pump(client, server)
    assert caught.value.evidence == {"peer": "localhost", "problem": "not today"}
    assert caught.value.alert == getattr(AlertDescription, name.upper())
    assert caught.value.step == "ClientHello"
    if name == "handshake_failure":  # the client's error names what it offered, since the alert may be about that
        with pytest.raises(AlertReceived) as answered:
            client.next_event()
        assert answered.value.name == name
    else:
        assert told(client) == name


def test_a_client_can_be_refused_later() -> None:
    client, server = started(server={"on_client_hello": ASK})
    _, (question,) = pump(client, server)
    question.refuse(HandshakeRefused("access_denied"))
    with fails(HandshakeRefused, reasons.REFUSED_BY_CALLBACK):
        pump(client, server)
    assert told(client) == "access_denied"
    with fails(HandshakeRefused, reasons.REFUSED_BY_CALLBACK) as again:  # each later call says the same
        server.next_event()
    assert again.value.alert == AlertDescription.ACCESS_DENIED


def test_a_client_configuration_is_no_answer() -> None:
    client, server = started(server={"on_client_hello": lambda hello: client_config()})
    with fails(TLSError, reasons.CALLBACK_FAILED) as caught:
        pump(client, server)
    assert caught.value.evidence["problem"] == "ClientConfig is not an answer"


def test_a_review_comes_before_anything_is_refused() -> None:
    """Even a client of another version is shown, so that it can be counted, or refused in one's own way."""
    seen: list[ClientHello] = []
    _, server = started(server={"on_client_hello": seen.append})
    hello = ClientHello(random=bytes(32), legacy_session_id=b"", cipher_suites=[0xC02F], legacy_version=0x0302).encode()
    server.receive_data(b"\x16\x03\x01" + len(hello).to_bytes(2) + hello)
    with fails(PeerIncompatible, reasons.NO_COMMON_VERSION):
        server.next_event()
    assert [hello.cipher_suites for hello in seen] == [[0xC02F]]


def test_a_cookie_is_that_of_the_other_configuration() -> None:
    other = server_config(retry="always", cookie_key=COOKIE_KEY)
    client, _ = pair(client_config(), server_config(on_client_hello=lambda hello: other))
    assert client.handshake is not None
    assert client.handshake.hello_retry_request


# --- whether the peer is welcome -----------------------------------------------------------------------------------


def test_a_client_checks_its_server_once_it_is_proven() -> None:
    seen: list[PeerIdentity] = []
    client, _ = pair(client_config(check_peer=seen.append), server_config())
    assert client.handshake is not None
    assert seen == [client.handshake.peer]
    assert seen[0].dns_names == ("localhost",)


def test_who_is_not_proven_is_not_checked() -> None:
    """A chain that does not verify, and a proof that is wrong, come before anybody is asked."""

    def never(_: PeerIdentity) -> None:
        raise AssertionError("nobody has proved anything")

    stranger = Authority.create().issue("localhost")
    client, server = started({"check_peer": never}, {"identities": [stranger]})
    with pytest.raises(CertificateError) as caught:
        pump(client, server)
    assert caught.value.reason is reasons.UNKNOWN_ISSUER


def test_without_a_client_certificate_there_is_nobody_to_check() -> None:
    def never(_: PeerIdentity) -> None:
        raise AssertionError("there is nobody")

    _, server = pair(client_config(), server_config(client_authentication="optional", check_peer=never))
    assert server.handshake is not None
    assert server.handshake.peer is None


@pytest.mark.parametrize("asks", ["client", "server"])
@pytest.mark.parametrize("later", [True, False], ids=["later", "inline"])
def test_a_peer_can_be_refused_by_any_alert(asks: str, later: bool) -> None:
    refusal = CertificateRefused("certificate_revoked", "it is on the list", serial=7)

    def check(_: PeerIdentity) -> Any:
        if later:
            return Awaitable()
        raise refusal

    ours: dict[str, Any] = {"check_peer": check}
    both: tuple[dict[str, Any], dict[str, Any]] = ({"identities": [client_identity()]}, {})
    both[1]["client_authentication"] = "required"
    both[asks == "server"].update(ours)
    client, server = started(*both)
    here, there = (client, server) if asks == "client" else (server, client)
    if later:
        at_client, at_server = pump(client, server)
        question = (at_client if asks == "client" else at_server)[-1]
        question.refuse(refusal)  # type: ignore[union-attr]
    with fails(CertificateRefused, reasons.CERTIFICATE_REFUSED) as caught:
        pump(client, server)
    assert caught.value.evidence == {"serial": 7, "problem": "it is on the list"}
    assert caught.value.step == "CertificateVerify"
    assert here.handshake is None
    assert told(there) == "certificate_revoked"


def test_a_peer_is_checked_where_another_verifier_has_spoken() -> None:
    from handfast.insecure import NoVerification

    seen: list[PeerIdentity] = []
    pair(client_config(verifier=NoVerification(), check_peer=seen.append), server_config())
    assert [peer.verified_by for peer in seen] == ["nothing"]


# --- who a client is -----------------------------------------------------------------------------------------------

MUTUAL: dict[str, Any] = {"client_authentication": "optional"}


def test_a_client_chooses_by_what_the_server_asks_for() -> None:
    requests: list[CertificateRequest] = []

    def choose(request: CertificateRequest) -> Any:
        requests.append(request)
        return client_identity("ed25519")

    client, server = pair(client_config(choose_identity=choose), server_config(**MUTUAL))
    assert [request.certificate_authorities for request in requests] == [list(trust().subjects())]
    assert client.handshake is not None
    assert server.handshake is not None
    assert client.handshake.identity is client_identity("ed25519")
    assert client.handshake.client_signature_scheme == server.handshake.client_signature_scheme == "ed25519"
    assert server.handshake.peer is not None
    assert server.handshake.peer.uris == ("spiffe://test/client",)


def test_a_client_is_asked_only_where_its_server_asks() -> None:
    def never(_: CertificateRequest) -> None:
        raise AssertionError("nobody has asked")

    client, _ = pair(client_config(choose_identity=never), server_config())
    assert client.handshake is not None
    assert client.handshake.identity is None


def test_a_client_may_choose_to_be_nobody() -> None:
    settings: dict[str, Any] = {"identities": [client_identity()], "choose_identity": lambda request: None}
    client, server = pair(client_config(**settings), server_config(**MUTUAL))
    assert server.handshake is not None
    assert server.handshake.peer is None
    assert client.handshake is not None
    assert (client.handshake.identity, client.handshake.client_signature_scheme) == (None, None)


def test_a_choice_stands_whatever_authorities_the_server_names() -> None:
    """The application may know better; the server has the last word."""
    stranger = Authority.create().issue("spiffe://elsewhere/client", usage=("client",))
    client, server = started({"choose_identity": lambda request: stranger}, MUTUAL)
    with pytest.raises(CertificateError) as caught:
        pump(client, server)
    assert caught.value.reason is reasons.UNKNOWN_ISSUER
    assert server.failed
    assert client.handshake is not None  # it was done, and learns of it by the alert


def test_a_choice_that_cannot_sign_is_nobody() -> None:
    settings: dict[str, Any] = {"choose_identity": lambda request: client_identity("ed25519")}
    server = server_config(signature_schemes=["ecdsa_secp256r1_sha256"], **MUTUAL)
    client, _ = pair(client_config(**settings), server)
    assert client.handshake is not None
    assert client.handshake.identity is None


def test_a_client_may_be_asked_itself() -> None:
    client, server = started({"choose_identity": ASK}, MUTUAL)
    (question,), _ = pump(client, server)
    question.answer(client_identity())
    pump(client, server)
    assert server.handshake is not None
    assert server.handshake.peer is not None


def test_an_identity_of_nobody_is_a_misuse_of_pair() -> None:
    """Questions need an application; a pair in memory has none."""
    with fails(MisuseError, reasons.MISUSE):
        pair(client_config(choose_identity=ASK), server_config(**MUTUAL))
