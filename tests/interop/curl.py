"""curl, as a client."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.interop.openssl3 import GROUPS
from tests.interop.peer import CLASSICAL, SUITES, Abilities, Peer, Running, Setup, alert_of, said
from tests.interop.processes import Program
from tests.peers import require_peer

if TYPE_CHECKING:
    from tests.interop.credentials import Credentials


class _Client(Running):
    """One POST of what it reads from its standard input, to a server that sends it back."""

    def __init__(self, *command: str, port: int) -> None:
        self.port = port
        self.program = Program(require_peer("curl"), *command)

    def facts(self) -> dict[str, str]:
        said = self.program.wait_for(r"^\* SSL connection using (\S+) / (\S+)")
        facts = {"version": said[1], "suite": said[2]}
        if found := re.search(r"^\* ALPN: server accepted (\S+)", self.program.text(), re.MULTILINE):
            facts["alpn"] = found[1]
        return facts

    def alert(self) -> int:
        self.program.wait()
        return alert_of(self.program.text())

    def shaken(self) -> None:
        self.program.end_input()

    def echo(self, data: bytes) -> bytes:
        self.program.write(data)
        self.program.end_input()
        return self.program.read(len(data))

    def greeting(self) -> bytes:
        self.program.end_input()
        return super().greeting()

    def close(self, tls: object) -> None:
        """It does so by itself."""


class Curl(Peer):
    name = "curl"
    as_client = Abilities(
        SUITES,
        CLASSICAL,
        ("p256", "p384", "p521", "rsa2048", "rsa-pss", "ed25519", "ed448"),
        (
            "ALPN",
            "no common ALPN",
            "server name",
            "intermediate",
            "1 MiB both ways",
            "handfast closes first",
            "peer closes first",
            "unknown CA",
            "TLS 1.2 only",
            "no common suite",
            "no common group",
            "retry refused",
        ),
    )
    protocol = "http"

    def version(self) -> str:
        words = said("curl", "--version").split()
        library = next(word for word in words if re.match(r"(OpenSSL|GnuTLS|LibreSSL|BoringSSL|NSS|wolfSSL)/", word))
        return f"curl {words[1]} ({library.replace('/', ' ')})"

    def connect(self, credentials: Credentials, setup: Setup, port: int) -> Running:
        root = credentials.root if setup.trust == "root" else credentials.strange_root
        command = ["-q", "--silent", "--show-error", "--verbose", "--http1.1", "--cacert", str(root), "--noproxy", "*"]
        command += ["--resolve", f"{setup.name}:{port}:127.0.0.1", "--header", "Expect:", "--data-binary", "@-"]
        if not setup.alpn:
            command += ["--no-alpn"]
        if setup.suite:
            command += ["--tls13-ciphers", setup.suite]
        if setup.groups:
            command += ["--curves", ":".join(GROUPS[group] for group in setup.groups)]
        if setup.newest == "1.2":
            command += ["--tls-max", "1.2"]
        return _Client(*command, f"https://{setup.name}:{port}/", port=port)
