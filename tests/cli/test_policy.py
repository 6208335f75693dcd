"""What may be asked of a chain besides, --spiffe and --known-keys, and what is in surplus: with OpenSSL on the other side."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509

from handfast import KeyList
from handfast.certificates import pem
from handfast.certificates.leaked import fingerprint
from handfast.testing import Authority
from tests.cli.authorities import told
from tests.cli.running import Serving, called, document, handfast, lines_of, s_server, serving
from tests.cli.world import verified
from tests.peers import require_peer

WEB, BOTH = "spiffe://example.org/ns/prod/web", ["server", "client"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A service and its authority, what is not the service, and a list with a client's key."""
    place = tmp_path_factory.mktemp("services")
    authority = Authority.create()
    authority.write(place)
    authority.issue(WEB, usage=BOTH).write(place)
    authority.issue("spiffe://example.org/ns/test/web", usage=BOTH).write(place, "other")
    authority.issue("localhost", usage=BOTH).write(place, "host")
    leaked = authority.issue(WEB, "localhost", usage=BOTH)
    leaked.write(place, "leaked")
    lower = authority.intermediate()
    whole = lower.issue("localhost")
    chain = (*whole.chain, authority.der, whole.chain[1])
    (place / "long.pem").write_bytes(b"".join(map(pem.certificate, chain)))
    (place / "long.key").write_bytes(whole.key_pem)
    KeyList.of("leaked", "our own list", [fingerprint(leaked.key.public_key())]).write(place / "keys")
    return place


def words_of(run: subprocess.CompletedProcess[bytes]) -> str:
    """What it says on standard error, in one line."""
    return " ".join(" ".join(lines_of(run)).split())


# --- servers --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", [WEB, "spiffe://example.org/ns/prod/*"])
def test_a_server_is_known_by_its_id_whatever_its_name(folder: Path, rule: str) -> None:
    with s_server(folder) as port:
        target = ["connect", f"127.0.0.1:{port}", "--ca", folder / "ca.pem"]
        run = handfast(*target, "--spiffe", rule)
        found = document(handfast(*target, "--spiffe", rule, "--json"))
        without = called(*target, "-q")
        checked = verified(f"127.0.0.1:{port}", "--ca", folder / "ca.pem", "--spiffe", rule)
    assert (run.returncode, run.stderr) == (0, b"")
    assert f"server        proved to be {WEB}" in run.stdout.decode()
    assert found["verified"] is True
    assert "for other names" in words_of(without)
    assert checked["verified"]["name"] is None
    assert checked["verified"]["checks"][-1] == {"check": "spiffe", "passed": True, "error": None}


@pytest.mark.parametrize(("server", "problem"), [("other", "no rule allows this id"), ("host", "no SPIFFE id")])
def test_a_server_with_another_id_is_refused_and_hears_why(folder: Path, server: str, problem: str) -> None:
    printed: list[str] = []
    ours = ("-cert", folder / f"{server}.pem", "-key", folder / f"{server}.key")
    with s_server(folder, *map(str, ours), output=printed) as port:
        run = handfast("connect", f"localhost:{port}", "--ca", folder / "ca.pem", "--spiffe", WEB, "-q")
        checked = verified(f"localhost:{port}", "--ca", folder / "ca.pem", "--spiffe", WEB)
        text = called("cert", "verify", f"localhost:{port}", "--ca", folder / "ca.pem", "--spiffe", WEB).stdout.decode()
    assert run.returncode == 1
    said = words_of(run)
    assert problem in said
    assert f"allowed {WEB}" in said
    assert any("access denied" in line for line in printed)
    assert checked["error"]["reason"] == "peer_not_allowed"
    assert [item["check"] for item in checked["verified"]["checks"] if item["passed"] is False] == ["spiffe"]
    assert "- name        not compared: it is the id that counts" in text
    assert "✗ spiffe" in text


def test_of_a_file_a_name_counts_too_if_it_is_given(folder: Path) -> None:
    common = ("--ca", folder / "ca.pem", "--spiffe", "spiffe://example.org/*")
    run = called("cert", "verify", folder / "server.pem", *common)
    assert run.returncode == 0
    assert f"accepted: the chain is that of {WEB}, until" in run.stdout.decode()
    assert verified(folder / "leaked.pem", *common, "--name", "localhost")["verified"]["accepted"]
    refused = verified(folder / "server.pem", *common, "--name", "localhost")
    assert refused["error"]["reason"] == "certificate_name_mismatch"
    assert verified(folder / "other.pem", *common, "--purpose", "client")["verified"]["accepted"]


