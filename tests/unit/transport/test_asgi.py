"""The TLS extension of ASGI, without a server around it; tests/examples has uvicorn and hypercorn."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest

from handfast import ClientConfig, ServerConfig, ServerConnection, insecure
from handfast.certificates import pem
from handfast.testing import Authority, pair
from handfast.transport.asgi import TLSExtension, described, ssl_object_of

AUTHORITY = Authority.create("ASGI CA")
INTERMEDIATE = AUTHORITY.intermediate()
SERVER = AUTHORITY.issue("localhost")
CLIENT = INTERMEDIATE.issue("spiffe://example.org/me", common_name="me", usage=("client",))


class Object:
    """What has a connection of ours, as an ssl object has one."""

    def __init__(self, connection: Any) -> None:
        self.handfast = connection


class Transport:
    def __init__(self, ssl_object: Any) -> None:
        self.ssl_object = ssl_object

    def get_extra_info(self, name: str) -> Any:
        return self.ssl_object if name == "ssl_object" else None


class Server:
    """Holds its connection, and hands its own ``send`` to the application; ``inside``: under a name of its own."""

    def __init__(self, inside: Any = None, **held: Any) -> None:
        self.__dict__.update(held)
        if inside is not None:
            self.send = inside.asgi_send

    async def asgi_send(self, message: Any) -> None: ...


def server_of(verifier: Any = None, **client: Any) -> ServerConnection:
    asks: dict[str, Any] = {"client_authentication": "optional", "client_trust": AUTHORITY.trust}
    if verifier is not None:
        asks = {"client_authentication": "optional", "client_verifier": verifier}
    return pair(
        ClientConfig(trust=AUTHORITY.trust, cipher_suites=["TLS_CHACHA20_POLY1305_SHA256"], **client),
        ServerConfig(identities=[SERVER], **asks),
    )[1]


def text(der: bytes) -> str:
    return pem.certificate(der).decode()


async def _receive() -> None: ...


def seen(scope: dict[str, Any], send: Any, **options: Any) -> dict[str, Any]:
    """The scope that the application gets."""
    scopes: list[Any] = []

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        scopes.append(scope)

    asyncio.run(TLSExtension(app, **options)(scope, _receive, send))
    return scopes[0]


def test_a_client_with_a_certificate() -> None:
    """The path that was verified, as far as the client sent it: without the root."""
    connection = server_of(identities=[CLIENT])
    assert connection.handshake is not None
    assert described(connection.handshake) == {
        "server_cert": text(SERVER.chain[0]),
        "client_cert_chain": (text(CLIENT.chain[0]), text(INTERMEDIATE.der)),
        "client_cert_name": "CN=me,O=handfast testing",
        "client_cert_error": None,
        "tls_version": 0x0304,
        "cipher_suite": 0x1303,
    }


def test_the_application_gets_who_the_client_has_proved_to_be() -> None:
    connection = server_of(identities=[CLIENT])
    server = Server(transport=Transport(Object(connection)))
    ours = seen({"type": "http"}, server.asgi_send)["extensions"]["handfast"]
    assert ours["handshake"] is connection.handshake
    peer = ours["peer"]
    assert (peer.verified_by, peer.uris) == ("chain", ("spiffe://example.org/me",))
    assert peer.path == (*CLIENT.chain, AUTHORITY.der)


def test_a_client_without_proves_nothing_and_one_that_nobody_looked_at_says_so() -> None:
    for connection, verdict in (
        (server_of(), None),
        (server_of(insecure.NoVerification(), identities=[CLIENT]), "nothing"),
    ):
        server = Server(transport=Transport(Object(connection)))
        peer = seen({"type": "websocket"}, server.asgi_send)["extensions"]["handfast"]["peer"]
        assert getattr(peer, "verified_by", None) == verdict


def test_a_client_without() -> None:
    agreed = server_of().handshake
    assert agreed is not None
    facts = described(agreed)
    assert (facts["client_cert_chain"], facts["client_cert_name"], facts["client_cert_error"]) == ((), None, None)


def test_a_client_that_nobody_looked_at() -> None:
    agreed = server_of(insecure.NoVerification(), identities=[CLIENT]).handshake
    assert agreed is not None
    facts = described(agreed)
    assert facts["client_cert_error"] == "not verified"
    assert facts["client_cert_chain"] == tuple(map(text, CLIENT.chain))


@pytest.mark.parametrize("way", ["transport", "writer"])
@pytest.mark.parametrize("depth", [0, 1, 3])
def test_the_connection_is_found(way: str, depth: int) -> None:
    there = Object(server_of())
    server = Server(**{way: Transport(there)})
    for _ in range(depth):
        server = Server(inside=server)
    assert ssl_object_of(server.asgi_send) is there
    scope = {"type": "http", "extensions": {"other": {}}}
    extensions = seen(scope, server.asgi_send)["extensions"]
    assert set(extensions) == {"other", "tls", "handfast"}
    assert scope == {"type": "http", "extensions": {"other": {}}}  # the server's own is left as it was


async def _plain(_message: Any) -> None: ...


@pytest.mark.parametrize(
    "send",
    [
        _plain,
        Server().asgi_send,
        Server(transport=object()).asgi_send,
        Server(transport=Transport(None)).asgi_send,
        Server(transport=Transport(object())).asgi_send,
        Server(transport=Transport(Object(None))).asgi_send,
    ],
    ids=["a function", "nothing held", "no transport", "no TLS", "another TLS", "no connection"],
)
def test_where_there_is_none_the_scope_stays(send: Any) -> None:
    """Without TLS the extension is forbidden."""
    scope = {"type": "http", "extensions": {}}
    assert seen(scope, send) is scope


def test_a_circle_of_objects_ends() -> None:
    server = Server()
    server.send = server.asgi_send  # type: ignore[attr-defined]
    assert ssl_object_of(server.asgi_send) is None


def test_an_unfinished_handshake_is_none() -> None:
    server = Server(transport=Transport(Object(ServerConnection(ServerConfig(identities=[SERVER])))))
    scope = {"type": "websocket"}
    assert seen(scope, server.asgi_send) is scope


def test_only_requests_have_it() -> None:
    scope = {"type": "lifespan"}
    assert seen(scope, Server(transport=Transport(Object(server_of()))).asgi_send) is scope


def test_a_server_that_is_not_known() -> None:
    there = Object(server_of())
    scope = {"type": "websocket", "of": there}
    found = seen(scope, _plain, ssl_object=lambda scope, _receive, _send: scope["of"])
    assert found["extensions"]["tls"]["tls_version"] == 0x0304


def test_an_application_changes_only_its_own() -> None:
    scopes: list[Any] = []

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        scope["extensions"]["tls"].clear()
        scopes.append(scope)

    there = Object(server_of())
    server = Server(transport=Transport(there))
    extension = TLSExtension(app)
    for _ in range(2):
        asyncio.run(extension({"type": "http"}, _receive, server.asgi_send))
    assert len(scopes) == 2
    assert extension._facts(there)


def test_connections_are_not_kept() -> None:
    async def app(_scope: Any, _receive: Any, _send: Any) -> None: ...

    there = Object(server_of())
    extension = TLSExtension(app)
    asyncio.run(extension({"type": "http"}, _receive, Server(transport=Transport(there)).asgi_send))
    gone = weakref.ref(there)
    del there
    gc.collect()
    assert gone() is None
