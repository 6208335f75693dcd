"""One file over HTTP, from an address that a stranger has named: within a time, a size, and the networks that are allowed.

The framing is the standard library's. What is ours is the socket beneath it: every address is looked at before it is
connected to, and again once it is; every read has the time that is left of the whole, so that a server that sends a byte
a second holds us no longer than one that sends nothing; and everything that comes is counted, headers too.
"""

from __future__ import annotations

import http.client
import io
import ipaddress
import os
import queue
import selectors
import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NoReturn
from urllib.parse import SplitResult, urljoin, urlsplit

import handfast
from handfast import reasons
from handfast.certificates.aia import Content, check_type
from handfast.certificates.fetch_policy import HTTP_PORT
from handfast.errors import FetchFailed, words
from handfast.limits import FETCH_ADDRESSES, FETCH_HEADERS, FETCH_URL
from handfast.transport.lent import Lent, LentConnection

if TYPE_CHECKING:
    from handfast.certificates.fetch_policy import FetchPolicy

_PIECE: Final = 16_384
_STEP: Final = 0.25  # seconds after which a thread looks whether anybody waits for it still
_MOVED: Final = (301, 302, 303, 307, 308)


class Deadline:
    """When everything has to be over; ``policy.seconds`` from now on.

    ``given_up``  is set by whoever waits for another thread's work, and does so no longer
    """

    def __init__(self, seconds: float, given_up: threading.Event | None = None) -> None:
        self.seconds = seconds
        self._given_up = given_up
        self._until = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds that are left. Raises FetchFailed (FETCH_TIMEOUT) where there are none, or nobody waits any more."""
        left = self._until - time.monotonic()
        if left <= 0 or self.is_given_up:
            self.over()
        return left

    @property
    def step(self) -> float:
        """Seconds to wait before this is asked again, so that who is given up notices soon. Raises as ``left``."""
        return self.left if self._given_up is None else min(self.left, _STEP)

    @property
    def is_given_up(self) -> bool:
        """Whether nobody waits any more."""
        return self._given_up is not None and self._given_up.is_set()

    @property
    def is_ahead(self) -> bool:
        """Whether there are any."""
        return time.monotonic() < self._until

    def over(self) -> NoReturn:
        """Raise the FetchFailed of a time that is over."""
        raise FetchFailed(reasons.FETCH_TIMEOUT, seconds=self.seconds) from None


def get(url: str, policy: FetchPolicy, deadline: Deadline) -> Content:
    """Fetch an address, and where it leads. Raises FetchFailed, with the address at fault if it is another one."""
    asked = url
    for _ in range(policy.redirects + 1):
        try:
            found = _get(_split(url), policy, deadline)
        except FetchFailed as error:
            if url != asked:
                error.evidence["redirected_to"] = url
            raise
        if isinstance(found, Content):
            return found
        try:
            url = urljoin(url, found)
        except ValueError as error:  # an address of version 6 in brackets that is none
            raise FetchFailed(reasons.FETCH_BAD_ANSWER, problem=str(error), redirected_to=found) from None
    raise FetchFailed(reasons.FETCH_REDIRECTS, allowed=policy.redirects, redirected_to=url)


def _split(url: str) -> SplitResult:
    """The parts of an address. Raises FetchFailed for one that is no http address, or a strange one."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise FetchFailed(reasons.FETCH_NOT_HTTP, problem=str(error)) from None
    problem = None
    if len(url) > FETCH_URL:
        problem = f"it has more than {FETCH_URL} characters"
    elif not url.isascii() or not url.isprintable() or " " in url:
        problem = "it has characters that stand in no address"
    elif not parts.hostname:
        problem = "it names no host"
    elif parts.username is not None or port == 0:
        problem = "it names a user, or the port 0"
    if problem is not None or parts.scheme != "http":
        raise FetchFailed(reasons.FETCH_NOT_HTTP, **({"problem": problem} if problem else {}))
    return parts


def _get(url: SplitResult, policy: FetchPolicy, deadline: Deadline) -> Content | str:
    """The answer of one host: its content, or the address where it sends us."""
    host, port = url.hostname or "", url.port or HTTP_PORT
    sock = _connect(host, port, policy, deadline)
    with sock:
        source = _Input(sock, deadline, FETCH_HEADERS + policy.size)

        def sendall(data: bytes) -> None:
            sock.settimeout(deadline.left)
            sock.sendall(data)

        try:
            return _answer(LentConnection(Lent(sendall, source), host, port), url, policy)
        except FetchFailed:
            raise
        except http.client.IncompleteRead:
            raise FetchFailed(reasons.FETCH_CUT) from None
        except (http.client.HTTPException, ValueError) as error:
            raise FetchFailed(reasons.FETCH_BAD_ANSWER, problem=words(error)) from None
        except TimeoutError:
            deadline.over()
        except OSError as error:
            raise FetchFailed(reasons.FETCH_CUT, problem=words(error)) from None


