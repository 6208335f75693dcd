"""The TLS extension of ASGI: a web application sees who its client is, and what was agreed with it.

::

    app = TLSExtension(app)                                             # around all other middleware
    uvicorn.run(app, ssl_context_factory=lambda config, _: context)     # with an SSLContext of ssl_module

    async def app(scope, receive, send):
        tls = scope["extensions"]["tls"]
        tls["client_cert_name"], tls["tls_version"], tls["cipher_suite"]    # "CN=me,O=here", 0x0304, 0x1301
        peer = scope["extensions"]["handfast"]["peer"]                      # a PeerIdentity, None for no certificate
        peer.uris, peer.verified_by                                         # ("spiffe://example.org/me",), "chain"

Servers do not say in the scope which connection a request came by. It is found through what they call ``send``: uvicorn
and hypercorn (on asyncio and uvloop) let us reach it so, HTTP/1.1, HTTP/2 and WebSocket alike. For another server,
``ssl_object`` is a function that knows. Where no connection of handfast's is found, the scope stays as it is.

A subject is not much of an identity, and what the extension has is not more. So beside it there is one of our own,
``scope["extensions"]["handfast"]``: ``peer`` is who the client has proved to be, with the verdict and the path, and
``handshake`` all that was agreed.

The extension: https://asgi.readthedocs.io/en/latest/specs/tls.html, version 0.2.
"""

from __future__ import annotations

import weakref
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any, Final

from handfast.certificates import pem
from handfast.connection import Connection
from handfast.wire.codepoints import CipherSuite, ProtocolVersion

if TYPE_CHECKING:
    from handfast.events import Handshake

__all__ = ["TLSExtension", "described", "ssl_object_of"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Finder = Callable[[Scope, Receive, Send], Any]

_OWNERS: Final = 6  # how far a server's objects are followed; hypercorn has three
_WAYS: Final = ("transport", "writer")  # where they keep the connection


class TLSExtension:
    """ASGI middleware that fills in ``scope["extensions"]["tls"]``, and ``["handfast"]`` beside it.

    ``app``         the application
    ``ssl_object``  for a server that this does not know: what finds the ssl object of a request
    """

    def __init__(self, app: App, *, ssl_object: Finder | None = None) -> None:
        self._app = app
        self._find = _found if ssl_object is None else ssl_object
        # One connection brings many requests; its certificates are read once.
        self._known: weakref.WeakKeyDictionary[Any, dict[str, Any]] = weakref.WeakKeyDictionary()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or one WebSocket."""
        if scope["type"] in ("http", "websocket"):
            ssl_object = self._find(scope, receive, send)
            facts = self._facts(ssl_object)
            if facts is not None:
                agreed: Handshake = ssl_object.handfast.handshake
                ours = {"peer": agreed.peer, "handshake": agreed}
                scope = {**scope, "extensions": {**(scope.get("extensions") or {}), "tls": facts, "handfast": ours}}
        await self._app(scope, receive, send)

    def _facts(self, ssl_object: Any) -> dict[str, Any] | None:
        connection = getattr(ssl_object, "handfast", None)
        if not isinstance(connection, Connection) or connection.handshake is None:
            return None
        facts = self._known.get(ssl_object)
        if facts is None:
            facts = self._known[ssl_object] = described(connection.handshake)
        return dict(facts)


def described(agreed: Handshake) -> dict[str, Any]:
    """The value of the extension for a server's connection.

    ``client_cert_chain`` is the path that was verified, as far as the client sent it. ``client_cert_error`` is None: a
    client whose certificate fails gets no connection. Only one whose certificate nobody looked at, by
    :mod:`handfast.insecure`, has an error here.
    """
    peer = agreed.peer
    chain: tuple[bytes, ...] = ()
    if peer is not None:
        chain = tuple(der for der in peer.path if der in peer.chain) or peer.chain
    return {
        "server_cert": _text(agreed.identity.chain[0]) if agreed.identity and agreed.identity.chain else None,
        "client_cert_chain": tuple(map(_text, chain)),
        "client_cert_name": None if peer is None else peer.subject,
        "client_cert_error": "not verified" if peer is not None and peer.verified_by == "nothing" else None,
        "tls_version": ProtocolVersion.value(agreed.version),
        "cipher_suite": CipherSuite.value(agreed.cipher_suite),
    }


def ssl_object_of(send: Any) -> Any:
    """The ssl object of the connection that a server's ``send`` belongs to; None where that cannot be told."""
    function = send
    for _ in range(_OWNERS):
        owner = getattr(function, "__self__", None)
        if owner is None:
            return None
        for way in _WAYS:
            ask = getattr(getattr(owner, way, None), "get_extra_info", None)
            if ask is not None:
                return ask("ssl_object")
        function = getattr(owner, "send", None)
    return None


def _found(_scope: Scope, _receive: Receive, send: Send) -> Any:
    return ssl_object_of(send)


def _text(der: bytes) -> str:
    return pem.certificate(der).decode("ascii")
