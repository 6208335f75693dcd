"""The examples that are servers, each with its own package as it was released, and clients over Python's own ``ssl``."""

from __future__ import annotations

import json
import smtplib
import socket
import ssl
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

from handfast.testing import Authority
from handfast.wire.codepoints import CipherSuite
from tests.examples.conftest import Example

Make = Callable[[str], Example]
HOST = "127.0.0.1"
CLIENT = "CN=me,O=handfast testing"


@pytest.fixture
def trusting(files: dict[str, Path]) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=files["ca"])


@pytest.fixture
def identified(files: dict[str, Path]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=files["ca"])
    context.load_cert_chain(files["client"], files["client_key"])
    return context


def of_server(files: dict[str, Path]) -> tuple[Path, Path]:
    return files["certificate"], files["key"]


def page(port: int, context: ssl.SSLContext) -> Any:
    with urllib.request.urlopen(f"https://{HOST}:{port}/", context=context, timeout=30) as answer:
        assert answer.status == 200
        return answer.read()


def test_streams(example: Make, files: dict[str, Path], identified: ssl.SSLContext) -> None:
    server = example("asyncio_server.py")
    with server.serving(*of_server(files), files["ca"]) as (port, program):
        with (
            socket.create_connection((HOST, port), 30) as tcp,
            identified.wrap_socket(tcp, server_hostname=HOST) as tls,
        ):
            tls.sendall(b"x" * 100_000)
            got = b""
            while len(got) < 100_000:
                got += tls.recv(65_536)
        assert got == b"x" * 100_000
        program.wait_for("me.example", "stdout")
    assert ["server", "TLSv1.3", "x25519"] in server.handshakes


@pytest.mark.parametrize(
    ("name", "said"),
    [("aiohttp_server.py", b'{"tls": "TLSv1.3"}'), ("http_server.py", b"TLSv1.3"), ("gunicorn_server.py", b"https")],
)
def test_pages(name: str, said: bytes, example: Make, files: dict[str, Path], trusting: ssl.SSLContext) -> None:
    server = example(name)
    with server.serving(*of_server(files)) as (port, _):
        assert [page(port, trusting) for _ in range(3)] == [said] * 3
    assert server.handshakes.count(["server", "TLSv1.3", "x25519"]) == 3


def test_websockets(example: Make, files: dict[str, Path], trusting: ssl.SSLContext) -> None:
    server = example("websockets_server.py")
    with server.serving(*of_server(files)) as (port, _), connect(f"wss://{HOST}:{port}/", ssl=trusting) as there:
        there.send("x" * 100_000)
        assert there.recv() == "x" * 100_000
    assert ["server", "TLSv1.3", "x25519"] in server.handshakes


def test_mail_to_aiosmtpd(example: Make, files: dict[str, Path], trusting: ssl.SSLContext) -> None:
    server = example("aiosmtpd_server.py")
    with server.serving(*of_server(files)) as (port, program):
        with smtplib.SMTP(HOST, port, timeout=30) as smtp:
            smtp.starttls(context=trusting)
            smtp.sendmail("me@example.com", ["you@example.com"], "Subject: hello\r\n\r\nhello\r\n")
        program.wait_for(r"True me@example.com \['you@example.com'\]", "stdout")
    assert ["server", "TLSv1.3", "x25519"] in server.handshakes


# --- the TLS extension of ASGI ---------------------------------------------------------------------------------------

ASGI = ["uvicorn_server.py", "hypercorn_server.py"]


