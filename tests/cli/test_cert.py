"""`handfast cert`, as a user runs it."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, pkcs7, pkcs12

from handfast import Server, ServerConfig, TLSSocket
from handfast.certificates import pem
from handfast.cli.hints import hints
from handfast.errors import UnknownIssuer
from handfast.testing import Authority, IssuedIdentity
from tests.aia.farm import NOW, Missing, Site, answer, lacking, points_to, site
from tests.cli.running import SCHEMAS, handfast, lines_of, listening

HOSTILE = "Evil\x1b[31m\r\nname \u202egpj.exe"


def echo(tls: TLSSocket) -> None:
    while data := tls.recv():
        tls.sendall(data)


def document(run: subprocess.CompletedProcess[bytes]) -> dict[str, Any]:
    """The one JSON object on standard output, held against its schema."""
    assert run.stdout.count(b"\n") == 1
    found: dict[str, Any] = json.loads(run.stdout)
    schema = json.loads((SCHEMAS / "cert.json").read_text())
    jsonschema.validate(found, schema, format_checker=jsonschema.FormatChecker())
    assert run.stderr == b""
    return found


class World:
    """A root, an intermediate below it, and what they have issued, as files in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = Authority.create("Example Root")
        self.lower = self.root.intermediate("Example Intermediate")
        self.good = self.lower.issue("example.com", "www.example.com", "192.0.2.1", common_name="good")
        self.root.write(folder)
        self.good.write(folder, "good")
        then = NOW - timedelta(days=99)
        self.expired = self.lower.issue("example.com", not_before=then, not_after=NOW - timedelta(days=3))
        self.expired.write(folder, "expired")
        self.lower.issue("example.com", common_name=HOSTILE).write(folder, "hostile")
        self.lower.issue("spiffe://example.org/alice", usage=["client"]).write(folder, "client")
        loaded = [x509.load_der_x509_certificate(der) for der in self.good.chain]
        (folder / "good.der").write_bytes(self.good.chain[0])
        (folder / "good.p7b").write_bytes(pkcs7.serialize_certificates(loaded, Encoding.DER))
        (folder / "good.p7.pem").write_bytes(pkcs7.serialize_certificates(loaded, Encoding.PEM))
        for name, hidden in (("good.p12", NoEncryption()), ("locked.p12", BestAvailableEncryption(b"open sesame"))):
            data = pkcs12.serialize_key_and_certificates(b"good", self.good.key, loaded[0], loaded[1:], hidden)
            (folder / name).write_bytes(data)
        (folder / "password").write_text("open sesame\n")
        (folder / "wrong").write_text("open barley\n")

    def __truediv__(self, name: str) -> Path:
        return self.folder / name


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("cert"))


# --- show ---------------------------------------------------------------------------------------------------------------


def test_show_draws_a_tree_of_who_has_issued_whom(world: World) -> None:
    run = handfast("cert", "show", world / "good.pem", environment={"COLUMNS": "80"})
    assert (run.returncode, run.stderr) == (0, b"")
    text = run.stdout.decode()
    order = ["2 certificates in", "CN=Example Intermediate,", "└── CN=good,", "DNS:example.com, DNS:www.example.com"]
    places = [text.find(piece) for piece in order]
    assert -1 not in places
    assert places == sorted(places)
    assert "issued by   CN=Example Root,O=handfast testing, which is not here" in text
    assert "use         authority; keyCertSign cRLSign" in text
    assert "use         digitalSignature; serverAuth" in text
    assert "key         ECDSA P-256" in text
    assert "89 days left" in text


def test_show_of_one_root_with_two_branches(world: World) -> None:
    both = b"".join(map(pem.certificate, (world.root.der, *world.good.chain, world.expired.chain[0])))
    run = handfast("cert", "show", "-", stdin=both)
    text = run.stdout.decode()
    assert "4 certificates in standard input" in text
    assert "├── CN=" in text
    assert text.count("└── ") == 2
    assert "which is not here" not in text


@pytest.mark.parametrize("name", ["good.pem", "good.p7b", "good.p7.pem", "good.p12"])
def test_every_form_that_certificates_come_in(world: World, name: str) -> None:
    found = document(handfast("cert", "show", world / name, "--json"))
    assert [item["subject"].partition(",")[0] for item in found["certificates"]] == [
        "CN=good",
        "CN=Example Intermediate",
    ]
    assert found["source"] == {"kind": "file", "name": str(world / name), "version": None, "handshake_error": None}
    data = (world / name).read_bytes()
    piped = document(handfast("cert", "show", "-", "--json", stdin=data))
    assert [item["sha256"] for item in piped["certificates"]] == [item["sha256"] for item in found["certificates"]]


