"""`python -m handfast.cli.demo [HOST[:PORT]]`: the annotated handshake, with HOST or with a server of its own."""

from __future__ import annotations

import sys
import tempfile
from typing import TYPE_CHECKING

from handfast.cli.main import need_extra

if TYPE_CHECKING:
    from handfast.transport.blocking import TLSSocket

_USAGE = "usage: python -m handfast.cli.demo [HOST[:PORT]]"


def main() -> int:
    """The demonstration; its exit code is that of `handfast connect`."""
    need_extra()
    from handfast.cli import streams
    from handfast.cli.connect import Options, run

    streams.prepare()
    if len(sys.argv) > 2 or any(argument.startswith("-") for argument in sys.argv[1:]):
        print(_USAGE, file=sys.stderr)
        return 2
    return run(Options(sys.argv[1])) if len(sys.argv) == 2 else _with_own_server()


def _with_own_server() -> int:
    from handfast.cli.connect import Options, run
    from handfast.config import ServerConfig
    from handfast.testing import Authority
    from handfast.transport.server import Server

    authority = Authority.create("handfast demo authority")
    config = ServerConfig(identities=[authority.issue("localhost", "127.0.0.1")], alpn=["http/1.1"])
    with tempfile.TemporaryDirectory() as folder, Server(_wait, config=config) as server:
        ca = authority.write(folder)
        print(
            "A server with a certificate of an authority in memory, and a client that trusts this authority:\n",
            flush=True,
        )
        return run(Options(f"localhost:{server.address[1]}", ca=(ca,), alpn=("h2", "http/1.1")))


def _wait(tls: TLSSocket) -> None:
    """What the server does with a connection: nothing, until the client is done."""
    tls.recv()


if __name__ == "__main__":
    sys.exit(main())
