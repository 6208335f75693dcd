"""OpenSSL, GnuTLS and our own verifier accept all that is made, and refuse what was revoked or is outside of the limits."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from handfast import ChainVerifier, ClientConfig, Identity, Server, ServerConfig, TLSSocket, TrustStore, connect
from handfast.authority import KEY_KINDS, Authority, AuthorityFolder, Limits, Outputs
from handfast.certificates import pem
from tests.cli.running import called, document
from tests.interop.processes import free_port
from tests.peers import require_peer

SECONDS = 60
NAMES: list[tuple[Any, tuple[str, ...]]] = [
    ("server", ("www.example.com", "*.www.example.com")),
    ("server", ("10.1.2.3", "2001:db8::1")),
    ("client", ("alice@example.com",)),
    ("both", ("node.example.com", "10.0.0.1")),
    ("spiffe", ("spiffe://example.com/web",)),
]


def run(*command: object, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(list(map(str, command)), input=stdin, capture_output=True, timeout=SECONDS)


def openssl_verifies(root: Path, chain: Path, *options: object) -> str:
    """What OpenSSL says against a chain; "" where it accepts it."""
    done = run(require_peer("openssl"), "verify", "-x509_strict", "-CAfile", root, "-untrusted", chain, *options, chain)
    return "" if done.returncode == 0 else (done.stdout + done.stderr).decode()


def gnutls_verifies(root: Path, chain: Path) -> str:
    """Likewise GnuTLS: up to a trusted root, and by itself as a whole chain."""
    require_peer("gnutls-cli")
    done = run("certtool", "--verify", "--load-ca-certificate", root, "--infile", chain)
    whole = run("certtool", "--verify-chain", stdin=chain.read_bytes() + root.read_bytes())
    return "".join(
        (made.stdout + made.stderr).decode()
        for made in (done, whole)
        if made.returncode or b"Not verified" in made.stdout
    )


def ours_verifies(root: Path, chain: Path, kind: str) -> None:
    verifier, ders = ChainVerifier(TrustStore.from_files(root)), pem.certificates(chain.read_bytes())
    if kind != "client":
        verifier.verify_unnamed_server(ders, datetime.now(UTC))
    if kind != "server":
        verifier.verify_client(ders, datetime.now(UTC))


def purposes(kind: str) -> list[str]:
    return {"server": ["sslserver"], "client": ["sslclient"]}.get(kind, ["sslserver", "sslclient"])


@pytest.mark.parametrize(
    ("key", "limited"),
    [(key, limited) for key in KEY_KINDS for limited in (False, True) if not (limited and key == "ed25519")],
)
def test_everybody_accepts_all_that_is_made(tmp_path: Path, key: str, limited: bool) -> None:
    limits = Limits.of(["example.com", "10.0.0.0/8", "2001:db8::/32"], ["secret.example.com"]) if limited else None
    authority = Authority.create("Example root", key=key, limits=limits).intermediate("Example intermediate", key=key)
    root, chain = tmp_path / "root.pem", tmp_path / "chain.pem"
    root.write_bytes(authority.pem)
    leaves = {"rsa4096": "rsa3072"}.get(key, key)
    for kind, names in NAMES:
        made = authority.issue(*names, kind=kind, key=leaves)
        chain.write_bytes(made.certificate_pem)
        for purpose in purposes(kind):
            assert openssl_verifies(root, chain, "-purpose", purpose) == ""
        assert gnutls_verifies(root, chain) == ""
        ours_verifies(root, chain, kind)
    for option, value in (("-verify_hostname", "www.example.com"), ("-verify_ip", "10.0.0.1")):
        identity = authority.issue("www.example.com", "10.0.0.1", key=leaves)
        chain.write_bytes(identity.certificate_pem)
        assert openssl_verifies(root, chain, option, value) == ""


@pytest.mark.parametrize("name", ["www.example.org", "secret.example.com", "192.0.2.1", "::1"])
def test_everybody_refuses_what_is_outside_of_the_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    limits = Limits.of(["example.com", "10.0.0.0/8"], ["secret.example.com"])
    root = Authority.create("Example root", limits=limits)
    below = root.intermediate("Example intermediate")
    below.limits = Limits()
    monkeypatch.setattr(Authority, "_verify", lambda *_: None)  # nothing holds it back now
    made = below.issue(name)
    root_file, chain = tmp_path / "root.pem", tmp_path / "chain.pem"
    root_file.write_bytes(root.pem)
    chain.write_bytes(made.certificate_pem)
    assert "subtree violation" in openssl_verifies(root_file, chain)
    assert gnutls_verifies(root_file, chain) != ""
    with pytest.raises(Exception, match=r"its nameConstraints (permit only|exclude)"):
        ours_verifies(root_file, chain, "server")


# --- revocation lists -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["p256", "p384", "ed25519", "rsa2048"])
def test_everybody_reads_the_revocation_lists(tmp_path: Path, key: str) -> None:
    authority = AuthorityFolder.create(tmp_path / "ca", key=key)
    root, lists = tmp_path / "ca" / "root.pem", tmp_path / "ca" / "crl.pem"
    good, bad = (Outputs(tmp_path, name) for name in ("good", "bad"))
    for outputs in (good, bad):
        authority.issue(f"{outputs.name}.example", outputs=outputs)
    checking = ("-crl_check_all", "-CRLfile", lists)
    assert openssl_verifies(root, good.chain, *checking) == openssl_verifies(root, bad.chain, *checking) == ""
    authority.revoke(bad.chain.read_bytes(), "key-compromise")
    assert openssl_verifies(root, good.chain, *checking) == ""
    assert "certificate revoked" in openssl_verifies(root, bad.chain, *checking)
    shown = run(
        require_peer("openssl"), "crl", "-inform", "DER", "-in", tmp_path / "ca" / "intermediate.crl", "-noout", "-text",
        "-CAfile", tmp_path / "ca" / "intermediate.pem",
    )  # fmt: skip
    assert b"verify OK" in shown.stderr + shown.stdout
    assert b"Key Compromise" in shown.stdout
    assert b"X509v3 CRL Number: \n                2\n" in shown.stdout
    require_peer("gnutls-cli")
    known = run("certtool", "--crl-info", "--inder", "--infile", tmp_path / "ca" / "intermediate.crl")
    assert b"Revoked certificates (1)" in known.stdout, known.stderr
    check = run(
        "certtool", "--verify-crl", "--load-ca-certificate", tmp_path / "ca" / "intermediate.cer", "--inder",
        "--infile", tmp_path / "ca" / "intermediate.crl",
    )  # fmt: skip
    assert b"Verified" in check.stdout, check.stdout + check.stderr


def test_an_intermediate_that_was_revoked(tmp_path: Path) -> None:
    upper = AuthorityFolder.create(tmp_path / "upper")
    lower = upper.create_below(tmp_path / "lower")
    outputs = Outputs(tmp_path, "leaf")
    lower.issue("leaf.example", outputs=outputs)
    lists = ("-crl_check_all", "-CRLfile", tmp_path / "upper" / "crl.pem", "-CRLfile", tmp_path / "lower" / "crl.pem")
    root = tmp_path / "lower" / "root.pem"
    assert openssl_verifies(root, outputs.chain, *lists) == ""
    upper.revoke(pem.certificates((tmp_path / "lower" / "intermediate.pem").read_bytes())[0])
    assert "certificate revoked" in openssl_verifies(root, outputs.chain, *lists)


# --- handshakes ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an authority, a server and a client of it."""
    folder = tmp_path_factory.mktemp("world")
    authority = AuthorityFolder.create(folder / "ca", permit=["localhost", "127.0.0.0/8", "example.com"])
    authority.issue("localhost", "127.0.0.1", outputs=Outputs(folder, "server"))
    authority.issue("alice@example.com", kind="client", outputs=Outputs(folder, "client", password="p12 password"))
    return folder


