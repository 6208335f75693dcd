"""asyncio and uvloop, which keep their own TLS protocol and take our contexts for it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import ssl
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop

from handfast import aio
from handfast.config import ClientConfig
from tests.ssl_module.conftest import MODULES, Make

LOOPS: dict[str, Callable[[], Any]] = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
EVERY_LOOP = pytest.mark.parametrize("loop", LOOPS)
EVERY_PAIR = pytest.mark.parametrize(
    ("client", "server"), [("handfast", "handfast"), ("handfast", "ssl"), ("ssl", "handfast")]
)
PAYLOAD = os.urandom(2_000_000)


def run(loop: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(asyncio.wait_for(work(), 60))


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(100_000):
        writer.write(data)
        await writer.drain()
    writer.close()
    await writer.wait_closed()


@EVERY_LOOP
@EVERY_PAIR
def test_streams(loop: str, client: str, server: str, client_of: Make, server_of: Make) -> None:
    asking = client_of(MODULES[client], alpn=("h2", "http/1.1"))
    answering = server_of(MODULES[server], alpn=("http/1.1",))

    async def work() -> None:
        async with await asyncio.start_server(_echo, "127.0.0.1", 0, ssl=answering) as listening:
            port = listening.sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=asking, server_hostname="localhost")
            side = writer.get_extra_info("ssl_object")
            assert side.selected_alpn_protocol() == "http/1.1"
            assert writer.get_extra_info("peercert")["subjectAltName"]
            assert writer.get_extra_info("cipher") == side.cipher()
            writer.write(PAYLOAD)
            assert await reader.readexactly(len(PAYLOAD)) == PAYLOAD
            writer.close()
            await writer.wait_closed()

    run(loop, work)


@EVERY_LOOP
@EVERY_PAIR
def test_start_tls_on_both_sides(loop: str, client: str, server: str, client_of: Make, server_of: Make) -> None:
    asking, answering = client_of(MODULES[client]), server_of(MODULES[server])

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readline() == b"STARTTLS\n"
        writer.write(b"go ahead\n")
        await writer.drain()
        await writer.start_tls(answering)
        await _echo(reader, writer)

    async def work() -> None:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
            reader, writer = await asyncio.open_connection(*listening.sockets[0].getsockname())
            writer.write(b"STARTTLS\n")
            assert await reader.readline() == b"go ahead\n"
            await writer.start_tls(asking, server_hostname="localhost")
            writer.write(PAYLOAD)
            assert await reader.readexactly(len(PAYLOAD)) == PAYLOAD
            writer.close()
            await writer.wait_closed()

    run(loop, work)


@EVERY_LOOP
def test_a_server_that_is_refused(loop: str, client_of: Make, server_of: Make) -> None:
    async def work() -> None:
        async with await asyncio.start_server(_echo, "127.0.0.1", 0, ssl=server_of(name="other")) as listening:
            port = listening.sockets[0].getsockname()[1]
            with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch") as caught:
                await asyncio.open_connection("127.0.0.1", port, ssl=client_of(), server_hostname="localhost")
            assert caught.value.verify_code == 62

    run(loop, work)


@EVERY_LOOP
@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_why_a_client_was_refused_is_in_the_log_of_the_server(
    loop: str, version: str, client_of: Make, server_of: Make, files: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    answering = server_of(version=version)
    answering.load_verify_locations(files["ca"])
    answering.verify_mode = ssl.CERT_REQUIRED

    async def work() -> None:
        async with await asyncio.start_server(_echo, "127.0.0.1", 0, ssl=answering) as listening:
            port = listening.sockets[0].getsockname()[1]
            with pytest.raises((OSError, asyncio.IncompleteReadError)):  # of an end: the alert is not sent
                reader, writer = await asyncio.open_connection(
                    "127.0.0.1", port, ssl=client_of(), server_hostname="localhost"
                )
                with contextlib.closing(writer):  # TLS 1.3: a client is done before its server has looked at it
                    await reader.readexactly(1)

    with caplog.at_level(logging.INFO, "handfast.ssl"):
        run(loop, work)
    (record,) = (record for record in caplog.records if record.name == "handfast.ssl")
    assert record.levelno == logging.INFO
    assert record.getMessage().startswith("handshake failed: The client sent no certificate")
    assert "this server requires one. [at Certificate] The client needs a certificate from" in record.getMessage()


@EVERY_LOOP
def test_a_handshake_that_goes_well_is_no_news(
    loop: str, client_of: Make, server_of: Make, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        async with await asyncio.start_server(_echo, "127.0.0.1", 0, ssl=server_of()) as listening:
            port = listening.sockets[0].getsockname()[1]
            _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client_of(), server_hostname="localhost")
            writer.close()
            await writer.wait_closed()

    with caplog.at_level(logging.INFO, "handfast.ssl"):
        run(loop, work)
    assert [record for record in caplog.records if record.name == "handfast.ssl"] == []


@EVERY_LOOP
def test_a_peer_that_closes_first(loop: str, client_of: Make, server_of: Make) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"bye")
        writer.close()

    async def work() -> None:
        async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=server_of()) as listening:
            port = listening.sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", port, ssl=client_of(), server_hostname="localhost"
            )
            assert await reader.read() == b"bye"
            assert reader.at_eof()
            writer.close()
            await writer.wait_closed()

    run(loop, work)


def test_tls_within_tls(client_of: Make, server_of: Make) -> None:
    """start_tls once more, over a connection that is TLS already; asyncio alone can do that."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await writer.start_tls(server_of())
        await _echo(reader, writer)

    async def work() -> None:
        async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=server_of()) as listening:
            port = listening.sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", port, ssl=client_of(), server_hostname="localhost"
            )
            await writer.start_tls(client_of(), server_hostname="localhost")
            writer.write(PAYLOAD)
            assert await reader.readexactly(len(PAYLOAD)) == PAYLOAD
            writer.close()
            await writer.wait_closed()

    run("asyncio", work)


def test_our_own_asyncio_on_the_other_side(client_of: Make, server_of: Make, authority: Any) -> None:
    async def work() -> None:
        async with await asyncio.start_server(_echo, "127.0.0.1", 0, ssl=server_of()) as listening:
            port = listening.sockets[0].getsockname()[1]
            config = ClientConfig(trust=authority.trust)
            reader, writer = await aio.open_connection("127.0.0.1", port, config=config)
            writer.write(PAYLOAD)
            assert await reader.readexactly(len(PAYLOAD)) == PAYLOAD
            writer.close()
            await writer.wait_closed()

    run("asyncio", work)
