"""A client of a store that does as it likes: what it sends may take no longer, and be no more, than it may.

The limits of the ``redis`` package are for each piece that is read, and not for a reply as a whole. So its connections get
a socket, and with asyncio a reader, that keep count.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from handfast.limits import STORE_REPLY


class _Deadline(threading.local):
    """When the call that this thread is in has to be over, by the monotonic clock; None if it may take as long as it likes."""

    until: float | None = None


_DEADLINE: Final = _Deadline()


@contextmanager
def ends_by(until: float) -> Iterator[None]:
    """What is asked of blocking clients of :func:`bounded` in here ends by then, all of its replies together."""
    _DEADLINE.until = until
    try:
        yield
    finally:
        _DEADLINE.until = None


def bounded(client: Any, asynchronous: bool) -> Any:
    """The same client, which has not been used yet; its connections are bounded from now on."""
    pool = client.connection_pool
    kind = _AsyncConnection if asynchronous else _Connection
    pool.connection_class = type(pool.connection_class.__name__, (kind, pool.connection_class), {})
    return client


def _seconds(usual: float | None) -> float | None:
    """How long the next step may take."""
    if _DEADLINE.until is None or usual == 0:  # it only looks whether there is anything
        return usual
    left = _DEADLINE.until - time.monotonic()
    if left <= 0:
        raise TimeoutError("the store takes too long")
    return left


class _Counted:
    """Lets so many bytes of a reply through."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._left = STORE_REPLY

    def begin(self) -> None:
        """The next reply begins."""
        self._left = STORE_REPLY

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def _count(self, length: int) -> None:
        self._left -= length
        if self._left < 0:
            raise OSError(f"a reply has more than {STORE_REPLY} bytes")


# --- blocking


class _Socket(_Counted):
    def __init__(self, inner: Any, usual: float | None) -> None:
        super().__init__(inner)
        self._usual = usual

    def settimeout(self, seconds: float | None) -> None:
        self._usual = seconds
        self._inner.settimeout(seconds)

    def recv(self, *arguments: Any) -> bytes:
        self._inner.settimeout(_seconds(self._usual))
        data: bytes = self._inner.recv(*arguments)
        self._count(len(data))
        return data

    def sendall(self, *arguments: Any) -> None:
        self._inner.settimeout(_seconds(self._usual))
        self._inner.sendall(*arguments)


class _Connection:
    """Goes before a class of ``redis.connection``. Its parser has to be the one in Python: it reads by recv alone."""

    _connecting = False
    _sock: Any
    _timeouts: tuple[float | None, float | None] = (None, None)

    # While it connects, with each address and with TLS, these are what is left of the call.
    @property
    def socket_timeout(self) -> float | None:
        return _seconds(self._timeouts[0]) if self._connecting else self._timeouts[0]

    @socket_timeout.setter
    def socket_timeout(self, seconds: float | None) -> None:
        self._timeouts = (seconds, self._timeouts[1])

    @property
    def socket_connect_timeout(self) -> float | None:
        return _seconds(self._timeouts[1]) if self._connecting else self._timeouts[1]

    @socket_connect_timeout.setter
    def socket_connect_timeout(self, seconds: float | None) -> None:
        self._timeouts = (self._timeouts[0], seconds)

    def _connect(self) -> _Socket:
        self._connecting = True
        try:
            return _Socket(super()._connect(), self._timeouts[0])  # type: ignore[misc]
        finally:
            self._connecting = False

    def read_response(self, *arguments: Any, **more: Any) -> Any:
        if self._sock is not None:
            self._sock.begin()
        return super().read_response(*arguments, **more)  # type: ignore[misc]


# --- asyncio, where Shared looks after the time


class _Reader(_Counted):
    async def read(self, size: int = -1) -> bytes:
        data: bytes = await self._inner.read(size)
        self._count(len(data))
        return data

    async def readexactly(self, size: int) -> bytes:
        self._count(size)  # before it is waited for, and kept
        data: bytes = await self._inner.readexactly(size)
        return data

    async def readline(self) -> bytes:
        data: bytes = await self._inner.readline()
        self._count(len(data))
        return data


class _AsyncConnection:
    """Goes before a class of ``redis.asyncio.connection``."""

    _reader: Any

    async def _connect(self) -> None:
        await super()._connect()  # type: ignore[misc]
        self._reader = _Reader(self._reader)

    async def read_response(self, *arguments: Any, **more: Any) -> Any:
        if self._reader is not None:
            self._reader.begin()
        return await super().read_response(*arguments, **more)  # type: ignore[misc]
