"""One HTTP request over a connection. The framing is the standard library's."""

from __future__ import annotations

import http.client
from dataclasses import dataclass
from typing import Any

from handfast.errors import ConfigurationError, PeerMisbehaved
from handfast.reasons import PLAINTEXT
from handfast.transport.blocking import TLSSocket

_BODY_LIMIT = 1 << 30


@dataclass(frozen=True)
class Response:
    """An answer: status, headers as pairs, body."""

    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def head(self) -> list[str]:
        """Status line and headers as lines."""
        return [f"HTTP {self.status} {self.reason}", *(f"{name}: {value}" for name, value in self.headers)]


class NotHTTP(PeerMisbehaved):
    """The answer is not HTTP."""

    default_reason = PLAINTEXT


class _Connection(http.client.HTTPConnection):
    """http.client over a connection that exists already."""

    def __init__(self, tls: TLSSocket, host: str, port: int) -> None:
        super().__init__(host, port)
        self.sock: Any = tls
        self.default_port = 443

    def connect(self) -> None:
        raise http.client.NotConnected


def get(tls: TLSSocket, host: str, port: int, path: str) -> Response:
    """Send a GET, read the answer."""
    connection = _Connection(tls, host, port)
    try:
        connection.request("GET", path if path.startswith("/") else f"/{path}", headers={"Connection": "close"})
    except (ValueError, http.client.HTTPException) as error:
        raise ConfigurationError(setting="--get", value=path, problem=str(error)) from None
    try:
        answer = connection.getresponse()
        return Response(answer.status, answer.reason, answer.getheaders(), answer.read(_BODY_LIMIT))
    except http.client.HTTPException as error:
        raise NotHTTP(problem=f"{type(error).__name__}: {error}") from None
