"""What to try after an error: the reason's hint, and what is known about the alert or the operating system's error."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from typing import Final

from handfast.errors import AlertReceived, ConnectionFailed, TLSError
from handfast.observe import words
from handfast.reasons import ALERT_RECEIVED, CONNECTION_FAILED

_REFUSED: Final = "Nothing listens on that port, or a firewall refuses it: check the port, and that the server runs."
_NO_WAY: Final = "There is no way to that address: check the network, and whether the host has IPv4, IPv6 or both."

# By the words of the operating system, which are all that is left of the error.
_SYSTEM: Final[Mapping[str, str]] = {
    os.strerror(errno.ECONNREFUSED): _REFUSED,
    os.strerror(errno.EHOSTUNREACH): _NO_WAY,
    os.strerror(errno.ENETUNREACH): _NO_WAY,
    os.strerror(errno.EADDRNOTAVAIL): _NO_WAY,
    os.strerror(errno.EACCES): "A firewall, or a rule of this machine, forbids it.",
    os.strerror(errno.EPERM): "A firewall, or a rule of this machine, forbids it.",
}
_NAME: Final = "The name cannot be resolved: check its spelling, and the DNS of this machine."
_DNS: Final = ("name", "nodename", "resolution", "no address")


def hints(problem: TLSError) -> list[str]:
    """What to try, the likeliest first."""
    found: list[str] = []
    if isinstance(problem, AlertReceived) and problem.reason is ALERT_RECEIVED:
        found.append(words.alert_hint(problem.description))
    if isinstance(problem, ConnectionFailed) and problem.reason is CONNECTION_FAILED:
        found.append(_of_system(str(problem.evidence.get("problem", ""))))
    found = [hint for hint in found if hint]
    if not found and problem.reason.hint:
        found.append(problem.reason.hint)
    return found


def _of_system(words_of_system: str) -> str:
    known = _SYSTEM.get(words_of_system, "")
    if not known and any(word in words_of_system.lower() for word in _DNS):
        return _NAME
    return known
