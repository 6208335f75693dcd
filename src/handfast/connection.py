"""A TLS connection without a transport: bytes in, events and bytes out.

::

    connection = ClientConnection(config, server_name="example.com")
    connection.start()
    while True:
        transport.sendall(connection.data_to_send())
        for event in connection.events():        # until more bytes are needed
            ...
        connection.receive_data(transport.recv(65536))

The connection runs the handshake's script, answers its questions or hands them to the application, and is the only
place that sends alerts. Errors come out of :meth:`~Connection.next_event`; afterwards :meth:`~Connection.data_to_send`
still has the alert that tells the peer, and every other call raises the same error anew.

One thread may read (receive_data, next_event) while another one writes (send, data_to_send, close).
"""

from __future__ import annotations

import contextlib
from abc import abstractmethod
from collections import deque
from collections.abc import Generator, Iterator, Mapping
from typing import Any, Protocol

from handfast import limits
from handfast.certificates.identity import Identity, PeerIdentity
from handfast.certificates.names import normalized
from handfast.config import ASK, ClientConfig, ServerConfig
from handfast.crypto.guard import Guarded
from handfast.errors import (
    AlertReceived,
    BadRecord,
    ConfigurationError,
    HandshakeTimeout,
    MisuseError,
    PeerMisbehaved,
    TLSError,
    TruncationError,
    shown,
)
from handfast.events import ApplicationData, Handshake, HandshakeCompleted, PeerClosed
from handfast.handshake import established
from handfast.handshake.client import client
from handfast.handshake.established import Established
from handfast.handshake.flow import ChooseIdentity, Message, Question, Request, Sign, VerifyPeer
from handfast.handshake.link import Link
from handfast.handshake.server import server
from handfast.reasons import (
    CALLBACK_FAILED,
    CLOSED_DURING_HANDSHAKE,
    INTERLEAVED_RECORD,
    INTERNAL_ERROR,
    TOO_MANY_MESSAGES,
    TOO_MANY_WARNINGS,
    TOO_MUCH_HELD,
    UNEXPECTED_APPLICATION_DATA,
    UNEXPECTED_MESSAGE,
    UNEXPECTED_RECORD,
)
from handfast.record.layer import RecordLayer
from handfast.wire.alert import FATAL, WARNING, Alert, ChangeCipherSpec
from handfast.wire.codepoints import AlertDescription, ContentType, HandshakeType

Event = HandshakeCompleted | ApplicationData | PeerClosed | Question


class Tap(Protocol):
    """Sees all that a connection sends and receives; handfast.observe builds on it. It must not call the connection."""

    def record(self, sent: bool, content_type: int, length: int, encrypted: bool) -> None:
        """A record crossed the wire; ``length`` is that of its body."""

    def message(self, sent: bool, message: Any, encrypted: bool) -> None:
        """A handshake message, an Alert or a ChangeCipherSpec was sent or received."""


