"""Coming back on the command line: sessions in a file, early data, and what is told of each, with real peers."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from handfast import ClientConfig, ClientConnection, TrustStore
from handfast.cli.stores import YOUNG
from handfast.sessions.memory import MemorySessions
from handfast.testing import Authority
from handfast.transport.blocking import connect
from handfast.transport.stores.file import FileSessions
from tests.cli.running import SCHEMAS, Serving, document, handfast, lines_of, s_server, serving
from tests.peers import require_peer

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
GUARD_SECONDS = YOUNG + 0.5  # a guard that has just been made admits nothing


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("sessions")
    authority = Authority.create()
    authority.write(place)
    authority.issue("localhost", "127.0.0.1").write(place)
    authority.issue("alice@example.org", common_name="alice", usage=["client"]).write(place, "alice")
    (place / "request").write_bytes(REQUEST)
    return place


@pytest.fixture
def own(folder: Path) -> list[object]:
    """What `serve` needs to be the same server again."""
    return ["--cert", folder / "server.pem", "--key", folder / "server.key"]


def told(run: subprocess.CompletedProcess[bytes]) -> str:
    """All that was said, on one line."""
    return " ".join((run.stdout + run.stderr).decode().split())


def visit(port: int, folder: Path, *arguments: object) -> dict[str, Any]:
    run = handfast("connect", f"localhost:{port}", "--ca", folder / "ca.pem", "--json", *arguments)
    assert run.returncode == 0, run.stdout
    return document(run)


def logged(server: Serving) -> dict[str, Any]:
    import jsonschema

    found: dict[str, Any] = json.loads(server.line())
    schema = json.loads((SCHEMAS / "serve.json").read_text())
    jsonschema.validate(found, schema, format_checker=jsonschema.FormatChecker())
    return found


# --- connect --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tls", ["1.3", "1.2"])
def test_a_session_is_kept_in_a_file_and_resumed(folder: Path, tmp_path: Path, tls: str) -> None:
    file = tmp_path / "sessions"
    with s_server(folder) as port:
        first = visit(port, folder, "--session", file, "--tls", tls)
        second = visit(port, folder, "--session", file, "--tls", tls)
    assert (first["resumed"], first["session"]["offered"]) == (False, False)
    assert first["session"]["why_not"] == "no session with this server is kept"
    assert first["session"]["received"] == (2 if tls == "1.3" else 1)
    assert (second["resumed"], second["session"]["offered"], second["session"]["why_not"]) == (True, True, None)
    assert second["verified"]
    assert second["peer"] == first["peer"]
    assert not any(message["type"] == "Certificate" for message in second["messages"])
    assert file.stat().st_mode & 0o777 == 0o600


def test_what_a_resumed_handshake_stands_on_is_told(folder: Path, tmp_path: Path) -> None:
    with s_server(folder, "-tls1_3") as port:
        visit(port, folder, "--session", tmp_path / "sessions")
        run = handfast("connect", f"localhost:{port}", "--ca", folder / "ca.pem", "--session", tmp_path / "sessions")
    text = told(run)
    for words in (
        "binders 1 MAC over this hello, by the key of each: a ticket that was only seen on the wire is of no use",
        "the binder has shown that the client has it, and the server's Finished will show the same",
        "So no certificate follows, and no signature.",
        "The proof of who the server is, in place of certificate and signature",
        "no certificate was sent: both sides have shown that they have the session's key",
        "later forward secrecy is kept x25519 made keys that the session does not know",
        "server proved to be localhost, in the handshake that the session goes back to",
        "proof now the session's key",
        "whether the certificate was revoked since, nobody has asked",
        "next time 1 session for 2 hours",
    ):
        assert words in text, words
    assert "signature ecdsa" not in text


def test_what_a_resumed_handshake_of_tls_1_2_stands_on_is_told(folder: Path, tmp_path: Path) -> None:
    with s_server(folder, "-tls1_2") as port:
        visit(port, folder, "--session", tmp_path / "sessions")
        run = handfast("connect", f"localhost:{port}", "--ca", folder / "ca.pem", "--session", tmp_path / "sessions")
    text = told(run)
    for words in (
        "The server knows the session, and says so by its ID: no certificate, no key exchange.",
        "The server proves first, since it has nothing to wait for",
        "With that it may send data at once: one round trip in all. verify_data",
        "round trips 1 before the client may send data; a full handshake of TLS 1.2 needs two",
        "no forward secrecy of its own all keys come from the session's: who gets the key that the server seals its tickets",
        "next time the same session",
        "the session's secret was made from a hash of its whole handshake: no other session has the same",
        "what the client has said, said again: that is how the server takes up the session",
        "a server of TLS 1.2 says it again if it takes up the session",
    ):
        assert words in text, words
    assert "up to ClientKeyExchange" not in text, "there is none"
    assert text.index("The server proves first") < text.index("==== the handshake is complete")
    assert text.count("==== the handshake is complete") == 1


def test_each_connection_of_several_has_its_line(folder: Path) -> None:
    with s_server(folder) as port:
        run = handfast("connect", f"localhost:{port}", "--ca", folder / "ca.pem", "--reconnect", 3)
        found = visit(port, folder, "--reconnect", 3)
    lines = run.stdout.decode().splitlines()
    table = lines[[line.split() == ["TCP", "handshake", "sent", "received", "resumed"] for line in lines].index(True) :]
    assert [(line.split()[0], line.split()[-1]) for line in table[1:5]] == [
        ("1", "no"), ("2", "yes"), ("3", "yes"), ("4", "yes"),
    ]  # fmt: skip
    assert sum("ClientHello" in line for line in lines if line.startswith("-->")) == 2
    assert [each["resumed"] for each in found["connections"]] == [False, True, True, True]
    assert all(each["handshake_ms"] > 0 for each in found["connections"])
    assert found["resumed"]


def test_a_client_certificate_is_known_by_the_session(folder: Path, tmp_path: Path) -> None:
    alice = ["--cert", folder / "alice.pem", "--key", folder / "alice.key", "--session", tmp_path / "sessions"]
    with s_server(folder, "-verify", "1", "-CAfile", "ca.pem") as port:
        visit(port, folder, *alice)
        run = handfast("connect", f"localhost:{port}", "--ca", folder / "ca.pem", *alice)
        visit(port, folder, *alice)
        other = visit(port, folder, "--session", tmp_path / "sessions")
    assert "client known by the certificate shown before the session stands for it" in told(run)
    assert (
        other["session"]["why_not"]
        == "in the session that is kept we showed a certificate that --cert does not name now"
    )


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--tls", "1.2"], "the session that is kept is of TLSv1.3, which is not offered"),
        (
            ["--suite", "TLS_AES_256_GCM_SHA384"],
            "the session that is kept goes with SHA-256, and no suite with that is offered",
        ),
        (
            ["--relax", "critical-extended-key-usage"],
            "the session that is kept stands on other trusted roots or rules than these (--ca, --relax)",
        ),
        (["--servername", "127.0.0.1"], "no session with this server is kept"),
    ],
)
def test_a_session_that_does_not_fit_the_options_stays_in_the_file(
    folder: Path, tmp_path: Path, arguments: list[str], why: str
) -> None:
    file = tmp_path / "sessions"
    with s_server(
        folder, "-num_tickets", "1", "-ciphersuites", "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384"
    ) as port:
        visit(
            port, folder, "--session", file, "--suite", "TLS_AES_128_GCM_SHA256,TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"
        )
        kept = FileSessions(file).take("localhost")
        assert kept is not None
        FileSessions(file).put(kept)
        found = visit(port, folder, "--session", file, *arguments)
    assert (found["resumed"], found["session"]["offered"], found["session"]["why_not"]) == (False, False, why)
    assert kept.ticket in file.read_bytes()


def test_a_server_that_has_forgotten_is_told(folder: Path, tmp_path: Path) -> None:
    with s_server(folder) as port:
        visit(port, folder, "--session", tmp_path / "sessions")
    with s_server(folder) as port:
        found = visit(port, folder, "--session", tmp_path / "sessions")
    assert (found["resumed"], found["session"]["offered"]) == (False, True)
    assert found["session"]["why_not"].startswith("it was offered, and the server did not take it. It does not say why")


def test_an_expired_session_is_told(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "sessions"
    with s_server(folder) as port:
        visit(port, folder, "--session", file)
        store = FileSessions(file)
        while (session := store.take("localhost")) is not None:
            kept = session
        kept.expires = kept.issued + int(1_000 * (time.time() - kept.issued / 1_000)) + 300
        store.put(kept)
        time.sleep(0.4)
        found = visit(port, folder, "--session", file)
    assert found["session"]["why_not"] == "the session that was kept has expired"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--session", "GARBAGE"], "--session: GARBAGE is not a file of sessions"),
        (["--session", "FOLDER"], "--session: FOLDER is no file"),
        (["--session", "gone/x"], "--session: its folder is not there folder gone"),
        (["--session", ""], "--session: needs the name of a file"),
        (["--session", "x", "--no-verify"], "--session: means nothing with --no-verify"),
        (["--reconnect", "1", "--no-verify"], "--reconnect: means nothing with --no-verify"),
        (["--reconnect", "1", "--pipe"], "--reconnect: goes with neither --get nor --pipe"),
        (["--reconnect", "1", "--get", "/"], "--reconnect: goes with neither --get nor --pipe"),
        (["--early-data", "GARBAGE"], "--early-data: needs --session FILE, or --reconnect"),
        (["--early-data", "GARBAGE", "--session", "x", "--get", "/"], "--early-data: does not go with --get"),
        (["--early-data", "FOLDER", "--session", "x"], "A file cannot be read."),
        (["--early-data", "EMPTY", "--session", "x"], "--early-data: there is nothing in the file"),
        (["--output", "x"], "--output: needs --get or --early-data"),
    ],
)
def test_what_is_no_use_is_a_sentence(tmp_path: Path, arguments: list[str], words: str) -> None:
    (tmp_path / "GARBAGE").write_bytes(b"garbage")
    (tmp_path / "EMPTY").write_bytes(b"")
    (tmp_path / "FOLDER").mkdir()
    places = [str(tmp_path / name) if name in ("GARBAGE", "FOLDER", "EMPTY") else name for name in arguments]
    run = handfast("connect", "localhost:1", *places)
    assert run.returncode == 2
    for name in ("GARBAGE", "FOLDER"):
        words = words.replace(name, str(tmp_path / name))
    assert " ".join(words.split()) in told(run)
    assert (tmp_path / "GARBAGE").read_bytes() == b"garbage"
    assert lines_of(run)


def test_a_file_that_others_may_read_is_not_used_and_that_is_said(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "sessions"
    with s_server(folder) as port:
        visit(port, folder, "--session", file)
        file.chmod(0o644)
        run = handfast("connect", f"localhost:{port}", "--ca", folder / "ca.pem", "--session", file, "--json")
        assert document(run)["resumed"] is False
        assert "may be used by others (mode 644): its sessions are not used" in told(run)
        assert file.stat().st_mode & 0o777 == 0o600
        assert visit(port, folder, "--session", file)["resumed"]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_does_not_stop_the_handshake(folder: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with s_server(folder) as port:
        run = handfast("connect", f"localhost:{port}", "--ca", folder / "ca.pem", "--session", tmp_path / "s", "-q")
    assert run.returncode == 0
    assert "Sessions are not kept in" in told(run)


@pytest.mark.skipif(os.name != "posix", reason="limits of a process are POSIX's")
def test_a_disk_that_is_full_does_not_stop_the_handshake_and_nothing_is_said_to_be_kept(
    folder: Path, tmp_path: Path
) -> None:
    """A limit to the length of files stands for the disk: the lock fits, and the sessions do not."""
    file = tmp_path / "sessions"
    limited = "import resource, runpy, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
    limited += "resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64)); runpy.run_module('handfast', run_name='__main__')"
    with s_server(folder) as port:
        command = [sys.executable, "-c", limited, "connect", f"localhost:{port}", "--ca", str(folder / "ca.pem")]
        run = subprocess.run([*command, "--session", str(file)], capture_output=True, timeout=30, check=False)
    assert run.returncode == 0, run.stderr
    assert "Sessions are not kept in" in told(run)
    assert "not all kept in" in told(run)
    assert not file.exists()


# --- early data -----------------------------------------------------------------------------------------------------


def test_openssl_takes_early_data_and_what_that_means_is_told(folder: Path, tmp_path: Path) -> None:
    printed: list[str] = []
    data = tmp_path / "data"
    data.write_bytes(b"sent before any answer\n")
    with s_server(folder, "-early_data", output=printed) as port:
        options = ["--session", tmp_path / "sessions", "--early-data", data]
        first = visit(port, folder, *options)
        run = handfast("connect", f"localhost:{port}", "--ca", folder / "ca.pem", *options)
    assert first["early_data"] == {
        "bytes": 23,
        "outcome": "not sent",
        "why": "no session with this server is kept",
        "sent_again": True,
        "answer_bytes": 0,
        "answered_after_ms": None,
    }
    assert printed.count("sent before any answer") == 2
    text = told(run)
    assert "early data accepted, 23 bytes" in text
    assert "no forward secrecy, and whoever has recorded them can send them again" in text


def test_refused_early_data_is_sent_again(folder: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.write_bytes(b"sent twice, seen once\n")
    printed: list[str] = []
    with s_server(folder, "-early_data") as port:
        visit(port, folder, "--session", tmp_path / "sessions")
    with s_server(folder, "-early_data", output=printed) as port:
        found = visit(port, folder, "--session", tmp_path / "sessions", "--early-data", data)
    assert (found["early_data"]["outcome"], found["early_data"]["sent_again"]) == ("rejected", True)
    assert found["early_data"]["why"] == "the server did not take the session, so it could not read what came with it"
    assert printed.count("sent twice, seen once") == 1


def test_early_data_that_does_not_fit_is_sent_after_the_handshake(folder: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.write_bytes(b"x" * 101)
    with s_server(folder, "-early_data", "-max_early_data", "100") as port:
        visit(port, folder, "--session", tmp_path / "sessions")
        found = visit(port, folder, "--session", tmp_path / "sessions", "--early-data", data)
    assert (found["resumed"], found["early_data"]["outcome"]) == (True, "not sent")
    assert found["early_data"]["why"] == "the server's ticket allows 100 bytes"


# --- serve ----------------------------------------------------------------------------------------------------------


def test_serve_gives_tickets_and_says_who_came_back(folder: Path, tmp_path: Path, own: list[object]) -> None:
    with serving(*own, "--json", "--tickets", "3") as server:
        first = visit(server.port, folder, "--session", tmp_path / "sessions")
        visit(server.port, folder, "--session", tmp_path / "sessions")
        assert first["session"]["received"] == 3
        assert logged(server)["session"] is None
        line = logged(server)
    assert line["chosen"]["resumed"]
    assert line["session"] == {
        "by": "ticket",
        "resumed": True,
        "why_not": None,
        "early_data": None,
        "early_data_why_not": None,
    }


def test_serve_without_tickets_gives_none(folder: Path, own: list[object]) -> None:
    with serving(*own, "--tickets", "0") as server:
        found = visit(server.port, folder, "--reconnect", 1)
    assert found["session"]["received"] == 0
    assert not found["resumed"]


def s_client(port: int, folder: Path, *options: str) -> str:
    """What OpenSSL's client prints, after a request."""
    program = require_peer("openssl")
    command = [program, "s_client", "-connect", f"localhost:{port}", "-CAfile", "ca.pem", "-ign_eof", *options]
    run = subprocess.run(command, cwd=folder, input=REQUEST, capture_output=True, timeout=30, check=False)
    return run.stdout.decode(errors="replace")


