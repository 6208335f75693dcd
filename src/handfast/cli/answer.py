"""HTTP/1.1 answers over asyncio's streams, for `handfast serve`. The framing is the standard library's."""

from __future__ import annotations

import asyncio
import http.server
import io
import mimetypes
import os
from asyncio import StreamReader, StreamWriter, to_thread
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeVar

from handfast.cli.www import Content, Moved
from handfast.errors import shown

PIECE: Final = 65_536  # bytes that are read, sealed and sent before we wait until the client has taken them
_HEAD: Final = 65_536  # bytes of a request's line and headers
_NOTED: Final = 100  # requests of a connection

T = TypeVar("T")


class Idle(Exception):
    """The client has let its time go by; in words."""


class Peer:
    """A client's streams, with a limit to how long it may take over everything.

    ``seconds``  for a request or some data to come, and for a piece of what we send to be taken
    ``early``    the reader of what was sent early, which then comes first; it ends when hands are shaken
    """

    def __init__(
        self, reader: StreamReader, writer: StreamWriter, seconds: float, early: StreamReader | None = None
    ) -> None:
        self._reader = reader
        self._early = early
        self._writer = writer
        self._seconds = seconds

    async def read(self) -> bytes:
        """Some data; b"" at the end."""
        return await self._within(self._read(), "nothing came")

    async def shaken(self) -> None:
        """Wait until hands are shaken. What came early is no replay then: the client has answered us (RFC 8470 section 3)."""
        if self._early is not None:
            held = StreamReader()
            held.feed_data(await self._within(self._early.read(), "the handshake did not end"))
            held.feed_eof()
            self._early = held

    async def send(self, data: bytes) -> None:
        """Send data, and wait until the client has taken most of it."""
        self._writer.write(data)
        await self._within(self._writer.drain(), "the client took nothing")

    async def request(self) -> bytes:
        """The head of a request, to its empty line; what there is of it at the end, and if it is too long."""
        return await self._within(self._head(), "no request came")

    async def _read(self) -> bytes:
        if self._early is not None:
            if data := await self._early.read(PIECE):
                return data
            self._early = None
        return await self._reader.read(PIECE)

    async def _line(self) -> bytes:
        start = b""
        if self._early is not None:
            start = await self._early.readline()
            if start.endswith(b"\n"):
                return start
            self._early = None
        return start + await self._reader.readline()

    async def _head(self) -> bytes:
        head = b""
        while len(head) <= _HEAD:
            try:
                line = await self._line()
            except ValueError:  # longer than the reader's limit
                return head + bytes(_HEAD + 1)
            head += line
            if not line.endswith(b"\n") or (line in (b"\r\n", b"\n") and head.strip()):
                break
        return head

    async def _within(self, awaitable: Awaitable[T], words: str) -> T:
        try:
            async with asyncio.timeout(self._seconds):
                return await awaitable
        except TimeoutError:
            raise Idle(f"{words} for {self._seconds:g} seconds") from None


async def respond(peer: Peer, find: Callable[[str], Content], requests: list[str]) -> None:
    """Answer the requests of one connection; each is noted in ``requests`` with its status.

    ``find``  says what a path names, in a thread: it may look at files

    Raises Idle, and the TLSError that ended the connection.
    """
    while (head := await peer.request()).strip():
        request = _Request(head.lstrip(b"\r\n"))  # empty lines before it are ignored (RFC 9112 section 2.2)
        content: Content = None
        if request.fine:
            content = await to_thread(find, request.path)
        file = await to_thread(request.answer, content)
        if len(requests) < _NOTED:
            requests.append(request.noted)
        try:
            await peer.send(request.wfile.getvalue())
            if file is not None:
                await _send(peer, file, request)
        finally:
            if file is not None:
                file.close()
        if request.close_connection:
            return


async def _send(peer: Peer, file: BinaryIO, request: _Request) -> None:
    """Send a file piece by piece: it is read in a thread, and no faster than the client takes it."""
    left = request.length
    while left and (data := await to_thread(file.read, min(left, PIECE))):
        left -= len(data)
        await peer.send(data)
    if left:
        request.close_connection = True  # the file has become shorter; all that can be done is to stop


class _Request(http.server.BaseHTTPRequestHandler):
    """One request, and the head of its answer, in memory: what the standard library does between two streams.

    ``fine``    whether it can be answered; if not, the answer that says why is there already
    ``length``  bytes of the body that follows, where that is a file
    ``noted``   the request and its status, for the log
    """

    protocol_version = "HTTP/1.1"
    error_content_type = "text/plain; charset=utf-8"
    error_message_format = "%(code)d %(message)s\n"

    def __init__(self, head: bytes) -> None:
        self.rfile: Any = io.BytesIO(head)
        self.wfile: Any = io.BytesIO()
        self.command = ""
        self.path = ""
        self.requestline = ""
        self.request_version = self.protocol_version
        self.close_connection = True
        self.length = 0
        self.noted = ""
        self.raw_requestline = self.rfile.readline()
        if len(head) > _HEAD:
            self.send_error(431)
            self.fine = False
        else:
            self.fine = self.parse_request()

    def answer(self, content: Content) -> BinaryIO | None:
        """Write the answer, up to its body where that is a file: that file."""
        if not self.fine:
            return None
        if "Transfer-Encoding" in self.headers or self.headers.get("Content-Length", "0") != "0":
            self.close_connection = True  # a body is not read, so nothing more can be read after it
        if self.command not in ("GET", "HEAD"):
            self.close_connection = True
            self._head(405, 0, Allow="GET, HEAD", Connection="close")
        elif content is None:
            self.send_error(404)
        elif isinstance(content, Path):
            return self._file(content)
        elif isinstance(content, Moved):
            self._head(301, 0, Location=content.path)
        else:
            body = content.text.encode("utf-8", "backslashreplace")
            self._head(200, len(body), Content_Type=f"{content.kind}; charset=utf-8")
            if self.command == "GET":
                self.wfile.write(body)
        return None

    def _file(self, path: Path) -> BinaryIO | None:
        try:
            file = path.open("rb")
        except OSError:
            self.send_error(403)
            return None
        length = os.fstat(file.fileno()).st_size
        self._head(200, length, Content_Type=mimetypes.guess_type(path.name)[0] or "application/octet-stream")
        if self.command == "HEAD":
            file.close()
            return None
        self.length = length
        return file

    def _head(self, status: int, length: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(length))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()

    def version_string(self) -> str:
        return "handfast"

    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        asked = f"{self.command} {self.path[:200]}" if self.command else "no request"
        self.noted = shown(f"{asked} {int(code)}")

    def log_message(self, *_: Any) -> None:
        pass
