"""The secrets of a TLS 1.3 connection, at the two points where a script takes them (RFC 9846 section 7.1)."""

from __future__ import annotations

from handfast.crypto.schedule13 import Exporter, HandshakeSecret, MainSecret, TrafficSecret
from handfast.handshake.link import Link


def handshake_secrets(link: Link, secret: HandshakeSecret, client_random: bytes) -> tuple[TrafficSecret, TrafficSecret]:
    """After ServerHello: what the client and the server protect the rest of the handshake with."""
    until_hello = link.transcript.digest()
    client, server = secret.client_traffic(until_hello), secret.server_traffic(until_hello)
    if link.config.keylog is not None:
        link.log_secret("CLIENT_HANDSHAKE_TRAFFIC_SECRET", client_random, client.secret)
        link.log_secret("SERVER_HANDSHAKE_TRAFFIC_SECRET", client_random, server.secret)
    return client, server


def application_secrets(
    link: Link, main: MainSecret, client_random: bytes
) -> tuple[TrafficSecret, TrafficSecret, Exporter]:
    """After the server's Finished: what the client and the server protect data with, and what is exported."""
    until_finished = link.transcript.digest()
    client, server = main.client_traffic(until_finished), main.server_traffic(until_finished)
    exporter = main.exporter(until_finished)
    if link.config.keylog is not None:
        link.log_secret("CLIENT_TRAFFIC_SECRET_0", client_random, client.secret)
        link.log_secret("SERVER_TRAFFIC_SECRET_0", client_random, server.secret)
        link.log_secret("EXPORTER_SECRET", client_random, exporter.secret)
    return client, server, exporter
