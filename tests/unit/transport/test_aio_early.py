"""Early data and sessions on asyncio: nothing is lost, nothing is taken by accident, and answers come at once."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

import handfast
from handfast import aio
from handfast.sessions.keys import TicketKeyRing
from handfast.sessions.memory import MemorySessions
from handfast.sessions.session import Session
from tests.handshake.parties import client_config, server_config
from tests.unit.transport.aio_running import LOOPS, Loop, Served, closed, echo, serving, wait_until
from tests.unit.transport.test_early_data import Guard

pytestmark = pytest.mark.parametrize("loop", LOOPS)


def settings(**others: Any) -> dict[str, Any]:
    return {"tickets": TicketKeyRing(), "early_data": Guard()} | others


async def answering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Early data is answered as it comes; the rest is sent back."""
    early = writer.get_extra_info("early_data")
    if early is not None:
        assert writer.get_extra_info("handshake") is None
        assert writer.get_extra_info("peer") is None
        while data := await early.read(65_536):
            writer.write(b"early:" + data)
        assert writer.get_extra_info("handshake").early_data == "accepted"
    await echo(reader, writer)


async def hello(served: Served, config: handfast.ClientConfig, **options: Any) -> asyncio.StreamWriter:
    reader, writer = await served.connect(config=config, server_name="localhost", **options)
    writer.write(b"hello")
    assert await reader.readexactly(5) == b"hello"
    await closed(writer)
    return writer


def test_early_data_has_a_reader_of_its_own(loop: str) -> None:
    async def main() -> None:
        config = client_config(sessions=MemorySessions())
        async with serving(answering, {"early_data": True}, **settings()) as served:
            await hello(served, config)
            reader, writer = await served.connect(config=config, server_name="localhost", early_data=b"GET /")
            assert writer.get_extra_info("handshake").early_data == "accepted"
            assert writer.get_extra_info("early_data_rejected") == b""
            assert await reader.readexactly(11) == b"early:GET /"
            writer.write(b"more")
            assert await reader.readexactly(4) == b"more"
            await closed(writer)
            await served.check_serving()

    Loop(loop)(main())


def test_sessions_are_told_and_can_be_given(loop: str) -> None:
    async def main() -> None:
        told: list[Session] = []
        async with serving(answering, {"early_data": True}, **settings()) as served:
            await hello(served, client_config(sessions=MemorySessions()), on_session=told.append)
            writer = await hello(served, client_config(), session=told[-1])
            assert writer.get_extra_info("tls_connection").handshake.resumed

    Loop(loop)(main())


@pytest.mark.parametrize("why", ["guard", "session", "length"])
def test_refused_early_data_comes_back_before_the_protocol_is_connected(loop: str, why: str) -> None:
    class Client(asyncio.Protocol):
        def __init__(self) -> None:
            self.rejected: bytes | None = None
            self.received = asyncio.get_running_loop().create_future()

        def connection_made(self, transport: Any) -> None:
            self.rejected = transport.get_extra_info("early_data_rejected")
            transport.write(b"again:" + transport.get_extra_info("early_data_rejected"))

        def data_received(self, data: bytes) -> None:
            self.received.set_result(data)

    async def main() -> None:
        config = client_config(sessions=MemorySessions())
        options = settings(early_data=Guard(admits=why != "guard"), max_early_data=4 if why == "length" else 100)
        async with serving(answering, {"early_data": True}, **options) as served:
            if why != "session":
                await hello(served, config)
            transport, protocol = await aio.create_connection(
                Client, "127.0.0.1", served.port, config=config, server_name="localhost", early_data=b"GET /"
            )
            facts = transport.get_extra_info("handshake")
            assert facts.early_data == ("rejected" if why == "guard" else None)
            assert protocol.rejected == b"GET /"
            assert await protocol.received == b"again:GET /"
            transport.close()

    Loop(loop)(main())


class Early(asyncio.Protocol):
    """A server's protocol that takes early data."""

    instances: list[Early]

    def __init__(self) -> None:
        self.said: list[Any] = []
        self.lost = asyncio.get_running_loop().create_future()
        type(self).instances.append(self)

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.said.append("made")

    def early_data_received(self, data: bytes) -> None:
        self.said.append(("early", data, self.transport.get_extra_info("handshake")))
        self.transport.write(b"at once")

    def early_data_ended(self) -> None:
        self.said.append(("ended", self.transport.get_extra_info("handshake").early_data))

    def data_received(self, data: bytes) -> None:
        self.said.append(data)
        self.transport.write(data)

    def connection_lost(self, error: Exception | None) -> None:
        self.said.append("lost")
        self.lost.set_result(error)


