"""The examples that are clients, each with its own package as it was released, with servers that nobody here wrote."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from handfast.testing import Authority
from tests.examples.conftest import BODY, Example
from tests.starttls import servers

Make = Callable[[str], Example]
SIZE = len(BODY)

OVER_STREAMS = {
    "asyncio_streams.py": "TLSv1.3\nHTTP/1.1 200 OK\n",
    "asyncio_protocol.py": "('TLS_AES_128_GCM_SHA256', 'TLSv1.3', 128)\nHTTP/1.1 200 OK\n",
    "uvloop_streams.py": "uvloop TLSv1.3\nHTTP/1.1 200 OK\n",
    "anyio_client.py": "TLSv1.3\nHTTP/1.1 200 OK\n",
    "trio_client.py": "HTTP/1.1 200 OK\n",
}
OVER_HTTP = {
    "urllib_request.py": f"200 {SIZE}\n",
    "urllib3_client.py": f"200 {SIZE}\n" * 2,
    "requests_client.py": f"200 {SIZE}\n",
    "httpx_client.py": f"HTTP/2 200 {SIZE}\n",
    "httpx_async.py": f"HTTP/2 200 {SIZE}\n" * 3,
    "aiohttp_client.py": f"200 {SIZE}\n",
}


@pytest.mark.parametrize("name", OVER_STREAMS)
def test_streams(name: str, example: Make, https: int, files: dict[str, Path]) -> None:
    client = example(name)
    assert client.run("localhost", https, files["ca"]) == OVER_STREAMS[name]
    assert client.handshakes == [["client", "TLSv1.3", "x25519"]]


def test_anyio_on_trio(example: Make, https: int, files: dict[str, Path]) -> None:
    client = example("anyio_client.py")
    assert client.run("localhost", https, files["ca"], "trio") == OVER_STREAMS["anyio_client.py"]
    assert len(client.handshakes) == 1


@pytest.mark.parametrize("name", OVER_HTTP)
def test_http(name: str, example: Make, https: int, files: dict[str, Path]) -> None:
    client = example(name)
    assert client.run(f"https://localhost:{https}/", files["ca"]) == OVER_HTTP[name]
    assert client.handshakes == [["client", "TLSv1.3", "x25519"]]


def test_websockets(example: Make, websocket: int, files: dict[str, Path]) -> None:
    client = example("websockets_client.py")
    assert client.run(f"wss://localhost:{websocket}/", files["ca"]) == "hello\n"
    assert len(client.handshakes) == 1


def test_sessions_are_resumed_by_the_next_run_too(
    example: Make, https: int, files: dict[str, Path], tmp_path: Path
) -> None:
    url, file = f"https://localhost:{https}/", tmp_path / "sessions"
    said = [example("httpx_sessions.py").run(url, files["ca"], file) for _ in range(2)]
    assert said == ["200\n200\n2 handshakes, 1 resumed\n", "200\n200\n2 handshakes, 2 resumed\n"]


def test_more_than_ssl(example: Make, https: int, files: dict[str, Path]) -> None:
    client = example("more_than_ssl.py")
    said = client.run("localhost", https, files["ca"])
    assert said.startswith("TLSv1.3 TLS_AES_128_GCM_SHA256 x25519 ('DNS:localhost'")
    assert said.endswith("\n32\n")
    assert len(client.handshakes) == 1


@pytest.mark.parametrize("name", ["smtplib_client.py", "asyncio_start_tls.py"])
def test_mail_to_exim(name: str, example: Make, authority: Authority, files: dict[str, Path]) -> None:
    client = example(name)
    with servers.exim(authority) as ports:
        said = client.run("localhost", ports["smtp"], files["ca"])
    assert "TLSv1.3" in said
    assert "250" in said
    assert len(client.handshakes) == 1


def test_imaplib_with_dovecot(example: Make, mailboxes: dict[str, int], files: dict[str, Path]) -> None:
    client = example("imaplib_client.py")
    assert client.run("localhost", mailboxes["imap"], "me", "secret", files["ca"]) == "TLSv1.3\nOK [b'0']\n"
    assert len(client.handshakes) == 1


def test_poplib_with_dovecot(example: Make, mailboxes: dict[str, int], files: dict[str, Path]) -> None:
    client = example("poplib_client.py")
    said = client.run("localhost", mailboxes["pop3"], "me", "secret", files["ca"])
    assert said == "TLSv1.3\nmessages, octets: 0 0\n"
    assert len(client.handshakes) == 1


def test_ftplib_with_vsftpd(example: Make, authority: Authority, files: dict[str, Path]) -> None:
    client = example("ftplib_client.py")
    with servers.vsftpd(authority) as ports:
        assert client.run("localhost", ports["ftp"], "hello.txt", files["ca"]).endswith("\nhello\n")
    assert len(client.handshakes) == 2  # the commands and the file


def test_redis(example: Make, redis: int, files: dict[str, Path]) -> None:
    client = example("redis_client.py")
    assert client.run("localhost", redis, files["ca"]) == "hello\n"
    assert len(client.handshakes) == 1


def test_asyncpg_with_postgresql(example: Make, authority: Authority, files: dict[str, Path]) -> None:
    client = example("asyncpg_client.py")
    with servers.postgres(authority) as ports:
        said = client.run("localhost", ports["postgres"], "me", files["ca"])
    assert said == "TLSv1.3 TLS_AES_256_GCM_SHA384\n"
    assert len(client.handshakes) == 1
