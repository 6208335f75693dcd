"""Builds the ClientHello (RFC 9846 section 4.2.2), and holds the server's answer against it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from handfast.certificates.names import server_name_indication
from handfast.config import ClientConfig
from handfast.crypto.groups import Share
from handfast.crypto.guard import Guarded
from handfast.crypto.suites import SUITES, Suite
from handfast.errors import PeerMisbehaved
from handfast.handshake.authenticate import check_solicited
from handfast.handshake.link import Link
from handfast.handshake.negotiate12 import UNCOMPRESSED
from handfast.reasons import BAD_COMPRESSION, BAD_LEGACY_VERSION, SESSION_ID_NOT_ECHOED, SUITE_NOT_OFFERED
from handfast.record.framing import PLAINTEXT_LIMIT
from handfast.wire.codepoints import CipherSuite, ExtensionType, ProtocolVersion
from handfast.wire.extensions import KeyShareEntry
from handfast.wire.hello import ClientHello, ServerHello


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
    in_13 = ProtocolVersion.TLS_1_3 in config.versions
    schemes = list(dict.fromkeys((*(config.scheme_ids if in_13 else ()), *config.scheme_12_ids)))
    hello = ClientHello(
        random=config.entropy.random(32),
        legacy_session_id=config.entropy.random(32) if config.middlebox_compatibility and in_13 else b"",
        cipher_suites=[*config.suite_ids, *config.suite_12_ids],
        server_name=server_name_indication(server_name),
        supported_groups=list(config.group_ids),
        application_layer_protocol_negotiation=list(config.protocols) or None,
        signature_algorithms=schemes,
        signature_algorithms_cert=list(config.certificate_scheme_ids),
        certificate_authorities=config.authorities(),
        record_size_limit=config.record_size_limit,
        supported_versions=list(config.versions),
        key_share=[KeyShareEntry(share.group, share.public) for share in shares],
    )
    if ProtocolVersion.TLS_1_2 in config.versions:
        hello.extended_main_secret = True
        hello.renegotiation_info = b""
        hello.ec_point_formats = UNCOMPRESSED
    if ProtocolVersion.TLS_1_3 not in config.versions:
        hello.supported_versions = hello.key_share = None
        if hello.record_size_limit is not None:
            hello.record_size_limit = min(hello.record_size_limit, PLAINTEXT_LIMIT)  # RFC 8449 section 4
    _encode_padded(hello)
    return Offer(hello, server_name, shares, config)


def offer_again(link: Link, sent: Offer, request: ServerHello) -> Offer:
    """The second ClientHello: the first one with what a HelloRetryRequest asks for (RFC 9846 section 4.2.2)."""
    config = sent.config
    shares, group = sent.shares, request.selected_group
    if group is not None:
        shares = link.key_exchange(config.entropy.new_shares, (group,))
    hello = replace(
        sent.message,
        key_share=[KeyShareEntry(share.group, share.public) for share in shares],
        cookie=request.cookie,
        padding=None,
        extension_types=[],
    )
    _encode_padded(hello)
    return Offer(hello, sent.server_name, shares, config)


def _encode_padded(hello: ClientHello) -> None:
    hello.raw = hello.encode()
    hello.padding = _padding(len(hello.raw))
    if hello.padding is not None:
        hello.extension_types = []
        hello.raw = hello.encode()


def _padding(length: int) -> int | None:
    """Some servers hang on a ClientHello of 256 to 511 bytes (RFC 7685 section 4): those are made 512 long."""
    return max(512 - length - 4, 0) if 256 <= length < 512 else None


def agreed_suite(offer: Offer, answer: ServerHello) -> Suite:
    """What a ServerHello or HelloRetryRequest has to be, and the suite it selects (RFC 9846 section 4.2.3)."""
    if answer.legacy_version != ProtocolVersion.TLS_1_2:
        raise PeerMisbehaved(BAD_LEGACY_VERSION, legacy_version=ProtocolVersion.name(answer.legacy_version))
    if answer.legacy_session_id_echo != offer.message.legacy_session_id:
        raise PeerMisbehaved(SESSION_ID_NOT_ECHOED)
    if answer.legacy_compression_method:
        raise PeerMisbehaved(BAD_COMPRESSION, method=answer.legacy_compression_method)
    offered = offer.message.extension_types
    check_solicited([*offered, ExtensionType.COOKIE] if answer.is_retry_request else offered, answer.extension_types)
    if answer.cipher_suite not in offer.config.suite_ids:
        raise PeerMisbehaved(
            SUITE_NOT_OFFERED,
            selected=CipherSuite.name(answer.cipher_suite),
            we_offered=[CipherSuite.name(suite) for suite in offer.config.suite_ids],
        )
    return SUITES[answer.cipher_suite]
