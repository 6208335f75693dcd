"""How long certificates are valid: short, so that what is stolen is soon worth nothing, and renewing is a habit."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Final, Literal

from handfast.errors import ConfigurationError
from handfast.reasons import AUTHORITY_ENDED

Kind = Literal["server", "client", "both", "spiffe"]
KINDS: Final[tuple[Kind, ...]] = ("server", "client", "both", "spiffe")

ROOT: Final = timedelta(days=3650)
INTERMEDIATE: Final = timedelta(days=1095)
LEAF: Final[dict[Kind, timedelta]] = {
    "server": timedelta(days=30),
    "client": timedelta(days=30),
    "both": timedelta(days=30),
    "spiffe": timedelta(hours=24),  # whoever has SPIFFE has something that renews
}
REVOCATIONS: Final = timedelta(days=7)  # from one list to the next
ROOT_REVOCATIONS: Final = timedelta(days=365)  # as the baseline requirements have it: its key is offline
BACKDATED: Final = timedelta(minutes=5)  # clocks that are slow would refuse what has just been issued

_TEXT: Final = re.compile(r"([0-9]{1,6})(m|h|d|y)")
_UNITS: Final = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "y": timedelta(days=365)}
_LEAST, _MOST = timedelta(minutes=1), timedelta(days=100 * 365)


def known_kind(text: str) -> Kind:
    """A kind of certificate by its name. Raises ConfigurationError."""
    for kind in KINDS:
        if kind == text:
            return kind
    raise ConfigurationError(setting="kind", problem=f"no kind of certificate is called {text}", known=KINDS)


def lifetime(text: str, setting: str = "lifetime") -> timedelta:
    """From "90m", "24h", "30d" or "10y". Raises ConfigurationError."""
    found = _TEXT.fullmatch(text.strip().lower())
    value = int(found[1]) * _UNITS[found[2]] if found else timedelta(0)
    if not _LEAST <= value <= _MOST:
        raise ConfigurationError(
            setting=setting, problem=f"{text} is no time between a minute and a hundred years: 90m, 24h, 30d, 10y"
        )
    return value


def validity(
    now: datetime, length: timedelta, issuer: tuple[datetime, datetime] | None = None
) -> tuple[datetime, datetime]:
    """From and until, both inclusive: from five minutes ago, and never longer than the issuer's own.

    Raises ConfigurationError (AUTHORITY_ENDED) where the issuer is not valid now.
    """
    now = now.replace(microsecond=0)
    begin, end = now - BACKDATED, now + length
    if issuer is not None:
        if not issuer[0] <= now <= issuer[1]:
            began, ends, is_now = (f"{when:%Y-%m-%d %H:%M} UTC" for when in (*issuer, now))
            early = {"clock": "this machine's clock is behind: the authority was made later"} if now < issuer[0] else {}
            raise ConfigurationError(AUTHORITY_ENDED, valid_from=began, valid_until=ends, now=is_now, **early)
        begin, end = max(begin, issuer[0]), min(end, issuer[1])
    return begin, end
