"""Runs an example as a program, and notes each handshake of handfast's in the file that HANDFAST_NOTES names.

``python -m tests.examples.launch EXAMPLE ARGUMENT ...``
"""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path
from typing import Any

from handfast.transport.ssl_module import SSLContext

EXAMPLES = Path(__file__).parents[2] / "examples"


def main() -> None:
    notes = os.open(os.environ["HANDFAST_NOTES"], os.O_WRONLY | os.O_APPEND)  # workers that are forked share it
    completed = SSLContext._completed

    def noted(self: SSLContext, agreed: Any, server_side: bool) -> None:
        os.write(notes, f"{'server' if server_side else 'client'} {agreed.version} {agreed.group}\n".encode())
        completed(self, agreed, server_side)

    SSLContext._completed = noted  # type: ignore[method-assign]
    name, *arguments = sys.argv[1:]
    path = EXAMPLES / name
    sys.argv = [str(path), *arguments]
    sys.path.insert(0, str(EXAMPLES))
    runpy.run_path(str(path), run_name="__main__")


if __name__ == "__main__":
    main()
