"""The talk before TLS: bytes in, bytes out, until the server agrees, or an error. No socket, no clock.

A protocol's script is a generator. It says something with ``talk.say``, and waits with ``yield from talk.line()``, or
another of the methods that read. When it returns the handshake may begin: with the very next byte, in both directions.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import ClassVar, Final, NoReturn, TypeVar

from handfast.errors import (
    ConnectionFailed,
    HandshakeTimeout,
    MisuseError,
    PeerIncompatible,
    PeerMisbehaved,
    TLSError,
)
from handfast.reasons import (
    STARTTLS_CLOSED,
    STARTTLS_GARBLED,
    STARTTLS_INJECTED,
    STARTTLS_NOT_OFFERED,
    STARTTLS_REFUSED,
    STARTTLS_TIMEOUT,
    STARTTLS_TOO_LONG,
)

LINE: Final = 8_192
"""Bytes of one line, packet or XML tag. IMAP recommends that much (RFC 7162 section 4), all others have less."""

RECEIVED: Final = 65_536
"""Bytes of a whole talk, the go-ahead included. Real servers need less than 2,000."""

SAID: Final = 256
"""Lines, packets or XML elements of a whole talk: to keep a short line costs more than its bytes."""

_SHOWN: Final = 300  # characters of an answer that become evidence

T = TypeVar("T")
Script = Generator[None, None, T]
"""A part of a script: it yields where more bytes are needed."""


@dataclass(frozen=True, slots=True)
class Said:
    """One thing that was said before TLS, in plain text: nobody vouches for it.

    ``sent``  whether it was us
    ``data``  the bytes
    ``text``  what they mean, or their text; whoever shows it has to escape it, as with errors.shown
    """

    sent: bool
    data: bytes
    text: str


class Protocol:
    """How one application protocol gets to TLS. Its settings are the parameters of the constructor.

    ``name``   what ``starttls=`` and ``--starttls`` call it
    ``title``  what people call it
    ``port``   where its servers listen, if nobody says otherwise
    ``alpn``   what to offer by ALPN where the configuration has nothing
    """

    name: ClassVar[str]
    title: ClassVar[str]
    port: ClassVar[int]
    alpn: ClassVar[tuple[str, ...]] = ()

    def script(self, talk: Talk) -> Script[None]:
        """The client's side of it, up to where the first byte of TLS is due."""
        raise NotImplementedError


class Talk:
    """What a script has in its hands: the bytes that came, and those that go."""

    def __init__(self, protocol: Protocol, server_name: str, listener: Callable[[Said], None] | None) -> None:
        self.server_name = server_name
        self.said: list[Said] = []
        self.held = bytearray()  # came and not read yet
        self.unsent = bytearray()
        self._title = protocol.title
        self._listener = listener
        self._searched = 0

    # --- speaking

    def say(self, data: bytes, text: str = "") -> None:
        """Send something, when everything that came has been read: no answer can come before its question.

        ``text`` is what it means, where that is not to be seen.
        """
        self.finish()
        self.unsent += data
        self._note(True, data, text)

    def finish(self) -> None:
        """Nothing may be left that nobody has asked for: somebody may have put it there (CVE-2021-38371)."""
        if self.held:
            raise self.injected(bytes(self.held))

    def _note(self, sent: bool, data: bytes, text: str = "") -> None:
        said = Said(sent, data, text or readable(data))
        self.said.append(said)
        if self._listener is not None:
            self._listener(said)

    # --- listening

    def line(self) -> Script[bytes]:
        """The next line, without its end."""
        return (yield from self.until(b"\n")).rstrip(b"\r\n")

    def until(self, end: bytes, *, aloud: bool = True) -> Script[bytes]:
        """Everything up to this byte, which is part of it. If not ``aloud`` the script calls :meth:`heard` itself."""
        while (at := self.held.find(end, self._searched)) < 0:
            self._searched = len(self.held)
            if len(self.held) >= LINE:
                raise self.too_long()
            yield
        data = self._take(at + 1)
        if aloud:
            self.heard(data)
        return data

    def exactly(self, length: int, text: Callable[[bytes], str] | None = None) -> Script[bytes]:
        """So many bytes; ``text`` says what they mean."""
        if length > LINE:
            raise self.too_long()
        while len(self.held) < length:
            yield
        data = self._take(length)
        self.heard(data, text(data) if text else "")
        return data

    def peek(self, length: int) -> Script[bytes]:
        """The next bytes, which stay there."""
        while len(self.held) < length:
            yield
        return bytes(self.held[:length])

    def heard(self, data: bytes, text: str = "") -> None:
        """Note what the server has said; ``text`` is what it means, where that is not to be seen."""
        if len(self.said) >= SAID:
            raise self.too_long()
        self._note(False, data, text)

    def _take(self, length: int) -> bytes:
        if length > LINE:
            raise self.too_long()
        data = bytes(self.held[:length])
        del self.held[:length]
        self._searched = 0
        return data

    # --- what can go wrong

    def not_offered(self, **evidence: object) -> PeerIncompatible:
        """The error where the server has nothing of the kind."""
        return PeerIncompatible(STARTTLS_NOT_OFFERED, **self.evidence(**evidence))

    def refused(self, answer: bytes | str) -> PeerIncompatible:
        """The error where the server has said no."""
        error = PeerIncompatible(STARTTLS_REFUSED, **self.evidence(answer=brief(answer)))
        error.sent_by = "peer"
        return error

    def garbled(self, answer: bytes | str, expected: str) -> PeerMisbehaved:
        """The error where the server speaks something else."""
        return PeerMisbehaved(STARTTLS_GARBLED, **self.evidence(expected=expected, answer=brief(answer)))

    def too_long(self) -> PeerMisbehaved:
        """The error where the server does not come to an end."""
        return PeerMisbehaved(STARTTLS_TOO_LONG, **self.evidence(first_bytes=bytes(self.held[:16])))

    def injected(self, data: bytes) -> PeerMisbehaved:
        """The error where something came that nobody had asked for."""
        return PeerMisbehaved(STARTTLS_INJECTED, **self.evidence(bytes=len(data), first_bytes=data[:64]))

    def evidence(self, **more: object) -> dict[str, object]:
        """The protocol, what we have said last, and more."""
        ours = [said.text for said in self.said if said.sent]
        return {"protocol": self._title, **({"we_said": brief(ours[-1])} if ours else {}), **more}

    def last_answer(self) -> dict[str, object]:
        """What the server has said last, if it has said anything."""
        theirs = [said.text for said in self.said if not said.sent]
        return {"last_answer": brief(theirs[-1])} if theirs else {}


