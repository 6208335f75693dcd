"""Dialogues over connections: a loop over a blocking stream, and a protocol of asyncio."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from handfast.config import ClientConfig
from handfast.errors import ConnectionFailed, TLSError, words
from handfast.reasons import STARTTLS_CLOSED
from handfast.transport.starttls.dialogue import Dialogue, Protocol

if TYPE_CHECKING:
    from handfast.transport.below import Below

Starttls = str | Protocol | Dialogue


def prepared(starttls: Starttls, config: ClientConfig | None, server_name: str | None) -> tuple[Dialogue, ClientConfig]:
    """The dialogue for what ``starttls=`` was given, begun; and the configuration, with the protocol's ALPN if it has none.

    Raises ConfigurationError for an unknown name, MisuseError for a dialogue that was used.
    """
    dialogue = starttls if isinstance(starttls, Dialogue) else Dialogue(starttls)
    config = ClientConfig() if config is None else config
    dialogue.start(server_name or "", config.handshake_timeout)
    alpn = dialogue.protocol.alpn
    return dialogue, dataclasses.replace(config, alpn=alpn) if alpn and not config.alpn else config


def converse(dialogue: Dialogue, stream: Below) -> None:
    """The whole dialogue over a stream, within its time. Where it fails the stream is closed."""
    deadline = None if dialogue.seconds is None else time.monotonic() + dialogue.seconds
    try:
        while True:
            _send(dialogue, stream, deadline)
            if dialogue.done:
                return
            dialogue.receive_data(stream.receive(deadline))
    except TLSError:
        stream.close()
        raise
    except TimeoutError:
        stream.close()
        dialogue.handle_timeout()
    except OSError as error:
        stream.close()
        raise _closed(dialogue, error) from None
    except BaseException:  # Ctrl-C, say
        stream.close()
        raise


def _send(dialogue: Dialogue, stream: Below, deadline: float | None) -> None:
    data = memoryview(dialogue.data_to_send())
    while data:
        data = data[stream.send(data, deadline) :]
    stream.flush(deadline)


def _closed(dialogue: Dialogue, error: Exception) -> ConnectionFailed:
    """The error where the connection broke."""
    return ConnectionFailed(STARTTLS_CLOSED, protocol=dialogue.protocol.title, problem=words(error))


class Conversing(asyncio.Protocol):
    """A dialogue over a transport of asyncio, which then goes to the protocol that shakes hands.

    ``following``  makes that one
    ``failed``     is told where it does not come to that; the connection is closed then
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        dialogue: Dialogue,
        following: Callable[[], asyncio.BaseProtocol],
        failed: Callable[[TLSError], None],
    ) -> None:
        self._loop = loop
        self._dialogue = dialogue
        self._following: Callable[[], asyncio.BaseProtocol] | None = following
        self._failed: Callable[[TLSError], None] | None = failed
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        if self._failed is None:  # given up meanwhile
            self._transport.abort()
            return
        if self._dialogue.seconds is not None:
            self._timer = self._loop.call_later(self._dialogue.seconds, self._late)
        self._go_on()

    def data_received(self, data: bytes) -> None:
        """Bytes from the server."""
        if self._failed is None:
            return
        try:
            self._dialogue.receive_data(data)
        except TLSError as error:
            self._fail(error)
        else:
            self._go_on()

    def eof_received(self) -> None:
        """The server closes."""
        self.data_received(b"")

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection broke."""
        if exc is None:
            self.data_received(b"")
        else:
            self._fail(_closed(self._dialogue, exc))

    def _go_on(self) -> None:
        assert self._transport is not None
        data = self._dialogue.data_to_send()
        if data:
            self._transport.write(data)
        if self._dialogue.done:
            transport, following = self._transport, self._following
            assert following is not None
            self._let_go()
            protocol = following()
            transport.set_protocol(protocol)
            protocol.connection_made(transport)

    def _late(self) -> None:
        try:
            self._dialogue.handle_timeout()
        except TLSError as error:
            self._fail(error)

    def _fail(self, error: TLSError) -> None:
        failed, transport = self._failed, self._transport
        self._let_go()
        if failed is not None:
            failed(error)
        if transport is not None:
            transport.abort()

    def give_up(self) -> None:
        """Nobody waits any more. Where the handshake has begun, this is no longer about us."""
        transport = self._transport
        self._let_go()
        if transport is not None:
            transport.abort()

    def _let_go(self) -> None:
        self._failed = self._transport = self._following = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
