"""Proxies: how they are named, and what is said to one that speaks HTTP. No socket here.

::

    handfast.connect("example.com", 443, proxy="http://user:password@proxy.example:3128")
    await handfast.aio.open_connection("example.com", 443, proxy="socks5h://127.0.0.1:1080")

``http`` and ``https`` ask the proxy to CONNECT (RFC 9110 section 9.3.6); with ``https`` the way to the proxy is
protected too, and ours is TLS inside TLS. ``socks5`` looks the server's name up here, ``socks5h`` leaves that to the
proxy (RFC 1928). Whatever the proxy does, it sees the server's name and protected bytes.

h11 reads and writes the HTTP, python-socks speaks SOCKS: ``pip install "handfast[proxy]"`` installs both.
"""

from __future__ import annotations

import base64
import re
from typing import Any, Final, NoReturn
from urllib.parse import SplitResult, unquote_to_bytes, urlsplit

from handfast.certificates.names import address, normalized
from handfast.config import ClientConfig
from handfast.crypto.guard import Guarded
from handfast.errors import ConfigurationError, ConnectionFailed, shown
from handfast.reasons import (
    PROXY_AUTHENTICATION,
    PROXY_BAD_ANSWER,
    PROXY_CANNOT_REACH,
    PROXY_CLOSED,
    PROXY_REFUSED,
    Reason,
)

PORTS: Final = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}

_ANSWER_BYTES: Final = 16_384  # a head, which is all that a CONNECT is answered with
_BEGINS: Final = b"HTTP/1."
_INTERIM_ANSWERS: Final = 8  # answers of 1xx, which come before the one that counts
_HOST: Final = re.compile(r"[A-Za-z0-9._-]{1,255}")
_MISSING: Final = 'a proxy needs the extra: pip install "handfast[proxy]"'


class Proxy(Guarded):
    """A proxy to connect through.

    ``scheme``  "http", "https", "socks5" or "socks5h"
    ``host``    where it is
    ``port``    likewise; by default 80, 443, or 1080
    ``config``  with https: how to shake hands with the proxy, such as whom to trust. The server's configuration is not
                used for that: the two are different parties
    """

    __slots__ = ("_password", "_user", "config", "host", "port", "scheme")

    def __init__(self, url: str, *, config: ClientConfig | None = None) -> None:
        """``url``: scheme://[user:password@]host[:port], where user and password are percent-encoded.

        Raises ConfigurationError, which never shows what was given: there may be a password in it.
        """
        parts = _split(url)
        self.scheme = parts.scheme
        self.host = parts.hostname or ""
        self.port: int = parts.port or PORTS[self.scheme]
        self.config = config
        self._user = None if parts.username is None else _decoded(parts.username)
        self._password = _decoded(parts.password or "")
        if config is not None and self.scheme != "https":
            _wrong("config is for https:// alone: no other proxy is spoken to over TLS")
        self._check_credentials()

    @classmethod
    def from_environment(cls, host: str) -> Proxy | None:
        """The one that HTTPS_PROXY or ALL_PROXY names, in small letters or not, unless NO_PROXY excepts ``host``."""
        from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]

        found = getproxies_environment()
        url = found.get("https") or found.get("all")
        if not url or proxy_bypass_environment(host, found):
            return None
        url = url.strip()
        return cls(url if "://" in url else f"http://{url}")

    def __repr__(self) -> str:
        return f"<Proxy {shown(self)}>"

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    @property
    def is_socks(self) -> bool:
        """Whether it speaks SOCKS, and not HTTP."""
        return self.scheme.startswith("socks")

    def _check_credentials(self) -> None:
        if self._user is None:
            return
        both = self._user + self._password
        if self.is_socks:
            # RFC 1929 says nothing about their encoding, and python-socks takes ASCII.
            if not (1 <= len(self._user) <= 255 and 1 <= len(self._password) <= 255 and both.isascii()):
                _wrong("user and password for SOCKS have 1 to 255 bytes each, all ASCII (RFC 1929 section 2)")
        elif ":" in self._user or not both.isprintable():
            _wrong("a user has no colon in it, and nothing that cannot be printed (RFC 7617 section 2)")

    def authorization(self) -> str | None:
        """What Proxy-Authorization has to say (RFC 7617 section 2), None without a user."""
        if self._user is None:
            return None
        return "Basic " + base64.b64encode(f"{self._user}:{self._password}".encode()).decode("ascii")

    def socks(self, kind: Any, **options: Any) -> Any:
        """A client of python-socks; ``kind`` is its class for this transport."""
        from python_socks import ProxyType

        rdns = self.scheme == "socks5h"
        return kind(ProxyType.SOCKS5, self.host, self.port, self._user, self._password or None, rdns=rdns, **options)

    def socks_failed(self, error: Exception) -> ConnectionFailed:
        """What an exception of python-socks, or one that came through it, means."""
        code = getattr(error, "error_code", None)
        text = str(error)
        if code is not None:  # RFC 1928 section 6: 2 is a refusal by its rules, 7 and 8 are what it does not do
            reason = PROXY_REFUSED if code in (2, 7, 8) else PROXY_CANNOT_REACH
            return self.failed(reason, code=int(code), answer=text)
        if type(error.__cause__).__name__ == "IncompleteReadError":
            return self.failed(PROXY_CLOSED)
        # The library has no code for what comes before the reply.
        reason = PROXY_AUTHENTICATION if "authentication" in text.lower() else PROXY_BAD_ANSWER
        return self.failed(reason, answer=text)

    def failed(self, reason: Reason, **evidence: object) -> ConnectionFailed:
        """The error, which names the proxy."""
        return ConnectionFailed(reason, proxy=str(self), **evidence)


