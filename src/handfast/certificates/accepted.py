"""The chains that a verifier has accepted lately, so that the same one need not be verified for each connection.

Whether a chain is accepted depends on its bytes, the name, the trusted roots, the policy and the time. A verifier's roots
and policy never change, and here are the rest: the same bytes, for the same name, within the time in which every
certificate of the path is valid. A refusal is never remembered.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from handfast.certificates.peer import PeerIdentity
from handfast.limits import ACCEPTED_CHAIN

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from handfast.certificates.parsed import Parsed

Key = tuple[tuple[bytes, ...], str | None]


class Accepted:
    """Up to ``size`` of them; where a new one has no room, the oldest goes."""

    __slots__ = ("_found", "_lock", "_size")

    def __init__(self, size: int) -> None:
        self._size = size
        self._found: dict[Key, tuple[PeerIdentity, datetime, datetime]] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """How many are remembered."""
        return len(self._found)

    def find(self, chain: tuple[bytes, ...], server_name: str | None, now: datetime) -> PeerIdentity | None:
        """The identity that this chain has proved, if it still does."""
        entry = self._found.get((chain, server_name))
        if entry is None:
            return None
        identity, not_before, not_after = entry
        return identity if not_before <= now <= not_after else None

    def add(self, identity: PeerIdentity, path: Iterable[Parsed]) -> None:
        """Remember what was accepted; ``path`` leads from the peer's certificate to the root."""
        if not self._size or sum(map(len, identity.chain)) > ACCEPTED_CHAIN:
            return
        certificates = tuple(path)
        not_before = max(certificate.not_before for certificate in certificates)
        not_after = min(certificate.not_after for certificate in certificates)
        with self._lock:
            self._found[identity.chain, identity.server_name] = (identity, not_before, not_after)
            if len(self._found) > self._size:
                del self._found[next(iter(self._found))]