@pytest.mark.parametrize(
    ("first", "again", "by", "why"),
    [
        (["-tls1_2", "-no_ticket"], ["-tls1_2", "-no_ticket"], "session ID", None),
        (["-tls1_2"], ["-tls1_2"], "ticket", None),
        (["-tls1_3"], ["-tls1_3"], "ticket", None),
        (
            ["-tls1_3"],
            ["-tls1_3", "-servername", "127.0.0.1.example"],
            "ticket",
            "its session is of another name, localhost",
        ),
        (["-tls1_3"], ["-tls1_3", "-ciphersuites", "TLS_AES_256_GCM_SHA384"], "ticket", "its session goes with another hash, SHA256"),
    ],
)  # fmt: skip
def test_why_openssl_could_or_could_not_come_back(
    folder: Path, tmp_path: Path, own: list[object], first: list[str], again: list[str], by: str, why: str | None
) -> None:
    file = str(tmp_path / "session.pem")
    name = [] if "-servername" in again else ["-servername", "localhost"]
    with serving(*own, "--json") as server:
        assert "\nNew, " in s_client(server.port, folder, *first, "-servername", "localhost", "-sess_out", file)
        text = s_client(server.port, folder, *again, *name, "-sess_in", file)
        assert ("\nReused, " in text) is (why is None)
        logged(server)
        found = logged(server)["session"]
    assert (found["by"], found["resumed"], found["why_not"]) == (by, why is None, why)


