"""The order and the meaning of messages."""

from __future__ import annotations

from handfast.reasons import alerts
from handfast.reasons.table import reason

UNEXPECTED_MESSAGE = reason(
    "unexpected_message", alerts.UNEXPECTED_MESSAGE, "RFC 9846 section 4", "A handshake message came out of order."
)
UNEXPECTED_APPLICATION_DATA = reason(
    "unexpected_application_data",
    alerts.UNEXPECTED_MESSAGE,
    "RFC 9846 section 2",
    "Application data came before the handshake was complete.",
)
RENEGOTIATION = reason(
    "renegotiation",
    alerts.UNEXPECTED_MESSAGE,
    "RFC 9846 section 4.2.2",
    "The peer tried to start a second handshake in this connection.",
    "TLS 1.3 has no renegotiation.",
)
RENEGOTIATION_REFUSED = reason(
    "renegotiation_refused",
    alerts.NO_RENEGOTIATION,
    "RFC 5746 section 4.5",
    "The peer wants to renegotiate, which handfast never does.",
    "Open a new connection. A server that wants a client certificate later needs TLS 1.3.",
)
BAD_RENEGOTIATION_INFO = reason(
    "bad_renegotiation_info",
    alerts.HANDSHAKE_FAILURE,
    "RFC 5746 section 3.4",
    "renegotiation_info is not empty in a first handshake.",
)
NO_SECURE_RENEGOTIATION = reason(
    "no_secure_renegotiation",
    alerts.HANDSHAKE_FAILURE,
    "RFC 5746 section 4.1",
    "The server does not know secure renegotiation: others could put their data before ours.",
    "Update the server: the extension is from 2010.",
)
NO_EXTENDED_MAIN_SECRET = reason(
    "no_extended_main_secret",
    alerts.HANDSHAKE_FAILURE,
    "RFC 7627 section 5.2",
    "The peer speaks TLS 1.2 without the extended master secret, without which keys are not bound to one connection.",
    "Update the peer, or let it speak TLS 1.3: the extension is from 2015.",
)
BAD_POINT_FORMATS = reason(
    "bad_point_formats",
    alerts.ILLEGAL_PARAMETER,
    "RFC 8422 section 5.1.2",
    "The peer's point formats leave out the only one that there is, uncompressed.",
)
BAD_CURVE_TYPE = reason(
    "bad_curve_type",
    alerts.ILLEGAL_PARAMETER,
    "RFC 8422 section 5.4",
    "The server describes a curve of its own instead of naming one.",
)
RESUMED_NOTHING = reason(
    "resumed_nothing",
    alerts.ILLEGAL_PARAMETER,
    "RFC 5246 section 7.4.1.3",
    "The server resumes a session that we did not offer.",
)
DOWNGRADE = reason(
    "downgrade",
    alerts.ILLEGAL_PARAMETER,
    "RFC 9846 section 4.2.3",
    "The server speaks TLS 1.3, and somebody on the way has made it believe that we do not.",
    "Something between the two sides changes handshakes; try another network.",
)
BAD_KEY_UPDATE = reason(
    "bad_key_update",
    alerts.ILLEGAL_PARAMETER,
    "RFC 9846 section 4.7.3",
    "A KeyUpdate neither asks for an update in return nor does without one.",
)
DUPLICATE_EXTENSION = reason(
    "duplicate_extension", alerts.ILLEGAL_PARAMETER, "RFC 9846 section 4.3", "An extension stands twice in one message."
)
EXTENSION_NOT_ALLOWED = reason(
    "extension_not_allowed",
    alerts.ILLEGAL_PARAMETER,
    "RFC 9846 section 4.3",
    "An extension stands in a message where it has no place.",
)
UNSOLICITED_EXTENSION = reason(
    "unsolicited_extension",
    alerts.UNSUPPORTED_EXTENSION,
    "RFC 9846 section 4.3",
    "The peer answered with an extension that was never offered.",
)
MISSING_EXTENSION = reason(
    "missing_extension",
    alerts.MISSING_EXTENSION,
    "RFC 9846 section 9.2",
    "An extension that has to be there is missing.",
)
PSK_NOT_LAST = reason(
    "psk_not_last",
    alerts.ILLEGAL_PARAMETER,
    "RFC 9846 section 4.3.11",
    "pre_shared_key is not the last extension of the ClientHello.",
)
BAD_KEY_SHARE_LIST = reason(
    "bad_key_share_list",
    alerts.ILLEGAL_PARAMETER,
    "RFC 9846 section 4.3.8",
    "The key shares do not fit the list of supported groups.",
)
BAD_KEY_SHARE = reason(
    "bad_key_share",
    alerts.ILLEGAL_PARAMETER,
    "RFC 9846 section 4.3.8",
    "A key share is not a valid public value of its group.",
)
BAD_COMPRESSION = reason(
    "bad_compression",
    alerts.ILLEGAL_PARAMETER,
    "RFC 9846 section 4.2.2",
    "The peer offers or selects compression, which would leak what it compresses.",
)
BAD_LEGACY_VERSION = reason(
    "bad_legacy_version",
    alerts.PROTOCOL_VERSION,
    "RFC 9846 section 4.2.2",
    "legacy_version is not TLS 1.2, as TLS 1.3 requires.",
)
SESSION_ID_NOT_ECHOED = reason(
    "session_id_not_echoed",
    alerts.ILLEGAL_PARAMETER,
    "RFC 9846 section 4.2.3",
    "The server did not echo our legacy_session_id.",
)
VERSION_NOT_OFFERED = reason(
    "version_not_offered",
    alerts.ILLEGAL_PARAMETER,
    "RFC 9846 section 4.3.1",
    "The server selected a version that we did not offer.",
)
SUITE_NOT_OFFERED = reason(
    "suite_not_offered",
    alerts.ILLEGAL_PARAMETER,
    "RFC 9846 section 4.2.3",
    "The server selected a cipher suite that we did not offer.",
)
GROUP_NOT_OFFERED = reason(
    "group_not_offered",
    alerts.ILLEGAL_PARAMETER,
    "RFC 9846 section 4.3.8",
    "The server selected a group that we did not offer, or sent no key share of.",
)
SCHEME_NOT_OFFERED = reason(
    "scheme_not_offered",
    alerts.ILLEGAL_PARAMETER,
    "RFC 9846 section 4.5.2",
    "The peer signed with a signature scheme that we did not offer.",
)
ALPN_NOT_OFFERED = reason(
    "alpn_not_offered",
    alerts.ILLEGAL_PARAMETER,
    "RFC 7301 section 3.2",
    "The server selected an application protocol that we did not offer.",
)
BAD_CERTIFICATE_CONTEXT = reason(
    "bad_certificate_context",
    alerts.ILLEGAL_PARAMETER,
    "RFC 9846 section 4.5.1",
    "certificate_request_context is not empty in a certificate of the handshake.",
)
NO_CERTIFICATE = reason(
    "no_certificate", alerts.DECODE_ERROR, "RFC 9846 section 4.5.1.3", "The server sent an empty certificate chain."
)
RETRY_WITHOUT_CHANGE = reason(
    "retry_without_change",
    alerts.ILLEGAL_PARAMETER,
    "RFC 9846 section 4.2.4",
    "The server's HelloRetryRequest asks for nothing that our ClientHello did not have already.",
)
SECOND_RETRY = reason(
    "second_retry",
    alerts.UNEXPECTED_MESSAGE,
    "RFC 9846 section 4.2.4",
    "The server sent a second HelloRetryRequest.",
)
RETRY_NOT_KEPT = reason(
    "retry_not_kept",
    alerts.ILLEGAL_PARAMETER,
    "RFC 9846 section 4.2.4",
    "The server's ServerHello does not keep to its HelloRetryRequest.",
)
HELLO_CHANGED = reason(
    "hello_changed",
    alerts.ILLEGAL_PARAMETER,
    "RFC 9846 section 4.2.2",
    "The client's second ClientHello differs from its first one in more than the retry asked for.",
)
WRONG_RETRY_SHARE = reason(
    "wrong_retry_share",
    alerts.ILLEGAL_PARAMETER,
    "RFC 9846 section 4.3.8",
    "The client's second ClientHello has not the one key share that it was asked for.",
)
BAD_COOKIE = reason(
    "bad_cookie",
    alerts.ILLEGAL_PARAMETER,
    "RFC 9846 section 4.3.2",
    "The client's second ClientHello does not bring back the cookie that it was given.",
)
BAD_RECORD_SIZE_LIMIT = reason(
    "bad_record_size_limit",
    alerts.ILLEGAL_PARAMETER,
    "RFC 8449 section 4",
    "The peer asks for records smaller than 64 bytes, which the protocol forbids.",
)
