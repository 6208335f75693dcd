"""The exceptions that leave handfast.

::

    TLSError
    ├── ProtocolError            the handshake or the record layer went wrong
    │   ├── PeerMisbehaved       the peer broke a rule of the protocol
    │   │   ├── DecodeError      ... by bytes that do not parse (knows the field and the offset)
    │   │   └── BadRecord        ... by a record that does not decrypt or may not stand here
    │   └── PeerIncompatible     both sides are honest, and have nothing in common
    ├── CertificateError         the peer's certificate was not accepted (one subclass a cause)
    ├── AlertReceived            the peer broke off and said so
    ├── TruncationError          the peer's bytes ended without close_notify
    ├── ConnectionFailed         the transport failed: no connection, a reset
    ├── FetchFailed              what a certificate points to could not be fetched
    ├── HandshakeRefused         a callback of ours refused the handshake
    ├── KeyUnavailable           a key of ours that is kept elsewhere did not sign
    ├── HandshakeTimeout         the handshake took longer than allowed
    ├── ConfigurationError       a setting, key or file of ours is unusable; raised before any byte is sent
    └── MisuseError              the API was called in a way it does not allow

Every error carries a :class:`~handfast.reasons.Reason`, which owns the alert that is sent, the section of the RFC, a
sentence and a hint, and ``evidence``: what was offered and what came, as plain values that may be shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, ClassVar, Literal

from handfast import reasons
from handfast.reasons import Reason, alert_words

if TYPE_CHECKING:
    from typing import Self

Party = Literal["us", "peer", "nobody"]


class TLSError(Exception):
    """Anything that goes wrong in handfast.

    ``reason``    why, as an entry of the table in :mod:`handfast.reasons`
    ``evidence``  facts for the reader: plain values, never a secret
    ``sent_by``   who broke off: "us" (we sent, or would have sent, the alert), "peer", or "nobody"
    ``step``      the message that was awaited or handled when it happened (RFC name), "" where there was none

    A callback that raises one may give a text in place of the reason: it becomes the ``problem`` of the evidence.
    """

    default_reason: ClassVar[Reason] = reasons.INTERNAL_ERROR
    sent_by: Party = "us"

    def __init__(self, reason: Reason | str | None = None, /, **evidence: object) -> None:
        if isinstance(reason, str):  # which nobody here gives: it is no bug of ours
            of_theirs = reasons.REFUSED_BY_CALLBACK if self.default_reason is reasons.INTERNAL_ERROR else None
            reason, evidence = of_theirs, {"problem": reason, **evidence}
        self.reason = reason or self.default_reason
        self.evidence: dict[str, object] = evidence
        self.step = ""
        super().__init__(self.reason.sentence)

    @property
    def alert(self) -> int | None:
        """The alert that this error makes us send (RFC 9846 section 6.2), None where there is none."""
        return self.reason.alert

    @property
    def hint(self) -> str:
        """What to try; "" where there is nothing to do."""
        return self.reason.hint

    def copy(self) -> Self:
        """The same error as a new exception, without traceback, cause or context.

        A connection that failed raises a fresh copy at each later call: raising one object again and again would let
        its traceback grow, and the frames in it would keep what they hold alive.
        """
        clone = type(self).__new__(type(self))
        Exception.__init__(clone, *self.args)
        clone.__dict__.update(self.__dict__)
        clone.evidence = dict(self.evidence)
        return clone

    def __str__(self) -> str:
        return self.reason.sentence + _told(self.evidence)

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions cross process borders in test runners and worker pools; keep reason and evidence on the way.
        return (_rebuild, (type(self), self.reason.name, self.evidence, dict(self.__dict__)))


def _told(evidence: Mapping[str, object]) -> str:
    facts = "; ".join(f"{name.replace('_', ' ')}: {shown(value)}" for name, value in evidence.items())
    return f" ({facts})" if facts else ""


def _rebuild(kind: type[TLSError], name: str, evidence: Mapping[str, object], state: dict[str, object]) -> TLSError:
    error = kind.__new__(kind)
    reason = reasons.by_name(name)
    Exception.__init__(error, reason.sentence)
    error.__dict__.update(state)
    error.reason, error.evidence = reason, dict(evidence)
    return error


def _alert(name: str) -> int:
    try:
        return reasons.alerts.by_name(name)
    except KeyError:
        raise ValueError(f"there is no error alert called {name!r}") from None


def words(error: Exception) -> str:
    """What the operating system calls an error, or the error itself, or at least its kind. For evidence."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def kind_wanted(setting: str, value: object, wanted: str) -> ConfigurationError:
    """For a setting that is no ``wanted``, which would come to light in each handshake, and only there."""
    given = (
        f"the class {value.__name__} itself" if isinstance(value, type) else f"a value of type {type(value).__name__}"
    )
    return ConfigurationError(setting=setting, problem=f"has to be {wanted}, and is {given}")


