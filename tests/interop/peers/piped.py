"""Peers that are small programs of ours around a library: a pipe between standard input, TLS and standard output.

What they say goes to their standard error, one JSON object a line: {"port": ...} once a server listens, the facts of the
handshake, and at the end {"end": "clean"} or {"error": ..., "alert": ...}.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from tests.interop.peer import Running
from tests.interop.processes import Program

CACHE: list[Path] = []  # where programs are compiled; set by the tests' fixture


def built(source: Path, version: str, *command: str, environment: Mapping[str, str] | None = None) -> Path:
    """A program, compiled: once for each version of compiler and source, whoever of us comes first.

    ``command``  is run in the folder ``source``, with the path of what it shall make in place of "{}"
    """
    cache = CACHE[-1]
    sources = b"".join(path.read_bytes() for path in sorted(source.iterdir()))
    made = cache / f"{source.name}-{hashlib.sha256(version.encode() + sources).hexdigest()[:16]}"
    with (cache / f"{source.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            new = f"{made}.new"
            filled = [word.format(new) for word in command]
            done = subprocess.run(filled, cwd=source, env=environment, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            Path(new).rename(made)
    return made


class Piped(Running):
    """One that runs. ``port`` is None where it is a server, and says so itself."""

    GROUPS: ClassVar[Mapping[str, str]] = {}  # its names of groups -> ours, where they differ

    def __init__(self, program: Program, port: int | None) -> None:
        super().__init__(program, json.loads(program.wait_for(r'^{"port".*}$')[0])["port"] if port is None else port)

    def said(self, key: str) -> dict[str, Any]:
        """The object with this key, once it is there."""
        found: dict[str, Any] = json.loads(self.program.wait_for(rf'^{{.*"{key}":.*}}$')[0])
        return found

    def facts(self) -> dict[str, str]:
        facts: dict[str, str] = self.said("version")
        if "group" in facts:
            facts["group"] = self.GROUPS.get(facts["group"], facts["group"])
        return {key: value for key, value in facts.items() if value}

    def ended(self) -> None:
        assert self.said("end") == {"end": "clean"}
        super().ended()
