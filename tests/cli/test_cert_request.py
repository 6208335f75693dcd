"""`handfast cert show` of requests for certificates (CSR)."""

from __future__ import annotations

import hashlib
import ipaddress
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from handfast.authority import Request
from handfast.authority.making import key_usage
from handfast.certificates import pem
from handfast.errors import ConfigurationError
from handfast.testing.keys import new_key
from tests.cli.running import called, lines_of
from tests.cli.world import HOSTILE, World, document
from tests.peers import require_peer

KEY = new_key("p256")


def asked(*names: x509.GeneralName, key: Any = KEY, subject: str = "web", wishes: bool = False) -> bytes:
    """A request, DER."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(name)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    if wishes:
        builder = builder.add_extension(key_usage(digital_signature=True), critical=True)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        builder = builder.add_extension(x509.OCSPNoCheck(), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


FULL = asked(x509.DNSName("web.example"), x509.IPAddress(ipaddress.ip_address("192.0.2.1")), wishes=True)


def broken(der: bytes) -> bytes:
    """The same with another subject, so that the signature is not its own."""
    assert der.count(b"\x0c\x03web") == 1
    return der.replace(b"\x0c\x03web", b"\x0c\x03wed")


@pytest.mark.parametrize("form", ["pem", "old", "der", "stdin"])
def test_what_a_request_asks_for_and_what_to_do_with_it(tmp_path: Path, form: str) -> None:
    label = "NEW CERTIFICATE REQUEST" if form == "old" else "CERTIFICATE REQUEST"
    data = FULL if form == "der" else pem.block(label, FULL)
    path = tmp_path / "web.csr"
    path.write_bytes(data)
    target = "-" if form == "stdin" else path
    run = called("cert", "show", target, stdin=data)
    assert (run.returncode, run.stderr) == (0, b"")
    text = run.stdout.decode()
    for line in (
        "CN=web",
        "    names       DNS:web.example, IP:192.0.2.1",
        "    key         ECDSA P-256",
        "    signed      by this key: ECDSA with SHA-256",
        "    asks for    keyUsage, critical: digitalSignature",
        "    asks for    basicConstraints: an authority",
        "    asks for    extendedKeyUsage: serverAuth",
        "    asks for    OCSPNoCheck",
    ):
        assert line in text.splitlines()
    where = "standard input" if form == "stdin" else path
    assert " ".join(text.split()).startswith(f"1 request for a certificate in {where} CN=web ")
    assert f"handfast ca sign {target} NAME makes a certificate of it" in " ".join(text.split())
    found = document(called("cert", "show", target, "--json", stdin=data))
    public = KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert found["certificates"] == []
    assert found["requests"] == [
        {
            "subject": "CN=web",
            "names": ["DNS:web.example", "IP:192.0.2.1"],
            "key": "ECDSA P-256",
            "key_sha256": hashlib.sha256(public).hexdigest(),
            "weakness": None,
            "signature": "ECDSA with SHA-256",
            "signed": True,
            "extensions": [
                {"name": "keyUsage", "critical": True, "value": "digitalSignature"},
                {"name": "basicConstraints", "critical": False, "value": "an authority"},
                {"name": "extendedKeyUsage", "critical": False, "value": "serverAuth"},
                {"name": "OCSPNoCheck", "critical": False, "value": ""},
            ],
        }
    ]


def test_a_signature_that_is_not_its_own_is_told_and_refused_by_the_authority(tmp_path: Path) -> None:
    path = tmp_path / "bad.csr"
    path.write_bytes(broken(FULL))
    run = called("cert", "show", path)
    assert run.returncode == 0
    text = run.stdout.decode()
    assert "signed      not by this key, so it proves nothing: ECDSA with SHA-256" in text
    assert "handfast ca sign refuses it: have it made anew, by whoever has the key." in text
    assert document(called("cert", "show", path, "--json"))["requests"][0]["signed"] is False
    with pytest.raises(ConfigurationError, match="not signed by the key"):
        Request(path.read_bytes())


def test_a_key_that_is_too_weak_is_told(tmp_path: Path) -> None:
    path = tmp_path / "weak.csr"
    path.write_bytes(asked(key=new_key("rsa1024")))
    text = " ".join(called("cert", "show", path).stdout.decode().split())
    assert "key RSA 1024, too weak: RSA of 1024 bits, at least 2048 are needed" in text
    assert "handfast ca sign refuses it: have it made anew, with a stronger key." in text
    weakness = document(called("cert", "show", path, "--json"))["requests"][0]["weakness"]
    assert weakness == "RSA of 1024 bits, at least 2048 are needed"


def test_several_requests_and_whose_a_key_is(tmp_path: Path) -> None:
    path, other = tmp_path / "two.csr", new_key("ed25519")
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    second = builder.sign(other, None).public_bytes(Encoding.DER)
    path.write_bytes(b"".join(pem.block("CERTIFICATE REQUEST", der) for der in (FULL, second)))
    (tmp_path / "key").write_bytes(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    run = called("cert", "show", path, "--key", tmp_path / "key")
    assert (run.returncode, run.stderr) == (0, b"")
    text = " ".join(run.stdout.decode().split())
    assert "2 requests for certificates in" in text
    assert "(a request without any name)" in text
    assert "belongs to request 2 of 2: Ed25519" in text
    path.write_bytes(FULL)
    run = called("cert", "show", path, "--key", tmp_path / "key")
    assert run.returncode == 1
    assert lines_of(run)[0] == "handfast: The private key does not belong to the certificate."
    assert "  request key  ECDSA P-256, SHA-256" in run.stderr.decode()


def test_what_a_request_says_is_no_command_and_moves_no_terminal(tmp_path: Path) -> None:
    path = tmp_path / "a file.csr"
    path.write_bytes(asked(x509.DNSName("$(reboot)"), subject=HOSTILE))
    text = called("cert", "show", path).stdout.decode()
    assert "\x1b" not in text
    assert "\u202e" not in text
    last = " ".join(text.partition("of its key")[2].split())
    assert f"handfast ca sign '{path}' NAME" in last
    assert "reboot" not in last


@pytest.mark.parametrize("form", ["der", "pem"])
def test_one_that_is_damaged_or_has_no_end_is_one_sentence(tmp_path: Path, form: str) -> None:
    path = tmp_path / "odd.csr"
    path.write_bytes(FULL[:-9] if form == "der" else pem.block("CERTIFICATE REQUEST", FULL[:-9]))
    run = called("cert", "show", path)
    assert (run.returncode, run.stdout) == (2, b"")
    assert lines_of(run)[0] == "handfast: There is no readable certificate in this file."
    told = " ".join(run.stderr.decode().split())
    if form == "pem":
        assert "(CSR), and no certificate yet; it cannot be read: it is damaged" in told
        assert "Have it sent again" in told
    assert "cert show FILE" not in told
    path.write_bytes(pem.block("CERTIFICATE REQUEST", FULL)[:-40])
    run = called("cert", "show", path)
    assert (run.returncode, run.stdout) == (2, b"")


def test_a_file_of_very_many_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "many.csr"
    path.write_bytes(pem.block("CERTIFICATE REQUEST", FULL) * 101)
    run = called("cert", "show", path)
    assert run.returncode == 2
    assert "it has 101 requests, and 100 is the most" in " ".join(run.stderr.decode().split())


def test_beside_certificates_it_is_passed_over_and_verify_names_the_command(world: World, tmp_path: Path) -> None:
    path = tmp_path / "both.pem"
    path.write_bytes(pem.block("CERTIFICATE REQUEST", FULL) + (world / "good.pem").read_bytes())
    found = document(called("cert", "show", path, "--json"))
    assert (len(found["certificates"]), found["requests"]) == (2, [])
    path.write_bytes(FULL)
    run = called("cert", "verify", path)
    assert run.returncode == 2
    assert "handfast cert show FILE shows what it asks for" in " ".join(run.stderr.decode().split())


@pytest.mark.parametrize("kind", ["rsa:2048", "rsa-pss", "ed25519", "ec"])
def test_requests_of_openssl(tmp_path: Path, kind: str) -> None:
    program = require_peer("openssl")
    options = {"ec": ["-pkeyopt", "ec_paramgen_curve:P-384"], "rsa-pss": ["-pkeyopt", "rsa_keygen_bits:2048"]}
    subprocess.run(
        [program, "req", "-new", "-newkey", kind, *options.get(kind, []), "-nodes", "-keyout", "key", "-out", "csr",
         "-subj", "/CN=web.example", "-addext", "subjectAltName=DNS:web.example"],
        cwd=tmp_path, check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    found = document(called("cert", "show", tmp_path / "csr", "--key", tmp_path / "key", "--json"))
    (request,) = found["requests"]
    assert (request["signed"], request["weakness"], request["names"]) == (True, None, ["DNS:web.example"])
    assert found["key"]["fits"] is True
    spki = subprocess.run(
        [program, "pkey", "-in", "key", "-pubout", "-outform", "DER"], cwd=tmp_path, check=True, capture_output=True
    ).stdout
    assert request["key_sha256"] == hashlib.sha256(spki).hexdigest()
