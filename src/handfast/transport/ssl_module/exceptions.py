"""Our errors as those of ``ssl``: the classes that programs catch today, with our Reason, evidence and hint in their text.

::

    except ssl.SSLCertVerificationError as error:
        error.verify_code, error.reason     # 62, "CERTIFICATE_VERIFY_FAILED": what ssl says
        error.handfast                      # the TLSError: reason, evidence, hint

``reason`` is OpenSSL's name for a cause wherever it has one, since programs compare it; for all others it is the name of
our Reason, in capital letters.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from handfast import reasons
from handfast.certificates.names import address
from handfast.certificates.parsed import parsed
from handfast.errors import (
    AlertReceived,
    BadCertificateSignature,
    CertificateError,
    CertificateExpired,
    CertificateNameMismatch,
    CertificateNotYetValid,
    CertificateUsageError,
    HandshakeRefused,
    SelfSignedCertificate,
    TLSError,
    TruncationError,
    UnknownIssuer,
    WeakCertificate,
    shown,
)
from handfast.profiles import why_not

if TYPE_CHECKING:
    from handfast.reasons import Reason


class NoIdentity(HandshakeRefused):
    """A client has come to a context without a certificate."""


class _Explained:
    """What every error here has besides: ``handfast``, the TLSError that it stands for; None where there is none."""

    handfast: TLSError | None = None
    library: Any = "SSL"
    reason: Any = None

    def __reduce__(self: Any) -> tuple[object, ...]:
        return type(self), self.args, dict(self.__dict__)


class SSLError(_Explained, ssl.SSLError):
    """Anything that goes wrong in a connection."""


class SSLZeroReturnError(_Explained, ssl.SSLZeroReturnError):
    """The connection has been closed, by both sides."""


class SSLEOFError(_Explained, ssl.SSLEOFError):
    """The peer's bytes ended without close_notify."""


class SSLSyscallError(_Explained, ssl.SSLSyscallError):
    """The operating system failed us, or what is below the connection did."""


class SSLCertVerificationError(_Explained, ssl.SSLCertVerificationError):
    """The peer's certificate was not accepted.

    ``verify_code``     OpenSSL's number for the cause (X509_V_ERR_...)
    ``verify_message``  OpenSSL's words for it
    """

    verify_code: int = 1
    verify_message: str = ""


# These two are no failures, and there is nothing to explain. Some programs look them up by their very class.
SSLWantReadError = ssl.SSLWantReadError
SSLWantWriteError = ssl.SSLWantWriteError


def want_read() -> ssl.SSLError:
    """More bytes are needed, and none are there."""
    return _unexplained(SSLWantReadError(int(ssl.SSL_ERROR_WANT_READ), "The operation did not complete (read)"))


def want_write() -> ssl.SSLError:
    """The socket takes no more bytes now."""
    return _unexplained(SSLWantWriteError(int(ssl.SSL_ERROR_WANT_WRITE), "The operation did not complete (write)"))


def _unexplained(error: Any) -> ssl.SSLError:
    error.library = error.reason = None  # what ssl sets on each of its own
    return error  # type: ignore[no-any-return]


def zero_return() -> ssl.SSLError:
    """Both sides have said that they will send nothing more."""
    return SSLZeroReturnError(int(ssl.SSL_ERROR_ZERO_RETURN), "TLS/SSL connection has been closed (EOF)")


def failure(reason: str, problem: str = "") -> SSLError:
    """An error that is none of a connection: ``reason`` by OpenSSL's name, and a sentence of ours."""
    error: SSLError = _made(SSLError, ssl.SSL_ERROR_SSL, reason, _words(reason), problem)
    return error


def plain(problem: str, number: int = 0) -> SSLError:
    """An error without a reason, as ssl raises it for arguments that do not go together."""
    error = SSLError(number, problem)
    error.library = None
    return error


def _made(kind: Any, number: int, reason: str, words: str, ours: str) -> Any:
    text = f"[SSL: {reason}] {words}" if reason else words
    error = kind(int(number), f"{text}: {ours}" if ours else text)
    error.reason = reason or None
    return error


def _words(reason: str) -> str:
    return reason.lower().replace("_", " ")


def explanation(error: TLSError) -> str:
    """What happened, the facts, and what can be done, on one line."""
    text = str(error)
    if error.step:
        text += f" [at {error.step}]"
    hint = _ABOUT_OURS.get(error.description, "") if isinstance(error, AlertReceived) else ""
    if hint := hint or error.hint:
        text += f" {hint.replace('--ca FILE', 'cafile=FILE')}"  # what the option of the command line is here
    return text if error.__cause__ is None else f"{text} The cause: {shown(repr(error.__cause__))}"


# Alerts by which a peer says what it does not like about our certificate, or that we had none.
_ABOUT_OURS: Final = {
    42: "It does not accept our certificate: not for this name, perhaps.",
    43: "It does not take certificates of this kind: see its extendedKeyUsage, and its key.",
    45: "Our certificate has expired, or the peer's clock is wrong.",
    46: "It does not like our certificate; its log says why.",
    48: "It does not trust the issuer of our certificate; or the chain that load_cert_chain was given lacks an intermediate one.",
    116: "It wants to know who we are: give the context a certificate, by load_cert_chain.",
    120: "It speaks none of the protocols that set_alpn_protocols was given.",
}


