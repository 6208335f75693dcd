"""`handfast connect`, as a user runs it."""

from __future__ import annotations

import re
import signal
import socket
import stat
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from handfast import Server, ServerConfig, TLSSocket
from handfast.crypto.groups import GROUPS
from handfast.crypto.suites import SUITES
from handfast.testing import Authority
from handfast.testing.chains import BROKEN, chain
from handfast.wire.codepoints import CipherSuite, NamedGroup
from tests.cli.running import document, handfast, listening

HTTP = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Hostile: \x1b[31mred\r\n\r\nhello"


def answer(tls: TLSSocket) -> None:
    if tls.recv():
        tls.sendall(HTTP)


def echo(tls: TLSSocket) -> None:
    while data := tls.recv():
        tls.sendall(data)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.create("the test's authority")


@pytest.fixture(scope="module")
def ca(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    path.write_bytes(authority.pem)
    return path


@pytest.fixture
def port(authority: Authority) -> Iterator[int]:
    config = ServerConfig(identities=[authority.issue("localhost", "127.0.0.1")], alpn=["http/1.1"])
    with Server(answer, config=config) as server:
        yield server.address[1]


@pytest.fixture
def echoing(authority: Authority) -> Iterator[int]:
    with Server(echo, config=ServerConfig(identities=[authority.issue("localhost")])) as server:
        yield server.address[1]


def test_shows_the_handshake_message_by_message(port: int, ca: Path) -> None:
    run = handfast("connect", f"localhost:{port}", "--ca", ca)
    text = run.stdout.decode()
    order = [
        "--> ClientHello",
        "<-- ServerHello",
        "<-- EncryptedExtensions",
        "<-- Certificate ",
        "<-- CertificateVerify",
        "<-- Finished",
        "--> Finished",
        "proved to be localhost",
        "close_notify",
    ]
    places = [text.find(piece) for piece in order]
    assert -1 not in places
    assert places == sorted(places)
    assert run.stderr == b""
    assert run.returncode == 0


def test_json_is_one_object_as_the_schema_has_it(port: int, ca: Path) -> None:
    run = handfast("connect", f"localhost:{port}", "--ca", ca, "--json", "--alpn", "h2,http/1.1")
    found = document(run)
    assert run.returncode == 0
    assert found["version"] == "TLSv1.3"
    assert found["group"] == "X25519MLKEM768"
    assert found["alpn"] == "http/1.1"
    assert found["verified"] is True
    assert found["peer"]["subject_alternative_names"] == ["DNS:localhost", "IP:127.0.0.1"]
    assert [(item["direction"], item["type"]) for item in found["messages"][:2]] == [
        ("sent", "ClientHello"),
        ("received", "ServerHello"),
    ]
    assert all(item["encrypted"] for item in found["messages"] if item["type"] in ("Certificate", "Finished"))
    assert found["timings_ms"]["handshake"] > 0
    assert found["error"] is found["response"] is None


def test_settings_reach_the_handshake(port: int, ca: Path) -> None:
    suite = "TLS_CHACHA20_POLY1305_SHA256"
    run = handfast("connect", f"127.0.0.1:{port}", "--ca", ca, "--json", "--group", "secp256r1", "--suite", suite)
    found = document(run)
    assert (found["group"], found["cipher_suite"], found["server_name"]) == ("secp256r1", suite, "127.0.0.1")


def test_get_shows_the_answer_and_makes_it_harmless(port: int, ca: Path) -> None:
    run = handfast("connect", f"localhost:{port}", "--ca", ca, "--get", "/")
    assert run.stdout == b"hello"
    assert b"HTTP 200 OK" in run.stderr
    assert b"\\x1b[31mred" in run.stderr
    assert b"\x1b" not in run.stderr


def test_get_with_json(port: int, ca: Path) -> None:
    found = document(handfast("connect", f"localhost:{port}", "--ca", ca, "--get", "/", "--json"))
    assert found["response"]["status"] == 200
    assert found["response"]["bytes"] == 5


def test_output_takes_the_body(port: int, ca: Path, tmp_path: Path) -> None:
    body = tmp_path / "body"
    run = handfast("connect", f"localhost:{port}", "--ca", ca, "--get", "/", "--output", body, "--quiet")
    assert body.read_bytes() == b"hello"
    assert run.stdout + run.stderr == b""


def test_a_full_disk_is_a_sentence(port: int, ca: Path) -> None:
    run = handfast("connect", f"localhost:{port}", "--ca", ca, "--get", "/", "--output", "/dev/full", "-q")
    assert run.returncode == 2
    assert b"No space left on device" in run.stderr
    assert b"Traceback" not in run.stderr


def test_pipe_carries_bytes_both_ways_and_ends(echoing: int, ca: Path) -> None:
    data = bytes(range(256)) * 4096
    run = handfast("connect", f"localhost:{echoing}", "--ca", ca, "--pipe", "-q", stdin=data)
    assert run.stdout == data
    assert run.stderr == b""
    assert run.returncode == 0


def test_keylog_is_the_owners_alone(port: int, ca: Path, tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.touch(mode=0o644)
    handfast("connect", f"localhost:{port}", "--ca", ca, "--keylog", path, "-q")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    labels = [line.split()[0] for line in path.read_text().splitlines()]
    assert labels == [
        "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
        "SERVER_HANDSHAKE_TRAFFIC_SECRET",
        "CLIENT_TRAFFIC_SECRET_0",
        "SERVER_TRAFFIC_SECRET_0",
        "EXPORTER_SECRET",
    ]


def test_no_secret_is_logged_without_the_option(
    port: int, ca: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    handfast("connect", f"localhost:{port}", "--ca", ca, "-q")
    assert not (tmp_path / "keys").exists()


def test_no_verify_says_so(port: int) -> None:
    run = handfast("connect", f"localhost:{port}", "--no-verify", "-q")
    assert run.returncode == 0
    assert b"nobody checks who the server is" in run.stderr
    found = document(handfast("connect", f"localhost:{port}", "--no-verify", "--json"))
    assert found["verified"] is False
    assert found["peer"] is not None


@pytest.mark.parametrize(
    "name",
    [
        "expired",
        "not_yet_valid",
        "wrong_name",
        "self_signed",
        "unknown_issuer",
        "missing_intermediate",
        "wrong_usage",
        "weak_key",
    ],
)
def test_each_bad_certificate_has_its_own_words(name: str, tmp_path: Path) -> None:
    assert name in BROKEN
    case = chain(name)
    roots = tmp_path / "roots.pem"
    roots.write_bytes(b"".join(_pem(root) for root in case.trust.roots))
    with Server(echo, config=ServerConfig(identities=[case.identity])) as server:
        target = f"127.0.0.1:{server.address[1]}"
        run = handfast("connect", target, "--servername", case.server_name, "--ca", roots, "--json")
        found = document(run)
        plain = handfast("connect", target, "--servername", case.server_name, "--ca", roots, "-q")
    assert run.returncode == plain.returncode == 1
    assert found["error"]["type"] == case.error.__name__
    assert found["error"]["reason"] == case.reason.name
    assert found["error"]["sent_by"] == "us"
    assert found["error"]["step"] == "Certificate"
    assert found["messages"][-1]["type"] == "Alert"
    assert case.reason.sentence in " ".join(plain.stderr.decode().split())


def _pem(root: object) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return root.public_bytes(Encoding.PEM)  # type: ignore[attr-defined]


def _close(peer: socket.socket) -> None:
    peer.recv(65536)


def _reset(peer: socket.socket) -> None:
    peer.recv(1)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _ssh(peer: socket.socket) -> None:
    peer.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
    peer.recv(65536)


def _http(peer: socket.socket) -> None:
    peer.recv(65536)
    peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    peer.recv(65536)


def _silence(peer: socket.socket) -> None:
    while peer.recv(65536):
        pass


def _garbage(peer: socket.socket) -> None:
    peer.sendall(bytes(range(200, 256)))
    peer.recv(65536)


@pytest.mark.parametrize(
    ("talk", "kind", "reason", "sent_by"),
    [
        (_close, "TruncationError", "closed_during_handshake", "peer"),
        (_reset, "ConnectionFailed", "reset", "nobody"),
        (_ssh, "PeerMisbehaved", "plaintext", "us"),
        (_http, "PeerMisbehaved", "plaintext_http", "us"),
        (_garbage, "PeerMisbehaved", "not_tls", "us"),
        (_silence, "HandshakeTimeout", "handshake_timeout", "us"),
    ],
)
def test_peers_that_are_no_tls_servers_are_told_apart(
    talk: Callable[[socket.socket], None], kind: str, reason: str, sent_by: str
) -> None:
    with listening(talk) as port:
        run = handfast("connect", f"127.0.0.1:{port}", "--json", "--timeout", "1")
    error = document(run)["error"]
    assert (error["type"], error["reason"], error["sent_by"]) == (kind, reason, sent_by)
    assert error["step"] == "ServerHello"
    assert run.returncode == 1
    assert run.stderr == b""


def test_a_dead_port_is_no_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    run = handfast("connect", f"127.0.0.1:{port}", "--json")
    found = document(run)
    assert run.returncode == 3
    assert found["error"]["reason"] == "connection_failed"
    assert found["messages"] == []
    assert b"Connection refused" in handfast("connect", f"127.0.0.1:{port}").stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["localhost:0"], "not a host and a port"),
        (["localhost:x"], "not a host and a port"),
        (["[::1"], "the brackets do not match"),
        (["a..b"], "a label of it is empty"),
        (["localhost", "--group", "x25520"], "'x25520' is not known"),
        (["localhost", "--suite", "RC4"], "'RC4' cannot be used: RC4 is broken"),
        (["localhost", "--ca", "/nonexistent.pem"], "/nonexistent.pem"),
        (["localhost", "--keylog", "/nonexistent/keys"], "/nonexistent/keys"),
        (["localhost", "--timeout", "-1"], "--timeout"),
        (["localhost", "--timeout", "nan"], "--timeout"),
        (["localhost", "--timeout", "soon"], "--timeout"),
        (["localhost", "--group", ","], "--group: a value is needed"),
        (["localhost", "--alpn", "x" * 256], "--alpn: a name has 1 to 255 bytes"),
        (["localhost", "--get", "/a b"], "--get"),
        (["localhost", "--get", "/", "--output", "/nonexistent/file"], "/nonexistent/file"),
        (["localhost", "--relax", "missing-key-usage", "--no-verify"], "--relax"),
        (["https://localhost/"], "no URL; a path goes with --get"),
        (["localhost", "--pipe", "--json"], "--pipe"),
        (["localhost", "--output", "x"], "--output"),
        (["localhost", "--relax", "everything"], "everything"),
        (["localhost", "--nonsense"], "--nonsense"),
        (["localhost", "--export", "EXPORTER-x"], "--export: a label and a length are needed"),
        (["localhost", "--export", "EXPORTER-x:"], "--export: the length, after the last colon"),
        (["localhost", "--export", "EXPORTER-x:0"], "--export: the length, after the last colon"),
        (["localhost", "--export", "EXPORTER-x:8161"], "1 to 8160"),
        (["localhost", "--export", "EXPORTER-x:-1"], "--export: the length, after the last colon"),
        (["localhost", "--export", "EXPORTER-x:\u0663"], "--export: the length, after the last colon"),
        (["localhost", "--export", ":32"], "--export: a label has 1 to 249 ASCII characters"),
        (["localhost", "--export", "pr\u00fcf:32"], "--export: a label has 1 to 249 ASCII characters"),
        (["localhost", "--export", "a" * 250 + ":32"], "--export: a label has 1 to 249 ASCII characters"),
        (["localhost", "--key", "key.pem"], "--key: needs --cert"),
        (["localhost", "--cert", "/nonexistent.pem"], "/nonexistent.pem"),
        ([], "HOST"),
    ],
)
def test_a_wrong_call_is_a_sentence(arguments: list[str], words: str) -> None:
    run = handfast("connect", *arguments)
    assert run.returncode == 2
    assert words in (run.stderr or run.stdout).decode()
    assert b"Traceback" not in run.stderr


def test_a_rule_can_be_relaxed_by_the_name_in_the_error(tmp_path: Path) -> None:
    case = chain("critical_san")
    roots = tmp_path / "roots.pem"
    roots.write_bytes(b"".join(_pem(root) for root in case.trust.roots))
    with Server(echo, config=ServerConfig(identities=[case.identity])) as server:
        target = [f"127.0.0.1:{server.address[1]}", "--servername", case.server_name, "--ca", roots, "--json"]
        switch = document(handfast("connect", *target))["error"]["evidence"]["relax"]
        assert handfast("connect", *target, "--relax", switch).returncode == 0


def test_ctrl_c_ends_it_without_a_traceback() -> None:
    with listening(_silence) as port:
        command = [sys.executable, "-m", "handfast", "connect", f"127.0.0.1:{port}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None
            while b"ClientHello" not in process.stdout.readline():
                pass
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert errors == b""


def test_version_and_help() -> None:
    assert handfast("--version").stdout.startswith(b"handfast 0.")
    text = handfast("connect", "--help").stdout.decode()
    assert "--servername" in text
    assert "3 if there is no connection" in " ".join(text.replace("│", " ").split())
    words = re.sub(r"[│,;.]", " ", text).split()
    assert {CipherSuite.name(value) for value in SUITES} <= set(words)
    assert {NamedGroup.name(value) for value in GROUPS} <= set(words)
    assert {"tls-exporter", "tls-unique", "tls-server-end-point"} <= set(" ".join(words).replace(":", " ").split())
