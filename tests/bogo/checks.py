"""What the flags say that the shim should see: the -expect-* flags."""

from __future__ import annotations

import base64
from typing import Any

from handfast import Handshake
from handfast.certificates.pem import certificates, read
from handfast.handshake.tickets import WINDOW
from handfast.observe.tap import Trace
from handfast.wire.alert import Alert, ChangeCipherSpec
from handfast.wire.codepoints import CipherSuite, NamedGroup, ProtocolVersion, SignatureScheme
from handfast.wire.hello import ClientHello, ServerHello
from handfast.wire.messages12 import CertificateRequest12
from handfast.wire.messages13 import CertificateRequest
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
        selected = _selected_key(setting, trace)
        used = setting.identities.index(handshake.identity) if selected is None else selected
        _check("credential", used, options.expect_selected_credential)
    _check_resumption(setting, handshake, trace)
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
    if options.expect_no_peer_cert or _selected_key(setting, trace) is not None:
        _check("peer", peer, None)
    elif not options.server or options.require_any_client_certificate:
        _check("whether there is a peer's certificate", peer is not None, True)
    if options.expect_verify_result:
        trusted = handshake.resumed and not options.reverify_on_resume  # it was verified then
        _check("verified chains", setting.verifier.calls, 0 if peer is None or trusted else 1)
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


def _selected_key(setting: Setting, trace: Trace) -> int | None:
    """The number of the key from outside that the server has taken; None if it took none."""
    hellos = [seen.message for seen in trace.messages if isinstance(seen.message, ClientHello)]
    answer = [seen.message for seen in trace.messages if isinstance(seen.message, ServerHello)][-1]
    if answer.selected_identity is None:
        return None
    identity = hellos[-1].pre_shared_key.identities[answer.selected_identity].identity
    found = setting.identities.psks.get(identity)
    return None if found is None else found[0]


def _check_resumption(setting: Setting, handshake: Handshake, trace: Trace) -> None:
    """Whether the session was resumed, what became of early data, and what a server has kept."""
    options = setting.options
    resumed = handshake.resumed and _selected_key(setting, trace) is None
    _check("whether it was resumed", resumed, setting.resumes and not options.expect_session_miss)
    if not options.server and handshake.version == "TLSv1.2":
        new = not options.expect_no_session and (not resumed or options.expect_ticket_renewal)
        _check("whether there is a new session", setting.sessions.count > 0, new)
    if not setting.resumes and (options.expect_session_id or options.expect_no_session_id):
        _check("whether the session is kept under an ID", setting.known.stored > 0, options.expect_session_id)
    if options.expect_accept_early_data or options.expect_reject_early_data:
        _check("whether early data was taken", handshake.early_data == "accepted", options.expect_accept_early_data)
    if options.expect_no_offer_early_data:
        _check("offered early data", _first(trace, ClientHello).early_data, None)
    if options.expect_early_data_reason is not None:
        _check("what became of early data", _early_data(setting, handshake, trace), options.expect_early_data_reason)
    if setting.resumes and options.expect_ticket_age_skew:
        _check("skew of the ticket's age", _skew(setting, trace), options.expect_ticket_age_skew)


def _early_data(setting: Setting, handshake: Handshake, trace: Trace) -> str:
    """What became of early data, as BoringSSL says it, as far as handfast knows it: from the Handshake and the session."""
    options = setting.options
    session = setting.known.opened if options.server else setting.shared.session
    hello = _first(trace, ClientHello)
    if handshake.early_data == "accepted":
        return "accept"
    if not options.enable_early_data:
        return "disabled"
    if handshake.version != "TLSv1.3":
        return "protocol_version"
    if hello.pre_shared_key is None:
        return "no_session_offered"
    if handshake.hello_retry_request and (handshake.resumed or not options.server):
        return "hello_retry_request"
    if not handshake.resumed:
        return "session_not_resumed"
    if session is not None and not session.max_early_data:
        return "unsupported_for_session"
    if not options.server and hello.early_data:
        return "peer_declined"
    if session is not None and (session.protocol or b"") != (handshake.alpn or "").encode():
        return "alpn_mismatch"
    return "ticket_age_skew" if abs(_skew(setting, trace)) * 1_000 > WINDOW else "replay"


def _skew(setting: Setting, trace: Trace) -> int:
    """Seconds by which a ticket is older than its client says."""
    session, offered = setting.known.opened, _first(trace, ClientHello).pre_shared_key
    if session is None or offered is None:
        raise CheckFailed("no ticket was opened")
    claimed = (offered.identities[0].obfuscated_ticket_age - session.age_add) % (1 << 32)
    return (claimed - session.age(setting.shared.clock.wall())) // 1_000


def check_sessions(setting: Setting, trace: Trace) -> None:
    """A client of TLS 1.3 has got a session by now, unless the flags say that there is none."""
    options = setting.options
    answer = _first(trace, ServerHello)
    if options.server or answer.selected_version is None:
        return
    wanted = not options.expect_no_session and not options.shim_shuts_down
    _check("whether there is a session", setting.sessions.count > 0, wanted)
    newest = setting.sessions.newest
    if newest is not None:
        early = newest.max_early_data > 0
        _check("whether it allows early data", early, options.expect_ticket_supports_early_data)


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
