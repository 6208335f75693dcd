"""A Redis or Valkey that the nodes of a fleet share, and that may be slow or gone: no handshake fails for it.

What a store does there is a script, like a handshake is one: it yields commands, and gets the replies. The client decides by
its kind whether they are waited for or awaited.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Generator
from typing import Any, Final, Generic, TypeVar

from handfast.clock import SYSTEM_CLOCK, Clock
from handfast.crypto.guard import Guarded
from handfast.errors import ConfigurationError, shown
from handfast.transport.stores.bounded import bounded, ends_by
from handfast.transport.stores.warner import Warner

WAIT: Final = 0.25  # seconds
PAUSE: Final = 1.0  # seconds from a failure to the next try: so one handshake waits in a second, and not each

_GRACE: Final = 0.02  # seconds

T = TypeVar("T")
Command = tuple[Any, ...]
Script = Generator[Command, Any, T]


class Shared(Guarded):
    """One Redis or Valkey, by the ``redis`` client (``pip install handfast[store]``).

    ``client``  a ``redis.Redis``, for blocking servers, or a ``redis.asyncio.Redis``, for those of asyncio: with it the
                stores return awaitables. It must not decode replies; give it no retries, and a blocking one timeouts. Only
                that of :meth:`from_url` bounds the length of a reply, and the time of a whole blocking call: another one
                waits as long as its timeout for each piece of a reply, so its store has to be trusted
    ``prefix``  of all names there. Between { and } it keeps a cluster from spreading them
    ``wait``    seconds for which a handshake may be held up
    ``warn``    takes a sentence when the store fails, at most one a minute; by default it is logged (handfast.stores)
    """

    def __init__(
        self,
        client: Any,
        *,
        prefix: str = "{handfast}",
        wait: float = WAIT,
        clock: Clock = SYSTEM_CLOCK,
        warn: Callable[[str], None] | None = None,
    ) -> None:
        pool = getattr(client, "connection_pool", None)
        if getattr(pool, "connection_kwargs", {}).get("decode_responses"):
            raise ConfigurationError(
                setting="client", problem="decode_responses has to be off: what is kept is no text"
            )
        self.client = client
        self.prefix = prefix.encode("utf-8")
        self.is_async = inspect.iscoroutinefunction(client.execute_command)
        self.clock = clock
        self._wait = wait
        self._warn = Warner(warn, clock)
        self._lock = threading.Lock()
        self._retry_at: float | None = None  # None while it works
        self._counts: Counter[str] = Counter()

    @classmethod
    def from_url(
        cls,
        url: str,
        *,
        asynchronous: bool = False,
        prefix: str = "{handfast}",
        wait: float = WAIT,
        clock: Clock = SYSTEM_CLOCK,
        warn: Callable[[str], None] | None = None,
    ) -> Shared:
        """Of ``redis://``, ``rediss://`` (with TLS) or ``unix://``. Nothing is sent yet.

        Raises ConfigurationError for anything else, and where the ``redis`` package is missing.
        """
        return cls(_client(url, wait, asynchronous), prefix=prefix, wait=wait, clock=clock, warn=warn)

    def name(self, kind: str, name: bytes = b"") -> bytes:
        """What something is called there."""
        return b":".join([self.prefix, kind.encode("ascii"), name] if name else [self.prefix, kind.encode("ascii")])

    @property
    def counts(self) -> dict[str, int]:
        """How many scripts were "answered", have "failed", or were "skipped" since others had just failed."""
        with self._lock:
            return dict(self._counts)

    def run(self, script: Script[T], otherwise: Callable[[], T]) -> T | Awaitable[T]:
        """What the script returns; where the store fails or takes too long, what ``otherwise`` does.

        A script that needs no command is done at once, with either client.
        """
        try:
            command = next(script)
        except StopIteration as end:
            done: T = end.value
            return done
        if not self._may_try():
            script.close()
            return otherwise()
        if self.is_async:
            return _Later(lambda: self._await(script, command, otherwise))
        return self._call(script, command, otherwise)

    def close(self) -> Awaitable[None] | None:
        """Close the client's connections."""
        if self.is_async:
            closing: Awaitable[None] = self.client.aclose()
            return closing
        self.client.close()
        return None

    def _call(self, script: Script[T], command: Command, otherwise: Callable[[], T]) -> T:
        until = time.monotonic() + self._wait
        try:
            with ends_by(until):
                while True:
                    command = script.send(self.client.execute_command(*command))
                    if time.monotonic() > until:
                        raise TimeoutError
        except StopIteration as end:
            answer: T = self._answered(end)
            return answer
        except Exception as error:
            self._failed(script, error)
        return otherwise()

    async def _await(self, script: Script[T], command: Command, otherwise: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(None) as limit:
                # Where it was the loop that had no time, the reply is there by now, and has to be read before it is late.
                timer = loop.call_later(self._wait, lambda: limit.reschedule(loop.time() + _GRACE))
                try:
                    while True:
                        command = script.send(await self.client.execute_command(*command))
                finally:
                    timer.cancel()
        except StopIteration as end:
            answer: T = self._answered(end)
            return answer
        except Exception as error:
            self._failed(script, error)
        return otherwise()

    def _may_try(self) -> bool:
        """While the store fails, one try in a while; the others do without it."""
        now = self.clock.monotonic()
        with self._lock:
            if self._retry_at is None:
                return True
            if now < self._retry_at:
                self._counts["skipped"] += 1
                return False
            self._retry_at = now + PAUSE
            return True

    def _answered(self, end: StopIteration) -> Any:
        with self._lock:
            self._retry_at = None
            self._counts["answered"] += 1
        return end.value

    def _failed(self, script: Script[Any], error: Exception) -> None:
        script.close()
        with self._lock:
            self._retry_at = self.clock.monotonic() + PAUSE
            self._counts["failed"] += 1
            failures = self._counts["failed"]
        times = "once" if failures == 1 else f"{failures} times"
        why = type(error).__name__ + (f": {shown(error)}" if str(error) else "")
        self._warn(f"The shared store of sessions has failed {times}: {why}. Handshakes go on without it.")


class _Later(Generic[T]):
    """An awaitable that is no coroutine: a connection that ends first may drop it without a warning."""

    def __init__(self, start: Callable[[], Any]) -> None:
        self._start = start

    def __await__(self) -> Generator[Any, Any, T]:
        answer: T = yield from self._start().__await__()
        return answer


def _client(url: str, wait: float, asynchronous: bool) -> Any:
    try:
        import redis
        import redis.asyncio
        import redis.asyncio.retry
        from redis._parsers import _AsyncRESP2Parser, _RESP2Parser
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ImportError:
        problem = "the redis package is missing: pip install handfast[store]"
        raise ConfigurationError(setting="store", problem=problem) from None
    # RESP 2, and no word of who we are: a new connection then needs no round trip of its own. The parser in Python, since
    # hiredis makes room for as many elements as a reply says that it has.
    settings: dict[str, Any] = {"protocol": 2, "parser_class": _AsyncRESP2Parser if asynchronous else _RESP2Parser}
    # Of a client of asyncio Shared limits the whole script; its own limits would take a loop that was held up for a slow store.
    seconds = None if asynchronous else wait
    settings |= {"socket_timeout": seconds, "socket_connect_timeout": seconds}
    if "driver_info" in inspect.signature(redis.connection.AbstractConnection.__init__).parameters:
        settings["driver_info"] = None
    else:  # before 7.2
        settings["lib_name"] = settings["lib_version"] = None
    try:
        if asynchronous:
            retry_async = redis.asyncio.retry.Retry(NoBackoff(), 0)
            client: Any = redis.asyncio.Redis.from_url(url, retry=retry_async, **settings)
        else:
            client = redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0), **settings)
    except ValueError as error:
        # What urllib says of a port may be a piece of the password: that of "redis://:se/cret@host" is "se".
        if str(error).startswith(("Redis URL", "Invalid value")):
            raise ConfigurationError(setting="store", problem="cannot be used", why=str(error)) from None
        problem = "is no URL. In a password anything but letters and digits is percent-encoded"
        raise ConfigurationError(setting="store", problem=problem) from None
    return bounded(client, asynchronous)
