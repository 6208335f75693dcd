"""`handfast cert show` and `verify` with `--key`: whether a private key belongs to the certificate."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from handfast.certificates import pem
from handfast.testing import Authority
from tests.cli.running import called, lines_of, serving
from tests.cli.world import World, document


def _public(key: object) -> str:
    return hashlib.sha256(
        key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined]
    ).hexdigest()


@pytest.mark.parametrize("command", ["show", "verify"])
def test_the_key_of_the_certificate(world: World, command: str) -> None:
    trust = ["--ca", world / "ca.pem"] if command == "verify" else []
    run = called("cert", command, world / "good.pem", "--key", world / "good.key", *trust)
    assert (run.returncode, run.stderr) == (0, b"")
    text = " ".join(run.stdout.decode().split())
    assert f"✓ key {world / 'good.key'} belongs to certificate 1 of 2: ECDSA P-256" in text
    assert ("accepted: the chain is that of" in text) == (command == "verify")
    found = document(called("cert", command, world / "good.pem", "--key", world / "good.key", *trust, "--json"))
    assert found["key"] == {
        "name": str(world / "good.key"),
        "kind": "ECDSA P-256",
        "sha256": _public(world.good.key),
        "fits": True,
        "certificate": 0,
    }
    assert found["key"]["sha256"] == found["certificates"][0]["key_sha256"]


@pytest.mark.parametrize("command", ["show", "verify"])
def test_the_key_of_another_certificate_is_an_error_that_names_both(world: World, command: str) -> None:
    trust = ["--ca", world / "ca.pem"] if command == "verify" else []
    arguments = ["cert", command, world / "good.pem", "--key", world / "expired.key", *trust]
    run = called(*arguments)
    assert run.returncode == 1
    assert lines_of(run)[0] == "handfast: The private key does not belong to the certificate."
    told = " ".join(run.stderr.decode().split())
    assert f"certificate key ECDSA P-256, SHA-256 {_public(world.good.key)}" in told
    assert f"key ECDSA P-256, SHA-256 {_public(world.expired.key)}" in told
    text = " ".join(run.stdout.decode().split())
    assert f"✗ key {world / 'expired.key'} belongs to none of them" in text
    assert "accepted" not in text
    assert ("refused: the chain is that of" in text) == (command == "verify")
    assert document(called("cert", command, world / "good.pem", "--json"))["key"] is None
    found = document(called(*arguments, "--json"))
    assert (found["key"]["fits"], found["key"]["certificate"]) == (False, None)
    assert found["error"]["reason"] == "key_mismatch"
    if command == "verify":
        assert found["verified"]["accepted"] is True  # the chain is: the key is another matter


def test_a_chain_that_is_refused_is_the_error_whatever_the_key_is(world: World) -> None:
    for key in ("good.key", "expired.key"):
        run = called("cert", "verify", world / "expired.pem", "--ca", world / "ca.pem", "--key", world / key)
        assert run.returncode == 1
        assert lines_of(run)[0] == "handfast: A certificate has expired."
        assert ("✓ key" if key == "expired.key" else "✗ key") in run.stdout.decode()


def test_of_several_certificates_any_may_be_shown_and_the_first_is_verified(world: World, tmp_path: Path) -> None:
    path = tmp_path / "both.pem"
    path.write_bytes(pem.certificate(world.good.chain[0]) + pem.certificate(world.expired.chain[0]))
    run = called("cert", "show", path, "--key", world / "expired.key")
    assert (run.returncode, run.stderr) == (0, b"")
    assert "belongs to certificate 2 of 2" in " ".join(run.stdout.decode().split())
    assert document(called("cert", "show", path, "--key", world / "expired.key", "--json"))["key"]["certificate"] == 1
    run = called("cert", "verify", path, "--key", world / "expired.key", "--relax", "missing-intermediate")
    assert run.returncode in (1, 2)
    found = document(called("cert", "verify", path, "--key", world / "expired.key", "--json"))
    assert (found["key"]["fits"], found["key"]["certificate"]) == (False, 1)


@pytest.mark.parametrize("kind", ["p256", "p384", "rsa2048", "ed25519", "ed448", "mldsa44"])
def test_every_kind_of_key_in_every_form(tmp_path: Path, kind: str) -> None:
    authority = Authority.create()
    ours, other = (authority.issue("example.com", key=kind) for _ in range(2))
    path = tmp_path / "chain.pem"
    path.write_bytes(b"".join(map(pem.certificate, ours.chain)))
    locked = BestAvailableEncryption(b"open sesame")
    (tmp_path / "password").write_text("open sesame\n")
    for key, code in ((ours.key, 0), (other.key, 1)):
        forms = {
            "plain.pem": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
            "plain.der": key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
            "locked.pem": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked),
            "locked.der": key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, locked),
        }
        for name, data in forms.items():
            (tmp_path / name).write_bytes(data)
            run = called("cert", "show", path, "--key", tmp_path / name, "--password-file", tmp_path / "password")
            assert (name, run.returncode) == (name, code), run.stderr
            assert b"sesame" not in run.stdout + run.stderr


def test_a_key_for_pss_alone_has_the_fingerprint_that_its_certificate_has(tmp_path: Path) -> None:
    """Read by itself it would be that of a plain RSA key."""
    authority = Authority.create()
    ours, other = (authority.issue("example.com", key="rsapss2048") for _ in range(2))
    path, key = ours.write(tmp_path)
    found = document(called("cert", "show", path, "--key", key, "--json"))
    assert found["key"]["sha256"] == found["certificates"][0]["key_sha256"]
    assert found["key"]["kind"] == found["certificates"][0]["key"]
    _, key = other.write(tmp_path, "other")
    assert called("cert", "show", path, "--key", key).returncode == 1


def test_a_key_that_cannot_be_used_is_an_error_of_the_call(world: World, tmp_path: Path) -> None:
    encrypted = world.good.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"open sesame"))
    (tmp_path / "locked.key").write_bytes(encrypted)
    for key, more, first in (
        (tmp_path / "gone.key", [], "handfast: A file cannot be read."),
        (world / "good.der", [], "handfast: There is no readable private key in this file."),
        (tmp_path / "locked.key", [], "handfast: The private key is encrypted, and the password"),
        (tmp_path / "locked.key", ["--password-file", world / "wrong"], "handfast: The private key is encrypted"),
        ("", [], "handfast: --key: a value is needed"),
        ("pkcs11:", [], "handfast: "),
    ):
        for command in ("show", "verify"):
            run = called("cert", command, world / "good.pem", "--key", key, *more)
            assert run.returncode == 2
            assert lines_of(run)[0].startswith(first)


def test_a_file_with_both(world: World, tmp_path: Path) -> None:
    path = tmp_path / "both.pem"
    path.write_bytes((world / "good.key").read_bytes() + (world / "good.pem").read_bytes())
    assert called("cert", "show", path, "--key", path).returncode == 0


def test_the_key_of_a_server(world: World) -> None:
    with serving("--cert", world / "good.pem", "--key", world / "good.key") as server:
        target = f"127.0.0.1:{server.port}"
        for key, code in (("good.key", 0), ("expired.key", 1)):
            run = called("cert", "show", target, "--name", "example.com", "--key", world / key)
            assert run.returncode == code, run.stderr
