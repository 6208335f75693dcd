"""Connections that begin in plain text, and TLS within TLS."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from handfast import AlertReceived, ConfigurationError, HandshakeTimeout, MisuseError, TLSError, aio, reasons
from handfast.errors import CertificateNameMismatch, PeerMisbehaved
from tests.handshake.parties import client_config, fails, server_config
from tests.unit.transport.aio_running import LOOPS, Loop, Streams, closed, serving, wait_until


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Loop:
    return Loop(request.param)


class Plain:
    """Where it is."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def __call__(self) -> Streams:
        return await asyncio.open_connection("127.0.0.1", self.port)


@asynccontextmanager
async def plain(
    handler: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[Plain]:
    """A server without TLS, and what dials it."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(TLSError, ConnectionError, asyncio.IncompleteReadError):
            await handler(reader, writer)
        await closed(writer)

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield Plain(server.sockets[0].getsockname()[1])


async def smtp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """As much of SMTP as STARTTLS needs (RFC 3207)."""
    writer.write(b"220 ready\r\n")
    while line := await reader.readline():
        if line == b"STARTTLS\r\n":
            writer.write(b"220 go ahead\r\n")
            await aio.upgrade(reader, writer, server_config(), server_side=True)
        else:
            over = "TLS" if writer.get_extra_info("handshake") else "plain text"
            writer.write(f"250 {line.decode().strip()} over {over}\r\n".encode())


# --- streams -------------------------------------------------------------------------------------------------------


def test_starttls(run: Loop) -> None:
    async def main() -> None:
        async with plain(smtp) as dial:
            reader, writer = await dial()
            assert await reader.readline() == b"220 ready\r\n"
            writer.write(b"EHLO\r\n")
            assert await reader.readline() == b"250 EHLO over plain text\r\n"
            writer.write(b"STARTTLS\r\n")
            assert await reader.readline() == b"220 go ahead\r\n"
            below = writer.transport
            await aio.upgrade(reader, writer, client_config(), server_name="localhost")
            assert writer.transport is not below
            assert writer.get_extra_info("handshake").server_name == "localhost"
            writer.write(b"EHLO\r\n")
            assert await reader.readline() == b"250 EHLO over TLS\r\n"
            writer.write_eof()
            assert await reader.read() == b""
            await closed(writer)

    run(main())


def test_flow_control_of_upgraded_streams(run: Loop) -> None:
    async def back(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await aio.upgrade(reader, writer, server_config(), server_side=True)
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()

    data = bytes(range(256)) * 20_000

    async def main() -> None:
        async with plain(back) as dial:
            reader, writer = await dial()
            await aio.upgrade(reader, writer, client_config(), server_name="localhost")

            async def send() -> None:
                writer.write(data)
                await writer.drain()
                writer.write_eof()

            sending = asyncio.ensure_future(send())
            await asyncio.sleep(0.1)  # so that the reader is full, and pauses
            assert await reader.read() == data
            await sending
            await closed(writer)

    run(main())


# --- what came before its time -------------------------------------------------------------------------------------


def test_plain_text_behind_the_answer_is_not_taken_for_protected(run: Loop) -> None:
    """An attacker on the way adds a line to the server's go-ahead (CVE-2011-0411, CVE-2021-38371)."""

    async def injected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 go ahead\r\n250 injected\r\n")
        await reader.read()

    async def main() -> None:
        async with plain(injected) as dial:
            reader, writer = await dial()
            assert await reader.readline() == b"220 go ahead\r\n"
            with fails(PeerMisbehaved, reasons.PLAINTEXT) as caught:
                await aio.upgrade(reader, writer, client_config(), server_name="localhost")
            assert caught.value.evidence["first_bytes"] == b"250 injected\r\n"
            assert writer.is_closing()
            await closed(writer)

    run(main())


def test_plain_text_behind_a_clients_command(run: Loop) -> None:
    async def main() -> None:
        async with plain(smtp) as dial:
            reader, writer = await dial()
            await reader.readline()
            writer.write(b"STARTTLS\r\nMAIL FROM:<attacker@example.com>\r\n")
            assert await reader.read() in (b"", b"220 go ahead\r\n")
            await closed(writer)

    run(main())


def test_plain_text_held_for_another_protocol_is_seen_too(run: Loop) -> None:
    async def injected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"go\nmore")
        await reader.read()

    async def main() -> None:
        async with plain(injected) as dial:
            reader, writer = await dial()
            await reader.readline()
            with fails(PeerMisbehaved, reasons.PLAINTEXT):
                await aio.start_tls(writer.transport, asyncio.Protocol(), client_config(), server_name="localhost")
            await closed(writer)

    run(main())


# --- transports ----------------------------------------------------------------------------------------------------


class Collecting(asyncio.Protocol):
    def __init__(self) -> None:
        self.data = bytearray()
        self.made = 0
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.made += 1

    def data_received(self, data: bytes) -> None:
        self.data += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(exc)


def test_a_protocol_keeps_its_life_through_the_upgrade(run: Loop) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await aio.upgrade(reader, writer, server_config(), server_side=True)
        writer.write(b"hello")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with plain(greet) as dial:
            transport, protocol = await loop.create_connection(Collecting, "127.0.0.1", dial.port)
            upgraded = await aio.start_tls(transport, protocol, client_config(), server_name="localhost")
            assert upgraded.get_protocol() is protocol
            assert await protocol.lost is None
            assert protocol.data == b"hello"
            assert protocol.made == 1

    run(main())


