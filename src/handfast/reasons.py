"""Why a connection failed: one table that feeds alerts, messages, documentation and tests.

A :class:`Reason` owns the alert that is sent, the section that asks for it, one plain sentence and a hint. Nothing else
in handfast maps errors to alerts. Reasons are finer than alerts: a peer learns the alert, the log learns the reason.
"""

from __future__ import annotations

from dataclasses import dataclass

# Alert descriptions that reasons refer to (RFC 9846 section 6); the full registry is wire.codepoints.AlertDescription.
_UNEXPECTED_MESSAGE = 10
_BAD_RECORD_MAC = 20
_RECORD_OVERFLOW = 22
_HANDSHAKE_FAILURE = 40
_BAD_CERTIFICATE = 42
_UNSUPPORTED_CERTIFICATE = 43
_CERTIFICATE_EXPIRED = 45
_CERTIFICATE_UNKNOWN = 46
_ILLEGAL_PARAMETER = 47
_UNKNOWN_CA = 48
_DECODE_ERROR = 50
_DECRYPT_ERROR = 51
_PROTOCOL_VERSION = 70
_INTERNAL_ERROR = 80
_USER_CANCELED = 90
_MISSING_EXTENSION = 109
_UNSUPPORTED_EXTENSION = 110
_UNRECOGNIZED_NAME = 112
_NO_APPLICATION_PROTOCOL = 120


@dataclass(frozen=True, slots=True)
class Reason:
    """One cause of failure.

    ``name``      stable and machine-readable
    ``alert``     the AlertDescription we send, None where nothing is sent
    ``section``   where the rule stands
    ``sentence``  what happened, in plain words
    ``hint``      what either side can do
    """

    name: str
    alert: int | None
    section: str
    sentence: str
    hint: str = ""


_table: dict[str, Reason] = {}


def _reason(name: str, alert: int | None, section: str, sentence: str, hint: str = "") -> Reason:
    reason = _table[name] = Reason(name, alert, section, sentence, hint)
    return reason


def by_name(name: str) -> Reason:
    """The Reason called ``name``; KeyError if there is none."""
    return _table[name]


def every() -> tuple[Reason, ...]:
    """All reasons, in the order of this file."""
    return tuple(_table.values())


# --- bytes and records -------------------------------------------------------------------------------------------

