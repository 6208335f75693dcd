"""One context, and many threads that use and change it."""

from __future__ import annotations

import ssl
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from handfast import ServerConfig
from handfast.testing import Authority
from tests.ssl_module.conftest import Make
from tests.ssl_module.memory import shaken

THREADS = 8
ROUNDS = 25


@pytest.fixture
def impatient() -> Any:
    """Threads take turns a thousand times as often as usual."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(5e-6)
    yield
    sys.setswitchinterval(before)


def _together(*work: Callable[[], None]) -> None:
    failures: list[BaseException] = []
    start = threading.Barrier(len(work))

    def run(job: Callable[[], None]) -> None:
        try:
            start.wait(30)
            job()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(job,), daemon=True) for job in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
        assert not thread.is_alive()
    if failures:
        raise failures[0]


@pytest.mark.usefixtures("impatient")
def test_connections_on_one_context_while_it_changes(client_of: Make, server_of: Make, authority: Authority) -> None:
    client, server = client_of(), server_of()
    server.sni_callback = lambda side, name, context: None
    others = [Authority.create(f"Other {number}") for number in range(4)]
    done = threading.Event()

    def connect() -> None:
        for _ in range(ROUNDS):
            pair = shaken(client, server)
            assert pair.client.write(b"abc") == 3
            assert pair.server.read() == b"abc"

    def change() -> None:
        number = 0
        while not done.is_set():
            number += 1
            client.set_alpn_protocols([f"p/{number}"])
            client.load_verify_locations(cadata=others[number % 4].der)
            client.set_ciphers("ECDHE+AESGCM" if number % 2 else "HIGH")
            client.maximum_version = ssl.TLSVersion.TLSv1_2 if number % 3 else ssl.TLSVersion.TLSv1_3
            server.handfast = ServerConfig(identities=[authority.issue("localhost")]) if number % 2 else None
            assert client.get_ca_certs()

    def look() -> None:
        while not done.is_set():
            assert client.cert_store_stats()["x509"] >= 1
            assert client.get_ciphers()

    changing = [threading.Thread(target=job, daemon=True) for job in (change, look)]
    for thread in changing:
        thread.start()
    try:
        _together(*[connect] * THREADS)
    finally:
        done.set()
        for thread in changing:
            thread.join(30)
    total = THREADS * ROUNDS
    counted = {name: number for name, number in client.session_stats().items() if number}
    assert counted == {"connect": total, "connect_good": total}
    assert server.session_stats()["accept_good"] == total


@pytest.mark.usefixtures("impatient")
def test_a_configuration_is_never_older_than_the_settings(client_of: Make) -> None:
    """What a thread has set counts for the connections that it makes afterwards."""
    context = client_of()
    lock = threading.Lock()

    def change() -> None:
        for number in range(200):
            with lock:
                context.set_alpn_protocols([str(number)])
                config, _ = context._client_config("localhost")
                assert config.protocols == (b"%d" % number,)

    def use() -> None:
        for _ in range(200):
            context._client_config("localhost")

    _together(*[change] * 4, *[use] * 4)
