"""Files of a folder over HTTP, for `handfast serve --www`. The framing is the standard library's."""

from __future__ import annotations

import html
import http.server
import mimetypes
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from handfast.errors import shown
from handfast.transport.blocking import TLSSocket

_PIECE = 262_144
_NOTED = 100  # requests of a connection


@dataclass(frozen=True)
class Page:
    """Text that is made for this request."""

    text: str
    kind: str = "text/plain"


@dataclass(frozen=True)
class Moved:
    """Another path, which is the right one."""

    path: str


Content = Page | Path | Moved | None
"""What a path names: something made, a file, another path, or nothing (404)."""


def folder(root: Path) -> Callable[[str], Content]:
    """What a path names in a folder: a file or a list inside of it, never what a link or ".." leads out to."""
    top = root.resolve()

    def find(target: str) -> Content:
        parts = [part for part in unquote(urlsplit(target).path).split("/") if part]
        if any(part.startswith(".") and part != ".well-known" for part in parts):
            return None  # "..", and what is hidden: .git and .env are nobody's business
        try:
            found = top.joinpath(*parts).resolve(strict=True)  # follows links; one within the folder is fine
        except (OSError, ValueError, RuntimeError):
            return None
        if found.is_dir() and found.is_relative_to(top):
            if parts and not urlsplit(target).path.endswith("/"):
                return Moved("/" + "/".join(map(quote, parts)) + "/")  # links of the page are relative to it
            index = (found / "index.html").resolve()
            found = index if index.is_file() else found
        if not found.is_relative_to(top):
            return None
        return found if found.is_file() else _index(found, top, parts) if found.is_dir() else None

    return find


def _index(place: Path, top: Path, parts: list[str]) -> Page | None:
    """The list of a folder, without hidden names and without what leads out of it."""
    try:
        entries = sorted(place.iterdir())
    except OSError:
        return None
    items = []
    for entry in entries:
        inside = entry.resolve().is_relative_to(top)
        if inside and not entry.name.startswith("."):
            name = entry.name + ("/" if entry.is_dir() else "")
            # "./" keeps a name with a colon from being a scheme
            items.append(f'<li><a href="./{html.escape(quote(name))}">{html.escape(shown(name))}</a></li>')
    title = html.escape(shown("/" + "/".join(parts)))
    text = f"<!doctype html><meta charset=utf-8><title>{title}</title><h1>{title}</h1>\n<ul>\n"
    return Page(text + "\n".join(items) + "\n</ul>\n", "text/html")


def respond(tls: TLSSocket, find: Callable[[str], Content], requests: list[str]) -> None:
    """Answer the requests of one connection; each is noted in ``requests`` with its status."""
    site: Any = _Site(find, requests)  # the standard library wants a socket and its server, and uses neither
    connection: Any = tls
    _Handler(connection, tls.getpeername(), site)


@dataclass(frozen=True)
class _Site:
    """What a handler needs to know."""

    find: Callable[[str], Content]
    requests: list[str]


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    error_content_type = "text/plain; charset=utf-8"
    error_message_format = "%(code)d %(message)s\n"

    def setup(self) -> None:
        self.site: Any = self.server
        self.connection: Any = self.request
        self.rfile: Any = self.connection.makefile("rb")
        self.wfile: Any = self.connection.makefile("wb")

    def version_string(self) -> str:
        return "handfast"

    def do_GET(self) -> None:
        content = self.site.find(self.path)
        if content is None:
            self.send_error(404)
        elif isinstance(content, Path):
            self._send_file(content)
        elif isinstance(content, Moved):
            self._head(301, 0, Location=content.path)
        else:
            body = content.text.encode("utf-8", "backslashreplace")
            self._head(200, len(body), Content_Type=f"{content.kind}; charset=utf-8")
            if self.command == "GET":
                self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815 - the standard library looks for these names

    def _refuse(self) -> None:
        # The request's body is not read, so nothing more can be read after it.
        self.close_connection = True
        self._head(405, 0, Allow="GET, HEAD", Connection="close")

    do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_TRACE = do_CONNECT = _refuse  # noqa: N815

    def _send_file(self, path: Path) -> None:
        try:
            file = path.open("rb")
        except OSError:
            self.send_error(403)
            return
        with file:
            left = os.fstat(file.fileno()).st_size
            self._head(200, left, Content_Type=mimetypes.guess_type(path.name)[0] or "application/octet-stream")
            while self.command == "GET" and left and (data := file.read(min(left, _PIECE))):
                left -= len(data)
                self.wfile.write(data)
        if self.command == "GET" and left:
            self.close_connection = True  # the file has become shorter; all that can be done is to stop

    def _head(self, status: int, length: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(length))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()

    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        if len(self.site.requests) < _NOTED:
            asked = f"{self.command} {self.path[:200]}" if self.command else "no request"
            self.site.requests.append(shown(f"{asked} {int(code)}"))

    def log_message(self, *_: Any) -> None:
        pass
