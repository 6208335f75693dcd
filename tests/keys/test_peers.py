"""Real peers and keys in a token: OpenSSL as client and as server, and both commands."""

from __future__ import annotations

import queue
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from handfast import aio
from handfast.certificates.identity import Identity
from handfast.config import ClientConfig, ServerConfig
from handfast.errors import TLSError
from handfast.signers import Pkcs11Signer
from handfast.testing import Authority, IssuedIdentity
from handfast.transport.blocking import connect
from handfast.transport.server import Server
from tests.cli.running import handfast, serving
from tests.keys.conftest import KINDS
from tests.keys.softhsm import PIN, SoftHsm
from tests.peers import require_peer

Issued = dict[str, IssuedIdentity]
EACH = pytest.mark.parametrize("kind", KINDS)
# In TLS 1.2 the curve of a certificate has to be among those that its owner offers (RFC 8422 section 5.1.1).
GROUPS = ("X25519", "secp256r1", "secp384r1", "secp521r1")
VERSIONS = pytest.mark.parametrize("version", ["1.2", "1.3"])


@pytest.fixture
def ca(authority: Authority, tmp_path: Path) -> Path:
    return authority.write(tmp_path)


def s_client(port: int, ca: Path, *options: object) -> str:
    """What OpenSSL's client says of one connection; it has to end well."""
    command = [require_peer("openssl"), "s_client", "-connect", f"127.0.0.1:{port}", "-servername", "localhost",
               "-CAfile", ca, "-verify_return_error", "-verify_hostname", "localhost", *options]  # fmt: skip
    done = subprocess.run([str(item) for item in command], input="hello\n", capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextmanager
def s_server(ca: Path, server: IssuedIdentity, folder: Path, *options: str) -> Iterator[int]:
    """OpenSSL as a server that wants to know who its clients are."""
    certificates, key = server.write(folder, "openssl")
    command = [require_peer("openssl"), "s_server", "-accept", "0", "-cert", str(certificates), "-key", str(key),
               "-cert_chain", str(certificates), "-CAfile", str(ca), "-Verify", "3", "-verify_return_error", "-www",
               *options]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            assert process.stdout is not None
            line = next(line for line in process.stdout if line.startswith("ACCEPT"))
            yield int(re.findall(r":(\d+)\s*$", line)[0])
        finally:
            process.kill()


@EACH
@VERSIONS
def test_openssl_shakes_hands_with_a_server_whose_key_is_in_a_token(
    kind: str, version: str, hsm: SoftHsm, issued: Issued, ca: Path
) -> None:
    with Pkcs11Signer(hsm.uri(object=kind), PIN) as signer:
        config = ServerConfig(identities=[Identity(issued[kind].chain, signer)])
        with Server(lambda tls: tls.sendall(tls.recv()), "127.0.0.1", 0, config=config) as server:
            said = s_client(server.address[1], ca, "-tls" + version.replace(".", "_"))
    assert "Verify return code: 0 (ok)" in said
    assert f"TLSv{version}" in said


@EACH
@VERSIONS
def test_openssl_knows_a_client_whose_key_is_in_a_token(
    kind: str, version: str, hsm: SoftHsm, issued: Issued, authority: Authority, ca: Path, tmp_path: Path
) -> None:
    curves = ("-curves", "X25519:P-256:P-384:P-521")
    with (
        s_server(ca, authority.issue("localhost"), tmp_path, "-tls" + version.replace(".", "_"), *curves) as port,
        Pkcs11Signer(hsm.uri(object=kind), PIN) as signer,
    ):
        who = Identity(issued[kind].chain, signer)
        config = ClientConfig(trust=authority.trust, identities=[who], groups=GROUPS)
        with connect("localhost", port, config=config) as tls:
            tls.sendall(b"GET / HTTP/1.0\r\n\r\n")
            page = b""
            while data := tls.recv():
                page += data
    assert b"Client certificate" in page
    assert f"TLSv{version}".encode() in page


def test_a_hundred_clients_on_one_event_loop(hsm: SoftHsm, issued: Issued, authority: Authority) -> None:
    """All at once, and one key in a token that signs for one at a time."""
    import asyncio

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.read(100))
        writer.close()

    async def visit(port: int, client: ClientConfig) -> bytes:
        reader, writer = await aio.open_connection("127.0.0.1", port, config=client, server_name="localhost")
        writer.write(b"hello")
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer

    async def run(signer: Pkcs11Signer) -> list[bytes]:
        who = Identity(issued["p256"].chain, signer)
        client = ClientConfig(trust=authority.trust, identities=[who])
        config = ServerConfig(identities=[who], client_authentication="required", client_trust=authority.trust)
        async with await aio.start_server(echo, "127.0.0.1", 0, config=config) as server:
            port = server.sockets[0].getsockname()[1]
            return await asyncio.gather(*(visit(port, client) for _ in range(100)))

    with Pkcs11Signer(hsm.uri(object="p256"), PIN) as signer:
        assert asyncio.run(run(signer)) == [b"hello"] * 100


