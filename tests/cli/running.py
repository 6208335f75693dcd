"""Running the command line as a user does: as a process of its own; or in this one, which is sooner done."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from handfast.cli.main import main
from tests.peers import require_peer

SCHEMAS = Path(__file__).parents[2] / "docs" / "schema"
SECONDS = 30


def handfast(
    *arguments: object, stdin: bytes = b"", stdout: Any = subprocess.PIPE, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run `handfast` with these arguments, to its end."""
    command = [sys.executable, "-m", "handfast", *map(str, arguments)]
    return subprocess.run(
        command,
        input=stdin,
        stdout=stdout,
        stderr=subprocess.PIPE,
        env={**os.environ, "COLUMNS": "100", **(environment or {})},
        timeout=SECONDS,
        check=False,
    )


def called(
    *arguments: object, stdin: bytes = b"", environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """The same in this process, which takes no second to start: for what is said and done, not for how a process ends."""
    command = ["handfast", *map(str, arguments)]
    out, errors = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.TextIOWrapper(io.BytesIO(), "utf-8")
    ending = signal.getsignal(signal.SIGTERM)
    with pytest.MonkeyPatch.context() as here, warnings.catch_warnings():
        for name, value in (("argv", command), ("stdin", io.TextIOWrapper(io.BytesIO(stdin), "utf-8"))):
            here.setattr(sys, name, value)
        here.setattr(sys, "stdout", out)
        here.setattr(sys, "stderr", errors)
        for variable, text in {"COLUMNS": "100", **(environment or {})}.items():
            here.setenv(variable, text)
        try:
            main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        finally:
            signal.signal(signal.SIGTERM, ending)
    for stream in (out, errors):
        stream.flush()
    return subprocess.CompletedProcess(command, code, out.buffer.getvalue(), errors.buffer.getvalue())  # type: ignore[attr-defined]


def document(run: subprocess.CompletedProcess[bytes]) -> dict[str, Any]:
    """The one JSON object on standard output, held against its schema."""
    import jsonschema

    found: dict[str, Any] = json.loads(run.stdout)
    schema = json.loads((SCHEMAS / "connect.json").read_text())
    jsonschema.validate(found, schema, format_checker=jsonschema.FormatChecker())
    return found


class Serving:
    """A running `handfast serve`.

    ``lines``     what it said before the first connection
    ``warnings``  what it warned of before that, where it says all on one stream
    """

    def __init__(self, process: subprocess.Popen[str], as_json: bool) -> None:
        self.process = process
        announced = process.stderr if as_json else process.stdout
        assert announced is not None
        self.lines: list[str] = []
        self.warnings = ""
        while line := announced.readline().rstrip("\n"):
            if line.startswith("handfast:") or not (self.lines or line.startswith("serving")):
                self.warnings += f"{line} "
            else:
                self.lines.append(line)
        found = re.search(r"port (\d+)", self.lines[0])
        assert found is not None, self.lines
        self.port = int(found[1])
        authority = re.search(r"authority is in (\S+)", "\n".join(self.lines))
        self.ca = Path(authority[1]) if authority else None

    def line(self) -> str:
        """The next line about a connection."""
        assert self.process.stdout is not None
        return self.process.stdout.readline()


@contextmanager
def serving(*arguments: object, environment: Mapping[str, str] | None = None) -> Iterator[Serving]:
    """Run `handfast serve` on a free port; it has to end well."""
    command = [sys.executable, "-m", "handfast", "serve", "--port", "0", *map(str, arguments)]
    variables = {**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=variables) as process:
        try:
            yield Serving(process, "--json" in arguments)
        finally:
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "Traceback" not in errors


@contextmanager
def listening(talk: Callable[[socket.socket], None]) -> Iterator[int]:
    """A plain TCP server for one connection; ``talk`` does what its peer gets."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(SECONDS)

        def serve() -> None:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            with peer:
                peer.settimeout(SECONDS)
                try:
                    talk(peer)
                except OSError:
                    return

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # which wakes who waits for somebody to come
            thread.join(SECONDS)


@contextmanager
def s_server(folder: Path, *options: str, output: list[str] | None = None) -> Iterator[int]:
    """A server of OpenSSL, as server.pem; its port is chosen by the kernel, and read from what it prints.

    ``output`` gets the lines that it prints afterwards.
    """
    program = require_peer("openssl")
    command = [program, "s_server", "-accept", "127.0.0.1:0", "-cert", "server.pem", "-key", "server.key", *options]
    with subprocess.Popen(
        command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        try:
            assert process.stdout is not None
            while not (line := process.stdout.readline()).startswith(b"ACCEPT"):
                assert line, "openssl did not start"
            yield int(line.rpartition(b":")[2])
        finally:
            process.kill()
            printed, _ = process.communicate()
            if output is not None:
                output += printed.decode().splitlines()


def lines_of(run: subprocess.CompletedProcess[bytes]) -> list[str]:
    """The lines on standard error, which never hold a traceback."""
    text = run.stderr.decode()
    assert "Traceback" not in text
    return text.splitlines()
