"""Through a proxy with blocking sockets."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import time
from typing import TYPE_CHECKING, cast

from handfast.config import ClientConfig
from handfast.errors import ConnectionFailed, HandshakeTimeout, TLSError, words
from handfast.reasons import CONNECT_TIMEOUT, CONNECTION_FAILED, PROXY_CLOSED, PROXY_TIMEOUT
from handfast.transport.proxy import Proxy, Tunnel, needed, target

if TYPE_CHECKING:
    from handfast.transport.blocking import TLSSocket


def through(proxy: Proxy, host: str, port: int, timeout: float | None) -> socket.socket | TLSSocket:
    """A stream to a server by way of a proxy, in plain text so far; ``timeout`` is for all of it.

    Raises ConnectionFailed, or the TLSError of the handshake with an https proxy: its evidence names the proxy.
    """
    host, port = target(host, port)
    deadline = None if timeout is None else time.monotonic() + timeout
    if proxy.is_socks:
        return _socks(proxy, host, port, deadline, timeout)
    tunnel = Tunnel(proxy, host, port)
    stream: socket.socket | TLSSocket = _dial(proxy, deadline, timeout)
    try:
        if proxy.scheme == "https":
            stream = _protected(proxy, cast("socket.socket", stream), deadline)
        _open(tunnel, proxy, _Timed(proxy, stream, deadline))
        stream.settimeout(None)
    except TLSError:
        stream.close()
        raise
    except TimeoutError:
        stream.close()
        raise proxy.failed(PROXY_TIMEOUT, seconds=timeout) from None
    except BaseException:
        stream.close()
        raise
    return stream


def _dial(proxy: Proxy, deadline: float | None, timeout: float | None) -> socket.socket:
    try:
        return socket.create_connection((proxy.host, proxy.port), _left(deadline))
    except TimeoutError:
        raise proxy.failed(CONNECT_TIMEOUT, seconds=timeout) from None
    except (OSError, UnicodeError) as error:
        raise proxy.failed(CONNECTION_FAILED, problem=words(error)) from None


def _protected(proxy: Proxy, sock: socket.socket, deadline: float | None) -> TLSSocket:
    """The handshake with the proxy has the time of the proxy's configuration, and no more than there is left."""
    from handfast.transport.blocking import wrap

    config, left = proxy.config or ClientConfig(), _left(deadline)
    is_short = left is not None and (config.handshake_timeout is None or left < config.handshake_timeout)
    if is_short:
        config = dataclasses.replace(config, handshake_timeout=left, verifier=config.server_verifier)
    sock.settimeout(None)
    try:
        return wrap(sock, config, server_name=proxy.host)
    except TLSError as error:
        if is_short and isinstance(error, HandshakeTimeout):
            raise TimeoutError from None
        error.evidence["proxy"] = str(proxy)
        raise


def _open(tunnel: Tunnel, proxy: Proxy, stream: _Timed) -> None:
    try:
        stream.sendall(tunnel.request())
        # Byte by byte: what comes after the answer is the server's, and whoever reads it next has to find it.
        while not tunnel.receive(stream.recv(1)):
            pass
    except TimeoutError:
        raise
    except OSError as error:
        raise proxy.failed(PROXY_CLOSED, problem=words(error)) from None


def _socks(
    proxy: Proxy, host: str, port: int, deadline: float | None, timeout: float | None
) -> socket.socket | TLSSocket:
    library = needed("python_socks")
    kind = needed("python_socks.sync").Proxy
    client = proxy.socks(kind, forward=_Way(proxy, deadline, timeout))
    try:
        timed = cast("_Timed", client.connect(host, port))
    except (library.ProxyTimeoutError, TimeoutError):
        raise proxy.failed(PROXY_TIMEOUT, seconds=timeout) from None
    except TLSError:
        raise
    except socket.gaierror as error:
        raise ConnectionFailed(None, host=host, port=port, problem=words(error)) from None
    except OSError as error:
        raise proxy.failed(PROXY_CLOSED, problem=words(error)) from None
    except Exception as error:  # its own, and what garbage makes of its parser
        raise proxy.socks_failed(error) from None
    with contextlib.suppress(OSError):
        timed.stream.settimeout(None)
    return timed.stream


class _Way:
    """For python-socks, another proxy that leads to the proxy: so our own deadline holds, for each of its reads."""

    def __init__(self, proxy: Proxy, deadline: float | None, timeout: float | None) -> None:
        self._proxy = proxy
        self._deadline = deadline
        self._timeout = timeout

    def connect(self, dest_host: str, dest_port: int, timeout: float | None) -> _Timed:
        """The connection to the proxy."""
        return _Timed(self._proxy, _dial(self._proxy, self._deadline, self._timeout), self._deadline)


class _Timed:
    """A stream whose calls all together have until a deadline."""

    def __init__(self, proxy: Proxy, stream: socket.socket | TLSSocket, deadline: float | None) -> None:
        self.stream = stream
        self._proxy = proxy
        self._deadline = deadline

    def recv(self, size: int) -> bytes:
        """At least one byte. Raises TimeoutError, or ConnectionFailed where the proxy has closed."""
        self.stream.settimeout(_left(self._deadline))
        data = self.stream.recv(size)
        if not data:
            raise self._proxy.failed(PROXY_CLOSED)
        return data

    def sendall(self, data: bytes) -> None:
        """All of it. Raises TimeoutError."""
        self.stream.settimeout(_left(self._deadline))
        self.stream.sendall(data)

    def close(self) -> None:
        """Where python-socks gives up."""
        self.stream.close()


def _left(deadline: float | None) -> float | None:
    if deadline is None:
        return None
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left