@contextlib.asynccontextmanager
async def protocols(kind: type[Early], failures: list[Exception], **config: Any) -> Any:
    """A server of these, and what a client needs for early data at it."""
    kind.instances = []
    server = await aio.create_server(
        kind,
        "127.0.0.1",
        0,
        config=server_config(**settings(**config)),
        on_failure=lambda address, error, tap: failures.append(error),
    )
    client = client_config(sessions=MemorySessions())
    port = server.sockets[0].getsockname()[1]
    try:
        await first(port, client)
        kind.instances.clear()
        yield port, client
    finally:
        server.close()
        await server.wait_closed()


async def first(port: int, config: handfast.ClientConfig) -> None:
    reader, writer = await aio.open_connection("127.0.0.1", port, config=config, server_name="localhost")
    writer.write(b"x")
    await reader.readexactly(1)
    await closed(writer)


async def early(port: int, config: handfast.ClientConfig, data: bytes = b"GET /") -> Any:
    return await aio.open_connection("127.0.0.1", port, config=config, server_name="localhost", early_data=data)


def test_a_protocol_takes_early_data_by_a_method_of_its_own(loop: str) -> None:
    async def main() -> None:
        async with protocols(Early, []) as (port, config):
            reader, writer = await early(port, config)
            assert await reader.readexactly(7) == b"at once"
            writer.write(b"more")
            assert await reader.readexactly(4) == b"more"
            await closed(writer)
            (server,) = Early.instances
            await server.lost
            assert server.said == ["made", ("early", b"GET /", None), ("ended", "accepted"), b"more", "lost"]

    Loop(loop)(main())


def test_a_protocol_without_a_method_for_early_data_loses_the_connection(loop: str) -> None:
    """The client was told that its data is taken: to go on without it would be to lose it in silence."""

    class Unaware(Early):
        early_data_received = None  # type: ignore[assignment]

    async def main() -> None:
        failures: list[Exception] = []
        async with protocols(Unaware, failures) as (port, config):
            with pytest.raises((handfast.TLSError, OSError, asyncio.IncompleteReadError)):
                reader, writer = await early(port, config)
                try:
                    await reader.readexactly(1)
                finally:
                    await closed(writer)
            await wait_until(lambda: failures)
            assert [type(error) for error in failures] == [handfast.MisuseError]
            assert "early_data_received" in str(failures[0])
            assert [each.said for each in Unaware.instances] == [[]], "it was never connected"
            await first(port, config)  # who sends no early data is served

    Loop(loop)(main())


def test_streams_have_to_say_that_they_take_early_data(loop: str) -> None:
    async def main() -> None:
        with pytest.raises(handfast.ConfigurationError, match="early_data=True"):
            await aio.start_server(echo, "127.0.0.1", 0, config=server_config(**settings()))
        # What cannot be seen then shows when early data comes.
        configured = server_config(**settings())
        failures: list[Exception] = []
        server = await aio.start_server(
            echo,
            "127.0.0.1",
            0,
            config=lambda: configured,
            on_failure=lambda address, error, tap: failures.append(error),
        )
        async with server:
            config, port = client_config(sessions=MemorySessions()), server.sockets[0].getsockname()[1]
            await first(port, config)
            with pytest.raises((handfast.TLSError, OSError, asyncio.IncompleteReadError)):
                reader, writer = await early(port, config)
                try:
                    await reader.readexactly(1)
                finally:
                    await closed(writer)
            await wait_until(lambda: failures)
        assert [type(error) for error in failures] == [handfast.MisuseError]

    Loop(loop)(main())


@pytest.mark.parametrize("how", ["close", "write_eof"])
def test_what_is_ended_early_is_ended_once_hands_are_shaken(loop: str, how: str) -> None:
    class Ending(Early):
        def early_data_received(self, data: bytes) -> None:
            super().early_data_received(data)
            getattr(self.transport, how)()
            assert self.transport.is_closing() is (how == "close")

    async def main() -> None:
        async with protocols(Ending, []) as (port, config):
            reader, writer = await early(port, config, bytes(12_000))
            assert writer.get_extra_info("handshake").early_data == "accepted"
            assert await reader.read() == b"at once"
            await closed(writer)
            (server,) = Ending.instances
            assert await server.lost is None
            assert ("ended", "accepted") in server.said or how == "close"

    Loop(loop)(main())


