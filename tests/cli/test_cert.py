"""`handfast cert show`, and how the commands of `handfast cert` end as processes."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding

from handfast.certificates import pem
from handfast.testing import Authority, IssuedIdentity
from tests.aia.farm import NOW, points_to
from tests.cli.running import called, handfast, lines_of
from tests.cli.world import World, document


def test_show_draws_a_tree_of_who_has_issued_whom(world: World) -> None:
    run = called("cert", "show", world / "good.pem", environment={"COLUMNS": "80"})
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
    assert "89 days left" in text or "90 days left" in text  # of a minute ago, or of now


def test_the_lines_of_the_tree_are_dim_and_what_they_lead_to_is_not(world: World) -> None:
    colours = {"FORCE_COLOR": "1", "TERM": "xterm", "NO_COLOR": ""}
    text = called("cert", "show", world / "good.pem", environment=colours).stdout.decode()
    assert "\x1b[1mCN=good" in text
    assert "\x1b[1;2m" not in text


def test_a_url_is_neither_a_file_nor_a_host() -> None:
    run = called("cert", "show", "https://localhost:1/")
    assert run.returncode == 2
    assert "a host is needed, and no URL" in lines_of(run)[0]
    assert "--get" not in run.stderr.decode()  # which is an option of connect


def test_a_file_that_is_cut_is_said_to_be(world: World, tmp_path: Path) -> None:
    (tmp_path / "cut.pem").write_bytes((world / "good.pem").read_bytes()[:-40])
    text = called("cert", "show", tmp_path / "cut.pem").stdout.decode()
    assert "1 certificate in" in text
    assert "The file is cut: its last certificate begins and does not end, and is left out." in text
    found = document(called("cert", "verify", tmp_path / "cut.pem", "--ca", world / "ca.pem", "--json"))
    assert found["source"]["cut"] is True
    (tmp_path / "cut.pem").write_bytes((world / "good.pem").read_bytes()[:100])
    assert "it is cut" in called("cert", "show", tmp_path / "cut.pem").stderr.decode()


@pytest.mark.parametrize("command", ["show", "verify"])
def test_one_that_comes_twice_is_drawn_once_and_that_is_said(world: World, tmp_path: Path, command: str) -> None:
    good = (world / "good.pem").read_bytes()
    (tmp_path / "twice.pem").write_bytes(good + good)
    text = " ".join(called("cert", command, tmp_path / "twice.pem").stdout.decode().split())
    assert "4 certificates in" in text
    assert "twice.pem, 1 of 4, and again as 3 " in text
    assert "and again as 4 " in text


def test_show_of_one_root_with_two_branches(world: World) -> None:
    both = b"".join(map(pem.certificate, (world.root.der, *world.good.chain, world.expired.chain[0])))
    run = called("cert", "show", "-", stdin=both)
    text = run.stdout.decode()
    assert "4 certificates in standard input" in text
    assert "├── CN=" in text
    assert text.count("└── ") == 2
    assert "which is not here" not in text


@pytest.mark.parametrize("name", ["good.pem", "good.p7b", "good.p7.pem", "good.p12"])
def test_every_form_that_certificates_come_in(world: World, name: str) -> None:
    found = document(called("cert", "show", world / name, "--json"))
    assert [item["subject"].partition(",")[0] for item in found["certificates"]] == [
        "CN=good",
        "CN=Example Intermediate",
    ]
    assert found["source"] == {
        "kind": "file",
        "name": str(world / name),
        "version": None,
        "cut": False,
        "handshake_error": None,
    }
    data = (world / name).read_bytes()
    piped = document(called("cert", "show", "-", "--json", stdin=data))
    assert [item["sha256"] for item in piped["certificates"]] == [item["sha256"] for item in found["certificates"]]


def test_one_certificate_in_der_has_all_its_facts(world: World) -> None:
    (item,) = document(called("cert", "show", world / "good.der", "--json"))["certificates"]
    assert item["names"] == ["DNS:example.com", "DNS:www.example.com", "IP:192.0.2.1"]
    assert (item["key"], item["signature"]) == ("ECDSA P-256", "ECDSA with SHA-256")
    assert item["days_left"] in (89, 90)
    assert (item["is_authority"], item["path_length"]) == (False, None)
    assert (item["key_usage"], item["extended_key_usage"]) == (["digitalSignature"], ["serverAuth"])
    assert item["found"] == {"where": "file", "number": 1}


def test_a_pkcs12_that_is_locked(world: World) -> None:
    opened = called("cert", "show", world / "locked.p12", "--password-file", world / "password", "--json")
    assert len(document(opened)["certificates"]) == 2
    wrong = called("cert", "show", world / "locked.p12", "--password-file", world / "wrong")
    assert (wrong.returncode, wrong.stdout) == (2, b"")
    assert "has another password" in " ".join(wrong.stderr.decode().split())
    without = called("cert", "show", world / "locked.p12")
    assert without.returncode == 2
    assert lines_of(without)[0].startswith("handfast: --password-file: ")
    for run in (wrong, without):
        assert b"sesame" not in run.stderr + run.stdout


def test_a_file_with_the_password_that_cannot_be_read_is_named(world: World, tmp_path: Path) -> None:
    """And not the one that it is for."""
    (tmp_path / "empty").touch()
    for command in (("cert", "show", world / "locked.p12"), ("connect", "localhost:1", "--cert", world / "locked.p12")):
        for file, words in ((tmp_path, "Is a directory"), (tmp_path / "empty", "its first line is empty")):
            run = called(*command, "--password-file", file)
            assert run.returncode == 2
            assert lines_of(run)[:2] == ["handfast: A file cannot be read.", f"  file     {file}"]
            assert words in " ".join(lines_of(run))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "there is nothing in it"),
        (b"garbage", "it is neither PEM nor DER"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "it does not begin as a certificate does"),
        (
            b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
            "(CSR), and no certificate yet",
        ),
        (b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n", "(CRL), and no certificate"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "a public key, and no certificate"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "a private key, and no certificate"),
        (b"0\x82\x01\x00", "it is cut: of 260 bytes 4 are there"),
        (bytes.fromhex("30820100 06092a864886f70d010702") + bytes(50), "PKCS#7"),
        (b"0\x10\x02\x01\x03\x30\x0b", ""),
    ],
    ids=str,
)
def test_a_file_without_certificates_is_one_sentence(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "odd.pem"
    path.write_bytes(content)
    run = called("cert", "show", path)
    assert (run.returncode, run.stdout) == (2, b"")
    assert lines_of(run)[0] == "handfast: There is no readable certificate in this file."
    assert words in " ".join(lines_of(run))


def test_in_der_too_it_is_called_by_its_name(tmp_path: Path) -> None:
    key, name, path = ed25519.Ed25519PrivateKey.generate(), x509.Name([]), tmp_path / "odd.der"
    revoked = x509.CertificateRevocationListBuilder(name, NOW, NOW + timedelta(days=1)).sign(key, None)
    for made, words in (
        (revoked, "it is a revocation list (CRL), and no certificate"),
        (x509.CertificateSigningRequestBuilder(name).sign(key, None), "it is a request for a certificate (CSR)"),
    ):
        path.write_bytes(made.public_bytes(Encoding.DER))
        run = called("cert", "verify", path)
        assert run.returncode == 2
        assert words in " ".join(lines_of(run))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "there is nothing in it"),
        (b"garbage", "it is neither PEM nor DER"),
        (b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n", "(CSR)"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "it has a private key, and no certificate"),
    ],
    ids=str,
)
@pytest.mark.parametrize("option", ["--ca", "--cert"])
def test_so_it_is_where_a_file_is_an_option(tmp_path: Path, option: str, content: bytes, words: str) -> None:
    path = tmp_path / "odd.pem"
    path.write_bytes(content)
    run = called("connect", "localhost:1", option, path)
    assert (run.returncode, run.stdout) == (2, b"")
    assert lines_of(run)[0] == "handfast: There is no readable certificate in this file."
    assert words in " ".join(lines_of(run))


@pytest.mark.parametrize("target", ["gone.pem", "/nowhere/gone", "/", "./x"])
def test_a_file_that_is_not_there(target: str) -> None:
    run = called("cert", "show", target)
    assert run.returncode == 2
    assert lines_of(run)[0] == "handfast: A file cannot be read."


@pytest.mark.parametrize("command", [["show"], ["verify", "--name", "example.com"]])
def test_what_certificates_say_moves_no_terminal(world: World, command: list[str]) -> None:
    run = called("cert", command[0], world / "hostile.pem", *command[1:])
    for text in (run.stdout.decode(), run.stderr.decode()):
        assert "\x1b" not in text
        assert "\r" not in text
        assert "\u202e" not in text
    assert "CN=Evil\\x1b[31m\\r\\nname \\u202egpj.exe" in run.stdout.decode()


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
    leaf, issuer = document(called("cert", "show", path, "--json"))["certificates"]
    assert (leaf["ca_issuers"], leaf["crl"], leaf["validation"]) == (
        [url],
        ["http://ca.example/crl"],
        "domain validated",
    )
    assert (issuer["name_constraints"], issuer["path_length"]) == (["only DNS:example.com"], 0)
    text = called("cert", "show", path).stdout.decode()
    for piece in (
        "issuer at   http://ca.example/issuer.der",
        "policy      domain validated",
        "authority, with no other below it",
    ):
        assert piece in text


# --- as processes -------------------------------------------------------------------------------------------------------


def test_ascii_is_enough(world: World) -> None:
    run = handfast(
        "cert", "verify", world / "good.pem", "--ca", world / "ca.pem", environment={"PYTHONIOENCODING": "ascii"}
    )
    text = run.stdout.decode("ascii")
    assert "`-- CN=good" in text
    assert "ok dates" in text
    assert "\\u" not in text


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
