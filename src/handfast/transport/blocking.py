"""TLS over blocking sockets, for programs with threads.

::

    with connect("example.com", 443) as tls:
        tls.sendall(b"...")
        data = tls.recv(4096)

One thread may read while another one writes. A timeout of a read loses nothing: the next read goes on. After a timeout
of a write the rest of what was sealed goes out with the next write, so the stream stays whole.

Early data has a way of its own, in both directions, since anybody who has recorded it can send it again (RFC 9846 section
8): a client passes it as ``early_data``, and gets back in ``early_data_rejected`` what was not taken; a server has it from
:meth:`TLSSocket.early_data` or ``on_early_data``, and never from ``recv``.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import socket
import threading
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Self

from handfast import limits
from handfast.config import ASK, ClientConfig, ServerConfig
from handfast.connection import ClientConnection, Connection, Event, ServerConnection, Tap
from handfast.errors import ConfigurationError, ConnectionFailed, MisuseError, TLSError, words
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
from handfast.reasons import CONNECT_TIMEOUT, RESET
from handfast.transport.below import READ_SIZE, below
from handfast.transport.files import RawFile

if TYPE_CHECKING:
    from handfast.sessions.session import Session
    from handfast.transport.proxy import Proxy
    from handfast.transport.starttls.running import Starttls

_WRITE_SIZE = 262_144  # what is sealed at once: enough to be quick, little enough to stay in the cache


EarlyDataHandler = Callable[["TLSSocket", bytes], None]
"""Called on a server with each piece of early data, while hands are still being shaken; it may answer by sendall."""


def connect(  # noqa: PLR0913  (each is a choice of its own)
    host: str,
    port: int = 443,
    *,
    config: ClientConfig | None = None,
    server_name: str | None = None,
    timeout: float | None = 10.0,
    tap: Tap | None = None,
    proxy: Proxy | str | None = None,
    starttls: Starttls | None = None,
    session: Session | None = None,
    early_data: bytes = b"",
    on_session: Callable[[Session], None] | None = None,
) -> TLSSocket:
    """Connect to a server and shake hands.

    ``server_name``  the name that the server has to prove; the host's by default
    ``timeout``      seconds for the TCP connection; the handshake's are in the configuration
    ``proxy``        what to connect through: a URL or a handfast.Proxy, see handfast.transport.proxy; "environment" is
                     what HTTPS_PROXY, ALL_PROXY and NO_PROXY say. By default these are not looked at
    ``starttls``     the protocol that is spoken before TLS, such as "smtp": see handfast.transport.starttls. It may take
                     as long as the handshake
    ``session``      to be resumed; by default one of the configuration's store, if it has one
    ``early_data``   sent before the server has answered, where the session allows so much. Whoever records it can send it
                     again: only what does no harm twice belongs in it. What the server did not take is not sent again:
                     it is in ``early_data_rejected``, for the caller to decide
    ``on_session``   called with each session that the server gives us, besides the configuration's store; servers give
                     them only to those who have one

    Raises ConnectionFailed where there is no connection, HandshakeTimeout, or the TLSError that ended the handshake.
    """
    tls = dial(
        host,
        port,
        config=config,
        server_name=server_name,
        timeout=timeout,
        tap=tap,
        proxy=proxy,
        starttls=starttls,
        session=session,
        early_data=early_data,
        on_session=on_session,
    )
    tls.do_handshake()
    return tls


def dial(  # noqa: PLR0913
    host: str,
    port: int = 443,
    *,
    config: ClientConfig | None = None,
    server_name: str | None = None,
    timeout: float | None = 10.0,
    tap: Tap | None = None,
    proxy: Proxy | str | None = None,
    starttls: Starttls | None = None,
    session: Session | None = None,
    early_data: bytes = b"",
    on_session: Callable[[Session], None] | None = None,
) -> TLSSocket:
    """As :func:`connect`, up to the TCP connection, and what is said before TLS: the handshake is the caller's, by TLSSocket.do_handshake."""
    server_name = host if server_name is None else server_name
    dialogue = None
    if starttls is not None:
        from handfast.transport.starttls.running import prepared

        dialogue, config = prepared(starttls, config, server_name)
    connection = ClientConnection(config, server_name=server_name, session=session, early_data=early_data, tap=tap)
    started = time.perf_counter()
    sock = _reach(host, port, timeout, proxy)
    tls = TLSSocket(sock, connection, on_session=on_session)
    tls.tcp_connect_seconds = time.perf_counter() - started
    if dialogue is not None:
        from handfast.transport.starttls.running import converse

        converse(dialogue, tls.below)
    return tls