DECODE_ERROR = _reason(
    "decode_error",
    _DECODE_ERROR,
    "RFC 9846 section 6.2",
    "A message of the peer does not parse.",
    "The peer's TLS library, or something in between, garbles messages.",
)
BAD_RECORD_MAC = _reason(
    "bad_record_mac",
    _BAD_RECORD_MAC,
    "RFC 9846 section 5.2",
    "A record could not be decrypted.",
    "The two sides hold different keys, or bytes were changed on the way.",
)
RECORD_OVERFLOW = _reason(
    "record_overflow",
    _RECORD_OVERFLOW,
    "RFC 9846 section 5.1",
    "A record is longer than the protocol allows.",
    "Is the peer speaking TLS at all?",
)
NO_CONTENT_TYPE = _reason(
    "no_content_type", _UNEXPECTED_MESSAGE, "RFC 9846 section 5.4", "A decrypted record holds nothing but padding."
)
EMPTY_RECORD = _reason(
    "empty_record", _UNEXPECTED_MESSAGE, "RFC 9846 section 5.1", "A record of a handshake message or alert is empty."
)
TOO_MANY_EMPTY_RECORDS = _reason(
    "too_many_empty_records",
    _UNEXPECTED_MESSAGE,
    "RFC 9846 section 5.1",
    "The peer sent too many records without content in a row.",
)
UNEXPECTED_RECORD = _reason(
    "unexpected_record", _UNEXPECTED_MESSAGE, "RFC 9846 section 5", "A record of this type may not stand here."
)
UNENCRYPTED_RECORD = _reason(
    "unencrypted_record",
    _UNEXPECTED_MESSAGE,
    "RFC 9846 section 5",
    "An unencrypted record came where everything has to be encrypted.",
)
BAD_CHANGE_CIPHER_SPEC = _reason(
    "bad_change_cipher_spec",
    _UNEXPECTED_MESSAGE,
    "RFC 9846 section 5",
    "A change_cipher_spec record came at the wrong time or with the wrong content.",
)
TOO_MANY_CHANGE_CIPHER_SPECS = _reason(
    "too_many_change_cipher_specs",
    _UNEXPECTED_MESSAGE,
    "RFC 9846 appendix E.4",
    "The peer sent too many change_cipher_spec records.",
)
EXCESS_HANDSHAKE_DATA = _reason(
    "excess_handshake_data",
    _UNEXPECTED_MESSAGE,
    "RFC 9846 section 5.1",
    "A handshake message spans a change of keys.",
    "Bytes before the change are not protected by the new keys; accepting them would mix the two.",
)
INTERLEAVED_RECORD = _reason(
    "interleaved_record",
    _UNEXPECTED_MESSAGE,
    "RFC 9846 section 5.1",
    "Another record came between the parts of one handshake message.",
)
BAD_ALERT = _reason(
    "bad_alert", _DECODE_ERROR, "RFC 9846 section 6", "An alert is not the two bytes that an alert has to be."
)
TOO_MANY_WARNINGS = _reason(
    "too_many_warnings", _UNEXPECTED_MESSAGE, "RFC 9846 section 6.1", "The peer sent too many warning alerts."
)
PLAINTEXT_HTTP = _reason(
    "plaintext_http",
    _UNEXPECTED_MESSAGE,
    "RFC 9846 section 5",
    "The peer speaks HTTP in plain text where TLS is expected.",
    "A client should use https://; a server's TLS port may be another one.",
)
PLAINTEXT = _reason(
    "plaintext",
    _UNEXPECTED_MESSAGE,
    "RFC 9846 section 5",
    "The peer speaks plain text where TLS is expected.",
    "The port may belong to another service, or wants STARTTLS first.",
)
SSLV2 = _reason(
    "sslv2",
    _PROTOCOL_VERSION,
    "RFC 6176 section 3",
    "The peer speaks SSL 2.0.",
    "SSL 2.0 has been broken since 1995; the peer's software has to be replaced.",
)
NOT_TLS = _reason(
    "not_tls",
    _UNEXPECTED_MESSAGE,
    "RFC 9846 section 5.1",
    "What came is not TLS.",
    "The port may belong to another service.",
)

# --- limits ------------------------------------------------------------------------------------------------------

MESSAGE_TOO_LARGE = _reason(
    "message_too_large",
    _ILLEGAL_PARAMETER,
    "RFC 9846 section 4",
    "A handshake message is larger than we are willing to hold.",
)
TOO_MANY_ITEMS = _reason(
    "too_many_items",
    _ILLEGAL_PARAMETER,
    "RFC 9846 section 4.3",
    "A message lists more items than we are willing to hold.",
)
TOO_MUCH_HELD = _reason(
    "too_much_held",
    _INTERNAL_ERROR,
    "RFC 9846 section 6.2",
    "The peer sent more than we hold while a question is open.",
    "The transport has to stop reading while a question waits for its answer.",
)
TOO_MANY_MESSAGES = _reason(
    "too_many_messages",
    _UNEXPECTED_MESSAGE,
    "RFC 9846 section 4.7",
    "The peer sent too many handshake messages in a row after the handshake.",
)
KEYS_EXHAUSTED = _reason(
    "keys_exhausted",
    _INTERNAL_ERROR,
    "RFC 9846 section 5.5",
    "These keys have protected as many records as is safe.",
    "Open a new connection.",
)

# --- order and meaning of messages -------------------------------------------------------------------------------

