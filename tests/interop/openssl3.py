"""The openssl program of the system: `openssl s_server` and `openssl s_client`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.interop.credentials import OTHER_NAMES
from tests.interop.peer import CLASSICAL, SUITES, Abilities, Peer, Running, Setup, alert_of
from tests.interop.peer import said as said_by
from tests.interop.processes import Program, free_port
from tests.peers import require_peer

if TYPE_CHECKING:
    from handfast import TLSSocket
    from tests.interop.credentials import Credentials

_KEYS = ("p256", "p384", "p521", "rsa2048", "rsa-pss", "ed25519", "ed448")
GROUPS = {"x25519": "X25519", "secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}
# How -brief and -rev call the groups.
_KEYS_OF_GROUPS = {"X25519": "x25519", "prime256v1": "secp256r1", "secp384r1": "secp384r1"}


def settings(setup: Setup) -> list[str]:
    """The options that both programs have."""
    options = ["-quiet"]
    if setup.suite:
        options += ["-ciphersuites", setup.suite]
    if setup.groups:
        options += ["-groups", ":".join(GROUPS[group] for group in setup.groups)]
    if setup.alpn:
        options += ["-alpn", ",".join(setup.alpn)]
    if setup.newest == "1.2":
        options += ["-tls1_2"]
    return options


class _OpenSSL(Running):
    def __init__(self, *command: str, port: int) -> None:
        self.port = port
        self.program = Program(require_peer("openssl"), *command)

    def alert(self) -> int:
        self.program.wait_for(r"SSL alert number")
        return alert_of(self.program.text())

    def facts(self) -> dict[str, str]:
        """What -brief says; s_server says it too where it is started with -rev."""
        self.program.wait_for(r"^Verification|^No peer certificate|^Peer certificate|^Server Temp Key")
        said = dict(re.findall(r"^([\w ]+): (.*)$", self.program.text(), re.MULTILINE))
        facts = {"version": said["Protocol version"], "suite": said["Ciphersuite"]}
        if "Server Temp Key" in said:
            parts = said["Server Temp Key"].split(", ")
            facts["group"] = _KEYS_OF_GROUPS[parts[1] if parts[0] == "ECDH" else parts[0]]
        return facts


class _Server(_OpenSSL):
    """Either turns lines around and says what was agreed (-rev), or is a pipe between its input and the connection."""

    def __init__(self, *command: str, port: int, lines: bool) -> None:
        super().__init__(*command, port=port)
        self._lines = lines

    def swap(self, tls: TLSSocket, data: bytes) -> tuple[bytes, bytes]:
        if not self._lines:
            return super().swap(tls, data)
        tls.sendall(data)
        back = tls.recv(len(data))[:-1][::-1] + b"\n"
        return back, back

    def close(self, tls: TLSSocket | None) -> None:
        assert tls is not None
        tls.sendall(b"CLOSE\n")

    def ended(self) -> None:
        if self._lines:
            self.program.wait_for("CONNECTION CLOSED")
            assert self.program.wait() == 0
        assert "error" not in self.program.text()


class OpenSSL3(Peer):
    name = "openssl"
    as_server = Abilities(
        SUITES,
        CLASSICAL,
        _KEYS,
        (
            "ALPN",
            "no common ALPN",
            "server name",
            "intermediate",
            "no middlebox compatibility",
            "certificate request",
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
    as_client = Abilities(
        SUITES,
        CLASSICAL,
        _KEYS,
        (
            "ALPN",
            "no common ALPN",
            "server name",
            "intermediate",
            "no middlebox compatibility",
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

    def version(self) -> str:
        return " ".join(said_by("openssl", "version").split()[:2])

    def serve(self, credentials: Credentials, setup: Setup) -> Running:
        port = free_port()
        lines = len(setup.data) < 1000
        files = credentials.of(setup)
        command = ["s_server", "-accept", f"127.0.0.1:{port}", "-naccept", "1", *settings(setup)]
        command += ["-cert", str(files.chain), "-key", str(files.key)]
        if setup.intermediate:
            command += ["-cert_chain", str(credentials.issuers)]
        if setup.keys[1:]:
            other = credentials.files(setup.keys[1], OTHER_NAMES)
            command += ["-servername", OTHER_NAMES[0], "-cert2", str(other.chain), "-key2", str(other.key)]
        if setup.asks:
            command += ["-verify", "1"]
        return _Server(*command, *(["-rev"] if lines else []), port=port, lines=lines)

    def connect(self, credentials: Credentials, setup: Setup, port: int) -> Running:
        root = credentials.root if setup.trust == "root" else credentials.strange_root
        command = [
            "s_client",
            "-connect",
            f"127.0.0.1:{port}",
            *settings(setup),
            "-brief",
            "-no_ign_eof",
            "-nocommands",
        ]
        command += ["-CAfile", str(root), "-no-CApath", "-no-CAstore", "-verify_return_error"]
        command += ["-servername", setup.name, "-verify_hostname", setup.name]
        if not setup.compatible:
            command += ["-no_middlebox"]
        return _OpenSSL(*command, port=port)
