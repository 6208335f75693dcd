"""How it looks, and what happens when nobody can or wants to see it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from handfast import Server, ServerConfig, TLSSocket
from handfast.reasons import MISSING_INTERMEDIATE
from handfast.testing import Authority
from tests.cli.running import called, document, handfast, lines_of

LARGE = 8 << 20


def echo(tls: TLSSocket) -> None:
    while data := tls.recv():
        tls.sendall(data)


def large(tls: TLSSocket) -> None:
    tls.recv()
    tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % LARGE)
    tls.sendall(bytes(LARGE))


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.create("Prüfstelle \x1b[31m漢字")


@pytest.fixture(scope="module")
def ca(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return authority.write(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def echoing(authority: Authority) -> Iterator[int]:
    with Server(echo, config=ServerConfig(identities=[authority.issue("localhost")])) as server:
        yield server.address[1]


@pytest.fixture
def sending(authority: Authority) -> Iterator[int]:
    with Server(large, config=ServerConfig(identities=[authority.issue("localhost")])) as server:
        yield server.address[1]


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "handfast", "connect", *map(str, arguments)]


@pytest.mark.parametrize("columns", [80, 100])
def test_it_fits_into_a_terminal_and_colours_no_file(echoing: int, ca: Path, columns: int) -> None:
    run = handfast("connect", f"localhost:{echoing}", "--ca", ca, environment={"COLUMNS": str(columns)})
    text = run.stdout.decode()
    assert "\x1b" not in text
    path = str(ca)
    assert [line for line in text.splitlines() if len(line) > columns and path not in line] == []
    assert "==== both sides now have the same secret" in text
    assert "==== the handshake is complete" in text
    assert "Prüfstelle \\x1b[31m漢字" in text


def test_the_summary_says_who_proved_what_by_which_chain(echoing: int, ca: Path) -> None:
    text = handfast("connect", f"localhost:{echoing}", "--ca", ca).stdout.decode()
    summary = text[text.index("==== the handshake is complete") :]
    for piece in ("TLSv1.3", "X25519MLKEM768", "proved to be localhost", "signed by", "trusted: in", "on the wire"):
        assert piece in summary


def test_ascii_is_enough_for_any_certificate(echoing: int, ca: Path) -> None:
    run = handfast("connect", f"localhost:{echoing}", "--ca", ca, environment={"PYTHONIOENCODING": "ascii"})
    assert run.returncode == 0
    assert b"Pr\\xfcfstelle" in run.stdout
    assert lines_of(run) == []


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_full_disk_is_one_sentence(echoing: int, ca: Path, options: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        run = handfast("connect", f"localhost:{echoing}", "--ca", ca, *options, stdout=full)
    assert run.returncode == 2
    assert lines_of(run)[0] == "handfast: A file cannot be written."


@pytest.mark.parametrize("asked", [["--version"], ["--help"], ["cert", "verify", "--help"]])
def test_a_full_disk_is_one_sentence_where_nothing_is_done(asked: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        run = handfast(*asked, stdout=full)
    assert run.returncode == 2
    assert lines_of(run)[0] == "handfast: A file cannot be written."
    assert len(lines_of(run)) == 3


def test_a_full_disk_behind_get_and_pipe_is_one_sentence(sending: int, echoing: int, ca: Path) -> None:
    for port, option in ((sending, ["--get", "/"]), (echoing, ["--pipe"])):
        with Path("/dev/full").open("wb") as full:
            run = handfast("connect", f"localhost:{port}", "--ca", ca, "-q", *option, stdin=b"hello", stdout=full)
        assert run.returncode == 2
        assert lines_of(run)[0] == "handfast: A file cannot be written."


@pytest.mark.parametrize("options", [[], ["--get", "/", "-q"], ["--pipe", "-q"], ["--json"]])
def test_a_reader_that_goes_is_no_error(echoing: int, sending: int, ca: Path, options: list[str]) -> None:
    port = sending if "--get" in options else echoing
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb", buffering=0) as reader, os.fdopen(writing, "wb") as writer:
        process = subprocess.Popen(
            command(f"localhost:{port}", "--ca", ca, *options),
            stdin=subprocess.PIPE,
            stdout=writer,
            stderr=subprocess.PIPE,
        )
        writer.close()
        assert process.stdin is not None
        if "--pipe" in options:
            process.stdin.write(b"hello")
            process.stdin.flush()
            assert reader.read(5) == b"hello"
        reader.close()
    _, errors = process.communicate(bytes(1 << 20) if "--pipe" in options else None, timeout=30)
    assert errors == b""
    assert process.returncode == 0


def test_closed_streams_are_no_traceback(echoing: int, ca: Path) -> None:
    target = " ".join(command(f"localhost:{echoing}", "--ca", ca))
    for rest in (">&-", "--json >&-", "--pipe <&-", "-q <&- >&- 2>&-"):
        run = subprocess.run(["sh", "-c", f"exec {target} {rest}"], capture_output=True, timeout=30)
        assert run.returncode == 0, run.stderr
        assert b"Traceback" not in run.stderr


def test_pipe_tells_the_handshake_beside_the_data(echoing: int, ca: Path) -> None:
    run = handfast("connect", f"localhost:{echoing}", "--ca", ca, "--pipe", stdin=b"hello")
    assert run.stdout == b"hello"
    assert b"<-- CertificateVerify" in run.stderr
    assert b"proved to be localhost" in run.stderr


def test_no_verify_shows_what_verification_would_have_said(echoing: int, ca: Path) -> None:
    refused = handfast("connect", f"localhost:{echoing}", "--no-verify").stdout.decode()
    assert "NOT VERIFIED: this may be anybody" in refused
    assert "Verification would have refused this server: The chain ends at an issuer" in refused
    accepted = handfast("connect", f"localhost:{echoing}", "--no-verify", "--ca", ca).stdout.decode()
    assert "Verification would have accepted this server" in accepted


def test_json_of_a_failure_has_what_was_reached(echoing: int) -> None:
    found = document(handfast("connect", f"localhost:{echoing}", "--json"))
    assert [item["type"] for item in found["messages"]][-2:] == ["Certificate", "Alert"]
    assert found["timings_ms"]["tcp_connect"] > 0
    assert found["error"]["hints"]
    assert found["error"]["evidence"]["issuer"].startswith("CN=Prüfstelle \\x1b[31m漢字")


@pytest.mark.parametrize("columns", [60, 80, 100])
def test_the_first_line_of_an_error_is_as_wide_as_the_others(
    authority: Authority, tmp_path: Path, columns: int
) -> None:
    """Here it has 111 columns."""
    leaf, _ = authority.intermediate().issue("localhost", send_chain=False).write(tmp_path)
    run = called("cert", "verify", leaf, "--ca", authority.write(tmp_path), environment={"COLUMNS": str(columns)})
    lines = lines_of(run)
    first = next(number for number, line in enumerate(lines) if line.startswith("  position"))
    assert first > 1
    assert lines[0].startswith("handfast: ")
    assert all(line.startswith(" " * 10) and len(line) <= columns for line in lines[1:first])
    assert len(lines[0]) <= columns
    whole = " ".join(line.strip() for line in lines[:first])
    assert whole == f"handfast: {MISSING_INTERMEDIATE.sentence}"
    setting = called(
        "cert", "verify", leaf, "--purpose", "client", "--name", "x", environment={"COLUMNS": str(columns)}
    )
    assert all(len(line) <= columns for line in lines_of(setting))
    assert len(lines_of(setting)) > 1