class Dialogue:
    """One talk before TLS, from the client's side.

    ::

        dialogue = Dialogue("smtp", server_name="mail.example.com")
        while not dialogue.done:
            sock.sendall(dialogue.data_to_send())
            dialogue.receive_data(sock.recv(4096))  # b"" at the end

    ``said``  what has been said so far, by both sides. It came in plain text: what it tells has to be asked again under
              protection, and believed only then

    A dialogue is for one connection. After a TLSError it is over.
    """

    def __init__(
        self,
        protocol: Protocol | str,
        server_name: str | None = None,
        on_said: Callable[[Said], None] | None = None,
    ) -> None:
        """A talk in a protocol, or in that of this name.

        ``server_name``  for the protocols that say it; connect fills it in if it is None
        ``on_said``      called with each thing that is said
        """
        self.protocol = protocol if isinstance(protocol, Protocol) else named(protocol)
        self.server_name = server_name
        self.seconds: float | None = None
        self.done = False
        self._on_said = on_said
        self._talk: Talk | None = None
        self._script: Script[None] | None = None
        self._received = 0
        self._failure: TLSError | None = None

    @property
    def said(self) -> list[Said]:
        """See the class."""
        return [] if self._talk is None else list(self._talk.said)

    def start(self, server_name: str = "", seconds: float | None = None) -> None:
        """Begin, for a server of this name if none was given before. Raises MisuseError if it has begun already.

        ``seconds``  how long it may take, None for no limit: whoever runs it calls :meth:`handle_timeout` then
        """
        if self._script is not None:
            raise MisuseError(problem="a dialogue is for one connection, and this one has begun")
        self.server_name = server_name if self.server_name is None else self.server_name
        self.seconds = seconds
        self._talk = Talk(self.protocol, self.server_name, self._on_said)
        self._script = self.protocol.script(self._talk)
        self._step()

    def data_to_send(self) -> bytes:
        """What has to be sent now; b"" if it is the server's turn."""
        talk = self._begun()
        data = bytes(talk.unsent)
        talk.unsent.clear()
        return data

    def receive_data(self, data: bytes) -> None:
        """Bytes from the server; b"" where it has closed. :attr:`done` says whether the handshake may begin.

        Raises PeerIncompatible (STARTTLS_NOT_OFFERED, STARTTLS_REFUSED), PeerMisbehaved (STARTTLS_GARBLED,
        STARTTLS_TOO_LONG, STARTTLS_INJECTED) or ConnectionFailed (STARTTLS_CLOSED).
        """
        talk = self._begun()
        if self.done:
            raise MisuseError(problem="this is for the handshake: the talk before it is over")
        if not data:
            self._fail(ConnectionFailed(STARTTLS_CLOSED, **talk.evidence(**talk.last_answer())))
        room = RECEIVED - self._received
        self._received += len(data)
        talk.held += data[:room]
        over = self._step()
        if len(data) > room:  # where the script is over, what fitted ended with the go-ahead
            self._fail(talk.injected(data[room:]) if over else talk.too_long())

    def handle_timeout(self) -> NoReturn:
        """The time is over. Raises HandshakeTimeout (STARTTLS_TIMEOUT)."""
        talk = self._begun()
        self._fail(HandshakeTimeout(STARTTLS_TIMEOUT, **talk.evidence(**talk.last_answer(), seconds=self.seconds)))

    def _begun(self) -> Talk:
        if self._script is None:
            self.start()
        if self._failure is not None:
            raise self._failure.copy()
        assert self._talk is not None
        return self._talk

    def _step(self) -> bool:
        """Let the script go on with what there is now; whether it is over."""
        assert self._script is not None and self._talk is not None
        try:
            next(self._script)
        except StopIteration:
            self._finish(self._talk)
        except TLSError as error:
            self._fail(error)
        return self.done

    def _finish(self, talk: Talk) -> None:
        """The server has agreed. From here on every byte is for TLS: what has come already cannot be (CVE-2011-0411)."""
        try:
            talk.finish()
        except TLSError as error:
            self._fail(error)
        self.done = True

    def _fail(self, error: TLSError) -> NoReturn:
        if self._script is not None:
            self._script.close()
        self.done = False
        self._failure = error.copy()
        raise error from None


def readable(data: bytes) -> str:
    """Bytes as text, whatever they are."""
    return data.decode("utf-8", "backslashreplace").rstrip("\r\n")


def brief(answer: bytes | str) -> str:
    """An answer as evidence: its beginning."""
    text = readable(answer) if isinstance(answer, bytes) else answer
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def named(name: str) -> Protocol:
    """The protocol of this name, with its usual settings. Raises ConfigurationError if there is none."""
    from handfast.transport.starttls.protocols import protocol

    return protocol(name)
