"""Real peers on the other side of asyncio: OpenSSL's programs, and Python's own TLS."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from handfast import AlertReceived, TLSError, TruncationError, aio, reasons
from handfast.errors import UnknownIssuer
from handfast.testing import Authority
from tests.handshake.parties import authority, client_config, client_identity, fails, identity
from tests.interop.processes import Program, free_port
from tests.peers import require_peer
from tests.unit.transport.aio_running import LOOPS, Loop, closed, echo, serving, wait_until

DATA = bytes(range(256)) * 8192  # 2 MiB

free_port()  # the first one opens a file that stays open, which would be taken for something left behind


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Loop:
    return Loop(request.param)


class Files:
    """The test's identities, as files."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root.pem"
        self.root.write_bytes(authority().pem)
        self.chain, self.key = identity().write(folder)
        self.client_chain, self.client_key = client_identity().write(folder, "client")

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(self.chain, self.key)
        return context

    def client_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.root))
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        return context


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


# --- ssl -----------------------------------------------------------------------------------------------------------


async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send all there is, while it comes back."""

    async def send() -> None:
        for start in range(0, len(DATA), 100_000):
            writer.write(DATA[start : start + 100_000])
            await writer.drain()

    sending = asyncio.ensure_future(send())
    assert await reader.readexactly(len(DATA)) == DATA
    await sending


async def ssl_echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ssl.SSLError, ConnectionError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()
    with suppress(ssl.SSLError, ConnectionError):
        await writer.wait_closed()


def test_our_client_and_the_server_of_asyncio(run: Loop, files: Files) -> None:
    async def main() -> None:
        context = files.server_context()
        context.set_alpn_protocols(["echo"])
        server = await asyncio.start_server(ssl_echo, "127.0.0.1", 0, ssl=context)
        async with server:
            port = server.sockets[0].getsockname()[1]
            for _ in range(5):
                reader, writer = await aio.open_connection("127.0.0.1", port, config=client_config(alpn=["echo"]))
                assert writer.get_extra_info("handshake").alpn == "echo"
                await exchange(reader, writer)
                writer.close()
                await writer.wait_closed()
            with fails(UnknownIssuer, reasons.UNKNOWN_ISSUER):
                await aio.open_connection("127.0.0.1", port, config=client_config(trust=Authority.create().trust))
            await wait_until(lambda: run.reports or run.kind == "uvloop")
            for report in run.reports:  # theirs
                assert "ALERT_UNKNOWN_CA" in str(report["exception"])
            run.reports.clear()

    run(main())


def test_the_client_of_asyncio_and_our_server(run: Loop, files: Files) -> None:
    async def main() -> None:
        async with serving(alpn=["echo"]) as served:
            context = files.client_context()
            context.set_alpn_protocols(["echo"])
            for _ in range(5):
                reader, writer = await asyncio.open_connection("127.0.0.1", served.port, ssl=context)
                assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "echo"
                await exchange(reader, writer)
                writer.close()
                await writer.wait_closed()
            assert not served.failures
            with pytest.raises(ssl.SSLCertVerificationError):
                await asyncio.open_connection("127.0.0.1", served.port, ssl=ssl.create_default_context())
            (error,) = await served.failed()
            assert isinstance(error, AlertReceived | TruncationError)  # asyncio does not send its alert
            await served.check_serving()

    run(main())


def test_certificates_of_clients(run: Loop, files: Files) -> None:
    async def main() -> None:
        mutual: dict[str, Any] = {"client_authentication": "required", "client_trust": authority().trust}
        names: list[Any] = []

        async def who(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            names.append(writer.get_extra_info("peer"))
            await echo(reader, writer)

        async with serving(who, **mutual) as served:
            context = files.client_context()
            context.load_cert_chain(files.client_chain, files.client_key)
            reader, writer = await asyncio.open_connection("127.0.0.1", served.port, ssl=context)
            await exchange(reader, writer)
            writer.close()
            await writer.wait_closed()
            assert "spiffe://test/client" in repr(names[0])
            reader, writer = await asyncio.open_connection("127.0.0.1", served.port, ssl=files.client_context())
            with pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"):
                await reader.read()
            await ssl_closed(writer)

    run(main())


async def ssl_closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ssl.SSLError):
        await writer.wait_closed()


# --- OpenSSL -------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def openssl(*arguments: str) -> AsyncIterator[Program]:
    """A program in the hands of threads, so that this loop is none of its business."""
    program = await asyncio.to_thread(Program, require_peer("openssl"), *arguments)
    try:
        yield program
    finally:
        await asyncio.to_thread(program.stop)


@asynccontextmanager
async def s_server(files: Files, *options: str) -> AsyncIterator[tuple[Program, int]]:
    port = free_port()
    command = ["s_server", "-accept", f"127.0.0.1:{port}", "-cert", str(files.chain), "-key", str(files.key)]
    async with openssl(*command, "-naccept", "1", *options) as program:
        await asyncio.to_thread(program.wait_for, "ACCEPT", "stdout")
        yield program, port


def test_openssl_s_server(run: Loop, files: Files) -> None:
    async def main() -> None:
        async with s_server(files, "-rev") as (_, port):
            reader, writer = await aio.open_connection("127.0.0.1", port, config=client_config())
            writer.write(b"turn around\n")
            assert await reader.readline() == b"dnuora nrut\n"
            writer.write(b"CLOSE\n")
            assert await reader.read() == b""  # with close_notify, or this would be a TruncationError
            await closed(writer)

    run(main())


def test_openssl_s_server_sees_our_alert(run: Loop, files: Files) -> None:
    """And not a reset in its place."""

    async def main() -> None:
        async with s_server(files) as (program, port):
            with pytest.raises(TLSError):
                await aio.open_connection("127.0.0.1", port, config=client_config(), server_name="other.example")
            await asyncio.to_thread(program.wait_for, "alert bad certificate")

    run(main())


def test_openssl_s_client(run: Loop, files: Files) -> None:
    async def main() -> None:
        async with serving() as served:
            options = ["-CAfile", str(files.root), "-verify_return_error", "-quiet", "-no_ign_eof"]
            async with openssl("s_client", "-connect", f"127.0.0.1:{served.port}", *options) as program:
                program.write(b"there and back\n")
                await asyncio.to_thread(program.wait_for, "^there and back$", "stdout")
                program.end_input()
                assert await asyncio.to_thread(program.wait) == 0
            assert not served.failures

    run(main())


def test_openssl_s_client_that_trusts_somebody_else(run: Loop, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    other.write_bytes(Authority.create().pem)

    async def main() -> None:
        async with serving() as served:
            options = ["-CAfile", str(other), "-verify_return_error", "-quiet"]
            async with openssl("s_client", "-connect", f"127.0.0.1:{served.port}", *options) as program:
                await asyncio.to_thread(program.wait_for, "verify error")
                (error,) = await served.failed()
            assert isinstance(error, AlertReceived)
            assert error.name == "unknown_ca"
            await served.check_serving()

    run(main())
