"""One connection to the runner: handshake, checks, data, and the end."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from handfast import (
    AlertReceived,
    ApplicationData,
    ClientConnection,
    ConfigurationError,
    HandshakeCompleted,
    MisuseError,
    PeerClosed,
    ServerConnection,
    TLSError,
    TruncationError,
)
from handfast.events import EarlyData, EarlyDataRejected, SessionReceived
from handfast.handshake.flow import ChooseIdentity, Question, ReviewClientHello
from handfast.observe.tap import Seen, Trace
from handfast.reasons import INTERNAL_ERROR, RENEGOTIATION_REFUSED
from handfast.wire.hello import ClientHello
from handfast.wire.messages13 import EncryptedExtensions
from tests.bogo.checks import CheckFailed, check_handshake, check_sessions, check_trace
from tests.bogo.flags import Options, Unimplemented
from tests.bogo.later import Later
from tests.bogo.sessions import Shared
from tests.bogo.setting import Setting, first_write
from tests.bogo.wire import Wire

SUCCESS, FAILURE, CHECK_FAILED = 0, 1, 90  # the runner takes 90 for a failure in any case
_READ_SIZE = 512
_RECORD_SIZES = (0, 1, 255, 256, 257, 16383, 16384, 16385, 32767, 32768, 32769)


def run(options: Options) -> int:
    """Everything that one test wants; returns the exit code. What went wrong is on standard error."""
    shared = Shared()
    settings = [(options, False), *((options.on_resume, True) for _ in range(options.resume_count or 0))]
    for of_connection, resumes in settings:
        code = _connect(options, Setting(of_connection, shared, resumes=resumes))
        if code != SUCCESS:
            return code
        shared.pass_time(of_connection.resumption_delay or 0)
    return SUCCESS


def _connect(first: Options, setting: Setting) -> int:
    """One connection, and its code."""
    options, shared = setting.options, setting.shared
    if setting.resumes and not options.server and shared.session is None:
        print("check failed: there is no session to resume", file=sys.stderr)
        return CHECK_FAILED
    wire = Wire(first.port, first.shim_id, ipv6=first.ipv6, one_byte=options.async_)
    try:
        Exchange(setting, wire).run()
    except (ConfigurationError, MisuseError):
        raise  # no peer can be the cause
    except TLSError as error:
        if error.reason is INTERNAL_ERROR:
            raise
        if options.renegotiate_freely and error.reason is RENEGOTIATION_REFUSED:
            raise Unimplemented("renegotiation") from None  # which is what the runner wants here
        print(told(error), file=sys.stderr)
        return FAILURE
    except CheckFailed as error:
        print(f"check failed: {error}", file=sys.stderr)
        return CHECK_FAILED
    finally:
        wire.close()
    shared.session = setting.sessions.newest
    return SUCCESS


def told(error: TLSError) -> str:
    """An error as the runner's configuration knows it: the Reason's name between colons, and for people the rest."""
    names = [error.reason.name]
    if isinstance(error, AlertReceived):
        names.append(f"received_{error.name}")
    return "\n".join([*(f":{name.upper()}:" for name in names), str(error)])


class Exchange:
    """One connection, as the flags want it."""

    def __init__(self, setting: Setting, wire: Wire) -> None:
        self._setting = setting
        self._wire = wire
        self._trace = Trace(self._notice)
        self._received = b""
        self._written = 0  # bytes that have gone out already of what the shim writes first
        self._offers_early = False
        if self._options.server:
            self._connection: Any = ServerConnection(setting.server(), tap=self._trace)
        else:
            name = self._options.host_name
            self._early = setting.early_data
            self._connection = ClientConnection(
                setting.client(), server_name=name, early_data=self._early, tap=self._trace
            )

    def run(self) -> None:
        """From the first byte to the last."""
        try:
            # -implicit-handshake leaves the handshake to the first read or write. There is no such difference without
            # a transport: bytes drive the handshake either way.
            self._connection.start()
            self._handshake()
            self._export()
            self._exchange_data()
            check_sessions(self._setting, self._trace)
            self._shut_down()
            check_trace(self._options, self._trace)
        finally:
            self._flush()

    @property
    def _options(self) -> Options:
        """The flags that are in force."""
        return self._setting.options

    # --- events

    def _event(self) -> Any:
        """The next event that is no question; raises what the connection raises."""
        while True:
            event = self._connection.next_event()
            self._flush()
            if isinstance(event, Question):
                self._answer(event)
            elif event is not None:
                return event
            else:
                self._read()

    def _answer(self, question: Question) -> None:
        """Questions are open with -async only. Another byte may come before the answer."""
        find = self._finder(question)
        self._read_meanwhile()
        try:
            answer = find()
        except Exception as error:  # handfast has to take any exception that a callback of its users may raise
            question.refuse(error)
        else:
            question.answer(answer)

    def _finder(self, question: Question) -> Callable[[], Any]:
        if isinstance(question, ReviewClientHello):
            return lambda: self._setting.review(question.client_hello)
        if isinstance(question, ChooseIdentity):
            return lambda: self._setting.choose_for_client(question.client_hello)
        assert isinstance(question.awaitable, Later)
        return question.awaitable.find

    def _read_meanwhile(self) -> None:
        if self._wire.has_more:
            self._read()

    def _read(self) -> None:
        data = self._wire.read()
        if data:
            self._connection.receive_data(data)
        else:
            self._connection.receive_eof()

    def _flush(self) -> None:
        data = self._connection.data_to_send()
        if data:
            self._wire.send(data)

    # --- the handshake

    def _handshake(self) -> None:
        while isinstance(event := self._event(), EarlyData):
            self._answer_early(event)
        assert isinstance(event, HandshakeCompleted), "nothing else comes before it"
        if not self._options.server and event.handshake.early_data == "accepted":
            self._written = len(self._early)
        check_handshake(self._setting, event.handshake, self._trace)

    def _notice(self, seen: Seen) -> None:
        """See a client's early data refused: by a HelloRetryRequest, or by nothing said about it."""
        message = seen.message
        if isinstance(message, ClientHello):
            self._offers_early |= bool(message.early_data)
        elif self._offers_early and not self._options.server and not seen.sent:
            refused = isinstance(message, EncryptedExtensions) and not message.early_data
            if (refused or getattr(message, "is_retry_request", False)) and self._options.expect_reject_early_data:
                self._offers_early = False
                self._setting.retry()

    def _answer_early(self, event: EarlyData) -> None:
        """As any data; ahead of it goes what the shim writes first."""
        first = first_write(self._options)
        if self._options.shim_writes_first and not self._written:
            self._written = len(first)
            self._send(first)
        self._send(inverted(event.data))

    def _export(self) -> None:
        options, connection = self._options, self._connection
        if options.export_keying_material and self._offers_early:
            raise Unimplemented("keying material before the end of the handshake")
        if options.export_keying_material:
            context = options.export_context.encode() if options.use_export_context else None
            label = options.export_label
            self._send(connection.export_keying_material(label, options.export_keying_material, context))
        if options.tls_unique:
            self._send(connection.channel_binding("tls-unique"))
        if options.export_traffic_secrets:
            sides = ("CLIENT", "SERVER") if options.server else ("SERVER", "CLIENT")
            read, written = (self._setting.secrets.by_label[f"{side}_TRAFFIC_SECRET_0"] for side in sides)
            self._send(len(read).to_bytes(2, "little") + read + written)

    # --- data

    def _send(self, data: bytes) -> None:
        self._connection.send(data)
        self._flush()

    def _exchange_data(self) -> None:
        options = self._options
        if options.write_different_record_sizes:
            for size in _RECORD_SIZES:
                self._send(b"\x42" * size)
            return
        first = first_write(options)
        rest: bytes | memoryview = b""
        if options.read_with_unfinished_write and not self._written:
            # One byte goes out, and the others when there has been something to read.
            self._connection.send(first)
            record = memoryview(self._connection.data_to_send())
            self._wire.send(record[:1])
            rest = record[1:]
        elif options.shim_writes_first:
            self._send(first[self._written :])
        if not options.shim_shuts_down:
            self._echo(rest)

    def _echo(self, unsent: bytes | memoryview) -> None:
        """Answer each read at once with its bytes inverted, until the runner has no more."""
        options, connection = self._options, self._connection
        while True:
            if options.key_update_before_read:
                connection.update_keys()
                self._flush()
            data = self._receive(options.read_size or _READ_SIZE)
            if not data:
                return
            if unsent:
                self._wire.send(unsent)
                unsent = b""
            if options.use_exporter_between_reads:
                connection.export_keying_material("", 1)
            if options.key_update:
                connection.update_keys()
            self._send(inverted(data))

    def _receive(self, size: int) -> bytes:
        """Up to ``size`` bytes of application data; empty when the runner closes, cleanly or not."""
        while not self._received:
            try:
                event = self._event()
            except TruncationError:
                if self._options.check_close_notify:
                    raise
                return b""
            if isinstance(event, PeerClosed):
                return b""
            if isinstance(event, (SessionReceived, EarlyDataRejected)):
                continue  # the store has it; and what to do about the other one is known already
            assert isinstance(event, ApplicationData)
            self._received = bytes(event.data)
        data, self._received = self._received[:size], self._received[size:]
        return data

    # --- the end

    def _shut_down(self) -> None:
        """close_notify, and with -check-close-notify wait for the runner's if we were first."""
        if self._connection.failed:  # the runner went without a word, which was allowed
            return
        self._connection.close()
        self._flush()
        if self._options.shim_shuts_down and self._options.check_close_notify:
            while not isinstance(self._event(), PeerClosed):
                pass


def inverted(data: bytes) -> bytes:
    """What a shim answers."""
    return bytes(byte ^ 0xFF for byte in data)