def _reach(host: str, port: int, timeout: float | None, proxy: Proxy | str | None) -> socket.socket | TLSSocket:
    """A stream to the server, without a timeout of its own."""
    if proxy is not None:
        from handfast.transport.proxy import chosen
        from handfast.transport.proxy_blocking import through

        way = chosen(proxy, host)
        if way is not None:
            return through(way, host, port, timeout)
    try:
        sock = socket.create_connection((host, port), timeout)
    except TimeoutError:
        raise ConnectionFailed(CONNECT_TIMEOUT, host=host, port=port, seconds=timeout) from None
    except (OSError, UnicodeError) as error:
        raise ConnectionFailed(None, host=host, port=port, problem=words(error)) from None
    sock.settimeout(None)  # the time to connect is over; reads and writes have a limit of their own
    return sock


def wrap(
    stream: Any,
    config: ClientConfig | ServerConfig | None = None,
    *,
    server_name: str | None = None,
    tap: Tap | None = None,
    session: Session | None = None,
    early_data: bytes = b"",
    on_session: Callable[[Session], None] | None = None,
    on_early_data: EarlyDataHandler | None = None,
) -> TLSSocket:
    """Shake hands over a connection: as a server with a ServerConfig, as a client otherwise.

    ``stream``  a connected socket; a TLSSocket or ``ssl.SSLSocket``, for TLS inside TLS; or any object that can ``recv``
                or ``read``, and ``send``, ``sendall`` or ``write``, such as an SSH channel. Where it has ``settimeout``,
                timeouts hold; where it has not, it may keep us waiting
    ``session, early_data, on_session``  a client's, as with :func:`connect`
    ``on_early_data``  a server's: takes early data as it comes. Without it :meth:`TLSSocket.early_data` has all of it

    It then belongs to what is returned, and is closed with it, also when the handshake fails.
    """
    connection: Connection
    if isinstance(config, ServerConfig):
        if session is not None or early_data:
            raise ConfigurationError(setting="session, early_data", problem="these are for clients")
        connection = ServerConnection(config, tap=tap)
    else:
        connection = ClientConnection(config, server_name=server_name, session=session, early_data=early_data, tap=tap)
    tls = TLSSocket(stream, connection, on_session=on_session, on_early_data=on_early_data)
    tls.do_handshake()
    return tls


