"""What users of HTTP clients catch today, they catch with handfast: the same classes, and our words in them."""

from __future__ import annotations

import asyncio
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import aiohttp
import httpx
import pytest
import requests
import urllib3
from requests.adapters import HTTPAdapter

from handfast.testing import Authority
from handfast.transport import ssl_module
from tests.interop.processes import PATIENCE

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)

# What is wrong with the server's certificate: our Reason, and OpenSSL's number for it.
FAULTS = {
    "bad host": ("certificate_name_mismatch", 62),
    "expired": ("certificate_expired", 10),
    "unknown issuer": ("missing_intermediate", 20),
}


class Hello(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


class Quiet(ThreadingHTTPServer):
    """Its clients break off: that is what they are for."""

    block_on_close = True

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", 0), Hello)
        self.context = context

    def finish_request(self, request: Any, client_address: Any) -> None:
        try:
            with self.context.wrap_socket(request, server_side=True) as tls:
                super().finish_request(tls, client_address)
        except OSError:
            return


@pytest.fixture(scope="module")
def faulty(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    """The ports of servers over ``ssl``, one for each fault, and one that is good."""
    folder = tmp_path_factory.mktemp("faulty")
    identities = {
        "good": authority.issue("localhost"),
        "bad host": authority.issue("elsewhere.example"),
        "expired": authority.issue("localhost", not_before=LONG_AGO, not_after=LONG_AGO + timedelta(days=9)),
        "unknown issuer": Authority.create("Stranger").issue("localhost"),
    }
    running, ports = [], {}
    for name, identity in identities.items():
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*identity.write(folder, name.replace(" ", "_")))
        server = Quiet(context)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        running.append((server, thread))
        ports[name] = server.server_address[1]
    yield ports
    for server, thread in running:
        server.shutdown()
        thread.join(PATIENCE)
        server.server_close()


class Given(HTTPAdapter):
    """requests has no other way to take a context."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._context, **kwargs)


def by_requests(url: str, context: ssl.SSLContext) -> None:
    with requests.Session() as session:
        session.trust_env = False
        session.mount("https://", Given(context))
        session.get(url, timeout=PATIENCE)


def by_urllib3(url: str, context: ssl.SSLContext) -> None:
    with urllib3.PoolManager(ssl_context=context, retries=False) as pool:
        pool.request("GET", url)


def by_urllib3_with_retries(url: str, context: ssl.SSLContext) -> None:
    with urllib3.PoolManager(ssl_context=context, retries=1) as pool:
        pool.request("GET", url)


def by_urllib(url: str, context: ssl.SSLContext) -> None:
    urllib.request.urlopen(url, context=context, timeout=PATIENCE).close()


def by_httpx(url: str, context: ssl.SSLContext) -> None:
    with httpx.Client(verify=context, trust_env=False) as client:
        client.get(url)


def by_httpx_async(url: str, context: ssl.SSLContext) -> None:
    async def get() -> None:
        async with httpx.AsyncClient(verify=context, trust_env=False) as client:
            await client.get(url)

    asyncio.run(get())


def by_aiohttp(url: str, context: ssl.SSLContext) -> None:
    async def get() -> None:
        connector = aiohttp.TCPConnector(ssl=context)
        async with aiohttp.ClientSession(connector=connector) as session, session.get(url):
            pass

    asyncio.run(get())


# Each with what its users catch, of its own and of ssl's.
CLIENTS: dict[str, tuple[Callable[[str, ssl.SSLContext], None], type[BaseException]]] = {
    "requests": (by_requests, requests.exceptions.SSLError),
    "urllib3": (by_urllib3, urllib3.exceptions.SSLError),
    "urllib3, retries": (by_urllib3_with_retries, urllib3.exceptions.MaxRetryError),
    "urllib": (by_urllib, urllib.error.URLError),
    "httpx": (by_httpx, httpx.ConnectError),
    "httpx, async": (by_httpx_async, httpx.ConnectError),
    "aiohttp": (by_aiohttp, aiohttp.ClientConnectorCertificateError),
}


def error_of(client: str, url: str, module: ModuleType, ca: Path) -> BaseException:
    get, _ = CLIENTS[client]
    context = module.create_default_context(cafile=ca)
    with pytest.raises(Exception) as caught:
        get(url, context)
    return caught.value


def chain_of(error: BaseException | None) -> list[BaseException]:
    """The error, and those behind it."""
    found: list[BaseException] = []
    while error is not None:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


def public(kind: type) -> type:
    """The class that a program knows: ours are subclasses of those of ssl."""
    return next(each for each in kind.__mro__ if not each.__module__.startswith("handfast"))


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("fault", FAULTS)
def test_classes_and_words(client: str, fault: str, faulty: dict[str, int], files: dict[str, Path]) -> None:
    url = f"https://localhost:{faulty[fault]}/"
    ours = error_of(client, url, ssl_module, files["ca"])
    theirs = error_of(client, url, ssl, files["ca"])
    assert isinstance(ours, CLIENTS[client][1])
    # The whole chain, down to the error of ssl; what lies behind that is nobody's.
    its, its_theirs = ([public(type(each)) for each in chain_of(error)] for error in (ours, theirs))
    assert its[: len(its_theirs)] == its_theirs
    # (aiohttp's own class is one of ssl's too, without what ssl's have.)
    deepest: Any = next(each for each in chain_of(ours) if hasattr(each, "verify_code"))
    reason, code = FAULTS[fault]
    assert deepest.verify_code == code
    assert deepest.handfast.reason.name == reason
    assert deepest.handfast.reason.sentence in str(ours)


@pytest.mark.parametrize("client", CLIENTS)
def test_a_good_certificate(client: str, faulty: dict[str, int], files: dict[str, Path]) -> None:
    """So that what is refused above is refused for its fault."""
    get, _ = CLIENTS[client]
    get(f"https://localhost:{faulty['good']}/", ssl_module.create_default_context(cafile=files["ca"]))
