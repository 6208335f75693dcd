"""`handfast connect` with `openssl s_server` as the server: each way in which it refuses has its own words."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from handfast.testing import Authority
from tests.cli.running import document, handfast, lines_of
from tests.peers import require_peer


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("openssl")
    authority = Authority.create()
    authority.write(place)
    authority.issue("localhost", "127.0.0.1").write(place)
    return place


@contextmanager
def s_server(folder: Path, *options: str) -> Iterator[int]:
    """A server of OpenSSL; its port is chosen by the kernel, and read from what it prints."""
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
            process.communicate()


def test_a_page_of_openssl_is_fetched(folder: Path) -> None:
    with s_server(folder, "-www") as port:
        run = handfast("connect", f"localhost:{port}", "--ca", folder / "ca.pem", "--get", "/", "-q")
        assert run.returncode == 0, run.stderr
        assert b"s_server" in run.stdout
        found = document(handfast("connect", f"localhost:{port}", "--ca", folder / "ca.pem", "--get", "/", "--json"))
    assert found["response"]["status"] == 200
    assert found["response"]["bytes"] > 0
    assert "NewSessionTicket" in [item["type"] for item in found["messages"]]


@pytest.mark.parametrize(
    ("server", "client", "kind", "reason", "words"),
    [
        (["-tls1_2"], [], "AlertReceived", "version_refused", "speaks no version of TLS"),
        (["-groups", "P-384"], [], "PeerIncompatible", "hello_retry_unsupported", "--group secp384r1"),
        (["-alpn", "h3"], ["--alpn", "h2"], "AlertReceived", "alert_received", "no application protocol"),
        (
            ["-ciphersuites", "TLS_AES_256_GCM_SHA384"],
            ["--suite", "TLS_AES_128_GCM_SHA256"],
            "AlertReceived",
            "alert_received",
            "TLS_AES_128_GCM_SHA256",
        ),
    ],
)
def test_a_refusal_says_what_was_offered_and_what_to_try(
    folder: Path, server: list[str], client: list[str], kind: str, reason: str, words: str
) -> None:
    with s_server(folder, *server) as port:
        target = ["connect", f"localhost:{port}", "--ca", folder / "ca.pem", *client]
        found = document(handfast(*target, "--json"))
        run = handfast(*target, "-q")
    assert run.returncode == 1
    assert (found["error"]["type"], found["error"]["reason"]) == (kind, reason)
    assert found["error"]["step"] == "ServerHello"
    lines = lines_of(run)
    assert lines[0] == f"handfast: {found['error']['sentence']}"
    assert words in "\n".join(lines)
    assert any(line.split()[:1] == ["try"] for line in lines)


def test_the_group_that_the_hint_names_works(folder: Path) -> None:
    with s_server(folder, "-groups", "P-384") as port:
        target = ["connect", f"localhost:{port}", "--ca", folder / "ca.pem", "--json"]
        assert document(handfast(*target, "--group", "P-384"))["group"] == "secp384r1"


def test_a_client_certificate_that_is_asked_for_is_explained(folder: Path) -> None:
    with s_server(folder, "-Verify", "1", "-www") as port:
        run = handfast("connect", f"localhost:{port}", "--ca", folder / "ca.pem", "--get", "/")
    text = run.stderr.decode()
    assert run.returncode == 1
    assert "<-- CertificateRequest" in text
    assert "The client has no certificate to show." in text
    assert "certificate_required" in text
    assert "handfast has no client certificates yet" in " ".join(text.split())