@pytest.mark.parametrize("name", ASGI)
@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_asgi(name: str, version: str, example: Make, files: dict[str, Path], identified: ssl.SSLContext) -> None:
    """Who the client is, and what was agreed."""
    identified.minimum_version = identified.maximum_version = ssl.TLSVersion[version]
    server = example(name)
    with server.serving(*of_server(files), files["ca"]) as (port, _), httpx.Client(verify=identified) as client:
        said = [client.get(f"https://{HOST}:{port}/").json() for _ in range(2)]
        suite = said[0]["cipher_suite"]
    assert said[0] == said[1]
    assert said[0] == {
        "server_cert": files["certificate"].read_text(),
        # OpenSSL's client sends the root too, since it knows it.
        "client_cert_chain": [files["client"].read_text(), files["ca"].read_text()],
        "client_cert_name": CLIENT,
        "client_cert_error": None,
        "tls_version": {"TLSv1_2": 0x0303, "TLSv1_3": 0x0304}[version],
        "cipher_suite": suite,
    }
    assert CipherSuite.name(suite).startswith("TLS_")
    assert len(server.handshakes) == 1


@pytest.mark.parametrize("name", ASGI)
def test_asgi_without_client_certificate(
    name: str, example: Make, files: dict[str, Path], trusting: ssl.SSLContext
) -> None:
    with example(name).serving(*of_server(files)) as (port, _):
        said = json.loads(page(port, trusting))
    assert (said["client_cert_chain"], said["client_cert_name"]) == ([], None)
    assert said["server_cert"] == files["certificate"].read_text()


def test_asgi_over_http_2(example: Make, files: dict[str, Path], identified: ssl.SSLContext) -> None:
    with (
        example("hypercorn_server.py").serving(*of_server(files), files["ca"]) as (port, _),
        httpx.Client(verify=identified, http2=True) as client,
    ):
        answer = client.get(f"https://{HOST}:{port}/")
    assert answer.http_version == "HTTP/2"
    assert answer.json()["client_cert_name"] == CLIENT


@pytest.mark.parametrize("name", ASGI)
def test_asgi_over_websocket(name: str, example: Make, files: dict[str, Path], identified: ssl.SSLContext) -> None:
    with (
        example(name).serving(*of_server(files), files["ca"]) as (port, _),
        connect(f"wss://{HOST}:{port}/", ssl=identified) as there,
    ):
        assert json.loads(there.recv())["client_cert_name"] == CLIENT


def test_services_know_each_other_by_spiffe_ids(example: Make, files: dict[str, Path], tmp_path: Path) -> None:
    authority = Authority.create("Mesh CA")
    ca = authority.write(tmp_path)

    def service(name: str, file: str) -> tuple[Path, Path]:
        return authority.issue(f"spiffe://example.org/{name}", usage=("server", "client")).write(tmp_path, file)

    db, web, other = (service(name, name) for name in ("db", "web", "other"))
    server, client = example("spiffe_server.py"), example("spiffe_client.py")
    with server.serving(*db, ca, "spiffe://example.org/web") as (port, program):
        asked = (port, ca, *web, "spiffe://example.org/db")
        assert client.run(*asked) == "hello spiffe://example.org/web\n"
        with client.failing(port, ca, *other, "spiffe://example.org/db"):
            program.wait_for("no rule allows this id; allowed: spiffe://example.org/web")
        with client.failing(port, ca, *web, "spiffe://example.org/elsewhere") as said:
            said.wait_for("no rule allows this id; allowed: spiffe://example.org/elsewhere")
        service("renewed", "db")
        program.wait_for("reloaded")
        assert client.run(port, ca, *web, "spiffe://example.org/renewed") == "hello spiffe://example.org/web\n"


@pytest.mark.parametrize("name", ASGI)
def test_a_stranger_gets_no_page(name: str, example: Make, files: dict[str, Path], tmp_path: Path) -> None:
    stranger = Authority.create("Stranger CA").issue("me.example", usage=("client",)).write(tmp_path, "stranger")
    context = ssl.create_default_context(cafile=files["ca"])
    context.load_cert_chain(*stranger)
    # asyncio does not send the alert of a server, uvloop neither: the client sees an end, as with ssl.
    with (
        example(name).serving(*of_server(files), files["ca"]) as (port, _),
        httpx.Client(verify=context) as client,
        pytest.raises(httpx.TransportError),
    ):
        client.get(f"https://{HOST}:{port}/")
