"""The implementations that the bench compares, each in a file of its own with the same three functions.

What makes the comparison fair, for all of them alike:

- Contexts, certificates and trusted roots are loaded before the clock starts; connections are new in each handshake.
- TLS 1.3 and TLS_AES_256_GCM_SHA384 only, one group, no resumption and no tickets but where these are what is compared;
  where TLS 1.2 is, the suite with the same AEAD. What a peer cannot switch off is
  named in its file.
- The client verifies the chain up to the root, the times and the name of the server, in each handshake anew; where it
  would remember the verdict by itself, a scenario of its own shows that. What a peer does not do of this is
  named in its file.
- Bytes cross in memory, and a flight is handed over whole. Data comes out in whatever form the peer's usual call gives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from bench.credentials import Credentials

X25519 = "X25519"
HYBRID = "X25519MLKEM768"


@dataclass(frozen=True, slots=True)
class Task:
    """Something to time: ``run`` does ``amount`` handshakes, or carries that many bytes or records; ``end`` ends it."""

    run: Callable[[], object]
    amount: float = 1
    end: Callable[[], object] = lambda: None


class Unavailable(Exception):
    """This peer cannot do this; the text says why."""


class Peer(Protocol):
    """What each file here has, as functions of the module."""

    def handshake(
        self, credentials: Credentials, group: str, *, mutual: bool = False, again: bool = False, tls12: bool = False
    ) -> Task:
        """A full handshake. Raises Unavailable.

        ``mutual``  with a certificate of the client
        ``tls12``   in TLS 1.2, with TLS_ECDHE_*_WITH_AES_256_GCM_SHA384
        ``again``   the client has accepted the server's chain before, and may remember that if it does so by default
        """

    def bulk(self, credentials: Credentials, total: int, write: int) -> Task:
        """``total`` bytes from client to server in writes of ``write`` bytes, each carried and read before the next."""

    def records(self, credentials: Credentials, count: int, size: int) -> Task:
        """``count`` records of ``size`` bytes from client to server, each carried and read before the next."""


def resumption_of(peer: Peer, credentials: Credentials, *, tls12: bool = False) -> Task:
    """A handshake that resumes a session by a ticket, and gets what the server gives then. Raises Unavailable."""
    make = getattr(peer, "resumption", None)
    if make is None:
        raise Unavailable("resumption is compared with ssl alone")
    task: Task = make(credentials, tls12=tls12)
    return task


def streams_of(peer: Peer, credentials: Credentials) -> Any:
    """The peer's asyncio streams (bench.streams.Library). Raises Unavailable where it has none."""
    make = getattr(peer, "streams", None)
    if make is None:
        raise Unavailable("it has no streams for asyncio")
    return make(credentials)


def verification_of(peer: Peer, chains: Sequence[Credentials]) -> Task:
    """The verification of each of these chains up to its root, for its time and its name. Raises Unavailable.

    Certificates come as DER. Roots are loaded before, and whatever a peer keeps of a certificate may be kept; the verdict
    itself is not.
    """
    make = getattr(peer, "verification", None)
    if make is None:
        raise Unavailable("it verifies chains in handshakes alone")
    task: Task = make(chains)
    return task
