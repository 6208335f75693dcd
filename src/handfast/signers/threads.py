"""A signer that takes its time, run in threads of its own: no event loop waits for it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol

from handfast.crypto.guard import Guarded

if TYPE_CHECKING:
    from typing import Self


class BlockingSigner(Protocol):
    """A Signer whose ``sign`` returns when it is done."""

    schemes: tuple[int, ...]

    def sign(self, scheme: int, content: bytes) -> bytes:
        """The signature."""


class Threaded(Guarded):
    """A Signer around one that blocks: in an event loop it signs in threads, elsewhere it waits, as that one does.

    ``threads``  how many signatures may be made at a time; the others wait for their turn. One that is waiting when its
                 handshake ends is not made
    """

    def __init__(self, signer: BlockingSigner, *, threads: int = 4) -> None:
        self._signer = signer
        self._threads = threads
        self._workers: tuple[int, ThreadPoolExecutor] | None = None
        self.schemes = signer.schemes

    def sign(self, scheme: int, content: bytes) -> bytes | Awaitable[bytes]:
        """See Signer."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return self._signer.sign(scheme, content)
        return loop.run_in_executor(self._pool(), self._signer.sign, scheme, content)

    def sign_and_wait(self, scheme: int, content: bytes) -> bytes:
        """The same, but it always waits: for what happens before the first connection."""
        return self._signer.sign(scheme, content)

    def close(self) -> None:
        """End the threads, once what they are at is done. It can still sign: then there are new ones."""
        workers, self._workers = self._workers, None
        if workers is not None and workers[0] == os.getpid():
            workers[1].shutdown(wait=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _pool(self) -> ThreadPoolExecutor:
        workers = self._workers
        if workers is None or workers[0] != os.getpid():  # after a fork the threads are in the other process
            pool = ThreadPoolExecutor(self._threads, thread_name_prefix="handfast-sign")
            workers = self._workers = os.getpid(), pool
        return workers[1]
