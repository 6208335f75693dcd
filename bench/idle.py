"""What idle connections weigh: ``python -m bench.idle PEER [PAIRS]`` prints the KiB of one pair, client and server.

In a process of its own for each library, so that nothing but the connections is counted. After its handshake each pair has
carried a little data both ways, as real ones have.
"""

from __future__ import annotations

import asyncio
import gc
import resource
import sys
from importlib import import_module
from pathlib import Path

from bench import credentials
from bench.streams import Library, Streams, echo, port_of

PAIRS = 1000
WARM_UP = 20


async def weigh(library: Library, pairs: int) -> float:
    """KiB a pair: what the process's resident memory has grown by."""
    server = await library.serve(echo)
    kept = [await _pair(library, port_of(server)) for _ in range(WARM_UP)]
    before = _resident()
    kept += [await _pair(library, port_of(server)) for _ in range(pairs)]
    grown = _resident() - before
    assert len(kept) == WARM_UP + pairs
    return grown / pairs


async def _pair(library: Library, port: int) -> Streams:
    reader, writer = await library.connect(port)
    writer.write(b"hello")
    assert await reader.readexactly(5) == b"hello"
    return reader, writer


def _resident() -> float:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 1024


def main() -> int:
    pairs = int(sys.argv[2]) if len(sys.argv) > 2 else PAIRS
    files = 2 * (pairs + WARM_UP) + 64
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < files:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    library: Library = import_module(f"bench.peers.{sys.argv[1]}").streams(credentials.p256())
    print(f"{asyncio.run(weigh(library, pairs)):.1f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
