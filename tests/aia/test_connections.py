"""Real handshakes with servers that forget an intermediate: blocking, on an event loop, and without any socket."""

from __future__ import annotations

import asyncio
import inspect
import os
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

import handfast
from handfast import ClientConfig, Server, ServerConfig, TLSSocket, aio, errors
from handfast.certificates import pem
from handfast.certificates.aia import Completion, Content, Fetch, IssuerCache
from handfast.certificates.fetch_policy import FetchPolicy
from handfast.certificates.policy import ChainVerifier
from handfast.connection import ClientConnection, ServerConnection
from handfast.errors import MissingIntermediate
from handfast.handshake.flow import VerifyPeer
from handfast.limits import CONCURRENT_COMPLETIONS
from handfast.transport.fetching import Fetcher, FetchingVerifier
from tests.aia.farm import NOW, Missing, Site, answer, lacking, site


def echo(tls: TLSSocket) -> None:
    while data := tls.recv():
        tls.sendall(data)


@pytest.fixture
def here() -> Iterator[Site]:
    with site() as found:
        yield found


@pytest.fixture
def missing(here: Site) -> Missing:
    """A chain that lacks two authorities, which are where it says."""
    found = lacking(here.url("/one.der"), above=(here.url("/two.der"),))
    here.talks.update({"/one": answer(found.missing[0]), "/two": answer(found.missing[1])})
    return found


@pytest.fixture
def port(missing: Missing) -> Iterator[int]:
    with Server(echo, config=ServerConfig(identities=[missing.identity])) as server:
        yield server.address[1]


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_a_blocking_client_completes_the_chain(port: int, missing: Missing, here: Site, version: str) -> None:
    config = ClientConfig(verifier=missing.verifier(), min_version=version, max_version=version)
    for _ in range(2):
        with handfast.connect("localhost", port, config=config) as tls:
            tls.sendall(b"hello")
            assert tls.recv() == b"hello"
            peer = tls.handshake.peer
            assert peer is not None
            assert peer.chain == missing.chain
            assert peer.path == (*missing.chain, *missing.missing, missing.root.der)
    assert here.paths == ["/one.der", "/two.der"]


def test_an_address_that_has_brought_another_issuer_is_asked_again(here: Site) -> None:
    """One file with the issuers of two: what is remembered of it after the first is not all that it has."""
    ways, cache = [lacking(here.url("/both.der")) for _ in range(2)], IssuerCache()
    here.talks["/both"] = answer(b"".join(pem.certificate(way.missing[0]) for way in ways), "text/plain")
    for _ in range(2):
        for way in ways:
            peer: Any = way.verifier(cache=cache).verify_server(way.chain, "localhost", NOW)
            assert peer.path[1] == way.missing[0]
    assert here.paths == ["/both.der"] * 2


def test_a_client_on_an_event_loop_completes_the_chain(port: int, missing: Missing, here: Site) -> None:
    config = ClientConfig(verifier=missing.verifier())

    async def main() -> None:
        async def one() -> None:
            reader, writer = await aio.open_connection("localhost", port, config=config)
            writer.write(b"hello")
            assert await reader.readexactly(5) == b"hello"
            writer.close()
            await writer.wait_closed()

        await asyncio.gather(*(one() for _ in range(8)))

    asyncio.run(main())
    assert sorted(here.paths) == ["/one.der", "/two.der"]