def test_each_trust_domain_has_its_own_roots(folder: Path, tmp_path: Path) -> None:
    partner = Authority.create("the partner's authority")
    partner.write(tmp_path, "partner")
    partner.issue("spiffe://example.org/ns/prod/web", usage=BOTH).write(tmp_path, "claiming")
    partner.issue("spiffe://partner.test/db", usage=BOTH).write(tmp_path, "theirs")
    rules = ("--spiffe", "spiffe://example.org/*,spiffe://partner.test/db")
    ours, theirs = f"example.org={folder / 'ca.pem'}", f"spiffe://partner.test={tmp_path / 'partner.pem'}"
    both = (*rules, "--spiffe-trust", ours, "--spiffe-trust", theirs)
    for name in (folder / "server.pem", tmp_path / "theirs.pem"):
        found = verified(name, *both)["verified"]
        assert found["accepted"]
        assert found["trust"][0]["store"] == "--spiffe-trust"
        assert found["trust"][0]["roots"] == 2
        assert verified(name, *both, "--ca", folder / "ca.pem")["verified"]["accepted"]
    refused = verified(tmp_path / "claiming.pem", *both)
    assert refused["error"]["reason"] == "peer_not_allowed"
    assert "does not vouch for this trust domain" in refused["error"]["evidence"]["problem"]
    # Any root may, where nobody says which.
    any_root = ("--ca", folder / "ca.pem", "--ca", tmp_path / "partner.pem")
    assert verified(tmp_path / "claiming.pem", *rules, *any_root)["verified"]["accepted"]
    with s_server(tmp_path, "-cert", "claiming.pem", "-key", "claiming.key") as port:
        run = handfast("connect", f"localhost:{port}", *both, "-q")
    assert run.returncode == 1
    assert "does not vouch for this trust domain" in words_of(run)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--spiffe-trust", "example.org=CA"), "--spiffe-trust: means nothing without --spiffe"),
        (
            ("--spiffe", WEB, "--spiffe-trust", "partner.test=CA"),
            "--spiffe-trust: no roots are given for a trust domain",
        ),
        (("--spiffe", WEB, "--spiffe-trust", "example.org"), "is like example.org=bundle.pem"),
        (("--spiffe", WEB, "--spiffe-trust", "example.org/ns=CA"), "is like example.org=bundle.pem"),
        (("--spiffe", WEB, "--spiffe-trust", "Example.org=CA"), "its trust domain is not made of small letters"),
        (("--spiffe", WEB, "--spiffe-trust", "example.org=/nonexistent"), "/nonexistent"),
    ],
)
@pytest.mark.parametrize("command", ["connect", "serve", "verify"])
def test_roots_of_a_trust_domain_that_cannot_be_used(
    folder: Path, command: str, options: tuple[str, ...], problem: str
) -> None:
    given = [option.replace("CA", str(folder / "ca.pem")) for option in options]
    commands = {"connect": ["connect", "127.0.0.1:1"], "serve": ["serve", "--port", "0"], "verify": ["cert", "verify"]}
    target = [folder / "server.pem"] if command == "verify" else []
    run = called(*commands[command], *target, *given)
    assert run.returncode == 2
    assert problem in words_of(run)


def test_a_server_asks_clients_for_the_roots_of_their_trust_domain(folder: Path, tmp_path: Path) -> None:
    partner = Authority.create("the partner's authority")
    partner.write(tmp_path, "partner")
    partner.issue(WEB, usage=BOTH).write(folder, "claiming")
    options = ("--spiffe", WEB, "--require-client-cert", "--spiffe-trust", f"example.org={folder / 'ca.pem'}")
    own = ("--cert", folder / "host.pem", "--key", folder / "host.key", "--client-ca", tmp_path / "partner.pem")
    with serving(*own, *options) as server:
        s_client(folder, server.port, "server")
        good = server.line()
        s_client(folder, server.port, "claiming")
        bad = server.line()
    assert "GET" in good or "closed" in good
    assert "does not vouch for this trust domain" in bad


