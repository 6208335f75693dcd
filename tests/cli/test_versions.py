"""TLS 1.2 on the command line: what is told of it, and what of two sides that have no version, suite or key in common."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from handfast.testing import Authority
from tests.cli.running import SCHEMAS, document, handfast, lines_of, s_server, serving
from tests.peers import require_peer


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("versions")
    authority = Authority.create()
    authority.write(place)
    authority.issue("localhost", "127.0.0.1").write(place)
    authority.issue("localhost", "127.0.0.1", key="mldsa44").write(place, "mldsa")
    authority.issue("spiffe://example.org/alice", common_name="alice", key="rsa2048", usage=["client"]).write(
        place, "alice"
    )
    return place


def told(run: subprocess.CompletedProcess[bytes]) -> str:
    """All that was said, on one line."""
    return " ".join((run.stdout + run.stderr).decode().split())


def test_a_handshake_of_tls_1_2_is_told_message_by_message(folder: Path) -> None:
    with s_server(folder, "-tls1_2", "-www", "-alpn", "h2") as port:
        run = handfast("connect", f"localhost:{port}", "--ca", folder / "ca.pem", "--alpn", "h2")
    assert run.returncode == 0, run.stderr
    text = told(run)
    for words in (
        "The server chooses TLSv1.2: its certificate follows in the clear",
        "a hash of all messages up to ClientKeyExchange",
        "so everybody on the way can read it. TLS 1.3 hides it",
        "The signature covers both randoms, so it is made for this handshake; it does not cover what was offered",
        "it is the client's turn",
        "uses them from the next record on. This is no message of the handshake, and no proof covers it",
        "==== what the client sends from here on is encrypted",
        "had anybody changed a byte on the way, the server would notice now",
        "==== what the server sends from here on is encrypted",
        "nobody changed anything on the way, not even what was offered in the hellos",
        "==== the handshake is complete; application data follows",
        "version TLSv1.2 the best that the server speaks: TLS 1.3 was offered, and not taken",
        "round trips 2 before the client may send data; TLS 1.3 needs one",
        "in the clear the application protocol, the server's certificate",
    ):
        assert words in text, words


def test_the_messages_are_in_their_order_and_their_protection_is_right(folder: Path) -> None:
    client = ["--cert", folder / "alice.pem", "--key", folder / "alice.key"]
    with s_server(folder, "-tls1_2", "-Verify", "1", "-CAfile", "ca.pem", "-verify_return_error") as port:
        found = document(handfast("connect", f"localhost:{port}", "--ca", folder / "ca.pem", "--json", *client))
    messages = found["messages"]
    assert [(item["type"], item["encrypted"]) for item in messages[:12]] == [
        ("ClientHello", False),
        ("ServerHello", False),
        ("Certificate", False),
        ("ServerKeyExchange", False),
        ("CertificateRequest", False),
        ("ServerHelloDone", False),
        ("Certificate", False),
        ("ClientKeyExchange", False),
        ("CertificateVerify", False),
        ("ChangeCipherSpec", False),
        ("Finished", True),
        ("ChangeCipherSpec", False),
    ]
    assert [item["at_ms"] for item in messages] == sorted(item["at_ms"] for item in messages)
    assert (found["client_certificate"]["accepted"], found["version"]) == (True, "TLSv1.2")


def test_a_client_that_is_needed_and_shows_nothing_is_told_by_the_server(folder: Path) -> None:
    with s_server(folder, "-tls1_2", "-Verify", "1", "-CAfile", "ca.pem", "-verify_return_error") as port:
        run = handfast("connect", f"localhost:{port}", "--ca", folder / "ca.pem", "-q")
    assert run.returncode == 1
    assert "the server needs a client certificate" in told(run)
    assert "not sent: none was given" in told(run)


@pytest.mark.parametrize(("kind", "length"), [("tls-unique", 12), ("tls-server-end-point", 32)])
def test_channel_bindings_go_by_their_names(folder: Path, kind: str, length: int) -> None:
    with s_server(folder, "-tls1_2") as port:
        run = handfast("connect", f"localhost:{port}", "--ca", folder / "ca.pem", "-q", "--export", kind)
    assert len(bytes.fromhex(run.stdout.decode().strip())) == length


def test_tls_1_3_has_no_tls_unique(folder: Path) -> None:
    with s_server(folder, "-tls1_3") as port:
        run = handfast("connect", f"localhost:{port}", "--ca", folder / "ca.pem", "-q", "--export", "tls-unique")
    assert run.returncode == 2
    assert "TLSv1.3 has no tls-unique: tls-exporter replaces it" in told(run)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--tls", "1.0"], "--tls: '1.0' cannot be used: TLS 1.0 and 1.1 are broken (RFC 8996)"),
        (["--tls", "1.3,1.1"], "--tls: '1.1' cannot be used"),
        (["--tls", "ssl3"], "--tls: 'ssl3' cannot be used: SSL is broken (RFC 7568)"),
        (["--tls", "1.4"], "--tls: '1.4' cannot be used: there is no such version"),
        (
            ["--tls", "1.2", "--suite", "TLS_AES_128_GCM_SHA256"],
            "--suite: TLS_AES_128_GCM_SHA256 is for TLS 1.3, and the other options leave TLS 1.2 alone",
        ),
        (
            ["--tls", "1.3", "--suite", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"],
            "--suite: TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 is for TLS 1.2, and the other options leave TLS 1.3 alone",
        ),
        (
            ["--suite", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "--group", "X25519MLKEM768,SecP256r1MLKEM768"],
            "--group: X25519MLKEM768, SecP256r1MLKEM768 are for TLS 1.3, and the other options leave TLS 1.2 alone",
        ),
    ],
)
def test_versions_that_cannot_be_offered_are_a_sentence(arguments: list[str], words: str) -> None:
    run = handfast("connect", "localhost:1", *arguments)
    assert run.returncode == 2
    assert lines_of(run)[0].startswith("handfast: --")
    assert words in told(run)


@pytest.mark.parametrize("tls", ["1.2", "TLSv1.2", "tls1.2", "1.3,1.2"])
def test_a_version_goes_by_each_of_its_names(folder: Path, tls: str) -> None:
    with s_server(folder, "-tls1_2") as port:
        run = handfast("connect", f"localhost:{port}", "--ca", folder / "ca.pem", "--tls", tls, "--json")
    assert document(run)["version"] == "TLSv1.2"


@pytest.mark.parametrize(
    ("server", "client", "line"),
    [
        (["--tls", "1.3"], ["-tls1_2"], "we accept: TLSv1.3); it was sent the alert protocol_version; try: Accept TLS 1.2 as well"),
        (["--tls", "1.2"], ["-tls1_3"], "we accept: TLSv1.2); it was sent the alert protocol_version; try: Accept TLS 1.3 as well"),
        ([], ["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], "offered no name, TLSv1.1, "),
        ([], ["-tls1", "-cipher", "ALL:@SECLEVEL=0"], "try: Update the client: TLS 1.2 is from 2008"),
        ([], ["-tls1_2", "-fallback_scsv"], "inappropriate_fallback; try: Let the client try its newest version first"),
        ([], ["-tls1_2", "-cipher", "AES128-SHA"], "try: Let the client offer ECDHE with AES-GCM or ChaCha20-Poly1305"),
        (
            [],
            ["-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"],
            "handshake_failure; try: What both sides have is for an RSA certificate",
        ),
        ([], ["-tls1_2", "-groups", "X25519"], "try: The client does not know the curve of our certificate"),
    ],
)  # fmt: skip
def test_the_line_of_a_server_says_what_each_side_had(
    folder: Path, server: list[str], client: list[str], line: str
) -> None:
    program = require_peer("openssl")
    with serving("--cert", folder / "server.pem", "--key", folder / "server.key", *server) as running:
        command = [program, "s_client", "-connect", f"localhost:{running.port}", *client]
        assert subprocess.run(command, input=b"", capture_output=True, timeout=30, check=False).returncode == 1
        assert line in running.line()


def test_a_key_that_tls_1_2_does_not_know_is_told(folder: Path) -> None:
    with serving("--cert", folder / "mldsa.pem", "--key", folder / "mldsa.key") as running:
        run = handfast("connect", f"localhost:{running.port}", "--ca", folder / "ca.pem", "--tls", "1.2", "-q")
        assert "try: TLS 1.2 has no signatures by mldsa44: let the client speak TLS 1.3" in running.line()
    assert run.returncode == 1
    assert "A server that has nothing newer than TLS 1.1 may send it too" in told(run)


def test_the_server_speaks_of_tls_1_2_as_its_schema_has_it(folder: Path) -> None:
    import jsonschema

    schema = json.loads((SCHEMAS / "serve.json").read_text())
    own = ("--cert", folder / "server.pem", "--key", folder / "server.key")
    with serving(*own, "--tls", "1.2", "--json", "--client-ca", folder / "ca.pem") as running:
        client = ["--cert", folder / "alice.pem", "--key", folder / "alice.key"]
        assert handfast("connect", f"localhost:{running.port}", "--ca", folder / "ca.pem", *client).returncode == 0
        found = json.loads(running.line())
    jsonschema.validate(found, schema, format_checker=jsonschema.FormatChecker())
    assert (found["chosen"]["version"], found["chosen"]["client_signature_scheme"]) == (
        "TLSv1.2",
        "rsa_pss_rsae_sha256",
    )
    assert found["client"]["subject"].startswith("CN=alice")


def test_the_page_shows_the_messages_of_tls_1_2(folder: Path) -> None:
    with serving("--cert", folder / "server.pem", "--key", folder / "server.key") as running:
        run = handfast(
            "connect", f"localhost:{running.port}", "--ca", folder / "ca.pem", "--tls", "1.2", "--get", "/", "-q"
        )
    page = run.stdout.decode()
    assert "asks for localhost: 6 suites, TLSv1.2 at best" in page
    assert "a share of x25519, signed by ecdsa_secp256r1_sha256" in page
    assert "1 byte   in the clear" in page
    assert [line.split() for line in page.splitlines() if line.strip().startswith("key_shares")] == [
        ["key_shares", "none"]
    ]
