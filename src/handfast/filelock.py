"""A lock that processes and threads share: a file of its own, which stays where it is."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_PAUSE: Final = 0.002  # seconds between two attempts: what a lock is held for takes milliseconds


@contextlib.contextmanager
def locked(path: Path, wait: float) -> Iterator[None]:
    """Hold the lock of the file at ``path``, which is made if it is not there. Who removes it splits it.

    Raises TimeoutError where others hold it for ``wait`` seconds, and OSError if the file cannot be opened.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
    holder = 0
    try:
        until = time.monotonic() + wait
        while not _try(descriptor):
            if time.monotonic() > until:
                raise TimeoutError(f"another process has held {path.name} for {wait:g} seconds")
            time.sleep(_PAUSE)
        holder = os.getpid()
        yield
    finally:
        if holder == os.getpid():
            _release(descriptor)  # a process that was forked meanwhile has the file open too, and would keep the lock
        os.close(descriptor)


def _try(descriptor: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def _release(descriptor: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_UN)