# --- clients --------------------------------------------------------------------------------------------------------------


@contextmanager
def asking(folder: Path, *options: object) -> Iterator[Serving]:
    """A server that asks who clients are."""
    cert = ("--cert", folder / "host.pem", "--key", folder / "host.key", "--client-ca", folder / "ca.pem")
    with serving(*cert, *options) as server:
        yield server


def s_client(folder: Path, port: int, name: str) -> str:
    """What OpenSSL's client sees of the end."""
    command = [
        require_peer("openssl"),
        "s_client",
        "-connect",
        f"127.0.0.1:{port}",
        "-cert",
        f"{name}.pem",
        "-key",
        f"{name}.key",
        "-ign_eof",
    ]
    run = subprocess.run(
        command, input=b"GET / HTTP/1.0\r\n\r\n", cwd=folder, capture_output=True, timeout=30, check=False
    )
    return (run.stdout + run.stderr).decode()


def test_clients_are_let_in_by_their_id(folder: Path) -> None:
    with asking(folder, "--spiffe", "spiffe://example.org/ns/prod/*", "--require-client-cert") as server:
        assert any(line.endswith(", for spiffe://example.org/ns/prod/*") for line in server.lines)
        assert WEB in s_client(folder, server.port, "server")
        assert WEB in server.line()
        assert "access denied" in s_client(folder, server.port, "other")
        line = server.line()
    assert "not among those that the rules here allow" in line
    assert "it was sent the alert access_denied" in line


def test_what_ca_suggests_for_a_service_works(here: Path) -> None:
    told("init")
    lines = told("issue", "spiffe://example.org/web").splitlines()
    serve, connect = (line[14:].split() for line in lines if " handfast " in line)
    with serving(*serve[2:]) as server:
        suggested = next(line.split() for line in server.lines if "handfast connect" in line)
        assert suggested[3:5] == ["--spiffe", "spiffe://example.org/web"]
        assert "the certificate is for URI:spiffe://example.org/web; its key is ECDSA P-256" in server.lines
        assert server.warnings == ""
        run = handfast("connect", f"localhost:{server.port}", *connect[3:])
        assert "the client is URI:spiffe://example.org/web" in server.line()
    assert (run.returncode, run.stderr) == (0, b"")
    text = " ".join(run.stdout.decode().split())
    assert "proved to be spiffe://example.org/web" in text
    assert "24 hours left" in text


# --- keys that others have too --------------------------------------------------------------------------------------------


def test_a_server_with_a_known_key_is_refused(folder: Path) -> None:
    ours = ("-cert", str(folder / "leaked.pem"), "-key", str(folder / "leaked.key"))
    with s_server(folder, *ours) as port:
        target = ["connect", f"localhost:{port}", "--ca", folder / "ca.pem", "-q"]
        assert handfast(*target).returncode == 0
        run = handfast(*target, "--known-keys", folder / "keys")
    assert run.returncode == 1
    assert "our own list" in words_of(run)


def test_a_client_with_a_known_key_is_refused(folder: Path) -> None:
    with asking(folder, "--known-keys", folder / "keys") as server:
        assert "bad certificate" in s_client(folder, server.port, "leaked")
        assert "our own list" in server.line()
        s_client(folder, server.port, "server")
        assert f"(URI:{WEB})" in server.line()


def test_a_list_that_is_replaced_is_read_again(folder: Path, tmp_path: Path) -> None:
    """As a file, and as a folder of badkeys: what a server is told in the morning it refuses by noon."""
    KeyList.of("leaked", "an empty list", []).write(tmp_path / "keys")
    badkeys = tmp_path / "badkeys"
    badkeys.mkdir()
    (badkeys / "badkeysdata.json").write_text('{"blocklists": [{"id": 1, "name": "theirs"}]}')
    (badkeys / "blocklist.dat").write_bytes(b"")
    with asking(folder, "--known-keys", tmp_path / "keys", "--known-keys", badkeys) as server:
        s_client(folder, server.port, "leaked")
        assert f"(URI:{WEB}" in server.line()
        (tmp_path / "keys").write_bytes((folder / "keys").read_bytes())
        server.process.send_signal(signal.SIGHUP)
        assert server.line().startswith("reloaded: ")
        s_client(folder, server.port, "leaked")
        assert "our own list" in server.line()
        own = x509.load_pem_x509_certificate((folder / "server.pem").read_bytes()).public_key()
        (badkeys / "blocklist.dat").write_bytes(fingerprint(own)[:15] + b"\x01")  # type: ignore[arg-type]
        assert server.line().startswith("reloaded: ")  # without being told
        s_client(folder, server.port, "server")
        assert "theirs" in server.line()


