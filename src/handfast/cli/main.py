"""`handfast`: connect and serve."""

from __future__ import annotations

import errno
import sys
from importlib.util import find_spec

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def need_extra() -> None:
    """End with a sentence if the packages of the extra `cli` are not there."""
    if find_spec("typer") is None or find_spec("rich") is None:
        sys.exit("handfast: the command line needs two more packages: pip install 'handfast[cli]'")


def main() -> None:
    """The command `handfast`."""
    need_extra()
    from handfast.cli import streams
    from handfast.cli.app import app

    streams.prepare()
    try:
        app(prog_name="handfast")
    except OSError as error:  # of the help or the version: the commands look after what they write themselves
        if error.errno not in _FULL:
            raise
        from handfast.cli import show  # which loads what only a handshake needs

        streams.abandon(sys.stdout)
        show.error(show.console(sys.stderr), streams.unwritable(error))
        sys.exit(2)
