"""Two sides of a connection in memory, each made by a context of ``ssl`` or of ours."""

from __future__ import annotations

import ssl
from typing import Any

Context = Any
Object = Any


class Pair:
    """A client and a server whose buffers are crossed."""

    def __init__(self, client: Context, server: Context, name: str | None = "localhost") -> None:
        self.to_client, self.to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.client: Object = client.wrap_bio(self.to_client, self.to_server, server_hostname=name)
        self.server: Object = server.wrap_bio(self.to_server, self.to_client, server_side=True)

    def shake(self) -> Pair:
        """Both handshakes, to their end or their first error."""
        waiting = [self.client, self.server]
        for _ in range(20):
            for side in list(waiting):
                try:
                    side.do_handshake()
                except ssl.SSLWantReadError:
                    continue
                waiting.remove(side)
            if not waiting:
                return self
        raise AssertionError("the handshake does not end")


def shaken(client: Context, server: Context, name: str | None = "localhost") -> Pair:
    return Pair(client, server, name).shake()


def read_all(side: Object, size: int, step: int = 65_536) -> bytes:
    """Exactly ``size`` bytes."""
    data = bytearray()
    while len(data) < size:
        data += side.read(step)
    return bytes(data)


def failure(function: Any, *args: Any) -> Exception:
    """What a call raises."""
    try:
        function(*args)
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")
