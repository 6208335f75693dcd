"""Files that are whole or not there, and a lock that lets one run at a time change an authority."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from handfast import filelock
from handfast.certificates import pem
from handfast.errors import ConfigurationError, words
from handfast.reasons import AUTHORITY_BUSY, FILE_UNWRITABLE

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

WAIT: Final = 10.0  # seconds for another run to be done; it takes milliseconds
PRIVATE, PUBLIC = 0o600, 0o644


class Together:
    """Several files that are written first, and then put in their places: all that can fail comes before.

    ::

        with Together() as files:
            files.add(path, data)
            files.put_in_place()

    Without ``put_in_place``, and after an error or Ctrl-C, nothing is left behind. Raises ConfigurationError
    (FILE_UNWRITABLE), naming the file.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[Path, Path]] = []

    def add(self, path: Path, data: bytes, mode: int = PUBLIC) -> None:
        """Write a file beside its place, for its owner alone if ``mode`` is PRIVATE, and down to the disk."""
        try:
            descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # with mode 0600
            self._waiting.append((Path(name), path))
            with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor
                if mode != PRIVATE and os.name == "posix":
                    os.fchmod(descriptor, mode & ~_umask())
                file.write(data)
                file.flush()
                os.fsync(descriptor)
        except OSError as error:
            raise unwritable(path, error) from None

    def put_in_place(self) -> None:
        """Let the files be seen, each at once and whole. What was there before is replaced, but for folders."""
        for _, path in self._waiting:
            if path.is_dir() and not path.is_symlink():  # found out on the way, it would leave half of them replaced
                raise unwritable(path, IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR)))
        folders = dict.fromkeys(path.parent for _, path in self._waiting)
        while self._waiting:
            written, path = self._waiting[0]
            try:
                written.replace(path)
            except OSError as error:
                raise unwritable(path, error) from None
            self._waiting.pop(0)
        for folder in folders:
            sync_folder(folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for written, _ in self._waiting:
            with contextlib.suppress(OSError):
                written.unlink(missing_ok=True)


def read(path: Path, largest: int = 1 << 22) -> bytes:
    """A file's content, of so many bytes at most. Raises ConfigurationError (FILE_UNREADABLE)."""
    return pem.read(path, largest)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of this file. It stays where it is: who removes it, splits it.

    Raises ConfigurationError: AUTHORITY_BUSY after WAIT seconds, FILE_UNWRITABLE.
    """
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(filelock.locked(path, WAIT))
        except TimeoutError:
            raise ConfigurationError(AUTHORITY_BUSY, file=str(path), waited=f"{WAIT:g} seconds") from None
        except OSError as error:
            raise unwritable(path, error) from None
        yield


def sync_folder(path: Path) -> None:
    """Make sure that the names in a folder are on the disk. Where a system cannot do that for folders, it does not need it."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def unwritable(path: Path, error: OSError) -> ConfigurationError:
    """The error of a file that cannot be written."""
    return ConfigurationError(FILE_UNWRITABLE, file=str(path), problem=words(error))


def exposed(path: Path) -> str:
    """What is wrong with who may read a private file; "" if nothing is."""
    if os.name != "posix":
        return ""
    try:
        mode = path.stat().st_mode & 0o777
    except OSError:
        return ""
    return f"{path} may be used by others (mode {mode:o}): chmod 600 {path}" if mode & 0o077 else ""


def _umask() -> int:
    current = os.umask(0o077)
    os.umask(current)
    return current
