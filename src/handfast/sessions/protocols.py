"""What a configuration asks of those that keep sessions and keys: the memory, a file, or a store that a fleet shares."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from handfast.sessions.external import ExternalPsk
    from handfast.sessions.session import Session


class SessionStore(Protocol):
    """A client's sessions. Called from any thread."""

    def put(self, session: Session) -> None:
        """Keep a session of ``session.server_name``. It must not raise, and not take long."""

    def forget(self, session: Session) -> None:
        """Give this one to nobody any more: a connection that stands on it has failed. It must not raise."""

    def take(self, server_name: str | None) -> Session | Awaitable[Session | None] | None:
        """The newest session with a server, which is then no longer kept if it is of TLS 1.3: its ticket is good for once."""


class TicketSealer(Protocol):
    """A server's tickets: sealed bytes that the client keeps, or names of what the server keeps. Called from any thread."""

    def seal(self, state: bytes, seconds: int) -> bytes | Awaitable[bytes | None] | None:
        """A ticket of 1 to 65535 bytes, which can be opened for so many seconds; None if there can be none now."""

    def open(self, ticket: bytes) -> bytes | Awaitable[bytes | None] | None:
        """What was sealed; None if the ticket is old, foreign or forged. It must not raise for any ticket."""


class SessionCache(Protocol):
    """A server's sessions of TLS 1.2, by session ID. Called from any thread."""

    def store(self, session_id: bytes, state: bytes, seconds: int) -> Awaitable[None] | None:
        """Keep the state of a session for so many seconds; its secret is in it."""

    def load(self, session_id: bytes) -> bytes | Awaitable[bytes | None] | None:
        """What was stored under this ID, None if it is not there any more."""


class ReplayGuard(Protocol):
    """Tells a first sending of early data from a replay, for as long and as far as the data could be sent again."""

    def admit(self, binder: bytes, seconds: float) -> bool | Awaitable[bool]:
        """Whether this binder is new; it is kept for so many seconds. False wherever that is not certain."""


class PskFinder(Protocol):
    """Finds keys from outside by their names."""

    def __call__(self, identity: bytes) -> ExternalPsk | Awaitable[ExternalPsk | None] | None:
        """The key of this name, None if there is none."""
