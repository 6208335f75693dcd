"""Fetches the issuers that servers forget to send, for blocking code and for asyncio.

::

    verifier = FetchingVerifier(ChainVerifier(TrustStore.default()))
    with handfast.connect("incomplete-chain.badssl.com", config=ClientConfig(verifier=verifier)) as tls:
        ...

Which issuers, and what is made of them, certificates/aia.py decides. Where an event loop runs, the rest of the decision
moves to a thread as soon as something has to be fetched, and the loop goes on.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Generator, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from handfast import reasons
from handfast.certificates import pem
from handfast.certificates.aia import Completion, Content, Fetch, IssuerCache
from handfast.certificates.fetch_policy import FetchPolicy
from handfast.crypto.process import forks
from handfast.errors import FetchFailed, kind_wanted, words
from handfast.limits import CONCURRENT_COMPLETIONS
from handfast.transport.fetching_http import Deadline, get

if TYPE_CHECKING:
    from datetime import datetime

    from handfast.certificates.peer import PeerIdentity

__all__ = ["Fetcher", "FetchingVerifier"]


class Fetcher:
    """Fetches over HTTP what FetchPolicy allows, and remembers it. One is shared by any number of verifiers and threads.

    ``policy``      how much, how long, and from where
    ``cache``       what is remembered
    ``concurrent``  chains that are completed at a time; others wait, within their own time
    """

    def __init__(
        self,
        policy: FetchPolicy | None = None,
        cache: IssuerCache | None = None,
        *,
        concurrent: int = CONCURRENT_COMPLETIONS,
    ) -> None:
        self.policy = policy or FetchPolicy()
        self.cache = IssuerCache() if cache is None else cache
        self._concurrent = concurrent
        self._begin()

    def _begin(self) -> None:
        """Nothing is under way yet."""
        self._slots = threading.BoundedSemaphore(self._concurrent)
        self._lock = threading.Lock()
        self._under_way: dict[str, Future[Content | FetchFailed]] = {}
        self._forks = forks()  # last: another thread may be looking

    def __repr__(self) -> str:
        return f"<Fetcher: {len(self.cache)} addresses remembered>"

    def _fetch(self, wanted: Fetch, deadline: Deadline) -> Content | FetchFailed:
        """What comes of an address. Several that ask for the same one at the same time share the answer.

        Whoever gets it has to call :meth:`_answered` once it is in the cache.
        """
        url = wanted.url
        ours: Future[Content | FetchFailed] = Future()
        with self._lock:
            other = self._under_way.get(url)
            if other is None or _ran_out(other):
                other = None
                known = self.cache.find(url)  # it may have come since the script looked
                if isinstance(known, FetchFailed):
                    return known
                if known is not None and known != wanted.known:
                    return Content(b"".join(map(pem.certificate, known)))
                self._under_way[url] = ours
        if other is not None:
            answer = self._waited(other, deadline)
            # Whoever asked had less time left than we have, which a stranger's certificate may have seen to.
            return self._fetch(wanted, deadline) if _ran_out(other) and deadline.is_ahead else answer
        answer = FetchFailed(problem="whoever asked was interrupted")
        try:
            answer = get(url, self.policy, deadline)
        except FetchFailed as error:
            answer = error
        except Exception as error:  # nothing that a stranger's server does may be more than a failure
            answer = FetchFailed(problem=f"{type(error).__name__}: {words(error)}")
        finally:
            ours.set_result(answer)
        return answer

    def _answered(self, url: str) -> None:
        with self._lock:
            found = self._under_way.get(url)
            if found is not None and found.done():
                del self._under_way[url]

    def _waited(self, other: Future[Content | FetchFailed], deadline: Deadline) -> Content | FetchFailed:
        try:
            while not other.done():
                with suppress(NotYet):
                    other.result(deadline.step)
        except FetchFailed as error:
            return error
        answer = other.result()
        return answer.copy() if isinstance(answer, FetchFailed) else answer

    def run(
        self,
        script: Generator[Fetch, Content | FetchFailed, PeerIdentity],
        first: Fetch,
        given_up: threading.Event | None = None,
    ) -> PeerIdentity:
        """The end of a script that has asked for ``first``. Blocks for as long as the policy allows.

        ``given_up``  is set once nobody waits for it any more. Then others get its place, and FetchFailed is raised
        """
        if self._forks != forks():  # the threads that had something under way are in the other process
            self._begin()
        deadline = Deadline(self.policy.seconds, given_up)
        slots = self._slots
        try:
            while not slots.acquire(timeout=deadline.step):
                pass
        except FetchFailed:
            if deadline.is_given_up:
                raise
            return _ended(script, FetchFailed(reasons.FETCH_BUSY, seconds=self.policy.seconds))
        try:
            while True:
                url = first.url
                try:
                    answer = self._fetch(first, deadline)
                    if deadline.is_given_up and isinstance(answer, FetchFailed):
                        raise answer  # which says nothing of the address, and is not remembered
                    first = script.send(answer)
                finally:
                    self._answered(url)
        except StopIteration as end:
            identity: PeerIdentity = end.value
            return identity
        finally:
            slots.release()


def _ran_out(asked: Future[Content | FetchFailed]) -> bool:
    """Whether somebody has asked, and had no time left for the answer."""
    answer = asked.result() if asked.done() else None
    return isinstance(answer, FetchFailed) and answer.reason is reasons.FETCH_TIMEOUT


def _ended(script: Generator[Fetch, Content | FetchFailed, PeerIdentity], failure: FetchFailed) -> PeerIdentity:
    """The end of a script for which nothing is fetched."""
    try:
        while True:
            script.send(failure.copy())
    except StopIteration as end:
        identity: PeerIdentity = end.value
        return identity


class FetchingVerifier:
    """Verifies as another verifier does, and fetches what a server's chain lacks.

    Only servers' chains are completed. Any client could make a server fetch what it likes, and a client that has a
    certificate has the chain as well.

    ``verifier``  a ChainVerifier; it decides
    ``fetcher``   a new one with the default policy where none is given
    ``on_done``   is called with each Completion that has fetched something, or tried to, before its chain is accepted or
                  refused; in whichever thread that happens

    Raises ConfigurationError for what is of another kind.
    """

    def __init__(
        self,
        verifier: Any,
        fetcher: Fetcher | None = None,
        *,
        on_done: Callable[[Completion], object] | None = None,
    ) -> None:
        if isinstance(verifier, type) or not callable(getattr(verifier, "verify_server", None)):
            raise kind_wanted("verifier", verifier, "an object that has verify_server, such as a ChainVerifier")
        if fetcher is not None and not isinstance(fetcher, Fetcher):
            raise kind_wanted("fetcher", fetcher, "a Fetcher")
        if on_done is not None and not callable(on_done):
            raise kind_wanted("on_done", on_done, "a function")
        self.verifier = verifier
        self.fetcher = Fetcher() if fetcher is None else fetcher
        self._on_done = on_done

    @property
    def trust_id(self) -> bytes:
        """That of the verifier: what is fetched is trusted by its roots and rules. b"" for a subclass, as of a ChainVerifier."""
        return getattr(self.verifier, "trust_id", b"") if type(self) is FetchingVerifier else b""

    def __repr__(self) -> str:
        return f"<FetchingVerifier {self.verifier!r}>"

    def is_slow(self, chain: Sequence[bytes]) -> bool:
        """Whether a chain, as it was sent, may take so long to verify that an event loop should not wait for it."""
        slow: Callable[[Sequence[bytes]], bool] | None = getattr(self.verifier, "is_slow", None)
        return slow is not None and slow(chain)

    def verify_server(
        self, chain: Sequence[bytes], server_name: str | None, now: datetime
    ) -> PeerIdentity | Awaitable[PeerIdentity]:
        """The identity of a server; an awaitable of it where an event loop runs and something has to be fetched.

        Raises what the verifier raises; ``evidence["fetching"]`` says what was asked for and what came.
        """
        return self._complete(chain, lambda whole: self.verifier.verify_server(whole, server_name, now))

    def verify_unnamed_server(self, chain: Sequence[bytes], now: datetime) -> PeerIdentity | Awaitable[PeerIdentity]:
        """The same for a server whose name does not count."""
        return self._complete(chain, lambda whole: self.verifier.verify_unnamed_server(whole, now))

    def verify_client(self, chain: Sequence[bytes], now: datetime) -> PeerIdentity | Awaitable[PeerIdentity]:
        """As the verifier does; nothing is fetched."""
        identity: PeerIdentity | Awaitable[PeerIdentity] = self.verifier.verify_client(chain, now)
        return identity

    def _complete(
        self, chain: Sequence[bytes], verify: Callable[[tuple[bytes, ...]], PeerIdentity]
    ) -> PeerIdentity | Awaitable[PeerIdentity]:
        completion = Completion(chain, self.fetcher.policy, self.fetcher.cache)
        script = completion.run(verify)
        try:
            first = next(script)
        except StopIteration as end:
            identity: PeerIdentity = end.value
            self._done(completion)
            return identity
        except Exception:
            self._done(completion)
            raise
        rest = partial(self._rest, completion, script, first)
        return _in_thread(rest) if _has_loop() else rest()

    def _rest(
        self,
        completion: Completion,
        script: Generator[Fetch, Content | FetchFailed, PeerIdentity],
        first: Fetch,
        given_up: threading.Event | None = None,
    ) -> PeerIdentity:
        try:
            return self.fetcher.run(script, first, given_up)
        finally:
            self._done(completion)

    def _done(self, completion: Completion) -> None:
        if self._on_done is not None and completion.attempts:
            self._on_done(completion)


def _has_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


async def _in_thread(work: Callable[[threading.Event], PeerIdentity]) -> PeerIdentity:
    """Work in a thread of its own: the executor's threads are few, and the program waits for them when it ends.

    Who gives up waiting leaves the thread behind, which ends soon: ``work`` gets an event that is set then.
    """
    loop = asyncio.get_running_loop()
    given_up = threading.Event()
    done: asyncio.Future[PeerIdentity] = loop.create_future()

    def settle(identity: PeerIdentity | None, error: BaseException | None) -> None:
        if done.done():
            return
        if identity is None:
            done.set_exception(error or FetchFailed())
        else:
            done.set_result(identity)

    def run() -> None:
        identity, failure = None, None
        try:
            identity = work(given_up)
        except BaseException as error:
            failure = error
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, identity, failure)

    threading.Thread(target=run, name="handfast-fetch", daemon=True).start()
    try:
        return await done
    finally:
        given_up.set()
