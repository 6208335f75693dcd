"""`handfast`: connect and serve."""

from __future__ import annotations

import sys
from importlib.util import find_spec


def main() -> None:
    """The command `handfast`."""
    if find_spec("typer") is None or find_spec("rich") is None:
        sys.exit("handfast: the command line needs two more packages: pip install 'handfast[cli]'")
    from handfast.cli.app import app

    app()
