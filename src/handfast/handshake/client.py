"""The client's first flight, and the fork between versions."""

from __future__ import annotations

from handfast.config import ClientConfig
from handfast.errors import AlertReceived, PeerIncompatible, PeerMisbehaved
from handfast.handshake.client12 import client12
from handfast.handshake.client13 import client13
from handfast.handshake.established import Established
from handfast.handshake.flow import Flow, expect
from handfast.handshake.hello import Offer, offer
from handfast.handshake.link import Link
from handfast.handshake.psk import known_peer, session_to_offer
from handfast.handshake.retry import retry
from handfast.reasons import (
    DOWNGRADE,
    EARLY_DATA_TO_OLD_SERVER,
    MISSING_EXTENSION,
    NO_COMMON_VERSION,
    VERSION_NOT_OFFERED,
    VERSION_REFUSED,
)
from handfast.sessions.session import Session
from handfast.wire.alert import Alert
from handfast.wire.codepoints import (
    AlertDescription,
    CipherSuite,
    ContentType,
    ExtensionType,
    NamedGroup,
    ProtocolVersion,
)
from handfast.wire.hello import DOWNGRADED_FURTHER, DOWNGRADED_TO_12, ServerHello


def client(
    link: Link, config: ClientConfig, server_name: str | None, session: Session | None = None, early_data: bytes = b""
) -> Flow[Established]:
    """A client, from its ClientHello to the end of the handshake.

    ``session``     to be resumed, if it may; where there is none, the configuration's store is asked
    ``early_data``  to be sent with the ClientHello, if that session allows it
    """
    session = yield from session_to_offer(link, config, server_name, session)
    sent = offer(link, config, server_name, session, early_data)
    if sent.message.early_data:
        yield from known_peer(config, sent.psks[0])  # before it gets anything
    link.layer.initial_version = ProtocolVersion.TLS_1_0
    link.send(sent.message)
    link.flush()
    link.layer.initial_version = ProtocolVersion.TLS_1_2
    link.layer.change_cipher_spec_allowed = ProtocolVersion.TLS_1_3 in config.versions
    link.transcript.add(sent.message)
    if sent.message.early_data:
        send_early_data(link, sent, early_data)
    early_was_sent = bool(sent.message.early_data)

    answer = yield from expect(ServerHello)
    link.version = agreed_version(config, answer)
    if link.version == ProtocolVersion.TLS_1_2:
        if early_was_sent:
            raise PeerIncompatible(EARLY_DATA_TO_OLD_SERVER, peer_speaks=ProtocolVersion.name(link.version))
        return (yield from client12(link, sent, answer))
    retried = answer.is_retry_request
    if retried:
        sent, answer = yield from retry(link, sent, answer)
    return (yield from client13(link, sent, answer, retried, early_was_sent))


def send_early_data(link: Link, sent: Offer, data: bytes) -> None:
    """What the caller marked as safe to repeat, under keys that nothing but the session protects (section 2.3)."""
    psk = sent.psks[0]
    if sent.message.legacy_session_id:
        link.send_change_cipher_spec()
    keys = psk.secret.client_traffic(link.transcript.digest_with(psk.hash, b""))
    link.log_secret("CLIENT_EARLY_TRAFFIC_SECRET", sent.message.random, keys.secret)
    link.install_keys(write=keys)
    link.layer.write(ContentType.APPLICATION_DATA, data)


def agreed_version(config: ClientConfig, answer: ServerHello) -> int:
    """The server's choice of version (RFC 9846 sections 4.2.3 and 4.3.1)."""
    we_offered = [ProtocolVersion.name(version) for version in config.versions]
    if answer.selected_version is not None:
        # What is selected by the extension is TLS 1.3 or newer: older servers do not know it.
        if answer.selected_version not in config.versions or answer.selected_version < ProtocolVersion.TLS_1_3:
            selected = ProtocolVersion.name(answer.selected_version)
            raise PeerMisbehaved(VERSION_NOT_OFFERED, selected=selected, we_offered=we_offered)
        return answer.selected_version
    if ProtocolVersion.TLS_1_3 in config.versions and answer.random.endswith((DOWNGRADED_TO_12, DOWNGRADED_FURTHER)):
        raise PeerMisbehaved(DOWNGRADE, peer_speaks=ProtocolVersion.name(answer.legacy_version), we_offered=we_offered)
    if answer.legacy_version not in config.versions or answer.legacy_version > ProtocolVersion.TLS_1_2:
        raise PeerIncompatible(
            NO_COMMON_VERSION, peer_speaks=ProtocolVersion.name(answer.legacy_version), we_offered=we_offered
        )
    if answer.is_retry_request and ProtocolVersion.TLS_1_3 in config.versions:
        raise PeerMisbehaved(MISSING_EXTENSION, extension=ExtensionType.name(ExtensionType.SUPPORTED_VERSIONS))
    return answer.legacy_version


def refusal(alert: Alert, config: ClientConfig) -> AlertReceived:
    """The error for an alert that answers our ClientHello: where it is about what we offered, the error names that."""
    versions = [ProtocolVersion.name(version) for version in config.versions]
    if alert.description == AlertDescription.PROTOCOL_VERSION:
        return AlertReceived(alert.description, alert.name, VERSION_REFUSED, we_offered=versions)
    if alert.description == AlertDescription.HANDSHAKE_FAILURE:
        evidence = {
            "versions_we_offered": versions,
            "suites_we_offered": [CipherSuite.name(suite) for suite in (*config.suite_ids, *config.suite_12_ids)],
            "groups_we_offered": [NamedGroup.name(group) for group in config.group_ids],
        }
        if ProtocolVersion.TLS_1_3 in config.versions:
            evidence["we_sent_shares_of"] = [NamedGroup.name(group) for group in config.share_ids]
        return AlertReceived(alert.description, alert.name, **evidence)
    return AlertReceived(alert.description, alert.name)
