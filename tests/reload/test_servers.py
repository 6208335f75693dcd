"""Swaps under load: servers that go on, with clients of ours and of OpenSSL."""

from __future__ import annotations

import asyncio
import gc
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import uvloop

from handfast import (
    AlertReceived,
    ClientConfig,
    Files,
    Reloading,
    Server,
    ServerConfig,
    TLSError,
    TLSSocket,
    aio,
    connect,
    wrap,
)
from handfast.reasons import KEY_MISMATCH
from tests.handshake.parties import authority, trust
from tests.interop.processes import Program
from tests.peers import require_peer
from tests.reload.renewing import CHAIN, KEY, descriptors, issued, mount, put, served, settings_of, stranger
from tests.unit.transport.sockets import Running

Serve = Callable[[Reloading[ServerConfig]], Any]


def echo(tls: TLSSocket) -> None:
    while data := tls.recv():
        tls.sendall(data)


@contextmanager
def blocking(live: Reloading[ServerConfig]) -> Iterator[int]:
    with Server(echo, config=live) as server:
        yield server.address[1]


def asynchronous(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> Serve:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(TLSError, OSError):
            while data := await reader.read(1000):
                writer.write(data)
                await writer.drain()
        writer.close()
        with suppress(TLSError, OSError):
            await writer.wait_closed()

    @contextmanager
    def serve(live: Reloading[ServerConfig]) -> Iterator[int]:
        listener = socket.create_server(("127.0.0.1", 0))
        ends: list[Callable[[], object]] = []

        async def main() -> None:
            stop = asyncio.Event()
            ends.append(partial(asyncio.get_running_loop().call_soon_threadsafe, stop.set))
            server = await aio.start_server(handler, config=live, sock=listener)
            await stop.wait()
            server.close()
            await asyncio.sleep(0.2)  # for the connections that are closing

        def run() -> None:
            with asyncio.Runner(loop_factory=new_loop) as runner:
                runner.run(main())

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            ends[0]()
            thread.join(30)

    return serve


SERVERS = {
    "threads": blocking,
    "asyncio": asynchronous(asyncio.new_event_loop),
    "uvloop": asynchronous(uvloop.new_event_loop),
}


@pytest.fixture(params=SERVERS)
def serve(request: pytest.FixtureRequest) -> Serve:
    return SERVERS[request.param]


def test_the_next_connection_gets_the_new_certificate(serve: Serve, tmp_path: Path) -> None:
    put(tmp_path, issued("one.example"))
    live = Reloading(settings_of(tmp_path))
    with serve(live) as port:
        assert served(port) == ("localhost", "one.example")
        with connect("localhost", port, config=ClientConfig(trust=trust())) as before:
            put(tmp_path, issued("two.example"))
            live.reload()
            assert served(port) == ("localhost", "two.example")
            before.sendall(b"still there")
            assert before.recv() == b"still there"
            (tmp_path / KEY).write_bytes(b"")
            with pytest.raises(TLSError):
                live.reload()
            assert served(port) == ("localhost", "two.example")


@pytest.mark.parametrize("place", [put, mount], ids=["files", "mounted"])
def test_swaps_under_load(serve: Serve, tmp_path: Path, place: Callable[..., None]) -> None:
    """Clients all the time, of ours and of OpenSSL, while certificate and key are replaced. Nobody notices."""
    openssl, ca = require_peer("openssl"), authority().write(tmp_path)
    pairs = [issued("one.example"), issued("two.example", key="rsa2048")]
    folder = tmp_path / "live"
    folder.mkdir()
    steps = iter(range(10_000))

    def swap() -> None:
        number = next(steps)
        args = [folder, f"..{number}"] if place is mount else [folder]
        place(*args, pairs[number % 2])

    swap()
    done = threading.Event()
    seen: list[str] = []
    told: list[Any] = []
    live = Reloading(settings_of(folder), on_failure=told.append)

    def visits(port: int) -> int:
        config, count = ClientConfig(trust=trust()), 0
        while not done.is_set():
            with connect("localhost", port, config=config) as tls:
                tls.sendall(b"ping")
                assert tls.recv() == b"ping"
                assert tls.handshake.peer is not None
                seen.append(tls.handshake.peer.dns_names[1])
            count += 1
        return count

    def strangers(port: int) -> int:
        command = [openssl, "s_client", "-connect", f"127.0.0.1:{port}", "-servername", "localhost", "-CAfile", str(ca)]
        command += ["-verify_return_error", "-verify_hostname", "localhost"]
        count = 0
        while not done.is_set():
            run = subprocess.run(command, input=b"", capture_output=True, timeout=30)
            assert b"Verify return code: 0 (ok)" in run.stdout, run
            count += 1
        return count

    with serve(live) as port, live.watch(0.01), connect("localhost", port, config=ClientConfig(trust=trust())) as old:
        clients = [Running(visits, port), Running(visits, port), Running(strangers, port)]
        end = time.monotonic() + 4
        while time.monotonic() < end:
            before = live()
            swap()
            for _ in range(200):
                if live() is not before:
                    break
                time.sleep(0.01)
            else:
                raise AssertionError(f"not reloaded: {told}")
            old.sendall(b"still there")
            assert old.recv() == b"still there"
        done.set()
        assert all(client.result() > 3 for client in clients)
    assert set(seen) == {"one.example", "two.example"}
    # Somebody who writes two files may be held up between them, for longer than the watcher waits.
    assert all(error.reason is KEY_MISMATCH for error in told)
    assert place is put or told == []


def test_connections_and_swaps_leave_nothing(serve: Serve, tmp_path: Path) -> None:
    pairs = [issued("one.example"), issued("two.example")]
    put(tmp_path, pairs[0])
    live = Reloading(settings_of(tmp_path))

    def rounds(count: int) -> None:
        for number in range(count):
            served(port)
            put(tmp_path, pairs[number % 2])
            live.reload()

    def configurations() -> int:
        gc.collect()
        return sum(type(thing) is ServerConfig and len(thing.identities) == 1 for thing in gc.get_objects())

    with serve(live) as port:
        rounds(10)
        time.sleep(0.3)
        before, files = configurations(), descriptors()
        rounds(100)
        for _ in range(100):
            if descriptors() <= files and configurations() <= before:
                break
            time.sleep(0.05)
        assert descriptors() <= files
        assert configurations() <= before


def test_whom_a_server_trusts_is_reloaded_too(serve: Serve, tmp_path: Path) -> None:
    put(tmp_path, issued())
    roots = tmp_path / "clients.pem"
    ours, theirs = stranger(), stranger()
    roots.write_bytes(ours.pem)

    def settings(files: Files) -> ServerConfig:
        return ServerConfig(
            identities=[files.identity(tmp_path / CHAIN, tmp_path / KEY)],
            client_trust=files.trust(roots),
            client_authentication="required",
        )

    live = Reloading(settings)
    client = ClientConfig(trust=trust(), identities=[ours.issue("client", usage=["client"])])

    def visit() -> bytes:
        with connect("localhost", port, config=client) as tls:
            tls.sendall(b"ping")
            return tls.recv()

    with serve(live) as port, connect("localhost", port, config=client) as before:
        before.sendall(b"ping")
        assert before.recv() == b"ping"
        roots.write_bytes(theirs.pem)
        live.reload()
        with pytest.raises(AlertReceived):
            visit()
        before.sendall(b"ping")
        assert before.recv() == b"ping"
        roots.write_bytes(theirs.pem + ours.pem)
        live.reload()
        assert visit() == b"ping"


def test_any_other_transport_asks_by_on_client_hello(tmp_path: Path) -> None:
    put(tmp_path, issued("one.example"))
    live = Reloading(settings_of(tmp_path))
    config = ServerConfig(on_client_hello=lambda _: live())

    def visit() -> tuple[str, ...]:
        here, there = socket.socketpair()
        serving = Running(lambda: wrap(there, config))
        with wrap(here, ClientConfig(trust=trust()), server_name="localhost") as tls:
            serving.result().close()
            assert tls.handshake.peer is not None
            return tls.handshake.peer.dns_names

    assert visit() == ("localhost", "one.example")
    put(tmp_path, issued("two.example"))
    live.reload()
    assert visit() == ("localhost", "two.example")


# --- the command -----------------------------------------------------------------------------------------------------


@contextmanager
def command(folder: Path, *options: str) -> Iterator[tuple[Program, int, int]]:
    """`handfast serve` with the files of a folder: the program, its port, its process."""
    arguments = ["serve", "--port", "0", "--cert", str(folder / CHAIN), "--key", str(folder / KEY), *options]
    program = Program(sys.executable, "-m", "handfast", *arguments, environment={"PYTHONUNBUFFERED": "1"})
    with program:
        stream = "stderr" if "--json" in options else "stdout"
        port = int(program.wait_for(r"serving on 127.0.0.1 port (\d+)", stream)[1])
        program.wait_for("try it:", stream)
        yield program, port, program._process.pid


@pytest.mark.parametrize("options", [(), ("--json",)], ids=["text", "json"])
def test_the_command_reloads_on_sighup(tmp_path: Path, options: tuple[str, ...]) -> None:
    put(tmp_path, issued("one.example"))
    with command(tmp_path, *options) as (program, port, process):
        assert served(port) == ("localhost", "one.example")
        put(tmp_path, issued("two.example"))
        os.kill(process, signal.SIGHUP)
        stream = "stderr" if options else "stdout"
        line = program.wait_for(r"^reloaded: .*$", stream)[0]
        assert re.fullmatch(
            r"reloaded: the certificate is for localhost, two\.example, valid until \d{4}-\d\d-\d\d \d\d:\d\d UTC", line
        )
        assert served(port) == ("localhost", "two.example")
        (tmp_path / KEY).write_bytes(b"")
        os.kill(process, signal.SIGHUP)
        program.wait_for(r"not reloaded, what was in force stays: There is no readable\s+private key")
        assert served(port) == ("localhost", "two.example")


def test_the_command_looks_at_its_files(tmp_path: Path) -> None:
    put(tmp_path, issued("one.example"))
    roots = stranger().write(tmp_path, "clients")
    with command(tmp_path, "--client-ca", str(roots)) as (program, port, _):
        assert served(port) == ("localhost", "one.example")
        put(tmp_path, issued("two.example"))
        program.wait_for(r"^reloaded: .*two\.example", "stdout")
        assert served(port) == ("localhost", "two.example")
