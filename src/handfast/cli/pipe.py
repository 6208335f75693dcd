"""Standard input and output, connected to a peer."""

from __future__ import annotations

import contextlib
import os
import sys
import threading

from handfast.errors import TLSError
from handfast.transport.blocking import TLSSocket

_SIZE = 65_536


def pipe(tls: TLSSocket) -> None:
    """Copy both ways until the peer ends. The end of standard input is passed on, and reading goes on."""
    threading.Thread(target=_send, args=(tls,), name="handfast-stdin", daemon=True).start()
    output = sys.stdout.fileno()
    try:
        while data := tls.recv(_SIZE):
            view = memoryview(data)
            while view:
                view = view[os.write(output, view) :]
    except BrokenPipeError:  # whoever read our output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), output)


def _send(tls: TLSSocket) -> None:
    # What goes wrong here is seen by the thread that reads, with its reason.
    with contextlib.suppress(TLSError, OSError):
        while data := os.read(sys.stdin.fileno(), _SIZE):
            tls.sendall(data)
        tls.shutdown_write()