def test_one_certificate_in_der_has_all_its_facts(world: World) -> None:
    (item,) = document(handfast("cert", "show", world / "good.der", "--json"))["certificates"]
    assert item["names"] == ["DNS:example.com", "DNS:www.example.com", "IP:192.0.2.1"]
    assert (item["key"], item["signature"]) == ("ECDSA P-256", "ECDSA with SHA-256")
    assert (item["days_left"], item["is_authority"], item["path_length"]) == (89, False, None)
    assert (item["key_usage"], item["extended_key_usage"]) == (["digitalSignature"], ["serverAuth"])
    assert item["found"] == {"where": "file", "number": 1}


def test_a_pkcs12_that_is_locked(world: World) -> None:
    opened = handfast("cert", "show", world / "locked.p12", "--password-file", world / "password", "--json")
    assert len(document(opened)["certificates"]) == 2
    wrong = handfast("cert", "show", world / "locked.p12", "--password-file", world / "wrong")
    assert (wrong.returncode, wrong.stdout) == (2, b"")
    assert "has another password" in lines_of(wrong)[0]
    without = handfast("cert", "show", world / "locked.p12")
    assert without.returncode == 2
    assert lines_of(without)[0].startswith("handfast: --password-file: ")
    for run in (wrong, without):
        assert b"sesame" not in run.stderr + run.stdout


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "there is nothing in it"),
        (b"garbage", "it is none of PEM, DER, PKCS#7 and PKCS#12"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "no certificate, or a damaged one"),
        (
            b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
            "(CSR), and no certificate yet",
        ),
        (b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n", "(CRL), and no certificate"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "a public key, and no certificate"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "a private key, and no certificate"),
        (b"0\x82\x01\x00", "no certificate, or a damaged one"),
        (bytes.fromhex("30820100 06092a864886f70d010702") + bytes(50), "PKCS#7"),
        (b"0\x10\x02\x01\x03\x30\x0b", ""),
    ],
    ids=str,
)
def test_a_file_without_certificates_is_one_sentence(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "odd.pem"
    path.write_bytes(content)
    run = handfast("cert", "show", path)
    assert (run.returncode, run.stdout) == (2, b"")
    assert lines_of(run)[0] == "handfast: There is no readable certificate in this file."
    assert words in " ".join(lines_of(run))


@pytest.mark.parametrize("target", ["gone.pem", "/nowhere/gone", "/", "./x"])
def test_a_file_that_is_not_there(target: str) -> None:
    run = handfast("cert", "show", target)
    assert run.returncode == 2
    assert lines_of(run)[0] == "handfast: A file cannot be read."


@pytest.mark.parametrize("command", [["show"], ["verify", "--name", "example.com"]])
def test_what_certificates_say_moves_no_terminal(world: World, command: list[str]) -> None:
    run = handfast("cert", command[0], world / "hostile.pem", *command[1:])
    for text in (run.stdout.decode(), run.stderr.decode()):
        assert "\x1b" not in text
        assert "\r" not in text
        assert "\u202e" not in text
    assert "CN=Evil\\x1b[31m\\r\\nname \\u202egpj.exe" in run.stdout.decode()


def test_ascii_is_enough(world: World) -> None:
    run = handfast(
        "cert", "verify", world / "good.pem", "--ca", world / "ca.pem", environment={"PYTHONIOENCODING": "ascii"}
    )
    text = run.stdout.decode("ascii")
    assert "`-- CN=good" in text
    assert "ok dates" in text
    assert "\\u" not in text


# --- verify -------------------------------------------------------------------------------------------------------------


def verified(*arguments: object, stdin: bytes = b"") -> dict[str, Any]:
    """What `handfast cert verify --json` says; its exit code fits."""
    run = handfast("cert", "verify", *arguments, "--json", stdin=stdin)
    found = document(run)
    assert run.returncode == (0 if found["verified"] and found["verified"]["accepted"] else 1)
    assert ("error" in found) == (run.returncode != 0)
    return found


def test_a_good_chain_with_the_verdict_of_each_check(world: World) -> None:
    run = handfast(
        "cert", "verify", world / "good.pem", "--ca", world / "ca.pem", "--name", "example.com",
        environment={"COLUMNS": "80"},
    )  # fmt: skip
    assert (run.returncode, run.stderr) == (0, b"")
    text = run.stdout.decode()
    path = str(world / "")
    assert [line for line in text.splitlines() if len(line) > 80 and path not in line] == []
    for piece in (
        "CN=Example Root,O=handfast testing",
        "└── CN=Example Intermediate,O=handfast testing",
        "    └── CN=good,O=handfast testing",
        "trusted: in",
        "2 of 2",
        "✓ dates",
        "✓ name        the certificate is for example.com",
        "✓ rules",
        "✓ --ca",
        "✗ system",
        "accepted: the chain is that of example.com, until",
    ):
        assert piece in text


def test_json_tells_path_checks_and_stores(world: World) -> None:
    found = verified(world / "good.pem", "--ca", world / "ca.pem", "--name", "example.com")
    verdict = found["verified"]
    assert (verdict["accepted"], verdict["name"], verdict["purpose"]) == (True, "example.com", "server")
    assert verdict["path"] == [0, 1, 2]
    assert [item["found"]["where"] for item in found["certificates"]] == ["file", "file", "store"]
    assert {item["check"]: item["passed"] for item in verdict["checks"]} == dict.fromkeys(
        ("dates", "name", "usage", "root", "signatures", "strength", "leaks", "rules"), True
    )
    assert (verdict["trust"][0]["store"], verdict["trust"][0]["accepted"]) == ("--ca", True)
    assert verdict["trust"][0]["root"] == "CN=Example Root,O=handfast testing"
    assert not any(item["accepted"] for item in verdict["trust"][1:])


def test_each_check_that_fails_is_told_and_the_exit_code_is_1(world: World) -> None:
    run = handfast("cert", "verify", world / "expired.pem", "--ca", world / "ca.pem", "--name", "other.example")
    assert run.returncode == 1
    text = run.stdout.decode()
    assert "✗ dates       A certificate has expired. (certificate 1 of 2: expired for 3 days)" in " ".join(
        text.split("\n")
    )
    assert "✗ name" in text
    assert "✓ root" in text
    assert text.rstrip().endswith("refused")
    assert lines_of(run)[0] == "handfast: A certificate has expired."
    assert "broken off" not in run.stderr.decode()
    found = verified(world / "expired.pem", "--ca", world / "ca.pem", "--name", "other.example")
    failed = {item["check"]: item["error"]["reason"] for item in found["verified"]["checks"] if not item["passed"]}
    assert failed == {"dates": "certificate_expired", "name": "certificate_name_mismatch"}
    assert found["error"]["reason"] == "certificate_expired"
    assert found["certificates"][0]["days_left"] < 0


def test_at_another_time(world: World) -> None:
    then = f"{NOW - timedelta(days=10):%Y-%m-%d}"
    common = ("--ca", world / "ca.pem", "--name", "example.com", "--at")
    # Authority and leaf begin at their own times: ten days ago the leaf was valid, and its authority not yet there.
    early = verified(world / "expired.pem", *common, then)
    assert early["error"]["reason"] == "certificate_not_yet_valid"
    late = verified(world / "good.pem", *common, "2100-01-01T12:00+02:00")
    assert (late["error"]["reason"], late["verified"]["at"]) == ("certificate_expired", "2100-01-01T10:00:00+00:00")
    tomorrow = f"{NOW + timedelta(days=1):%Y-%m-%dT%H:%M}"
    assert verified(world / "good.pem", *common, tomorrow)["verified"]["accepted"]


def test_without_a_name_none_is_compared(world: World) -> None:
    found = verified(world / "good.pem", "--ca", world / "ca.pem")["verified"]
    assert (found["accepted"], found["name"]) == (True, None)
    assert [item["passed"] for item in found["checks"] if item["check"] == "name"] == [None]


def test_purposes(world: World) -> None:
    client = verified(world / "client.pem", "--ca", world / "ca.pem", "--purpose", "client")
    assert client["verified"]["purpose"] == "client"
    assert verified(world / "client.pem", "--ca", world / "ca.pem")["error"]["reason"] == "certificate_wrong_usage"
    other = verified(world / "good.pem", "--ca", world / "ca.pem", "--purpose", "client")
    assert other["error"]["reason"] == "certificate_wrong_usage"


def test_a_rule_can_be_relaxed_by_the_name_that_the_error_gives_it(world: World, tmp_path: Path) -> None:
    odd = Authority.create(extensions={x509.KeyUsage: None})
    made = odd.issue("example.com").write(tmp_path)[0]
    ca = odd.write(tmp_path)
    refused = verified(made, "--ca", ca, "--name", "example.com")
    rule = refused["error"]["evidence"]["relax"]
    assert rule == "missing-key-usage"
    assert verified(made, "--ca", ca, "--name", "example.com", "--relax", rule)["verified"]["accepted"]


def test_what_is_surplus_is_told(world: World, tmp_path: Path) -> None:
    stray = Authority.create("a stray").intermediate("the stray")
    chain = (*world.good.chain, world.root.der, stray.der)
    (tmp_path / "long.pem").write_bytes(b"".join(map(pem.certificate, chain)))
    run = handfast("cert", "verify", tmp_path / "long.pem", "--ca", world / "ca.pem", environment={"COLUMNS": "200"})
    text = run.stdout.decode()
    assert "not needed: certificate 3 (CN=Example Root,O=handfast testing) is a root" in text
    assert "not needed: certificate 4 (CN=the stray,O=handfast testing) is not part of the path" in text


def test_in_any_order_the_owner_s_certificate_is_found(world: World) -> None:
    turned = b"".join(map(pem.certificate, reversed(world.good.chain)))
    found = verified("-", "--ca", world / "ca.pem", "--name", "example.com", stdin=turned)
    assert found["certificates"][0]["subject"].startswith("CN=good")


@pytest.mark.parametrize(
    "options",
    [
        ["--purpose", "both"],
        ["--at", "tomorrow"],
        ["--aia-network", "10.0.0.0/8"],
        ["--aia", "--aia-network", "10.0.0.0/99"],
        ["--purpose", "client", "--name", "example.com"],
        ["--relax", "everything"],
        ["--name", "not a name"],
        ["--timeout", "0"],
        ["--ca", "/nowhere/ca.pem"],
    ],
    ids=" ".join,
)
def test_options_that_make_no_sense(world: World, options: list[str]) -> None:
    run = handfast("cert", "verify", world / "good.pem", *options)
    assert (run.returncode, run.stdout) == (2, b"")
    assert lines_of(run)[0].startswith("handfast: ")
    as_json = handfast("cert", "verify", world / "good.pem", *options, "--json")
    assert as_json.returncode == 2
    assert document(as_json)["error"]["type"] == "ConfigurationError"


# --- servers ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def port(world: World) -> Iterator[int]:
    with Server(echo, config=ServerConfig(identities=[world.good])) as server:
        yield server.address[1]


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_the_chain_of_a_server(world: World, port: int, version: str) -> None:
    found = document(handfast("cert", "show", f"localhost:{port}", "--json", "--tls", version))
    assert found["source"] == {
        "kind": "host", "name": f"localhost:{port}", "version": f"TLSv{version}", "handshake_error": None
    }  # fmt: skip
    assert [item["found"] for item in found["certificates"]] == [{"where": "sent", "number": n} for n in (1, 2)]
    right = verified(f"localhost:{port}", "--ca", world / "ca.pem", "--tls", version, "--name", "example.com")
    assert right["verified"]["accepted"]
    wrong = verified(f"localhost:{port}", "--ca", world / "ca.pem", "--tls", version)
    assert (wrong["verified"]["name"], wrong["error"]["reason"]) == ("localhost", "certificate_name_mismatch")


def test_a_server_that_wants_to_know_who_we_are_shows_its_chain_all_the_same(world: World) -> None:
    config = ServerConfig(identities=[world.good], client_authentication="required", client_trust=world.root.trust)
    with Server(echo, config=config) as server:
        for version in ("1.2", "1.3"):
            run = handfast("cert", "show", f"localhost:{server.address[1]}", "--tls", version, "--json")
            assert run.returncode == 0
            assert len(document(run)["certificates"]) == 2


def test_no_server(world: World) -> None:
    with listening(lambda peer: peer.close()) as port:
        pass
    run = handfast("cert", "verify", f"127.0.0.1:{port}")
    assert run.returncode == 3
    assert lines_of(run)[0] == "handfast: No connection could be made."
    gone = handfast("cert", "show", "no-such-host.invalid", "--json")
    assert gone.returncode == 3
    assert document(gone)["source"] is None


def test_a_server_that_speaks_no_tls() -> None:
    with listening(lambda peer: peer.sendall(b"220 mail.example ESMTP\r\n")) as port:
        run = handfast("cert", "show", f"127.0.0.1:{port}")
    assert run.returncode == 1
    assert "--starttls smtp" in " ".join(run.stderr.decode().split())


def test_starttls(world: World) -> None:
    def smtp(peer: Any) -> None:
        from handfast.transport.blocking import wrap

        peer.sendall(b"220 mail.example ESMTP\r\n")
        peer.recv(100)
        peer.sendall(b"250-mail.example\r\n250 STARTTLS\r\n")
        peer.recv(100)
        peer.sendall(b"220 go ahead\r\n")
        with wrap(peer, ServerConfig(identities=[world.good])) as tls:
            tls.recv()

    with listening(smtp) as port:
        found = document(handfast("cert", "show", f"127.0.0.1:{port}", "--starttls", "smtp", "--json"))
    assert len(found["certificates"]) == 2


# --- AIA ----------------------------------------------------------------------------------------------------------------

LOOPBACK = ("--aia", "--aia-network", "127.0.0.0/8")


@pytest.fixture
def here() -> Iterator[Site]:
    with site() as found:
        yield found


@pytest.fixture
def missing(here: Site, tmp_path: Path) -> Missing:
    found = lacking(here.url("/one.der"), above=(here.url("/two.der"),))
    here.talks.update({"/one": answer(found.missing[0]), "/two": answer(found.missing[1])})
    (tmp_path / "ca.pem").write_bytes(found.root.pem)
    (tmp_path / "leaf.pem").write_bytes(pem.certificate(found.chain[0]))
    return found


def test_missing_certificates_are_fetched_and_said_to_be(missing: Missing, here: Site, tmp_path: Path) -> None:
    common = (tmp_path / "leaf.pem", "--ca", tmp_path / "ca.pem", "--name", "localhost")
    found = verified(*common, *LOOPBACK)
    assert found["verified"]["accepted"]
    assert [item["found"]["where"] for item in found["certificates"]] == ["file", "aia", "aia", "store"]
    assert [item["url"] for item in found["verified"]["fetches"]] == [here.url("/one.der"), here.url("/two.der")]
    run = handfast("cert", "verify", *common, *LOOPBACK)
    assert f"found       fetched from {here.url('/two.der')}" in run.stdout.decode()


def test_off_and_the_error_names_what_is_missing_and_where_it_is(missing: Missing, here: Site, tmp_path: Path) -> None:
    run = handfast("cert", "verify", tmp_path / "leaf.pem", "--ca", tmp_path / "ca.pem")
    text = run.stdout.decode()
    assert run.returncode == 1
    assert here.requests == []
    assert text.splitlines()[2] == "? CN=intermediate 1,O=handfast testing"
    assert f"is said at  {here.url('/one.der')}" in text
    told = " ".join(run.stderr.decode().split())
    for piece in (
        "not sent CN=intermediate 1",
        "its key identifier",
        f"issuer can be fetched from {here.url('/one.der')}",
    ):
        assert piece in told
    assert "--aia fetches what is missing from there" in told


def test_an_inner_network_has_to_be_allowed(missing: Missing, here: Site, tmp_path: Path) -> None:
    run = handfast("cert", "verify", tmp_path / "leaf.pem", "--ca", tmp_path / "ca.pem", "--aia")
    assert run.returncode == 1
    assert here.requests == []
    assert "allow it: --aia-network 127.0.0.1" in " ".join(run.stderr.decode().split())


def test_connect_fetches_what_the_server_forgot(missing: Missing, here: Site, tmp_path: Path) -> None:
    schema = json.loads((SCHEMAS / "connect.json").read_text())
    with Server(echo, config=ServerConfig(identities=[missing.identity])) as server:
        common = ("connect", f"localhost:{server.address[1]}", "--ca", tmp_path / "ca.pem")
        run = handfast(*common, *LOOPBACK)
        as_json = handfast(*common, *LOOPBACK, "--json")
        without = handfast(*common, "--json")
    assert (run.returncode, run.stderr) == (0, b"")
    assert f"the server forgot it: fetched from {here.url('/one.der')}" in " ".join(run.stdout.decode().split())
    found = json.loads(as_json.stdout)
    jsonschema.validate(found, schema)
    assert [item["found"] for item in found["fetches"]] == [1, 1]
    refused = json.loads(without.stdout)
    jsonschema.validate(refused, schema)
    assert (refused["fetches"], refused["error"]["reason"]) == (None, "missing_intermediate")


@pytest.mark.parametrize("options", [["--aia", "--no-verify"], ["--aia-network", "10.0.0.0/8"]])
def test_options_of_connect_that_mean_nothing(options: list[str]) -> None:
    run = handfast("connect", "localhost", *options)
    assert run.returncode == 2
    assert "means nothing with" in lines_of(run)[0]


def test_a_fetch_that_drips_ends_and_says_so(here: Site, tmp_path: Path) -> None:
    stop = threading.Event()

    def drips(peer: Any, _: bytes) -> None:
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n")
        while not stop.wait(0.05):
            peer.sendall(b"0")

    here.talks["/issuer"] = drips
    found = lacking(here.url())
    (tmp_path / "ca.pem").write_bytes(found.root.pem)
    (tmp_path / "leaf.pem").write_bytes(pem.certificate(found.chain[0]))
    try:
        got = verified(tmp_path / "leaf.pem", "--ca", tmp_path / "ca.pem", *LOOPBACK)
    finally:
        stop.set()
    assert got["verified"]["fetches"][0]["error"]["reason"] == "fetch_timeout"


# --- how it ends --------------------------------------------------------------------------------------------------------


def test_a_full_disk_and_a_reader_that_goes(world: World) -> None:
    for command in (["show"], ["verify", "--ca", str(world / "ca.pem")]):
        for extra in ([], ["--json"]):
            with Path("/dev/full").open("wb") as full:
                run = handfast("cert", command[0], world / "good.pem", *command[1:], *extra, stdout=full)
            assert run.returncode == 2
            assert lines_of(run)[0] == "handfast: A file cannot be written."
        line = f"{sys.executable} -m handfast cert {command[0]} {world / 'good.pem'} {' '.join(command[1:])} | head -1"
        piped = subprocess.run(["bash", "-c", f"set -o pipefail; {line}"], capture_output=True, timeout=30)
        assert (piped.returncode, piped.stderr) == (0, b"")


def test_help_fits_and_names_the_commands() -> None:
    text = handfast("cert", "--help", environment={"COLUMNS": "80"}).stdout.decode()
    for command in ("show", "verify"):
        assert command in text
    assert handfast("cert", "verify", "--help").returncode == 0


def test_a_certificate_that_says_where_everything_is(tmp_path: Path) -> None:
    url = "http://ca.example/issuer.der"
    authority = Authority.create("limited").intermediate(
        path_length=0,
        extensions={x509.NameConstraints: (x509.NameConstraints([x509.DNSName("example.com")], None), True)},
    )
    points = x509.DistributionPoint([x509.UniformResourceIdentifier("http://ca.example/crl")], None, None, None)
    policy = x509.PolicyInformation(x509.ObjectIdentifier("2.23.140.1.2.1"), None)
    made: IssuedIdentity = authority.issue(
        "example.com",
        extensions={
            **points_to(url),
            x509.CRLDistributionPoints: (x509.CRLDistributionPoints([points]), False),
            x509.CertificatePolicies: (x509.CertificatePolicies([policy]), False),
        },
    )
    path, _ = made.write(tmp_path)
    leaf, issuer = document(handfast("cert", "show", path, "--json"))["certificates"]
    assert (leaf["ca_issuers"], leaf["crl"], leaf["validation"]) == (
        [url],
        ["http://ca.example/crl"],
        "domain validated",
    )
    assert (issuer["name_constraints"], issuer["path_length"]) == (["only DNS:example.com"], 0)
    text = handfast("cert", "show", path).stdout.decode()
    for piece in ("issuer at   http://ca.example/issuer.der", "policy      domain validated", "0 authorities below it"):
        assert piece in text


def test_where_one_certificate_is_all_there_is_an_intermediate_may_be_missing(world: World, tmp_path: Path) -> None:
    """Who has given the root already is not helped by hearing of it again."""
    leaf = tmp_path / "leaf.pem"
    leaf.write_bytes(pem.certificate(world.good.chain[0]))
    run = handfast("cert", "verify", leaf, "--ca", world / "ca.pem")
    assert f"it is not in {leaf}" in " ".join(run.stdout.decode().replace("│", " ").split())
    assert "has to send the whole chain" in " ".join(hints(UnknownIssuer(position="certificate 1 of 1")))
    assert "the whole chain" not in " ".join(hints(UnknownIssuer(position="certificate 2 of 2")))
    assert "the whole chain" not in " ".join(hints(UnknownIssuer(position="certificate 1 of 1", proxy="p.example")))
