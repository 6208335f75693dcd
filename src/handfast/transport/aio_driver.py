"""Between a socket's asyncio transport and a protocol: drives one connection by callbacks, without a task of its own.

The socket's transport calls :class:`Driver`, which is its protocol. The application's protocol is called by the driver,
and calls :class:`~handfast.transport.aio_transport.TLSTransport`, which hands on to the driver. handfast.aio puts these
together.

What is written is sealed and handed down at once, so the water marks of the transport below are those of the
connection. What is read is decrypted one record at a time, as long as the application is willing to take it.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from handfast import limits
from handfast.config import ASK
from handfast.errors import ConnectionFailed, MisuseError, TLSError, TruncationError, words
from handfast.events import (
    ApplicationData,
    EarlyData,
    EarlyDataRejected,
    HandshakeCompleted,
    PeerClosed,
    SessionReceived,
)
from handfast.handshake.flow import Question
from handfast.reasons import CLOSED_DURING_HANDSHAKE, RESET, Reason
from handfast.transport.aio_application import ApplicationSide, State, nothing, nowhere
from handfast.transport.aio_transport import TLSTransport

if TYPE_CHECKING:
    from handfast.connection import Connection, Event
    from handfast.sessions.session import Session
    from handfast.transport.aio_owners import Owner

_WRITE_SIZE = 262_144  # what is sealed at once: enough to be quick, little enough to stay in the cache
_ASKING_HELD = 65_536  # how much may arrive while a question is open, before we stop reading from the socket


def connection_failed(reason: Reason, cause: Exception, step: str = "", **evidence: object) -> ConnectionFailed:
    """The error for what the transport below has raised."""
    problem = words(cause)
    if isinstance(cause, ConnectionError) and cause.errno:
        problem = os.strerror(cause.errno)  # asyncio's own text has the address in it
    error = ConnectionFailed(reason, **evidence, problem=problem)
    error.step = step
    error.__cause__ = cause
    return error


class Driver(ApplicationSide):
    """One connection between a transport below and a protocol above.

    ``connection``  the protocol's side of it
    ``lower``       the transport below
    ``early_data_rejected``  a client's early data that the server has not taken, b"" for none
    """

    __slots__ = (
        "_asking",
        "_drained",
        "_eof",
        "_flushed",
        "_held",
        "_next",
        "_on_session",
        "_owner",
        "_peer_closed",
        "_shutdown_timeout",
        "_timer",
        "_waiting",
        "_write_closed",
        "connection",
        "early_data_rejected",
        "lower",
    )

    connection: Connection
    lower: asyncio.Transport

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        owner: Owner,
        factory: Callable[[], asyncio.BaseProtocol],
        shutdown_timeout: float,
        *,
        connected: asyncio.BaseProtocol | None = None,
        on_session: Callable[[Session], None] | None = None,
    ) -> None:
        """``factory`` makes the protocol, once hands are shaken; ``connected`` is one that is in use already.

        ``on_session`` is called with each session that a server gives us.
        """
        super().__init__(loop, factory, connected)
        self._owner: Owner | None = owner
        self.transport = TLSTransport(self)
        self._shutdown_timeout = shutdown_timeout
        self._waiting = False  # for the owner to admit the handshake
        self._next: Event | TLSError | None = None  # what comes after the data that is being delivered
        self._on_session = on_session
        self.early_data_rejected = b""
        self._asking: asyncio.Future[Any] | None = None
        self._held = 0  # bytes that arrived while a question was open
        self._timer: asyncio.TimerHandle | None = None
        self._eof = False
        self._peer_closed = False
        self._write_closed = False
        self._flushed = False  # closing, and all that we had to say has left the process
        self._drained = 0

    def __repr__(self) -> str:
        return f"<Driver, {self._state.value}>"

    # --- called by the transport below

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The transport below is there: begin."""
        self.lower = lower = cast("asyncio.Transport", transport)
        if self._state is State.CLOSED:  # abandoned meanwhile
            lower.abort()
            return
        self._state = State.SHAKING
        assert self._owner is not None
        try:
            self.connection = self._owner.connection(lower)
        except Exception as error:  # a tap that cannot be made, say
            self._error = error
            self.abort()
            return
        try:
            self.connection.start()
        except TLSError as error:
            self._fail(error)
            return
        self._watch_deadline()
        self._flush()
        if not self._owner.admit(self):
            self._waiting = True
            lower.pause_reading()

    def go_on(self) -> None:
        """The owner admits the handshake, which had to wait."""
        self._waiting = False
        if self._state is State.SHAKING:
            self._pump()
            self._read_on()

    def data_received(self, data: bytes) -> None:
        """Bytes from the peer."""
        if self._state is State.CLOSING:
            self._drain(len(data))
            return
        try:
            self.connection.receive_data(data)
        except TLSError as error:
            self._fail(error)
            return
        if self._asking is not None:
            self._hold(len(data))
        if self._waiting:
            self.lower.pause_reading()  # uvloop forgets a pause from connection_made
        self._pump()

    def eof_received(self) -> bool:
        """Nothing more will come. Whether the transport below is to stay open for what we write."""
        self._eof = True
        if self._state in (State.SHAKING, State.OPEN):
            try:
                self.connection.receive_eof()
            except TLSError as error:
                self._fail(error)
            else:
                self._pump()
        return self._state in (State.SHAKING, State.OPEN)

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport below is closed. So are we, and nothing is left to hold on to."""
        error = self._error or self._lost(exc)
        self._state = State.CLOSED
        self._cancel_timer()
        self._stop_asking()
        app, self._app = self._app, None
        owner, self._owner = self._owner, None
        self._next = self._rest = None
        self._deliver = nowhere
        del self.transport  # it holds us
        if owner is not None:
            owner.failed(self, error or TruncationError(CLOSED_DURING_HANDSHAKE))
        if app is not None and self._app_connected:
            app.connection_lost(error)

    def _lost(self, exc: Exception | None) -> Exception | None:
        """What the loss of the transport below means, where it was not we who found an error."""
        if exc is not None:
            # When we were closing and had said it all, what comes after that is no loss.
            return None if self._flushed else connection_failed(RESET, exc, self.connection.awaiting)
        if self._state is State.SHAKING:
            return TruncationError(CLOSED_DURING_HANDSHAKE)
        if self._state is State.OPEN and not self._peer_closed:
            return TruncationError()
        return None

    def pause_writing(self) -> None:
        """The transport below has more than it can send."""
        self._lower_full = True
        if self._app_connected and self._app is not None and self._state is not State.CLOSING:
            self._app_told_to_pause = True
            self._call(cast("asyncio.Protocol", self._app).pause_writing)

    def resume_writing(self) -> None:
        """The transport below has sent most of it; while closing, all of it."""
        self._lower_full = False
        told = self._app_told_to_pause or self._state is not State.CLOSING  # the latter by the transport we upgraded
        if self._app_connected and self._app is not None and told:
            self._app_told_to_pause = False
            self._call(cast("asyncio.Protocol", self._app).resume_writing)
        if self._state is State.CLOSING and not self._flushed:
            self._linger()

    # --- the connection's events

    def _pump(self) -> None:
        """Handle all that has arrived, as long as the application takes it, and say what the protocol has to say."""
        while not self._paused and not self._waiting:
            if self._rest is not None:
                self._deliver_rest()
            elif self._next is not None:
                event, self._next = self._next, None
                self._handle(event)
            elif not self._pull():
                break
            if self._state is State.CLOSING:
                return
        if self._state is not State.CLOSING and self.connection.has_data_to_send:
            self._flush()

    def _pull(self) -> bool:
        """Deliver the data that is there, in one piece, and keep what comes after it. False when that is nothing.

        One piece, since the application may pause after each: a reader whose buffer is full does, and would cost a turn
        of the loop for each record. It is no longer than what the socket gave us.
        """
        pieces: list[bytes] = []
        next_event = self.connection.next_event
        try:
            while type(event := next_event()) is ApplicationData:
                pieces.append(event.data)
            self._next = event
        except TLSError as error:
            self._next = error.with_traceback(None)  # the frames hold us
        if pieces:
            self._call(self._deliver, pieces[0] if len(pieces) == 1 else b"".join(pieces))
        return self._next is not None

    def _handle(self, event: Event | TLSError) -> None:
        if isinstance(event, TLSError):
            self._fail(event)
        elif isinstance(event, Question):
            self._ask(event)
        elif isinstance(event, HandshakeCompleted):
            self._look_ahead()
            if self._state is State.SHAKING:  # on_session may have failed
                self._open()
        elif isinstance(event, EarlyData):
            self._take_early(event.data)
        elif isinstance(event, PeerClosed):
            self._peer_closed = True
            if not self._call(cast("asyncio.Protocol", self._app).eof_received):
                self.close()
        else:
            self._note(event)

    def _look_ahead(self) -> None:
        """What came of a client's early data is known with the end of the handshake, before the protocol is connected."""
        try:
            event = self.connection.next_event()
            while isinstance(event, (EarlyDataRejected, SessionReceived)):
                self._note(event)
                event = self.connection.next_event()
            self._next = event
        except TLSError as error:
            self._next = error.with_traceback(None)

    def _note(self, event: Event) -> None:
        """News, or data that was looked ahead at."""
        if isinstance(event, ApplicationData):
            self._call(self._deliver, event.data)
        elif isinstance(event, EarlyDataRejected):
            self.early_data_rejected = event.data
        elif isinstance(event, SessionReceived) and self._on_session is not None:
            self._call(self._on_session, event.session)

    def _take_early(self, data: bytes) -> None:
        """Give early data to a protocol that has a method for it, and connect it now, so that it can answer at once.

        Any other one gets none, and no connection: the client thinks that its data was taken.
        """
        if self._leaving or not self._made():
            return
        received = getattr(self._app, "early_data_received", None)
        if received is None:
            if not self._app_connected:
                self._app = None
            self.connection.close()
            problem = "the configuration takes early data, and the protocol has no early_data_received for it"
            self._fail(MisuseError(problem=problem))
            return
        self._early = True
        self._connect()
        if self._delivering:
            self._call(received, data)

    def _open(self) -> None:
        """Hands are shaken: connect the application's protocol."""
        self._cancel_timer()
        self._state = State.OPEN
        if not self._made():
            return
        owner, self._owner = self._owner, None
        assert owner is not None
        assert self._app is not None
        self.set_protocol(self._app)
        self._connect()
        if self._early and self._delivering:
            self._call(getattr(self._app, "early_data_ended", nothing))
        owner.opened(self, self._app)
        if self._early:
            self._catch_up()

    def _catch_up(self) -> None:
        """What the application has ended while hands were still being shaken."""
        if self._leaving:
            self._leaving = False
            self.close()
        elif self._write_closed and self._state is State.OPEN:
            self.connection.close()
            self._flush()

    # --- questions

    def _ask(self, question: Question) -> None:
        """A question that was not answered inline. Only this takes a task."""
        if question.awaitable is None:
            question.refuse(MisuseError(problem=f"{ASK!r} needs an application that pulls events itself"))
        else:
            self._held = 0
            self._asking = asyncio.ensure_future(question.awaitable, loop=self._loop)
            self._asking.add_done_callback(functools.partial(self._answered, question))

    def _answered(self, question: Question, task: asyncio.Future[Any]) -> None:
        """The answer to a question is there."""
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if task is not self._asking:
            return  # the connection has ended meanwhile
        self._asking = None
        if error is None:
            question.answer(task.result())
        else:
            question.refuse(error)
        self._pump()
        if self._asking is None:
            self._read_on()

    def _hold(self, length: int) -> None:
        """While a question is open input is only kept: not more of it than a socket would."""
        self._held += length
        if self._held > _ASKING_HELD:
            self.lower.pause_reading()

    def _stop_asking(self) -> None:
        task, self._asking = self._asking, None
        if task is not None:
            task.cancel()

    # --- delivery, and its pauses

    @property
    def paused(self) -> bool:
        """Whether the application takes nothing now."""
        return self._paused

    def pause_reading(self) -> None:
        """Deliver nothing for now, and read nothing more from the socket."""
        if not self._paused and self._delivering:
            self._paused = True
            if not self.lower.is_closing():
                self.lower.pause_reading()

    def resume_reading(self) -> None:
        """Deliver again, soon: what is held first."""
        if self._paused:
            self._paused = False
            self._loop.call_soon(self._resume)

    def _resume(self) -> None:
        if (self._delivering or self._leaving) and not self._paused:
            self._pump()
            self._read_on()

    def _read_on(self) -> None:
        """Read from the socket again, unless it is closed or the application takes nothing."""
        held_back = self._paused or self._waiting
        if self._state is not State.CLOSED and not held_back and not self.lower.is_closing():
            self.lower.resume_reading()

    # --- writing

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Protect data and hand it down. Once we are closing it is dropped, as with any transport."""
        if not self._delivering:
            return
        if self._write_closed:
            raise RuntimeError("Cannot call write() after write_eof()")
        if len(data) <= _WRITE_SIZE:
            self.connection.send(data)
            self._flush()
            return
        view = memoryview(data).cast("B")
        for start in range(0, len(view), _WRITE_SIZE):
            self.connection.send(view[start : start + _WRITE_SIZE])
            self._flush()

    def write_eof(self) -> None:
        """Say that we shall send nothing more; reading goes on (RFC 9846 section 6.1)."""
        if self._delivering and not self._write_closed:
            self._write_closed = True
            if self._state is State.OPEN:
                self.connection.close()
                self._flush()

    def _flush(self) -> None:
        # A view, so that what the socket does not take at once is not copied to be cut.
        self.lower.write(memoryview(self.connection.data_to_send()))

    # --- the end

    @property
    def closing(self) -> bool:
        """Whether the connection is closing, or closed."""
        return self._leaving or self._state in (State.CLOSING, State.CLOSED)

    def close(self) -> None:
        """Send what is left and close_notify, and give the peer time to take it. Nothing more is delivered."""
        if self._state is State.OPEN:
            self.connection.close()
            self._part(self._shutdown_timeout)
        elif self._state is State.SHAKING and self._early:
            self._leaving = True  # once hands are shaken: the client would take the end of a handshake for a failure
            if self._paused:
                self.resume_reading()
        elif self._state is State.SHAKING:
            self.abandon()

    def abandon(self) -> None:
        """Whoever waited for the handshake no longer does, and nobody else will close the connection."""
        if self._state is State.NEW:
            self._state = State.CLOSED
        elif self._state is State.SHAKING:
            self.connection.close()
            with contextlib.suppress(RuntimeError):  # uvloop has closed it already, where connecting was cancelled
                self._flush()
            self.abort()
        elif self._state is State.OPEN:
            self.abort()

    def abort(self) -> None:
        """Close the socket now. The peer will take it for a truncation, which it is."""
        if self._state in (State.SHAKING, State.OPEN, State.CLOSING):
            self._state = State.CLOSING
            self._cancel_timer()
            self._stop_asking()
            self.lower.abort()

    def _fail(self, error: TLSError) -> None:
        """The connection has failed: deliver the alert, then close."""
        if self._state in (State.SHAKING, State.OPEN):
            self._error = error.with_traceback(None)  # the frames hold us
            self._part(limits.CLOSE_SECONDS)

    def _part(self, seconds: float) -> None:
        """Send the last bytes, and close once the peer is done; ``seconds`` are for what is not sent yet.

        Closing a socket with unread data resets the connection, and the peer then sees the reset instead of our last
        data or of the alert. So we half-close, and read for a bounded time until the peer is done.
        """
        lower = self.lower
        self._state = State.CLOSING
        self._cancel_timer()
        self._stop_asking()
        self._flush()
        if lower.is_closing():  # by somebody else
            return
        if lower.get_write_buffer_size():
            self._timer = self._loop.call_later(seconds, self._give_up, seconds)
            lower.set_write_buffer_limits(0)  # so that resume_writing says when all is sent
        else:
            self._linger()
        if self._eof or self._peer_closed or not lower.can_write_eof():
            lower.close()
            return
        try:
            lower.write_eof()
        except OSError:  # reset meanwhile: nothing of what we say will arrive
            lower.abort()
        else:
            lower.resume_reading()

    def _give_up(self, seconds: float) -> None:
        """The peer does not take our last bytes."""
        if self._error is None:
            self._error = ConnectionFailed(RESET, problem="the last data could not be sent in time", seconds=seconds)
        self.lower.abort()

    def _linger(self) -> None:
        """All is sent: the peer has a moment left to close its side."""
        self._flushed = True
        self._cancel_timer()
        self._timer = self._loop.call_later(min(limits.CLOSE_SECONDS, self._shutdown_timeout), self.lower.abort)

    def _drain(self, length: int) -> None:
        """Read and forget, up to a limit."""
        self._drained += length
        if self._drained > limits.INPUT_HELD:
            self.lower.close()

    # --- time

    def _watch_deadline(self) -> None:
        """The connection's deadline is in the configuration's clock, the timer in the loop's."""
        deadline = self.connection.deadline
        if deadline is not None:
            seconds = max(deadline - self.connection.clock.monotonic(), 0.0)
            self._timer = self._loop.call_later(seconds, self._deadline_over)

    def _deadline_over(self) -> None:
        self.connection.handle_timeout()
        self._waiting = self._waiting and not self.connection.failed
        self._paused = self._paused and not self.connection.failed
        self._pump()
        if self._state is State.SHAKING:  # that clock is behind
            self._watch_deadline()

    def _cancel_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