UNEXPECTED_MESSAGE = _reason(
    "unexpected_message", _UNEXPECTED_MESSAGE, "RFC 9846 section 4", "A handshake message came out of order."
)
UNEXPECTED_APPLICATION_DATA = _reason(
    "unexpected_application_data",
    _UNEXPECTED_MESSAGE,
    "RFC 9846 section 2",
    "Application data came before the handshake was complete.",
)
RENEGOTIATION = _reason(
    "renegotiation",
    _UNEXPECTED_MESSAGE,
    "RFC 9846 section 4.2.2",
    "The peer tried to start a second handshake in this connection.",
    "TLS 1.3 has no renegotiation.",
)
KEY_UPDATE_UNSUPPORTED = _reason(
    "key_update_unsupported",
    _UNEXPECTED_MESSAGE,
    "RFC 9846 section 4.7.3",
    "The peer changed its keys by a KeyUpdate, which this version of handfast cannot follow.",
    "Open a new connection.",
)
DUPLICATE_EXTENSION = _reason(
    "duplicate_extension", _ILLEGAL_PARAMETER, "RFC 9846 section 4.3", "An extension stands twice in one message."
)
EXTENSION_NOT_ALLOWED = _reason(
    "extension_not_allowed",
    _ILLEGAL_PARAMETER,
    "RFC 9846 section 4.3",
    "An extension stands in a message where it has no place.",
)
UNSOLICITED_EXTENSION = _reason(
    "unsolicited_extension",
    _UNSUPPORTED_EXTENSION,
    "RFC 9846 section 4.3",
    "The peer answered with an extension that was never offered.",
)
MISSING_EXTENSION = _reason(
    "missing_extension", _MISSING_EXTENSION, "RFC 9846 section 9.2", "An extension that has to be there is missing."
)
PSK_NOT_LAST = _reason(
    "psk_not_last",
    _ILLEGAL_PARAMETER,
    "RFC 9846 section 4.3.11",
    "pre_shared_key is not the last extension of the ClientHello.",
)
BAD_KEY_SHARE_LIST = _reason(
    "bad_key_share_list",
    _ILLEGAL_PARAMETER,
    "RFC 9846 section 4.3.8",
    "The key shares do not fit the list of supported groups.",
)
BAD_KEY_SHARE = _reason(
    "bad_key_share",
    _ILLEGAL_PARAMETER,
    "RFC 9846 section 4.3.8",
    "A key share is not a valid public value of its group.",
)
BAD_COMPRESSION = _reason(
    "bad_compression",
    _ILLEGAL_PARAMETER,
    "RFC 9846 section 4.2.2",
    "The peer offers or selects compression, which TLS 1.3 forbids.",
)
BAD_LEGACY_VERSION = _reason(
    "bad_legacy_version",
    _PROTOCOL_VERSION,
    "RFC 9846 section 4.2.2",
    "legacy_version is not TLS 1.2, as TLS 1.3 requires.",
)
SESSION_ID_NOT_ECHOED = _reason(
    "session_id_not_echoed",
    _ILLEGAL_PARAMETER,
    "RFC 9846 section 4.2.3",
    "The server did not echo our legacy_session_id.",
)
VERSION_NOT_OFFERED = _reason(
    "version_not_offered",
    _ILLEGAL_PARAMETER,
    "RFC 9846 section 4.3.1",
    "The server selected a version that we did not offer.",
)
SUITE_NOT_OFFERED = _reason(
    "suite_not_offered",
    _ILLEGAL_PARAMETER,
    "RFC 9846 section 4.2.3",
    "The server selected a cipher suite that we did not offer.",
)
GROUP_NOT_OFFERED = _reason(
    "group_not_offered",
    _ILLEGAL_PARAMETER,
    "RFC 9846 section 4.3.8",
    "The server answered with a key share of a group that we sent none for.",
)
SCHEME_NOT_OFFERED = _reason(
    "scheme_not_offered",
    _ILLEGAL_PARAMETER,
    "RFC 9846 section 4.5.2",
    "The peer signed with a signature scheme that we did not offer.",
)
ALPN_NOT_OFFERED = _reason(
    "alpn_not_offered",
    _ILLEGAL_PARAMETER,
    "RFC 7301 section 3.2",
    "The server selected an application protocol that we did not offer.",
)
BAD_CERTIFICATE_CONTEXT = _reason(
    "bad_certificate_context",
    _ILLEGAL_PARAMETER,
    "RFC 9846 section 4.5.1",
    "certificate_request_context is not empty in a certificate of the handshake.",
)
NO_CERTIFICATE = _reason(
    "no_certificate", _DECODE_ERROR, "RFC 9846 section 4.5.1.3", "The server sent an empty certificate chain."
)
HELLO_RETRY_UNSUPPORTED = _reason(
    "hello_retry_unsupported",
    _HANDSHAKE_FAILURE,
    "RFC 9846 section 4.2.4",
    "The server asks for another key share (HelloRetryRequest), which this version of handfast cannot send yet.",
    "Offer the group it asks for first.",
)

