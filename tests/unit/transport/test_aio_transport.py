"""The transport as protocols see it: order of calls, flow control, buffers, and callbacks that fail."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from handfast import ConnectionFailed, PeerIdentity, TLSError, TruncationError, aio, limits, reasons
from handfast.transport.aio_transport import TLSTransport
from tests.handshake.parties import client_config, fails, server_config
from tests.unit.transport.aio_running import LOOPS, Loop, Served, closed, echo, serving, wait_until


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Loop:
    return Loop(request.param)


class Noting(asyncio.Protocol):
    """A protocol that notes what it is told."""

    def __init__(self, keep_open: bool = False) -> None:
        self.calls: list[str] = []
        self.data = bytearray()
        self.transport: TLSTransport
        self.error: Exception | None = None
        self.lost = asyncio.get_running_loop().create_future()
        self._keep_open = keep_open

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, TLSTransport)
        self.calls.append("made")
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        assert type(data) is bytes
        self.data += data
        if self.calls[-1] != "data":
            self.calls.append("data")

    def eof_received(self) -> bool:
        self.calls.append("eof")
        return self._keep_open

    def pause_writing(self) -> None:
        self.calls.append("pause")

    def resume_writing(self) -> None:
        self.calls.append("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.calls.append("lost")
        self.error = exc
        self.lost.set_result(None)


async def connected(served: Served, protocol: Callable[[], Any] = Noting, **options: Any) -> Any:
    """A protocol of ours, connected."""
    options.setdefault("config", client_config())
    transport, made = await aio.create_connection(protocol, "127.0.0.1", served.port, **options)
    assert transport.get_protocol() is (None if "lost" in getattr(made, "calls", ()) else made)
    return made


# --- the order of calls --------------------------------------------------------------------------------------------


def test_a_life(run: Loop) -> None:
    async def main() -> None:
        async with serving() as served:
            noting = await connected(served)
            transport = noting.transport
            assert isinstance(transport, asyncio.Transport)
            assert isinstance(transport.get_extra_info("peer"), PeerIdentity)
            assert transport.is_reading()
            assert not transport.is_closing()
            assert "open" in repr(transport)
            transport.write(b"a")
            await wait_until(lambda: noting.data)
            transport.close()
            transport.close()
            assert transport.is_closing()
            assert not transport.is_reading()
            transport.write(b"dropped")
            transport.write_eof()
            transport.resume_reading()
            transport.pause_reading()
            await noting.lost
            assert noting.calls == ["made", "data", "lost"]
            assert noting.error is None
            assert transport.get_protocol() is None
            assert transport.get_extra_info("handshake").version == "TLSv1.3"
            transport.abort()
            transport.write(b"dropped")

    run(main())


@pytest.mark.parametrize("keep_open", [True, False])
def test_the_peer_is_done(run: Loop, keep_open: bool) -> None:
    async def finish(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"all")
        writer.write_eof()
        heard.append(await reader.read())
        await closed(writer)

    heard: list[bytes] = []

    async def main() -> None:
        async with serving(finish) as served:
            noting = await connected(served, lambda: Noting(keep_open))
            await wait_until(lambda: "eof" in noting.calls)
            if keep_open:
                assert not noting.transport.is_closing()
                noting.transport.write(b"one thing more")
                noting.transport.close()
            await noting.lost
            await wait_until(lambda: heard)
            assert noting.calls == ["made", "data", "eof", "lost"]
            assert noting.data == b"all"
            assert noting.error is None
            assert heard == [b"one thing more" if keep_open else b""]

    run(main())


def test_data_and_an_end_that_come_at_once(run: Loop) -> None:
    """An error never overtakes the data before it."""

    async def broken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = writer.get_extra_info("tls_connection")
        for piece in range(50):
            connection.send(b"%02d" % piece)
        writer.transport._driver.lower.write(connection.data_to_send())  # type: ignore[attr-defined]
        writer.transport.abort()

    async def main() -> None:
        async with serving(broken) as served:
            noting = await connected(served)
            await noting.lost
            assert noting.data == b"".join(b"%02d" % piece for piece in range(50))
            assert type(noting.error) is TruncationError

    run(main())


def test_a_protocol_that_closes_at_once(run: Loop) -> None:
    class Shy(Noting):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            self.transport.close()

    async def main() -> None:
        async with serving() as served:
            noting = await connected(served, Shy)
            await noting.lost
            assert noting.calls == ["made", "lost"]
            await served.check_serving()
            assert not served.failures

    run(main())


def test_a_protocol_that_aborts_in_the_middle_of_its_data(run: Loop) -> None:
    class Rude(Noting):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self.transport.abort()

    async def main() -> None:
        async with serving() as served:
            noting = await connected(served, Rude)
            noting.transport.write(bytes(1_000_000))
            await noting.lost
            assert noting.calls.count("data") == 1
            assert noting.calls[-1] == "lost"
            assert noting.error is None

    run(main())


def test_another_protocol_takes_over(run: Loop) -> None:
    async def main() -> None:
        async with serving() as served:
            first = await connected(served)
            second = Noting()
            second.calls.append("took over")
            first.transport.set_protocol(second)
            assert first.transport.get_protocol() is second
            first.transport.write(b"for whom?")
            await wait_until(lambda: second.data)
            first.transport.close()
            await second.lost
            assert first.calls == ["made"]
            assert second.calls == ["took over", "data", "lost"]

    run(main())


def test_what_cannot_be_written(run: Loop) -> None:
    async def main() -> None:
        async with serving() as served:
            noting = await connected(served)
            with pytest.raises(TypeError, match="not str"):
                noting.transport.write("text")
            noting.transport.abort()
            await noting.lost

    run(main())


# --- flow control --------------------------------------------------------------------------------------------------


def test_paused_reading_holds_back_the_peer(run: Loop) -> None:
    """What is held meanwhile is what the sockets hold, and one read."""
    sent: list[int] = []

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        block = bytes(65_536)
        for _ in range(1000):
            writer.write(block)
            await writer.drain()
            sent.append(len(block))
        await closed(writer)

    async def main() -> None:
        async with serving(pour) as served:
            noting = await connected(served)
            noting.transport.pause_reading()
            noting.transport.pause_reading()
            assert not noting.transport.is_reading()
            count = -1
            while count != len(sent):  # until the server stands still
                count = len(sent)
                await asyncio.sleep(0.2)
            assert not noting.data
            assert sum(sent) < 20_000_000
            held = noting.transport.get_extra_info("tls_connection")._layer.held
            assert held <= 262_144
            noting.transport.resume_reading()
            noting.transport.resume_reading()
            assert noting.transport.is_reading()
            await noting.lost
            assert len(noting.data) == 65_536_000
            assert noting.calls == ["made", "data", "eof", "lost"]

    run(main())


def test_pausing_within_data_that_is_there_already(run: Loop) -> None:
    """Many records in one read: none is delivered while paused, nor the end, and the protocol goes piece by piece."""

    class Sipping(Noting):
        paused = False

        def data_received(self, data: bytes) -> None:
            assert not self.paused
            super().data_received(data)
            self.calls.append("paused")
            self.pause()

        def eof_received(self) -> bool:
            assert not self.paused
            self.pause()
            return super().eof_received()

        def pause(self) -> None:
            self.paused = True
            self.transport.pause_reading()
            asyncio.get_running_loop().call_later(0.01, self.resume)

        def resume(self) -> None:
            self.paused = False
            self.transport.resume_reading()

    async def burst(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(500):
            writer.write(bytes(100))
        writer.close()
        await writer.wait_closed()

    async def main() -> None:
        async with serving(burst) as served:
            noting = await connected(served, Sipping)
            await noting.lost
            assert len(noting.data) == 50_000
            assert noting.calls[-2:] == ["eof", "lost"]
            assert noting.error is None

    run(main())


def test_a_pause_that_is_taken_back_at_once(run: Loop) -> None:
    async def main() -> None:
        async with serving() as served:
            noting = await connected(served)
            for _ in range(3):
                noting.transport.pause_reading()
                noting.transport.resume_reading()
            noting.transport.pause_reading()
            noting.transport.write(b"back")
            await asyncio.sleep(0.1)
            assert not noting.data
            noting.transport.resume_reading()
            noting.transport.close()
            await noting.lost
            assert noting.calls == ["made", "lost"]

    run(main())


def test_writing_is_paused_by_what_the_socket_has_not_taken(run: Loop) -> None:
    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await go_on.wait()
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        while await reader.read(65_536):
            pass
        await closed(writer)

    go_on = asyncio.Event()

    async def main() -> None:
        async with serving(deaf) as served:
            noting = await connected(served)
            transport = noting.transport
            transport.set_write_buffer_limits(high=1_000_000, low=1000)
            assert transport.get_write_buffer_limits() == (1000, 1_000_000)
            written = 0
            while "pause" not in noting.calls:
                transport.write(bytes(100_000))
                written += 100_000
                await asyncio.sleep(0)
            assert 1_000_000 < transport.get_write_buffer_size() < 1_400_000
            assert written < 20_000_000
            go_on.set()
            await wait_until(lambda: "resume" in noting.calls)
            assert transport.get_write_buffer_size() <= 1000
            transport.close()
            await noting.lost
            assert noting.calls == ["made", "pause", "resume", "lost"]

    run(main())


def test_closing_with_much_to_send_tells_the_protocol_nothing_more(run: Loop) -> None:
    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.2)
        got.append(len(await reader.read()))
        await closed(writer)

    got: list[int] = []

    async def main() -> None:
        async with serving(deaf, {"limit": 1 << 25}) as served:
            noting = await connected(served)
            noting.transport.set_write_buffer_limits(high=1 << 24)
            noting.transport.write(bytes(10_000_000))
            noting.transport.close()
            await noting.lost
            assert noting.calls == ["made", "lost"]
            assert noting.error is None
            await wait_until(lambda: got)
            assert got == [10_000_000]

    run(main())


# --- BufferedProtocol ----------------------------------------------------------------------------------------------


class Buffers(asyncio.BufferedProtocol):
    """Takes data in pieces of a few bytes; pauses after every hundredth."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.buffer = bytearray(7)
        self.ended = asyncio.get_running_loop().create_future()
        self.pieces = 0
        self.paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, TLSTransport)
        self.transport = transport

    def get_buffer(self, sizehint: int) -> bytearray:
        assert sizehint > 0
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        assert not self.paused
        self.data += self.buffer[:nbytes]
        self.pieces += 1
        if self.pieces % 100 == 0:
            self.paused = True
            self.transport.pause_reading()
            asyncio.get_running_loop().call_soon(self.resume)

    def resume(self) -> None:
        self.paused = False
        self.transport.resume_reading()

    def eof_received(self) -> None:
        assert not self.paused

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set_result(exc)


