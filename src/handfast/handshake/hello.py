"""Builds the ClientHello (RFC 9846 section 4.2.2)."""

from __future__ import annotations

from dataclasses import dataclass

from handfast.certificates.names import server_name_indication
from handfast.config import ClientConfig
from handfast.crypto.groups import Share
from handfast.crypto.guard import Guarded
from handfast.handshake.link import Link
from handfast.handshake.negotiate import VERSIONS
from handfast.wire.extensions import KeyShareEntry
from handfast.wire.hello import ClientHello


@dataclass(slots=True, repr=False)
class Offer(Guarded):
    """What a client offered: the message, and what belongs to it and is not sent.

    ``server_name``  the name that the server's certificate has to be for
    ``shares``       the private halves of the key shares
    """

    message: ClientHello
    server_name: str | None
    shares: list[Share]
    config: ClientConfig


def offer(link: Link, config: ClientConfig, server_name: str | None) -> Offer:
    """A fresh ClientHello. The name is sent unless it is an IP address (RFC 6066 section 3)."""
    shares = link.key_exchange(config.entropy.new_shares, config.share_ids)
    hello = ClientHello(
        random=config.entropy.random(32),
        legacy_session_id=config.entropy.random(32) if config.middlebox_compatibility else b"",
        cipher_suites=list(config.suite_ids),
        server_name=server_name_indication(server_name),
        supported_groups=list(config.group_ids),
        application_layer_protocol_negotiation=list(config.protocols) or None,
        signature_algorithms=list(config.scheme_ids),
        signature_algorithms_cert=list(config.certificate_scheme_ids),
        supported_versions=list(VERSIONS),
        key_share=[KeyShareEntry(share.group, share.public) for share in shares],
    )
    hello.raw = hello.encode()
    hello.padding = _padding(len(hello.raw))
    if hello.padding is not None:
        hello.extension_types = []
        hello.raw = hello.encode()
    return Offer(hello, server_name, shares, config)


def _padding(length: int) -> int | None:
    """Some servers hang on a ClientHello of 256 to 511 bytes (RFC 7685 section 4): those are made 512 long."""
    return max(512 - length - 4, 0) if 256 <= length < 512 else None
