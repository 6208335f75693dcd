"""Client certificates and exported keys: `handfast connect` and `handfast serve`, each with OpenSSL on the other side."""

from __future__ import annotations

import json
import re
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jsonschema
import pytest

from handfast.testing import Authority
from handfast.testing.authority import key_pem
from tests.cli.running import SCHEMAS, Serving, document, handfast, lines_of, s_server, serving
from tests.peers import require_peer

STRICT = ("-Verify", "1", "-verify_return_error", "-CAfile", "clients.pem")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A server, the authority of its clients, and clients of all kinds."""
    place = tmp_path_factory.mktemp("clients")
    authority = Authority.create("the servers' authority")
    authority.write(place)
    authority.issue("localhost", "127.0.0.1").write(place)
    clients = Authority.create("the clients' authority")
    clients.write(place, "clients")
    alice = clients.issue("spiffe://example.org/alice", "alice@example.org", common_name="alice", usage=["client"])
    alice.write(place, "alice")
    (place / "both.pem").write_bytes(alice.certificate_pem + alice.key_pem)
    (place / "encrypted.key").write_bytes(key_pem(alice.key, "a password"))
    then = datetime.now(UTC) - timedelta(days=9)
    expired = clients.issue(common_name="expired", usage=["client"], not_before=then, not_after=then)
    expired.write(place, "expired")
    clients.issue("www.example.org", common_name="for servers").write(place, "server-only")
    clients.issue("edward@example.org", common_name="edward", usage=["client"], key="ed25519").write(place, "edward")
    # One with the right name and the wrong key behind it, and one that nobody has heard of.
    Authority.create("the clients' authority").issue(common_name="forged", usage=["client"]).write(place, "forged")
    Authority.create("somebody").issue(common_name="stranger", usage=["client"]).write(place, "stranger")
    # Known by its subject alone, as many authorities make them for people.
    clients.issue(common_name="nameless", usage=["client"]).write(place, "nameless")
    return place


def shown_as(name: str, folder: Path) -> list[object]:
    return ["--cert", folder / f"{name}.pem", "--key", folder / f"{name}.key"]


# --- connect ----------------------------------------------------------------------------------------------------------


def test_a_client_certificate_is_shown_and_accepted(folder: Path) -> None:
    printed: list[str] = []
    with s_server(folder, *STRICT, output=printed) as port:
        target = ["connect", f"localhost:{port}", "--ca", folder / "ca.pem"]
        run = handfast(*target, *shown_as("alice", folder))
        found = document(handfast(*target, "--cert", folder / "both.pem", "--json"))
    text = " ".join(run.stdout.decode().split())
    assert (run.returncode, run.stderr) == (0, b"")
    assert "--> CertificateVerify" in text
    assert "client showed CN=alice,O=handfast testing signed by CN=the clients' authority" in text
    assert "accepted in the handshake; the server may still refuse in its answer (--get / shows it)" in text
    proof = found["client_certificate"]
    assert (proof["requested"], proof["accepted"], proof["not_sent"]) == (True, True, None)
    assert proof["sent"]["subject"] == "CN=alice,O=handfast testing"
    assert proof["signature_scheme"] == "ecdsa_secp256r1_sha256"
    assert any("CN = alice" in line for line in printed)  # as OpenSSL writes it


def test_a_server_that_does_not_ask_gets_none(folder: Path) -> None:
    with s_server(folder) as port:
        target = ["connect", f"localhost:{port}", "--ca", folder / "ca.pem", *shown_as("alice", folder)]
        text = handfast(*target).stdout.decode()
        found = document(handfast(*target, "--json"))
    assert "it was not asked for a certificate" in text
    assert found["client_certificate"] == {
        "requested": False,
        "sent": None,
        "signature_scheme": None,
        "not_sent": None,
        "accepted": None,
    }


def test_a_server_may_go_on_without_one(folder: Path) -> None:
    with s_server(folder, "-verify", "1", "-CAfile", "clients.pem") as port:
        target = ["connect", f"localhost:{port}", "--ca", folder / "ca.pem"]
        run = handfast(*target)
        proof = document(handfast(*target, "--json", *shown_as("stranger", folder)))["client_certificate"]
    assert run.returncode == 0
    assert "none was given; the server goes on without, and may still refuse in its answer" in " ".join(
        run.stdout.decode().split()
    )
    assert (proof["sent"], proof["accepted"]) == (None, True)
    assert "the server wants one from CN=the clients' authority,O=handfast testing" in proof["not_sent"]


def test_a_key_that_cannot_sign_as_the_server_wants_is_not_shown(folder: Path) -> None:
    with s_server(folder, *STRICT, "-client_sigalgs", "ECDSA+SHA384") as port:
        target = ["connect", f"localhost:{port}", "--ca", folder / "ca.pem", *shown_as("edward", folder)]
        found = document(handfast(*target, "--json"))
    assert found["client_certificate"]["not_sent"].startswith("our key signs with ed25519, and the server accepts ")
    assert found["error"]["evidence"]["client_certificate"].startswith("not sent: our key signs with ed25519")


@pytest.mark.parametrize("rest", [[], ["--get", "/"]])
@pytest.mark.parametrize(
    ("name", "alert", "told", "tried"),
    [
        (None, "certificate_required", "not sent: none was given", "--cert FILE --key FILE"),
        ("stranger", "certificate_required", "not sent: ours is from CN=somebody", "--cert FILE --key FILE"),
        ("forged", "unknown_ca", "CN=forged", "the whole chain"),
        ("expired", "certificate_expired", "valid until 2", "Renew the certificate"),
        ("server-only", "unsupported_certificate", "CN=for servers", "clientAuth"),
    ],
)
def test_what_a_server_refuses_is_told_with_what_to_try(
    folder: Path, name: str | None, alert: str, told: str, tried: str, rest: list[str]
) -> None:
    ours = shown_as(name, folder) if name else []
    with s_server(folder, *STRICT, "-www") as port:
        target = ["connect", f"localhost:{port}", "--ca", folder / "ca.pem", *ours, *rest]
        run = handfast(*target, "--json")
        plain = handfast(*target, "-q")
    found = document(run)
    assert run.returncode == plain.returncode == 1
    error = found["error"]
    assert (error["reason"], error["alert"], error["sent_by"]) == ("alert_received", alert, "peer")
    assert told in error["evidence"]["client_certificate"]
    assert tried in error["hints"][0]
    assert found["client_certificate"]["accepted"] is False
    assert found["version"] == "TLSv1.3"  # our side of the handshake was over
    text = " ".join(" ".join(lines_of(plain)).split())
    assert alert in text
    assert tried in text


@pytest.mark.parametrize(
    ("cert", "key", "first", "hint"),
    [
        ("alice.pem", None, "There is no readable private key in this file.", "--key FILE"),
        ("alice.key", None, "There is no readable certificate in this file.", ""),
        ("alice.pem", "forged.key", "The private key does not belong to the certificate.", "the key that"),
        ("alice.pem", "encrypted.key", "The private key is encrypted, and the password", "--password-file FILE"),
        ("alice.pem", "none.key", "A file cannot be read.", ""),
    ],
)
def test_an_identity_that_cannot_be_used_is_refused_before_anything_is_sent(
    folder: Path, cert: str, key: str | None, first: str, hint: str
) -> None:
    run = handfast("connect", "localhost:1", "--cert", folder / cert, *(["--key", folder / key] if key else []))
    lines = lines_of(run)
    assert run.returncode == 2
    assert lines[0].startswith(f"handfast: {first}")
    assert str(folder / (key or cert)) in "".join(lines)
    assert hint in " ".join(" ".join(lines).split())


def test_the_password_of_a_key_may_come_from_a_file(folder: Path, tmp_path: Path) -> None:
    ours = ["--cert", folder / "alice.pem", "--key", folder / "encrypted.key", "--password-file", tmp_path / "password"]
    (tmp_path / "password").write_text("a password\r\nand what this is for\n")
    with serving(*ours) as server:
        target = ["connect", f"localhost:{server.port}", "--no-verify", "-q"]
        assert handfast(*target, *ours).returncode == 0
    for content, first in (("wrong\n", "The private key is encrypted"), ("\n", "A file cannot be read.")):
        (tmp_path / "password").write_text(content)
        run = handfast("connect", "localhost:1", *ours)
        assert run.returncode == 2
        assert lines_of(run)[0].startswith(f"handfast: {first}")
    alone = handfast("connect", "localhost:1", "--password-file", tmp_path / "password")
    assert lines_of(alone)[0].startswith("handfast: --password-file: needs --cert")


# --- exported keys ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suite", ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"])
def test_both_sides_export_the_same(folder: Path, suite: str) -> None:
    printed: list[str] = []
    label = "EXPERIMENTAL:with:colons"
    material = ("-keymatexport", label, "-keymatexportlen", "41")
    with s_server(folder, *material, "-ciphersuites", suite, output=printed) as port:
        target = ["connect", f"localhost:{port}", "--ca", folder / "ca.pem", "--suite", suite]
        found = document(handfast(*target, "--export", f"{label}:41", "--export", f"{label}:8160", "--json"))
        run = handfast(*target, "--export", f"{label}:41")
        quiet = handfast(*target, "-q", "--export", f"{label}:41", "--export", "EXPORTER-Channel-Binding:32")
    theirs = re.findall(r"Keying material: ([0-9A-F]+)", "\n".join(printed))
    assert len(theirs) == 3
    assert [(item["label"], item["length"]) for item in found["exports"]] == [(label, 41), (label, 8160)]
    assert found["exports"][0]["value"] == theirs[0].lower()
    assert f"export {label}, 41 bytes, secret:\n  {theirs[1].lower()}\n" in run.stdout.decode()
    first, binding = quiet.stdout.decode().splitlines()
    assert first == theirs[2].lower()
    assert re.fullmatch("[0-9a-f]{64}", binding)


def test_nothing_secret_is_shown_unasked(folder: Path) -> None:
    with s_server(folder) as port:
        found = document(handfast("connect", f"localhost:{port}", "--ca", folder / "ca.pem", "--json"))
    assert found["exports"] == []


# --- serve ------------------------------------------------------------------------------------------------------------


def s_client(server: Serving, folder: Path, *options: str) -> str:
    """What OpenSSL says about a connection; it waits for what comes after the handshake."""
    command = [require_peer("openssl"), "s_client", "-connect", f"localhost:{server.port}", "-CAfile", str(server.ca)]
    request = b"GET / HTTP/1.0\r\n\r\n"
    run = subprocess.run([*command, *options, "-ign_eof"], cwd=folder, input=request, capture_output=True, timeout=30)
    return (run.stdout + run.stderr).decode()


def test_serve_says_who_its_clients_are(folder: Path) -> None:
    schema = json.loads((SCHEMAS / "connect.json").read_text())
    with serving("--json", "--client-ca", folder / "clients.pem", "--require-client-cert") as server:
        told = "\n".join(server.lines)
        page = s_client(server, folder, "-cert", "alice.pem", "-key", "alice.key")
        line = json.loads(server.line())
    assert "clients have to show a certificate from CN=the clients' authority,O=handfast testing" in told
    assert "openssl s_client" in told
    assert "-cert CLIENT.pem -key CLIENT.key" in told
    jsonschema.validate(line, json.loads((SCHEMAS / "serve.json").read_text()))
    jsonschema.validate(line["client"], {**schema["$defs"]["peer"], "$defs": schema["$defs"]})
    assert line["client"]["subject"] == "CN=alice,O=handfast testing"
    names = ["URI:spiffe://example.org/alice", "EMAIL:alice@example.org"]
    assert line["client"]["subject_alternative_names"] == names
    assert line["chosen"]["client_signature_scheme"] == "ecdsa_secp256r1_sha256"
    assert (line["requests"], line["ended"]) == (["GET / 200"], "closed")
    assert "Acceptable client certificate CA names\nO = handfast testing, CN = the clients' authority" in page
    shown = " ".join(page.split())
    assert "Who your client is subject CN=alice,O=handfast testing" in shown
    assert ", ".join(names) in shown


def test_a_client_may_do_without_where_it_is_not_required(folder: Path) -> None:
    with serving("--client-ca", folder / "clients.pem", "--client-ca", folder / "ca.pem") as server:
        page = s_client(server, folder)
        line = server.line()
        named = s_client(server, folder, "-cert", "alice.pem", "-key", "alice.key")
        second = server.line()
    first = (
        "clients may show a certificate from CN=the clients' authority,O=handfast testing, or CN=the servers' authority"
    )
    assert any(text.startswith(first) for text in server.lines)
    assert "asked for, and none came" in page
    assert "the client is anybody: it showed no certificate; GET / 200; closed" in line
    assert "certificate             asked for" not in named
    who = "CN=alice,O=handfast testing (URI:spiffe://example.org/alice, EMAIL:alice@example.org)"
    assert f"the client is {who}; GET / 200; closed" in second


def test_the_roots_of_clients_may_stand_in_a_folder(folder: Path, tmp_path: Path) -> None:
    roots = tmp_path / "roots"
    roots.mkdir()
    (roots / "clients.pem").write_bytes((folder / "clients.pem").read_bytes())
    (roots / "broken.crt").write_bytes((folder / "ca.pem").read_bytes()[:-60])
    with serving("--json", "--client-ca", roots, "--require-client-cert") as server:
        s_client(server, folder, "-cert", "alice.pem", "-key", "alice.key")
        line = json.loads(server.line())
    assert line["client"]["subject"] == "CN=alice,O=handfast testing"
    assert "--client-ca: left out, " in server.warnings
    assert "broken.crt" in server.warnings


def test_the_list_of_a_folder_says_who_one_is(folder: Path, tmp_path: Path) -> None:
    hostile = Authority.create("the other clients' authority")
    hostile.write(tmp_path, "more")
    hostile.issue(common_name="<b>\x1b[31m", usage=["client"]).write(tmp_path, "hostile")
    (tmp_path / "www").mkdir()
    asking = ["--client-ca", tmp_path / "more.pem", "--relax", "missing-subject-alternative-name"]
    with serving("--www", tmp_path / "www", *asking) as server:
        page = s_client(server, tmp_path, "-cert", "hostile.pem", "-key", "hostile.key")
        assert "the client is CN=\\<b\\>\\1B[31m,O=handfast testing" in server.line()
    assert "<p>You are CN=\\&lt;b\\&gt;\\1B[31m,O=handfast testing.</p>" in page


def test_a_client_without_a_name_is_allowed_by_the_rule_that_its_error_names(folder: Path) -> None:
    asking = ["--json", "--client-ca", folder / "clients.pem", "--require-client-cert"]
    ours = ["-cert", "nameless.pem", "-key", "nameless.key"]
    with serving(*asking) as server:
        s_client(server, folder, *ours)
        rule = json.loads(server.line())["error"]["evidence"]["relax"]
    with serving(*asking, "--relax", rule) as server:
        s_client(server, folder, *ours)
        client = json.loads(server.line())["client"]
    assert (rule, client["subject"]) == ("missing-subject-alternative-name", "CN=nameless,O=handfast testing")


@pytest.mark.parametrize(
    ("name", "alert", "reason", "tried"),
    [
        (None, "certificate_required", "certificate_required", "The client needs a certificate"),
        ("forged", "unknown_ca", "unknown_issuer", "--client-ca FILE"),
        ("expired", "certificate_expired", "certificate_expired", "Its owner has to renew it"),
        ("nameless", "bad_certificate", "certificate_rule_broken", "--relax missing-subject-alternative-name"),
        ("server-only", "unsupported_certificate", "certificate_wrong_usage", "Have it issued for this use"),
    ],
)
def test_a_client_that_is_refused_is_told_why_and_so_are_we(
    folder: Path, name: str | None, alert: str, reason: str, tried: str
) -> None:
    ours = ["-cert", f"{name}.pem", "-key", f"{name}.key"] if name else []
    asking = ["--client-ca", folder / "clients.pem", "--require-client-cert"]
    with serving("--json", *asking) as server:
        said = s_client(server, folder, *ours)
        line = json.loads(server.line())
    with serving(*asking) as server:
        s_client(server, folder, *ours)
        text = server.line()
    assert alert.replace("_", " ") in said  # as OpenSSL writes it
    assert (line["error"]["reason"], line["error"]["alert"], line["error"]["sent_by"]) == (reason, alert, "us")
    assert tried in line["error"]["hints"][0]
    assert line["client"] is line["chosen"] is None
    assert f"; it was sent the alert {alert}; try: " in text
    assert tried in text


def test_both_of_ours_prove_who_they_are_to_each_other(folder: Path) -> None:
    with serving("--echo", "--client-ca", folder / "clients.pem", "--require-client-cert") as server:
        target = ["connect", f"localhost:{server.port}", "--ca", server.ca]
        good = handfast(*target, *shown_as("alice", folder), "--pipe", "-q", stdin=b"hello")
        bad = document(handfast(*target, *shown_as("stranger", folder), "--json"))
        proof = document(handfast(*target, *shown_as("edward", folder), "--json"))["client_certificate"]
    assert good.stdout == b"hello"
    assert bad["error"]["alert"] == "certificate_required"
    assert (proof["signature_scheme"], proof["accepted"]) == ("ed25519", True)