def test_a_buffered_protocol(run: Loop) -> None:
    text = bytes(range(256)) * 100

    async def main() -> None:
        async with serving() as served:
            buffers = await connected(served, Buffers)
            buffers.transport.write(text)
            await wait_until(lambda: len(buffers.data) == len(text))
            assert buffers.data == text
            assert buffers.pieces > len(text) / 7
            buffers.transport.write(b"end")
            buffers.transport.write_eof()
            assert await buffers.ended is None
            assert buffers.data == text + b"end"

    run(main())


def test_a_buffered_protocol_that_closes_in_the_middle(run: Loop) -> None:
    class Enough(Buffers):
        def buffer_updated(self, nbytes: int) -> None:
            super().buffer_updated(nbytes)
            self.transport.close()

    async def main() -> None:
        async with serving() as served:
            buffers = await connected(served, Enough)
            buffers.transport.write(bytes(1000))
            assert await buffers.ended is None
            assert len(buffers.data) == 7

    run(main())


def test_a_buffered_protocol_without_a_buffer(run: Loop) -> None:
    class Empty(Buffers):
        def get_buffer(self, sizehint: int) -> bytearray:
            return bytearray()

    async def main() -> None:
        async with serving() as served:
            buffers = await connected(served, Empty)
            buffers.transport.write(b"something")
            error = await buffers.ended
            assert isinstance(error, RuntimeError)
            (report,) = run.reports
            assert report["exception"] is error
            run.reports.clear()

    run(main())


