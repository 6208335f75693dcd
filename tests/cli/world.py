"""Certificates in files, and what `handfast cert` says of them: for its tests."""

from __future__ import annotations

import json
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema
from cryptography import x509
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, pkcs7, pkcs12

from handfast import TLSSocket
from handfast.testing import Authority
from tests.aia.farm import NOW
from tests.cli.running import SCHEMAS, called

HOSTILE = "Evil\x1b[31m\r\nname \u202egpj.exe"


def echo(tls: TLSSocket) -> None:
    """What a server may do with what comes."""
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


def verified(*arguments: object, stdin: bytes = b"") -> dict[str, Any]:
    """What `handfast cert verify --json` says; its exit code fits."""
    run = called("cert", "verify", *arguments, "--json", stdin=stdin)
    found = document(run)
    assert run.returncode == (0 if found["verified"] and found["verified"]["accepted"] else 1)
    assert (found["error"] is not None) == (run.returncode != 0)
    return found
