"""Builds the ClientHello (RFC 9846 section 4.2.2), and holds the server's answer against it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from handfast.certificates.names import server_name_indication
from handfast.config import ClientConfig
from handfast.crypto.groups import Share
from handfast.crypto.guard import Guarded
from handfast.crypto.suites import SUITES, Suite
from handfast.errors import PeerMisbehaved
from handfast.handshake.authenticate import check_solicited
from handfast.handshake.link import Link
from handfast.handshake.negotiate12 import UNCOMPRESSED
from handfast.handshake.psk import Psk, bind, note_offer, offered_psks, put_into
from handfast.reasons import BAD_COMPRESSION, BAD_LEGACY_VERSION, SESSION_ID_NOT_ECHOED, SUITE_NOT_OFFERED
from handfast.record.framing import PLAINTEXT_LIMIT
from handfast.sessions.session import Session
from handfast.sessions.verdict import WhyNot
from handfast.wire.codepoints import CipherSuite, ExtensionType, ProtocolVersion
from handfast.wire.extensions import KeyShareEntry
from handfast.wire.hello import ClientHello, ServerHello


@dataclass(slots=True, repr=False)
class Offer(Guarded):
    """What a client offered: the message, and what belongs to it and is not sent.

    ``server_name``  the name that the server's certificate has to be for
    ``shares``       the private halves of the key shares
    ``session``      what may be resumed, None if there is nothing
    ``psks``         the keys that are offered, the session's first
    """

    message: ClientHello
    server_name: str | None
    shares: list[Share]
    config: ClientConfig
    session: Session | None = None
    psks: list[Psk] = field(default_factory=list)


def offer(
    link: Link, config: ClientConfig, server_name: str | None, session: Session | None, early_data: bytes
) -> Offer:
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
    sent = Offer(hello, server_name, shares, config, session)
    if ProtocolVersion.TLS_1_2 in config.versions and (config.sessions is not None or session is not None):
        offer_session12(config, hello, session)
    if in_13:
        hello.ticket_request = config.ticket_request
        offer_psks(link, sent)
    note_offer(link, session, sent.psks)
    if early_data:
        why_not = early_obstacle(sent, early_length(config, early_data))
        if why_not is None:
            hello.early_data = True
        elif link.resumption is not None:
            link.resumption.why_not_early = why_not
    _encode(link, sent)
    return sent


def offer_psks(link: Link, sent: Offer, hash_name: str | None = None) -> None:
    """The keys that are offered; of one hash alone, once the server has chosen a suite."""
    config, hello = sent.config, sent.message
    sent.psks = [psk for psk in offered_psks(config, sent.session) if hash_name in (None, psk.hash)]
    if sent.psks:
        put_into(link, hello, sent.psks)
    if config.sessions is not None or config.psks or sent.psks:  # without it a server gives no tickets
        hello.psk_key_exchange_modes = config.psk_mode_ids


def offer_session12(config: ClientConfig, hello: ClientHello, session: Session | None) -> None:
    """A session of TLS 1.2: its ticket, and an ID by whose echo we know that it is resumed (RFC 5077 section 3.4)."""
    hello.session_ticket = b""
    if session is None or session.version != ProtocolVersion.TLS_1_2:
        return
    if session.ticket:
        hello.session_ticket = session.ticket
        hello.legacy_session_id = hello.legacy_session_id or config.entropy.random(32)
    else:
        hello.legacy_session_id = session.session_id


def early_length(config: ClientConfig, data: bytes) -> int:
    """Bytes of early data with their padding: a server that skips them counts that too (section 4.7.1)."""
    records = -(-len(data) // PLAINTEXT_LIMIT)
    return len(data) + records * config.record_padding


def early_obstacle(sent: Offer, length: int) -> WhyNot | None:
    """Why early data may not go with the session; what it was for has to be what we offer now (section 4.3.10)."""
    session = sent.session
    if session is None or not sent.psks or sent.psks[0].source is not session:
        return WhyNot.NOT_RESUMED
    if session.max_early_data < length:
        return WhyNot.NOT_ALLOWED
    if session.suite_id not in sent.config.suite_ids:
        return WhyNot.OTHER_SUITE
    if session.group and session.group not in sent.config.group_ids:
        return WhyNot.OTHER_ALGORITHM
    fits = session.protocol is None or session.protocol in sent.config.protocols
    return None if fits else WhyNot.OTHER_PROTOCOL


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
        early_data=None,
        padding=None,
        pre_shared_key=None,
        extension_types=[],
    )
    again = Offer(hello, sent.server_name, shares, config, sent.session)
    offer_psks(link, again, SUITES[request.cipher_suite].hash)
    _encode(link, again)
    return again


def _encode(link: Link, sent: Offer) -> None:
    sent.message.raw = sent.message.encode(_padding)
    if sent.psks:
        bind(link, sent.message, sent.psks)


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
