"""Proxies that refuse, close, say nothing, or say too much: always an error with a name, and never a hang."""

from __future__ import annotations

import contextlib
import itertools
import socket
import struct
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handfast import ConfigurationError, ConnectionFailed, HandshakeTimeout, Proxy, TLSError, reasons
from handfast.reasons import Reason
from handfast.transport.proxy import Tunnel, target
from tests.handshake.parties import fails
from tests.proxy.conftest import Visit
from tests.proxy.proxies import scripted

pytestmark = pytest.mark.timeout(60)

OK = b"HTTP/1.1 200 Connection established\r\n\r\n"


def says(*pieces: bytes) -> Callable[[Any], None]:
    """Hears the request, says this, and closes."""

    def talk(peer: socket.socket) -> None:
        peer.recv(4096)
        for piece in pieces:
            peer.sendall(piece)
        peer.shutdown(socket.SHUT_WR)
        with contextlib.suppress(OSError):
            while peer.recv(65_536):
                pass

    return talk


def for_ever(first: bytes, piece: bytes) -> Callable[[Any], None]:
    def talk(peer: socket.socket) -> None:
        peer.recv(4096)
        peer.sendall(first)
        for _ in itertools.count():
            peer.sendall(piece)

    return talk


def silent(peer: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while peer.recv(65_536):
            pass


def breaks_off(peer: socket.socket) -> None:
    peer.recv(4096)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


HTTP = {
    "closes": (says(), reasons.PROXY_CLOSED),
    "resets": (breaks_off, reasons.PROXY_CLOSED),
    "closes within the status": (says(b"HTTP/1.1 20"), reasons.PROXY_CLOSED),
    "closes within the head": (says(b"HTTP/1.1 200 OK\r\nA: b\r\n"), reasons.PROXY_CLOSED),
    "garbage": (says(bytes(range(256)) * 8), reasons.PROXY_BAD_ANSWER),
    "another protocol": (says(b"SSH-2.0-OpenSSH_9.2\r\n"), reasons.PROXY_BAD_ANSWER),
    "a line for ever": (for_ever(b"HTTP/1.1 200 ", b"x" * 4096), reasons.PROXY_BAD_ANSWER),
    "headers for ever": (for_ever(b"HTTP/1.1 200 OK\r\n", b"A: b\r\n" * 99), reasons.PROXY_BAD_ANSWER),
    "one header for ever": (for_ever(b"HTTP/1.1 200 OK\r\nA: ", b"x" * 4096), reasons.PROXY_BAD_ANSWER),
    "1xx for ever": (for_ever(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), reasons.PROXY_BAD_ANSWER),
    "nul in a header": (says(b"HTTP/1.1 200 OK\r\nA: \0\r\n\r\n"), reasons.PROXY_BAD_ANSWER),
    "redirects": (says(b"HTTP/1.1 302 Found\r\nLocation: http://elsewhere/\r\n\r\n"), reasons.PROXY_REFUSED),
    "switches": (says(b"HTTP/1.1 101 Switching Protocols\r\n\r\n"), reasons.PROXY_BAD_ANSWER),
    "401": (says(b"HTTP/1.1 401 No\r\n\r\n"), reasons.PROXY_AUTHENTICATION),
    "407": (says(b"HTTP/1.1 407 No\r\nProxy-Authenticate: Negotiate\r\n\r\n"), reasons.PROXY_AUTHENTICATION),
    "502": (says(b"HTTP/1.0 502 Bad Gateway\r\n\r\n<html>"), reasons.PROXY_CANNOT_REACH),
}
SOCKS = {
    "closes": (says(), reasons.PROXY_CLOSED),
    "resets": (breaks_off, reasons.PROXY_CLOSED),
    "closes after the method": (says(b"\5\0"), reasons.PROXY_CLOSED),
    "garbage": (says(bytes(range(65, 256))), reasons.PROXY_BAD_ANSWER),
    "SOCKS4": (says(b"\0\x5a" + bytes(6)), reasons.PROXY_BAD_ANSWER),
    "no method": (says(b"\5\xff"), reasons.PROXY_AUTHENTICATION),
    "GSSAPI": (says(b"\5\1"), reasons.PROXY_AUTHENTICATION),
    "no reply that is known": (says(b"\5\0", b"\5\x77\0\1" + bytes(6)), reasons.PROXY_BAD_ANSWER),
    "no address that is known": (says(b"\5\0", b"\5\0\0\7" + bytes(6)), reasons.PROXY_BAD_ANSWER),
    "no name that is text": (says(b"\5\0", b"\5\0\0\3\2\xff\xff\0\0"), reasons.PROXY_BAD_ANSWER),
    "not allowed": (says(b"\5\0", b"\5\2\0\1" + bytes(6)), reasons.PROXY_REFUSED),
    "no such command": (says(b"\5\0", b"\5\7\0\1" + bytes(6)), reasons.PROXY_REFUSED),
    **{
        f"code {code}": (says(b"\5\0", b"\5%c\0\1" % code + bytes(6)), reasons.PROXY_CANNOT_REACH)
        for code in (1, 3, 4, 5, 6)
    },
}


@pytest.mark.parametrize(("talk", "reason"), HTTP.values(), ids=HTTP)
def test_http(visit: Visit, talk: Callable[[Any], None], reason: Reason) -> None:
    with scripted(talk) as port, fails(ConnectionFailed, reason) as caught:
        visit(443, f"http://127.0.0.1:{port}", host="example.com")
    assert caught.value.evidence["proxy"] == f"http://127.0.0.1:{port}"


@pytest.mark.parametrize(("talk", "reason"), SOCKS.values(), ids=SOCKS)
def test_socks(visit: Visit, talk: Callable[[Any], None], reason: Reason) -> None:
    with scripted(talk) as port, fails(ConnectionFailed, reason) as caught:
        visit(443, f"socks5h://127.0.0.1:{port}", host="example.com")
    assert caught.value.evidence["proxy"] == f"socks5h://127.0.0.1:{port}"


@pytest.mark.parametrize("scheme", ["http", "socks5h"])
def test_silence(visit: Visit, scheme: str) -> None:
    with scripted(silent) as port, fails(ConnectionFailed, reasons.PROXY_TIMEOUT) as caught:
        visit(443, f"{scheme}://127.0.0.1:{port}", seconds=0.3)
    assert caught.value.evidence["seconds"] == 0.3


def test_silence_of_an_https_proxy(visit: Visit) -> None:
    from handfast import ClientConfig

    with scripted(silent) as port, pytest.raises((HandshakeTimeout, ConnectionFailed)) as caught:
        visit(443, Proxy(f"https://127.0.0.1:{port}", config=ClientConfig(handshake_timeout=0.3)), seconds=20)
    assert caught.value.evidence["proxy"] == f"https://127.0.0.1:{port}"


@pytest.mark.parametrize("handshake_timeout", [None, 30.0])
def test_the_time_for_a_connection_is_for_the_handshake_with_the_proxy_too(
    visit: Visit, handshake_timeout: float | None
) -> None:
    from handfast import ClientConfig

    proxy_config = ClientConfig(handshake_timeout=handshake_timeout)
    with scripted(silent) as port, fails(ConnectionFailed, reasons.PROXY_TIMEOUT) as caught:
        visit(443, Proxy(f"https://127.0.0.1:{port}", config=proxy_config), seconds=0.3)
    assert caught.value.evidence["seconds"] == 0.3


@pytest.mark.parametrize(("scheme", "first"), [("http", b"HTTP/1.1 200 OK\r\nA: "), ("socks5h", b"\5\0\5\0\0\3\xff")])
def test_a_byte_now_and_then_does_not_stretch_the_time(visit: Visit, scheme: str, first: bytes) -> None:
    def drip(peer: socket.socket) -> None:
        import time

        peer.recv(4096)
        peer.sendall(first)
        while True:
            time.sleep(0.1)
            peer.sendall(b"x")

    with scripted(drip) as port, fails(ConnectionFailed, reasons.PROXY_TIMEOUT):
        visit(443, f"{scheme}://127.0.0.1:{port}", seconds=0.5)


@pytest.mark.parametrize("more", [b"220 ready\r\n", b"\0" * 100_000])
def test_a_server_that_speaks_before_the_handshake(visit: Visit, more: bytes) -> None:
    """Its bytes are not lost on the way, and are no TLS."""
    with scripted(says(OK + more)) as port, pytest.raises(TLSError) as caught:
        visit(443, f"http://127.0.0.1:{port}", host="example.com")
    assert not isinstance(caught.value, ConnectionFailed)


def test_what_is_asked_of_the_proxy(visit: Visit) -> None:
    heard: list[bytes] = []

    def talk(peer: socket.socket) -> None:
        heard.append(peer.recv(4096))
        peer.sendall(b"HTTP/1.1 403 No\r\n\r\n")

    with scripted(talk) as port:
        for host in ("example.com", "2001:db8::1", "bücher.example"):
            with fails(ConnectionFailed, reasons.PROXY_REFUSED):
                visit(8443, f"http://a%40b:c%3A%25@127.0.0.1:{port}", host=host)
    names = [b"example.com:8443", b"[2001:db8::1]:8443", b"xn--bcher-kva.example:8443"]
    assert [request.split()[:3] for request in heard] == [[b"CONNECT", name, b"HTTP/1.1"] for name in names]
    for request, name in zip(heard, names, strict=True):
        assert b"Host: %b\r\n" % name in request
        assert b"Proxy-Authorization: Basic YUBiOmM6JQ==\r\n" in request  # a@b:c:%


# --- the engine alone ------------------------------------------------------------------------------------------------


@given(
    st.binary(max_size=300), st.lists(st.integers(1, 40), max_size=10), st.sampled_from([b"", b"HTTP/1.1 ", OK[:-2]])
)
def test_any_bytes_are_an_answer_or_an_error(data: bytes, cuts: list[int], first: bytes) -> None:
    tunnel = Tunnel(Proxy("http://127.0.0.1"), "example.com", 443)
    tunnel.request()
    stream = first + data
    with pytest.raises(ConnectionFailed) as caught:
        for size in [*cuts, len(stream)]:
            piece, stream = stream[:size], stream[size:]
            if piece and tunnel.receive(piece):
                break
        tunnel.receive(b"")
    assert caught.value.evidence["proxy"] == "http://127.0.0.1:80"


@given(st.integers(0, len(OK) + 5))
def test_the_rest_is_the_servers(cut: int) -> None:
    tunnel = Tunnel(Proxy("http://127.0.0.1"), "example.com", 443)
    tunnel.request()
    stream = OK + b"hello"
    done = bool(stream[:cut]) and tunnel.receive(stream[:cut])
    assert done is (cut >= len(OK))
    if not done:
        assert tunnel.receive(stream[cut:])
        assert tunnel.rest == b"hello"
    else:
        assert tunnel.rest == stream[len(OK) : cut]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "proxy.example:3128",
        "alice:s3cret@proxy.example",
        "ftp://alice:s3cret@proxy.example",
        "http://alice:s3cret@",
        "http://alice:s3cret@proxy.example:99999",
        "http://alice:s3cret@proxy.example:0",
        "http://alice:s3cret@proxy.example:s3cret",
        "http://alice:s3cret#@proxy.example",
        "http://alice:s3cret/@proxy.example",
        "http://alice:s3cret@[::1",
        "http://alice:s3cret%0d%0aX: y@proxy.example",
        "http://al%3Aice:s3cret@proxy.example",
        "http://alice:s3cret\r\nmore@proxy.example",
        "http://alice:s3cret@proxy\n.example",
        "http://alice:s3cret@proxy.example another",
        "http://alice:s3cret%FC@proxy.example",
        "socks5://alice@proxy.example",
        "socks5://alice:s3cret%C3%BC@proxy.example",
        f"socks5://alice:s3cret{'x' * 256}@proxy.example",
    ],
)
def test_urls_that_are_none_are_refused_and_not_shown(url: str) -> None:
    with fails(ConfigurationError, reasons.BAD_CONFIGURATION) as caught:
        Proxy(url)
    error: BaseException | None = caught.value
    while error is not None:
        assert "s3cret" not in str(error)
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("http://proxy.example", "http://proxy.example:80"),
        ("https://alice:s3cret@proxy.example", "https://proxy.example:443"),
        ("socks5://[::1]:9", "socks5://[::1]:9"),
        ("socks5h://PROXY.example", "socks5h://proxy.example:1080"),
    ],
)
def test_a_proxy_shows_where_it_is(url: str, text: str) -> None:
    assert str(Proxy(url)) == text
    assert repr(Proxy(url)) == f"<Proxy {text}>"


@pytest.mark.parametrize(
    ("host", "port"), [("", 443), (None, 443), ("a b", 443), ("a\r\nX: y", 443), ("a", None), ("a", 70_000)]
)
def test_servers_that_have_no_name_for_a_proxy(host: str | None, port: int | None) -> None:
    with fails(ConfigurationError, reasons.BAD_CONFIGURATION):
        target(host, port)


def test_a_configuration_is_for_https() -> None:
    from handfast import ClientConfig

    with fails(ConfigurationError, reasons.BAD_CONFIGURATION):
        Proxy("http://proxy.example", config=ClientConfig())
