"""As much of HTTP as curl and nginx need to be talked to. The bytes are all in one connection, one message at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from handfast import TLSSocket


def read_message(tls: TLSSocket) -> tuple[str, bytes] | None:
    """The next request or response: head and body. None at the end."""
    data = bytearray()
    while b"\r\n\r\n" not in data:
        piece = tls.recv()
        if not piece:
            assert not data, "the peer closed in the middle of a message"
            return None
        data += piece
    head, _, rest = bytes(data).partition(b"\r\n\r\n")
    lines = head.decode().lower().split("\r\n")
    length = next((int(line.split(":")[1]) for line in lines if line.startswith("content-length:")), 0)
    body = bytearray(rest)
    while len(body) < length and (piece := tls.recv()):
        body += piece
    return head.decode(), bytes(body)


def request(method: str, path: str, body: bytes = b"", close: bool = False) -> bytes:
    closing = "Connection: close\r\n" if close else ""
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n{closing}\r\n"
    return head.encode() + body


def response(body: bytes, close: bool = False) -> bytes:
    closing = "Connection: close\r\n" if close else ""
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n{closing}\r\n".encode() + body
