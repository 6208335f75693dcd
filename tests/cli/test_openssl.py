"""`handfast connect` with `openssl s_server` as the server: each way in which it refuses has its own words."""

from __future__ import annotations

from pathlib import Path

import pytest

from handfast.testing import Authority
from tests.cli.running import document, handfast, lines_of, s_server

WEAK = ("-cipher", "ALL:@SECLEVEL=0")  # without it OpenSSL 3 does not speak TLS 1.1


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("openssl")
    authority = Authority.create()
    authority.write(place)
    authority.issue("localhost", "127.0.0.1").write(place)
    return place


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
        (["-tls1_2"], ["--tls", "1.3"], "AlertReceived", "version_refused", "may speak TLS 1.2: offer it as well"),
        (["-tls1_3"], ["--tls", "1.2"], "AlertReceived", "version_refused", "may speak TLS 1.3: offer it as well"),
        (["-tls1_1", *WEAK], [], "AlertReceived", "version_refused", "TLSv1.3, TLSv1.2 try Update the server"),
        (["-tls1_1", *WEAK], ["--tls", "1.2"], "AlertReceived", "alert_received", "versions we offered TLSv1.2"),
        (["-tls1_2", "-cipher", "AES128-SHA"], [], "AlertReceived", "alert_received", "TLS_AES_128_GCM_SHA256"),
        (["-tls1_2", "-groups", "P-521"], [], "AlertReceived", "alert_received", "nothing in common"),
        (["-groups", "P-521"], [], "AlertReceived", "alert_received", "nothing in common"),
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
    assert words in " ".join(" ".join(lines).split())
    assert any(line.split()[:1] == ["try"] for line in lines)


def test_a_round_trip_that_was_lost_is_told_with_its_remedy(folder: Path) -> None:
    with s_server(folder, "-groups", "P-384") as port:
        target = ["connect", f"localhost:{port}", "--ca", folder / "ca.pem"]
        text = " ".join(handfast(*target).stdout.decode().split())
        found = document(handfast(*target, "--json"))
        remedy = found["hello_retry_request"]["remedy"].split()[-1]
        better = document(handfast(*target, "--json", "--group", remedy))
    assert found["group"] == better["group"] == "secp384r1"
    assert found["hello_retry_request"]["selected_group"] == "secp384r1"
    assert found["hello_retry_request"]["key_shares_sent"] == ["X25519MLKEM768", "x25519"]
    assert [item["type"] for item in found["messages"]].count("ClientHello") == 2
    assert better["hello_retry_request"] is None
    assert "the server wanted a key share of secp384r1; we had sent X25519MLKEM768 and x25519" in text
    assert "offer it first: --group secp384r1,X25519MLKEM768,x25519,secp256r1" in text
    assert "The client says its hello again" in text


@pytest.mark.parametrize("name", ["P-256", "p-384", "P-521", "X25519", "x448"])
def test_a_group_goes_by_each_of_its_names(folder: Path, name: str) -> None:
    names = {"P-256": "secp256r1", "p-384": "secp384r1", "P-521": "secp521r1", "X25519": "x25519", "x448": "x448"}
    with s_server(folder, "-groups", "X25519:P-256:X448:P-521:P-384") as port:
        run = handfast("connect", f"localhost:{port}", "--ca", folder / "ca.pem", "--group", name, "--json")
    found = document(run)
    assert (found["group"], found["hello_retry_request"]) == (names[name], None)


def test_a_suite_that_is_no_default_can_be_asked_for(folder: Path) -> None:
    suite = "TLS_AES_128_CCM_SHA256"
    with s_server(folder, "-ciphersuites", suite) as port:
        run = handfast("connect", f"localhost:{port}", "--ca", folder / "ca.pem", "--suite", suite, "--json")
    assert document(run)["cipher_suite"] == suite
