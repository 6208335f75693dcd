"""What a handshake script may ask for (see docs/architecture.md).

A script is a generator. It yields what it waits for, and its connection sends the answer in::

    extensions = yield from expect(EncryptedExtensions)      # the next message
    signature = yield Sign(identity, scheme, content)        # a question

A question whose answer takes time leaves the connection as an event; see :class:`Question`.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from datetime import datetime

    from handfast.certificates.identity import Identity
    from handfast.certificates.peer import PeerIdentity
    from handfast.wire.hello import ClientHello
    from handfast.wire.messages12 import CertificateRequest12
    from handfast.wire.messages13 import CertificateRequest


class Message(Protocol):
    """A handshake message; the classes are in handfast.wire."""

    TYPE: ClassVar[int]
    NAME: ClassVar[str]
    raw: bytes

    @classmethod
    def parse(cls, raw: bytes) -> Any:
        """Read a whole message."""


M = TypeVar("M", bound=Message)
N = TypeVar("N", bound=Message)


class Expect:
    """The next message has to be of one of these classes; the connection refuses any other before it is parsed.

    ``by_type``  the classes, by HandshakeType
    ``names``    the RFC's names of the messages
    """

    __slots__ = ("by_type", "names")

    def __init__(self, *classes: type[Message]) -> None:
        self.by_type = {kind.TYPE: kind for kind in classes}
        self.names = " or ".join(kind.NAME for kind in classes)


_expectation = cache(Expect)  # there are a handful, and each handshake needs them all


class _Reply(Protocol):
    def __call__(self, question: Question, value: object, error: BaseException | None) -> None: ...


@dataclass(slots=True, eq=False)
class Question:
    """Something a script cannot know by itself. One is open at a time.

    Where the answer is at hand (a local key, a local verifier) the connection answers inline. Where it is not, the
    question is an event: call :meth:`answer` or :meth:`refuse`, now or later, then go on pulling events. An answer
    that comes after the connection has failed or closed is ignored.

    ``awaitable``  what a callback returned that has to be awaited first; None if the application is to find the answer
    """

    NAME: ClassVar[str] = ""
    awaitable: Awaitable[Any] | None = field(default=None, init=False, repr=False)
    _reply: _Reply | None = field(default=None, init=False, repr=False)

    def answer(self, value: object) -> None:
        """Give the answer; what it has to be is said at each question."""
        if self._reply is not None:
            self._reply(self, value, None)

    def refuse(self, error: BaseException | None = None) -> None:
        """Refuse to answer: the handshake fails, with ``error`` where that is a TLSError."""
        from handfast.errors import TLSError
        from handfast.reasons import REFUSED_BY_CALLBACK

        if self._reply is not None:
            self._reply(self, None, error or TLSError(REFUSED_BY_CALLBACK, question=self.NAME))


@dataclass(slots=True, eq=False)
class Sign(Question):
    """Sign ``content`` with the identity's key. Answer: the signature, bytes."""

    NAME: ClassVar[str] = "Sign"
    identity: Identity
    scheme: int
    content: bytes = field(repr=False)


@dataclass(slots=True, eq=False)
class VerifyPeer(Question):
    """Is this chain the peer's? Answer: a PeerIdentity, which only verifying code can make.

    ``chain``        DER, as sent, the peer's own certificate first
    ``now``          the time to check against
    ``role``         what the peer is, "server" or "client"
    ``server_name``  the name that a server's certificate has to be for
    """

    NAME: ClassVar[str] = "VerifyPeer"
    chain: tuple[bytes, ...] = field(repr=False)
    now: datetime
    role: Literal["server", "client"]
    server_name: str | None = None


@dataclass(slots=True, eq=False)
class CheckPeer(Question):
    """The peer is who it says it is: is it welcome? Answer: None; a TLSError in a refusal names the alert."""

    NAME: ClassVar[str] = "CheckPeer"
    peer: PeerIdentity


@dataclass(slots=True, eq=False)
class ReviewClientHello(Question):
    """A client wants to connect. Answer: the ServerConfig to use for it, or None to keep the one there is."""

    NAME: ClassVar[str] = "ReviewClientHello"
    client_hello: ClientHello


@dataclass(slots=True, eq=False)
class ChooseIdentity(Question):
    """Who are we for this client? Answer: an Identity, or None to choose among those of the configuration."""

    NAME: ClassVar[str] = "ChooseIdentity"
    client_hello: ClientHello


@dataclass(slots=True, eq=False)
class ChooseClientIdentity(Question):
    """The server asks who we are. Answer: an Identity, or None for no certificate."""

    NAME: ClassVar[str] = "ChooseClientIdentity"
    request: CertificateRequest | CertificateRequest12


@dataclass(slots=True, eq=False)
class LoadSession(Question):
    """Is there a session to resume with this server? Answer: a Session, or None."""

    NAME: ClassVar[str] = "LoadSession"
    server_name: str | None


@dataclass(slots=True, eq=False)
class FindPsk(Question):
    """Which pre-shared key has this name? Answer: an ExternalPsk, or None."""

    NAME: ClassVar[str] = "FindPsk"
    identity: bytes


@dataclass(slots=True, eq=False)
class OpenTicket(Question):
    """What is in this ticket of ours? Answer: the bytes that were sealed; None for one that is old, foreign or forged."""

    NAME: ClassVar[str] = "OpenTicket"
    ticket: bytes = field(repr=False)


@dataclass(slots=True, eq=False)
class LoadState(Question):
    """Which session has this ID (TLS 1.2)? Answer: the bytes that were stored, or None."""

    NAME: ClassVar[str] = "LoadState"
    session_id: bytes


@dataclass(slots=True, eq=False)
class StoreState(Question):
    """Keep a session under its ID for so many seconds (TLS 1.2). Answer: None."""

    NAME: ClassVar[str] = "StoreState"
    session_id: bytes
    state: bytes = field(repr=False)
    seconds: int


@dataclass(slots=True, eq=False)
class SealTicket(Question):
    """Seal what a session is. Answer: a ticket of 1 to 65535 bytes; None to give the client none.

    ``seconds``  how long it has to be possible to open it
    """

    NAME: ClassVar[str] = "SealTicket"
    state: bytes = field(repr=False)
    seconds: int


@dataclass(slots=True, eq=False)
class AdmitEarlyData(Question):
    """Is this ClientHello the first of its kind? Answer: True if its early data may be taken (RFC 9846 section 8).

    ``binder``   of the pre-shared key, which nobody else could have made, and which is the same in every copy
    ``seconds``  for how long a copy has to be recognised
    """

    NAME: ClassVar[str] = "AdmitEarlyData"
    binder: bytes = field(repr=False)
    seconds: float


Request = Expect | Question
T = TypeVar("T")
Flow = Generator[Request, Any, T]


def expect(wanted: type[M]) -> Flow[M]:
    """Wait for the next message, which has to be a ``wanted``."""
    message: M = yield _expectation(wanted)
    return message


def expect_either(first: type[M], second: type[N]) -> Flow[M | N]:
    """Wait for the next message, which has to be one of two."""
    message: M | N = yield _expectation(first, second)
    return message