def test_an_upgrade_that_fails(run: Loop) -> None:
    errors: list[Exception] = []

    async def fail(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await aio.upgrade(reader, writer, server_config(), server_side=True)
        except TLSError as error:
            errors.append(error)
            with pytest.raises(TLSError):
                await reader.read()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with plain(fail) as dial:
            transport, protocol = await loop.create_connection(Collecting, "127.0.0.1", dial.port)
            with fails(CertificateNameMismatch, reasons.CERTIFICATE_NAME_MISMATCH) as caught:
                await aio.start_tls(transport, protocol, client_config(), server_name="other.example")
            assert type(await protocol.lost) is type(caught.value)
            await wait_until(lambda: errors)
            assert isinstance(errors[0], AlertReceived)

    run(main())


def test_an_upgrade_that_the_peer_does_not_join(run: Loop) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def main() -> None:
        async with plain(silent) as dial:
            reader, writer = await dial()
            with fails(HandshakeTimeout, reasons.HANDSHAKE_TIMEOUT):
                await aio.upgrade(reader, writer, client_config(handshake_timeout=0.1), server_name="localhost")
            with fails(HandshakeTimeout, reasons.HANDSHAKE_TIMEOUT):
                await writer.wait_closed()
            reader, writer = await dial()
            upgrading = asyncio.ensure_future(aio.upgrade(reader, writer, client_config(), server_name="localhost"))
            await asyncio.sleep(0.05)
            upgrading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await upgrading
            await closed(writer)

    run(main())


def test_what_cannot_be_upgraded(run: Loop) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def main() -> None:
        async with plain(silent) as dial:
            reader, writer = await dial()
            for config, server_side in ((client_config(), True), (server_config(), False), (None, True)):
                with fails(ConfigurationError, reasons.BAD_CONFIGURATION):
                    await aio.upgrade(reader, writer, config, server_side=server_side, server_name="localhost")
            with fails(ConfigurationError, reasons.BAD_CONFIGURATION):
                await aio.upgrade(reader, writer, client_config())  # whom?
            await closed(writer)
            with fails(MisuseError, reasons.MISUSE):
                await aio.start_tls(writer.transport, asyncio.Protocol(), client_config(), server_name="localhost")

    run(main())


# --- TLS within TLS ------------------------------------------------------------------------------------------------


def test_tls_within_tls(run: Loop) -> None:
    """A tunnel through a proxy that speaks TLS itself."""

    async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readline() == b"CONNECT\n"
        writer.write(b"OK\n")
        with suppress(TLSError):
            await aio.upgrade(reader, writer, server_config("ed25519"), server_side=True)
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        await closed(writer)

    data = bytes(range(256)) * 8000

    async def main() -> None:
        async with serving(tunnel) as served:
            reader, writer = await served.connect()
            writer.write(b"CONNECT\n")
            assert await reader.readline() == b"OK\n"
            outer = writer.get_extra_info("handshake")
            await aio.upgrade(reader, writer, client_config(), server_name="localhost")
            inner = writer.get_extra_info("handshake")
            assert (outer.signature_scheme, inner.signature_scheme) == ("ecdsa_secp256r1_sha256", "ed25519")
            assert writer.get_extra_info("peername")[1] == served.port

            async def send() -> None:
                writer.write(data)
                await writer.drain()
                writer.write_eof()

            sending = asyncio.ensure_future(send())
            assert await reader.read() == data
            await sending
            await closed(writer)

    run(main())


def test_within_and_around_the_tls_of_asyncio(tmp_path: Any) -> None:
    """`ssl` over handfast, and handfast over `ssl`: what the other layer knows is not taken for ours."""
    import trustme

    run = Loop("asyncio")
    theirs = trustme.CA()
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.issue_cert("localhost").configure_cert(server_context)
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    theirs.configure_trust(client_context)

    async def swap(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(TLSError, ssl.SSLError, ConnectionError):
            writer.write(await reader.read(100))
            await writer.drain()
            await reader.read()
        await closed(writer)

    async def ssl_inside(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await writer.start_tls(server_context)
        await swap(reader, writer)

    async def ssl_outside(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"go ahead\n")
        await aio.upgrade(reader, writer, server_config(), server_side=True)
        await swap(reader, writer)

    async def main() -> None:
        async with serving(ssl_inside) as served:
            reader, writer = await served.connect()
            await writer.start_tls(client_context, server_hostname="localhost")
            writer.write(b"ssl inside")
            assert await reader.readexactly(10) == b"ssl inside"
            await closed(writer)
        server = await asyncio.start_server(ssl_outside, "127.0.0.1", 0, ssl=server_context)
        async with server:
            port = server.sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", port, ssl=client_context, server_hostname="localhost"
            )
            assert writer.get_extra_info("peercert")
            assert await reader.readline() == b"go ahead\n"
            await aio.upgrade(reader, writer, client_config(), server_name="localhost")
            assert writer.get_extra_info("peercert") is None
            assert writer.get_extra_info("handshake").server_name == "localhost"
            writer.write(b"ssl outside")
            assert await reader.readexactly(11) == b"ssl outside"
            await closed(writer)

    run(main())