def chosen(proxy: Proxy | str | None, host: str | None) -> Proxy | None:
    """The proxy that an argument means: a URL, "environment", or none."""
    if proxy is None or isinstance(proxy, Proxy):
        return proxy
    return Proxy.from_environment(host or "") if proxy == "environment" else Proxy(proxy)


def target(host: str | None, port: int | None) -> tuple[str, int]:
    """The server as it is named to a proxy. Raises ConfigurationError for what is no name and no address."""
    if not host or not port or not 0 < port < 65_536:
        _wrong("host and port of the server are needed")
    found = address(host)
    if found is not None:
        return str(found), port
    name = host if host.isascii() else normalized(host)
    if not _HOST.fullmatch(name):
        _wrong(f"{shown(host)} is no name of a server")
    return name, port


class Tunnel:
    """One CONNECT and its answer: bytes out, bytes in.

    ``rest``  what came after the answer: the server's first bytes
    """

    def __init__(self, proxy: Proxy, host: str, port: int) -> None:
        """``host`` and ``port`` are the server's, as :func:`target` returns them."""
        self._h11 = h11 = needed("h11")
        self._proxy = proxy
        self._server = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_ANSWER_BYTES)
        self._interim = 0
        self._first = b""
        self.rest = b""

    def request(self) -> bytes:
        """What to send to the proxy."""
        headers = [("Host", self._server)]
        authorization = self._proxy.authorization()
        if authorization is not None:
            headers.append(("Proxy-Authorization", authorization))
        request = self._http.send(self._h11.Request(method="CONNECT", target=self._server, headers=headers))
        return bytes(request) + bytes(self._http.send(self._h11.EndOfMessage()) or b"")

    def receive(self, data: bytes) -> bool:
        """Take what came from the proxy, b"" for its end; whether the way to the server is open.

        Raises ConnectionFailed where it will not be.
        """
        if not data:
            raise self._proxy.failed(PROXY_CLOSED)
        self._first = (self._first + data)[:16]
        if not self._first.startswith(_BEGINS[: len(self._first)]):  # h11 would wait for the end of the head
            raise self._proxy.failed(PROXY_BAD_ANSWER, first_bytes=self._first)
        try:
            self._http.receive_data(data)
            while (event := self._http.next_event()) is not self._h11.NEED_DATA:
                if isinstance(event, self._h11.Response):
                    self._judge(event)
                    self.rest = bytes(self._http.trailing_data[0])
                    return True
                self._interim += 1  # informational: nothing else comes before the answer
                if self._interim > _INTERIM_ANSWERS:
                    raise self._proxy.failed(PROXY_BAD_ANSWER, problem="it does not come to an answer")
        except self._h11.RemoteProtocolError:
            # What h11 says of it is about lines of HTTP, and this may be no HTTP at all.
            raise self._proxy.failed(PROXY_BAD_ANSWER, first_bytes=self._first) from None
        return False

    def _judge(self, response: Any) -> None:
        """Any 2xx opens the tunnel; redirections are not followed (RFC 9110 section 9.3.6)."""
        status = response.status_code
        if 200 <= status < 300:
            return
        # tinyproxy says 401 to a wrong password; no server can have said it, there is no way to one yet.
        asks = status in (401, 407)
        reason = PROXY_AUTHENTICATION if asks else PROXY_CANNOT_REACH if status >= 500 else PROXY_REFUSED
        asked = [_text(value) for name, value in response.headers if name == b"proxy-authenticate"]
        wants = {"it_takes": asked} if asked else {}
        raise self._proxy.failed(reason, status=status, answer=_text(response.reason), **wants)


def needed(module: str) -> Any:
    """A module of the extra. Raises ConfigurationError where it is not installed."""
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError:
        raise ConfigurationError(setting="proxy", problem=_MISSING) from None


def _text(value: bytes) -> str:
    return bytes(value[:200]).decode("latin-1")


def _decoded(text: str) -> str:
    """What percent-encoding stands for. In no exception is a piece of it."""
    data = unquote_to_bytes(text)
    found = data.decode("utf-8", "replace")
    if found.encode("utf-8", "replace") != data:
        _wrong("user and password are percent-encoded UTF-8")
    return found


def _split(url: str) -> SplitResult:
    parsed = _parsed(url)
    if parsed is None:
        _wrong("it is no URL")
    parts, host, port = parsed
    if parts.scheme not in PORTS:
        _wrong("it has to begin with " + ", ".join(f"{scheme}://" for scheme in PORTS))
    if not host or port == 0:
        _wrong("there is no host in it, or no port")
    if parts.path not in ("", "/") or parts.query or parts.fragment or not host.isprintable():
        _wrong("nothing comes after host and port, and what is special in user or password is percent-encoded")
    return parts


def _parsed(url: str) -> tuple[SplitResult, str | None, int | None] | None:
    """None where it does not parse. The exception has a piece of the URL in it, and must not be the context of ours."""
    if " " in url or not url.isprintable():
        return None  # urlsplit would leave out what a line ends with, and go on with another password or host
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    return parts, host, port


def _wrong(problem: str) -> NoReturn:
    raise ConfigurationError(setting="proxy", problem=problem)
