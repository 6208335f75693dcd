"""What is fetched by HTTP for the sake of a certificate: issuers that a server did not send (AIA)."""

from __future__ import annotations

from handfast.reasons.table import reason

FETCH_FAILED = reason(
    "fetch_failed", None, "RFC 5280 section 4.2.2.1", "What a certificate points to could not be fetched."
)
FETCH_NOT_HTTP = reason(
    "fetch_not_http",
    None,
    "RFC 5280 section 4.2.2.1",
    "The address is not one that can be fetched from: it has to begin with http://.",
    "Over https the certificate of that server would have to be verified first, and so on.",
)
FETCH_NAME = reason(
    "fetch_name", None, "RFC 9110 section 4.3.3", "The name of the host to fetch from cannot be resolved."
)
FETCH_ADDRESS = reason(
    "fetch_address",
    None,
    "RFC 6890 section 2.2",
    "The host to fetch from is on an internal network, where no stranger's certificate may send us.",
    "If it is your own, allow its network: --aia-network 10.0.0.0/8.",
)
FETCH_PORT = reason(
    "fetch_port", None, "RFC 9110 section 4.2.1", "The port to fetch from belongs to another protocol than HTTP."
)
FETCH_UNREACHABLE = reason(
    "fetch_unreachable", None, "RFC 9293 section 3.5", "No connection could be made to the host to fetch from."
)
FETCH_TIMEOUT = reason(
    "fetch_timeout", None, "RFC 9110 section 7.3.3", "What was to be fetched did not come within the time allowed."
)
FETCH_CUT = reason("fetch_cut", None, "RFC 9112 section 8", "The answer of the host to fetch from is incomplete.")
FETCH_BAD_ANSWER = reason("fetch_bad_answer", None, "RFC 9112 section 4", "The host to fetch from does not speak HTTP.")
FETCH_STATUS = reason(
    "fetch_status", None, "RFC 9110 section 15", "The host to fetch from does not have what it was asked for."
)
FETCH_REDIRECTS = reason(
    "fetch_redirects", None, "RFC 9110 section 15.4", "The host to fetch from sends us on and on to other addresses."
)
FETCH_TOO_LARGE = reason("fetch_too_large", None, "RFC 9110 section 8.6", "What was to be fetched is too large.")
FETCH_TYPE = reason(
    "fetch_type", None, "RFC 2585 section 4", "What came from the address of a certificate is of another type."
)
FETCH_NO_CERTIFICATE = reason(
    "fetch_no_certificate", None, "RFC 5280 section 4.2.2.1", "What was fetched holds no readable certificate."
)
FETCH_NOT_THE_ISSUER = reason(
    "fetch_not_the_issuer", None, "RFC 5280 section 6.1.3", "What was fetched is a certificate, and not the issuer's."
)
FETCH_LIMIT = reason(
    "fetch_limit", None, "RFC 5280 section 8", "As much was fetched for one chain as is allowed; the rest was left."
)
FETCH_BUSY = reason(
    "fetch_busy", None, "RFC 5280 section 8", "As much is being fetched for other chains as is allowed at a time."
)
