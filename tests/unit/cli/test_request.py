"""A GET over a real connection: answers of all kinds, and what is left of those that break off."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from handfast import (
    ClientConfig,
    ConfigurationError,
    ConnectionFailed,
    Server,
    ServerConfig,
    TLSError,
    TLSSocket,
    TruncationError,
    connect,
)
from handfast.cli import request
from handfast.cli.request import BadResponse, Response
from handfast.reasons import BAD_RESPONSE, READ_TIMEOUT, RESPONSE_CUT
from handfast.testing import Authority

AUTHORITY = Authority.create()
IDENTITY = AUTHORITY.issue("localhost")
LARGE = bytes(range(256)) * 4096

Talk = Callable[[TLSSocket], None]


def says(answer: bytes) -> Talk:
    def talk(tls: TLSSocket) -> None:
        tls.recv()
        tls.sendall(answer)

    return talk


def breaks_off(answer: bytes) -> Talk:
    def talk(tls: TLSSocket) -> None:
        says(answer)(tls)
        tls.abort()

    return talk


@contextmanager
def connected(talk: Talk) -> Iterator[TLSSocket]:
    with Server(talk, config=ServerConfig(identities=[IDENTITY])) as server:
        config = ClientConfig(trust=AUTHORITY.trust)
        with connect("127.0.0.1", server.address[1], config=config, server_name="localhost") as tls:
            tls.settimeout(10)
            yield tls


def ask(talk: Talk) -> tuple[Response, bytes]:
    body = bytearray()
    with connected(talk) as tls:
        response = request.get(tls, "localhost", 443, "/", on_head=lambda _: None, write=body.extend)
    assert response.bytes == len(body)
    return response, bytes(body)


def fail(talk: Talk, timeout: float = 10) -> tuple[TLSError, bytes]:
    body = bytearray()
    with connected(talk) as tls, pytest.raises(TLSError) as caught:
        tls.settimeout(timeout)
        request.get(tls, "localhost", 443, "/", on_head=lambda _: None, write=body.extend)
    return caught.value, bytes(body)


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello", b"hello"),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end", b"until the end"),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + LARGE, LARGE),
        (b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(LARGE) + LARGE, LARGE),
        (CHUNKED + b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n", b"hello world"),
        (CHUNKED + b"%x\r\n" % len(LARGE) + LARGE + b"\r\n0\r\n\r\n", LARGE),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno", b"no"),
        (b"HTTP/1.0 200 OK\r\n\r\nold", b"old"),
    ],
)
def test_answers_of_all_kinds_are_read(answer: bytes, body: bytes) -> None:
    assert ask(says(answer))[1] == body


def test_status_and_headers_come_out_in_their_order() -> None:
    response, _ = ask(says(b"HTTP/1.1 418 I am\r\nSet-Cookie: a\r\nX: y\r\nSet-Cookie: b\r\nContent-Length: 0\r\n\r\n"))
    assert response.status == 418
    assert response.headers == [("Set-Cookie", "a"), ("X", "y"), ("Set-Cookie", "b"), ("Content-Length", "0")]
    assert response.head[:2] == ["HTTP 418 I am", "Set-Cookie: a"]


def test_the_request_names_its_host_and_asks_for_the_end() -> None:
    asked: list[bytes] = []

    def talk(tls: TLSSocket) -> None:
        asked.append(tls.recv())
        tls.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    with connected(talk) as tls:
        request.get(tls, "::1", 8443, "a?b=c", on_head=lambda _: None, write=lambda _: None)
    lines = asked[0].split(b"\r\n")
    assert lines[0] == b"GET /a?b=c HTTP/1.1"
    assert b"Host: [::1]:8443" in lines
    assert b"Connection: close" in lines


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", b"short"),
        (CHUNKED + b"64\r\nshort", b"short"),
        (CHUNKED + b"5\r\nshort\r\n", b"short"),
    ],
)
def test_an_answer_that_is_shorter_than_it_said_is_an_error_and_its_beginning_is_kept(
    answer: bytes, body: bytes
) -> None:
    error, kept = fail(says(answer))
    assert isinstance(error, BadResponse)
    assert error.reason is RESPONSE_CUT
    assert error.sent_by == "nobody"
    assert kept == body


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n", CHUNKED + b"64\r\n"]
)
def test_an_end_without_close_notify_is_told_as_that(head: bytes) -> None:
    error, kept = fail(breaks_off(head + b"short"))
    assert isinstance(error, TruncationError)
    assert kept == b"short"


@pytest.mark.parametrize("answer", [b"SSH-2.0-x\r\n", b"", b"HTTP/1.1 banana\r\n\r\n", b"\x00" * 100, b"x" * 70_000])
def test_what_is_no_http_is_told_as_that(answer: bytes) -> None:
    error, _ = fail(says(answer))
    assert error.reason is BAD_RESPONSE


def test_a_silent_server_is_told_apart_from_one_that_cannot_be_reached() -> None:
    error, _ = fail(lambda tls: tls.recv() and tls.recv() and None, timeout=0.2)
    assert isinstance(error, ConnectionFailed)
    assert error.reason is READ_TIMEOUT
    assert error.evidence["waited_for"] == "the answer to GET /"


def test_a_server_that_stalls_within_the_body_is_told_so() -> None:
    def talk(tls: TLSSocket) -> None:
        says(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort")(tls)
        tls.recv()

    error, kept = fail(talk, timeout=0.2)
    assert error.reason is READ_TIMEOUT
    assert kept == b"short"


@pytest.mark.parametrize("path", ["/a b", "/\r\nX: y", "/ü", "/\x00"])
def test_a_path_that_would_break_the_request_is_refused(path: str) -> None:
    with pytest.raises(ConfigurationError):
        request.check(path)
    request.check("/%20?a=b&c#d")
