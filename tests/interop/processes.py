"""Peers as processes: started, fed, listened to, stopped and reaped."""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import re
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from functools import cache
from itertools import cycle, islice
from pathlib import Path
from typing import IO, Any, Self

PATIENCE = 30.0  # seconds that anything may take; nothing here does, unless it hangs

_PORTS = range(20_000, 32_000)  # below those that the system gives to outgoing connections
_SHARE = 200


@cache
def _own_ports() -> Iterator[int]:
    """Ports that no other process of these tests uses: it holds a lock on its share of them as long as it lives."""
    shares = len(_PORTS) // _SHARE
    for number in range(shares):
        share = (os.getpid() + number) % shares
        lock = Path(tempfile.gettempdir(), f"handfast-interop-ports-{os.getuid()}-{share}").open("a")  # noqa: SIM115
        with contextlib.suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            atexit.register(lock.close)
            return cycle(_PORTS[share * _SHARE : (share + 1) * _SHARE])
        lock.close()
    raise AssertionError("too many runs of these tests at once")


def free_port() -> int:
    """A port for a peer that cannot choose one itself. It has to be nobody's until the peer listens."""
    for port in islice(_own_ports(), _SHARE):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a connection that has ended does not matter
            probe.bind(("0.0.0.0", port))
            return port
    raise AssertionError("no port is free")


class Program:
    """A running program. What it prints is read all the time, so it never waits for us.

    ``with`` ends it, and where the block raises, shows in the exception what the program said.
    """

    def __init__(self, *command: str, environment: dict[str, str] | None = None) -> None:
        self._command = command
        self._news = threading.Condition()
        self._printed = {"stdout": bytearray(), "stderr": bytearray()}
        self._ended: set[str] = set()
        self._read_up_to = 0
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env={**os.environ, **(environment or {})},
        )
        streams = {"stdout": self._process.stdout, "stderr": self._process.stderr}
        self._threads = [threading.Thread(target=self._listen, args=item, daemon=True) for item in streams.items()]
        for thread in self._threads:
            thread.start()

    def _listen(self, name: str, stream: IO[bytes]) -> None:
        while data := stream.read(65_536):
            with self._news:
                self._printed[name] += data
                self._news.notify_all()
        with self._news:
            self._ended.add(name)
            self._news.notify_all()

    # --- what it says

    def text(self, stream: str = "stderr") -> str:
        """What it has printed."""
        with self._news:
            return self._printed[stream].decode(errors="replace")

    def wait_for(self, pattern: str, stream: str = "stderr") -> re.Match[str]:
        """Wait until it has printed something that matches."""
        found: re.Match[str] | None = None

        def there() -> bool:
            nonlocal found
            found = re.search(pattern, self._printed[stream].decode(errors="replace"), re.MULTILINE)
            return found is not None or stream in self._ended

        with self._news:
            self._news.wait_for(there, PATIENCE)
        assert found is not None, f"never said {pattern!r}"
        return found

    def read(self, size: int) -> bytes:
        """The next ``size`` bytes of its standard output; fewer if it ends before."""
        end = self._read_up_to + size
        with self._news:
            done = self._news.wait_for(lambda: len(self._printed["stdout"]) >= end or "stdout" in self._ended, PATIENCE)
            data = bytes(self._printed["stdout"][self._read_up_to : end])
        assert done, f"said {len(data)} bytes instead of {size}"
        self._read_up_to += len(data)
        return data

    # --- what it hears

    def write(self, data: bytes) -> None:
        """Say something to its standard input."""
        stream = self._process.stdin
        assert stream is not None
        while data:
            data = data[stream.write(data) :]

    def end_input(self) -> None:
        """There is no more to say."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    # --- the end

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def wait(self) -> int:
        """Wait for its end, and for all that it says: the exit code."""
        code = self._process.wait(PATIENCE)
        for thread in self._threads:
            thread.join(PATIENCE)
        return code

    def stop(self) -> None:
        """End it, if it does not end itself, and reap it."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self.wait()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert stream is not None
            with contextlib.suppress(OSError):
                stream.close()

    def shown(self) -> str:
        parts = [f"the peer: {' '.join(self._command)}", f"exit code: {self._process.returncode}"]
        for name in self._printed:
            text = self.text(name)
            parts.append(f"--- its {name}:\n{text[-4000:]}")
        return "\n".join(parts)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.stop()
        if error is not None:
            error.add_note(self.shown())


def connected(port: int, program: Program) -> socket.socket:
    """A TCP connection to a program that is about to listen."""
    for _ in attempts():
        assert program.running, "the peer has ended before it was asked anything"
        with contextlib.suppress(ConnectionRefusedError):
            return socket.create_connection(("127.0.0.1", port), PATIENCE)
    raise AssertionError(f"nobody listens at port {port}")


def attempts() -> Iterator[Any]:
    """Short pauses, until patience is over."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        yield
        time.sleep(0.005)