class Connection(Guarded):
    """What client and server have in common. Make a :class:`ClientConnection` or a :class:`ServerConnection`."""

    def __init__(self, config: ClientConfig | ServerConfig, tap: Tap | None = None) -> None:
        self._config = config
        self.clock = config.clock
        self._tap = tap
        self._layer = RecordLayer(None if tap is None else tap.record)
        self._link = Link(self._layer, config.clock, config.keylog, None if tap is None else tap.message)
        self._flow: Generator[Request, Any, Established] | None = None
        self._expected: dict[int, type[Message]] = {}
        self._step = ""  # the message that is awaited or handled
        self._question: Question | None = None
        self._asked_at = 0.0
        self._answer: tuple[object, BaseException | None] | None = None
        self._events: deque[Event] = deque()
        self._failure: TLSError | None = None
        self._handshake: Handshake | None = None
        self._started_at: float | None = None
        self._busy = False
        self._eof = False
        self._closed = False
        self._peer_closed = False
        self._warnings = 0
        self._messages_without_data = 0

    # --- what differs between client and server

    @abstractmethod
    def _script(self) -> Generator[Request, Any, Established]: ...

    @abstractmethod
    def _ask(self, question: Question) -> Any:
        """The answer, an awaitable of it, or ASK."""

    _post_handshake: Mapping[int, established.Handler]

    # --- facts

    @property
    def handshake(self) -> Handshake | None:
        """What was agreed; None until the handshake is complete."""
        return self._handshake

    @property
    def failed(self) -> bool:
        """Whether the connection has failed."""
        return self._failure is not None

    @property
    def awaiting(self) -> str:
        """The message that is awaited or handled (RFC name), for errors and logs; "" once the handshake is over."""
        return self._step

    @property
    def deadline(self) -> float | None:
        """When the handshake has to be complete, by the configuration's monotonic clock; None if there is no limit.

        The transport calls :meth:`handle_timeout` then.
        """
        timeout = self._config.handshake_timeout
        if self._started_at is None or timeout is None or self._handshake is not None:
            return None
        return self._started_at + timeout

    # --- bytes in

    def start(self) -> None:
        """Begin the handshake: a client's ClientHello is then in data_to_send."""
        self._check_usable()
        if self._started_at is not None:
            raise MisuseError(problem="the connection has been started already")
        self._started_at = self.clock.monotonic()
        self._flow = self._script()
        self._guarded(lambda: self._advance(None))
        if self._failure is not None:
            raise self._failure.copy() from None

    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        """Take what arrived; :meth:`next_event` makes events of it. Data after the peer's close_notify is ignored."""
        self._check_usable()
        if self._started_at is None:
            raise MisuseError(problem="start() comes first")
        if self._peer_closed or (self._closed and self._handshake is None):
            return
        self._layer.feed(data)
        if self._question is not None and self._layer.held > limits.INPUT_HELD:
            self._fail(TLSError(TOO_MUCH_HELD, limit=limits.INPUT_HELD))

    def receive_eof(self) -> None:
        """The transport has ended: nothing more will arrive."""
        self._check_usable()
        self._eof = True

    def handle_timeout(self) -> None:
        """Fail with HandshakeTimeout if the :attr:`deadline` is over; the error comes out of :meth:`next_event`."""
        deadline = self.deadline
        if deadline is not None and self._failure is None and self.clock.monotonic() >= deadline:
            self._fail(HandshakeTimeout(seconds=self._config.handshake_timeout))

    # --- events out

    def events(self) -> Iterator[Event]:
        """All events there are now; ends when more bytes, or the answer to a question, are needed."""
        while (event := self.next_event()) is not None:
            yield event

    def next_event(self) -> Event | None:
        """The next event; None when more bytes, or the answer to a question, are needed.

        Raises a TLSError when the connection fails, and the same error anew at each later call.
        """
        if self._events:
            return self._events.popleft()
        self._check_usable()
        self._guarded(self._work)
        if self._events:
            return self._events.popleft()
        if self._failure is not None:
            raise self._failure.copy() from self._failure.__cause__
        return None

    def _work(self) -> None:
        """Go on until there is an event, or nothing to do."""
        while not self._events and not self._peer_closed and not (self._closed and self._handshake is None):
            if self._question is not None:
                if self._answer is None:
                    return
                self._take_answer()
            elif not self._handle_message() and not self._handle_record():
                return

    def _guarded(self, work: Any) -> None:
        """Do something that the network or a callback has a part in: whatever it raises, the connection fails with."""
        if self._busy:
            raise MisuseError(problem="a callback must not call its own connection")
        self._busy = True
        try:
            work()
        except TLSError as error:
            self._fail(error)
        except Exception as error:
            # Not a TLSError: a bug of ours, or of a tap. Fail closed, and keep the cause for whoever debugs it.
            failure = TLSError(INTERNAL_ERROR, exception=f"{type(error).__name__}: {shown(error)}")
            failure.__cause__ = error
            self._fail(failure)
        finally:
            self._busy = False

    # --- records and messages

    def _handle_record(self) -> bool:
        """Handle one record; False if none is complete."""
        record = self._layer.read()
        if record is None:
            if self._eof:
                raise self._truncated()
            return False
        content_type, content, encrypted = record
        if content_type == ContentType.APPLICATION_DATA:
            self._handle_application_data(content)
        elif content_type == ContentType.HANDSHAKE:
            self._link.messages.feed(content)
        elif content_type == ContentType.ALERT:
            self._handle_alert(Alert.parse(content), encrypted)
        elif content_type == ContentType.CHANGE_CIPHER_SPEC and not encrypted:
            self._check_not_interleaved(content_type)
            self._report(ChangeCipherSpec(), encrypted=False)
        else:
            raise BadRecord(UNEXPECTED_RECORD, content_type=ContentType.name(content_type))
        return True

    def _handle_application_data(self, content: bytes | memoryview) -> None:
        if self._handshake is None:
            raise PeerMisbehaved(UNEXPECTED_APPLICATION_DATA)
        if self._link.messages:
            self._check_not_interleaved(ContentType.APPLICATION_DATA)
        self._messages_without_data = 0
        self._events.append(ApplicationData(content))  # type: ignore[arg-type]  # encrypted content is bytes

    def _check_not_interleaved(self, content_type: int) -> None:
        """Nothing may come between the parts of a handshake message (RFC 9846 section 5.1)."""
        if self._link.messages:
            raise PeerMisbehaved(INTERLEAVED_RECORD, came=ContentType.name(content_type))

    def _handle_alert(self, alert: Alert, encrypted: bool) -> None:
        """RFC 9846 section 6: all alerts but two are errors, whatever their level."""
        self._report(alert, encrypted)
        if alert.description == AlertDescription.CLOSE_NOTIFY:
            if self._handshake is None:
                raise AlertReceived(alert.description, alert.name, CLOSED_DURING_HANDSHAKE)
            self._peer_closed = True
            self._events.append(PeerClosed())
        elif alert.description == AlertDescription.USER_CANCELED:
            # To be ignored: close_notify follows (section 6.1).
            self._warnings += 1
            if self._warnings > limits.WARNING_ALERTS:
                raise PeerMisbehaved(TOO_MANY_WARNINGS, limit=limits.WARNING_ALERTS)
        else:
            raise AlertReceived(alert.description, alert.name)

    def _handle_message(self) -> bool:
        """Handle one handshake message; False if none is complete. A wrong one is refused before it is parsed."""
        messages = self._link.messages
        message_type = messages.type()
        if message_type is None:
            return False
        if self._handshake is not None:
            handler = established.handler(self._post_handshake, message_type)
            raw = messages.next()
            if raw is not None:
                self._handle_post_handshake(handler, raw)
            return raw is not None
        wanted = self._expected.get(message_type)
        if wanted is None:
            raise PeerMisbehaved(UNEXPECTED_MESSAGE, expected=self._step, came=HandshakeType.name(message_type))
        raw = messages.next()
        if raw is None:
            return False
        self._step = wanted.NAME
        message = wanted.parse(raw)
        self._report(message, encrypted=self._layer.decrypting)
        self._advance(message)
        return True

    def _handle_post_handshake(self, handler: established.Handler, raw: bytes) -> None:
        self._messages_without_data += 1
        if self._messages_without_data > limits.POST_HANDSHAKE_MESSAGES_WITHOUT_DATA:
            raise PeerMisbehaved(TOO_MANY_MESSAGES, limit=limits.POST_HANDSHAKE_MESSAGES_WITHOUT_DATA)
        self._report(handler(raw), encrypted=True)

    def _report(self, message: object, encrypted: bool) -> None:
        if self._tap is not None:
            self._tap.message(False, message, encrypted)

    def _truncated(self) -> TLSError:
        if self._handshake is None:
            return TruncationError(CLOSED_DURING_HANDSHAKE)
        return TruncationError()

    # --- the script and its questions

    def _advance(self, value: object) -> None:
        """Give the script what it waited for, and take what it waits for next."""
        flow = self._flow
        assert flow is not None
        try:
            request = flow.send(value)
            while isinstance(request, Question):
                answered, answer = self._answered_inline(request)
                if not answered:
                    self._link.flush()
                    return
                request = flow.send(answer)
        except StopIteration as end:
            self._complete(end.value)
        else:
            self._expected = request.by_type
            self._step = request.names
        self._link.flush()

    def _complete(self, outcome: Established) -> None:
        self._flow = None
        self._step = ""
        self._layer.change_cipher_spec_allowed = False
        assert self._started_at is not None
        self._link.timings.handshake = self.clock.monotonic() - self._started_at
        self._handshake = outcome.outcome.facts(self._link.timings)
        self._events.append(HandshakeCompleted(self._handshake))

    def _answered_inline(self, question: Question) -> tuple[bool, object]:
        """Answer a question at once where that is possible; else make it an event."""
        self._asked_at = self.clock.monotonic()
        try:
            answer = self._ask(question)
        except TLSError:
            raise
        except Exception as error:  # StopIteration too, which must not end the script
            raise _callback_failed(question, error) from error
        if answer is not ASK and not hasattr(answer, "__await__"):
            self._count_time(question)
            return True, _checked(question, answer)
        if answer is not ASK:
            question.awaitable = answer
        question._reply = self._reply
        self._question = question
        self._events.append(question)
        return False, None

    def _reply(self, question: Question, value: object, error: BaseException | None) -> None:
        """Called by Question.answer and refuse, from any thread. A late or second answer is ignored."""
        if question is self._question and self._answer is None:
            self._answer = (value, error)

    def _take_answer(self) -> None:
        question, answer = self._question, self._answer
        assert question is not None and answer is not None
        self._question = self._answer = None
        self._count_time(question)
        value, error = answer
        if isinstance(error, TLSError):
            raise error
        if error is not None:
            raise _callback_failed(question, error) from error
        self._advance(_checked(question, value))

    def _count_time(self, question: Question) -> None:
        seconds = self.clock.monotonic() - self._asked_at
        if isinstance(question, VerifyPeer):
            self._link.timings.certificate_verification += seconds
        elif isinstance(question, Sign):
            self._link.timings.signature += seconds

    # --- bytes out

    @property
    def has_data_to_send(self) -> bool:
        """Whether data_to_send has something."""
        return self._layer.pending

    def data_to_send(self) -> bytearray:
        """What has to be sent to the peer now; empty if there is nothing. Each byte is handed out once."""
        return self._layer.take()

    def send(self, data: bytes | bytearray | memoryview) -> None:
        """Protect application data; data_to_send then has it. Data of any length is split into records."""
        self._check_usable()
        if self._handshake is None or self._closed:
            problem = "the connection is closed" if self._closed else "the handshake is not complete"
            raise MisuseError(problem=problem)
        if len(data):
            self._layer.write(ContentType.APPLICATION_DATA, data)

    def close(self) -> None:
        """Say that we shall send nothing more (close_notify, RFC 9846 section 6.1). The peer may go on sending.

        During the handshake this gives up: user_canceled goes before close_notify, and nothing more is received.
        """
        if self._closed or self._failure is not None:
            return
        self._closed = True
        if self._handshake is None:
            self._abandon()
            if self._started_at is None:
                return
            self._send_alert(AlertDescription.USER_CANCELED)
        self._send_alert(AlertDescription.CLOSE_NOTIFY)

    def _send_alert(self, description: int) -> None:
        quiet = description in (AlertDescription.CLOSE_NOTIFY, AlertDescription.USER_CANCELED)
        alert = Alert(WARNING if quiet else FATAL, description)
        if self._tap is not None:
            self._tap.message(True, alert, self._layer.encrypted)
        self._layer.write(ContentType.ALERT, alert.encode())

    # --- failure

    def _check_usable(self) -> None:
        if self._failure is not None:
            raise self._failure.copy() from None

    def _abandon(self) -> None:
        """Drop the script, and with its frames the secrets in them."""
        flow, self._flow = self._flow, None
        if flow is not None:
            with contextlib.suppress(ValueError):  # it is running, in the thread that reads, and ends there
                flow.close()
        self._question = None
        self._link.discard()

    def _fail(self, error: TLSError) -> None:
        """The connection is over: tell the peer why, with the keys now in force, and keep the reason."""
        if self._failure is not None:
            return
        cause = error.__cause__
        error.step = error.step or self._step
        self._failure = error.copy()
        self._failure.__cause__ = cause
        self._abandon()
        if error.sent_by == "us" and error.alert is not None and not self._closed:
            try:
                self._send_alert(error.alert)
                if error.alert == AlertDescription.USER_CANCELED:
                    self._send_alert(AlertDescription.CLOSE_NOTIFY)
            except Exception:  # the alert is a courtesy: a forked process or a broken tap must not hide the cause
                return