# --- nothing in common -------------------------------------------------------------------------------------------

NO_COMMON_VERSION = _reason(
    "no_common_version",
    _PROTOCOL_VERSION,
    "RFC 9846 section 4.3.1",
    "The peer does not speak a version of TLS that we accept.",
    "Update the older side: TLS 1.3 is from 2018.",
)
NO_COMMON_SUITE = _reason(
    "no_common_suite", _HANDSHAKE_FAILURE, "RFC 9846 section 4.2.1", "The two sides have no cipher suite in common."
)
NO_COMMON_GROUP = _reason(
    "no_common_group",
    _HANDSHAKE_FAILURE,
    "RFC 9846 section 4.2.1",
    "The two sides have no group for the key exchange in common.",
)
NO_USABLE_KEY_SHARE = _reason(
    "no_usable_key_share",
    _HANDSHAKE_FAILURE,
    "RFC 9846 section 4.2.1",
    "The client sent no key share for a group that both sides support.",
    "This version of handfast cannot ask for one (HelloRetryRequest) yet: let the client send a share of one of these.",
)
NO_COMMON_SIGNATURE_SCHEME = _reason(
    "no_common_signature_scheme",
    _HANDSHAKE_FAILURE,
    "RFC 9846 section 4.3.3",
    "None of our identities can sign in a way that the client accepts.",
    "Add an identity with another kind of key.",
)
NO_COMMON_ALPN = _reason(
    "no_common_alpn",
    _NO_APPLICATION_PROTOCOL,
    "RFC 7301 section 3.2",
    "The two sides have no application protocol in common.",
)
UNRECOGNIZED_NAME = _reason(
    "unrecognized_name",
    _UNRECOGNIZED_NAME,
    "RFC 6066 section 3",
    "No identity of this server fits the name that the client asked for.",
)

# --- proofs ------------------------------------------------------------------------------------------------------

BAD_SIGNATURE = _reason(
    "bad_signature",
    _DECRYPT_ERROR,
    "RFC 9846 section 4.5.2",
    "The signature in CertificateVerify is wrong: the peer did not prove that it holds the certificate's key.",
)
WRONG_SIGNATURE_TYPE = _reason(
    "wrong_signature_type",
    _ILLEGAL_PARAMETER,
    "RFC 9846 section 4.5.2",
    "The signature scheme does not fit the key in the peer's certificate.",
)
BAD_FINISHED = _reason(
    "bad_finished",
    _DECRYPT_ERROR,
    "RFC 9846 section 4.5.3",
    "Finished does not match: the two sides saw different handshakes.",
)

# --- certificates ------------------------------------------------------------------------------------------------

