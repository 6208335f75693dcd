"""Both sides have several suites: whose order decides."""

from __future__ import annotations

import pytest

from tests.interop.features import AES, CHACHA20
from tests.interop.matrix import feature
from tests.interop.sides import Accepting, Connecting

pytestmark = pytest.mark.timeout(300)  # the first one of Go waits for the compiler


# The peers prefer AES with the shorter key: those that can be told to, and those that have an order of their own.
SHORT, LONG = 0, 1


def ours(version: str) -> list[str]:
    return [AES[version][LONG], AES[version][SHORT]]


# --- we are the client ---------------------------------------------------------------------------------------------------


@feature("server", "order of the server")
def test_a_server_with_an_order_of_its_own(version: str, connecting: Connecting) -> None:
    with connecting.serve(suites=AES[version]) as running:
        tls = connecting(running, cipher_suites=ours(version))
        assert tls.handshake.cipher_suite == AES[version][SHORT]
        connecting.check(tls, running)


@feature("server", "order of the client")
def test_a_server_that_follows_ours(version: str, connecting: Connecting) -> None:
    with connecting.serve(suites=AES[version], order="client") as running:
        tls = connecting(running, cipher_suites=ours(version))
        assert tls.handshake.cipher_suite == AES[version][LONG]
        connecting.check(tls, running)


@feature("server", "ChaCha20 first")
def test_a_server_gives_us_chacha20_where_we_prefer_it(version: str, connecting: Connecting) -> None:
    with connecting.serve(suites=(*AES[version], CHACHA20[version])) as running:
        tls = connecting(running, cipher_suites=[CHACHA20[version], *AES[version]])
        assert tls.handshake.cipher_suite == CHACHA20[version]
        connecting.check(tls, running)


# --- we are the server ---------------------------------------------------------------------------------------------------


@feature("client", "order of the server")
def test_our_order_decides(version: str, accepting: Accepting) -> None:
    serving = accepting.serve(cipher_suites=ours(version))
    with serving, accepting.connect(serving, suites=AES[version]) as running:
        assert accepting.check(serving, running).cipher_suite == AES[version][LONG]


@feature("client", "order of the client")
def test_the_order_of_the_client_decides(version: str, accepting: Accepting) -> None:
    serving = accepting.serve(cipher_suites=ours(version), suite_order="client")
    with serving, accepting.connect(serving, suites=AES[version]) as running:
        assert accepting.check(serving, running).cipher_suite == AES[version][SHORT]


@feature("client", "ChaCha20 first")
def test_a_client_that_prefers_chacha20_gets_it(version: str, accepting: Accepting) -> None:
    serving = accepting.serve(cipher_suites=[*AES[version], CHACHA20[version]])
    with serving, accepting.connect(serving, suites=(CHACHA20[version], *AES[version])) as running:
        assert accepting.check(serving, running).cipher_suite == CHACHA20[version]
