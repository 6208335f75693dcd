"""Keys and chains in the formats that other programs write them in; OpenSSL makes them here."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from handfast import reasons
from handfast.certificates import loading, pem
from handfast.certificates.identity import Identity
from handfast.errors import ConfigurationError
from handfast.reasons import Reason
from handfast.testing import IssuedIdentity
from handfast.testing.chains import root
from tests.peers import require_peer

PASSWORD = "pässword"


@pytest.fixture(scope="module")
def issued() -> IssuedIdentity:
    return root().intermediate().issue("server.example", key="rsa2048")


@pytest.fixture
def folder(issued: IssuedIdentity, tmp_path: Path) -> Path:
    issued.write(tmp_path)
    return tmp_path


def openssl(folder: Path, *arguments: str) -> None:
    program = require_peer("openssl")
    done = subprocess.run([program, *arguments], cwd=folder, capture_output=True, text=True, timeout=60)
    if done.returncode and "unsupported" in done.stderr:
        pytest.skip("this OpenSSL no longer writes it")
    assert done.returncode == 0, done.stderr


KEYS = {
    "PKCS#8, PBES2": ("pkcs8", "-topk8", "-v2", "aes-256-cbc"),
    "PKCS#8, PBES2 with scrypt": ("pkcs8", "-topk8", "-scrypt"),
    "PKCS#8, triple DES": ("pkcs8", "-topk8", "-v1", "PBE-SHA1-3DES"),
    "PKCS#1 in the old encryption of PEM, AES": ("rsa", "-traditional", "-aes256"),
    "PKCS#1 in the old encryption of PEM, triple DES": ("rsa", "-traditional", "-des3"),
}


def test_a_chain_that_is_cut_is_said_to_be(issued: IssuedIdentity, folder: Path) -> None:
    """As where a disk was full: what is left is a certificate without its intermediate."""
    cut = issued.certificate_pem[:-40]
    (folder / "cut.pem").write_bytes(cut)
    said: list[Reason] = []
    for found in (
        Identity.load(folder / "cut.pem", folder / "server.key", on_note=lambda note: said.append(note.reason)),
        Identity.from_pem(cut, issued.key_pem),
    ):
        assert found.chain == issued.chain[:1]
        assert [note.reason for note in found.notes] == [reasons.CHAIN_CUT]
    assert said == [reasons.CHAIN_CUT]
    with pytest.raises(ConfigurationError, match="it is cut"):  # as ssl refuses it
        Identity.from_pem(cut, issued.key_pem, arrange=False)


def test_pkcs12_in_place_of_pem_is_called_that(issued: IssuedIdentity, folder: Path) -> None:
    openssl(
        folder,
        "pkcs12",
        "-export",
        "-in",
        "server.pem",
        "-inkey",
        "server.key",
        "-out",
        "server.p12",
        "-passout",
        "pass:secret",
    )
    with pytest.raises(ConfigurationError, match="it is PKCS#12, which"):
        Identity.from_pem((folder / "server.p12").read_bytes(), issued.key_pem)


@pytest.mark.parametrize("way", KEYS.values(), ids=list(KEYS))
def test_encrypted_keys_as_openssl_writes_them(issued: IssuedIdentity, folder: Path, way: tuple[str, ...]) -> None:
    openssl(folder, *way, "-in", "server.key", "-out", "locked.key", "-passout", f"pass:{PASSWORD}")
    data = (folder / "locked.key").read_bytes()
    assert b"ENCRYPTED" in data
    paths = folder / "server.pem", folder / "locked.key"
    assert Identity.load(*paths, PASSWORD).chain == issued.chain
    assert Identity.load(*paths, PASSWORD.encode).chain == issued.chain
    assert Identity.from_pem(issued.certificate_pem, data, PASSWORD).chain == issued.chain
    for password, problem in ((None, "no password was given"), ("wrong", "the password is wrong")):
        with pytest.raises(ConfigurationError) as caught:
            Identity.load(*paths, password)
        assert caught.value.reason is reasons.KEY_ENCRYPTED
        assert caught.value.evidence["problem"] == problem


def test_a_password_is_asked_for_only_where_it_is_needed(issued: IssuedIdentity, folder: Path) -> None:
    def never() -> str:
        raise AssertionError("the key is not encrypted")

    assert Identity.load(folder / "server.pem", folder / "server.key", never).chain == issued.chain
    data = root().issue("x.example")
    asked: list[int] = []
    with pytest.raises(ConfigurationError):
        Identity.from_pem(data.certificate_pem, b"no key", lambda: asked.append(1) or "")  # type: ignore[func-returns-value]
    assert not asked


def test_a_curves_parameters_before_the_key(tmp_path: Path) -> None:
    """As `openssl ecparam -genkey` writes it."""
    openssl(tmp_path, "ecparam", "-name", "prime256v1", "-genkey", "-out", "ec.key")
    openssl(tmp_path, "req", "-x509", "-key", "ec.key", "-subj", "/CN=x", "-out", "ec.pem")
    assert b"EC PARAMETERS" in (tmp_path / "ec.key").read_bytes()
    assert Identity.load(tmp_path / "ec.pem", tmp_path / "ec.key").kind == "secp256r1"


PKCS12 = {
    "as OpenSSL 3 writes it": (),
    "as older programs write it": ("-legacy",),
    "triple DES": ("-keypbe", "PBE-SHA1-3DES", "-certpbe", "PBE-SHA1-3DES", "-macalg", "sha1"),
    "certificates in the clear": ("-certpbe", "NONE"),
}


@pytest.mark.parametrize("way", PKCS12.values(), ids=list(PKCS12))
def test_pkcs12(issued: IssuedIdentity, folder: Path, way: tuple[str, ...]) -> None:
    (folder / "root.pem").write_bytes(root().pem)
    common = ("pkcs12", "-export", "-inkey", "server.key", "-in", "server.pem", "-certfile", "root.pem")
    openssl(folder, *common, "-out", "all.p12", "-passout", f"pass:{PASSWORD}", *way)
    data = (folder / "all.p12").read_bytes()
    for found in (Identity.load(folder / "all.p12", password=PASSWORD), Identity.from_pkcs12(data, lambda: PASSWORD)):
        assert found.chain == issued.chain
        assert [note.reason for note in found.notes if note.reason is not reasons.CHAIN_REORDERED] == [
            reasons.ROOT_LEFT_OUT
        ]
    for password, problem in ((None, "no password was given"), ("wrong", "the password is wrong")):
        with pytest.raises(ConfigurationError) as caught:
            Identity.load(folder / "all.p12", password=password)
        assert caught.value.reason is reasons.KEY_ENCRYPTED
        assert caught.value.evidence == {"file": str(folder / "all.p12"), "problem": problem}


@pytest.mark.parametrize("way", [(), ("-keypbe", "NONE", "-certpbe", "NONE", "-nomac")])
def test_pkcs12_without_a_password(issued: IssuedIdentity, folder: Path, way: tuple[str, ...]) -> None:
    openssl(folder, "pkcs12", "-export", "-inkey", "server.key", "-in", "server.pem", "-out", "all.p12", "-passout", "pass:", *way)  # fmt: skip
    for password in (None, "", b""):
        assert Identity.load(folder / "all.p12", password=password).chain == issued.chain


def test_pkcs12_that_is_not_whole(issued: IssuedIdentity, folder: Path) -> None:
    common = ("pkcs12", "-export", "-passout", "pass:x")
    openssl(folder, *common, "-nokeys", "-in", "server.pem", "-out", "nokey.p12")
    openssl(folder, *common, "-nocerts", "-inkey", "server.key", "-in", "server.key", "-out", "nocert.p12")
    problems: list[tuple[str, Any, str]] = [
        ("nokey.p12", reasons.NOT_A_KEY, "this PKCS#12 has certificates alone"),
        ("nocert.p12", reasons.NOT_A_CERTIFICATE, "this PKCS#12 has a key alone"),
    ]
    for name, reason, problem in problems:
        with pytest.raises(ConfigurationError) as caught:
            Identity.load(folder / name, password="x")
        assert caught.value.reason is reason
        assert caught.value.evidence["problem"] == problem
    broken = (folder / "nocert.p12").read_bytes()
    for data in (broken[:-1], broken[:40], b"0\x05\x02\x01\x03\x04\x00"):
        with pytest.raises(ConfigurationError):
            Identity.from_pkcs12(data, "x")


def test_the_key_of_a_pkcs12_may_stand_elsewhere(issued: IssuedIdentity, folder: Path) -> None:
    openssl(
        folder, "pkcs12", "-export", "-inkey", "server.key", "-in", "server.pem", "-out", "all.p12", "-passout", "pass:"
    )
    assert Identity.load(folder / "all.p12", folder / "server.key").chain == issued.chain


def test_pkcs12_is_told_from_certificates_and_keys(issued: IssuedIdentity, folder: Path) -> None:
    openssl(folder, "pkey", "-in", "server.key", "-outform", "DER", "-out", "key.der")
    for other in (issued.chain[0], (folder / "key.der").read_bytes(), issued.key_pem, b"", b"0", b"0\x80", b"0\xff"):
        assert not loading.is_pkcs12(other)


def test_one_file_is_enough(issued: IssuedIdentity, tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes(issued.key_pem + issued.certificate_pem)
    assert Identity.load(both).chain == issued.chain
    both.write_bytes(issued.certificate_pem)
    with pytest.raises(ConfigurationError) as caught:
        Identity.load(both)
    assert caught.value.evidence == {"file": str(both), "problem": "it is a certificate"}


def test_certificates_in_der_one_after_the_other(issued: IssuedIdentity, folder: Path) -> None:
    (folder / "chain.der").write_bytes(b"".join(issued.chain))
    assert Identity.load(folder / "chain.der", folder / "server.key").chain == issued.chain
    assert pem.certificates(b"".join(issued.chain) + b"rest") == [b"".join(issued.chain) + b"rest"]


@pytest.mark.parametrize("label", ["X509 CERTIFICATE", "TRUSTED CERTIFICATE"])
def test_older_names_of_a_certificate_in_pem(issued: IssuedIdentity, label: str) -> None:
    """RFC 7468 section 5.1: X509 CERTIFICATE may be taken. What follows a TRUSTED CERTIFICATE is OpenSSL's own."""
    tail = bytes.fromhex("300c300a06082b06010505070301") if label.startswith("TRUSTED") else b""
    text = b"".join(pem.block(label, der + tail) for der in issued.chain)
    assert Identity.from_pem(text, issued.key_pem).chain == issued.chain


@pytest.mark.parametrize(
    ("label", "problem"),
    [
        ("PUBLIC KEY", "it is a public key"),
        ("CERTIFICATE REQUEST", "it is a certificate request"),
        ("OPENSSH PRIVATE KEY", "it is in OpenSSH's own format: ssh-keygen -p -m PKCS8 -f FILE makes it PEM"),
        ("EC PARAMETERS", "it has the parameters of a curve alone"),
        ("SOMETHING ELSE", "it is SOMETHING ELSE"),
    ],
)
def test_what_people_take_for_a_key(issued: IssuedIdentity, label: str, problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Identity.from_pem(issued.certificate_pem, pem.block(label, b"0"))
    assert caught.value.reason is reasons.NOT_A_KEY
    assert caught.value.evidence["problem"] == problem


def test_nothing_of_a_password_or_key_is_in_an_error(folder: Path) -> None:
    openssl(folder, "pkey", "-in", "server.key", "-aes256", "-out", "locked.key", "-passout", "pass:right")
    with pytest.raises(ConfigurationError) as caught:
        Identity.load(folder / "server.pem", folder / "locked.key", "hunter2")
    assert "hunter2" not in str(caught.value) + repr(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
