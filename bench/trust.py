"""What trust weighs: ``python -m bench.trust [CONTEXTS]`` makes many contexts of one bundle of roots, ours and those of ``ssl``.

Each kind in a process of its own: the first one, which parses the bundle, and then each of the others. Memory is what the
resident memory has grown by; the time is that of the processor.
"""

from __future__ import annotations

import gc
import resource
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import certifi

from handfast import ChainVerifier, ClientConfig, TrustStore
from handfast.transport import ssl_module

CONTEXTS = 200


def _store() -> object:
    return ClientConfig(trust=TrustStore.certifi()).server_verifier


def _file() -> object:
    """From a file that is named each time, as programs do that know of no sharing; it is read, and compared."""
    store = TrustStore.from_files(certifi.where())
    return store, ChainVerifier(store), store.verification_store


def _drop_in() -> object:
    return ssl_module.create_default_context(cafile=certifi.where())


def _of_ssl() -> object:
    return ssl.create_default_context(cafile=certifi.where())


KINDS: dict[str, Callable[[], object]] = {
    "ssl.SSLContext": _of_ssl,
    "handfast, TrustStore.certifi()": _store,
    "handfast, TrustStore.from_files()": _file,
    "handfast, SSLContext (drop-in)": _drop_in,
}


def _resident() -> float:
    gc.collect()
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize() / 1024


def weigh(make: Callable[[], object], count: int) -> tuple[float, float, float, float]:
    """Milliseconds and KiB of the first, and of each of the others."""
    kept = []
    figures: list[float] = []
    for times in (1, count):
        before, began = _resident(), time.process_time()
        kept += [make() for _ in range(times)]
        used = time.process_time() - began
        figures += [1e3 * used / times, (_resident() - before) / times]
    assert len(kept) == count + 1
    return figures[0], figures[1], figures[2], figures[3]


def main() -> int:
    arguments = sys.argv[1:]
    if arguments[:1] == ["--weigh"]:
        print(*weigh(KINDS[arguments[1]], int(arguments[2])), flush=True)
        return 0
    count = int(arguments[0]) if arguments else CONTEXTS
    roots = len(TrustStore.certifi())
    print(f"{count} contexts of certifi's {roots} roots: the first one, then each of the others")
    for name in KINDS:
        command = [sys.executable, "-m", "bench.trust", "--weigh", name, str(count)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        first, grown, other, each = map(float, done.stdout.split())
        print(f"  {name:36} {first:7.2f} ms {grown:7.0f} KiB   {other:8.3f} ms {each:7.1f} KiB", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
