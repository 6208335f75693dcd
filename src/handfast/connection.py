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
import traceback
from abc import abstractmethod
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from handfast import limits
from handfast.certificates.names import normalized
from handfast.certificates.parsed import end_point
from handfast.config import ClientConfig, ServerConfig
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
from handfast.events import (
    ApplicationData,
    EarlyData,
    EarlyDataRejected,
    Handshake,
    HandshakeCompleted,
    PeerClosed,
    SessionReceived,
)
from handfast.handshake import established
from handfast.handshake.client import client, refusal
from handfast.handshake.established import Established
from handfast.handshake.flow import Flow, Question
from handfast.handshake.keeping import Keeping
from handfast.handshake.link import Link
from handfast.handshake.runner import Runner
from handfast.handshake.server import server
from handfast.reasons import (
    CLOSED_DURING_HANDSHAKE,
    INTERNAL_ERROR,
    TOO_MANY_MESSAGES,
    TOO_MANY_WARNINGS,
    TOO_MUCH_HELD,
    UNEXPECTED_APPLICATION_DATA,
    UNEXPECTED_MESSAGE,
    UNEXPECTED_RECORD,
)
from handfast.record.layer import RecordLayer
from handfast.sessions.session import Session
from handfast.wire.alert import FATAL, WARNING, Alert, ChangeCipherSpec
from handfast.wire.codepoints import AlertDescription, ContentType, HandshakeType, ProtocolVersion
from handfast.wire.hello import ServerHello
from handfast.wire.messages13 import KeyUpdate, NewSessionTicket

