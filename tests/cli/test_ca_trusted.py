"""Programs of others that are told to trust the root, as docs/authority.md says."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from handfast import Server, ServerConfig, TLSSocket
from handfast.authority import AuthorityFolder
from tests.peers import require_peer

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello\n"
ROOTS = ("SSL_CERT_FILE", "SSL_CERT_DIR", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE")
DOCUMENT = Path(__file__).parents[2] / "docs" / "authority.md"

GO = """package main
import ("fmt"; "io"; "net/http"; "os")
func main() {
    answer, err := http.Get(os.Args[1])
    if err != nil { fmt.Println(err); os.Exit(1) }
    body, _ := io.ReadAll(answer.Body)
    fmt.Print(string(body))
}
"""
JAVA = """public class Get {
    public static void main(String[] arguments) throws Exception {
        System.out.write(new java.net.URI(arguments[0]).toURL().openStream().readAllBytes());
        System.out.flush();
    }
}
"""


def answer(tls: TLSSocket) -> None:
    """One request, one answer."""
    tls.recv()
    tls.sendall(ANSWER)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> AuthorityFolder:
    return AuthorityFolder.create(tmp_path_factory.mktemp("trusted") / "handfast-ca", "Example")


@pytest.fixture(scope="module")
def url(folder: AuthorityFolder) -> Iterator[str]:
    config = ServerConfig(identities=[folder.issue("localhost", "127.0.0.1")])
    with Server(answer, "127.0.0.1", 0, config=config) as server:
        yield f"https://localhost:{server.address[1]}/"


def run(command: list[str], place: Path, **variables: str) -> subprocess.CompletedProcess[bytes]:
    """A program in a folder, with these variables alone that name roots."""
    kept = {name: value for name, value in os.environ.items() if name not in ROOTS}
    return subprocess.run(
        command, cwd=place, env={**kept, **variables}, stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False
    )  # fmt: skip


def documented(variable: str) -> dict[str, str]:
    """A variable with the value that the document gives it."""
    line = next(line for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if f"`{variable}=" in line)
    return {variable: line.partition(f"`{variable}=")[2].partition("`")[0]}


@pytest.mark.parametrize(
    ("program", "variable"),
    [("curl", "SSL_CERT_FILE"), ("urllib", "SSL_CERT_FILE"), ("httpx", "SSL_CERT_FILE"), ("requests", "REQUESTS_CA_BUNDLE")],
)  # fmt: skip
def test_a_variable_is_enough_and_without_it_there_is_no_trust(
    folder: AuthorityFolder, url: str, program: str, variable: str
) -> None:
    python = [sys.executable, "-c"]
    command = {
        "curl": lambda: [require_peer("curl"), "-sS", url],
        "urllib": lambda: [*python, f"import urllib.request as u; print(u.urlopen({url!r}).read().decode())"],
        "httpx": lambda: [*python, f"import httpx; print(httpx.get({url!r}).text)"],
        "requests": lambda: [*python, f"import requests; print(requests.get({url!r}).text)"],
    }[program]()
    place = folder.path.parent
    trusting = run(command, place, **documented(variable))
    assert trusting.stdout.strip() == b"hello", trusting.stderr.decode()
    assert run(command, place).returncode != 0


def test_curl_and_openssl_by_option(folder: AuthorityFolder, url: str) -> None:
    place, root = folder.path.parent, "handfast-ca/root.pem"
    assert run([require_peer("curl"), "-sS", "--cacert", root, url], place).stdout == b"hello\n"
    address = url.removeprefix("https://").rstrip("/")
    command = [require_peer("openssl"), "s_client", "-connect", address, "-verify_return_error", "-CAfile", root]
    assert b"Verification: OK" in run(command, place).stdout


def test_go(folder: AuthorityFolder, url: str, tmp_path: Path) -> None:
    (tmp_path / "get.go").write_text(GO)
    built = run([require_peer("go"), "build", "-o", "get", "get.go"], tmp_path)
    assert built.returncode == 0, built.stderr.decode()
    program, place = [str(tmp_path / "get"), url], folder.path.parent
    assert run(program, place, **documented("SSL_CERT_FILE")).stdout == b"hello\n"
    assert run(program, place).returncode == 1


def test_java(folder: AuthorityFolder, url: str, tmp_path: Path) -> None:
    java, place = require_peer("java"), folder.path.parent
    (tmp_path / "Get.java").write_text(JAVA)
    store = str(tmp_path / "trust.p12")
    keytool = [str(Path(java).with_name("keytool")), "-importcert", "-file", "handfast-ca/root.pem", "-keystore", store]
    made = run([*keytool, "-noprompt", "-alias", "ours", "-storepass", "changeit"], place)
    assert made.returncode == 0, made.stdout.decode()
    options = [f"-Djavax.net.ssl.trustStore={store}", "-Djavax.net.ssl.trustStorePassword=changeit"]
    assert run([java, *options, str(tmp_path / "Get.java"), url], place).stdout == b"hello\n"
    assert run([java, str(tmp_path / "Get.java"), url], place).returncode != 0
