"""curl, as a client."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.interop.features import (
    ALL_SUITES_12,
    CCM,
    CCM_8,
    CLASSICAL,
    EARLY,
    ECDSA,
    EDWARDS,
    RSA,
    SUITES,
    Abilities,
    both,
)
from tests.interop.peer import Peer, Running, Setup, alert_of, said
from tests.interop.peers.openssl3 import GROUPS, ciphers, suite_named
from tests.interop.processes import Program
from tests.peers import require_peer

if TYPE_CHECKING:
    from handfast import TLSSocket
    from tests.interop.credentials import Credentials


class _Client(Running):
    """One POST of what it reads from its standard input, to a server that sends it back."""

    def facts(self) -> dict[str, str]:
        said = self.program.wait_for(r"^\* SSL connection using (\S+) / (\S+)")
        facts = {"version": said[1], "suite": suite_named(said[2])}
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

    def close(self, tls: TLSSocket | None) -> None:
        """It does so by itself."""


class Curl(Peer):
    name = "curl"
    who = "a POST to handfast's server, which sends the body back"
    as_client = both(
        Abilities(
            (*SUITES, CCM, CCM_8),
            (*CLASSICAL, "x448"),
            (*ECDSA, *RSA, *EDWARDS),
            lacks={
                "the client comes again with TLS 1.2": "curl never does",
                "no middlebox compatibility": "curl has no such option",
                "exporter": "curl exports nothing",
                "exporter with a context": "curl exports nothing",
                "tls-unique": "curl does not show it",
                "key update by the peer": "curl never changes its key",
                "renegotiation by the peer": "curl never starts one",
                "record size limit of handfast": "OpenSSL has no RFC 8449",
                "record size limit of the peer": "OpenSSL has no RFC 8449",
                "padding by the peer": "curl has no such option",
                "resumption by ticket": "curl has no tickets in TLS 1.2, by its own choice",
                "resumption without key exchange": "curl has no such option",
                **dict.fromkeys(EARLY, "curl has no such option"),
                "external key": "curl has no such option",
            },
        ),
        ALL_SUITES_12,
    )
    answers_update = False  # it has sent its one request by then
    protocol = "http"

    def version(self) -> str:
        words = said("curl", "--version").split()
        library = next(word for word in words if re.match(r"(OpenSSL|GnuTLS|LibreSSL|BoringSSL|NSS|wolfSSL)/", word))
        return f"curl {words[1]} ({library.replace('/', ' ')})"

    def come_back(self, credentials: Credentials, setup: Setup, port: int) -> Running:
        """Two requests of one run, of the same data, and the server closes after the first."""
        return self._run(credentials, setup, port, f"https://{setup.name}:{port}/close")

    def connect(self, credentials: Credentials, setup: Setup, port: int) -> Running:
        return self._run(credentials, setup, port)

    def _run(self, credentials: Credentials, setup: Setup, port: int, *more: str) -> Running:
        root = credentials.trusted_by(setup)
        command = ["-q", "--silent", "--show-error", "--verbose", "--http1.1", "--cacert", str(root), "--noproxy", "*"]
        command += ["--resolve", f"{setup.name}:{port}:127.0.0.1", "--header", "Expect:", "--data-binary", "@-"]
        if files := credentials.client_of(setup):
            command += ["--cert", str(files.chain), "--key", str(files.key)]
        if not setup.alpn:
            command += ["--no-alpn"]
        if setup.suites_13:
            command += ["--tls13-ciphers", ":".join(setup.suites_13)]
        if names := ciphers(setup):
            command += ["--ciphers", names]
        if setup.groups:
            command += ["--curves", ":".join(GROUPS[group] for group in setup.groups)]
        command += [f"--tlsv{setup.lowest}", "--tls-max", setup.highest]
        return _Client(Program(require_peer("curl"), *command, *more, f"https://{setup.name}:{port}/"), port)
