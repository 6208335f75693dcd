"""SoftHSM, a token in a folder: what an HSM is to a program, without the hardware."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.peers import missing, require_peer

PIN = "1234-hunter2"
LIBRARIES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
)


def library() -> str:
    found = next((path for path in LIBRARIES if Path(path).is_file()), None)
    if found is None:
        raise missing("the library of SoftHSM is not on this machine: apt-get install softhsm2")
    return found


class SoftHsm:
    """Tokens in a folder. The library reads SOFTHSM2_CONF when it is initialized, which a process does once."""

    def __init__(self, folder: Path) -> None:
        self.program = require_peer("softhsm2-util")
        self.library = library()
        self.tokens = folder / "tokens"
        self.tokens.mkdir(parents=True)
        self.configuration = folder / "softhsm2.conf"
        self.configuration.write_text(
            f"directories.tokendir = {self.tokens}\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n"
        )
        self._folder = folder
        self.environment = {**os.environ, "SOFTHSM2_CONF": str(self.configuration)}

    def run(self, *arguments: str) -> str:
        done = subprocess.run(
            [self.program, *arguments], env=self.environment, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def token(self, label: str) -> None:
        """A new token, whose PIN is PIN."""
        self.run("--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", "so-" + PIN)

    def put(self, key: Any, label: str, number: int, token: str) -> None:
        """A private key of `cryptography`, into a token."""
        path = self._folder / "key.p8"
        path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        self.run(
            "--import", str(path), "--token", token, "--pin", PIN, "--label", label, "--id", f"{number:02x}", "--force"
        )
        path.unlink()

    def uri(self, token: str = "handfast", **parts: str) -> str:
        """The URI of a key; ``parts`` stand in the path."""
        named = {"token": token, **parts}
        path = ";".join(f"{name}={quote(value, safe='%')}" for name, value in named.items() if value)
        return f"pkcs11:{path}?module-path={self.library}"
