"""GnuTLS: gnutls-serv and gnutls-cli."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.interop.features import (
    ALL_SUITES,
    ALL_SUITES_12,
    CCM,
    CCM_8,
    CLASSICAL,
    ECDSA,
    EDWARDS,
    RSA,
    SUITES,
    Abilities,
    both,
)
from tests.interop.peer import (
    ACCESS_DENIED,
    BAD_CERTIFICATE,
    DECODE_ERROR,
    EXPORTED,
    EXPORTER,
    HANDSHAKE_FAILURE,
    PROTOCOL_VERSION,
    UNKNOWN_CA,
    Peer,
    Running,
    Setup,
    receive,
    said,
)
from tests.interop.processes import Program, free_port
from tests.peers import require_peer

if TYPE_CHECKING:
    from pathlib import Path

    from handfast import TLSSocket
    from tests.interop.credentials import Credentials


def _cipher(suite: str) -> str:
    """What GnuTLS calls the cipher of a suite."""
    name = suite.rpartition("_WITH_")[2].removeprefix("TLS_").replace("_", "-")
    return name.removesuffix("-SHA256").removesuffix("-SHA384").removesuffix("-SHA")


# By version, cipher and, in TLS 1.2, how the server signs.
_SUITES = {("1.3", _cipher(suite), ""): suite for suite in ALL_SUITES}
_SUITES |= {("1.2", _cipher(suite), "RSA" if "_RSA_" in suite else "ECDSA"): suite for suite in ALL_SUITES_12}
# How a key is used: one from outside or none, with a key exchange or without.
_PSK = {(False, False): [], (False, True): ["+PSK"], (True, False): ["+ECDHE-PSK", "+PSK"], (True, True): ["+PSK"]}
_GROUPS = (*CLASSICAL, "x448")
_LACKS = dict.fromkeys(("exporter with a context", "padding by the peer"), "the programs have no such option")


def _settings(setup: Setup) -> list[str]:
    """The options that both programs have; the first one is GnuTLS's language for what may be used."""
    words = ["NORMAL"]
    if setup.only:
        words += ["-VERS-ALL", f"+VERS-TLS{setup.only}"]
    if setup.suites:
        words += ["-CIPHER-ALL", *(f"+{_cipher(suite)}" for suite in setup.suites)]
    if setup.fallback:
        words += ["%FALLBACK_SCSV"]
    if setup.groups:
        words += ["-GROUP-ALL", *(f"+GROUP-{group.upper()}" for group in setup.groups)]
    if not setup.compatible:
        words += ["%DISABLE_TLS13_COMPAT_MODE"]
    if setup.size_limit:
        words += ["%ALLOW_SMALL_RECORDS"]
    if setup.order == "server":
        words += ["%SERVER_PRECEDENCE"]
    words += _PSK[bool(setup.psk), setup.without_dhe]
    options = ["--priority", ":".join(words)]
    for protocol in setup.alpn:
        options += ["--alpn", protocol]
    if setup.exports:
        options += [f"--keymatexport={EXPORTER}", f"--keymatexportsize={EXPORTED}"]
    if setup.size_limit:
        options += ["--recordsize", str(setup.size_limit - 1)]  # of content alone, without its type
    return options


def _facts(text: str) -> dict[str, str]:
    """Both programs describe a connection like this: (TLS1.3-X.509)-(ECDHE-X25519)-(ECDSA-...)-(AES-128-GCM)."""
    found = re.search(
        r"Description: \(TLS([\d.]+)(?:-X\.509)?\)-\(ECDHE-(\w+)\)-\((.*)\)-\(([\w-]+)\)$", text, re.MULTILINE
    )
    assert found is not None
    version, group, scheme, cipher = found.groups()
    signer = "" if version == "1.3" else "RSA" if scheme.startswith("RSA") else "ECDSA"
    facts = {
        "version": f"TLSv{version}",
        "group": group.lower(),
        "suite": _SUITES[version, cipher, signer],
    }
    if found := re.search(r"^- Application protocol: (.*)$", text, re.MULTILINE):
        facts["alpn"] = found[1]
    if found := re.search(r"^- Given server name\[\d\]: (.*)$", text, re.MULTILINE):
        facts["server_name"] = found[1]
    return facts


def _shown(what: str, text: str) -> bytes:
    """Bytes that are shown in hexadecimal digits, after their name."""
    found = re.search(rf"^ ?- {what}: ([0-9a-f]+)$", text, re.MULTILINE)
    assert found is not None
    return bytes.fromhex(found[1])


