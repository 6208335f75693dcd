"""How it ended, and what went wrong on this side."""

from __future__ import annotations

from handfast.reasons import alerts
from handfast.reasons.table import reason

ALERT_RECEIVED = reason("alert_received", None, "RFC 9846 section 6.2", "The peer broke off with an alert.")
VERSION_REFUSED = reason(
    "version_refused",
    None,
    "RFC 9846 section 4.3.1",
    "The server speaks no version of TLS that we offer.",
    "Offer the version that the server has, or update the server: TLS 1.2 is from 2008.",
)
CLOSED_DURING_HANDSHAKE = reason(
    "closed_during_handshake",
    None,
    "RFC 9846 section 6.1",
    "The peer closed the connection during the handshake.",
    "It may not speak TLS, or not for this name; its log may say more.",
)
TRUNCATED = reason(
    "truncated",
    None,
    "RFC 9846 section 6.1",
    "The connection ended without close_notify: something at the end may be missing.",
    "Trust only what a length or a terminator in the data itself confirms.",
)
RESET = reason(
    "reset",
    None,
    "RFC 9293 section 3.5.2",
    "The connection was reset.",
    "The peer's process ended or refused us, or something in between broke the connection.",
)
CONNECTION_FAILED = reason(
    "connection_failed",
    None,
    "RFC 9293 section 3.5",
    "No connection could be made.",
    "Check host name, port and network.",
)
CONNECT_TIMEOUT = reason(
    "connect_timeout",
    None,
    "RFC 9293 section 3.8",
    "No connection could be made within the time allowed.",
    "The host may be down, or a firewall drops what we send.",
)
PROXY_REFUSED = reason(
    "proxy_refused",
    None,
    "RFC 9110 section 9.3.6",
    "The proxy refuses to connect us to this server.",
    "Its rules may not allow this host or port; its log says more.",
)
PROXY_AUTHENTICATION = reason(
    "proxy_authentication",
    None,
    "RFC 9110 section 15.5.8",
    "The proxy wants to know who we are, or does not accept what we said.",
    "Give user and password in the proxy's URL: http://user:password@host:port.",
)
PROXY_CANNOT_REACH = reason(
    "proxy_cannot_reach",
    None,
    "RFC 9110 section 15.6.3",
    "The proxy cannot reach the server.",
    "Check host name and port; the server may be down.",
)
PROXY_BAD_ANSWER = reason(
    "proxy_bad_answer",
    None,
    "RFC 9110 section 9.3.6",
    "What the proxy answered is none of the answers of such a proxy.",
    "It may be a proxy of another kind, or no proxy at all.",
)
PROXY_CLOSED = reason(
    "proxy_closed",
    None,
    "RFC 9110 section 9.3.6",
    "The proxy closed the connection instead of opening the way to the server.",
    "Its log says more.",
)
PROXY_TIMEOUT = reason(
    "proxy_timeout",
    None,
    "RFC 9110 section 15.6.5",
    "The proxy did not open the way to the server within the time allowed.",
    "The server may be down, or the proxy may be waiting for something else.",
)
READ_TIMEOUT = reason(
    "read_timeout",
    None,
    "RFC 9293 section 3.8",
    "The connection is there, and nothing came within the time allowed.",
    "The peer may wait for something else from us, or may just be slow.",
)
BAD_RESPONSE = reason(
    "bad_response",
    None,
    "RFC 9112 section 4",
    "The answer is not HTTP/1.1.",
    "Another protocol may be spoken here.",
)
RESPONSE_CUT = reason(
    "response_cut",
    None,
    "RFC 9112 section 8",
    "The answer is shorter than it said it would be.",
    "The server broke off in the middle; try again, and look into its log.",
)
HANDSHAKE_TIMEOUT = reason(
    "handshake_timeout",
    alerts.USER_CANCELED,
    "RFC 9846 section 6.1",
    "The handshake took longer than allowed.",
    "The peer may be slow, or wait for something else than TLS, such as STARTTLS.",
)
INTERNAL_ERROR = reason(
    "internal_error",
    alerts.INTERNAL_ERROR,
    "RFC 9846 section 6.2",
    "Something of ours went wrong.",
    "This is a bug of handfast, or of a callback given to it: please report it.",
)
CALLBACK_FAILED = reason(
    "callback_failed",
    alerts.INTERNAL_ERROR,
    "RFC 9846 section 6.2",
    "A callback raised an exception, or what it returned is no answer.",
    "Where it raised an exception, that is the cause of this error.",
)
REFUSED_BY_CALLBACK = reason(
    "refused_by_callback", alerts.HANDSHAKE_FAILURE, "RFC 9846 section 6.2", "The application refused the handshake."
)
BAD_CONFIGURATION = reason("bad_configuration", None, "", "A setting cannot be used.")
KEY_MISMATCH = reason(
    "key_mismatch",
    None,
    "RFC 9846 section 4.5.2",
    "The private key does not belong to the certificate.",
    "Give the key that the certificate was issued for.",
)
NOT_VALID_NOW = reason(
    "not_valid_now",
    None,
    "RFC 5280 section 4.1.2.5",
    "Our own certificate is not valid now.",
    "Renew it, or set the clock.",
)
FILE_UNREADABLE = reason("file_unreadable", None, "", "A file cannot be read.")
FILE_UNWRITABLE = reason("file_unwritable", None, "", "A file cannot be written.")
NOT_A_CERTIFICATE = reason(
    "not_a_certificate", None, "RFC 7468 section 5", "There is no readable certificate in this file."
)
NOT_A_KEY = reason("not_a_key", None, "RFC 7468 section 10", "There is no readable private key in this file.")
KEY_ENCRYPTED = reason(
    "key_encrypted", None, "RFC 7468 section 11", "The private key is encrypted, and the password is missing or wrong."
)
MISUSE = reason("misuse", None, "", "The connection cannot do this now.")
FORKED = reason(
    "forked",
    None,
    "RFC 9846 section 5.3",
    "This connection belongs to another process.",
    "After a fork only the process that made a connection may send on it: two senders would use one nonce twice.",
)
