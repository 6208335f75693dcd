"""What the flags say that the shim should see: the -expect-* flags."""

from __future__ import annotations

import base64
from typing import Any

from handfast import Handshake
from handfast.certificates.pem import certificates, read
from handfast.observe.tap import Trace
from handfast.wire.alert import Alert, ChangeCipherSpec
from handfast.wire.codepoints import CipherSuite, ExtensionType, NamedGroup, ProtocolVersion, SignatureScheme
from handfast.wire.hello import ClientHello, ServerHello
from handfast.wire.messages12 import CertificateRequest12
from handfast.wire.messages13 import CertificateRequest, NewSessionTicket
from tests.bogo.flags import Options
from tests.bogo.setting import Setting, distinguished_names


class CheckFailed(Exception):
    """Something is not as a flag says."""


def _check(what: str, got: object, wanted: object) -> None:
    if got != wanted:
        raise CheckFailed(f"{what} is {got!r}, {wanted!r} is expected")


def check_handshake(setting: Setting, handshake: Handshake, trace: Trace) -> None:
    """After the handshake: what was agreed, and who the peer is."""
    options = setting.options
    _check_terms(options, handshake)
    _check_renegotiation_info(options, handshake, trace)
    _check_peer(setting, handshake, trace)
    if options.expect_selected_credential is not None:
        _check("credential", setting.identities.index(handshake.identity), options.expect_selected_credential)
    hello = _first(trace, ClientHello)
    if options.expect_server_name is not None:
        _check("server name", handshake.server_name, options.expect_server_name)
    if options.expect_no_server_name:
        _check("server name", hello.server_name, None)
    if options.expect_advertised_alpn is not None:
        offered = hello.application_layer_protocol_negotiation or ()
        wire = b"".join(bytes([len(name)]) + name for name in offered)
        _check("offered ALPN", wire, options.expect_advertised_alpn.encode("utf-8", "surrogateescape"))


def _check_terms(options: Options, handshake: Handshake) -> None:
    if options.expect_version is not None:
        _check("version", ProtocolVersion.value(handshake.version), options.expect_version)
    if options.expect_curve_id is not None:
        _check("group", NamedGroup.value(handshake.group), options.expect_curve_id)
    for suite in (options.expect_cipher, options.expect_cipher_aes):
        if suite is not None:
            _check("suite", CipherSuite.value(handshake.cipher_suite), suite)
    if options.expect_hrr or options.expect_no_hrr:
        _check("HelloRetryRequest", handshake.hello_retry_request, options.expect_hrr)
    # A server always has to end with what it was told to select, and a client with what is expected, nothing included.
    protocol = options.select_alpn if options.server else options.expect_alpn
    _check("ALPN", handshake.alpn or "", protocol or "")


def _check_renegotiation_info(options: Options, handshake: Handshake, trace: Trace) -> None:
    """Whether a renegotiation would be secure (RFC 5746), which TLS 1.3 does without: it has none."""
    if options.expect_secure_renegotiation or options.expect_no_secure_renegotiation:
        secure = handshake.version == "TLSv1.3" or _first(trace, ServerHello).renegotiation_info is not None
        _check("secure renegotiation", secure, options.expect_secure_renegotiation)


def _check_peer(setting: Setting, handshake: Handshake, trace: Trace) -> None:
    options = setting.options
    peer = handshake.peer
    if options.expect_no_peer_cert:
        _check("peer", peer, None)
    elif not options.server or options.require_any_client_certificate:
        _check("whether there is a peer's certificate", peer is not None, True)
    if options.expect_verify_result:
        _check("verified chains", setting.verifier.calls, 0 if peer is None else 1)
    if options.expect_peer_cert_file is not None:
        assert peer is not None
        _check("peer's chain", list(peer.chain), certificates(read(options.expect_peer_cert_file)))
    if options.expect_peer_signature_algorithm is not None:
        scheme = handshake.client_signature_scheme if options.server else handshake.signature_scheme
        _check("peer's scheme", SignatureScheme.value(scheme or ""), options.expect_peer_signature_algorithm)
    asked = _first(trace, ClientHello) if options.server else _first(trace, CertificateRequest, CertificateRequest12)
    if options.expect_peer_verify_pref:
        _check("schemes that the peer accepts", asked.signature_algorithms, options.expect_peer_verify_pref)
    if options.expect_certificate_types is not None:
        types = base64.b64decode(options.expect_certificate_types)
        _check("types of certificates", asked.certificate_types, types)
    if options.expect_client_ca_list is not None:
        names = distinguished_names(options.expect_client_ca_list)
        _check("authorities", list(asked.certificate_authorities or ()), names)


def check_tickets(options: Options, trace: Trace) -> None:
    """A client that can resume has seen a ticket by now, unless the flags say that there is none.

    A server sends none to a client that names no way to use it (RFC 9846 section 4.3.9).
    """
    if options.server or options.shim_shuts_down:
        return
    if ExtensionType.PSK_KEY_EXCHANGE_MODES not in _first(trace, ClientHello).extension_types:
        return
    tickets = [
        seen for seen in trace.messages if isinstance(seen.message, NewSessionTicket) and seen.message.ticket_lifetime
    ]
    _check("whether there is a ticket", bool(tickets), not options.expect_no_session)


def check_trace(options: Options, trace: Trace) -> None:
    """-expect-msg-callback: every message in its order."""
    if options.expect_msg_callback is not None:
        lines = [f"{'write' if seen.sent else 'read'} {_shown(seen.message)}\n" for seen in trace.messages]
        _check("trace", "".join(lines), options.expect_msg_callback)


def _shown(message: Any) -> str:
    if isinstance(message, Alert):
        return f"alert {message.level} {message.description}"
    if isinstance(message, ChangeCipherSpec):
        return "ccs"
    return f"hs {message.TYPE}"


def _first(trace: Trace, *kinds: type) -> Any:
    return next((seen.message for seen in trace.messages if isinstance(seen.message, kinds)), None)