def test_who_waits_at_the_same_time_shares_one_request(here: Site) -> None:
    missing = lacking(here.url())
    begun, go_on = threading.Event(), threading.Event()

    def slow(peer: Any, request: bytes) -> None:
        begun.set()
        go_on.wait(10)
        answer(missing.missing[0])(peer, request)

    here.talks["/issuer"] = slow
    verifier, found = missing.verifier(), []
    threads = [
        threading.Thread(target=lambda: found.append(verifier.verify_server(missing.chain, "localhost", NOW)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    assert begun.wait(10)
    time.sleep(0.1)
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert (len(found), here.paths) == (8, ["/issuer.der"])


def test_a_handshake_that_fetches_stops_no_other_one(here: Site) -> None:
    """One server's issuer is at a host that says nothing; meanwhile others shake hands on the same loop."""
    waiting = lacking(here.url("/silent.der"))
    asked = threading.Event()

    def silent(peer: Any, _: bytes) -> None:
        asked.set()
        peer.recv(1)

    here.talks["/silent"] = silent
    good = waiting.root.issue("localhost")

    async def main() -> float:
        with (
            Server(echo, config=ServerConfig(identities=[waiting.identity])) as slow,
            Server(echo, config=ServerConfig(identities=[good])) as quick,
        ):
            config = ClientConfig(verifier=waiting.verifier(seconds=3.0))
            stuck = asyncio.create_task(aio.open_connection("localhost", slow.address[1], config=config))
            await asyncio.to_thread(asked.wait, 10)
            began = time.monotonic()
            for _ in range(5):
                _, writer = await aio.open_connection("localhost", quick.address[1], config=config)
                writer.close()
                await writer.wait_closed()
            took = time.monotonic() - began
            assert not stuck.done()
            with pytest.raises(MissingIntermediate):
                await stuck
        return took

    assert asyncio.run(main()) < 2.5


def test_who_stops_waiting_leaves_nothing_that_holds_the_program(here: Site, missing: Missing, tmp_path: Path) -> None:
    """A program that is cancelled while something is fetched ends at once, and says nothing of it."""
    here.talks["/one"] = lambda peer, _: peer.recv(1) and None
    (tmp_path / "ca.pem").write_bytes(missing.root.pem)
    (tmp_path / "leaf.der").write_bytes(missing.chain[0])
    program = f"""
import asyncio, datetime
from pathlib import Path
from handfast import ChainVerifier, TrustStore
from handfast.certificates.fetch_policy import FetchPolicy
from handfast.transport.fetching import Fetcher, FetchingVerifier

async def main():
    verifier = ChainVerifier(TrustStore.from_files({str(tmp_path / "ca.pem")!r}))
    fetching = FetchingVerifier(verifier, Fetcher(FetchPolicy(seconds=60, networks=["127.0.0.0/8"])))
    chain = [Path({str(tmp_path / "leaf.der")!r}).read_bytes()]
    try:
        async with asyncio.timeout(0.5):
            await fetching.verify_server(chain, "localhost", datetime.datetime.now(datetime.UTC))
    except TimeoutError:
        print("gave up")

asyncio.run(main())
"""
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=50, env=dict(os.environ))
    assert (done.stdout, done.stderr) == (b"gave up\n", b"")
    assert time.monotonic() - began < 30


def test_without_it_the_error_says_what_was_forgotten_and_where_it_is(port: int, missing: Missing, here: Site) -> None:
    with (
        pytest.raises(MissingIntermediate) as caught,
        handfast.connect("localhost", port, config=ClientConfig(trust=missing.trust)),
    ):
        pass
    evidence = caught.value.evidence
    assert evidence["not_sent"] == "CN=intermediate 1,O=handfast testing"
    assert evidence["issuer_can_be_fetched_from"] == here.url("/one.der")
    assert len(str(evidence["its_key_identifier"])) == 40
    assert "fetching" not in evidence
    assert here.paths == []


def test_a_slow_chain_is_completed_in_the_executor(port: int, missing: Missing) -> None:
    class Slow(FetchingVerifier):
        def is_slow(self, chain: object) -> bool:
            return True

    verifier = Slow(ChainVerifier(missing.trust), missing.verifier().fetcher)

    async def main() -> None:
        _, writer = await aio.open_connection("localhost", port, config=ClientConfig(verifier=verifier))
        writer.close()
        await writer.wait_closed()

    asyncio.run(main())


def test_sessions_stand_on_the_same_trust(missing: Missing) -> None:
    assert missing.verifier().trust_id == ChainVerifier(missing.trust).trust_id != b""


# --- without sockets ----------------------------------------------------------------------------------------------------


def test_the_script_asks_and_anybody_may_answer(missing: Missing) -> None:
    """What a program without our sockets does: it answers VerifyPeer itself, and each Fetch in its own way."""
    files = {url: Content(der) for url, der in zip(_urls(missing), missing.missing, strict=True)}
    client = ClientConnection(ClientConfig(verifier=handfast.ASK), server_name="localhost")
    server = ServerConnection(ServerConfig(identities=[missing.identity]))
    client.start()
    server.start()
    asked: list[str] = []

    def verified(question: VerifyPeer) -> handfast.PeerIdentity:
        verifier = ChainVerifier(missing.trust)
        script = Completion(question.chain, FetchPolicy(), IssuerCache()).run(
            lambda chain: verifier.verify_server(chain, question.server_name, question.now)
        )
        try:
            wanted = next(script)
            while True:
                assert isinstance(wanted, Fetch)
                asked.append(wanted.url)
                wanted = script.send(files[wanted.url])
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]

    for _ in range(6):
        server.receive_data(client.data_to_send())
        while server.next_event() is not None:
            pass
        client.receive_data(server.data_to_send())
        while (event := client.next_event()) is not None:
            if isinstance(event, VerifyPeer):
                event.answer(verified(event))
    assert client.handshake is not None
    assert client.handshake.peer is not None
    assert client.handshake.peer.path[1:3] == tuple(missing.missing)
    assert asked == _urls(missing)


def _urls(missing: Missing) -> list[str]:
    from handfast.certificates.parsed import parsed

    return [parsed(der).issuer_addresses[0] for der in (missing.chain[0], missing.missing[0])]


# --- the drop-in --------------------------------------------------------------------------------------------------------


def context_of(missing: Missing) -> Any:
    from handfast.transport import ssl_module

    context = ssl_module.create_default_context()
    context.handfast = ClientConfig(verifier=missing.verifier())
    return context


def test_the_drop_in_completes_chains_where_it_may_wait(port: int, missing: Missing, here: Site) -> None:
    import socket

    with (
        socket.create_connection(("localhost", port)) as sock,
        context_of(missing).wrap_socket(sock, server_hostname="localhost") as tls,
    ):
        tls.sendall(b"hello")
        assert tls.recv(5) == b"hello"
    assert here.paths == ["/one.der", "/two.der"]


def test_on_a_loop_the_drop_in_says_that_it_cannot_wait(port: int, missing: Missing) -> None:
    async def main() -> None:
        await asyncio.open_connection("localhost", port, ssl=context_of(missing))

    with pytest.raises(ssl.SSLError) as caught:
        asyncio.run(main())
    assert isinstance(caught.value.handfast, errors.MisuseError)  # type: ignore[attr-defined]


def test_a_fetcher_has_places_and_who_finds_none_is_told() -> None:
    assert inspect.signature(Fetcher).parameters["concurrent"].default == CONCURRENT_COMPLETIONS
    fetcher = Fetcher(FetchPolicy(seconds=0.1), concurrent=1)
    assert fetcher._slots.acquire(timeout=1)
    missing = lacking("http://192.0.46.8/issuer.der")
    verifier = FetchingVerifier(ChainVerifier(missing.trust), fetcher)
    with pytest.raises(MissingIntermediate) as caught:
        verifier.verify_server(missing.chain, "localhost", datetime.now(NOW.tzinfo))
    assert "As much is being fetched for other chains" in str(caught.value.evidence["fetching"])


def test_a_verifier_of_one_s_own_will_do(missing: Missing) -> None:
    """What has verify_server alone: it is not asked whether it is slow, nor what it trusts."""

    class Own:
        def verify_server(self, chain: Any, server_name: str | None, now: datetime) -> handfast.PeerIdentity:
            return ChainVerifier(missing.trust).verify_server(chain, server_name, now)

    verifier = FetchingVerifier(Own(), missing.verifier().fetcher)
    assert (verifier.is_slow(missing.chain), verifier.trust_id) == (False, b"")
    assert verifier.verify_server(missing.chain, "localhost", NOW)
    assert "Own object" in repr(verifier)
    assert repr(verifier.fetcher) == "<Fetcher: 2 addresses remembered>"


def test_a_server_whose_name_does_not_count(missing: Missing) -> None:
    peer = missing.verifier().verify_unnamed_server(missing.chain, NOW)
    assert peer.server_name is None  # type: ignore[union-attr]


def test_what_is_known_is_told_to_on_done_too(missing: Missing) -> None:
    told: list[Completion] = []
    verifier = FetchingVerifier(ChainVerifier(missing.trust), missing.verifier().fetcher, on_done=told.append)
    for _ in range(2):
        verifier.verify_server(missing.chain, "localhost", NOW)
    assert [[attempt.cached for attempt in item.attempts] for item in told] == [[False, False], [True, True]]
    whole = missing.root.issue("localhost").chain
    verifier.verify_server(whole, "localhost", NOW)
    assert len(told) == 2  # a chain that is whole is no news


def test_a_fault_of_ours_is_a_failure_and_no_crash(missing: Missing, monkeypatch: pytest.MonkeyPatch) -> None:
    from handfast.transport import fetching

    def broken(*_: object) -> Content:
        raise RuntimeError("unheard of")

    monkeypatch.setattr(fetching, "get", broken)
    with pytest.raises(MissingIntermediate) as caught:
        missing.verifier().verify_server(missing.chain, "localhost", NOW)
    assert "RuntimeError: unheard of" in str(caught.value.evidence["fetching"])


def test_who_is_interrupted_leaves_no_one_waiting(missing: Missing, monkeypatch: pytest.MonkeyPatch) -> None:
    from handfast.transport import fetching

    def interrupted(*_: object) -> Content:
        raise KeyboardInterrupt

    verifier = missing.verifier()
    with monkeypatch.context() as patch:
        patch.setattr(fetching, "get", interrupted)
        with pytest.raises(KeyboardInterrupt):
            verifier.verify_server(missing.chain, "localhost", NOW)
    assert verifier.verify_server(missing.chain, "localhost", NOW)


def test_who_waits_for_another_s_answer_waits_no_longer_than_allowed(here: Site) -> None:
    """The first may take its time, the second has less of it."""
    missing = lacking(here.url())
    go_on, asked = threading.Event(), threading.Event()

    def slow(peer: Any, request: bytes) -> None:
        asked.set()
        go_on.wait(10)
        answer(missing.missing[0])(peer, request)

    here.talks["/issuer"] = slow
    patient = missing.verifier(seconds=10.0)
    hasty = missing.verifier(seconds=0.2)
    hasty.fetcher._under_way = patient.fetcher._under_way
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(patient.verify_server(missing.chain, "localhost", NOW)))
    thread.start()
    assert asked.wait(10)
    with pytest.raises(MissingIntermediate) as caught:
        hasty.verify_server(missing.chain, "localhost", NOW)
    go_on.set()
    thread.join(10)
    assert "did not come within the time allowed" in str(caught.value.evidence["fetching"])
    assert (len(found), len(here.requests)) == (1, 1)
