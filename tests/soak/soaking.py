"""Half a minute of everything at once: ``python -m tests.soak.soaking SECONDS SEED``.

Clients connect, send, listen, half-close, close, break off, reset, and are cancelled at any time, on asyncio and in threads,
against an asyncio server, a blocking one and OpenSSL's; clients of OpenSSL do likewise to the asyncio server. Then all that is left over is counted: there has to be nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import random
import socket
import struct
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvloop

import handfast
from handfast import ClientConfig, ServerConfig, TLSError
from handfast.testing import Authority
from tests.soak.strangers import Strangers, visits

LOOPS = (asyncio.new_event_loop, uvloop.new_event_loop)  # the seed decides
CLIENTS = 12  # at once on asyncio
THREADS = 3
LARGEST = 300_000
GROWTH = 24 * 1024  # KiB that the process may grow by between the first third and the end
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends a reset


@dataclass
class Soak:
    """What is shared: configurations, the ports, and what went wrong."""

    seconds: float
    seed: int
    authority: Authority = field(default_factory=Authority.create)
    wrong: list[str] = field(default_factory=list)
    done: dict[str, int] = field(default_factory=dict)
    end: float = 0.0

    def __post_init__(self) -> None:
        ours = self.authority.issue("localhost", "127.0.0.1")
        self.client = ClientConfig(trust=self.authority.trust, handshake_timeout=20)
        retry = ClientConfig(trust=self.authority.trust, handshake_timeout=20, key_shares=(), record_padding=512)
        stranger = ClientConfig(trust=Authority.create().trust, handshake_timeout=20)
        self.clients = (self.client, self.client, retry, stranger)
        self.server = ServerConfig(identities=[ours], handshake_timeout=20)

    def count(self, what: str) -> None:
        self.done[what] = self.done.get(what, 0) + 1

    def note_transfer(self, what: str, whole: bool) -> None:
        self.count(what)
        if not whole:
            self.wrong.append(f"what was sent did not come back ({what})")


# --- on asyncio -----------------------------------------------------------------------------------------------------


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except (TLSError, OSError):
        return  # the client has broken off: half of them do
    finally:
        writer.close()
        with contextlib.suppress(TLSError, OSError):
            await writer.wait_closed()


async def visit(soak: Soak, chance: random.Random, port: int) -> None:
    """One connection, and one of the ways in which it may go."""
    way = chance.choice(("echo", "echo", "half-close", "abort", "reset", "leave", "silent", "update"))
    data = chance.randbytes(chance.choice((0, 1, 100, 20_000, LARGEST)))
    config = chance.choice(soak.clients)
    reader, writer = await handfast.aio.open_connection("127.0.0.1", port, config=config, server_name="localhost")
    try:
        if way == "silent":
            return
        if way == "update":
            writer.get_extra_info("tls_connection").update_keys(request_peer=True)
        sending = asyncio.create_task(_send(writer, data, half_close=way == "half-close"))
        try:
            if way in ("abort", "reset", "leave"):
                await asyncio.sleep(chance.random() * 0.01)
                if way == "reset":
                    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                if way != "leave":
                    writer.transport.abort()
                return
            back = await (reader.read(-1) if way == "half-close" else reader.readexactly(len(data)))
            if back != data:
                soak.wrong.append(f"{len(data)} bytes came back as {len(back)} others ({way})")
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
    finally:
        writer.close()
        with contextlib.suppress(TLSError, OSError):
            await writer.wait_closed()
        soak.count(way)


async def _send(writer: asyncio.StreamWriter, data: bytes, *, half_close: bool) -> None:
    writer.write(data)
    await writer.drain()
    if half_close:
        writer.write_eof()


async def visitor(soak: Soak, chance: random.Random, port: int) -> None:
    """Connection after connection; one in five is cancelled at any time."""
    while time.monotonic() < soak.end:
        task = asyncio.create_task(visit(soak, chance, port))
        if chance.random() < 0.2:
            await asyncio.sleep(chance.random() * 0.02)
            task.cancel()
            soak.count("cancelled")
        try:
            await asyncio.wait_for(task, 30)
        except asyncio.CancelledError:
            continue
        except TimeoutError:
            soak.wrong.append("a connection took longer than 30 seconds")
        except TLSError as error:
            soak.count(type(error).__name__)


async def on_asyncio(soak: Soak, ports: list[int], strangers: Strangers) -> None:
    """``ports``: of the other servers."""
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: soak.wrong.append(f"loop: {context}"))
    loop.set_debug(False)
    server = await handfast.aio.start_server(echo, "127.0.0.1", 0, config=soak.server)
    port = server.sockets[0].getsockname()[1]
    chance = random.Random(soak.seed)
    third = asyncio.create_task(_memory_after(soak.seconds / 3))
    visiting = threading.Thread(
        target=visits, args=(strangers, port, random.Random(soak.seed), soak.end, soak.note_transfer)
    )
    visiting.start()
    ports = [port, *ports, port]
    await asyncio.gather(
        *(visitor(soak, random.Random(chance.random()), ports[number % len(ports)]) for number in range(CLIENTS))
    )
    await asyncio.to_thread(visiting.join, 60)
    grown = _memory() - await third
    if grown > GROWTH:
        soak.wrong.append(f"the process has grown by {grown} KiB")
    server.close()
    await server.wait_closed()
    deadline = time.monotonic() + 35
    while len(asyncio.all_tasks()) > 1 and time.monotonic() < deadline:  # noqa: ASYNC110 - nothing to wait for by name
        await asyncio.sleep(0.05)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        soak.wrong.append(f"a task is left over: {task}")


async def _memory_after(seconds: float) -> int:
    await asyncio.sleep(seconds)
    return _memory()


# --- in threads -----------------------------------------------------------------------------------------------------


def serve_back(tls: handfast.TLSSocket) -> None:
    with contextlib.suppress(TLSError, OSError):
        while data := tls.recv(65_536):
            tls.sendall(data)


def in_thread(soak: Soak, chance: random.Random, port: int) -> None:
    while time.monotonic() < soak.end:
        try:
            _visit_blocking(soak, chance, port)
        except (TLSError, OSError) as error:
            soak.count(type(error).__name__)
        except Exception as error:
            soak.wrong.append(f"thread: {error!r}")


def _visit_blocking(soak: Soak, chance: random.Random, port: int) -> None:
    way = chance.choice(("echo", "half-close", "abort", "leave"))
    data = chance.randbytes(chance.choice((1, 100, 20_000)))
    tls = handfast.connect("127.0.0.1", port, config=chance.choice(soak.clients), server_name="localhost", timeout=30)
    try:
        tls.sendall(data)
        if way == "abort":
            tls.abort()
            return
        if way == "half-close":
            tls.shutdown_write()
        if way != "leave":
            back = b""
            while len(back) < len(data) and (piece := tls.recv()):
                back += piece
            if back != data:
                soak.wrong.append(f"{len(data)} bytes came back as {len(back)} others (thread, {way})")
    finally:
        tls.close()
        soak.count(f"thread: {way}")


# --- and what is left over -------------------------------------------------------------------------------------------


def _memory() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGESIZE") // 1024


def _sockets() -> list[str]:
    links = []
    for number in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            links.append(str(number.readlink()))
    return [link for link in links if link.startswith("socket:")]


def _until_gone(what: Any, most: int, seconds: float) -> int:
    """How many there are, once there are no more than ``most`` or the time is over."""
    deadline = time.monotonic() + seconds
    while (number := len(what())) > most and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.05)
    return number


def main(seconds: float, seed: int) -> int:
    soak = Soak(seconds, seed)
    threading.excepthook = lambda args: soak.wrong.append(f"thread: {args.exc_value!r}")
    sys.unraisablehook = lambda args: soak.wrong.append(f"unraisable: {args.exc_value!r} in {args.object!r}")
    sockets, threads = len(_sockets()), threading.active_count()
    server = handfast.Server(serve_back, "127.0.0.1", 0, config=soak.server)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    soak.end = time.monotonic() + seconds
    port = server.address[1]
    clients = [
        threading.Thread(target=in_thread, args=(soak, random.Random(seed + number), port)) for number in range(THREADS)
    ]
    for client in clients:
        client.start()
    with Strangers(soak.authority) as strangers, asyncio.Runner(loop_factory=LOOPS[seed % 2]) as runner:
        runner.run(on_asyncio(soak, [port, strangers.port], strangers))
    for client in clients:
        client.join(60)
    server.close()
    serving.join(60)
    left = _until_gone(_sockets, sockets, 10)
    if left > sockets:
        soak.wrong.append(f"{left - sockets} sockets are left over")
    running = _until_gone(threading.enumerate, threads, 10)
    if running > threads:
        soak.wrong.append(f"threads are left over: {threading.enumerate()}")
    print(", ".join(f"{what} {number}" for what, number in sorted(soak.done.items())))
    for line in soak.wrong[:20]:
        print("WRONG:", line)
    return 1 if soak.wrong else 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), int(sys.argv[2])))
