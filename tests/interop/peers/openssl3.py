"""The openssl program of the system: `openssl s_server` and `openssl s_client`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.interop.credentials import OTHER_NAMES
from tests.interop.features import (
    ALL_SUITES_12,
    CCM,
    CCM_8,
    CCM_8_12,
    CLASSICAL,
    ECDSA,
    EDWARDS,
    RSA,
    SUITES,
    Abilities,
    both,
    is_12,
)
from tests.interop.peer import EXPORTED, EXPORTER, Peer, Running, Setup, alert_of
from tests.interop.peer import said as said_by
from tests.interop.processes import Program, free_port
from tests.peers import require_peer

if TYPE_CHECKING:
    from handfast import TLSSocket
    from tests.interop.credentials import Credentials

# As -groups has them, and curl.
GROUPS = {"x25519": "X25519", "secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521", "x448": "X448"}
# As -brief and -rev have them.
_KEYS_OF_GROUPS = {
    "X25519": "x25519",
    "X448": "x448",
    "prime256v1": "secp256r1",
    "secp384r1": "secp384r1",
    "secp521r1": "secp521r1",
}
_NO_SIZE_LIMIT = "OpenSSL has no RFC 8449"


def openssl_name(suite: str) -> str:
    """What OpenSSL calls a suite of TLS 1.2."""
    name = suite.removeprefix("TLS_").replace("_WITH_", "-").replace("AES_", "AES").replace("CCM_8", "CCM8")
    return name.replace("_CBC", "").replace("POLY1305_SHA256", "POLY1305").replace("_", "-")


_NAMES_12 = {openssl_name(suite): suite for suite in ALL_SUITES_12}


def suite_named(name: str) -> str:
    """The suite that OpenSSL calls so."""
    return _NAMES_12.get(name, name)


def ciphers(setup: Setup) -> str | None:
    """What OpenSSL is told of its suites of TLS 1.2. It thinks the tag of CCM_8 too short, and TLS 1.1 too old."""
    names = [openssl_name(suite) for suite in setup.suites_12]
    if setup.only == "1.1" or set(setup.suites) & {CCM_8, *CCM_8_12}:
        return ":".join([*(names or ["ALL"]), "@SECLEVEL=0"])
    return ":".join(names) or None


def _settings(setup: Setup) -> list[str]:
    """The options that both programs have."""
    options = []
    if setup.suites_13:
        options += ["-ciphersuites", ":".join(setup.suites_13)]
    if names := ciphers(setup):
        options += ["-cipher", names]
    if setup.groups:
        options += ["-groups", ":".join(GROUPS[group] for group in setup.groups)]
    if setup.alpn:
        options += ["-alpn", ",".join(setup.alpn)]
    if setup.only:
        options += [f"-tls{setup.only.replace('.', '_')}"]
    if setup.exports:
        options += ["-keymatexport", EXPORTER, "-keymatexportlen", str(EXPORTED)]
    if setup.padding:
        options += ["-record_padding", str(setup.padding)]
    if setup.without_dhe:
        options += ["-allow_no_dhe_kex"]
    if setup.psk:
        options += ["-psk_identity", setup.psk[0], "-psk", setup.psk[1].hex()]
    return options


class _OpenSSL(Running):
    """``talks``: it prints what it does to its standard output, among the data."""

    def __init__(self, *command: str, port: int, talks: bool) -> None:
        super().__init__(Program(require_peer("openssl"), *command), port)
        self._talks = talks

    def alert(self) -> int:
        self.program.wait_for(r"SSL alert number")
        return alert_of(self.program.text())

    def facts(self) -> dict[str, str]:
        """What -brief says; s_server says it too where it is started with -rev."""
        if self._talks:
            found = self.program.wait_for(r"(?:^New, TLSv[\d.]+, |^)C(?:ipher is|IPHER is) (\S+)$", "stdout")
            suite = suite_named(found[1])
            return {"version": "TLSv1.2" if is_12(suite) else "TLSv1.3", "suite": suite}
        self.program.wait_for(r"^Verification|^No peer certificate|^Peer certificate|^Server Temp Key")
        said = dict(re.findall(r"^([\w ]+): (.*)$", self.program.text(), re.MULTILINE))
        facts = {"version": said["Protocol version"], "suite": suite_named(said["Ciphersuite"])}
        if "Server Temp Key" in said:
            parts = said["Server Temp Key"].split(", ")
            facts["group"] = _KEYS_OF_GROUPS[parts[1] if parts[0] == "ECDH" else parts[0]]
        return facts

    def exported(self) -> bytes:
        return bytes.fromhex(self.program.wait_for(r"^    Keying material: ([0-9A-F]+)$", "stdout")[1])

    def update_keys(self) -> None:
        """By a letter that is a command where it begins what is read at once."""
        self.program.write(b"K\n")
        self._command_taken()

    def renegotiate(self, tls: TLSSocket | None) -> None:
        assert self.echo(b"first\n") == b"first\n"
        self.program.write(b"R\n")

    def _command_taken(self) -> None:
        self.program.wait_for("^KEYUPDATE")

    def echo(self, data: bytes) -> bytes:
        if not self._talks:
            return super().echo(data)
        self.program.write(data)
        return self._heard(data)

    def hears(self, data: bytes) -> None:
        self._heard(data)

    def _heard(self, line: bytes) -> bytes:
        """A line, once it is there."""
        return self.program.wait_for(rf"^{re.escape(line.decode())}", "stdout")[0].encode()


class _Server(_OpenSSL):
    """It turns lines around and says what was agreed (-rev), or is a pipe between its input and the connection."""

    def __init__(self, *command: str, port: int, talks: bool, lines: bool) -> None:
        super().__init__(*command, port=port, talks=talks)
        self._lines = lines

    def swap(self, tls: TLSSocket, data: bytes) -> tuple[bytes, bytes]:
        if self._talks:
            tls.sendall(data)
            there = self._heard(data)
            self.program.write(data)
            return there, tls.recv(len(data))
        if not self._lines:
            return super().swap(tls, data)
        tls.sendall(data)
        back = tls.recv(len(data))[:-1][::-1] + b"\n"
        return back, back

    def renegotiate(self, tls: TLSSocket | None) -> None:
        assert tls is not None
        assert self.swap(tls, b"first\n") == (b"first\n", b"first\n")
        self.program.write(b"r\n")

    def has_heard(self, tls: TLSSocket) -> None:
        self._heard(self.EARLY)
        assert self.program.text("stdout").count(self.EARLY.decode()) == 1

    def _command_taken(self) -> None:
        """Nothing says so at once; but it is before anything that arrives afterwards, which swap waits for."""

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
    who = "the system's `openssl s_server` and `openssl s_client`"
    as_server = as_client = both(
        Abilities(
            (*SUITES, CCM, CCM_8),
            (*CLASSICAL, "x448"),
            (*ECDSA, *RSA, *EDWARDS),
            lacks={
                "record size limit of handfast": _NO_SIZE_LIMIT,
                "record size limit of the peer": _NO_SIZE_LIMIT,
                "exporter with a context": "the programs have no such option",
                "tls-unique": "the programs do not show it",
            },
        ),
        ALL_SUITES_12,
    )

    def version(self) -> str:
        return " ".join(said_by("openssl", "version").split()[:2])

    def serve(self, credentials: Credentials, setup: Setup) -> Running:
        port = free_port()
        talks = setup.exports or setup.updates or setup.renegotiates or setup.cookie or bool(setup.early)
        # -rev knows none of these
        lines = len(setup.data) < 1000 and not talks
        files, *others = credentials.servers(setup)
        command = ["s_server", "-accept", f"127.0.0.1:{port}", "-naccept", str(setup.connections), *_settings(setup)]
        command += ["-cert", str(files.chain), "-key", str(files.key)]
        if setup.intermediate:
            command += ["-cert_chain", str(credentials.issuers)]
        for other in others:
            command += ["-servername", OTHER_NAMES[0], "-cert2", str(other.chain), "-key2", str(other.key)]
        if setup.asks:
            command += ["-verify" if setup.asks == "optional" else "-Verify", "1", "-verify_return_error"]
            command += ["-CAfile", str(credentials.trusted_by(setup)), "-no-CApath", "-no-CAstore"]
        if setup.order == "server":
            command += ["-serverpref", "-prioritize_chacha"]
        if setup.cookie:
            command += ["-stateless"]
        if not setup.tickets:
            command += ["-no_ticket"]
        if setup.early:
            command += ["-early_data"]
        if not talks:
            command += ["-quiet"]
        if lines:
            command += ["-rev"]
        return _Server(*command, port=port, talks=talks, lines=lines)

    def come_back(self, credentials: Credentials, setup: Setup, port: int) -> Running:
        session = credentials.folder / f"openssl-session-{port}.pem"
        with self._run(credentials, setup, port, ["-sess_out", str(session)]) as running:
            assert running.echo(b"first\n") == b"first\n"
            running.close(None)
            running.ended()
        options = ["-sess_in", str(session)]
        if setup.early:
            early = credentials.folder / f"openssl-early-{port}"
            early.write_bytes(setup.early)
            options += ["-early_data", str(early)]
        return self._run(credentials, setup, port, options)

    def connect(self, credentials: Credentials, setup: Setup, port: int) -> Running:
        return self._run(credentials, setup, port, [])

    def _run(self, credentials: Credentials, setup: Setup, port: int, options: list[str]) -> Running:
        root = credentials.trusted_by(setup)
        command = ["s_client", "-connect", f"127.0.0.1:{port}", *_settings(setup)]
        command += ["-CAfile", str(root), "-no-CApath", "-no-CAstore", "-verify_return_error"]
        command += ["-servername", setup.name, "-verify_hostname", setup.name]
        if files := credentials.client_of(setup):
            command += ["-cert", str(files.chain), "-key", str(files.key)]
        if not setup.compatible:
            command += ["-no_middlebox"]
        if not (setup.updates or setup.renegotiates):
            command += ["-nocommands"]
        if setup.fallback:
            command += ["-fallback_scsv"]
        talks = setup.exports or bool(setup.early)
        if not talks:
            command += ["-quiet", "-brief"]
        command += [*options, "-no_ign_eof"]  # last, since -quiet turns it around
        return _OpenSSL(*command, port=port, talks=talks)