def test_a_pause_holds_up_early_data_and_the_handshake(loop: str) -> None:
    class Pausing(Early):
        def early_data_received(self, data: bytes) -> None:
            super().early_data_received(data)
            self.transport.pause_reading()
            asyncio.get_running_loop().call_later(0.1, self.resume)

        def resume(self) -> None:
            self.said.append("resumed")
            self.transport.resume_reading()

    async def main() -> None:
        async with protocols(Pausing, [], max_early_data=50_000) as (port, config):
            reader, writer = await early(port, config, bytes(20_000))
            assert await reader.readexactly(14) == b"at once" * 2
            await closed(writer)
            (server,) = Pausing.instances
            await server.lost
            said = [item if isinstance(item, str) else item[0] for item in server.said]
            assert said == ["made", "early", "resumed", "early", "resumed", "ended", "lost"]

    Loop(loop)(main())


def test_a_handshake_that_is_paused_for_too_long_fails(loop: str) -> None:
    class Stuck(Early):
        def early_data_received(self, data: bytes) -> None:
            super().early_data_received(data)
            self.transport.pause_reading()

    async def main() -> None:
        failures: list[Exception] = []
        async with protocols(Stuck, failures, handshake_timeout=0.5) as (port, config):
            reader, writer = await early(port, config)
            with pytest.raises((handfast.TLSError, OSError, asyncio.IncompleteReadError)):
                await reader.readexactly(100)
            await closed(writer)
            (server,) = Stuck.instances
            assert isinstance(await server.lost, handfast.HandshakeTimeout)
            assert [type(error) for error in failures] == [handfast.HandshakeTimeout]

    Loop(loop)(main())


def test_what_a_taker_of_early_data_raises_ends_the_connection(loop: str) -> None:
    class Failing(Early):
        def early_data_received(self, data: bytes) -> None:
            raise ValueError("not this")

    running = Loop(loop)

    async def main() -> None:
        async with protocols(Failing, []) as (port, config):
            with pytest.raises((handfast.TLSError, OSError, asyncio.IncompleteReadError)):
                reader, writer = await early(port, config)
                try:
                    await reader.readexactly(1)
                finally:
                    await closed(writer)
            (server,) = Failing.instances
            assert isinstance(await server.lost, ValueError)
        assert [str(report["exception"]) for report in running.reports] == ["not this"]
        running.reports.clear()

    running(main())


def test_a_client_that_goes_away_within_its_handshake_is_told_of(loop: str) -> None:
    """The reader of early data ends with the error, and not as if hands had been shaken."""

    async def main() -> None:
        heard: list[Any] = []

        async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            found = writer.get_extra_info("early_data")
            if found is None:
                await echo(reader, writer)
                return
            heard.append(await found.readexactly(5))
            try:
                heard.append(await found.read())
            except Exception as error:
                heard.append(type(error))
            await closed(writer)

        config = client_config(sessions=MemorySessions())
        async with serving(hear, {"early_data": True}, **settings()) as served:
            await hello(served, config)
            client = handfast.ClientConnection(config, server_name="localhost", early_data=b"GET /")
            client.start()
            sock = await served.dial()
            with sock:
                await asyncio.to_thread(sock.sendall, client.data_to_send())
                await wait_until(lambda: heard)
            await wait_until(lambda: len(heard) > 1)
            await served.failed()
        assert heard[0] == b"GET /"
        assert issubclass(heard[1], handfast.TLSError)

    Loop(loop)(main())


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_what_on_session_raises_ends_the_connection(loop: str, version: str) -> None:
    """In TLS 1.2 that is before there is a connection, in TLS 1.3 after."""
    running = Loop(loop)

    def fail(_: Session) -> None:
        raise ValueError("no room")

    async def main() -> None:
        config = client_config(sessions=MemorySessions(), max_version=version)
        async with serving(echo, tickets=TicketKeyRing()) as served:
            with pytest.raises(ValueError, match="no room"):
                reader, writer = await served.connect(config=config, server_name="localhost", on_session=fail)
                try:
                    await reader.readexactly(1)
                finally:
                    await closed_whatever(writer)
        assert [str(report["exception"]) for report in running.reports] == ["no room"]
        running.reports.clear()

    running(main())


async def closed_whatever(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(Exception):
        await writer.wait_closed()
