"""Bytes and records, and how much of them we hold."""

from __future__ import annotations

from handfast.reasons import alerts
from handfast.reasons.table import reason

# --- bytes and records -----------------------------------------------------------------------------------------------

DECODE_ERROR = reason(
    "decode_error",
    alerts.DECODE_ERROR,
    "RFC 9846 section 6.2",
    "A message of the peer does not parse.",
    "The peer's TLS library, or something in between, garbles messages.",
)
BAD_RECORD_MAC = reason(
    "bad_record_mac",
    alerts.BAD_RECORD_MAC,
    "RFC 9846 section 5.2",
    "A record could not be decrypted.",
    "The two sides hold different keys, or bytes were changed on the way.",
)
RECORD_OVERFLOW = reason(
    "record_overflow",
    alerts.RECORD_OVERFLOW,
    "RFC 9846 section 5.1",
    "A record is longer than the protocol allows.",
    "Is the peer speaking TLS at all?",
)
NO_CONTENT_TYPE = reason(
    "no_content_type",
    alerts.UNEXPECTED_MESSAGE,
    "RFC 9846 section 5.4",
    "A decrypted record holds nothing but padding.",
)
EMPTY_RECORD = reason(
    "empty_record",
    alerts.UNEXPECTED_MESSAGE,
    "RFC 9846 section 5.1",
    "A record of a handshake message or alert is empty.",
)
TOO_MANY_EMPTY_RECORDS = reason(
    "too_many_empty_records",
    alerts.UNEXPECTED_MESSAGE,
    "RFC 9846 section 5.1",
    "The peer sent too many records without content in a row.",
)
TOO_MUCH_EARLY_DATA = reason(
    "too_much_early_data",
    alerts.UNEXPECTED_MESSAGE,
    "RFC 9846 section 4.3.10",
    "The client sent more early data, which was refused, than we are willing to skip.",
)
UNEXPECTED_RECORD = reason(
    "unexpected_record", alerts.UNEXPECTED_MESSAGE, "RFC 9846 section 5", "A record of this type may not stand here."
)
UNENCRYPTED_RECORD = reason(
    "unencrypted_record",
    alerts.UNEXPECTED_MESSAGE,
    "RFC 9846 section 5",
    "An unencrypted record came where everything has to be encrypted.",
)
BAD_CHANGE_CIPHER_SPEC = reason(
    "bad_change_cipher_spec",
    alerts.UNEXPECTED_MESSAGE,
    "RFC 9846 section 5",
    "A change_cipher_spec record came at the wrong time or with the wrong content.",
)
TOO_MANY_CHANGE_CIPHER_SPECS = reason(
    "too_many_change_cipher_specs",
    alerts.UNEXPECTED_MESSAGE,
    "RFC 9846 appendix E.4",
    "The peer sent too many change_cipher_spec records.",
)
EXCESS_HANDSHAKE_DATA = reason(
    "excess_handshake_data",
    alerts.UNEXPECTED_MESSAGE,
    "RFC 9846 section 5.1",
    "A handshake message spans a change of keys.",
    "Bytes before the change are not protected by the new keys; accepting them would mix the two.",
)
INTERLEAVED_RECORD = reason(
    "interleaved_record",
    alerts.UNEXPECTED_MESSAGE,
    "RFC 9846 section 5.1",
    "Another record came between the parts of one handshake message.",
)
BAD_ALERT = reason(
    "bad_alert", alerts.DECODE_ERROR, "RFC 9846 section 6", "An alert is not the two bytes that an alert has to be."
)
TOO_MANY_WARNINGS = reason(
    "too_many_warnings", alerts.UNEXPECTED_MESSAGE, "RFC 9846 section 6.1", "The peer sent too many warning alerts."
)
PLAINTEXT_HTTP = reason(
    "plaintext_http",
    alerts.UNEXPECTED_MESSAGE,
    "RFC 9846 section 5",
    "The peer speaks HTTP in plain text where TLS is expected.",
    "A client should use https://; a server's TLS port may be another one.",
)
PLAINTEXT = reason(
    "plaintext",
    alerts.UNEXPECTED_MESSAGE,
    "RFC 9846 section 5",
    "The peer speaks plain text where TLS is expected.",
    "The port may belong to another service, or wants STARTTLS first.",
)
SSLV2 = reason(
    "sslv2",
    alerts.PROTOCOL_VERSION,
    "RFC 6176 section 3",
    "The peer says hello in the format of SSL 2.0.",
    "The format is from 1995, and has been forbidden since 2011: the peer's software has to be replaced.",
)
NOT_TLS = reason(
    "not_tls",
    alerts.UNEXPECTED_MESSAGE,
    "RFC 9846 section 5.1",
    "What came is not TLS.",
    "The port may belong to another service.",
)

# --- limits ----------------------------------------------------------------------------------------------------------

MESSAGE_TOO_LARGE = reason(
    "message_too_large",
    alerts.ILLEGAL_PARAMETER,
    "RFC 9846 section 4",
    "A handshake message is larger than we are willing to hold.",
)
TOO_MANY_ITEMS = reason(
    "too_many_items",
    alerts.ILLEGAL_PARAMETER,
    "RFC 9846 section 4.3",
    "A message lists more items than we are willing to hold.",
)
TOO_MUCH_HELD = reason(
    "too_much_held",
    alerts.INTERNAL_ERROR,
    "RFC 9846 section 6.2",
    "The peer sent more than we hold while a question is open.",
    "The transport has to stop reading while a question waits for its answer.",
)
TOO_MANY_MESSAGES = reason(
    "too_many_messages",
    alerts.UNEXPECTED_MESSAGE,
    "RFC 9846 section 4.7",
    "The peer sent too many handshake messages in a row after the handshake.",
)
KEYS_EXHAUSTED = reason(
    "keys_exhausted",
    alerts.INTERNAL_ERROR,
    "RFC 9846 section 5.5",
    "These keys have protected as many records as is safe.",
    "Open a new connection.",
)
