"""asyncio's streams over TLS: transfers, half-closes, and every way to end or not to begin."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import Any

import pytest

from handfast import (
    AlertReceived,
    ConfigurationError,
    ConnectionFailed,
    HandshakeTimeout,
    Server,
    TLSError,
    TLSSocket,
    TruncationError,
    aio,
    limits,
    reasons,
)
from handfast.errors import BadRecord, CertificateNameMismatch, PeerMisbehaved, UnknownIssuer
from handfast.events import Handshake
from handfast.testing import Authority
from tests.handshake.parties import Recorder, client_config, fails, server_config
from tests.unit.transport.aio_running import LOOPS, Loop, Streams, closed, echo, serving, wait_until
from tests.unit.transport.sockets import Running, quiet, reset, tcp_pair

ALERT = b"\x15\x03\x03\x00\x02"
CANCELLED = ALERT + b"\x01\x5a" + ALERT + b"\x01\x00"  # user_canceled and close_notify


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Loop:
    return Loop(request.param)


# --- together ------------------------------------------------------------------------------------------------------


def test_there_and_back(run: Loop) -> None:
    async def main() -> None:
        async with serving(alpn=["echo"]) as served:
            reader, writer = await served.connect(config=client_config(alpn=["echo"]))
            writer.write(b"ping")
            assert await reader.readexactly(4) == b"ping"
            handshake = writer.get_extra_info("handshake")
            assert isinstance(handshake, Handshake)
            assert (handshake.version, handshake.alpn, handshake.server_name) == ("TLSv1.3", "echo", "127.0.0.1")
            assert writer.get_extra_info("peer") is handshake.peer
            assert writer.get_extra_info("tls_connection").handshake is handshake
            assert writer.get_extra_info("peername") == ("127.0.0.1", served.port)
            assert writer.get_extra_info("sockname")[0] == "127.0.0.1"
            assert writer.get_extra_info("socket").family == socket.AF_INET
            assert writer.get_extra_info("sslcontext") is None
            assert writer.get_extra_info("nothing", "of the kind") == "of the kind"
            writer.close()
            await writer.wait_closed()
            assert await reader.read() == b""
            assert not served.failures

    run(main())


def test_many_megabytes_both_ways_at_once(run: Loop) -> None:
    data = bytes(range(256)) * (1 << 15)

    async def main() -> None:
        async with serving() as served:
            reader, writer = await served.connect()

            async def send() -> None:
                for start in range(0, len(data), 300_000):
                    writer.write(data[start : start + 300_000])
                    await writer.drain()
                writer.write_eof()

            sending = asyncio.ensure_future(send())
            assert await reader.read() == data
            await sending
            await closed(writer)

    run(main())


def test_one_write_of_megabytes_and_pieces_of_it(run: Loop) -> None:
    data = memoryview(bytes(range(256)) * (1 << 13))

    async def main() -> None:
        async with serving() as served:
            reader, writer = await served.connect()
            writer.write(data)
            writer.writelines([b"and ", bytearray(b"a "), memoryview(b"few "), b"", b"words"])
            writer.write(b"")
            assert await reader.readexactly(len(data)) == data
            assert await reader.readexactly(15) == b"and a few words"
            await closed(writer)

    run(main())


def test_reading_goes_on_after_write_eof(run: Loop) -> None:
    async def late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        question = await reader.read()  # until the client is done
        await asyncio.sleep(0.05)
        writer.write(question[::-1] * 100_000)
        await closed(writer)

    async def main() -> None:
        async with serving(late) as served:
            reader, writer = await served.connect()
            assert writer.can_write_eof()
            writer.write(b"abc")
            writer.write_eof()
            writer.write_eof()
            with pytest.raises(RuntimeError, match="write_eof"):
                writer.write(b"more")
            assert await reader.read() == b"cba" * 100_000
            await closed(writer)

    run(main())


def test_a_thread_at_the_other_end(run: Loop) -> None:
    """The blocking transport: two implementations of a transport, one protocol."""

    def serve(tls: TLSSocket) -> None:
        while data := tls.recv():
            tls.sendall(data.upper())
        tls.sendall(b".")

    async def main() -> None:
        with Server(serve, config=server_config()) as server:
            reader, writer = await aio.open_connection(*server.address, config=client_config())
            writer.write(b"abc" * 100_000)
            writer.write_eof()
            assert await reader.read() == b"ABC" * 100_000 + b"."
            await closed(writer)

    run(main())


def test_a_name_a_socket_and_an_address_of_our_own(run: Loop) -> None:
    async def main() -> None:
        async with serving() as served:
            _, writer = await served.connect(server_name="localhost", local_addr=("127.0.0.2", 0))
            assert writer.get_extra_info("sockname")[0] == "127.0.0.2"
            assert writer.get_extra_info("handshake").server_name == "localhost"
            await closed(writer)
            sock = await served.dial()
            sock.setblocking(False)
            config = client_config()
            reader, writer = await aio.open_connection(config=config, server_name="localhost", sock=sock, limit=100)
            writer.write(b"x" * 1000 + b"\n")
            with pytest.raises(ValueError, match="limit"):
                await reader.readline()
            await closed(writer)

    run(main())


def test_happy_eyeballs() -> None:
    async def main() -> None:
        async with serving() as served:
            _, writer = await served.connect(happy_eyeballs_delay=0.25, server_name="localhost")
            await closed(writer)

    Loop("asyncio")(main())


def test_taps_of_both_sides(run: Loop) -> None:
    async def main() -> None:
        taps: dict[Any, Recorder] = {}
        mine = Recorder()
        async with serving(options={"tap": lambda address: taps.setdefault(address, Recorder())}) as served:
            _, writer = await served.connect(tap=mine)
            ((address, theirs),) = taps.items()
            assert address == writer.get_extra_info("sockname")
            await wait_until(lambda: ("received", "Finished", True) in theirs.story)
            assert mine.story[0] == ("sent", "ClientHello", False)
            await closed(writer)

    run(main())


def test_a_handler_that_is_no_coroutine(run: Loop) -> None:
    async def main() -> None:
        async with serving(lambda _, writer: writer.close()) as served:
            reader, writer = await served.connect()
            assert await reader.read() == b""
            await closed(writer)

    run(main())


# --- no connection -------------------------------------------------------------------------------------------------


def test_nobody_listens(run: Loop) -> None:
    async def main() -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            port = unused.getsockname()[1]
            with fails(ConnectionFailed, reasons.CONNECTION_FAILED) as caught:
                await aio.open_connection("127.0.0.1", port, config=client_config())
        assert caught.value.evidence["port"] == port
        assert caught.value.evidence["problem"] == "Connection refused"
        assert isinstance(caught.value.__cause__, ConnectionRefusedError)

    run(main())


def test_settings_are_looked_at_before_anything_is_sent(run: Loop) -> None:
    async def main() -> None:
        for settings in ({"host": "not a name", "port": 1}, {"sock": None}):
            with pytest.raises(ConfigurationError):
                await aio.open_connection(config=client_config(), **settings)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="here it is config or server_name"):
            await aio.open_connection("localhost", 1, ssl=True)  # type: ignore[call-arg]
        with pytest.raises(TypeError, match=r"'ssl_handshake_timeout' is for asyncio's TLS; here it is config$"):
            await aio.start_server(echo, "127.0.0.1", 0, config=server_config(), ssl_handshake_timeout=1)  # type: ignore[call-arg]

    run(main())


def test_a_port_that_is_taken(run: Loop) -> None:
    async def main() -> None:
        async with serving() as served:
            with pytest.raises(OSError, match="in use"):
                await aio.start_server(echo, "127.0.0.1", served.port, config=server_config())

    run(main())


# --- the handshake fails -------------------------------------------------------------------------------------------


def test_the_alert_arrives_and_the_server_goes_on(run: Loop) -> None:
    async def main() -> None:
        async with serving() as served:
            with fails(CertificateNameMismatch, reasons.CERTIFICATE_NAME_MISMATCH):
                await served.connect(server_name="other.example")
            (error,) = await served.failed()
            assert isinstance(error, AlertReceived)
            assert error.name == "bad_certificate"
            with fails(UnknownIssuer, reasons.UNKNOWN_ISSUER):
                await served.connect(config=client_config(trust=Authority.create().trust))
            error = (await served.failed(2))[1]
            assert isinstance(error, AlertReceived)
            assert error.name == "unknown_ca"
            address, _, tap = served.failures[1]
            assert address[0] == "127.0.0.1"
            assert tap is None
            await served.check_serving()

    run(main())


def test_the_server_refuses(run: Loop) -> None:
    async def main() -> None:
        async with serving(groups=["secp384r1"]) as served:
            with fails(AlertReceived, reasons.ALERT_RECEIVED) as caught:
                await served.connect(config=client_config(groups=["x25519"]))
            assert caught.value.name == "handshake_failure"
            assert type((await served.failed())[0]).__name__ == "PeerIncompatible"

    run(main())


@pytest.mark.parametrize(
    ("said", "reason"),
    [(b"HTTP/1.1 400 Bad Request\r\n\r\n", reasons.PLAINTEXT_HTTP), (b"\0\1\2\3\4\5\6\7", reasons.NOT_TLS)],
)
def test_a_client_at_a_port_of_something_else(run: Loop, said: bytes, reason: reasons.Reason) -> None:
    async def main() -> None:
        here, there = tcp_pair()
        peer = Running(quiet, there, said)
        with fails(PeerMisbehaved, reason):
            await aio.open_connection(sock=here, config=client_config(), server_name="localhost")
        heard = await asyncio.to_thread(peer.result)
        assert heard.endswith(ALERT + b"\2\x0a")

    run(main())


def test_the_server_closes_instead(run: Loop) -> None:
    async def main() -> None:
        here, there = tcp_pair()

        def close() -> None:
            there.recv(100_000)
            there.close()

        peer = Running(close)
        with fails(TruncationError, reasons.CLOSED_DURING_HANDSHAKE) as caught:
            await aio.open_connection(sock=here, config=client_config(), server_name="localhost")
        assert caught.value.step == "ServerHello"
        peer.result()

    run(main())


def test_the_server_resets_instead(run: Loop) -> None:
    async def main() -> None:
        here, there = tcp_pair()

        def break_off() -> None:
            there.recv(100_000)
            reset(there)

        peer = Running(break_off)
        with fails(ConnectionFailed, reasons.RESET) as caught:
            await aio.open_connection(sock=here, config=client_config(), server_name="localhost")
        assert caught.value.step == "ServerHello"
        assert isinstance(caught.value.__cause__, ConnectionResetError)
        peer.result()

    run(main())


# --- time ----------------------------------------------------------------------------------------------------------


def test_a_server_that_says_nothing(run: Loop) -> None:
    async def main() -> None:
        here, there = tcp_pair()
        peer = Running(quiet, there)
        with fails(HandshakeTimeout, reasons.HANDSHAKE_TIMEOUT) as caught:
            config = client_config(handshake_timeout=0.1)
            await aio.open_connection(sock=here, config=config, server_name="localhost")
        assert caught.value.evidence == {"seconds": 0.1}
        heard = await asyncio.to_thread(peer.result)
        assert heard.endswith(CANCELLED)

    run(main())


def test_a_client_that_says_nothing(run: Loop) -> None:
    async def main() -> None:
        async with serving(handshake_timeout=0.1) as served:
            sock = await served.dial()
            heard = await asyncio.to_thread(quiet, sock)
            assert heard == CANCELLED
            (error,) = await served.failed()
            assert isinstance(error, HandshakeTimeout)
            await served.check_serving()

    run(main())


def test_a_timeout_of_a_clock_that_is_late(run: Loop) -> None:
    """The deadline is in the configuration's clock: where that is behind the loop's, the timer is set once more."""
    ticks = iter([0.0, 0.0, 0.0, 0.01, 0.02, *[9.0] * 100])

    async def main() -> None:
        from handfast import Clock

        here, there = tcp_pair()
        peer = Running(quiet, there)
        config = client_config(handshake_timeout=0.05, clock=Clock(monotonic=lambda: next(ticks)))
        with fails(HandshakeTimeout, reasons.HANDSHAKE_TIMEOUT):
            await aio.open_connection(sock=here, config=config, server_name="localhost")
        await asyncio.to_thread(peer.result)

    run(main())


def test_the_time_of_a_handshake_is_none_of_the_connection(run: Loop) -> None:
    async def main() -> None:
        async with serving(handshake_timeout=0.3) as served:
            reader, writer = await served.connect(config=client_config(handshake_timeout=0.3))
            await asyncio.sleep(0.5)
            writer.write(b"still there?")
            assert await reader.readexactly(12) == b"still there?"
            await closed(writer)

    run(main())


# --- the end -------------------------------------------------------------------------------------------------------


def shaken_with_a_thread() -> tuple[socket.socket, Running]:
    """One end of a connection whose other end has a TLSSocket, in a thread."""
    from handfast import wrap

    here, there = tcp_pair()
    return here, Running(lambda: wrap(there, server_config()))


async def opened(run_end: tuple[socket.socket, Running]) -> tuple[Streams, TLSSocket]:
    here, peer = run_end
    streams = await aio.open_connection(sock=here, config=client_config(), server_name="localhost")
    return streams, await asyncio.to_thread(peer.result)


def test_bytes_that_end_without_close_notify(run: Loop) -> None:
    async def main() -> None:
        (reader, writer), tls = await opened(shaken_with_a_thread())
        tls.sendall(b"some")
        assert await reader.readexactly(4) == b"some"
        tls.below.stream.close()  # as if the process had died
        with fails(TruncationError, reasons.TRUNCATED):
            await reader.read()
        with fails(TruncationError, reasons.TRUNCATED):
            await writer.drain()
        with fails(TruncationError, reasons.TRUNCATED):
            await writer.wait_closed()
        writer.write(b"into the void")

    run(main())


def test_a_reset(run: Loop) -> None:
    async def main() -> None:
        (reader, writer), tls = await opened(shaken_with_a_thread())
        reset(tls.below.stream)
        with fails(ConnectionFailed, reasons.RESET):
            await reader.read()
        with suppress(TLSError):
            await writer.wait_closed()

    run(main())


def test_a_record_that_was_changed(run: Loop) -> None:
    async def main() -> None:
        (reader, writer), tls = await opened(shaken_with_a_thread())
        tls.sendall(b"good")
        tls.connection.send(b"bad")
        forged = bytearray(tls.connection.data_to_send())
        forged[-1] ^= 1
        tls.below.stream.sendall(forged)
        assert await reader.readexactly(4) == b"good"
        with fails(BadRecord, reasons.BAD_RECORD_MAC):
            await reader.read()
        with fails(AlertReceived, reasons.ALERT_RECEIVED) as caught:
            await asyncio.to_thread(tls.recv)
        assert caught.value.name == "bad_record_mac"
        with suppress(TLSError):
            await writer.wait_closed()

    run(main())


def test_abort_is_a_truncation_for_the_peer(run: Loop) -> None:
    async def main() -> None:
        (reader, writer), tls = await opened(shaken_with_a_thread())
        writer.transport.abort()
        writer.transport.abort()
        assert writer.is_closing()
        assert await reader.read() == b""  # by us
        with fails(TruncationError, reasons.TRUNCATED):
            await asyncio.to_thread(tls.recv)
        await writer.wait_closed()
        assert writer.get_extra_info("peername")

    run(main())


def test_closing_while_the_peer_talks_loses_nothing_of_ours(run: Loop) -> None:
    """Closing with unread data would reset the connection, and the reset could overtake what we sent last."""

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)
        writer.write(b"no more, please" * 10_000)
        await closed(writer)

    def talk(port: int) -> bytes:
        from handfast import connect

        with connect("127.0.0.1", port, config=client_config()) as tls:
            tls.sendall(b"x" * 100_000)
            answer = b""
            while data := tls.recv():
                answer += data
            return answer

    async def main() -> None:
        async with serving(hang_up) as served:
            for _ in range(10):
                assert await asyncio.to_thread(talk, served.port) == b"no more, please" * 10_000

    run(main())


def test_a_peer_that_goes_on_for_ever_after_we_have_closed(run: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "INPUT_HELD", 100_000)
    monkeypatch.setattr(limits, "CLOSE_SECONDS", 50.0)

    def talk(tls: TLSSocket) -> bool:
        try:
            while True:
                tls.sendall(bytes(10_000))
        except TLSError:
            return True

    async def main() -> None:
        (_, writer), tls = await opened(shaken_with_a_thread())
        talking = Running(talk, tls)
        await closed(writer)
        assert await asyncio.to_thread(talking.result)
        tls.close()

    run(main(), seconds=20)


def test_a_peer_that_never_closes(run: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CLOSE_SECONDS", 0.1)

    async def main() -> None:
        (_, writer), tls = await opened(shaken_with_a_thread())
        await asyncio.wait_for(closed(writer), 10)
        tls.close()

    run(main())


def test_a_peer_that_does_not_take_our_last_data(run: Loop) -> None:
    async def main() -> None:
        here, there = tcp_pair(buffer=4096)
        from handfast import wrap

        peer = Running(lambda: wrap(there, server_config()))
        config = client_config()
        _, writer = await aio.open_connection(sock=here, config=config, server_name="localhost", shutdown_timeout=0.2)
        tls = await asyncio.to_thread(peer.result)
        writer.write(bytes(1 << 22))
        writer.close()
        with fails(ConnectionFailed, reasons.RESET) as caught:
            await writer.wait_closed()
        assert caught.value.evidence["seconds"] == 0.2
        tls.close()

    run(main())


def test_a_slow_peer_gets_all_of_our_last_data(run: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time to close is for the peer's answer; for what is not sent yet there is the shutdown timeout."""
    monkeypatch.setattr(limits, "CLOSE_SECONDS", 0.1)

    def slow(tls: TLSSocket) -> int:
        import time

        total = 0
        time.sleep(0.5)
        with tls:
            while data := tls.recv():
                total += len(data)
        return total

    async def main() -> None:
        here, there = tcp_pair(buffer=4096)
        from handfast import wrap

        peer = Running(lambda: slow(wrap(there, server_config())))
        _, writer = await aio.open_connection(sock=here, config=client_config(), server_name="localhost")
        writer.write(bytes(1 << 20))
        writer.close()
        await writer.wait_closed()
        assert await asyncio.to_thread(peer.result) == 1 << 20

    run(main())


def test_a_handler_that_is_cancelled_has_not_said_all(run: Loop) -> None:
    """Its peer sees a truncation, not a clean end."""

    async def main() -> None:
        tasks: list[asyncio.Task[Any]] = []

        async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            tasks.append(task)
            writer.write(b"half of ")
            await asyncio.sleep(1000)

        async with serving(hang) as served:
            reader, writer = await served.connect()
            assert await reader.readexactly(8) == b"half of "
            tasks[0].cancel()
            with fails(TruncationError, reasons.TRUNCATED):
                await reader.read()
            with suppress(TLSError):
                await writer.wait_closed()

    run(main())


def test_a_loop_that_ends_with_connections_open(run: Loop) -> None:
    """asyncio.run cancels what runs; nothing is reported, and no socket stays open."""

    async def main() -> None:
        async with serving() as served:
            started = asyncio.Event()

            async def hold() -> None:
                _, writer = await served.connect()
                started.set()
                try:
                    await asyncio.sleep(1000)
                finally:
                    writer.transport.abort()

            holding = asyncio.ensure_future(hold())
            await started.wait()
        holding.cancel()
        await asyncio.gather(holding, return_exceptions=True)

    run(main())
