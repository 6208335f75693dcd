"""Servers over sockets that share a real Redis: those of asyncio await it, those with threads wait for it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import handfast
from handfast.sessions.keys import TicketKeyRing
from handfast.sessions.memory import MemorySessions
from handfast.transport.stores.shared import Shared
from handfast.transport.stores.shared_guard import RedisReplayGuard
from handfast.transport.stores.shared_keys import RedisKeyRing
from handfast.transport.stores.shared_states import RedisStore
from tests.handshake.parties import authority, client_config, identity, server_config
from tests.peers import require_peer
from tests.sessions.stores import SECRET, Redis, stopping
from tests.unit.transport.aio_running import LOOPS, Loop, serving
from tests.unit.transport.test_early_data import Guard


@pytest.fixture(scope="module")
def redis() -> Iterator[Redis]:
    server = Redis(require_peer("redis-server"))
    with stopping(server):
        yield server


def node(shared: Shared, kind: str) -> dict[str, Any]:
    """The settings of a node's server; each has keys, a store and a guard of its own."""
    ring = RedisKeyRing(shared, SECRET)
    store = RedisStore(shared, ring)
    ways: dict[str, dict[str, Any]] = {
        "tickets": {"tickets": ring},
        "names": {"tickets": store},
        "session_cache": {"session_cache": store},
    }
    return ways[kind] | {"early_data": RedisReplayGuard(shared)}


def talk(port: int, config: handfast.ClientConfig) -> bool:
    """Connect, say something, hear it again: whether it was a resumption."""
    with handfast.connect("127.0.0.1", port, config=config, server_name="localhost") as tls:
        tls.sendall(b"hello")
        assert tls.recv(5) == b"hello"
        resumed: bool = tls.handshake.resumed
        return resumed


KINDS = [("tickets", "1.3"), ("tickets", "1.2"), ("session_cache", "1.2"), ("names", "1.3")]


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize(("kind", "version"), KINDS)
def test_servers_of_asyncio_resume_what_another_has_made(redis, loop: str, kind: str, version: str) -> None:
    async def main() -> None:
        config = client_config(sessions=MemorySessions(), max_version=version)
        resumed = []
        shareds = [Shared.from_url(redis.url, asynchronous=True, prefix=f"{{{loop}{kind}{version}}}") for _ in range(2)]
        nodes = [node(shared, kind) for shared in shareds]
        for settings in (nodes[0], nodes[1], nodes[0]):
            async with serving(options={"early_data": True}, **settings) as served:
                resumed.append(await asyncio.to_thread(talk, served.port, config))
        for shared in shareds:
            await shared.close()
        assert resumed == [False, True, True]

    Loop(loop)(main())


@pytest.mark.parametrize(("kind", "version"), KINDS)
def test_servers_with_threads_resume_what_another_has_made(redis, kind: str, version: str) -> None:
    config = client_config(sessions=MemorySessions(), max_version=version)
    resumed = []
    shareds = [Shared.from_url(redis.url, wait=5.0, prefix=f"{{threads{kind}{version}}}") for _ in range(2)]
    nodes = [node(shared, kind) for shared in shareds]
    for settings in (nodes[0], nodes[1], nodes[0]):
        with handfast.Server(_echo, config=server_config(**settings)) as server:
            resumed.append(talk(server.address[1], config))
    for shared in shareds:
        shared.close()
    assert resumed == [False, True, True]


def _echo(tls: Any, *_: object) -> None:
    tls.sendall(tls.recv(5))


# --- early data, with OpenSSL on the other side


@pytest.fixture(scope="module")
def openssl() -> str:
    return require_peer("openssl")


