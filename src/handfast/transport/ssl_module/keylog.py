"""keylog_filename: secrets of connections, for a debugger that decrypts a capture (RFC 9850)."""

from __future__ import annotations

import contextlib
import os
import threading


class KeyLogFile:
    """Appends to a file that ``ssl`` has made, and whose name it has checked.

    What cannot be written (a full disk) is left out: a debugging aid must not break what it looks at.
    """

    _file = -1

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._lock = threading.Lock()

    def secret(self, label: str, client_random: bytes, secret: bytes) -> None:
        """One line: label, client random, secret."""
        line = f"{label} {client_random.hex()} {secret.hex()}\n".encode("ascii")
        with self._lock, contextlib.suppress(OSError):
            os.write(self._file, line)

    def __del__(self) -> None:
        if self._file >= 0:
            os.close(self._file)  # connections that are still open may write until then