class TLSSocket:
    """A TLS connection over a socket or another stream, with the methods of a socket.

    ``connection``           the protocol's side of it
    ``below``                what it stands on
    ``tcp_connect_seconds``  how long the TCP connection took, where :func:`connect` made it
    ``early_data_rejected``  a client's early data that the server has not taken, b"" for none; known once hands are
                             shaken. It is sent again if the caller does so, and else not at all
    """

    def __init__(
        self,
        stream: Any,
        connection: Connection,
        *,
        on_session: Callable[[Session], None] | None = None,
        on_early_data: EarlyDataHandler | None = None,
    ) -> None:
        """Take over a connected socket or stream; :func:`connect` and :func:`wrap` do that and shake hands too."""
        self.below = below(stream, TLSSocket)
        self._timeout = self.below.timeout
        self.connection = connection
        self.tcp_connect_seconds = 0.0
        self._received = memoryview(b"")  # application data that recv has not handed out yet
        self._unsent = memoryview(b"")  # sealed bytes that the socket has not taken yet
        self._write_lock = threading.Lock()
        self._end_of_data = False
        self._heard = False  # a byte of the peer's
        self._broken: ConnectionFailed | None = None  # what a write found that did not raise it
        self._on_session = on_session
        self._on_early_data = on_early_data
        self._early: list[bytes] = []  # of a client, not asked for yet; the configuration limits how much
        self._next: Event | None = None  # an event that came with the end of the handshake
        self.early_data_rejected = b""

    def __repr__(self) -> str:
        return f"<TLSSocket {self.connection!r} over {self.below.stream!r}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- the handshake

    @property
    def handshake(self) -> Handshake:
        """What was agreed."""
        facts = self.connection.handshake
        if facts is None:
            raise MisuseError(problem="the handshake is not complete")
        return facts

    def do_handshake(self) -> None:
        """Shake hands; done by connect and wrap. Whatever fails, the socket is closed afterwards."""
        try:
            self.connection.start()
            while True:
                event = self.connection.next_event()
                self._flush_handshake()
                if isinstance(event, HandshakeCompleted):
                    self._look_ahead()
                    return
                if isinstance(event, Question):
                    self._answer(event)
                elif isinstance(event, EarlyData):
                    self._take_early(event.data)
                elif event is None:
                    self._read(self._handshake_deadline())
        except TLSError:
            self._part()
            raise
        except BaseException:  # Ctrl-C, say
            self.below.close()
            raise

    def _look_ahead(self) -> None:
        """What comes of our early data, and the session of TLS 1.2, are known with the end of the handshake."""
        try:
            event = self.connection.next_event()
            while isinstance(event, (EarlyDataRejected, SessionReceived)):
                self._note(event)
                event = self.connection.next_event()
        except TLSError:
            return  # hands are shaken; the next call hears of it, as of all that comes later
        self._next = event

    def _note(self, event: Event) -> None:
        """News that are no data."""
        if isinstance(event, EarlyDataRejected):
            self.early_data_rejected = event.data
        elif isinstance(event, SessionReceived) and self._on_session is not None:
            self._on_session(event.session)

    def _take_early(self, data: bytes) -> None:
        if self._on_early_data is None:
            self._early.append(data)
        else:
            self._on_early_data(self, data)

    def _flush_handshake(self) -> None:
        """Send what the script has to say. Where that fails, reading goes on: the peer's alert may say why."""
        try:
            self.flush(self._handshake_deadline())
        except ConnectionFailed as error:
            self._broken = error.copy()
        except TimeoutError:
            self.connection.handle_timeout()

    def _answer(self, question: Question) -> None:
        """A question that was not answered inline: here there is time to wait, up to the deadline."""
        if question.awaitable is None:
            question.refuse(MisuseError(problem=f"{ASK!r} needs an application that pulls events itself"))
            return
        deadline = self._handshake_deadline()
        try:
            answer = asyncio.run(_awaited(question.awaitable, deadline))
        except Exception as error:
            self.connection.handle_timeout()
            question.refuse(error)
        else:
            question.answer(answer)

    # --- reading

    def early_data(self) -> bytes:
        """What the client has sent with its first message, b"" for nothing: a server's, once.

        Whoever has recorded it can send it again, to this server or another one of the fleet (RFC 9846 section 8): it may
        only be acted on where doing so twice does no harm. ``recv`` gives no data as long as this waits.
        """
        data, self._early = b"".join(self._early), []
        return data

    def recv(self, size: int = READ_SIZE) -> bytes:
        """At most ``size`` bytes; b"" once the peer has said that nothing more will come.

        Raises TimeoutError after the socket's timeout; TruncationError where the bytes end without close_notify.
        """
        return self.receive(size, self._deadline())

    def receive(self, size: int, deadline: float | None) -> bytes:
        """As recv, by a deadline of ``time.monotonic`` in place of the timeout."""
        if size <= 0 or not self._fill(deadline):
            return b""
        data = bytes(self._received[:size])
        self._received = self._received[size:]
        return data

    def recv_into(self, buffer: Any, size: int = 0) -> int:
        """Read into a buffer; how many bytes were read, 0 at the end."""
        view = memoryview(buffer).cast("B")
        wanted = size or len(view)
        if not wanted or not self._fill(self._deadline()):
            return 0
        count = min(wanted, len(self._received), len(view))
        view[:count] = self._received[:count]
        self._received = self._received[count:]
        return count

    def _fill(self, deadline: float | None) -> bool:
        """Have data ready for recv; False at the end."""
        if self._early:
            problem = "the client has sent early data, which may be a replay: early_data() has it, and comes first"
            raise MisuseError(problem=problem)
        while not self._received:
            if self._end_of_data:
                return False
            event = self._next_event(deadline)
            if isinstance(event, ApplicationData):
                self._received = memoryview(event.data)
            elif isinstance(event, PeerClosed):
                self._end_of_data = True
            else:
                self._note(event)
        return True

    def _next_event(self, deadline: float | None) -> Event:
        """The next event, whatever has to be read until then. On failure the peer is told, and we close."""
        event, self._next = self._next, None
        if event is not None:
            return event
        try:
            while (event := self.connection.next_event()) is None:
                self._flush_if_possible()
                self._read(deadline)
        except TLSError:
            self._part()
            raise
        return event

    def _read(self, deadline: float | None) -> None:
        """Read once. After the deadline: HandshakeTimeout during the handshake, else TimeoutError."""
        try:
            data = self.below.receive(deadline)
        except TimeoutError:
            if self.connection.handshake is not None:
                raise
            self.connection.handle_timeout()
        except OSError as error:
            raise self._gone(error) from None
        else:
            if data:
                self._heard = True
                self.connection.receive_data(data)
            elif self._broken is not None:
                raise self._broken.copy()  # a reset is told to one call only: the read sees nothing but the end
            else:
                self.connection.receive_eof()

    def _gone(self, error: OSError) -> ConnectionFailed:
        """The connection is gone; the error says at which message."""
        broken = ConnectionFailed(RESET, problem=words(error))
        broken.step = self.connection.awaiting
        return broken

    # --- writing

    def sendall(self, data: bytes | bytearray | memoryview) -> None:
        """Send all of ``data``. Raises TimeoutError after the socket's timeout, ConnectionFailed if it broke."""
        view = memoryview(data).cast("B")
        deadline = self._deadline()
        for start in range(0, len(view), _WRITE_SIZE):
            with self._write_lock:
                self._send_unsent(deadline)
                self.connection.send(view[start : start + _WRITE_SIZE])
                self._send_unsent(deadline)
        if self.connection.has_data_to_send:
            self.flush(deadline)

    def send(self, data: bytes | bytearray | memoryview) -> int:
        """Send some of ``data``; how many bytes were taken."""
        view = memoryview(data).cast("B")[:_WRITE_SIZE]
        self.sendall(view)
        return len(view)

    def take(self, data: memoryview, deadline: float | None) -> int:
        """Protect some of ``data``, for whoever knows what to do with the rest; how many bytes were taken.

        With TimeoutError none were. What was taken and did not leave goes out with the next write, or with flush.
        """
        piece = data[:_WRITE_SIZE]
        with self._write_lock:
            self._send_unsent(deadline)
            self.connection.send(piece)
            with contextlib.suppress(TimeoutError):
                self._send_unsent(deadline)
        return len(piece)

    def flush(self, deadline: float | None) -> None:
        """Send what is sealed. Whatever another thread seals meanwhile, while it finds the lock taken, goes out too."""
        while True:
            with self._write_lock:
                self._send_unsent(deadline)
            if not self.connection.has_data_to_send:
                return

    def _flush_if_possible(self) -> None:
        """Send what the protocol has to say, from the thread that reads, which must never wait for a writer.

        Two peers that both wait until the other one reads would wait for ever. So: if another thread is writing, it
        sends this too, since it looks once more after it has let go of the lock; and what the socket does not take now
        goes out with the next write.
        """
        if self.connection.has_data_to_send and self._write_lock.acquire(blocking=False):
            try:
                self._send_unsent(time.monotonic())
            except TimeoutError:
                return
            except ConnectionFailed as error:
                self._broken = error.copy()
            finally:
                self._write_lock.release()

    def _send_unsent(self, deadline: float | None) -> None:
        """Send what is sealed. The lock is held, so that the order of records is the order on the wire."""
        while True:
            if not self._unsent:
                self._unsent = memoryview(self.connection.data_to_send())
            try:
                if not self._unsent:
                    self.below.flush(deadline)
                    return
                self._unsent = self._unsent[self.below.send(self._unsent, deadline) :]
            except TimeoutError:
                raise
            except OSError as error:
                raise self._gone(error) from None

    # --- the end

    def shutdown_write(self) -> None:
        """Say that we shall send nothing more; reading goes on (RFC 9846 section 6.1)."""
        self.connection.close()
        self.flush(self._deadline())

    def close(self) -> None:
        """Say that we shall send nothing more, and close the socket. Never raises because of the network."""
        if self.below.closed:
            return
        try:
            self.connection.close()
            self._send_last(time.monotonic() + limits.CLOSE_SECONDS)
            self._drain(time.monotonic())
        except (TLSError, OSError):
            pass
        finally:
            self.below.close()

    def abort(self) -> None:
        """Break the connection: whoever reads or writes in another thread then fails. For servers that stop."""
        self.below.abort()

    def _part(self) -> None:
        """The connection has failed: deliver the alert, then close.

        Closing a socket with unread data resets the connection, and the peer then sees the reset instead of the alert.
        So we half-close, and read for a bounded time until the peer is done. There is nothing to wait for where it has not
        said a word.
        """
        deadline = time.monotonic() + limits.CLOSE_SECONDS
        try:
            if self._send_last(deadline):
                self.below.end_writing()
                if self._heard:
                    self._drain(deadline)
        except (TLSError, OSError):
            pass
        finally:
            self.below.close()

    def _send_last(self, deadline: float) -> bool:
        """Send what is sealed, if no other thread hangs in a write until the deadline."""
        if not self._write_lock.acquire(timeout=max(deadline - time.monotonic(), 0.0)):
            return False
        try:
            self._send_unsent(deadline)
        finally:
            self._write_lock.release()
        return True

    def _drain(self, deadline: float) -> None:
        """Read and forget, until the peer is done or the deadline is over."""
        held = limits.INPUT_HELD
        while self.below.can_wait and held > 0 and (data := self.below.receive(deadline)):
            held -= len(data)

    # --- what a socket has besides

    def update_keys(self, *, request_peer: bool = False) -> None:
        """Change the key that protects what we send; see :meth:`handfast.ClientConnection.update_keys`."""
        self.connection.update_keys(request_peer=request_peer)
        self.flush(self._deadline())

    def export_keying_material(self, label: str, length: int, context: bytes | None = None) -> bytes:
        """Secret bytes for another protocol; see :meth:`handfast.ClientConnection.export_keying_material`."""
        return self.connection.export_keying_material(label, length, context)

    def channel_binding(self, kind: str = "tls-exporter") -> bytes:
        """What ties an authentication to this connection; see :meth:`handfast.ClientConnection.channel_binding`."""
        return self.connection.channel_binding(kind)

    def settimeout(self, seconds: float | None) -> None:
        """Seconds that each later read or write may take; None for no limit."""
        self._timeout = seconds

    def gettimeout(self) -> float | None:
        """Seconds that each read or write may take."""
        return self._timeout

    def fileno(self) -> int:
        """The socket's descriptor. That it is readable does not mean that there is application data."""
        number: int = self.below.stream.fileno()
        return number

    def getpeername(self) -> Any:
        """The peer's address."""
        return self.below.stream.getpeername()

    def getsockname(self) -> Any:
        """Our address."""
        return self.below.stream.getsockname()

    def makefile(self, mode: str = "rb") -> io.BufferedReader | io.BufferedWriter:
        """A buffered binary file over the connection, "rb" or "wb". Closing it leaves the connection open."""
        if mode == "rb":
            return io.BufferedReader(RawFile(self))
        if mode == "wb":
            return io.BufferedWriter(RawFile(self))
        raise MisuseError(problem=f'makefile has the modes "rb" and "wb", not {mode!r}')

    # --- waiting

    def _deadline(self) -> float | None:
        return None if self._timeout is None else time.monotonic() + self._timeout

    def _handshake_deadline(self) -> float | None:
        """The connection's deadline, which is in the configuration's clock, in ours."""
        deadline = self.connection.deadline
        if deadline is None:
            return None
        return time.monotonic() + max(deadline - self.connection.clock.monotonic(), 0.0)


async def _awaited(awaitable: Awaitable[Any], deadline: float | None) -> Any:
    async with asyncio.timeout(None if deadline is None else max(deadline - time.monotonic(), 0.0)):
        return await awaitable
