"""Streams that fail, and text that must not move a terminal."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from handfast import ConfigurationError
from handfast.cli import streams
from handfast.cli.streams import Body, Paper, visible


def test_lines_stay_lines_and_everything_else_is_made_visible() -> None:
    assert visible("a\r\nb\tc\n") == "a\nb\tc\n"
    assert visible("\x1b[2J\r\x07\x9b \u202e\u200b") == "\\x1b[2J\\r\\x07\\x9b \\u202e\\u200b"
    assert visible("Grüße 漢字") == "Grüße 漢字"


def test_paper_that_is_full_goes_quiet_and_says_why() -> None:
    with Path("/dev/full").open("w", encoding="utf-8", buffering=1) as file:
        paper = Paper(file)
        paper.print("something")
        paper.print("something more")
        assert paper.failure is not None
        assert paper.failure.strerror == "No space left on device"


def test_paper_whose_reader_has_gone_goes_quiet() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w", encoding="utf-8") as file:
        paper = Paper(file)
        paper.print("something")
        assert isinstance(paper.failure, BrokenPipeError)


def test_paper_shows_text_as_it_is() -> None:
    file = io.StringIO()
    Paper(file).print("[bold]no markup[/] :smile: " + "x" * 300)
    assert file.getvalue() == "[bold]no markup[/] :smile: " + "x" * 300 + "\n"


def test_a_body_goes_into_its_file(tmp_path: Path) -> None:
    body = Body(tmp_path / "body")
    body.open()
    body.write(b"\x00\xff")
    body.write(b"more")
    body.close()
    assert (tmp_path / "body").read_bytes() == b"\x00\xffmore"


def test_a_body_whose_file_is_full_or_cannot_be_opened_is_a_sentence(tmp_path: Path) -> None:
    body = Body(Path("/dev/full"))
    body.open()
    with pytest.raises(ConfigurationError, match="No space left"):
        body.write(b"x")
    body.close()
    with pytest.raises(ConfigurationError, match="none/body"):
        Body(tmp_path / "none" / "body").open()


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_replaced(closed: str) -> None:
    """Else the next file or socket would get the number of standard output, and what is printed would go there."""
    code = (
        "import os, sys; from handfast.cli import streams; streams.prepare();"
        "print('x', flush=True); print('x', file=sys.stderr, flush=True); sys.stdin.read();"
        "sys.exit(min(os.open('/dev/null', 0), 9))"
    )
    command = f'exec {sys.executable} -c "{code}" {closed}'
    run = subprocess.run(["sh", "-c", command], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert run.returncode >= 3, run.stderr


def test_text_that_a_stream_cannot_take_is_escaped() -> None:
    code = "from handfast.cli import streams; streams.prepare(); print('Grüße')"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False)
    assert run.stdout == b"Gr\\xfc\\xdfe\n"


def test_abandoned_files_take_everything(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w", encoding="utf-8") as file:
        file.write("kept")
        file.flush()
        streams.abandon(file)
        file.write("lost")
    assert (tmp_path / "file").read_text() == "kept"
