"""GnuTLS: gnutls-serv and gnutls-cli."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from tests.interop.credentials import OTHER_NAMES
from tests.interop.peer import (
    BAD_CERTIFICATE,
    CLASSICAL,
    HANDSHAKE_FAILURE,
    PROTOCOL_VERSION,
    SUITES,
    UNKNOWN_CA,
    Abilities,
    Peer,
    Running,
    Setup,
    receive,
    said,
)
from tests.interop.processes import Program, free_port
from tests.peers import require_peer

if TYPE_CHECKING:
    from handfast import TLSSocket
    from tests.interop.credentials import Credentials

_KEYS = ("p256", "p384", "p521", "rsa2048", "rsa-pss", "ed25519", "ed448")
_CIPHERS = {
    "TLS_AES_128_GCM_SHA256": "AES-128-GCM",
    "TLS_AES_256_GCM_SHA384": "AES-256-GCM",
    "TLS_CHACHA20_POLY1305_SHA256": "CHACHA20-POLY1305",
    "TLS_AES_128_CCM_SHA256": "AES-128-CCM",
}
_GROUPS = {"x25519": "X25519", "secp256r1": "SECP256R1", "secp384r1": "SECP384R1", "secp521r1": "SECP521R1"}


def _priority(setup: Setup) -> list[str]:
    """GnuTLS's language for what may be used."""
    words = ["NORMAL"]
    if setup.newest == "1.2":
        words += ["-VERS-ALL", "+VERS-TLS1.2"]
    if setup.suite:
        words += ["-CIPHER-ALL", f"+{_CIPHERS[setup.suite]}"]
    if setup.groups:
        words += ["-GROUP-ALL", *(f"+GROUP-{_GROUPS[group]}" for group in setup.groups)]
    if not setup.compatible:
        words += ["%DISABLE_TLS13_COMPAT_MODE"]
    return ["--priority", ":".join(words)]


def _facts(text: str) -> dict[str, str]:
    """Both programs describe a connection like this: (TLS1.3-X.509)-(ECDHE-X25519)-(ECDSA-...)-(AES-128-GCM)."""
    found = re.search(
        r"Description: \(TLS([\d.]+)(?:-X\.509)?\)-\(ECDHE-(\w+)\)-\(.*\)-\(([\w-]+)\)$", text, re.MULTILINE
    )
    assert found is not None
    version, group, cipher = found.groups()
    facts = {
        "version": f"TLSv{version}",
        "group": group.lower(),
        "suite": next(suite for suite, name in _CIPHERS.items() if name == cipher),
    }
    if found := re.search(r"^- Application protocol: (.*)$", text, re.MULTILINE):
        facts["alpn"] = found[1]
    if found := re.search(r"^- Given server name\[\d\]: (.*)$", text, re.MULTILINE):
        facts["server_name"] = found[1]
    return facts


class _Server(Running):
    """gnutls-serv goes on for ever. It echoes, or (to close first) it speaks HTTP."""

    def __init__(self, *command: str, port: int) -> None:
        self.port = port
        self._tells = "-d" in command and "--echo" in command
        self.program = Program(require_peer("gnutls-serv"), *command)

    def facts(self) -> dict[str, str]:
        self.program.wait_for("^- Options", "stdout")
        return _facts(self.program.text("stdout"))

    def alert(self) -> int:
        return int(self.program.wait_for(r"Alert\[2\|(\d+)\] - .* - was received")[1])

    def swap(self, tls: TLSSocket, data: bytes) -> tuple[bytes, bytes]:
        tls.sendall(data)
        back = receive(tls, len(data))
        return back, back

    def close(self, tls: TLSSocket | None) -> None:
        assert tls is not None
        tls.sendall(b"GET / HTTP/1.0\r\n\r\n")

    def ended(self) -> None:
        if self._tells:
            self.program.wait_for(r"Alert\[1\|0\] - Close notify - was received")
        assert "rror in handshake" not in self.program.text()
        assert "rror while receiving" not in self.program.text()
        assert self.program.running


class _Client(Running):
    def __init__(self, *command: str, port: int, log: Path) -> None:
        self.port = port
        self._log = log
        self.program = Program(require_peer("gnutls-cli"), *command, "--logfile", str(log))

    def facts(self) -> dict[str, str]:
        return _facts(self._log.read_text())

    def alert(self) -> int:
        self.program.wait()
        found = re.search(r"^\*\*\* Received alert \[(\d+)\]", self._log.read_text(), re.MULTILINE)
        assert found is not None, self._log.read_text()
        return int(found[1])


class GnuTLS(Peer):
    name = "gnutls"
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
    unknown_ca = frozenset({BAD_CERTIFICATE, UNKNOWN_CA})
    # Without TLS 1.3 it does not look at supported_versions, and finds no suite of TLS 1.2.
    only_12 = frozenset({HANDSHAKE_FAILURE, PROTOCOL_VERSION})
    answers_close = frozenset({"server"})

    def version(self) -> str:
        return f"GnuTLS {said('gnutls-cli', '--version').split()[1]}"

    def serve(self, credentials: Credentials, setup: Setup) -> Running:
        port = free_port()
        command = ["-p", str(port), *_priority(setup)]
        for number, key in enumerate(setup.keys):
            files = credentials.files(key, OTHER_NAMES) if number else credentials.of(setup)
            command += ["--x509certfile", str(files.chain), "--x509keyfile", str(files.key)]
        for protocol in setup.alpn:
            command += ["--alpn", protocol, "--alpn-fatal"]
        if not setup.asks:
            command += ["--disable-client-cert"]
        if len(setup.data) < 1000:
            command += ["-d", "5"]  # shows alerts by number
        return _Server(*command, "--http" if setup.closes else "--echo", port=port)

    def connect(self, credentials: Credentials, setup: Setup, port: int) -> Running:
        root = credentials.root if setup.trust == "root" else credentials.strange_root
        command = ["-p", str(port), *_priority(setup), "--x509cafile", str(root)]
        command += ["--sni-hostname", setup.name, "--verify-hostname", setup.name, "127.0.0.1"]
        for protocol in setup.alpn:
            command += ["--alpn", protocol]
        if len(setup.groups) > 1:
            command += ["--single-key-share"]
        return _Client(*command, port=port, log=credentials.folder / f"gnutls-cli-{port}.log")
