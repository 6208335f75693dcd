"""One HTTP request over a connection. The framing is the standard library's."""

from __future__ import annotations

import http.client
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import handfast
from handfast.errors import AlertReceived, ConfigurationError, ConnectionFailed, Party, TLSError
from handfast.reasons import BAD_RESPONSE, READ_TIMEOUT, RESPONSE_CUT
from handfast.transport.blocking import TLSSocket
from handfast.transport.lent import Lent, LentConnection

_PIECE = 65_536


class BadResponse(TLSError):
    """The answer is no HTTP, or not all of it came."""

    default_reason = BAD_RESPONSE
    sent_by: Party = "nobody"


@dataclass
class Response:
    """An answer: status, headers as pairs, and how many bytes of its body came."""

    status: int
    reason: str
    headers: list[tuple[str, str]]
    bytes: int = 0

    @property
    def head(self) -> list[str]:
        """Status line and headers as lines."""
        return [f"HTTP {self.status} {self.reason}", *(f"{name}: {value}" for name, value in self.headers)]


class _Input(io.RawIOBase):
    """What comes from the peer. A failure ends it, and is kept: what came before is still part of the answer."""

    def __init__(self, tls: TLSSocket) -> None:
        self._tls = tls
        self.failure: TLSError | TimeoutError | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self.failure is None:
            try:
                return self._tls.recv_into(buffer)
            except (TLSError, TimeoutError) as error:
                self.failure = error
        return 0


def check(path: str) -> None:
    """Raise ConfigurationError for a path that cannot stand in a request."""
    if not path.isascii() or not path.isprintable() or " " in path:
        raise ConfigurationError(
            setting="--get",
            value=path,
            problem="a path is printable ASCII without spaces; write others as %20 and so on",
        )


def get(
    tls: TLSSocket,
    host: str,
    port: int,
    path: str,
    *,
    on_head: Callable[[Response], None],
    write: Callable[[bytes], object],
) -> Response:
    """Send a GET, read the answer: ``on_head`` gets status and headers, ``write`` the body as it comes.

    Raises BadResponse, ConnectionFailed (READ_TIMEOUT), or the TLSError that ended the connection; what came before has
    been written by then.
    """
    source = _Input(tls)
    connection = LentConnection(Lent(tls.sendall, source), host, port, tls=True)
    request = path if path.startswith("/") else f"/{path}"
    try:
        response, missing = _exchange(connection, source, request, on_head, write)
    except http.client.HTTPException as error:
        _fail(tls, source.failure, request)
        if isinstance(error, http.client.IncompleteRead):
            raise BadResponse(RESPONSE_CUT, problem="it ends within a chunk") from None
        raise BadResponse(problem=f"{type(error).__name__}: {error}") from None
    except TimeoutError as error:
        _fail(tls, error, request)
        raise
    _fail(tls, source.failure, request)
    if missing:
        raise BadResponse(RESPONSE_CUT, announced=response.bytes + missing, came=response.bytes)
    return response


def _exchange(
    connection: LentConnection,
    source: _Input,
    request: str,
    on_head: Callable[[Response], None],
    write: Callable[[bytes], object],
) -> tuple[Response, int]:
    """The response, and how much of its Content-Length is missing."""
    headers = {"Connection": "close", "User-Agent": f"handfast/{handfast.__version__}", "Accept": "*/*"}
    try:
        connection.request("GET", request, headers=headers)
    except ConnectionFailed:
        source.readinto(bytearray(1))  # an alert that came before the reset says more
        if isinstance(source.failure, AlertReceived):
            raise source.failure from None
        raise
    answer = connection.getresponse()
    response = Response(answer.status, answer.reason, answer.getheaders())
    on_head(response)
    try:
        while data := answer.read(_PIECE):
            response.bytes += len(data)
            write(data)
    except http.client.IncompleteRead as error:
        data = error.partial + getattr(error.__cause__, "partial", b"")  # whole chunks, and the one that was cut
        response.bytes += len(data)
        write(data)
        raise
    return response, answer.length or 0


def _fail(tls: TLSSocket, failure: TLSError | TimeoutError | None, request: str) -> None:
    """Raise what ended the connection before the answer did, if anything."""
    if isinstance(failure, TLSError):
        raise failure
    if failure is not None:
        raise ConnectionFailed(READ_TIMEOUT, waited_for=f"the answer to GET {request}", seconds=tls.gettimeout())
