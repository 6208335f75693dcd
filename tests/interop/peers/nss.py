"""NSS, the library of Firefox: its program tstclnt, and the databases that it and Chromium keep certificates in."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from handfast.wire.codepoints import CipherSuite
from tests.interop import http
from tests.interop.features import CLASSICAL, ECDSA, ECDSA_12, SESSIONS, SUITES, Abilities, both
from tests.interop.peer import (
    CERTIFICATE_REQUIRED,
    HANDSHAKE_FAILURE,
    INAPPROPRIATE_FALLBACK,
    NO_APPLICATION_PROTOCOL,
    NO_RENEGOTIATION,
    PROTOCOL_VERSION,
    UNKNOWN_CA,
    Peer,
    Running,
    Setup,
    alert_of,
)
from tests.interop.processes import Program
from tests.peers import require_peer

if TYPE_CHECKING:
    from handfast import TLSSocket
    from tests.interop.credentials import Credentials, Files

_CIPHERS = ("128-bit AES-GCM", "256-bit AES-GCM", "256-bit CHACHA20POLY1305")
_SUITES = {"4": dict(zip(_CIPHERS, SUITES, strict=True)), "3": dict(zip(_CIPHERS, ECDSA_12, strict=True))}
_GROUPS = {"x25519": "x25519", "secp256r1": "P256", "secp384r1": "P384", "secp521r1": "P521"}
_BITS = {"255": "x25519", "256": "secp256r1", "384": "secp384r1", "521": "secp521r1"}
_ALERTS = {
    "SSL_ERROR_UNKNOWN_CA_ALERT": UNKNOWN_CA,
    "SSL_ERROR_PROTOCOL_VERSION_ALERT": PROTOCOL_VERSION,
    "SSL_ERROR_HANDSHAKE_FAILURE_ALERT": HANDSHAKE_FAILURE,
    "SSL_ERROR_NO_CYPHER_OVERLAP": HANDSHAKE_FAILURE,
    "SSL_ERROR_RX_CERTIFICATE_REQUIRED_ALERT": CERTIFICATE_REQUIRED,
    "SSL_ERROR_NEXT_PROTOCOL_NO_PROTOCOL": NO_APPLICATION_PROTOCOL,
    "SSL_ERROR_INAPPROPRIATE_FALLBACK_ALERT": INAPPROPRIATE_FALLBACK,
    "SSL_ERROR_NO_RENEGOTIATION_ALERT": NO_RENEGOTIATION,
}
CLIENT = "client"  # what the client's certificate is called


def make_database(folder: Path, root: Path, client: Files | None) -> None:
    """A database without a password that trusts a root, and has a certificate with its key."""
    folder.mkdir(parents=True)
    place = ["-d", f"sql:{folder}"]
    commands = [
        [require_peer("certutil"), "-N", *place, "--empty-password"],
        [require_peer("certutil"), "-A", *place, "-n", "root", "-t", "C,,", "-i", str(root)],
    ]
    if client is not None:
        bundle = str(folder / "client.p12")
        files = ["-in", str(client.chain), "-inkey", str(client.key), "-name", CLIENT]
        commands.append([require_peer("openssl"), "pkcs12", "-export", *files, "-out", bundle, "-passout", "pass:"])
        commands.append([require_peer("pk12util"), "-i", bundle, *place, "-W", ""])
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr


@cache
def _version() -> str:
    """The programs do not say it; the library does, to those who look for it."""
    library = next(Path("/usr/lib").rglob("libnss3.so"), None)
    found = library and re.search(rb"Version: NSS ([\d.]+)", library.read_bytes())
    return f"NSS {found[1].decode()}" if found else "NSS"


class _Client(Running):
    """It sends HTTP from its standard input, since it closes nothing by itself: the server has to."""

    def shaken(self) -> None:
        self.program.write(http.request("GET", "/"))

    def echo(self, data: bytes) -> bytes:
        return self._exchange(http.request("POST", "/", data), http.response(data))[-len(data) :]

    def greeting(self) -> bytes:
        self.program.write(http.request("GET", "/"))
        self.ended()
        return self.program.text("stdout").encode().partition(b"\r\n\r\n")[2]

    def close(self, tls: TLSSocket | None) -> None:
        self._exchange(http.request("POST", "/close"), http.response(b"", close=True))

    def ended(self) -> None:
        """It says that it has read up to the end, but neither closes nor exits."""
        self.program.wait_for("Read from server 0 bytes")
        assert "failed" not in self.program.text()
        self.program.stop()

    def _exchange(self, request: bytes, expected: bytes) -> bytes:
        """Send a request; as many bytes of the answer as are expected."""
        self.program.write(request)
        return self.program.read(len(expected))

    def facts(self) -> dict[str, str]:
        said = self.program.wait_for(r"SSL version 3\.(\d) using (\S+ \S+) with[\s\S]*Key Exchange: (\d+)-bit")
        return {"version": f"TLSv1.{int(said[1]) - 1}", "suite": _SUITES[said[1]][said[2]], "group": _BITS[said[3]]}

    def renegotiate(self, tls: TLSSocket | None) -> None:
        """It does so at once."""
        self.shaken()

    def alert(self) -> int:
        self.program.wait()
        return alert_of(self.program.text(), _ALERTS)


class NSS(Peer):
    name = "nss"
    who = "the library of Firefox, by its `tstclnt`"
    as_client = both(
        Abilities(
            SUITES,
            CLASSICAL,
            ECDSA,  # it wants keyEncipherment in certificates with RSA keys, which neither version has a use for here
            (*ECDSA, "rsa2048"),
            lacks={
                "ChaCha20 first": "NSS has an order of its own",
                "peer closes first": "tstclnt waits for the server to do so",
                "ALPN": "tstclnt has no such option",
                "no common ALPN": "tstclnt has no such option",
                "no middlebox compatibility": "tstclnt has no such option",
                "exporter": "tstclnt of 3.87 exports nothing",
                "exporter with a context": "tstclnt of 3.87 exports nothing",
                "tls-unique": "tstclnt does not show it",
                "key update by the peer": "tstclnt never changes its key",
                "record size limit of the peer": "tstclnt has no such option",
                "padding by the peer": "tstclnt pads nothing",
                **dict.fromkeys(SESSIONS, "tstclnt forgets its sessions when it ends"),
                "no common suite": "NSS has the suites of TLS 1.3 that handfast offers, and no other",
            },
        ),
        ECDSA_12,
        has=["no common suite"],
    )

    answers_close = frozenset()
    protocol = "http"

    def version(self) -> str:
        require_peer("tstclnt")
        return _version()

    def connect(self, credentials: Credentials, setup: Setup, port: int) -> Running:
        database = credentials.folder / f"nss-{setup.trust}-{setup.client_key}"
        if not database.exists():
            make_database(database, credentials.trusted_by(setup), credentials.client_of(setup))
        command = ["-h", "127.0.0.1", "-p", str(port), "-a", setup.name, "-d", f"sql:{database}", "-v", "-f"]
        command += ["-V", f"tls{setup.lowest}:tls{setup.highest}"]
        if setup.fallback:
            command += ["-K"]
        if setup.renegotiates:
            command += ["-r", "1"]
        if setup.client_key:
            command += ["-n", CLIENT]
        if setup.suites:
            command += ["-c", "".join(f":{CipherSuite.value(suite):04X}" for suite in setup.suites)]
        if setup.groups:
            command += ["-I", ",".join(_GROUPS[group] for group in setup.groups)]
        return _Client(Program(require_peer("tstclnt"), *command), port)
