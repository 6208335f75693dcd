"""The key log: secrets of connections in a file, so that Wireshark can decrypt a capture (RFC 9850).

Whoever has this file can read the connections in it. It is written only where a configuration or an option asks for it.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from pathlib import Path

from handfast.errors import ConfigurationError
from handfast.reasons import FILE_UNWRITABLE


class FileKeyLog:
    """Appends lines to a file that only its owner can read.

    A write that fails (a full disk) is remembered in ``failure`` and ends the log, not the connection: a debugging aid
    must not break what it looks at.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Raises ConfigurationError if the file cannot be opened."""
        self.path = Path(path)
        self.failure: OSError | None = None
        self._lock = threading.Lock()
        try:
            self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            if stat.S_ISREG(os.fstat(self._file).st_mode):  # and not a device or a pipe, which is somebody else's
                os.fchmod(self._file, 0o600)  # it may have been there before, for everybody
        except OSError as error:
            raise ConfigurationError(FILE_UNWRITABLE, file=str(path), problem=error.strerror) from None

    def secret(self, label: str, client_random: bytes, secret: bytes) -> None:
        """One line: label, client random, secret."""
        line = f"{label} {client_random.hex()} {secret.hex()}\n".encode("ascii")
        with self._lock:
            if self.failure is None:
                try:
                    if os.write(self._file, line) < len(line):
                        self.failure = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                except OSError as error:
                    self.failure = error

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)