def _answer(connection: http.client.HTTPConnection, url: SplitResult, policy: FetchPolicy) -> Content | str:
    path = f"{url.path or '/'}{f'?{url.query}' if url.query else ''}"
    headers = {
        "Accept": "application/pkix-cert, application/pkcs7-mime, */*;q=0.1",
        "Accept-Encoding": "identity",
        "Connection": "close",
        "User-Agent": f"handfast/{handfast.__version__}",
    }
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    if response.status in _MOVED:
        location = response.getheader("Location")
        if not location:
            raise FetchFailed(reasons.FETCH_BAD_ANSWER, problem=f"status {response.status} without a Location")
        return location
    if response.status != http.client.OK:
        raise FetchFailed(reasons.FETCH_STATUS, status=response.status)
    media_type = (response.getheader("Content-Type") or "").partition(";")[0].strip().lower()
    check_type(media_type)
    if (response.getheader("Content-Encoding") or "identity").lower() != "identity":
        raise FetchFailed(reasons.FETCH_BAD_ANSWER, problem="it is compressed, and we did not ask for that")
    return Content(_body(response, policy.size), media_type)


def _body(response: http.client.HTTPResponse, size: int) -> bytes:
    if response.length is not None and response.length > size:
        raise FetchFailed(reasons.FETCH_TOO_LARGE, bytes=response.length, allowed=size)
    body = b""
    while piece := response.read(_PIECE):
        body += piece
        if len(body) > size:
            raise FetchFailed(reasons.FETCH_TOO_LARGE, allowed=size)
    if response.length:
        raise FetchFailed(reasons.FETCH_CUT, bytes=len(body), missing=response.length)
    return body


# --- the way there ----------------------------------------------------------------------------------------------------------


def _connect(host: str, port: int, policy: FetchPolicy, deadline: Deadline) -> socket.socket:
    """A connection to one of a host's addresses that is allowed. Raises FetchFailed."""
    found = _resolve(host, port, deadline)
    refused = {address: policy.why_not(str(address[0]), port) for _, address in found}
    allowed = [(family, address) for family, address in found if refused[address] is None][:FETCH_ADDRESSES]
    if not allowed:
        raise refused[found[0][1]] or FetchFailed(reasons.FETCH_NAME, host=host)
    problem = ""
    for left, (family, address) in zip(range(len(allowed), 0, -1), allowed, strict=True):
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            # An address that swallows packets leaves time for the others.
            _dial(sock, address, deadline, deadline.left / left)
            forbidden = policy.why_not(str(sock.getpeername()[0]), port)
            if forbidden is not None:
                raise forbidden
        except OSError as error:
            sock.close()
            problem = "no answer" if isinstance(error, TimeoutError) else words(error)
        except FetchFailed:
            sock.close()
            raise
        else:
            return sock
    _ = deadline.left
    raise FetchFailed(reasons.FETCH_UNREACHABLE, host=host, port=port, problem=problem)


def _dial(sock: socket.socket, address: Any, deadline: Deadline, seconds: float) -> None:
    """Connect within so many seconds. Raises OSError, and FetchFailed where the time of the whole is over."""
    until = time.monotonic() + seconds
    sock.settimeout(min(seconds, deadline.step))
    with suppress(TimeoutError):
        sock.connect(address)
        return
    with selectors.DefaultSelector() as selector:  # it goes on connecting
        selector.register(sock, selectors.EVENT_WRITE)
        while not selector.select(min(max(until - time.monotonic(), 0), deadline.step)):
            if time.monotonic() >= until:
                raise TimeoutError
    error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if error:
        raise OSError(error, os.strerror(error))


def _resolve(host: str, port: int, deadline: Deadline) -> list[tuple[int, Any]]:
    """The addresses of a host, as sockets want them; numeric ones as they stand.

    The system's resolver takes as long as it likes. So a thread asks it, which is left behind when the time is over.
    """
    try:
        number = ipaddress.ip_address(host)
    except ValueError:
        pass
    else:
        return [(socket.AF_INET if number.version == 4 else socket.AF_INET6, (host, port))]
    answers: queue.SimpleQueue[list[tuple[int, Any]] | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answers.put(list(dict.fromkeys((int(item[0]), item[4]) for item in found)))
        except Exception as error:
            answers.put(error)

    threading.Thread(target=ask, name="handfast-resolve", daemon=True).start()
    answer = None
    try:
        while answer is None:
            with suppress(queue.Empty):
                answer = answers.get(timeout=deadline.step)
    except FetchFailed:
        raise FetchFailed(reasons.FETCH_TIMEOUT, seconds=deadline.seconds, problem=f"no address of {host}") from None
    if isinstance(answer, Exception) or not answer:
        problem = words(answer) if isinstance(answer, Exception) else "it has no address"
        raise FetchFailed(reasons.FETCH_NAME, host=host, problem=problem)
    return answer


class _Input(io.RawIOBase):
    """What comes, within the time that is left, and no more of it than is allowed."""

    def __init__(self, sock: socket.socket, deadline: Deadline, allowed: int) -> None:
        self._sock = sock
        self._deadline = deadline
        self._left = self._allowed = allowed

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while True:
            self._sock.settimeout(self._deadline.step)
            with suppress(TimeoutError):
                count = self._sock.recv_into(buffer)
                break
        self._left -= count
        if self._left < 0:
            raise FetchFailed(reasons.FETCH_TOO_LARGE, allowed=self._allowed)
        return count