# --- callbacks that fail -------------------------------------------------------------------------------------------


def raising(name: str) -> type[Noting]:
    def fail(self: Noting, *args: object) -> None:
        getattr(Noting, name)(self, *args)
        raise ZeroDivisionError(name)

    return type("Failing", (Noting,), {name: fail})


@pytest.mark.parametrize("name", ["connection_made", "data_received", "eof_received", "pause_writing"])
def test_a_callback_that_raises_ends_the_connection(run: Loop, name: str) -> None:
    """The loop is told, as with any transport, and the peer sees no clean end."""

    async def other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"data")
        writer.write_eof()
        try:
            ends.append(await reader.read())
        except TLSError as error:
            ends.append(error)
        await closed(writer)

    ends: list[Any] = []

    async def main() -> None:
        async with serving(other) as served:
            noting = await connected(served, lambda: raising(name)(keep_open=True))
            if name == "pause_writing":
                noting.transport.set_write_buffer_limits(high=0)
                noting.transport.write(bytes(50_000_000))
            await noting.lost
            assert isinstance(noting.error, ZeroDivisionError)
            (report,) = run.reports
            assert report["exception"] is noting.error
            assert report["transport"] is noting.transport
            assert report["protocol"] is noting
            run.reports.clear()
            await wait_until(lambda: ends or served.failures)  # connection_made comes before our Finished is sent
            error = ends[0] if ends else served.failures[0][1]
            assert isinstance(error, TruncationError | ConnectionFailed)

    run(main())


