"""`handfast ca`, called and looked at: for its tests."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import jsonschema

from tests.cli.running import SCHEMAS, SECONDS, called, lines_of
from tests.peers import require_peer


def ca(*arguments: object, **options: Any) -> subprocess.CompletedProcess[bytes]:
    return called("ca", *arguments, **options)


def told(*arguments: object, **options: Any) -> str:
    """What a command says that does what it should; only a command that is to be copied may be wider than the terminal."""
    run = ca(*arguments, **options)
    assert run.returncode == 0, run.stderr
    assert lines_of(run) == []
    text = run.stdout.decode()
    assert all(len(line) <= 100 or " handfast " in f" {line}" for line in text.splitlines())
    return text


def refused(*arguments: object, **options: Any) -> str:
    """What a command says that does nothing: on standard error alone."""
    run = ca(*arguments, **options)
    assert run.returncode == 2
    assert run.stdout == b""
    lines = lines_of(run)
    assert lines[0].startswith("handfast: ")
    return " ".join(" ".join(lines).split())


def document(*arguments: object, code: int = 0, **options: Any) -> dict[str, Any]:
    """What --json prints, held against its schema."""
    run = ca(*arguments, "--json", **options)
    assert run.returncode == code, run.stderr
    assert lines_of(run) == []
    found: dict[str, Any] = json.loads(run.stdout)
    schema = json.loads((SCHEMAS / "ca.json").read_text())
    jsonschema.validate(found, schema, format_checker=jsonschema.FormatChecker())
    return found


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def openssl(*arguments: object) -> subprocess.CompletedProcess[bytes]:
    command = [require_peer("openssl"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, timeout=SECONDS)
