"""Several chains that lack the same issuer at the same time, and a stranger among those who ask."""

from __future__ import annotations

import os
import threading
from typing import Any

import pytest

from handfast.certificates.aia import Content, Fetch
from handfast.certificates.fetch_policy import FetchPolicy
from handfast.transport.fetching import Fetcher
from handfast.transport.fetching_http import Deadline
from tests.aia.farm import answer, site


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
