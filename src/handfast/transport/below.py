"""What a TLSSocket may stand on: a socket, TLS of ours or of OpenSSL, or any object with the methods of a stream.

Each class here says the same things in its own way: receive and send by a deadline, stop writing, break off, close. All
may be used by one thread that reads and one that writes.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, cast

from handfast.errors import ConfigurationError, ConnectionFailed, TLSError
from handfast.reasons import RESET

if TYPE_CHECKING:
    from handfast.transport.blocking import TLSSocket

READ_SIZE = 65_536

_READ = ("recv", "read1", "read")  # read1 comes before read: that of a buffered file waits until all is there
_WRITE = ("send", "sendall", "write")  # send comes first: it says how much was taken, also where time is over
_NON_BLOCKING = "it must not be in non-blocking mode"
_SLICE = 1e-3  # the shortest timeout that is given to a stream, for which 0 means that it must not block


class Below(Protocol):
    """What the methods of a TLSSocket need. Times are those of ``time.monotonic``, None for no limit.

    ``stream``    the object that was wrapped
    ``timeout``   seconds, as it had them set
    ``can_wait``  whether it can be told how long to wait; if not, deadlines do not hold while it reads or writes
    """

    stream: Any
    timeout: float | None
    can_wait: bool

    @property
    def closed(self) -> bool:
        """Whether it is closed."""

    def receive(self, deadline: float | None) -> bytes:
        """What has arrived; b"" at the end. Raises TimeoutError when the deadline is over, or OSError, or TLSError."""

    def send(self, data: memoryview, deadline: float | None) -> int:
        """Hand over data; how many bytes were taken. With TimeoutError none were."""

    def flush(self, deadline: float | None) -> None:
        """Have all that was taken leave. Raises TimeoutError while some of it has not."""

    def end_writing(self) -> None:
        """Nothing more will be sent; reading goes on, where it can."""

    def abort(self) -> None:
        """Break off, and wake the threads that wait."""

    def close(self) -> None:
        """Let go of it. Threads that wait are woken."""


def below(stream: Any, tls_socket: type[TLSSocket]) -> Below:
    """The class for this kind of stream. Raises ConfigurationError where it is none."""
    if isinstance(stream, tls_socket):
        return OverTLS(stream)
    if isinstance(stream, ssl.SSLSocket):
        return OverOpenSSL(stream)
    if isinstance(stream, socket.socket):
        return OverSocket(stream)
    return OverStream(stream)


class OverSocket:
    """A socket. It never blocks: we wait for it, so that two threads can have different deadlines."""

    can_wait = True

    def __init__(self, sock: socket.socket) -> None:
        self.stream: socket.socket = sock
        self.timeout = sock.gettimeout()
        sock.setblocking(False)
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @property
    def closed(self) -> bool:
        """See Below, as with all that follows."""
        return self.stream.fileno() < 0

    def receive(self, deadline: float | None) -> bytes:
        """See Below."""
        while True:
            try:
                return self.stream.recv(READ_SIZE)
            except BlockingIOError:
                self._wait(select.POLLIN, deadline)

    def send(self, data: memoryview, deadline: float | None) -> int:
        """See Below."""
        while True:
            try:
                return self.stream.send(data)
            except BlockingIOError:
                self._wait(select.POLLOUT, deadline)

    def flush(self, deadline: float | None) -> None:
        """See Below; the kernel sees to it."""

    def end_writing(self) -> None:
        """See Below."""
        self.stream.shutdown(socket.SHUT_WR)

    def abort(self) -> None:
        """See Below."""
        with contextlib.suppress(OSError):  # it may be closed already
            self.stream.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """See Below. While a thread polls a socket, closing alone neither ends it nor wakes the thread."""
        self.abort()
        self.stream.close()

    def _wait(self, event: int, deadline: float | None) -> None:
        poll = select.poll()
        try:
            poll.register(self.stream, event)
        except ValueError:
            raise ConnectionFailed(RESET, problem="another thread has closed it") from None
        if not poll.poll(None if deadline is None else _left(deadline) * 1000):
            raise TimeoutError("timed out")


class OverOpenSSL(OverSocket):
    """A TLS socket of the standard library. OpenSSL must not be called by two threads at once for one connection."""

    def __init__(self, sock: ssl.SSLSocket) -> None:
        super().__init__(sock)
        self._lock = threading.Lock()

    def receive(self, deadline: float | None) -> bytes:
        """See Below."""
        data: bytes = self._call(self.stream.recv, READ_SIZE, deadline)
        return data

    def send(self, data: memoryview, deadline: float | None) -> int:
        """See Below."""
        count: int = self._call(self.stream.send, data, deadline)
        return count

    def _call(self, method: Callable[..., Any], argument: object, deadline: float | None) -> Any:
        while True:
            try:
                with self._lock:
                    return method(argument)
            except ssl.SSLWantReadError:
                event = select.POLLIN
            except ssl.SSLWantWriteError:
                event = select.POLLOUT
            self._wait(event, deadline)

    def end_writing(self) -> None:
        """See Below. OpenSSL's sockets cannot: they would forget that they are TLS. Our own close_notify has said it."""

    def close(self) -> None:
        """See Below. The outer connection gets a close_notify of its own; its answer is not waited for."""
        with contextlib.suppress(OSError, ValueError), self._lock:
            cast("ssl.SSLSocket", self.stream).unwrap()
        super().close()


