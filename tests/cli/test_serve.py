"""`handfast serve`, as a user runs it, with clients that nobody here wrote."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jsonschema
import pytest

from handfast.testing import Authority
from handfast.testing.authority import key_pem
from tests.cli.running import SCHEMAS, handfast, serving
from tests.peers import require_peer


def curl(*arguments: object) -> subprocess.CompletedProcess[bytes]:
    program = require_peer("curl")
    return subprocess.run([program, "-sS", *map(str, arguments)], capture_output=True, timeout=30, check=False)


def test_a_throwaway_authority_is_named_and_works_with_curl() -> None:
    with serving() as server:
        assert server.ca is not None
        assert server.ca.is_file()
        answer = curl("--cacert", server.ca, f"https://localhost:{server.port}/")
        assert b"your handshake" in answer.stdout
        assert b"x25519" in answer.stdout
        line = server.line()
    assert "offered localhost" in line
    assert "chosen TLSv1.3" in line
    assert "; GET / 200; closed; " in line
    assert not server.ca.exists()


def test_the_command_it_suggests_works() -> None:
    with serving("--echo") as server:
        suggested = next(line for line in server.lines if "handfast connect" in line).split()
        run = handfast(*suggested[1:], "--pipe", "-q", stdin=b"hello")
    assert run.stdout == b"hello"


def test_what_it_suggests_says_that_an_authority_of_one_s_own_has_to_be_named(tmp_path: Path) -> None:
    made = Authority.create("an authority of one's own")
    chain, key = made.issue("localhost").write(tmp_path)
    root = made.write(tmp_path)
    alone = Authority.create("alone")
    (tmp_path / "alone.pem").write_bytes(alone.pem + key_pem(alone.key))
    for own, needed in (((chain, "--key", key), "ROOT.pem"), ((tmp_path / "alone.pem",), tmp_path / "alone.pem")):
        with serving("--cert", *own) as server:
            suggested = next(line for line in server.lines if "handfast connect" in line)
            assert suggested.endswith(f" --ca {needed}")
            if needed == "ROOT.pem":
                run = handfast(*suggested.replace("ROOT.pem", str(root)).split()[1:], "-q")
                assert run.returncode == 0
    known = {"SSL_CERT_FILE": str(root)}
    with serving("--cert", chain, "--key", key, environment=known) as server:
        assert "--ca" not in next(line for line in server.lines if "handfast connect" in line)


def test_a_line_says_why_a_handshake_failed() -> None:
    with serving() as server:
        with socket.create_connection(("127.0.0.1", server.port), 10) as plain:
            plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
            plain.recv(100)
        assert "speaks HTTP in plain text" in server.line()
        handfast("connect", f"localhost:{server.port}", "-q")
        assert "failed: the client sent the alert unknown_ca" in server.line()


def test_json_is_a_line_a_connection_as_the_schema_has_it() -> None:
    schema = json.loads((SCHEMAS / "serve.json").read_text())
    with serving("--json", "--alpn", "h2,http/1.1") as server:
        curl("--cacert", server.ca, "--http1.1", f"https://localhost:{server.port}/")
        good = json.loads(server.line())
        handfast("connect", f"localhost:{server.port}", "-q")
        bad = json.loads(server.line())
    errors = json.loads((SCHEMAS / "connect.json").read_text())["$defs"]["error"]
    for document in (good, bad):
        jsonschema.validate(document, schema)
    jsonschema.validate(bad["error"], errors)
    assert good["requests"] == ["GET / 200"]
    assert good["ended"] == "closed"
    assert good["chosen"]["alpn"] == "http/1.1"
    assert good["offered"]["server_name"] == "localhost"
    assert bad["error"]["reason"] == "alert_received"
    assert bad["chosen"] is None


def test_www_serves_a_folder_and_nothing_outside_of_it(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    root = tmp_path / "www"
    root.mkdir()
    (root / "index.html").write_text("<h1>hello</h1>")
    (root / "inside.txt").write_text("inside")
    (root / "out").symlink_to(secret)
    (root / "outside").symlink_to(tmp_path)
    (root / "link").symlink_to(root / "inside.txt")
    with serving("--www", root) as server:
        site = f"https://localhost:{server.port}"

        def get(path: str) -> tuple[int, bytes]:
            answer = curl("--cacert", server.ca, "--path-as-is", "-w", "\n%{http_code}", site + path)
            body, _, status = answer.stdout.rpartition(b"\n")
            return int(status), body

        assert get("/") == (200, b"<h1>hello</h1>")
        assert get("/inside.txt") == (200, b"inside")
        assert get("/link") == (200, b"inside")
        for path in (
            "/../secret.txt",
            "/%2e%2e/secret.txt",
            "/..%2fsecret.txt",
            "/out",
            "/outside/secret.txt",
            "//etc/passwd",
            "/%2fetc/passwd",
            "/none",
            "/%00",
        ):
            status, body = get(path)
            assert status == 404, path
            assert b"secret" not in body.replace(b"secret.txt", b"")
        for path in ("/%2e%2e/", "/.hidden", "/.git/config"):
            assert get(path)[0] == 404
        refused = curl("--cacert", server.ca, "-i", "-X", "DELETE", site + "/").stdout
        assert refused.startswith(b"HTTP/1.1 405")
        assert b"Allow: GET, HEAD" in refused
        head = curl("--cacert", server.ca, "-I", site + "/inside.txt").stdout
        assert b"Content-Length: 6" in head
        assert head.endswith(b"\r\n\r\n")


def test_www_lists_a_folder_without_what_leads_out_of_it(tmp_path: Path) -> None:
    sub = tmp_path / "www" / "sub"
    sub.mkdir(parents=True)
    for name in ("a b.txt", "<b>&.txt", ".hidden"):
        (sub / name).touch()
    (sub / "out").symlink_to("/etc")
    with serving("--www", tmp_path / "www") as server:
        site = f"https://localhost:{server.port}"
        moved = curl("--cacert", server.ca, "-o", "/dev/null", "-w", "%{redirect_url}", site + "/sub")
        page = curl("--cacert", server.ca, site + "/sub/").stdout.decode()
    assert moved.stdout.decode() == site + "/sub/"
    assert '<a href="./a%20b.txt">a b.txt</a>' in page
    assert "&lt;b&gt;&amp;.txt" in page
    assert "out" not in page
    assert "hidden" not in page


def test_to_be_terminated_removes_the_authority_too() -> None:
    with serving() as server:
        assert server.ca is not None
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(20)
        assert not server.ca.exists()


def test_it_ends_when_nobody_reads_its_lines() -> None:
    with serving() as server:
        assert server.process.stdout is not None
        server.process.stdout.close()
        handfast("connect", f"localhost:{server.port}", "-q", "--ca", server.ca)
        server.process.wait(20)
        server.process.stdout = None


def test_the_certificate_of_ones_own_is_named(tmp_path: Path) -> None:
    chain, key = Authority.create().issue("www.example.com").write(tmp_path)
    with serving("--cert", chain, "--key", key) as server:
        assert "the certificate is for www.example.com; its key is ECDSA P-256" in server.lines
        assert any(line.endswith("--servername www.example.com --ca ROOT.pem") for line in server.lines)


def test_a_client_that_takes_another_protocol_is_warned_of() -> None:
    with serving("--alpn", "h2,http/1.1") as server:
        assert any("takes h2 will not understand" in line for line in server.lines)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--key", "key.pem"], "--key: needs --cert"),
        (["--cert", "/nonexistent"], "/nonexistent"),
        (["--require-client-cert"], "--require-client-cert: needs --client-ca FILE"),
        (["--client-ca", "/nonexistent"], "/nonexistent"),
        (["--cert", "/nonexistent", "--key", "/nonexistent"], "/nonexistent"),
        (["--www", "/nonexistent"], "is no folder"),
        (["--echo", "--www", "/"], "two different servers"),
        (["--host", "203.0.113.1", "--port", "0"], "203.0.113.1"),
        (["--port", "65536"], "65535"),
    ],
)
def test_a_wrong_call_is_a_sentence(arguments: list[str], words: str) -> None:
    run = handfast("serve", *arguments)
    assert run.returncode == 2
    assert words in run.stderr.decode()
    assert b"Traceback" not in run.stderr


@pytest.mark.parametrize(
    ("key", "first", "words"),
    [
        ("other.key", "The private key does not belong to the certificate.", "other.key"),
        ("encrypted.key", "The private key is encrypted, and the password is missing or wrong.", "encrypted.key"),
        ("server.pem", "There is no readable private key in this file.", "server.pem"),
        ("none.key", "A file cannot be read.", "none.key"),
    ],
)
def test_a_key_that_cannot_be_used_is_named_before_anything_is_served(
    tmp_path: Path, key: str, first: str, words: str
) -> None:
    authority = Authority.create()
    identity = authority.issue("localhost")
    chain, _ = identity.write(tmp_path)
    authority.issue("localhost").write(tmp_path, "other")
    (tmp_path / "encrypted.key").write_bytes(key_pem(identity.key, "a password"))
    run = handfast("serve", "--port", "0", "--cert", chain, "--key", tmp_path / key)
    assert run.returncode == 2
    assert run.stdout == b""
    lines = run.stderr.decode().splitlines()
    assert lines[0] == f"handfast: {first}"
    assert words in "\n".join(lines)


def test_an_expired_certificate_is_warned_of(tmp_path: Path) -> None:
    then = datetime.now(UTC) - timedelta(days=9)
    chain, key = Authority.create().issue("localhost", not_before=then, not_after=then).write(tmp_path)
    with serving("--cert", chain, "--key", key) as server:
        assert server.process.stderr is not None
        assert "has expired" in server.process.stderr.readline()


def test_a_busy_port_is_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        run = handfast("serve", "--port", other.getsockname()[1])
    assert run.returncode == 2
    assert b"in use" in run.stderr