CERTIFICATE_REFUSED = _reason(
    "certificate_refused", _CERTIFICATE_UNKNOWN, "RFC 9846 section 6.2", "The peer's certificate was not accepted."
)
CERTIFICATE_UNREADABLE = _reason(
    "certificate_unreadable",
    _BAD_CERTIFICATE,
    "RFC 5280 section 4.1",
    "A certificate of the peer's chain cannot be parsed.",
    "The peer has to replace this certificate.",
)
UNSUPPORTED_PUBLIC_KEY = _reason(
    "unsupported_public_key",
    _UNSUPPORTED_CERTIFICATE,
    "RFC 9846 section 4.5.1.2",
    "The certificate's key is of a kind that cannot be used in TLS 1.3.",
)
CERTIFICATE_EXPIRED = _reason(
    "certificate_expired",
    _CERTIFICATE_EXPIRED,
    "RFC 5280 section 4.1.2.5",
    "A certificate has expired.",
    "Its owner has to renew it; if the dates look right, check this machine's clock.",
)
CERTIFICATE_NOT_YET_VALID = _reason(
    "certificate_not_yet_valid",
    _BAD_CERTIFICATE,
    "RFC 5280 section 4.1.2.5",
    "A certificate is not valid yet.",
    "Check this machine's clock first.",
)
CERTIFICATE_NAME_MISMATCH = _reason(
    "certificate_name_mismatch",
    _BAD_CERTIFICATE,
    "RFC 9525 section 6",
    "The certificate is for other names than the one asked for.",
    "Connect by one of the names in the certificate, or have this name added to it.",
)
CERTIFICATE_WITHOUT_NAMES = _reason(
    "certificate_without_names",
    _BAD_CERTIFICATE,
    "RFC 9525 section 2",
    "The certificate has no subjectAltName, so there is no name to compare.",
    "A common name alone is not trusted any more: have the certificate issued with a subjectAltName.",
)
CERTIFICATE_WRONG_USAGE = _reason(
    "certificate_wrong_usage",
    _UNSUPPORTED_CERTIFICATE,
    "RFC 5280 section 4.2.1",
    "A certificate is not allowed to be used for this.",
    "Its extensions (key usage, extended key usage, basic constraints) say what it is for.",
)
NOT_A_CA = _reason(
    "not_a_ca",
    _BAD_CERTIFICATE,
    "RFC 5280 section 4.2.1.9",
    "A certificate was used to issue another one, but is not a certificate authority's.",
)
UNKNOWN_ISSUER = _reason(
    "unknown_issuer",
    _UNKNOWN_CA,
    "RFC 5280 section 6.1",
    "The chain ends at an issuer that is not trusted here.",
    "If the issuer is your own, give its root certificate as a trust anchor (--ca FILE).",
)
MISSING_INTERMEDIATE = _reason(
    "missing_intermediate",
    _UNKNOWN_CA,
    "RFC 9846 section 4.5.1",
    "The chain does not reach a trusted root: the server seems to have left out an intermediate certificate.",
    "The server has to send the whole chain (fullchain.pem, not cert.pem).",
)
SELF_SIGNED_CERTIFICATE = _reason(
    "self_signed_certificate",
    _UNKNOWN_CA,
    "RFC 5280 section 6.1",
    "The certificate is signed by its own key, and is not among the trusted ones.",
    "If it is the right one, give it as a trust anchor (--ca FILE).",
)
BAD_CERTIFICATE_SIGNATURE = _reason(
    "bad_certificate_signature",
    _BAD_CERTIFICATE,
    "RFC 5280 section 6.1.3",
    "A certificate's signature does not verify with its issuer's key.",
    "Either the certificate was changed, or its issuer has another key under the same name.",
)
WEAK_KEY = _reason(
    "weak_key",
    _BAD_CERTIFICATE,
    "RFC 9325 section 4.5",
    "A key in the chain is too weak.",
    "Its owner has to make a new key: RSA of 2048 bits or more, or ECDSA with P-256 or stronger.",
)
WEAK_SIGNATURE = _reason(
    "weak_signature",
    _BAD_CERTIFICATE,
    "RFC 9325 section 4.5",
    "A certificate in the chain is signed with a hash that is broken.",
    "Its issuer has to sign it with SHA-256 or better.",
)
CERTIFICATE_RULE_BROKEN = _reason(
    "certificate_rule_broken",
    _BAD_CERTIFICATE,
    "RFC 5280 section 4.2",
    "A certificate breaks a rule of the certificate profile.",
    "Have it issued anew, or relax this one rule with the switch that is named.",
)

# --- how it ended ------------------------------------------------------------------------------------------------

