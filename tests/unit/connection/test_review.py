"""What a reading against the RFC found: each is one test."""

from __future__ import annotations

import pytest

from handfast import (
    ASK,
    AlertReceived,
    ApplicationData,
    CertificateError,
    MisuseError,
    TLSError,
    TruncationError,
    VerifyPeer,
    reasons,
)
from handfast.certificates.policy import ChainVerifier
from handfast.errors import BadRecord
from handfast.testing.pairs import pair, pump
from tests.handshake.parties import authority, client_config, identity, server_config, started, trust


class RefusesAll(dict[str, str]):
    """A verifier that is empty, and so is false; it knows nobody, and lets nobody pass."""

    def verify_server(self, *_: object) -> object:
        raise CertificateError

    verify_client = verify_server


def test_a_verifier_that_is_false_is_a_verifier() -> None:
    with pytest.raises(CertificateError):
        pair(client_config(verifier=RefusesAll(), trust=trust()), server_config())
    ours = authority().issue("client", usage=("client",))
    server = server_config(client_authentication="required", client_trust=trust(), client_verifier=RefusesAll())
    with pytest.raises(CertificateError):
        pair(client_config(identities=[ours]), server)


def test_an_identity_of_another_certificate_than_was_sent_is_refused() -> None:
    other = identity("p256", "localhost", "other.example")

    class Confused(ChainVerifier):
        def verify_server(self, chain: object, server_name: str | None, now: object) -> object:  # type: ignore[override]
            return super().verify_server(other.chain, server_name, now)  # type: ignore[arg-type]

    with pytest.raises(TLSError) as caught:
        pair(client_config(verifier=Confused(trust())), server_config())
    assert caught.value.reason is reasons.CALLBACK_FAILED


@pytest.mark.parametrize(
    "error",
    [AlertReceived(40, "handshake_failure"), TruncationError(), BadRecord()],
    ids=lambda error: type(error).__name__,
)
def test_what_a_callback_s_own_connection_meets_with_is_not_our_peer_s_doing(error: TLSError) -> None:
    def check(_: object) -> None:
        raise error

    client, server = started(client={"check_peer": check})
    with pytest.raises(TLSError) as caught:
        pump(client, server)
    assert caught.value.reason is reasons.CALLBACK_FAILED
    assert caught.value.sent_by == "us"
    assert caught.value.__cause__ is error
    with pytest.raises(AlertReceived, match="internal_error"):
        list(server.events())


def test_updates_that_we_asked_for_are_no_flood() -> None:
    client, server = pair(client_config(), server_config())
    for _ in range(100):
        client.update_keys(request_peer=True)
        client.send(b"upload")
        pump(client, server)
        server.update_keys()
        pump(client, server)


def test_an_owed_update_is_answered_before_one_is_asked_for() -> None:
    client, server = pair(client_config(), server_config())
    client.update_keys(request_peer=True)
    pump(client, server)
    server.update_keys(request_peer=True)
    pump(client, server)
    client.send(b"here")
    server.send(b"there")
    events = pump(client, server)
    assert events == ([ApplicationData(b"there")], [ApplicationData(b"here")])


def test_an_answer_to_a_script_that_another_thread_has_closed_comes_to_nothing() -> None:
    client, server = started(client={"verifier": ASK})
    question = next(event for event in pump(client, server)[0] if isinstance(event, VerifyPeer))
    question.answer(None)
    client._runner.close()
    assert client._runner.take_answer() is None


def test_nothing_goes_out_after_the_last_alert() -> None:
    client, server = pair(client_config(), server_config())
    client.close()
    for use in (lambda: client.send(b"late"), client.update_keys):
        with pytest.raises(MisuseError):
            use()
    layer = client._layer
    for write in (lambda: layer.write_application_data(b"late"), lambda: layer.update_write(False)):
        with pytest.raises(MisuseError):  # as another thread would find it, between the check and the lock
            write()
    pending = client.data_to_send()
    layer.write(22, b"late")
    layer.write_change_cipher_spec()
    layer.write_last(b"\2\x50")
    assert pending
    assert not client.has_data_to_send
    assert server.handshake


def test_a_connection_that_failed_has_forgotten_its_keys() -> None:
    client, server = pair(client_config(), server_config())
    client.receive_data(b"\x17\x03\x03\0\x20" + bytes(32))
    with pytest.raises(BadRecord):
        client.next_event()
    assert client._layer._sealer is not None
    assert client._layer._opener is not None
    assert client._layer._sealer.secret is None
    assert client._layer._opener.secret is None
    assert server.handshake
