"""Servers over sockets that share a real Redis: those of asyncio await it, those with threads wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

import handfast
from handfast.sessions.memory import MemorySessions
from handfast.transport.stores.shared import Shared
from handfast.transport.stores.shared_guard import RedisReplayGuard
from handfast.transport.stores.shared_keys import RedisKeyRing
from handfast.transport.stores.shared_states import RedisStore
from tests.handshake.parties import client_config, server_config
from tests.peers import require_peer
from tests.sessions.stores import SECRET, Redis, stopping
from tests.unit.transport.aio_running import LOOPS, Loop, serving


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
