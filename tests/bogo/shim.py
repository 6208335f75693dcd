"""The shim: what the runner starts once for each test.

It connects to the runner, plays one side of a TLS connection as the flags say, checks what the flags say that it
should see, and answers with its exit code. Python's start and the flags take 6 ms; handfast and `cryptography`, which
take 130 ms, are imported for tests that need them.
"""

import os
import sys

from tests.bogo.flags import Unimplemented, parse

SUCCESS, NOT_IMPLEMENTED, FAILURE_IN_ANY_CASE = 0, 89, 90
NOTES = "HANDFAST_BOGO_NOTES"  # a file that gets a line for each test answered with 89


def main(arguments):
    """One test; returns the exit code."""
    try:
        options = parse(arguments)
        if options.is_handshaker_supported:
            print("No")  # tests of a handshake that is divided among two processes
            return SUCCESS
        if sys.flags.no_site:
            _find_packages()
        from tests.bogo.exchange import run

        return run(options)
    except Unimplemented as reason:
        _note(str(reason))
        return NOT_IMPLEMENTED
    except Exception:
        # Many tests are content with any failure. A bug of the shim, or a TLSError that no peer has caused, is none.
        sys.excepthook(*sys.exc_info())
        return FAILURE_IN_ANY_CASE


def _note(reason):
    """Tell tests.bogo.run why; the runner itself keeps nothing of such a test."""
    path = os.environ.get(NOTES)
    if path:
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.write(file, (reason + "\n").encode())  # one short write: the lines of two shims do not mix
        os.close(file)


def _find_packages():
    """What -S has left out, and this checkout's handfast before any that is installed."""
    import site

    site.main()
    sys.path.insert(1, sys.path[0] + "/src")