def test_a_ticket_of_another_server_is_told(folder: Path, tmp_path: Path, own: list[object]) -> None:
    with serving(*own) as server:
        visit(server.port, folder, "--session", tmp_path / "sessions")
    with serving(*own) as server:
        visit(server.port, folder, "--session", tmp_path / "sessions")
        line = server.line()
    assert (
        "not resumed by its ticket: the key of its ticket is not known here: it is gone, or of another server" in line
    )


def flight(server: Serving, folder: Path) -> bytes:
    """The first flight of a client that comes back with early data, as somebody on the way could record it."""
    sessions = MemorySessions()
    config = ClientConfig(trust=TrustStore.from_files(folder / "ca.pem"), sessions=sessions)
    with connect("localhost", server.port, config=config) as tls:
        tls.sendall(REQUEST)
        while tls.recv():
            pass
    client = ClientConnection(config, server_name="localhost", early_data=REQUEST)
    client.start()
    return bytes(client.data_to_send())


@pytest.mark.timeout(90)
def test_early_data_is_taken_once_and_a_replay_is_told(folder: Path, tmp_path: Path, own: list[object]) -> None:
    with serving(*own, "--json", "--early-data") as server:
        assert any(f"early data is taken from {YOUNG} seconds on" in line for line in server.lines)
        visit(server.port, folder, "--session", tmp_path / "sessions")
        logged(server)
        young = visit(
            server.port,
            folder,
            "--session",
            tmp_path / "sessions",
            "--early-data",
            folder / "request",
            "--output",
            os.devnull,
        )
        found = logged(server)
        assert (young["early_data"]["outcome"], young["early_data"]["sent_again"]) == ("rejected", True)
        assert found["session"]["early_data_why_not"].startswith("the guard is younger")
        assert found["requests"] == ["GET / 200"]
        time.sleep(GUARD_SECONDS)
        run = handfast(
            "connect", f"localhost:{server.port}", "--ca", folder / "ca.pem",
            "--session", tmp_path / "sessions", "--early-data", folder / "request",
        )  # fmt: skip
        found = logged(server)
        assert (found["session"]["early_data"], found["requests"]) == ("accepted", ["GET / 200"])
        assert run.stdout.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"early data    accepted" in run.stderr
        replayed(server, flight(server, folder))