def test_a_chain_with_a_known_key_fails_that_check(folder: Path) -> None:
    common = (folder / "leaked.pem", "--ca", folder / "ca.pem", "--known-keys", folder / "keys")
    found = verified(*common)
    assert [item["check"] for item in found["verified"]["checks"] if item["passed"] is False] == ["leaks"]
    assert handfast("cert", "verify", *common).returncode == 1


def test_lists_add_up_and_those_of_badkeys_are_read(folder: Path, tmp_path: Path) -> None:
    """A list that is given takes none of the keys away that are built in."""
    from handfast.cli.policy import policy

    (tmp_path / "badkeysdata.json").write_text('{"blocklists": [{"id": 1, "name": "debianssl"}]}')
    (tmp_path / "blocklist.dat").write_bytes(b"k" * 15 + b"\x01")
    known = policy(known_keys=[folder / "keys", tmp_path]).known_keys
    assert len(known) == len(KeyList.built_in()) + 2
    found = known.look_up(b"k" * 15)
    assert found is not None
    assert found.kind == "debian"
    assert policy().known_keys is KeyList.built_in()


@pytest.mark.parametrize("command", ["connect", "serve", "verify"])
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--spiffe", "example.org/web"], "--spiffe: it does not begin with spiffe:// value example.org/web"),
        (["--spiffe", "spiffe://example.org"], "all of it is that and /*"),
        (["--known-keys", "/nowhere/keys"], "No such file or directory"),
        (["--known-keys", "/"], "file /badkeysdata.json"),
        (["--known-keys", "CA"], "it is no list of keys that handfast has written"),
    ],
)
def test_lists_and_rules_that_are_none(folder: Path, command: str, options: list[str], words: str) -> None:
    ca = str(folder / "ca.pem")
    begin = {
        "connect": ["connect", "127.0.0.1:1", "--ca", ca],
        "serve": ["serve", "--port", "0", "--client-ca", ca],
        "verify": ["cert", "verify", ca, "--ca", ca],
    }
    run = called(*begin[command], *(ca if word == "CA" else word for word in options))
    assert (run.returncode, run.stdout) == (2, b"")
    assert words in words_of(run)


@pytest.mark.parametrize("option", ["--spiffe", "--known-keys"])
def test_options_that_mean_nothing(option: str) -> None:
    for command in (["connect", "localhost", "--no-verify"], ["serve"]):
        run = called(*command, option, "x")
        assert run.returncode == 2
        assert f"{option}: means nothing with" in words_of(run)


# --- surplus --------------------------------------------------------------------------------------------------------------


def test_what_a_server_sends_in_surplus_is_told(folder: Path) -> None:
    chain = ("-cert", "long.pem", "-key", "long.key", "-cert_chain", "long.pem")
    with s_server(folder, *chain) as port:
        target = ["connect", f"localhost:{port}", "--ca", folder / "ca.pem"]
        text = " ".join(handfast(*target).stdout.decode().split())
        found = document(called(*target, "--json"))
        nobody = document(called("connect", f"localhost:{port}", "--no-verify", "--json"))
    assert "is a root, which whoever trusts it has already" in text
    assert "not needed: certificate" in text
    kinds = {item["kind"] for item in found["surplus"]}
    assert {"root", "duplicate"} <= kinds
    assert all(item["number"] <= len(found["peer"]["chain"]) for item in found["surplus"])
    assert nobody["surplus"] is None


def test_a_resumed_handshake_has_no_chain_that_could_have_a_surplus(tmp_path: Path) -> None:
    with serving() as server:
        target = [
            "connect",
            f"localhost:{server.port}",
            "--ca",
            server.ca,
            "--session",
            tmp_path / "sessions",
            "--json",
        ]
        first, second = document(called(*target)), document(called(*target))
    assert (first["resumed"], first["surplus"]) == (False, [])
    assert (second["resumed"], second["surplus"]) == (True, None)
