"""Standard input and output, connected to a peer."""

from __future__ import annotations

import contextlib
import os
import sys
import threading

from handfast.cli.streams import abandon, unwritable
from handfast.errors import TLSError
from handfast.transport.blocking import TLSSocket

_SIZE = 65_536


def pipe(tls: TLSSocket) -> None:
    """Copy both ways until the peer ends. The end of standard input is passed on, and reading goes on.

    Ends quietly when whoever reads our output has gone. Raises ConfigurationError if the output takes no more for
    another cause, and the TLSError that ended the connection.
    """
    threading.Thread(target=_send, args=(tls,), name="handfast-stdin", daemon=True).start()
    output = sys.stdout.fileno()
    while data := tls.recv(_SIZE):
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(output, view) :]
        except BrokenPipeError:
            abandon(sys.stdout)
            return
        except OSError as error:
            raise unwritable(error) from None


def _send(tls: TLSSocket) -> None:
    # What goes wrong with the connection is seen by the thread that reads, with its reason.
    with contextlib.suppress(TLSError, OSError):
        while data := _read():
            tls.sendall(data)
        tls.shutdown_write()


def _read() -> bytes:
    """Some of standard input. One that cannot be read (a folder, say) has ended."""
    try:
        return os.read(sys.stdin.fileno(), _SIZE)
    except OSError as error:
        print(f"handfast: standard input cannot be read: {error.strerror}", file=sys.stderr)
        return b""