# --- the commands -------------------------------------------------------------------------------------------------------


@pytest.fixture
def uri(hsm: SoftHsm, tmp_path: Path) -> str:
    """With the PIN in a file, as a service has it."""
    file = tmp_path / "pin"
    file.write_text(PIN)
    return f"{hsm.uri(object='p256')}&pin-source=file:{file}"


def test_serve_with_a_key_in_a_token(uri: str, chain: Path, ca: Path) -> None:
    with serving("--cert", chain, "--key", uri) as running:
        assert "Verify return code: 0 (ok)" in s_client(running.port, ca)
        assert "TLSv1.3" in running.line()
    assert not any(PIN in line for line in running.lines)


def test_connect_with_a_key_in_a_token(uri: str, chain: Path, ca: Path, authority: Authority, tmp_path: Path) -> None:
    with s_server(ca, authority.issue("localhost"), tmp_path) as port:
        done = handfast("connect", f"localhost:{port}", "--ca", ca, "--cert", chain, "--key", uri, "--get", "/")
    assert done.returncode == 0, done.stderr
    assert b"Client certificate" in done.stdout
    assert PIN.encode() not in done.stdout + done.stderr


@pytest.mark.parametrize("command", [("serve", "--port", "0"), ("connect", "localhost:1")])
def test_both_say_what_is_wrong_with_a_token(
    command: tuple[str, ...], hsm: SoftHsm, chain: Path, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("wrong-" + PIN)
    cases: list[tuple[str, str]] = [
        (hsm.uri(object="nothing") + f"&pin-value={PIN}", "there is no private key like that"),
        (hsm.uri("nowhere"), "there is no token like that"),
        (hsm.uri(object="p384") + f"&pin-value={PIN}", "does not belong to the certificate"),
        (hsm.uri(object="p256") + f"&pin-source={wrong}", "the PIN is wrong"),
        (hsm.uri(object="p256"), "wants a PIN, and none is given"),
        ("pkcs11:objekt=p256", "it is not known"),
        ("pkcs11:object=p256?module-path=/nowhere.so", "it is not there"),
    ]
    for uri, words in cases:
        done = handfast(*command, "--cert", chain, "--key", uri)
        assert done.returncode == 2, done.stderr
        text = " ".join(done.stderr.decode().split())
        assert words in text
        assert "Traceback" not in text
        assert PIN not in text


def test_serve_says_what_it_leaves_out_and_what_clients_will_not_like(authority: Authority, tmp_path: Path) -> None:
    client = authority.issue("localhost", usage=("client",))
    both = tmp_path / "both.pem"
    both.write_bytes(authority.pem + client.certificate_pem + client.key_pem)
    command = [sys.executable, "-m", "handfast", "serve", "--port", "0", "--cert", str(both)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    while process.stdout.readline().strip():
        pass
    process.terminate()
    text = " ".join(process.communicate(timeout=30)[1].split())
    assert "A root is among the certificates, and is not sent" in text
    assert "Our own certificate is not for this use" in text
    assert "lacks: serverAuth" in text


def test_serve_with_pkcs12(issued: Issued, ca: Path, tmp_path: Path) -> None:
    certificates, key = issued["p256"].write(tmp_path)
    file = tmp_path / "all.p12"
    command = [
        require_peer("openssl"),
        "pkcs12",
        "-export",
        "-in",
        certificates,
        "-inkey",
        key,
        "-out",
        file,
        "-passout",
        "pass:",
    ]
    assert subprocess.run(command, timeout=60).returncode == 0
    with serving("--cert", file) as running:
        assert "Verify return code: 0 (ok)" in s_client(running.port, ca)


def test_what_a_peer_learns_of_a_key_that_is_gone(
    hsm: SoftHsm, issued: Issued, authority: Authority, monkeypatch: Any
) -> None:
    """An alert, and nothing of the token."""
    import pkcs11

    failures: queue.Queue[Exception] = queue.Queue()
    with Pkcs11Signer(hsm.uri(object="p256"), PIN) as signer:
        config = ServerConfig(identities=[Identity(issued["p256"].chain, signer)])
        with Server(
            lambda tls: None, "127.0.0.1", 0, config=config, on_failure=lambda *seen: failures.put(seen[1])
        ) as server:
            signer.close()
            with monkeypatch.context() as gone:
                gone.setattr(pkcs11, "lib", lambda path: (_ for _ in ()).throw(pkcs11.TokenNotPresent()))
                with pytest.raises(TLSError) as caught:
                    connect("localhost", server.address[1], config=ClientConfig(trust=authority.trust)).close()
    assert caught.value.alert == 80
    assert str(failures.get(timeout=30)) == (
        "The private key is kept elsewhere, and cannot be reached now. "
        "(key: pkcs11:token=handfast;object=p256; problem: token not present)"
    )