def translated(error: TLSError, server_name: str | None = None) -> ssl.SSLError:
    """``error`` as the one of ``ssl`` that a program would have seen in its place.

    ``server_name``: the name that was asked for, which OpenSSL has in its words.
    """
    result: Any
    if isinstance(error, CertificateError) and error.reason not in _NO_CERTIFICATE:
        code, message = _verdict(error, server_name)
        result = SSLCertVerificationError(
            int(ssl.SSL_ERROR_SSL),
            f"[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: {message} ({explanation(error)})",
        )
        result.reason = "CERTIFICATE_VERIFY_FAILED"
        result.verify_code, result.verify_message = code, message
    elif isinstance(error, TruncationError):
        result = _made(
            SSLEOFError,
            ssl.SSL_ERROR_EOF,
            "UNEXPECTED_EOF_WHILE_READING",
            "EOF occurred in violation of protocol",
            explanation(error),
        )
    elif isinstance(error, AlertReceived) and error.description == 0:
        result = SSLZeroReturnError(
            int(ssl.SSL_ERROR_ZERO_RETURN), f"TLS/SSL connection has been closed (EOF): {explanation(error)}"
        )
    else:
        reason = reason_of(error)
        result = _made(SSLError, ssl.SSL_ERROR_SSL, reason, _words(reason), explanation(error))
    result.handfast = error.copy()
    result.handfast.__cause__ = error.__cause__
    result.__cause__ = error.__cause__
    return result  # type: ignore[no-any-return]


def reason_of(error: TLSError) -> str:
    """OpenSSL's name for the cause, or ours."""
    if isinstance(error, AlertReceived):
        return _ALERTS.get(error.description, f"TLSV1_ALERT_{error.name.upper()}")
    if error.reason is reasons.PLAINTEXT_HTTP and str(error.evidence.get("first_bytes", "")).startswith("HTTP"):
        return "WRONG_VERSION_NUMBER"  # an answer, and no request
    if isinstance(error, NoIdentity):
        return "NO_SHARED_CIPHER"
    return _REASONS.get(error.reason, error.reason.name.upper())


_NO_CERTIFICATE: Final = (reasons.CERTIFICATE_REQUIRED, reasons.CERTIFICATE_REQUIRED_12, reasons.NO_CERTIFICATE)

# What OpenSSL calls the causes that it has too (its sslerr.h).
_REASONS: Final[dict[Reason, str]] = {
    reasons.CERTIFICATE_REQUIRED: "PEER_DID_NOT_RETURN_A_CERTIFICATE",
    reasons.CERTIFICATE_REQUIRED_12: "PEER_DID_NOT_RETURN_A_CERTIFICATE",
    reasons.NO_CERTIFICATE: "PEER_DID_NOT_RETURN_A_CERTIFICATE",
    reasons.NO_COMMON_VERSION: "UNSUPPORTED_PROTOCOL",
    reasons.VERSION_REFUSED: "TLSV1_ALERT_PROTOCOL_VERSION",
    reasons.NO_COMMON_SUITE: "NO_SHARED_CIPHER",
    reasons.NO_COMMON_GROUP: "NO_SUITABLE_GROUPS",
    reasons.NO_COMMON_SIGNATURE_SCHEME: "NO_SUITABLE_SIGNATURE_ALGORITHM",
    reasons.NOT_TLS: "WRONG_VERSION_NUMBER",
    reasons.PLAINTEXT: "WRONG_VERSION_NUMBER",
    reasons.SSLV2: "WRONG_VERSION_NUMBER",
    reasons.PLAINTEXT_HTTP: "HTTP_REQUEST",
    reasons.BAD_RECORD_MAC: "DECRYPTION_FAILED_OR_BAD_RECORD_MAC",
    reasons.RECORD_OVERFLOW: "PACKET_LENGTH_TOO_LONG",
    reasons.UNEXPECTED_RECORD: "UNEXPECTED_RECORD",
    reasons.UNEXPECTED_MESSAGE: "UNEXPECTED_MESSAGE",
    reasons.BAD_SIGNATURE: "BAD_SIGNATURE",
    reasons.BAD_FINISHED: "DIGEST_CHECK_FAILED",
    reasons.RENEGOTIATION_REFUSED: "NO_RENEGOTIATION",
}

