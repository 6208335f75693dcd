"""`python -m handfast.cli.demo [HOST]`: the annotated handshake, with HOST or with a server of its own."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from handfast.cli.connect import Options, run
from handfast.config import ServerConfig
from handfast.testing import Authority
from handfast.transport.blocking import TLSSocket
from handfast.transport.server import Server


def _greet(tls: TLSSocket) -> None:
    tls.recv()


def main() -> int:
    """The demonstration; its exit code is that of `handfast connect`."""
    if len(sys.argv) > 1:
        return run(Options(sys.argv[1]))
    authority = Authority.create("handfast demo authority")
    config = ServerConfig(identities=[authority.issue("localhost", "127.0.0.1")], alpn=["http/1.1"])
    with tempfile.TemporaryDirectory() as folder, Server(_greet, config=config) as server:
        ca = Path(folder) / "ca.pem"
        ca.write_bytes(authority.pem)
        return run(Options(f"localhost:{server.address[1]}", ca=(ca,), alpn=("h2", "http/1.1")))


if __name__ == "__main__":
    sys.exit(main())
