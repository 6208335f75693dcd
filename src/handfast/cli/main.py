"""`handfast`: connect and serve."""

from __future__ import annotations

import sys
from importlib.util import find_spec


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
    app(prog_name="handfast")
