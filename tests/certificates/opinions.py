"""What others say of a chain: OpenSSL, GnuTLS and Go, each in its own words."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from handfast.certificates import pem
from handfast.certificates.names import address
from tests.certificates.making import Made
from tests.peers import require_peer

GOOD: Final = "good"


def _files(made: Made, folder: Path) -> Mapping[str, Path]:
    """Roots, the peer's own certificate, the others, and all of them, as PEM."""
    contents = {"roots": made.roots, "leaf": made.chain[:1], "others": made.chain[1:], "chain": made.chain}
    files = {name: folder / f"{name}.pem" for name in contents}
    for name, ders in contents.items():
        files[name].write_bytes(b"".join(map(pem.certificate, ders)))
    return files


def openssl(made: Made, folder: Path) -> str:
    """`openssl verify`, at the level of security that Debian's TLS has."""
    files = _files(made, folder)
    command = [require_peer("openssl"), "verify", "-no-CApath", "-no-CAstore", "-auth_level", "2"]
    command += ["-attime", str(int(made.at.timestamp())), "-CAfile", str(files["roots"])]
    command += ["-purpose", "sslclient" if made.client else "sslserver"]
    if made.chain[1:]:
        command += ["-untrusted", str(files["others"])]
    if made.name:
        command += ["-verify_hostname" if address(made.name) is None else "-verify_ip", made.name]
    done = _run([*command, str(files["leaf"])])
    if done.returncode == 0:
        return GOOD
    found = re.findall(r"error \d+ at \d+ depth lookup: (.*)", done.stderr)
    return found[0] if found else "it cannot be read"


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Names of certificates are printed as they are, also those that are no text."""
    return subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=60, check=False)


def gnutls(made: Made, folder: Path) -> str:
    """`certtool --verify`, which goes by the clock."""
    files = _files(made, folder)
    purpose = "1.3.6.1.5.5.7.3.2" if made.client else "1.3.6.1.5.5.7.3.1"
    command = [require_peer("certtool"), "--verify", "--load-ca-certificate", str(files["roots"])]
    command += ["--verify-purpose", purpose, "--infile", str(files["chain"])]
    if made.name:
        command += ["--verify-hostname", made.name]
    done = _run(command)
    found = re.findall(r"Chain verification output: (.*)", done.stdout + done.stderr)
    if found and found[-1].startswith("Verified"):
        return GOOD
    if not found:
        return "it cannot be read"
    said = found[-1].removeprefix("Not verified.").replace("The certificate is NOT trusted.", "").strip()
    return said.rstrip(".").strip() or "not trusted"


def go(asked: Sequence[Made], folder: Path) -> list[str]:
    """Go's crypto/x509, by a small program of ours in go/."""
    program = folder / "chains"
    environment = {**os.environ, "GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local", "GOCACHE": str(folder / "cache")}
    source = Path(__file__).parent / "go"
    subprocess.run([require_peer("go"), "build", "-o", str(program), "."], cwd=source, env=environment, check=True)
    questions = [
        {
            "Chain": [base64.b64encode(der).decode() for der in made.chain],
            "Roots": [base64.b64encode(der).decode() for der in made.roots],
            "Name": made.name or "",
            "Client": made.client,
            "Now": int(made.at.timestamp()),
        }
        for made in asked
    ]
    done = subprocess.run(
        [program], input=json.dumps(questions), capture_output=True, text=True, timeout=60, check=True
    )
    return [_told_by_go(text) for text in json.loads(done.stdout)]


def _told_by_go(text: str) -> str:
    """Without what changes from run to run, or repeats what the case says."""
    text = re.sub(r": current time .*", "", text)
    text = re.sub(r" \(possibly because of .*", "", text)
    text = re.sub(r"(for|valid for) \d\d+ names", r"\1 many names", text)
    text = re.sub(r"valid for .*, not (.*)", r"not valid for \1", text)
    return text.removeprefix("x509: ") or GOOD


def versions() -> dict[str, str]:
    """Which programs these are."""
    return {
        "OpenSSL": _version("openssl", "version"),
        "GnuTLS": _version("certtool", "--version"),
        "Go": _version("go", "version"),
    }


def _version(name: str, option: str) -> str:
    done = subprocess.run([require_peer(name), option], capture_output=True, text=True, timeout=60, check=True)
    found = re.search(r"\d+\.\d+(\.\d+)?", done.stdout)
    assert found, done.stdout
    return found[0]