def shown(value: object) -> str:
    """One piece of evidence as text on one line, with whatever a peer may have put in it made harmless.

    Control characters and everything that moves, colours or reorders text on a terminal is shown as an escape; long
    values are cut. This is the one function through which untrusted text reaches terminal, log and report.
    """
    if isinstance(value, (bytes, bytearray, memoryview)):
        text = bytes(value[:64]).hex(" ") + (" ..." if len(value) > 64 else "")
    elif isinstance(value, (list, tuple, set, frozenset)):
        text = ", ".join(shown(item) for item in value) or "nothing"
    elif isinstance(value, datetime) and value.utcoffset() == timedelta(0):
        text = f"{value:%Y-%m-%d %H:%M} UTC"
    else:
        text = str(value)
    safe = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text[:2001])
    return safe if len(safe) <= 2000 else safe[:2000] + "..."


class ProtocolError(TLSError):
    """The handshake or the record layer went wrong."""


class PeerMisbehaved(ProtocolError):
    """The peer broke a rule of the protocol."""


class DecodeError(PeerMisbehaved):
    """Bytes that do not parse. ``field`` is the RFC's name of what was read, ``offset`` where in the message."""

    default_reason = reasons.DECODE_ERROR

    def __init__(self, field: str, offset: int, reason: Reason | None = None, /, **evidence: object) -> None:
        super().__init__(reason, field=field, offset=offset, **evidence)
        self.field = field
        self.offset = offset


class BadRecord(PeerMisbehaved):
    """A record that does not decrypt, is too long, or may not stand where it stands."""

    default_reason = reasons.BAD_RECORD_MAC


class PeerIncompatible(ProtocolError):
    """Both sides are honest and have nothing in common; the evidence names what each side offered."""

    default_reason = reasons.NO_COMMON_VERSION


class CertificateError(TLSError):
    """The peer's certificate was not accepted. ``certificate`` is the DER of the one at fault, or None.

    Subclasses name the cause; the reason names the alert.
    """

    default_reason = reasons.CERTIFICATE_REFUSED

    def __init__(
        self, reason: Reason | str | None = None, /, *, certificate: bytes | None = None, **evidence: object
    ) -> None:
        super().__init__(reason, **evidence)
        self.certificate = certificate


class CertificateRefused(CertificateError):
    """For callbacks: raise it to refuse a peer, with the alert of your choice.

    ``alert``    its name (RFC 9846 section 6.2): "certificate_revoked", "access_denied", "certificate_unknown", ...
    ``problem``  why, for our own logs; the peer learns the alert alone

    Raises ValueError when no error alert has this name.
    """

    def __init__(self, alert: str = "certificate_unknown", problem: str = "", **evidence: object) -> None:
        self._alert = _alert(alert)
        super().__init__(None, certificate=None, **evidence)
        if problem:
            self.evidence["problem"] = problem

    @property
    def alert(self) -> int:
        """The alert that was chosen."""
        return self._alert


class CertificateUnreadable(CertificateError):
    """A certificate of the chain cannot be parsed."""

    default_reason = reasons.CERTIFICATE_UNREADABLE


class CertificateExpired(CertificateError):
    """A certificate of the chain is past its notAfter."""

    default_reason = reasons.CERTIFICATE_EXPIRED
    not_after: datetime

    @property
    def hint(self) -> str:
        """What to try: a root is not renewed where it is sent, but where it is trusted."""
        if self.evidence.get("position") != "trusted root":
            return self.reason.hint
        return "Trust the authority's new root, if it has one; if the dates look right, check this machine's clock."


class CertificateNotYetValid(CertificateError):
    """A certificate of the chain is before its notBefore."""

    default_reason = reasons.CERTIFICATE_NOT_YET_VALID
    not_before: datetime


class CertificateNameMismatch(CertificateError):
    """The certificate is for other names than the one asked for."""

    default_reason = reasons.CERTIFICATE_NAME_MISMATCH


