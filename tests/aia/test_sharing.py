"""Several chains that lack the same issuer at the same time, and a stranger among those who ask."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
from datetime import UTC, datetime
from typing import Any

import pytest

from handfast.certificates.aia import Content, Fetch
from handfast.certificates.fetch_policy import FetchPolicy
from handfast.certificates.policy import ChainVerifier
from handfast.transport.fetching import Fetcher, FetchingVerifier
from handfast.transport.fetching_http import Deadline
from tests.aia.farm import LOOPBACK, answer, lacking, site


def test_who_has_time_left_shares_nobody_s_lack_of_it() -> None:
    """A stranger's first address lets our time go by, and its second one is another server's: who waits asks again."""
    asked, go_on = threading.Event(), threading.Event()

    def slow_at_first(peer: Any, request: bytes) -> None:
        if not asked.is_set():
            asked.set()
            go_on.wait(10)
        answer(b"the issuer")(peer, request)

    with site() as here:
        here.talks["/issuer"] = slow_at_first
        wanted = Fetch(here.url("/issuer.der"))
        fetcher = Fetcher(FetchPolicy(networks=["127.0.0.0/8", "::1/128"]))
        stranger = threading.Thread(target=lambda: told.append(fetcher._fetch(wanted, Deadline(0.3))))
        told: list[Any] = []
        stranger.start()
        assert asked.wait(10)
        found = fetcher._fetch(wanted, Deadline(10.0))
        go_on.set()
        stranger.join(10)
        assert not isinstance(told[0], Content)
        assert isinstance(found, Content)
        assert found.body == b"the issuer"
        assert len(here.requests) == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:This process")  # is multi-threaded
def test_a_forked_process_does_not_wait_for_threads_that_it_does_not_have() -> None:
    """The one place is taken, and the address under way, in the parent: a child begins anew."""
    asked, go_on = threading.Event(), threading.Event()

    def slow_at_first(peer: Any, request: bytes) -> None:
        if not asked.is_set():
            asked.set()
            go_on.wait(20)
        answer(b"the issuer")(peer, request)

    with site() as here:
        here.talks["/issuer"] = slow_at_first
        wanted = Fetch(here.url("/issuer.der"))
        policy = FetchPolicy(networks=["127.0.0.0/8", "::1/128"], seconds=10.0)
        fetcher = Fetcher(policy, concurrent=1)

        def script() -> Any:
            return (yield wanted)

        def fetch() -> Any:
            begun = script()
            return fetcher.run(begun, next(begun))

        thread = threading.Thread(target=fetch)
        thread.start()
        assert asked.wait(10)
        child = os.fork()
        if not child:
            status = 1
            try:
                status = 0 if isinstance(fetch(), Content) else 2
            finally:
                os._exit(status)
        try:
            _, ended = os.waitpid(child, 0)
        finally:
            go_on.set()
            thread.join(20)
        assert os.waitstatus_to_exitcode(ended) == 0


@pytest.mark.parametrize("where", ["silent", "drips", "full", "unresolved"])
def test_who_is_cancelled_leaves_its_place_to_others(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two have the places, one of them waits for the other's answer, and a third for a place: of a host that says nothing."""
    asked = threading.Event()

    def silent(peer: Any, _: bytes) -> None:
        asked.set()
        here.stopped.wait(30)

    def drips(peer: Any, _: bytes) -> None:
        asked.set()
        while not here.stopped.wait(0.01):
            peer.sendall(b"H")

    def resolve(*_: Any, **__: Any) -> Any:
        asked.set()
        here.stopped.wait(30)
        raise OSError

    async def main(url: str) -> None:
        bad, good = lacking(url), lacking(here.url("/good.der"))
        here.talks["/good"] = answer(good.missing[0])
        fetcher = Fetcher(FetchPolicy(networks=LOOPBACK, seconds=30.0), concurrent=2)

        async def verify(missing: Any) -> Any:
            verifier = FetchingVerifier(ChainVerifier(missing.trust), fetcher)
            return await verifier.verify_server(missing.chain, "localhost", datetime.now(UTC))  # type: ignore[misc]

        tasks = [asyncio.create_task(verify(bad)) for _ in range(3)]
        await _free(fetcher, 0)
        assert where == "full" or await asyncio.to_thread(asked.wait, 10)
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(end, asyncio.CancelledError) for end in ended)
        await asyncio.wait_for(verify(good), 10)
        await _free(fetcher, 2)
        # It says nothing of the address, which the next one may have more time for.
        assert not fetcher._under_way
        assert len(fetcher.cache) == 1

    with site() as here, socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        here.talks |= {"/silent": silent, "/drips": drips}
        urls = {"full": f"http://127.0.0.1:{full.getsockname()[1]}/", "unresolved": "http://nobody.example/"}
        if where == "unresolved":
            monkeypatch.setattr(socket, "getaddrinfo", resolve)
        with contextlib.ExitStack() as taken:
            for _ in range(8):  # the kernel then ignores who wants to come
                sock = taken.enter_context(socket.socket())
                sock.setblocking(False)
                sock.connect_ex(full.getsockname())
            asyncio.run(asyncio.wait_for(main(urls.get(where) or here.url(f"/{where}.der")), 25))


async def _free(fetcher: Fetcher, places: int) -> None:
    for _ in range(1000):
        if fetcher._slots._value == places:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{fetcher._slots._value} places are free, and not {places}")