def replayed(server: Serving, recorded: bytes) -> None:
    """One flight twice: the first time its data is taken, and with a replay nothing comes of it."""
    logged(server)
    answers = [b"", b""]

    def send(number: int) -> None:
        with socket.create_connection(("localhost", server.port)) as sock:
            sock.settimeout(5)
            sock.sendall(recorded)
            answers[number] = sock.recv(65_536)

    for number in range(2):
        thread = threading.Thread(target=send, args=(number,))
        thread.start()
        thread.join(10)
        # Who replays cannot answer, so no handshake is complete, and nothing was done: there is no request in the line.
        line = logged(server)
        assert line["requests"] == []
        assert line["chosen"] is None
    assert len(answers[0]) == len(answers[1]) + 4  # the extension early_data in EncryptedExtensions: taken, and refused


# --- serve, with a store --------------------------------------------------------------------------------------------


def test_two_servers_share_their_sessions_by_a_store(folder: Path, tmp_path: Path, own: list[object]) -> None:
    program = require_peer("redis-server")
    secret = tmp_path / "secret"
    secret.write_bytes(os.urandom(32))
    path = tmp_path / "redis.sock"
    command = [program, "--port", "0", "--unixsocket", str(path), "--save", "", "--dir", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as redis:
        try:
            until = time.monotonic() + 10
            while not path.exists() and time.monotonic() < until:
                time.sleep(0.02)
            store = ["--store", f"unix://{path}", "--store-secret", secret]
            with serving(*own, *store) as one, serving(*own, *store, "--json") as two:
                visit(one.port, folder, "--session", tmp_path / "sessions")
                found = visit(two.port, folder, "--session", tmp_path / "sessions")
                assert found["resumed"]
                assert logged(two)["session"]["resumed"]
        finally:
            redis.kill()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--store", "redis://localhost"], "--store: needs --store-secret FILE"),
        (["--store-secret", "SHORT"], "--store-secret: means nothing without --store"),
        (["--store", "redis://localhost", "--store-secret", "SHORT"], "--store-secret: has to be 32 random bytes or more"),
        (["--store", "redis://localhost", "--store-secret", "NONE"], "A file cannot be read."),
        (["--tickets", "0", "--early-data"], "--early-data: means nothing with --tickets 0"),
        (["--tickets", "0", "--store", "redis://localhost", "--store-secret", "SHORT"], "--store: means nothing with --tickets 0"),
        (["--tickets", "17"], "--tickets: has to be 0 to 16"),
        (["--tls", "1.2", "--early-data"], "--early-data: means nothing with --tls 1.2: TLS 1.3 alone has early data"),
    ],
)  # fmt: skip
def test_what_serve_cannot_do_is_a_sentence(tmp_path: Path, arguments: list[str], words: str) -> None:
    (tmp_path / "SHORT").write_bytes(b"short")
    places = [str(tmp_path / name) if name in ("SHORT", "NONE") else name for name in arguments]
    run = handfast("serve", "--port", "0", *places)
    assert run.returncode == 2
    assert words in told(run)


def test_a_store_that_is_not_there_is_told_at_the_start(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(os.urandom(32))
    secret.chmod(0o644)
    with serving("--store", f"unix://{tmp_path}/gone.sock", "--store-secret", secret, "--json") as server:
        assert server.process.stderr is not None
        assert "may be used by others (mode 644), who could open every ticket" in server.warnings
        assert "The shared store of sessions has failed" in server.process.stderr.readline()


def test_how_often_clients_came_back_is_told_at_the_end(folder: Path, own: list[object]) -> None:
    import signal

    command = [sys.executable, "-m", "handfast", "serve", "--port", "0", *map(str, own)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
    ) as process:
        server = Serving(process, False)
        visit(server.port, folder, "--reconnect", 2)
        for _ in range(3):
            server.line()
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=20)
    assert rest == "2 of 3 handshakes were resumed\n"
