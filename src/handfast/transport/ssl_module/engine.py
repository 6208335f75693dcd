"""What stands beneath an SSLObject and an SSLSocket: a connection of ours, with the methods that ``ssl`` calls.

The classes of ``ssl`` keep an object of OpenSSL's in ``_sslobj`` and pass each call on to it. Ours keep an
:class:`Engine` there. So everything that ``ssl`` itself does around OpenSSL (connecting, accepting, flags that are
refused, files that are sent) stays as it is in each version of Python.

An engine moves bytes in two ways, which its subclasses fill in: from and to memory (objects.py), or a socket
(sockets.py). It reads record by record, and never further, as OpenSSL does by default. So whatever comes after the peer's
close_notify stays where it is, for the program that goes on in plain text; and a program that asks select(), or the
buffer, whether there is more is told the truth.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NoReturn

from handfast.config import ASK
from handfast.connection import ClientConnection, Connection, ServerConnection
from handfast.errors import ConfigurationError, MisuseError, TLSError
from handfast.events import (
    ApplicationData,
    EarlyData,
    EarlyDataRejected,
    Handshake,
    HandshakeCompleted,
    PeerClosed,
    SessionReceived,
)
from handfast.handshake.flow import Question
from handfast.record.framing import CIPHERTEXT_LIMIT, HEADER_LENGTH
from handfast.transport.ssl_module import exceptions, facts, sessions
from handfast.transport.ssl_module.messages import tap_of
from handfast.wire.codepoints import ContentType, ProtocolVersion

if TYPE_CHECKING:
    from handfast.sessions.session import Session
    from handfast.transport.ssl_module.context import SSLContext

WRITE_SIZE = 262_144  # what one write takes at most: enough to be quick, little enough to stay in the cache
_NOTHING = memoryview(b"")
_log: Final = logging.getLogger("handfast.ssl")
_TYPES = range(ContentType.CHANGE_CIPHER_SPEC, ContentType.APPLICATION_DATA + 1)


class Engine:
    """One side of a connection. Reading and writing may go on in two threads at once.

    ``handfast``  the connection; None until the handshake begins
    ``since``     the settings that the context had when it was wrapped
    ``early_data_rejected``  a client's early data that the server has not taken, b"" for none
    """

    def __init__(
        self, context: SSLContext, server_side: bool, server_hostname: str | None, owner: object, session: object = None
    ) -> None:
        self._context = context
        self.since = context._settings()  # what the connection was wrapped with; nothing that comes later weakens it
        self.server_side = server_side
        self.server_hostname = server_hostname
        self.offered_suites: Sequence[int] = ()  # a server's: what the client offers
        self._owner = weakref.ref(owner)
        self.handfast: Connection | None = None
        self._facts: Handshake | None = None  # once the handshake is complete
        self._received = _NOTHING  # application data that read has not handed out yet
        self._pieces: list[bytes] = []  # of a record that is not whole yet
        self._missing = HEADER_LENGTH  # bytes of its header, and then of its body, that are still to come
        self._idle = False  # the connection has no event without another record
        self._unsent = _NOTHING  # sealed bytes that a socket has not taken yet
        self._peer_closed = False
        self._closed = False  # we have sent close_notify
        self._failure: ssl.SSLError | None = None  # what went wrong before there was a connection
        self._given: sessions.SSLSession | None = None  # a client's: to be resumed
        self._session: Session | None = None  # likewise, and then the newest
        self.early_data_rejected = b""
        if session is not None:
            self.session = session

    # --- what the subclasses do

    def _receive(self, size: int) -> bytes:
        """At most ``size`` bytes of what has arrived, b"" at its end. Raises SSLWantReadError where there are none."""
        raise NotImplementedError

    def _flush(self, connection: Connection) -> None:
        """Send what the connection has to say; all of it, or raises."""
        raise NotImplementedError

    def _flush_if_possible(self, connection: Connection) -> None:
        """The same for whoever reads or has failed: what cannot be sent now stays, and no exception comes of it."""
        raise NotImplementedError

    def write(self, data: Any) -> int:
        """Send some of ``data``; how many bytes were taken."""
        raise NotImplementedError

    def _feed(self, connection: Connection) -> None:
        """Give the connection the next record, once it is whole, or the end."""
        pieces = self._pieces
        while True:
            data = self._receive(self._missing)
            if not data:
                connection.receive_data(b"".join(pieces))
                connection.receive_eof()
                pieces.clear()
                return
            pieces.append(data)
            self._missing -= len(data)
            if self._missing:
                continue
            record = data if len(pieces) == 1 else b"".join(pieces)
            pieces.clear()
            if len(record) == HEADER_LENGTH and record[0] in _TYPES:
                length = record[3] << 8 | record[4]
                if 0 < length <= CIPHERTEXT_LIMIT:
                    pieces.append(record)
                    self._missing = length
                    continue
            # What is no record goes there too: the connection says what is wrong with it.
            self._missing = HEADER_LENGTH
            connection.receive_data(record)
            return

    # --- the handshake

    @property
    def owner(self) -> Any:
        """The SSLObject or SSLSocket that this belongs to, None once that is gone."""
        return self._owner()

    @property
    def context(self) -> SSLContext:
        """The context in force; a server's may be changed until it has answered the client."""
        return self._context

    @context.setter
    def context(self, context: SSLContext) -> None:
        if not isinstance(context, ssl.SSLContext):
            raise TypeError("The value must be a SSLContext")
        if not hasattr(context, "_server_config"):
            raise TypeError("The context has to be one of handfast's: this connection is not OpenSSL's")
        self._context = context

    def do_handshake(self) -> None:
        """Shake hands, or go on with that."""
        connection = self.handfast or self._begin()
        try:
            while self._facts is None:
                event = connection.next_event()
                if isinstance(event, HandshakeCompleted):
                    self._completed(event.handshake)
                    self._look_ahead(connection)
                elif isinstance(event, EarlyData):
                    raise MisuseError(problem="early data has come, and the interface of ssl has no way to take it")
                elif isinstance(event, Question):
                    _answer(event)
                    continue
                if connection.has_data_to_send or self._unsent:
                    self._flush(connection)
                if event is None:
                    self._feed(connection)
            if self._unsent:  # a socket took only a part of the last flight
                self._flush(connection)
        except TLSError as error:
            if self.server_side and self._facts is None:  # asyncio drops the exception of a server, and its alert too
                _log.info("handshake failed: %s", exceptions.explanation(error))
            self._fail(connection, error)

    def _completed(self, agreed: Handshake) -> None:
        self._facts = agreed
        self._context._completed(agreed, self.server_side)

    def _look_ahead(self, connection: Connection) -> None:
        """What came of a client's early data, and the session of TLS 1.2, are known with the end of the handshake.

        There is nothing else yet: data would be in another record, and one is read at a time.
        """
        if not self._facts or not self._facts.resumed:
            self._session = None  # it was not taken
        while not self.server_side and (event := connection.next_event()) is not None:
            self._note(event)

    def _note(self, event: object) -> None:
        """News that are no data."""
        if isinstance(event, SessionReceived):
            self._session = event.session
        elif isinstance(event, EarlyDataRejected):
            self.early_data_rejected = event.data

    def _begin(self) -> Connection:
        """Make the connection, with what the context says now."""
        if self._failure is not None:
            raise self._failure
        context = self._context
        try:
            connection: Connection
            tap = tap_of(self)
            if self.server_side:
                connection = ServerConnection(context._server_config(self), tap=tap)
            else:
                config, name = context._client_config(self.server_hostname, self.since)
                early = getattr(self.owner, "handfast_early_data", b"")
                connection = ClientConnection(
                    config, server_name=name, session=self._session, early_data=early, tap=tap
                )
        except ConfigurationError as error:
            # Kept: a program that asks again hears the same, as it would of a connection.
            self._failure = exceptions.translated(error)
            self._failure.reason = context._why_unusable(self.since) or self._failure.reason
            raise self._failure from None
        context._count("accept" if self.server_side else "connect")
        self.handfast = connection
        connection.start()
        return connection

    def _fail(self, connection: Connection, error: TLSError) -> NoReturn:
        """The connection has failed: tell the peer, and the caller by an exception of ssl."""
        if connection.has_data_to_send:
            self._flush_if_possible(connection)
        raise exceptions.translated(error, self.server_hostname) from error.__cause__

    def _ready(self) -> Connection:
        """The connection, after the handshake: reading and writing begin with it where nobody has done it before."""
        if self._facts is None:
            self.do_handshake()
        assert self.handfast is not None
        return self.handfast

    # --- reading

    def read(self, size: int = 1024, buffer: Any = None) -> Any:
        """At most ``size`` bytes, b"" once the peer has closed; or their number, where they go into ``buffer``."""
        if buffer is not None:
            return self._read_into(size, buffer)
        if size < 0:
            raise ValueError("size should not be negative")
        if not size or not (self._received or self._fill()):
            return b""
        received = self._received
        if size >= len(received):
            self._received = _NOTHING
            whole = received.obj
            return whole if type(whole) is bytes and len(whole) == len(received) else bytes(received)
        self._received = received[size:]
        return bytes(received[:size])

    def _read_into(self, size: int, buffer: Any) -> int:
        with memoryview(buffer) as target, target.cast("B") as view:
            room = len(view)
            if not 0 < size <= room:
                size = room
            if not size or not (self._received or self._fill()):
                return 0
            received = self._received
            count = min(size, len(received))
            view[:count] = received[:count]
            self._received = received[count:] if count < len(received) else _NOTHING
            return count

    def _fill(self) -> bool:
        """Have data ready to be read; False after the peer's close_notify. Raises SSLWantReadError where none is there."""
        connection = self._ready()
        if self._peer_closed:
            if self._closed:
                raise exceptions.zero_return()
            return False
        try:
            while True:
                event = None if self._idle else connection.next_event()
                if isinstance(event, ApplicationData):
                    self._received = memoryview(event.data)
                    self._idle = True  # one record was read, and this was it
                    return True
                if isinstance(event, PeerClosed):
                    self._peer_closed = True
                    if self._closed:
                        raise exceptions.zero_return()
                    return False
                self._note(event)
                if connection.has_data_to_send:
                    self._flush_if_possible(connection)
                if event is None:
                    self._idle = True  # also where there is nothing to feed it with
                    self._feed(connection)
                    self._idle = False
        except TLSError as error:
            self._fail(connection, error)

    def pending(self) -> int:
        """How many bytes a read gives at once."""
        return len(self._received)

    # --- writing

    def _seal(self, connection: Connection, data: Any) -> None:
        """Protect application data; what comes of it is sent by the caller."""
        if self._closed:
            raise exceptions.failure("PROTOCOL_IS_SHUTDOWN", "We have said that we shall send nothing more.")
        try:
            connection.send(data)
        except MisuseError as error:
            raise exceptions.failure("PROTOCOL_IS_SHUTDOWN", exceptions.explanation(error)) from None
        except TLSError as error:
            self._fail(connection, error)

    # --- the end

    def shutdown(self) -> Any:
        """Say that we shall send nothing more, and wait until the peer has said so; the socket, which is plain again."""
        connection = self.handfast
        if self._facts is None or connection is None:
            raise exceptions.failure("SHUTDOWN_WHILE_IN_INIT", "The handshake is not complete.")
        if not self._closed:
            self._closed = True
            connection.close()
        try:
            if connection.has_data_to_send or self._unsent:
                self._flush(connection)
            while not self._peer_closed:
                event = None if self._received else connection.next_event()
                if self._received or isinstance(event, ApplicationData):
                    problem = "The peer had sent more, which was not read before."
                    raise exceptions.failure("APPLICATION_DATA_AFTER_CLOSE_NOTIFY", problem)
                if isinstance(event, PeerClosed):
                    self._peer_closed = True
                elif event is None:
                    self._feed(connection)
                else:
                    self._note(event)
        except TLSError as error:
            self._fail(connection, error)
        return self._plain()

    def _plain(self) -> Any:
        """What shutdown returns."""
        return None

    # --- facts

    @property
    def _agreed(self) -> Handshake | None:
        return self._facts

    def getpeercert(self, binary_form: bool = False) -> Any:
        """The peer's certificate: DER, or a dictionary, which is empty where the certificate was not verified."""
        agreed = self._agreed
        if agreed is None:
            raise ValueError("handshake not done yet")
        if agreed.peer is None:
            return None
        if binary_form:
            return agreed.peer.chain[0]
        return {} if agreed.peer.verified_by == "nothing" else facts.certificate(agreed.peer.chain[0])

    def get_unverified_chain(self) -> list[facts.Certificate] | None:
        """The certificates as the peer sent them; None if it sent none."""
        agreed = self._agreed
        if agreed is None or agreed.peer is None:
            return None
        return [facts.Certificate(der) for der in agreed.peer.chain]

    def get_verified_chain(self) -> list[facts.Certificate] | None:
        """The path up to the trusted root; without verification what the peer sent."""
        agreed = self._agreed
        if agreed is None or agreed.peer is None:
            return None
        return [facts.Certificate(der) for der in agreed.peer.path or agreed.peer.chain]

    def cipher(self) -> tuple[str, str, int] | None:
        """Name, version and bits of the suite in use, None before the handshake."""
        return None if self._agreed is None else facts.cipher_of(self._agreed.cipher_suite)

    def shared_ciphers(self) -> list[tuple[str, str, int]] | None:
        """A server's: the suites that both sides have, in the client's order."""
        if self._agreed is None or not self.server_side:
            return None
        return facts.shared(self.offered_suites, self._context._suites_in_force())

    def version(self) -> str | None:
        """The version of TLS, "TLSv1.3" or "TLSv1.2"; None before the handshake."""
        return None if self._agreed is None else self._agreed.version

    def selected_alpn_protocol(self) -> str | None:
        """The application protocol that was agreed on."""
        return None if self._agreed is None else self._agreed.alpn

    def compression(self) -> None:
        """TLS 1.3 has no compression, and no TLS 1.2 should (RFC 9325 section 3.3)."""

    def get_channel_binding(self, cb_type: str = "tls-unique") -> bytes | None:
        """What ties an authentication to this connection; None where this version of TLS has none of the kind."""
        if cb_type not in facts.CHANNEL_BINDING_TYPES:
            raise ValueError(f"{cb_type!r} channel binding type not implemented")
        if self._facts is None or self.handfast is None:
            return None
        try:
            return self.handfast.channel_binding(cb_type)
        except MisuseError:
            return None  # tls-unique is not defined for TLS 1.3 (RFC 9266 section 3)
        except TLSError as error:
            raise exceptions.translated(error) from None

    @property
    def session(self) -> sessions.SSLSession | None:
        """A client's session, None before the handshake: the newest that the server gave, or the one that was resumed.

        In TLS 1.3 it comes after the handshake, and is seen by the first read; until then what is here cannot be resumed.
        """
        if self._facts is None or self.handfast is None or self.server_side:
            return None
        now = self.handfast.clock.wall().timestamp()
        return sessions.SSLSession(self._context, self._session, now, self._given)

    @session.setter
    def session(self, session: object) -> None:
        shaking = self.handfast is not None
        self._given = given = sessions.checked(session, self._context, self.server_side, shaking)
        self._session = given.resumable

    @property
    def session_reused(self) -> bool:
        """Whether the handshake resumed an earlier session."""
        return self._facts is not None and self._facts.resumed

    def verify_client_post_handshake(self) -> None:
        """Ask the client for a certificate now. Nothing is to be done where it has given one; else this is refused."""
        if not self.server_side:
            raise exceptions.failure("NOT_SERVER", "A client cannot ask for a certificate.")
        agreed = self._agreed
        if agreed is not None and agreed.version != ProtocolVersion.name(ProtocolVersion.TLS_1_3):
            raise exceptions.failure(
                "WRONG_SSL_VERSION", f"{agreed.version} has no authentication after the handshake."
            )
        if agreed is None or agreed.peer is None:
            raise exceptions.failure(
                "EXTENSION_NOT_RECEIVED",
                "handfast asks for client certificates within the handshake alone: set verify_mode before it.",
            )


def _answer(question: Question) -> None:
    """A question that was not answered inline. The interface of ssl cannot wait for an event loop."""
    if question.awaitable is None:
        question.refuse(MisuseError(problem=f"{ASK!r} needs an application that pulls events itself"))
        return
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        try:
            answer = asyncio.run(_awaited(question.awaitable))
        except Exception as error:
            question.refuse(error)
        else:
            question.answer(answer)
    else:
        close = getattr(question.awaitable, "close", None)
        if close is not None:
            close()
        question.refuse(
            MisuseError(problem="an asynchronous callback cannot be awaited within ssl's interface; use handfast.aio")
        )


async def _awaited(awaitable: Any) -> object:
    return await awaitable


def check_name(server_hostname: str | None, server_side: bool) -> None:
    """What ssl refuses of a name."""
    if server_hostname is None:
        return
    if "\0" in server_hostname:
        raise TypeError("argument must be encoded string without null bytes, not str")
    if not server_hostname or server_hostname.startswith("."):
        raise ValueError("server_hostname cannot be an empty string or start with a leading dot.")
    if server_side:
        raise ValueError("server_hostname can only be specified in client mode")