class _Server(Running):
    """gnutls-serv goes on for ever. It echoes, or (to close first) it speaks HTTP."""

    def __init__(self, program: Program, port: int, tells: bool) -> None:
        super().__init__(program, port)
        self._tells = tells

    def facts(self) -> dict[str, str]:
        self.program.wait_for("^- Options", "stdout")
        return _facts(self.program.text("stdout"))

    def exported(self) -> bytes:
        self.program.wait_for("^- Key material: .*\n", "stdout")
        return _shown("Key material", self.program.text("stdout"))

    def unique(self) -> bytes:
        self.program.wait_for("^ - 'tls-unique': .*\n", "stdout")
        return _shown("'tls-unique'", self.program.text("stdout"))

    def renegotiate(self, tls: TLSSocket | None) -> None:
        assert tls is not None
        assert self.swap(tls, b"first\n") == (b"first\n", b"first\n")
        tls.sendall(b"**REHANDSHAKE**\n")

    def alert(self) -> int:
        return int(self.program.wait_for(r"Alert\[2\|(\d+)\] - .* - was received")[1])

    def swap(self, tls: TLSSocket, data: bytes) -> tuple[bytes, bytes]:
        tls.sendall(data)
        back = receive(tls, len(data))
        return back, back

    def has_heard(self, tls: TLSSocket) -> None:
        """gnutls-serv takes early data, and does nothing with it."""
        assert self.swap(tls, b"then\n") == (b"then\n", b"then\n")

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
        super().__init__(Program(require_peer("gnutls-cli"), *command, "--logfile", str(log)), port)
        self._log = log

    def facts(self) -> dict[str, str]:
        return _facts(self._log.read_text())

    def exported(self) -> bytes:
        return _shown("Key material", self._log.read_text())

    def unique(self) -> bytes:
        return _shown("'tls-unique'", self._log.read_text())

    def renegotiate(self, tls: TLSSocket | None) -> None:
        assert self.echo(b"first\n") == b"first\n"
        self.program.write(b"^renegotiate^\n")

    def alert(self) -> int:
        self.program.wait()
        found = re.search(r"^\*\*\* Received alert \[(\d+)\]", self._log.read_text(), re.MULTILINE)
        assert found is not None, self._log.read_text()
        return int(found[1])

    def update_keys(self) -> None:
        self.program.write(b"^rekey^\n")


class GnuTLS(Peer):
    name = "gnutls"
    who = "`gnutls-serv` and `gnutls-cli`"
    as_server = both(
        Abilities(
            (*SUITES, CCM, CCM_8),
            _GROUPS,
            (*ECDSA, *RSA, *EDWARDS),
            lacks=_LACKS
            | {
                "ChaCha20 first": "GnuTLS has no such rule",
                "cookie": "GnuTLS's servers send cookies in DTLS only",
                "key update by the peer": "gnutls-serv has no command for it",
                "early data refused": "GnuTLS 3.7 stumbles over early data when it asks for another key share, its own too",
            },
        ),
        ALL_SUITES_12,
    )
    as_client = both(
        Abilities(
            (*SUITES, CCM, CCM_8),
            _GROUPS,
            (*ECDSA, *RSA, *EDWARDS),
            lacks=_LACKS
            | {
                "retry always": "GnuTLS refuses a HelloRetryRequest that asks for no group, with illegal_parameter",
                "resumption without key exchange": "gnutls-cli asks for a key then",
                "record size limit of handfast": "gnutls-cli loses what does not fit into one record",
            },
        ),
        ALL_SUITES_12,
    )
    unknown_ca = frozenset({BAD_CERTIFICATE, UNKNOWN_CA})
    unknown_client_ca = frozenset({ACCESS_DENIED})
    without_certificate_12 = frozenset({DECODE_ERROR})  # also for a client of its own
    # Without TLS 1.3 it does not look at supported_versions, and finds no suite of the version that it knows.
    no_common_version = frozenset({HANDSHAKE_FAILURE, PROTOCOL_VERSION})
    answers_close = frozenset({"server"})

    def version(self) -> str:
        return f"GnuTLS {said('gnutls-cli', '--version').split()[1]}"

    def serve(self, credentials: Credentials, setup: Setup) -> Running:
        port = free_port()
        command = ["-p", str(port), *_settings(setup)]
        for files in credentials.servers(setup):
            command += ["--x509certfile", str(files.chain), "--x509keyfile", str(files.key)]
        if setup.alpn:
            command += ["--alpn-fatal"]
        if setup.asks:
            command += ["--x509cafile", str(credentials.trusted_by(setup)), "--verify-client-cert"]
            command += ["--require-client-cert"] if setup.asks == "required" else []
        else:
            command += ["--disable-client-cert"]
        if not setup.tickets:
            command += ["--noticket"]
        if setup.early:
            command += ["--earlydata", "--maxearlydata", "4096"]
        if setup.psk:
            keys = credentials.folder / f"gnutls-psk-{port}"
            keys.write_text(f"{setup.psk[0]}:{setup.psk[1].hex()}\n")
            command += ["--pskpasswd", str(keys)]
        tells = len(setup.data) < 1000
        if tells:
            command += ["-d", "5"]  # shows alerts by number
        program = Program(require_peer("gnutls-serv"), *command, "--http" if setup.closes else "--echo")
        return _Server(program, port, tells and not setup.closes)

    def come_back(self, credentials: Credentials, setup: Setup, port: int) -> Running:
        options = ["--resume", "--waitresumption"]
        if setup.early:
            early = credentials.folder / f"gnutls-early-{port}"
            early.write_bytes(setup.early)
            options += ["--earlydata", str(early)]
        return self._run(credentials, setup, port, options)

    def connect(self, credentials: Credentials, setup: Setup, port: int) -> Running:
        return self._run(credentials, setup, port, [])

    def _run(self, credentials: Credentials, setup: Setup, port: int, options: list[str]) -> Running:
        command = ["-p", str(port), *_settings(setup), "--x509cafile", str(credentials.trusted_by(setup))]
        command += [*options, "--sni-hostname", setup.name, "--verify-hostname", setup.name, "127.0.0.1"]
        if files := credentials.client_of(setup):
            command += ["--x509certfile", str(files.chain), "--x509keyfile", str(files.key)]
        if len(setup.groups) > 1:
            command += ["--single-key-share"]
        if setup.exports:
            command += ["--verbose"]  # shows channel bindings too
        if setup.updates or setup.renegotiates:
            command += ["--inline-commands"]
        if setup.psk:
            command += ["--pskusername", setup.psk[0], "--pskkey", setup.psk[1].hex()]
        return _Client(*command, port=port, log=credentials.folder / f"gnutls-cli-{port}.log")