def test_a_factory_that_raises(run: Loop) -> None:
    def fail() -> asyncio.Protocol:
        raise ZeroDivisionError("no protocol")

    async def main() -> None:
        async with serving() as served:
            with pytest.raises(ZeroDivisionError, match="no protocol"):
                await connected(served, fail)
            assert len(run.reports) == 1
            run.reports.clear()
        failures: list[Any] = []
        server = await aio.create_server(
            fail, "127.0.0.1", 0, config=server_config(), on_failure=lambda *facts: failures.append(facts)
        )
        async with server:
            port = server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
            reader, writer = await aio.open_connection("127.0.0.1", port, config=client_config())
            with pytest.raises(TLSError):
                await reader.read()
            with pytest.raises(TLSError):
                await writer.wait_closed()
            assert isinstance(failures[0][1], ZeroDivisionError)
            assert isinstance(run.reports.pop()["exception"], ZeroDivisionError)

    run(main())


def test_a_tap_that_cannot_be_made(run: Loop) -> None:
    def fail(address: Any) -> Any:
        raise ZeroDivisionError

    async def main() -> None:
        async with serving(echo, {"tap": fail}) as served:
            with fails(ConnectionFailed, reasons.RESET):
                await served.connect()
            (error,) = await served.failed()
            assert isinstance(error, ZeroDivisionError)
            assert served.failures[0][2] is None

    run(main())


def test_the_loss_of_a_connection_that_is_paused(run: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was not delivered is dropped; the protocol is told all the same."""
    monkeypatch.setattr(limits, "CLOSE_SECONDS", 0.1)

    async def main() -> None:
        async with serving() as served:
            noting = await connected(served)
            noting.transport.pause_reading()
            noting.transport.write(bytes(100_000))
            await asyncio.sleep(0.1)
            noting.transport._driver.lower.abort()  # as if somebody else had it
            await noting.lost
            assert noting.calls == ["made", "lost"]
            assert isinstance(noting.error, TruncationError)

    run(main())
