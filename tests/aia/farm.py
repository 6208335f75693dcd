"""Chains that lack certificates, and the HTTP servers, good and bad, that their certificates point to."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

from handfast.certificates.aia import IssuerCache
from handfast.certificates.fetch_policy import FetchPolicy
from handfast.certificates.policy import ChainVerifier
from handfast.certificates.store import TrustStore
from handfast.testing import Authority
from handfast.transport.fetching import Fetcher, FetchingVerifier

NOW = datetime.now(UTC)
LOOPBACK = ("127.0.0.0/8", "::1/128")
SECONDS = 20

Talk = Callable[[socket.socket, bytes], None]
"""What a server does with a connection and the request that came by it."""


def points_to(*urls: str) -> dict[Any, Any]:
    """An extension with these caIssuers."""
    locations = [
        x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier(url))
        for url in urls
    ]
    return {x509.AuthorityInformationAccess: (x509.AuthorityInformationAccess(locations), False)} if urls else {}


def answer(
    body: bytes, media_type: str | None = "application/pkix-cert", status: str = "200 OK", **headers: str
) -> Talk:
    """A server that answers as it should."""

    def talk(peer: socket.socket, _: bytes) -> None:
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}"]
        lines += [f"Content-Type: {media_type}"] if media_type is not None else []
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        peer.sendall("\r\n".join([*lines, "", ""]).encode() + body)

    return talk


def moved(location: str, status: str = "302 Found") -> Talk:
    """A server that sends us elsewhere."""
    return answer(b"", None, status, Location=location)


@dataclass
class Site:
    """A running HTTP server. ``address`` as it stands in a URL; ``talks`` by path; ``requests`` that came, whole."""

    port: int
    address: str = "127.0.0.1"
    talks: dict[str, Talk] = field(default_factory=dict)
    requests: list[bytes] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str = "/issuer.der", host: str = "") -> str:
        return f"http://{host or self.address}:{self.port}{path}"

    @property
    def paths(self) -> list[str]:
        return [request.split(b" ")[1].decode() for request in self.requests]


@contextmanager
def site(address: str = "127.0.0.1", /, **talks: Talk) -> Iterator[Site]:
    """A server of HTTP, one thread a connection; ``talks`` by the first part of the path, "_" for all others."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as listener:
        here = Site(listener.getsockname()[1], f"[{address}]" if ":" in address else address)
        here.talks.update({f"/{name}": talk for name, talk in talks.items()})
        threads: list[threading.Thread] = []

        def serve(peer: socket.socket) -> None:
            with peer, contextlib.suppress(OSError):
                peer.settimeout(SECONDS)
                request = b""
                while b"\r\n\r\n" not in request and (data := peer.recv(4096)):
                    request += data
                if not request:
                    return
                here.requests.append(request)
                path = request.split(b" ")[1].decode().partition(".")[0]
                talk = here.talks.get(path) or here.talks.get("/_") or answer(b"", None, "404 Not Found")
                talk(peer, request)

        def accept() -> None:
            while True:
                try:
                    peer, _ = listener.accept()
                except OSError:
                    return
                threads.append(threading.Thread(target=serve, args=(peer,), daemon=True))
                threads[-1].start()

        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        try:
            yield here
        finally:
            here.stopped.set()
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join(SECONDS)
            for thread in threads:
                thread.join(SECONDS)


@dataclass
class Missing:
    """A server's chain without its intermediates, and what would complete it.

    ``chain``    what the server sends
    ``missing``  DER of the authorities that it does not send, the one next to the server first
    """

    root: Authority
    chain: tuple[bytes, ...]
    missing: list[bytes]
    identity: Any = None

    @property
    def trust(self) -> TrustStore:
        return self.root.trust

    def verifier(self, *, cache: IssuerCache | None = None, **limits: Any) -> FetchingVerifier:
        """A verifier that trusts the root, and may fetch from this machine."""
        policy = FetchPolicy(**{"networks": LOOPBACK, "seconds": 5.0, **limits})
        return FetchingVerifier(ChainVerifier(self.trust), Fetcher(policy, cache))


def lacking(*urls: str, above: tuple[str, ...] = ()) -> Missing:
    """A chain that lacks its intermediate, which is said to be at ``urls``; and one more above for each of ``above``."""
    root = Authority.create("the root")
    authority = root.intermediate("the highest intermediate")
    for number, url in reversed(list(enumerate(above, 1))):
        authority = authority.intermediate(f"intermediate {number}", extensions=points_to(url))
    identity = authority.issue("localhost", "127.0.0.1", extensions=points_to(*urls), send_chain=False)
    return Missing(root, identity.chain, list(authority.chain[:-1]), identity)
