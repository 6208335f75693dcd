"""Files of a folder over HTTP, for `handfast serve --www`. The framing is the standard library's."""

from __future__ import annotations

import http.server
import mimetypes
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from handfast.transport.blocking import TLSSocket

Content = str | Path | None
"""Text, a file, or None for 404."""


def folder(root: Path) -> Callable[[str], Content]:
    """What a path names in a folder: a file inside of it, never one that a link or ".." leads out to."""
    top = root.resolve()

    def find(path: str) -> Content:
        wanted = top.joinpath(*[part for part in unquote(urlsplit(path).path).split("/") if part])
        try:
            resolved = wanted.resolve(strict=True)
        except (OSError, ValueError, RuntimeError):
            return None
        if resolved.is_dir():
            resolved = resolved / "index.html"
        if ".." in Path(unquote(path)).parts or not resolved.is_relative_to(top) or not resolved.is_file():
            return None
        # resolve() has followed links; a link that leads elsewhere within the folder is fine, one out of it is not.
        return resolved if resolved.resolve().is_relative_to(top) else None

    return find


def respond(tls: TLSSocket, find: Callable[[str], Content]) -> None:
    """Answer the requests of one connection."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        server_version = "handfast"
        sys_version = ""

        def setup(self) -> None:
            self.connection: Any = tls
            self.rfile: Any = tls.makefile("rb")
            self.wfile: Any = tls.makefile("wb")

        def do_GET(self) -> None:
            content = find(self.path)
            if content is None:
                self.send_error(404)
            elif isinstance(content, str):
                body = content.encode("utf-8")
                self._head("text/plain; charset=utf-8", len(body))
                if self.command == "GET":
                    self.wfile.write(body)
            else:
                self._send_file(content)

        do_HEAD = do_GET  # noqa: N815 - the standard library looks for these names

        def _send_file(self, path: Path) -> None:
            try:
                with path.open("rb") as file:
                    self._head(
                        mimetypes.guess_type(path.name)[0] or "application/octet-stream",
                        os.fstat(file.fileno()).st_size,
                    )
                    while self.command == "GET" and (data := file.read(262_144)):
                        self.wfile.write(data)
            except PermissionError:
                self.send_error(403)

        def _head(self, kind: str, length: int) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(length))
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    Handler(tls, tls.getpeername(), None)  # type: ignore[arg-type]  # it takes a socket, and uses no server
