"""Reasons that have to do with pre-shared keys and sessions."""

from __future__ import annotations

from handfast.reasons import alerts
from handfast.reasons.table import reason

BAD_BINDER = reason(
    "bad_binder",
    alerts.DECRYPT_ERROR,
    "RFC 9846 section 4.3.11",
    "The binder is wrong: the client does not have the pre-shared key that it names.",
    "The two sides may have different keys under one name, or another role for it.",
)
PSK_NOT_OFFERED = reason(
    "psk_not_offered",
    alerts.ILLEGAL_PARAMETER,
    "RFC 9846 section 4.3.11",
    "The server selects a pre-shared key that was not offered.",
)
WRONG_PSK_HASH = reason(
    "wrong_psk_hash",
    alerts.ILLEGAL_PARAMETER,
    "RFC 9846 section 4.3.11",
    "The server selects a pre-shared key and a cipher suite of different hashes.",
)
PSK_MODE_NOT_OFFERED = reason(
    "psk_mode_not_offered",
    alerts.ILLEGAL_PARAMETER,
    "RFC 9846 section 4.3.9",
    "The server uses a pre-shared key in a way that was not offered.",
)
BAD_EARLY_DATA = reason(
    "bad_early_data",
    alerts.ILLEGAL_PARAMETER,
    "RFC 9846 section 4.3.10",
    "The server accepts early data in a connection that is not the one it was meant for.",
)
EARLY_DATA_AFTER_RETRY = reason(
    "early_data_after_retry",
    alerts.ILLEGAL_PARAMETER,
    "RFC 9846 section 4.2.2",
    "The client offers early data in the ClientHello that answers a HelloRetryRequest.",
)
BINDER_COUNT = reason(
    "binder_count",
    alerts.ILLEGAL_PARAMETER,
    "RFC 9846 section 4.3.11",
    "The client does not have one binder for each pre-shared key that it offers.",
)
EARLY_DATA_TO_OLD_SERVER = reason(
    "early_data_to_old_server",
    alerts.PROTOCOL_VERSION,
    "RFC 9846 appendix E.3",
    "We have sent early data, and the server has answered with a version that has none.",
    "Its session is of TLS 1.3: forget it, and connect again without early data.",
)
UNKNOWN_PSK = reason(
    "unknown_psk",
    alerts.UNKNOWN_PSK_IDENTITY,
    "RFC 9846 section 6.2",
    "The client has no pre-shared key that we know, and without one we can agree on nothing.",
    "Where keys are all that both sides have, each has to know the other's by the same identity and for the same hash.",
)
TOO_MUCH_ACCEPTED_EARLY_DATA = reason(
    "too_much_accepted_early_data",
    alerts.UNEXPECTED_MESSAGE,
    "RFC 9846 section 4.7.1",
    "The client sends more early data than the ticket allows.",
)
SESSION_CHANGED = reason(
    "session_changed",
    alerts.ILLEGAL_PARAMETER,
    "RFC 5246 section 7.4.1.3",
    "The server resumes a session with another cipher suite than it was made with.",
)