class OverTLS:
    """A TLSSocket of ours: TLS inside TLS."""

    can_wait = True

    def __init__(self, tls: TLSSocket) -> None:
        self.stream = tls
        self.timeout = tls.gettimeout()

    @property
    def closed(self) -> bool:
        """See Below, as with all that follows."""
        return self.stream.below.closed

    def receive(self, deadline: float | None) -> bytes:
        """See Below."""
        return self.stream.receive(READ_SIZE, deadline)

    def send(self, data: memoryview, deadline: float | None) -> int:
        """See Below."""
        return self.stream.take(data, deadline)

    def flush(self, deadline: float | None) -> None:
        """See Below."""
        self.stream.flush(deadline)

    def end_writing(self) -> None:
        """See Below."""
        self.stream.connection.close()
        self.stream.flush(time.monotonic())

    def abort(self) -> None:
        """See Below."""
        self.stream.abort()

    def close(self) -> None:
        """See Below."""
        self.stream.close()


class OverStream:
    """Anything that can ``recv`` or ``read``, and ``send``, ``sendall`` or ``write``: an SSH channel, a pair of pipes.

    Its deadlines hold if it has ``settimeout``. That is for both directions at once, so while a thread reads and another
    one writes the shorter time is set, and whoever has more of it goes on.
    """

    def __init__(self, stream: Any) -> None:
        self._read = _method(stream, _READ)
        self._write = _method(stream, _WRITE)
        self.stream = stream
        self.can_wait = hasattr(stream, "settimeout")
        self.timeout: float | None = stream.gettimeout() if hasattr(stream, "gettimeout") else None
        self._closed = False
        self._lock = threading.Lock()
        self._deadlines: dict[str, float] = {}
        self._cut = False  # a write that does not say how much it took was cut by its timeout

    @property
    def closed(self) -> bool:
        """See Below, as with all that follows."""
        return self._closed

    def receive(self, deadline: float | None) -> bytes:
        """See Below."""
        data = self._call("read", self._read, READ_SIZE, deadline)
        if data is None:
            raise _failed(_NON_BLOCKING)
        return bytes(data)

    def send(self, data: memoryview, deadline: float | None) -> int:
        """See Below."""
        if self._cut:
            raise _failed("a write was cut by its timeout")
        piece = data[:READ_SIZE]
        # Not every stream takes a memoryview.
        taken = self._call("write", self._write, bytes(piece), deadline)
        return taken if isinstance(taken, int) and self._write.__name__ != "sendall" else len(piece)

    def _call(self, name: str, method: Callable[..., Any], argument: object, deadline: float | None) -> Any:
        while True:
            self._limit(name, deadline)
            try:
                return method(argument)
            except (TimeoutError, BlockingIOError):
                if name == "write" and method.__name__ != "send":
                    self._cut = True
                    raise _failed("a write was cut by its timeout") from None
                if not self.can_wait:
                    raise _failed(_NON_BLOCKING) from None
                if deadline is not None and _left(deadline) <= 0:
                    raise TimeoutError("timed out") from None
            except (TLSError, OSError):
                raise
            except Exception as error:  # whatever it calls its failures
                raise _failed(str(error) or type(error).__name__) from error
            finally:
                with self._lock:
                    self._deadlines.pop(name, None)

    def _limit(self, name: str, deadline: float | None) -> None:
        """Set the time that the next call may take: no longer than any thread that is in one has left."""
        if not self.can_wait:
            return
        with self._lock:
            if deadline is not None:
                self._deadlines[name] = deadline
            first = min(self._deadlines.values(), default=None)
            with contextlib.suppress(OSError):  # closed by another thread: the call will say so
                self.stream.settimeout(None if first is None else max(_left(first), _SLICE))

    def flush(self, deadline: float | None) -> None:
        """See Below."""
        if hasattr(self.stream, "flush"):
            self._call("flush", lambda _: self.stream.flush(), None, deadline)

    def end_writing(self) -> None:
        """See Below: as an SSH channel does it, or a socket; where neither is there, our close_notify has said it."""
        if hasattr(self.stream, "shutdown_write"):
            self.stream.shutdown_write()
        elif hasattr(self.stream, "shutdown"):
            self.stream.shutdown(socket.SHUT_WR)

    def abort(self) -> None:
        """See Below."""
        with contextlib.suppress(Exception):
            if hasattr(self.stream, "shutdown"):
                self.stream.shutdown(socket.SHUT_RDWR)
            else:
                self.close()

    def close(self) -> None:
        """See Below."""
        if not self._closed:
            self._closed = True
            if hasattr(self.stream, "shutdown"):
                self.abort()
            with contextlib.suppress(Exception):  # a buffer that it cannot write out, say
                self.stream.close()


def _method(stream: Any, names: tuple[str, ...]) -> Callable[..., Any]:
    for name in names:
        if callable(method := getattr(stream, name, None)):
            return method  # type: ignore[no-any-return]
    problem = f"a {type(stream).__name__} has no {' and no '.join(names)}"
    raise ConfigurationError(setting="the stream to wrap", problem=problem)


def _left(deadline: float) -> float:
    return max(deadline - time.monotonic(), 0.0)


def _failed(problem: str) -> ConnectionFailed:
    return ConnectionFailed(RESET, problem=problem)
