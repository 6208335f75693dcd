"""How a configuration answers the questions of a script, and what a script takes from the key schedule."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from handfast.config import ASK, ClientConfig, ServerConfig
from handfast.crypto.schedule13 import EarlySecret
from handfast.crypto.suites import SUITES
from handfast.errors import HandshakeRefused
from handfast.handshake.answers import ask
from handfast.handshake.flow import (
    CheckPeer,
    ChooseClientIdentity,
    ChooseIdentity,
    Question,
    ReviewClientHello,
    Sign,
    VerifyPeer,
)
from handfast.handshake.link import Link
from handfast.handshake.secrets import application_secrets, handshake_secrets
from handfast.insecure import NoVerification
from handfast.record.layer import RecordLayer
from handfast.wire.hello import ClientHello
from handfast.wire.messages13 import CertificateRequest, Finished
from tests.handshake.parties import Lines, client_config, client_identity, identity, server_config

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HELLO = ClientHello(random=bytes(32), legacy_session_id=b"", cipher_suites=[0x1301])
REQUEST = CertificateRequest()
PEER = NoVerification().verify_client(client_identity().chain, NOW)


class Heard:
    """A callback, and a verifier, that keeps what it is called with and answers with itself."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def __call__(self, *values: Any) -> Any:
        self.calls.append(values)
        return self

    def verify_server(self, *values: Any) -> Any:
        return self("server", *values)

    def verify_client(self, *values: Any) -> Any:
        return self("client", *values)


def client(**settings: Any) -> ClientConfig:
    return client_config(**settings)


def server(**settings: Any) -> ServerConfig:
    return server_config(client_authentication="optional", **settings)


# The question, the side that it is put to, the setting that answers, and what that is called with.
ROWS: list[tuple[Question, Callable[..., Any], str, tuple[Any, ...]]] = [
    (VerifyPeer((b"der",), NOW, "server", "name"), client, "verifier", ("server", (b"der",), "name", NOW)),
    (VerifyPeer((b"der",), NOW, "client"), server, "client_verifier", ("client", (b"der",), NOW)),
    (CheckPeer(PEER), client, "check_peer", (PEER,)),
    (CheckPeer(PEER), server, "check_peer", (PEER,)),
    (ChooseIdentity(HELLO), server, "choose_identity", (HELLO,)),
    (ReviewClientHello(HELLO), server, "on_client_hello", (HELLO,)),
    (ChooseClientIdentity(REQUEST), client, "choose_identity", (REQUEST,)),
]
each_row = pytest.mark.parametrize(
    ("question", "side", "setting", "called"), ROWS, ids=[f"{row[1].__name__}-{row[2]}" for row in ROWS]
)


@each_row
def test_who_answers_a_question(question: Question, side: Any, setting: str, called: tuple[Any, ...]) -> None:
    heard = Heard()
    assert ask(side(**{setting: heard}), question) is heard
    assert heard.calls == [called]


@each_row
def test_the_application_may_answer_itself(question: Question, side: Any, setting: str, called: Any) -> None:
    assert ask(side(**{setting: ASK}), question) is ASK


@each_row
def test_what_is_raised_comes_out(question: Question, side: Any, setting: str, called: Any) -> None:
    refusal = HandshakeRefused()

    class Refusing(Heard):
        def __call__(self, *values: Any) -> Any:
            raise refusal

    with pytest.raises(HandshakeRefused) as caught:
        ask(side(**{setting: Refusing()}), question)
    assert caught.value is refusal


@pytest.mark.parametrize("side", [client, server])
def test_a_signature_comes_from_the_identity_in_the_question(side: Callable[..., Any]) -> None:
    who = identity("ed25519")
    assert ask(side(), Sign(who, who.schemes[0], b"content")) == who.signer.sign(who.schemes[0], b"content")


# --- the two stations of the key schedule


@pytest.mark.parametrize("suite", [SUITES[0x1301], SUITES[0x1302]], ids=lambda suite: suite.name)
def test_the_secrets_that_a_script_takes_and_what_is_logged_of_them(suite: Any) -> None:
    """RFC 9850: five lines of a handshake without early data, each with the client's random."""
    lines = Lines()
    link = Link(RecordLayer(), server_config(keylog=lines))
    link.transcript.use(suite.hash)
    link.transcript.add(Finished(b"", b"hellos"))
    to_hello = link.transcript.digest()
    stage = EarlySecret(suite).handshake_secret(b"shared")
    theirs, ours = handshake_secrets(link, stage, b"r" * 32)
    link.transcript.add(Finished(b"", b"the rest"))
    to_finished = link.transcript.digest()
    main = stage.main_secret()
    client_data, server_data, exporter = application_secrets(link, main, b"r" * 32)

    assert theirs.secret == stage.client_traffic(to_hello).secret
    assert ours.secret == stage.server_traffic(to_hello).secret
    assert client_data.secret == main.client_traffic(to_finished).secret
    assert server_data.secret == main.server_traffic(to_finished).secret
    assert exporter.secret == main.exporter(to_finished).secret
    assert lines.lines == [
        ("CLIENT_HANDSHAKE_TRAFFIC_SECRET", b"r" * 32, theirs.secret),
        ("SERVER_HANDSHAKE_TRAFFIC_SECRET", b"r" * 32, ours.secret),
        ("CLIENT_TRAFFIC_SECRET_0", b"r" * 32, client_data.secret),
        ("SERVER_TRAFFIC_SECRET_0", b"r" * 32, server_data.secret),
        ("EXPORTER_SECRET", b"r" * 32, exporter.secret),
    ]
