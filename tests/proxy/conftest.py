"""Each test of a proxy is run over blocking sockets, asyncio's loop and uvloop's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from handfast import aio, connect
from tests.handshake.parties import client_config
from tests.unit.transport.aio_running import Loop, closed

Visit = Callable[..., bytes]


def _blocking(
    port: int, proxy: Any, *, host: str = "localhost", seconds: float = 20, starttls: Any = None, **settings: Any
) -> bytes:
    config = client_config(**settings)
    with connect(host, port, config=config, proxy=proxy, timeout=seconds, starttls=starttls) as tls:
        tls.sendall(b"ping")
        return tls.recv()


def _asynchronous(kind: str) -> Visit:
    def visit(
        port: int, proxy: Any, *, host: str = "localhost", seconds: float = 20, starttls: Any = None, **settings: Any
    ) -> bytes:
        config = client_config(handshake_timeout=seconds, **settings)

        async def main() -> bytes:
            reader, writer = await aio.open_connection(host, port, config=config, proxy=proxy, starttls=starttls)
            writer.write(b"ping")
            data = await reader.read(100)
            await closed(writer)
            return data

        answer: bytes = Loop(kind)(main())
        return answer

    return visit


@pytest.fixture(params=["blocking", "asyncio", "uvloop"])
def visit(request: pytest.FixtureRequest) -> Visit:
    """Goes to a server through a proxy: says "ping", and returns what it hears."""
    return _blocking if request.param == "blocking" else _asynchronous(request.param)
