"""Standard streams and files, which may fail: a full disk, a reader that has gone, a terminal that must not be moved."""

from __future__ import annotations

import codecs
import contextlib
import os
import sys
from io import FileIO
from pathlib import Path
from typing import IO, Any

from rich.console import Console

from handfast.errors import ConfigurationError
from handfast.reasons import FILE_UNWRITABLE

_STDOUT = "standard output"


def prepare() -> None:
    """Give the process three streams, whatever it was started with, that can show any text.

    A descriptor that is closed would be the number of the next socket: what is meant for standard output would go there.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - as long as the process
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def abandon(file: IO[Any]) -> None:
    """Write into nothing from now on, so that what is still in a buffer does not fail once more at the end."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, file.fileno())
    os.close(nothing)


class Paper(Console):
    """A console that colours only terminals, and that goes quiet when it cannot be written.

    ``failure`` then says why: showing something is never a reason to break what is shown.
    """

    def __init__(self, file: IO[str]) -> None:
        super().__init__(file=file, highlight=False, soft_wrap=True, markup=False, emoji=False)
        self.failure: OSError | None = None

    def print(self, *objects: Any, **options: Any) -> None:
        """As rich has it, without exceptions."""
        if self.failure is None:
            try:
                super().print(*objects, **options)
            except OSError as error:
                self._give_up(error)

    def on_broken_pipe(self) -> None:
        """Whoever read it has gone."""
        self._give_up(BrokenPipeError())

    def _give_up(self, error: OSError) -> None:
        self.failure = error
        abandon(self.file)


def unwritable(error: OSError, file: str = _STDOUT) -> ConfigurationError:
    """The error of a file or stream that does not take what is written."""
    return ConfigurationError(FILE_UNWRITABLE, file=file, problem=error.strerror or type(error).__name__)


def say(text: str) -> None:
    """A line on standard output. Raises ConfigurationError (FILE_UNWRITABLE); a reader that has gone is no error."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        abandon(sys.stdout)
    except OSError as error:
        abandon(sys.stdout)
        raise unwritable(error) from None


class Body:
    """Where a body goes: a file, or standard output, where a terminal gets it with control characters made visible.

    Raises ConfigurationError (FILE_UNWRITABLE), and BrokenPipeError where the reader of standard output has gone.
    """

    def __init__(self, path: Path | None) -> None:
        self._name = _STDOUT if path is None else str(path)
        self._path = path
        self._file: FileIO | None = None
        self._decoder = None
        if path is None and sys.stdout.isatty():
            self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")

    def open(self) -> None:
        """Open the file, before anything is sent for its sake."""
        if self._path is not None:
            try:
                self._file = self._path.open("wb", buffering=0)
            except OSError as error:
                raise unwritable(error, self._name) from None

    def write(self, data: bytes) -> None:
        """Some of the body."""
        if self._decoder is not None:
            data = visible(self._decoder.decode(data)).encode(sys.stdout.encoding, "backslashreplace")
        try:
            if self._file is None:
                sys.stdout.buffer.write(data)
                return
            view = memoryview(data)
            while view:
                view = view[self._file.write(view) :]
        except BrokenPipeError:
            raise
        except OSError as error:
            raise self._broken(error) from None

    def finish(self) -> None:
        """All of the body has been written."""
        try:
            if self._file is None:
                sys.stdout.buffer.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise self._broken(error) from None

    def close(self) -> None:
        """Close the file, whatever is in it."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()

    def _broken(self, error: OSError) -> ConfigurationError:
        if self._file is None:
            abandon(sys.stdout)
        return unwritable(error, self._name)


def visible(text: str) -> str:
    """Text of a peer for a terminal: lines stay lines, and everything else that moves or colours is escaped."""
    return "".join(
        c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode("ascii")
        for c in text.replace("\r\n", "\n")
    )