Event = HandshakeCompleted | ApplicationData | EarlyData | EarlyDataRejected | SessionReceived | PeerClosed | Question


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
        self._layer.padding = config.record_padding
        self._layer.data_allowed = False
        self._link = Link(self._layer, config, None if tap is None else tap.message)
        self._runner = Runner(self._script(), self._link)
        self._events: deque[Event] = deque()
        self._failure: TLSError | None = None
        self._handshake: Handshake | None = None
        self._established: Established | None = None
        self._started_at: float | None = None
        self._busy = False
        self._eof = False
        self._closed = False
        self._peer_closed = False
        self._warnings = 0
        self._messages_without_data = 0

    # --- what differs between client and server

    @abstractmethod
    def _script(self) -> Flow[Established]: ...

    _post_handshake: Mapping[int, Mapping[int, established.Handler]]

    # --- facts

    @property
    def handshake(self) -> Handshake | None:
        """What was agreed; None until the handshake is complete."""
        return self._handshake

    @property
    def tap(self) -> Tap | None:
        """The tap that the connection was made with."""
        return self._tap

    @property
    def failed(self) -> bool:
        """Whether the connection has failed."""
        return self._failure is not None

    @property
    def awaiting(self) -> str:
        """The message that is awaited or handled (RFC name), for errors and logs; "" once the handshake is over."""
        return self._runner.step

    @property
    def deadline(self) -> float | None:
        """When the handshake has to be complete, by the configuration's monotonic clock; None if there is no limit.

        The transport calls :meth:`handle_timeout` then.
        """
        timeout = self._config.handshake_timeout
        if self._started_at is None or timeout is None or self._handshake is not None:
            return None
        return self._started_at + timeout

    # --- keys for other protocols

    def export_keying_material(self, label: str, length: int, context: bytes | None = None) -> bytes:
        """``length`` secret bytes that both sides of this connection, and nobody else, can work out.

        ``label``    what they are for, from IANA's registry of exporter labels, or "EXPERIMENTAL ..."
        ``context``  mixed in. In TLS 1.3 no context is the same as an empty one (RFC 9846 section 7.5), in TLS 1.2 it is
                     not (RFC 5705 section 4)

        Raises MisuseError before the end of the handshake, and for a label or length that cannot be.
        """
        return established.export(self._end().exporter, label, length, context)

    def channel_binding(self, kind: str = "tls-exporter") -> bytes:
        """What ties an authentication inside this connection to it.

        "tls-exporter" (RFC 9266), 32 bytes; "tls-server-end-point" (RFC 5929 section 4), a hash of the server's
        certificate; in TLS 1.2 also "tls-unique" (RFC 5929 section 3), 12 bytes. Raises MisuseError for another one.
        """
        if kind == "tls-exporter":
            return self.export_keying_material("EXPORTER-Channel-Binding", 32)
        end = self._end()
        if kind == "tls-server-end-point":
            ours = isinstance(self, ServerConnection)
            return end_point(established.server_certificate(end.outcome, ours=ours))
        if kind == "tls-unique" and end.unique is not None:
            return end.unique
        raise MisuseError(
            problem=f"there is no channel binding {shown(kind)!r} in {ProtocolVersion.name(self._link.version)}"
        )

    def _end(self) -> Established:
        self._check_usable()
        end = self._established  # a failure in another thread takes it away
        if end is None:
            problem = "the handshake is not complete" if self._handshake is None else "the connection is closed"
            raise MisuseError(problem=problem)
        return end

    # --- bytes in

    def start(self) -> None:
        """Begin the handshake: a client's ClientHello is then in data_to_send."""
        self._check_usable()
        if self._started_at is not None or self._closed:
            done = "started" if self._started_at is not None else "closed"
            raise MisuseError(problem=f"the connection has been {done} already")
        self._started_at = self.clock.monotonic()
        self._guarded(lambda: self._advance(self._runner.advance(None)))
        if self._failure is not None:
            raise self._failure.copy() from self._failure.__cause__

    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        """Take what arrived; :meth:`next_event` makes events of it. Data after the peer's close_notify is ignored."""
        self._check_usable()
        if self._started_at is None:
            raise MisuseError(problem="start() comes first")
        if self._peer_closed or (self._closed and self._handshake is None):
            return
        self._layer.feed(data)
        if self._runner.question is not None and self._layer.held > limits.INPUT_HELD:
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
            if self._runner.question is not None:
                if not self._runner.answered:
                    return
                self._advance(self._runner.take_answer())
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
            traceback.clear_frames(error.__traceback__)  # the script may be among them, with its secrets
        except BaseException as error:
            # Ctrl-C within a callback, say: the script stopped in the middle, and nothing may go on from there.
            self._fail(TLSError(INTERNAL_ERROR, exception=type(error).__name__))
            traceback.clear_frames(error.__traceback__)  # see above
            raise
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
            self._handle_change_cipher_spec()
        else:
            raise BadRecord(UNEXPECTED_RECORD, content_type=ContentType.name(content_type))
        return True

    def _handle_change_cipher_spec(self) -> None:
        """In TLS 1.2 the script waits for it; in TLS 1.3 it means nothing (RFC 9846 section 5)."""
        self._link.check_not_interleaved(ContentType.CHANGE_CIPHER_SPEC)
        message = ChangeCipherSpec(changes_keys=ChangeCipherSpec.TYPE in self._runner.expected)
        self._report(message, encrypted=False)
        if message.changes_keys:
            self._advance(self._runner.advance(message))

    def _handle_application_data(self, content: bytes | memoryview) -> None:
        if self._handshake is None and self._link.early_data_left is None:
            raise PeerMisbehaved(UNEXPECTED_APPLICATION_DATA)
        self._link.check_not_interleaved(ContentType.APPLICATION_DATA)
        if not content:
            return  # it hides how much is said, and when (RFC 9846 section 5.1)
        if self._handshake is None:
            self._link.count_early_data(len(content))
            self._events.append(EarlyData(content))  # type: ignore[arg-type]  # encrypted content is bytes
            return
        self._messages_without_data = self._warnings = 0
        self._events.append(ApplicationData(content))  # type: ignore[arg-type]  # likewise

    def _handle_alert(self, alert: Alert, encrypted: bool) -> None:
        """RFC 9846 section 6: all alerts but two are errors, whatever their level.

        Before TLS 1.3 a warning is one: servers warn of an unrecognized_name, and go on (RFC 6066 section 3).
        """
        self._report(alert, encrypted)
        if alert.description == AlertDescription.CLOSE_NOTIFY:
            if self._handshake is None:
                raise AlertReceived(alert.description, alert.name, CLOSED_DURING_HANDSHAKE)
            self._peer_closed = True
            self._forget_keys()
            self._events.append(PeerClosed())
        elif alert.description == AlertDescription.USER_CANCELED or self._is_warning(alert):
            # To be ignored; close_notify follows a user_canceled (section 6.1).
            self._link.check_not_interleaved(ContentType.ALERT)
            self._warnings += 1
            if self._warnings > limits.WARNING_ALERTS:
                raise PeerMisbehaved(TOO_MANY_WARNINGS, limit=limits.WARNING_ALERTS)
        else:
            raise self._refusal(alert)

    def _is_warning(self, alert: Alert) -> bool:
        if alert.level != WARNING or ProtocolVersion.TLS_1_2 not in self._link.config.versions:
            return False
        return self._link.version in (0, ProtocolVersion.TLS_1_2)

    def _refusal(self, alert: Alert) -> AlertReceived:
        """The error for a fatal alert."""
        return AlertReceived(alert.description, alert.name)

    def _handle_message(self) -> bool:
        """Handle one handshake message; False if none is complete. A wrong one is refused before it is parsed."""
        messages = self._link.messages
        message_type = messages.type()
        if message_type is None:
            return False
        if self._handshake is not None:
            handler = established.handler(self._post_handshake[self._link.version], message_type)
            raw = messages.next()
            if raw is not None:
                self._handle_post_handshake(handler, raw)
            return raw is not None
        wanted = self._runner.expected.get(message_type)
        if wanted is None:
            raise PeerMisbehaved(UNEXPECTED_MESSAGE, expected=self._runner.step, came=HandshakeType.name(message_type))
        raw = messages.next()
        if raw is None:
            return False
        self._runner.step = wanted.NAME
        message = wanted.parse(raw)
        self._report(message, encrypted=self._layer.decrypting)
        self._advance(self._runner.advance(message))
        return True

    def _handle_post_handshake(self, handler: established.Handler, raw: bytes) -> None:
        if not (raw[0] == HandshakeType.KEY_UPDATE and self._layer.update_awaited):  # one that we asked for is no flood
            self._messages_without_data += 1
        if self._messages_without_data > limits.POST_HANDSHAKE_MESSAGES_WITHOUT_DATA:
            raise PeerMisbehaved(TOO_MANY_MESSAGES, limit=limits.POST_HANDSHAKE_MESSAGES_WITHOUT_DATA)
        message = handler(self._link, raw)
        self._report(message, encrypted=True)
        if isinstance(message, NewSessionTicket):
            self._take_ticket(message)

    def _take_ticket(self, message: NewSessionTicket) -> None:
        """A client makes a session of it."""

    def _report(self, message: object, encrypted: bool) -> None:
        if self._tap is not None:
            self._tap.message(False, message, encrypted)

    def _truncated(self) -> TLSError:
        if self._handshake is None:
            return TruncationError(CLOSED_DURING_HANDSHAKE)
        return TruncationError()

    # --- the script

    def _advance(self, result: Established | Question | None) -> None:
        """Send what the script has sent, and take what it came to."""
        self._link.flush()
        if isinstance(result, Question):
            self._events.append(result)
        elif result is not None and not self._closed and self._failure is None:  # by another thread, meanwhile
            self._complete(result)

    def _complete(self, end: Established) -> None:
        self._layer.change_cipher_spec_allowed = False
        self._layer.data_allowed = True
        assert self._started_at is not None
        self._link.timings.handshake = self.clock.monotonic() - self._started_at
        self._handshake = end.outcome.facts(self._link.timings, self._link.resumption)
        self._established = end
        if self._tap is not None:
            self._layer.on_key_update = self._report_key_update
        self._events.append(HandshakeCompleted(self._handshake))
        self._after_completion()

    def _after_completion(self) -> None:
        """What a client adds to the news."""

    # --- bytes out

    @property
    def has_data_to_send(self) -> bool:
        """Whether data_to_send has something."""
        return self._layer.pending

    def data_to_send(self) -> bytes | bytearray:
        """What has to be sent to the peer now; empty if there is nothing. Each byte is handed out once."""
        return self._layer.take()

    def send(self, data: bytes | bytearray | memoryview) -> None:
        """Protect application data; data_to_send then has it. Data of any length is split into records.

        A server that has taken early data may answer it before the handshake is complete (RFC 9846 section 4.5.3): the
        client has the key of its session, and nobody else can read the answer. But it may be a replay all the same.
        """
        self._check_can_send(early=self._link.answers_early)
        if len(data):
            self._layer.write_application_data(data)

    def update_keys(self, *, request_peer: bool = False) -> None:
        """Change the key that protects what we send (KeyUpdate, RFC 9846 section 4.7.3); data_to_send then says so.

        ``request_peer``: let the peer change its key too, which it does before it sends data again. Nobody has to call
        this: a key changes by itself before it has protected more than is safe.
        """
        self._check_can_send()
        if self._link.version != ProtocolVersion.TLS_1_3:
            raise MisuseError(problem=f"{ProtocolVersion.name(self._link.version)} has no KeyUpdate")
        self._layer.update_write(request_peer)

    def _check_can_send(self, early: bool = False) -> None:
        self._check_usable()
        if (self._handshake is None and not early) or self._closed:
            problem = "the connection is closed" if self._closed else "the handshake is not complete"
            raise MisuseError(problem=problem)

    def _report_key_update(self, message: KeyUpdate) -> None:
        assert self._tap is not None
        self._tap.message(True, message, True)

    def close(self) -> None:
        """Say that we shall send nothing more (close_notify, RFC 9846 section 6.1). The peer may go on sending.

        So in TLS 1.2, where the RFC wants both directions closed at once (RFC 5246 section 7.2.1), as hardly anyone does.
        During the handshake this gives up: user_canceled goes before close_notify, and nothing more is received.
        """
        if self._closed or self._failure is not None:
            return
        self._closed = True
        if self._handshake is None:
            self._runner.close()
            self._link.discard()
            if self._started_at is None:
                return
            self._send_last(AlertDescription.USER_CANCELED, AlertDescription.CLOSE_NOTIFY)
        else:
            self._send_last(AlertDescription.CLOSE_NOTIFY)
            self._forget_keys()

    def _forget_keys(self) -> None:
        """Once both sides have closed nothing is exported any more: in TLS 1.2 that takes the main secret itself."""
        if self._closed and self._peer_closed:
            self._established = None

    def _send_last(self, *descriptions: int) -> None:
        """The alerts that end what we send."""
        quiet = (AlertDescription.CLOSE_NOTIFY, AlertDescription.USER_CANCELED)
        alerts = [Alert(WARNING if description in quiet else FATAL, description) for description in descriptions]
        self._layer.write_last(*(alert.encode() for alert in alerts))
        if self._tap is not None:
            for alert in alerts:
                self._tap.message(True, alert, self._layer.encrypted)

    # --- failure

    def _check_usable(self) -> None:
        if self._failure is not None:
            raise self._failure.copy() from None

    def _fail(self, error: TLSError) -> None:
        """The connection is over: tell the peer why, with the keys now in force, and keep the reason."""
        if self._failure is not None:
            return
        cause = error.__cause__
        error.step = error.step or self._runner.step
        self._failure = error.copy()
        self._failure.__cause__ = cause
        self._runner.close()
        self._link.discard()
        self._established = None  # it has the exporter, in TLS 1.2 the main secret itself
        if error.sent_by != "peer" and not self._closed:
            self._failure.sent_by = "us"
            alert = AlertDescription.INTERNAL_ERROR if error.alert is None else error.alert
            follows = (AlertDescription.CLOSE_NOTIFY,) if alert == AlertDescription.USER_CANCELED else ()
            # The alert is a courtesy: a forked process or a broken tap must not hide the cause.
            with contextlib.suppress(Exception):
                self._send_last(alert, *follows)
        self._layer.forget()