_ALERTS: Final = {
    10: "SSLV3_ALERT_UNEXPECTED_MESSAGE",
    20: "SSLV3_ALERT_BAD_RECORD_MAC",
    22: "TLSV1_ALERT_RECORD_OVERFLOW",
    40: "SSLV3_ALERT_HANDSHAKE_FAILURE",
    42: "SSLV3_ALERT_BAD_CERTIFICATE",
    43: "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
    44: "SSLV3_ALERT_CERTIFICATE_REVOKED",
    45: "SSLV3_ALERT_CERTIFICATE_EXPIRED",
    46: "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
    47: "SSLV3_ALERT_ILLEGAL_PARAMETER",
    48: "TLSV1_ALERT_UNKNOWN_CA",
    49: "TLSV1_ALERT_ACCESS_DENIED",
    50: "TLSV1_ALERT_DECODE_ERROR",
    51: "TLSV1_ALERT_DECRYPT_ERROR",
    70: "TLSV1_ALERT_PROTOCOL_VERSION",
    71: "TLSV1_ALERT_INSUFFICIENT_SECURITY",
    80: "TLSV1_ALERT_INTERNAL_ERROR",
    86: "TLSV1_ALERT_INAPPROPRIATE_FALLBACK",
    90: "TLSV1_ALERT_USER_CANCELLED",
    100: "TLSV1_ALERT_NO_RENEGOTIATION",
    109: "TLSV13_ALERT_MISSING_EXTENSION",
    110: "TLSV1_UNSUPPORTED_EXTENSION",
    111: "TLSV1_CERTIFICATE_UNOBTAINABLE",
    112: "TLSV1_UNRECOGNIZED_NAME",
    113: "TLSV1_BAD_CERTIFICATE_STATUS_RESPONSE",
    114: "TLSV1_BAD_CERTIFICATE_HASH_VALUE",
    115: "TLSV1_ALERT_UNKNOWN_PSK_IDENTITY",
    116: "TLSV13_ALERT_CERTIFICATE_REQUIRED",
    120: "TLSV1_ALERT_NO_APPLICATION_PROTOCOL",
}

# --- why a certificate was not accepted: X509_V_ERR_... of OpenSSL's x509_vfy.h, with its words -----------------------

_CERTIFICATE_REVOKED: Final = 44  # the alert


def _verdict(error: CertificateError, server_name: str | None) -> tuple[int, str]:
    if isinstance(error, CertificateNameMismatch):
        name = server_name or str(error.evidence.get("asked_for", ""))
        if address(name) is not None:
            return 64, f"IP address mismatch, certificate is not valid for '{name}'."
        return 62, f"Hostname mismatch, certificate is not valid for '{name}'."
    if isinstance(error, UnknownIssuer):
        return _ending(error)
    if isinstance(error, CertificateUsageError):
        not_a_ca = error.reason is reasons.NOT_A_CA
        return (79, "invalid CA certificate") if not_a_ca else (26, "unsuitable certificate purpose")
    if isinstance(error, WeakCertificate):
        weak_hash = error.reason is reasons.WEAK_SIGNATURE
        return (68, "CA signature digest algorithm too weak") if weak_hash else (66, "EE certificate key too weak")
    if error.alert == _CERTIFICATE_REVOKED:
        return 23, "certificate revoked"
    for kind, code, words in _CAUSES:
        if isinstance(error, kind):
            return code, words
    rejected = error.reason is reasons.CERTIFICATE_REFUSED
    return (28, "certificate rejected") if rejected else (1, "unspecified certificate verification error")


_CAUSES: Final = (
    (CertificateExpired, 10, "certificate has expired"),
    (CertificateNotYetValid, 9, "certificate is not yet valid"),
    (BadCertificateSignature, 7, "certificate signature failure"),
)


def _ending(error: UnknownIssuer) -> tuple[int, str]:
    if isinstance(error, SelfSignedCertificate):
        return 18, "self-signed certificate"
    if error.certificate is not None and parsed(error.certificate).self_issued:
        return 19, "self-signed certificate in certificate chain"
    return 20, "unable to get local issuer certificate"


# --- settings and files -----------------------------------------------------------------------------------------------


def extended(original: ssl.SSLError, error: TLSError) -> ssl.SSLError:
    """What ssl says of a file, and after it what we say."""
    result = SSLError(original.errno, f"{original.strerror}: {explanation(error)}")
    result.reason, result.library = getattr(original, "reason", None), getattr(original, "library", None)
    result.handfast = error.copy()
    return result


def no_cipher(named: Sequence[Mapping[str, Any]]) -> SSLError:
    """A string for set_ciphers names nothing that we have.

    ``named``: what OpenSSL makes of the string, as its get_ciphers lists it.
    """
    names = ", ".join(cipher["name"] for cipher in named[:_NAMES_SHOWN]) + (" ..." if len(named) > _NAMES_SHOWN else "")
    kinds = {why_not(_KEY_EXCHANGES.get(cipher["kea"], "")) for cipher in named}
    kinds |= {why_not("CBC") for cipher in named if not cipher["aead"]}
    why = "; ".join(sorted(kinds - {""}))
    result = SSLError(f"No cipher can be selected. handfast has none of {names}{f': {why}' if why else ''}.")
    result.library = None
    return result


_NAMES_SHOWN: Final = 8
_KEY_EXCHANGES: Final = {"kx-rsa": "TLS_RSA_WITH", "kx-dhe": "_DHE_"}


# --- what callbacks raise -----------------------------------------------------------------------------------------------


class _Unraisable:
    """Gives an exception to sys.unraisablehook when it is dropped: so ``ssl`` reports what a callback raises."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __del__(self) -> None:
        raise self._error


def report(error: BaseException) -> None:
    """Tell of an exception that nobody can catch."""
    _Unraisable(error)