@contextmanager
def s_server(openssl: str, folder: Path) -> Iterator[int]:
    """OpenSSL's server; what it says is in the file ``said``."""
    certificate, key = identity().write(folder, "server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [openssl, "s_server", "-accept", f"127.0.0.1:{port}", "-cert", certificate, "-key", key, "-tls1_3"]
    output = (folder / "said").open("w+b")
    with (
        output,
        subprocess.Popen(
            [*command, "-early_data", "-max_early_data", "16384"], stdin=subprocess.PIPE, stdout=output, stderr=output
        ) as server,
    ):
        try:
            said_by(folder, b"ACCEPT")
            yield port
        finally:
            server.kill()


def said_by(folder: Path, what: bytes) -> None:
    """Wait until OpenSSL has said something."""
    for _ in range(1_500):
        if what in (folder / "said").read_bytes():
            return
        time.sleep(0.02)
    raise AssertionError((folder / "said").read_bytes())


def test_openssl_takes_our_early_data(openssl: str, tmp_path: Path) -> None:
    config = client_config(sessions=MemorySessions())

    def visit(port: int, early: bytes) -> tuple[Any, bytes]:
        with handfast.connect("127.0.0.1", port, config=config, server_name="localhost", early_data=early) as tls:
            tls.sendall(b"hello\n")
            tls.settimeout(0.5)
            with pytest.raises(TimeoutError):  # the server says nothing: its tickets are all that can be read
                tls.recv(1)
            return tls.handshake.early_data, tls.early_data_rejected

    async def asynchronously(port: int) -> tuple[Any, bytes]:
        _, writer = await handfast.aio.open_connection(
            "127.0.0.1", port, config=config, server_name="localhost", early_data=b"out of a loop\n"
        )
        facts = writer.get_extra_info
        said = facts("handshake").early_data, facts("early_data_rejected")
        writer.close()
        with contextlib.suppress(handfast.TLSError, OSError):
            await writer.wait_closed()
        return said

    with s_server(openssl, tmp_path) as port:
        assert visit(port, b"") == (None, b"")
        assert visit(port, b"out of a thread\n") == ("accepted", b"")
        assert visit(port, bytes(20_000)) == (None, bytes(20_000))
        assert asyncio.run(asynchronously(port)) == ("accepted", b"")
        for data in (b"out of a thread\n", b"out of a loop\n"):
            said_by(tmp_path, data)
        said = (tmp_path / "said").read_bytes()
    assert said.count(b"Early data received:\n") == 2


def s_client(openssl: str, port: int, folder: Path, *options: str) -> bytes:
    """OpenSSL's client: what it says until the server closes."""
    authority().write(folder)
    command = [openssl, "s_client", "-connect", f"127.0.0.1:{port}", "-servername", "localhost", "-tls1_3"]
    done = subprocess.run(
        [*command, *options, "-ign_eof"], input=b"hello\n", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60
    )
    return done.stdout


@pytest.mark.parametrize("kind", ["threads", "at once", *LOOPS])
def test_we_take_openssls_early_data(openssl: str, kind: str, tmp_path: Path) -> None:
    settings = {"tickets": TicketKeyRing(), "early_data": Guard()}
    early, saved = tmp_path / "early", tmp_path / "session"
    early.write_bytes(b"GET /early\n")

    def visits(port: int) -> None:
        first = s_client(openssl, port, tmp_path, "-sess_out", str(saved))
        assert b"said:hello" in first
        again = s_client(openssl, port, tmp_path, "-sess_in", str(saved), "-early_data", str(early))
        assert b"Early data was accepted" in again
        assert b"early:GET /early" in again
        assert b"said:hello" in again
        replayed = s_client(openssl, port, tmp_path, "-sess_in", str(saved), "-early_data", str(early))
        assert b"said:hello" in replayed

    def answer(tls: handfast.TLSSocket) -> None:
        if data := tls.early_data():
            tls.sendall(b"early:" + data)
        tls.sendall(b"said:" + tls.recv(100))

    async def answer_in_a_loop(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        found = writer.get_extra_info("early_data")
        if found is not None:
            writer.write(b"early:" + await found.readline())
        writer.write(b"said:" + await reader.readline())
        writer.close()

    async def main() -> None:
        async with serving(answer_in_a_loop, {"early_data": True}, **settings) as served:
            await asyncio.to_thread(visits, served.port)

    if kind in LOOPS:
        Loop(kind)(main())
        return
    at_once = (lambda tls, data: tls.sendall(b"early:" + data)) if kind == "at once" else None
    with handfast.Server(answer, config=server_config(**settings), on_early_data=at_once) as server:
        visits(server.address[1])