@contextlib.contextmanager
def listening(*command: object, port: int) -> Iterator[int]:
    """A server that ends with the block; it listens as soon as one can connect to it."""
    import socket
    import time

    with subprocess.Popen(
        list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        try:
            until = time.monotonic() + SECONDS
            while True:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                    break
                assert process.poll() is None, process.stdout and process.stdout.read()
                assert time.monotonic() < until
                time.sleep(0.05)
            yield port
        finally:
            process.kill()
            process.communicate()


def test_openssl_s_server_takes_our_client_and_s_client_our_server(world: Path) -> None:
    openssl, root = require_peer("openssl"), world / "ca" / "root.pem"
    port = free_port()
    server = (
        openssl, "s_server", "-accept", f"127.0.0.1:{port}", "-cert", world / "server.pem", "-cert_chain",
        world / "ca" / "intermediate.pem", "-key", world / "server.key", "-CAfile", root, "-Verify", "3",
        "-verify_return_error", "-x509_strict", "-www",
    )  # fmt: skip
    client = (
        openssl, "s_client", "-CAfile", root, "-verify_return_error", "-x509_strict", "-verify_hostname",
        "localhost", "-cert", world / "client.pem", "-cert_chain", world / "client.pem", "-key", world / "client.key",
    )  # fmt: skip
    with listening(*server, port=port):
        done = run(*client, "-connect", f"127.0.0.1:{port}", stdin=b"GET / HTTP/1.0\r\n\r\n")
        assert b"Verify return code: 0 (ok)" in done.stdout, done.stderr
        ours = Identity.load(world / "client.pem", world / "client.key")
        config = ClientConfig(trust=TrustStore.from_files(root), identities=[ours])
        with connect("localhost", port, config=config) as tls:
            tls.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert tls.recv(100).startswith(b"HTTP/1.0 200")


def test_gnutls_takes_our_certificates(world: Path) -> None:
    root = world / "ca" / "root.pem"
    port = free_port()
    server = (
        require_peer("gnutls-serv"), "--port", port, "--x509certfile", world / "server.pem", "--x509keyfile",
        world / "server.key", "--x509cafile", root, "--require-client-cert", "--verify-client-cert", "--http",
    )  # fmt: skip
    with listening(*server, port=port):
        ours = Identity.load(world / "client.pem", world / "client.key")
        config = ClientConfig(trust=TrustStore.from_files(root), identities=[ours])
        with connect("localhost", port, config=config) as tls:
            tls.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert b"200 OK" in tls.recv(100)


def test_gnutls_that_needs_a_certificate_in_tls_1_2_is_understood(world: Path) -> None:
    """It answers a client that has none by an alert which says nothing of that."""
    root = world / "ca" / "root.pem"
    port = free_port()
    server = (
        require_peer("gnutls-serv"), "--port", port, "--x509certfile", world / "server.pem", "--x509keyfile",
        world / "server.key", "--x509cafile", root, "--require-client-cert", "--http",
    )  # fmt: skip
    with listening(*server, port=port):
        found = document(called("connect", f"localhost:{port}", "--ca", root, "--tls", "1.2", "--json"))
    error = found["error"]
    assert (error["alert"], error["evidence"]["version"]) == ("decode_error", "TLSv1.2")
    assert "--cert FILE --key FILE" in error["hints"][0]


def test_gnutls_cli_takes_our_server(world: Path) -> None:
    root = world / "ca" / "root.pem"
    seen: list[str] = []

    def answer(tls: TLSSocket) -> None:
        assert tls.handshake.peer is not None
        seen.extend(tls.handshake.peer.email_addresses)
        tls.sendall(b"hello")

    identity = Identity.load(world / "server.pem", world / "server.key")
    config = ServerConfig(
        identities=[identity], client_authentication="required", client_trust=TrustStore.from_files(root)
    )
    with Server(answer, config=config) as server:
        done = run(
            require_peer("gnutls-cli"), "--x509cafile", root, "--x509certfile", world / "client.pem", "--x509keyfile",
            world / "client.key", "--port", server.address[1], "localhost",
        )  # fmt: skip
    assert b"The certificate is trusted" in done.stdout, done.stdout + done.stderr
    assert b"hello" in done.stdout
    assert seen == ["alice@example.com"]


def test_pkcs12_can_be_read_by_others(world: Path) -> None:
    done = run(require_peer("openssl"), "pkcs12", "-in", world / "client.p12", "-passin", "pass:p12 password", "-nodes")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(b"BEGIN CERTIFICATE") == 2
    assert b"BEGIN PRIVATE KEY" in done.stdout
    wrong = run(require_peer("openssl"), "pkcs12", "-in", world / "client.p12", "-passin", "pass:wrong", "-nodes")
    assert wrong.returncode != 0
    require_peer("gnutls-cli")
    known = run("certtool", "--p12-info", "--inder", "--password", "p12 password", "--infile", world / "client.p12")
    assert known.returncode == 0, known.stderr


def test_others_read_the_authority_s_encrypted_key(tmp_path: Path) -> None:
    AuthorityFolder.create(tmp_path / "ca", passphrase="correct horse")
    key = tmp_path / "ca" / "intermediate.key"
    assert b"ENCRYPTED" in key.read_bytes()
    assert run(require_peer("openssl"), "pkey", "-in", key, "-passin", "pass:correct horse", "-noout").returncode == 0
    assert run(require_peer("openssl"), "pkey", "-in", key, "-passin", "pass:wrong", "-noout").returncode != 0
    require_peer("gnutls-cli")
    assert run("certtool", "--key-info", "--password", "correct horse", "--infile", key).returncode == 0
    shown = run(require_peer("openssl"), "asn1parse", "-in", key).stdout
    assert b"PBKDF2" in shown
    assert b":0927C0" in shown  # 600,000 rounds


def test_a_list_ends_when_it_says(tmp_path: Path) -> None:
    authority = AuthorityFolder.create(tmp_path / "ca")
    authority.issue("a.example", outputs=Outputs(tmp_path, "a"))
    lists = ("-crl_check", "-CRLfile", tmp_path / "ca" / "crl.pem")
    authority.renew_list(next_update=timedelta(minutes=1))
    later = int((datetime.now(UTC) + timedelta(minutes=2)).timestamp())
    told = openssl_verifies(tmp_path / "ca" / "root.pem", tmp_path / "a.pem", "-attime", later, *lists)
    assert "CRL has expired" in told
