"""Several chains that lack the same issuer at the same time, and a stranger among those who ask."""

from __future__ import annotations

import threading
from typing import Any

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