ALERT_RECEIVED = _reason("alert_received", None, "RFC 9846 section 6.2", "The peer broke off with an alert.")
VERSION_REFUSED = _reason(
    "version_refused",
    None,
    "RFC 9846 section 4.3.1",
    "The server speaks no version of TLS that we offer.",
    "Update the server: TLS 1.3 is from 2018.",
)
CLOSED_DURING_HANDSHAKE = _reason(
    "closed_during_handshake",
    None,
    "RFC 9846 section 6.1",
    "The peer closed the connection during the handshake.",
    "It may not speak TLS, or not for this name; its log may say more.",
)
TRUNCATED = _reason(
    "truncated",
    None,
    "RFC 9846 section 6.1",
    "The connection ended without close_notify: something at the end may be missing.",
    "Trust only what a length or a terminator in the data itself confirms.",
)
RESET = _reason(
    "reset",
    None,
    "RFC 9293 section 3.5.2",
    "The connection was reset.",
    "The peer's process ended or refused us, or something in between broke the connection.",
)
CONNECTION_FAILED = _reason(
    "connection_failed",
    None,
    "RFC 9293 section 3.5",
    "No connection could be made.",
    "Check host name, port and network.",
)
CONNECT_TIMEOUT = _reason(
    "connect_timeout",
    None,
    "RFC 9293 section 3.8",
    "No connection could be made within the time allowed.",
    "The host may be down, or a firewall drops what we send.",
)
READ_TIMEOUT = _reason(
    "read_timeout",
    None,
    "RFC 9293 section 3.8",
    "The connection is there, and nothing came within the time allowed.",
    "The peer may wait for something else from us, or may just be slow.",
)
BAD_RESPONSE = _reason(
    "bad_response",
    None,
    "RFC 9112 section 4",
    "The answer is not HTTP/1.1.",
    "Another protocol may be spoken here.",
)
RESPONSE_CUT = _reason(
    "response_cut",
    None,
    "RFC 9112 section 8",
    "The answer is shorter than it said it would be.",
    "The server broke off in the middle; try again, and look into its log.",
)
HANDSHAKE_TIMEOUT = _reason(
    "handshake_timeout", _USER_CANCELED, "RFC 9846 section 6.1", "The handshake took longer than allowed."
)
INTERNAL_ERROR = _reason(
    "internal_error",
    _INTERNAL_ERROR,
    "RFC 9846 section 6.2",
    "Something of ours went wrong.",
    "This is a bug of handfast, or of a callback given to it: please report it.",
)
CALLBACK_FAILED = _reason(
    "callback_failed",
    _INTERNAL_ERROR,
    "RFC 9846 section 6.2",
    "A callback raised an exception.",
    "The exception is the cause of this error.",
)
REFUSED_BY_CALLBACK = _reason(
    "refused_by_callback", _HANDSHAKE_FAILURE, "RFC 9846 section 6.2", "A question of the handshake was refused."
)
BAD_CONFIGURATION = _reason("bad_configuration", None, "", "A setting cannot be used.")
KEY_MISMATCH = _reason(
    "key_mismatch",
    None,
    "RFC 9846 section 4.5.2",
    "The private key does not belong to the certificate.",
    "Give the key that the certificate was issued for.",
)
FILE_UNREADABLE = _reason("file_unreadable", None, "", "A file cannot be read.")
FILE_UNWRITABLE = _reason("file_unwritable", None, "", "A file cannot be written.")
NOT_A_CERTIFICATE = _reason(
    "not_a_certificate", None, "RFC 7468 section 5", "There is no readable certificate in this file."
)
NOT_A_KEY = _reason("not_a_key", None, "RFC 7468 section 10", "There is no readable private key in this file.")
KEY_ENCRYPTED = _reason(
    "key_encrypted", None, "RFC 7468 section 11", "The private key is encrypted, and the password is missing or wrong."
)
MISUSE = _reason("misuse", None, "", "The connection cannot do this now.")
FORKED = _reason(
    "forked",
    None,
    "RFC 9846 section 5.3",
    "This connection belongs to another process.",
    "After a fork only the process that made a connection may send on it: two senders would use one nonce twice.",
)