class ClientConnection(Connection):
    """A client's side of a connection.

    ``server_name``  the DNS name or IP address that the server has to prove; None only with a verifier that needs none
    ``session``      to be resumed; by default one of the configuration's store, if it has one
    ``early_data``   sent with the ClientHello where the session allows so much, so that no round trip is waited for.
                     Whoever records it can send it again: only what does no harm twice belongs in it. Where the session
                     does not allow it, or the server does not take it, an EarlyDataRejected has it
    """

    _post_handshake = established.OF_CLIENT

    def __init__(
        self,
        config: ClientConfig | None = None,
        *,
        server_name: str | None = None,
        session: Session | None = None,
        early_data: bytes = b"",
        tap: Tap | None = None,
    ) -> None:
        config = config or ClientConfig()
        self._session = session
        self._early_data = early_data
        if server_name is None and config.verifier is None:
            raise ConfigurationError(
                setting="server_name", problem="a name is needed to verify the server's certificate"
            )
        self._client_config = config
        self._server_name = None if server_name is None else normalized(server_name)
        super().__init__(config, tap)
        self._keeping = Keeping(config, self._link)

    def _script(self) -> Flow[Established]:
        return client(self._link, self._client_config, self._server_name, self._session, self._early_data)

    def _after_completion(self) -> None:
        data, self._early_data = self._early_data, b""
        assert self._handshake is not None, "the handshake is complete"
        if data and self._handshake.early_data != "accepted":
            self._events.append(EarlyDataRejected(data))
        if self._established is not None and self._established.session is not None:
            self._events.append(SessionReceived(self._keeping.keep(self._established.session)))

    def _take_ticket(self, message: NewSessionTicket) -> None:
        session = self._keeping.ticket(self._established, message)
        if session is not None:
            self._events.append(SessionReceived(session))

    def _fail(self, error: TLSError) -> None:
        super()._fail(error)
        self._keeping.failed(error)

    def _refusal(self, alert: Alert) -> AlertReceived:
        if self._runner.step == ServerHello.NAME:
            return refusal(alert, self._client_config)
        return super()._refusal(alert)


class ServerConnection(Connection):
    """A server's side of a connection."""

    _post_handshake = established.OF_SERVER

    def __init__(self, config: ServerConfig, *, tap: Tap | None = None) -> None:
        self._server_config = config
        super().__init__(config, tap)

    def _script(self) -> Flow[Established]:
        return server(self._link, self._server_config)