class CertificateUsageError(CertificateError):
    """The certificate is for another purpose (key usage, extended key usage, basic constraints)."""

    default_reason = reasons.CERTIFICATE_WRONG_USAGE


class UnknownIssuer(CertificateError):
    """The chain ends at an issuer that is not among the trusted roots."""

    default_reason = reasons.UNKNOWN_ISSUER


class MissingIntermediate(UnknownIssuer):
    """The server left out an intermediate certificate, so the chain does not reach a root."""

    default_reason = reasons.MISSING_INTERMEDIATE


class SelfSignedCertificate(UnknownIssuer):
    """The certificate is its own issuer, and is not trusted."""

    default_reason = reasons.SELF_SIGNED_CERTIFICATE


class WeakCertificate(CertificateError):
    """A key or signature of the chain is too weak."""

    default_reason = reasons.WEAK_KEY


class UnusableKey(CertificateError):
    """A key of the chain is of a kind that TLS 1.3 has no signature scheme for."""

    default_reason = reasons.UNSUPPORTED_PUBLIC_KEY


class BadCertificateSignature(CertificateError):
    """A certificate was not signed by the key of its issuer."""

    default_reason = reasons.BAD_CERTIFICATE_SIGNATURE


class CertificateRuleBroken(CertificateError):
    """A rule of the certificate profile is broken; the evidence names the switch that relaxes this rule alone."""

    default_reason = reasons.CERTIFICATE_RULE_BROKEN

    @property
    def hint(self) -> str:
        """What to try: not every rule has a switch."""
        return self.reason.hint if "relax" in self.evidence else "Have it issued anew: no switch relaxes this rule."


class AlertReceived(TLSError):
    """The peer broke off with an alert. ``description`` is its number (RFC 9846 section 6.2)."""

    default_reason = reasons.ALERT_RECEIVED
    sent_by: Party = "peer"

    def __init__(self, description: int, name: str, reason: Reason | None = None, /, **evidence: object) -> None:
        super().__init__(reason, alert=name, **evidence)
        self.description = description
        self.name = name

    @property
    def alert(self) -> int | None:
        """The alert that came."""
        return self.description

    @property
    def meaning(self) -> str:
        """What the peer says by it."""
        return alert_words.meaning(self.description)

    @property
    def hint(self) -> str:
        """What to try: an alert says more than that there was one."""
        return self.reason.hint or alert_words.hint(self.description)

    def __str__(self) -> str:
        if self.reason is not reasons.ALERT_RECEIVED:
            return super().__str__()
        return self.reason.sentence + _told({"alert": self.name, "it means": self.meaning} | self.evidence)


class TruncationError(TLSError):
    """The peer's bytes ended without close_notify: what was read may not be all that was sent."""

    default_reason = reasons.TRUNCATED
    sent_by: Party = "peer"


class ConnectionFailed(TLSError):
    """The transport failed: no connection could be made, or it broke."""

    default_reason = reasons.CONNECTION_FAILED
    sent_by: Party = "nobody"


class FetchFailed(TLSError):
    """What a certificate points to could not be fetched; the reason says why, and the evidence from where."""

    default_reason = reasons.FETCH_FAILED
    sent_by: Party = "nobody"


class HandshakeTimeout(TLSError, TimeoutError):
    """The handshake took longer than allowed."""

    default_reason = reasons.HANDSHAKE_TIMEOUT


class ConfigurationError(TLSError, ValueError):
    """A setting, a key or a file of ours cannot be used. Raised before any byte is sent."""

    default_reason = reasons.BAD_CONFIGURATION
    sent_by: Party = "nobody"


class KeyUnavailable(TLSError):
    """A private key of ours that is kept elsewhere, in a token for example, cannot be reached or does not sign."""

    default_reason = reasons.KEY_UNAVAILABLE


class HandshakeRefused(TLSError):
    """For callbacks: raise it to refuse a handshake, with the alert of your choice; see :class:`CertificateRefused`."""

    default_reason = reasons.REFUSED_BY_CALLBACK

    def __init__(self, alert: str = "handshake_failure", problem: str = "", **evidence: object) -> None:
        self._alert = _alert(alert)
        super().__init__(None, **evidence)
        if problem:
            self.evidence["problem"] = problem

    @property
    def alert(self) -> int:
        """The alert that was chosen."""
        return self._alert


class MisuseError(TLSError, RuntimeError):
    """The API was called in a way it does not allow."""

    default_reason = reasons.MISUSE
    sent_by: Party = "nobody"