def _callback_failed(question: Question, error: BaseException) -> TLSError:
    return TLSError(CALLBACK_FAILED, question=question.NAME, exception=f"{type(error).__name__}: {shown(error)}")


_ANSWERS: dict[type[Question], tuple[type, ...]] = {
    VerifyPeer: (PeerIdentity,),
    Sign: (bytes,),
    ChooseIdentity: (Identity, type(None)),
}


def _checked(question: Question, answer: object) -> object:
    """An answer of the kind that the question asks for; anything else would fail later and further away."""
    if not isinstance(answer, _ANSWERS[type(question)]):
        raise TLSError(CALLBACK_FAILED, question=question.NAME, problem=f"{type(answer).__name__} is not an answer")
    return answer


class ClientConnection(Connection):
    """A client's side of a connection.

    ``server_name``  the DNS name or IP address that the server has to prove; None only with a verifier that needs none
    """

    _post_handshake = established.OF_CLIENT

    def __init__(
        self, config: ClientConfig | None = None, *, server_name: str | None = None, tap: Tap | None = None
    ) -> None:
        config = config or ClientConfig()
        super().__init__(config, tap)
        if server_name is None and config.verifier is None:
            raise ConfigurationError(
                setting="server_name", problem="a name is needed to verify the server's certificate"
            )
        self._client_config = config
        self._server_name = None if server_name is None else normalized(server_name)

    def _script(self) -> Generator[Request, Any, Established]:
        return client(self._link, self._client_config, self._server_name)

    def _ask(self, question: Question) -> Any:
        assert isinstance(question, VerifyPeer)
        verifier = self._client_config.server_verifier
        if verifier is ASK:
            return ASK
        return verifier.verify_server(question.chain, question.server_name, question.now)  # type: ignore[union-attr]


class ServerConnection(Connection):
    """A server's side of a connection."""

    _post_handshake = established.OF_SERVER

    def __init__(self, config: ServerConfig, *, tap: Tap | None = None) -> None:
        super().__init__(config, tap)
        self._server_config = config

    def _script(self) -> Generator[Request, Any, Established]:
        return server(self._link, self._server_config)

    def _ask(self, question: Question) -> Any:
        if isinstance(question, Sign):
            return question.identity.signer.sign(question.scheme, question.content)
        assert isinstance(question, ChooseIdentity)
        chooser = self._server_config.choose_identity
        if chooser is None or chooser is ASK:
            return chooser
        return chooser(question.client_hello)  # type: ignore[operator]
