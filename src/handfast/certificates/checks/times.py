"""Whether each certificate of a path is valid now (RFC 5280 section 4.1.2.5), and whose clock is wrong if one is not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from handfast.certificates.checks.evidence import about
from handfast.errors import CertificateExpired, CertificateNotYetValid

if TYPE_CHECKING:
    from handfast.certificates.path import Path

# Clocks that nobody sets are off by so much; who renews certificates does it days before.
SKEW: Final = timedelta(minutes=10)
# No machine that runs this can be before it. Moved on with releases; being late does no harm.
WRITTEN: Final = datetime(2026, 1, 1, tzinfo=UTC)


def check_times(path: Path, now: datetime) -> None:
    """Each certificate of the path, its root included. Raises CertificateExpired or CertificateNotYetValid."""
    for index, certificate in enumerate(path.certificates):
        if now > certificate.not_after:
            _expired(path, index, now)
        if now < certificate.not_before:
            _early(path, index, now)


def _expired(path: Path, index: int, now: datetime) -> None:
    certificate = path.certificates[index]
    late = now - certificate.not_after
    backwards = certificate.not_after < certificate.not_before
    error = CertificateExpired(
        certificate=certificate.der,
        **about(path, index),
        not_after=certificate.not_after,
        now=now,
        expired_for=lasted(late),
        **({"problem": "it ends before it begins"} if backwards else _clock_of_an_expired_one(path, late, now)),
    )
    error.not_after = certificate.not_after
    raise error


def _early(path: Path, index: int, now: datetime) -> None:
    certificate = path.certificates[index]
    wait = certificate.not_before - now
    error = CertificateNotYetValid(
        certificate=certificate.der,
        **about(path, index),
        not_before=certificate.not_before,
        now=now,
        valid_in=lasted(wait),
        **_clock_of_an_early_one(path, wait, now),
    )
    error.not_before = certificate.not_before
    raise error


def _clock_of_an_expired_one(path: Path, late: timedelta, now: datetime) -> dict[str, str]:
    if path.anchored and len(path.certificates) > 1 and all(now > item.not_after for item in path.certificates):
        return {"clock": "everything up to the trusted root would have expired: this machine's clock is probably ahead"}
    if late <= SKEW:
        return {
            "clock": f"it is only just outside: if this machine's clock is ahead by {lasted(late)} or more, that is all"
        }
    return {}


def _clock_of_an_early_one(path: Path, wait: timedelta, now: datetime) -> dict[str, str]:
    if now < WRITTEN:
        return {"clock": f"this machine's clock is wrong: it says {now:%Y-%m-%d}, and this program is younger"}
    if sum(now < item.not_before for item in path.certificates) > 1:
        return {
            "clock": "several certificates of the chain would be from the future: this machine's clock is probably behind"
        }
    if wait <= SKEW:
        sentence = (
            f"it is only just outside: it was made by a clock that is ahead of this machine's by {lasted(wait)} or more. "
            "If it is brand new, its issuer should date it back by some minutes"
        )
        return {"clock": sentence}
    return {}


_UNITS: Final = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))


def lasted(span: timedelta) -> str:
    """A span of time in its largest unit, rounded down: "1,024 days", "1 hour"."""
    seconds = int(span.total_seconds())
    for unit, size in _UNITS:
        if seconds >= size:
            return f"{seconds // size:,} {unit}{'s' * (seconds // size != 1)}"
    return "less than a second"
