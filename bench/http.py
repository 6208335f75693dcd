"""HTTP over the contexts of `ssl` and over ours: httpx and aiohttp as clients, uvicorn as the server.

What is measured is one side, in this process. The other side is a process of its own over `ssl` (bench.http_peer), the same
for both libraries. Version, suite and group are the same for both, and the server sends no tickets; for the rest each has
its defaults: handfast's client remembers that it has accepted the chain.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from time import sleep
from typing import Any

from bench.credentials import SERVER_NAME, Credentials
from bench.peers import Peer, Task, Unavailable

NEW = 20  # requests of one run, each over a connection of its own
KEPT = 200  # requests of one run over one connection
SECONDS = 20.0  # for anything to start or to end


def httpx_requests(peer: Peer, credentials: Credentials, *, kept: bool) -> Task:
    """GETs by httpx.Client, which goes over sockets."""
    import httpx

    context, _ = contexts_of(peer, credentials)
    other = Other("serve", credentials)
    limits = httpx.Limits(max_keepalive_connections=1 if kept else 0)
    client = httpx.Client(verify=context, limits=limits, trust_env=False, timeout=SECONDS)
    url, headers, extensions = f"https://127.0.0.1:{other.port}/", {"Host": SERVER_NAME}, {"sni_hostname": SERVER_NAME}
    amount = KEPT if kept else NEW

    def run() -> None:
        for _ in range(amount):
            answer = client.get(url, headers=headers, extensions=extensions)
            assert answer.content == b"hello"

    def end() -> None:
        client.close()
        other.end()

    return Task(run, amount, end)


def aiohttp_requests(peer: Peer, credentials: Credentials, *, kept: bool) -> Task:
    """GETs by aiohttp.ClientSession, which goes over asyncio's transports."""
    import aiohttp

    context, _ = contexts_of(peer, credentials)
    other = Other("serve", credentials)
    loop = asyncio.new_event_loop()
    url = f"https://127.0.0.1:{other.port}/"
    amount = KEPT if kept else NEW

    async def session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context, force_close=not kept, limit=1))

    client = loop.run_until_complete(session())

    async def several() -> None:
        for _ in range(amount):
            async with client.get(url, server_hostname=SERVER_NAME) as answer:
                assert await answer.read() == b"hello"

    def end() -> None:
        loop.run_until_complete(client.close())
        loop.close()
        other.end()

    return Task(lambda: loop.run_until_complete(several()), amount, end)


def uvicorn_requests(peer: Peer, credentials: Credentials, *, kept: bool) -> Task:
    """Requests that uvicorn answers, on asyncio, in a thread of this process."""
    import uvicorn

    _, context = contexts_of(peer, credentials)
    config = uvicorn.Config(
        _hello,
        host="127.0.0.1",
        port=0,
        loop="asyncio",
        http="h11",
        lifespan="off",
        log_level="critical",
        access_log=False,
        ssl_context_factory=lambda *_: context,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    for _ in range(round(SECONDS / 0.01)):
        if server.started:
            break
        sleep(0.01)
    assert server.started
    port: int = server.servers[0].sockets[0].getsockname()[1]
    other = Other("load", credentials, str(port))
    amount = KEPT if kept else NEW

    def end() -> None:
        other.end()
        server.should_exit = True
        thread.join(SECONDS)

    return Task(lambda: other.do(f"{'kept' if kept else 'new'} {amount}"), amount, end)


async def _hello(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello"})


class Other:
    """The other side, in a process of its own."""

    def __init__(self, role: str, credentials: Credentials, *arguments: str) -> None:
        with tempfile.TemporaryDirectory() as folder:
            server, root = Path(folder, "server.pem"), Path(folder, "root.pem")
            server.write_bytes(credentials.leaf_pem + credentials.key_pem)
            root.write_bytes(credentials.root_pem)
            self._process = subprocess.Popen(
                [sys.executable, "-m", "bench.http_peer", role, str(server), str(root), *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                bufsize=1,
            )
            self.port = int(self._answer())  # it has read the files

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the other side has ended")
        return line

    def do(self, command: str) -> None:
        """Let it do something, until it has done it."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\n")
        self._answer()

    def end(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(SECONDS)


def contexts_of(peer: Peer, credentials: Credentials) -> Any:
    """The peer's contexts, client and server, as ``ssl`` shapes them. Raises Unavailable where it has none."""
    make = getattr(peer, "contexts", None)
    if make is None:
        raise Unavailable("it has no contexts as ssl shapes them")
    return make(credentials)
