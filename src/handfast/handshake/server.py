"""The server's first step, and the fork between versions."""

from __future__ import annotations

from handfast.config import ServerConfig
from handfast.handshake import negotiate
from handfast.handshake.established import Established
from handfast.handshake.flow import Flow, ReviewClientHello, expect
from handfast.handshake.link import Link
from handfast.handshake.server12 import server12
from handfast.handshake.server13 import server13
from handfast.wire.codepoints import ProtocolVersion
from handfast.wire.hello import ClientHello


def server(link: Link, config: ServerConfig) -> Flow[Established]:
    """A server, from the ClientHello to the end of the handshake."""
    hello = yield from expect(ClientHello)
    link.layer.change_cipher_spec_allowed = True
    if config.on_client_hello is not None:
        other: ServerConfig | None = yield ReviewClientHello(hello)
        link.config = config = other or config
        link.layer.padding = config.record_padding
    link.version = negotiate.version(hello, config.versions)
    if link.version == ProtocolVersion.TLS_1_2:
        return (yield from server12(link, config, hello))
    return (yield from server13(link, config, hello))
