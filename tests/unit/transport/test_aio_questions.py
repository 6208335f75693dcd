"""Answers that take time: they are awaited, in threads where they compute, and other connections go on meanwhile."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

import pytest

from handfast import (
    ASK,
    AlertReceived,
    CertificateRefused,
    ChainVerifier,
    ConnectionFailed,
    HandshakeRefused,
    HandshakeTimeout,
    Identity,
    MisuseError,
    PeerIdentity,
    ServerConfig,
    TLSError,
    aio,
    limits,
    reasons,
)
from handfast.errors import BadRecord
from tests.handshake.parties import client_config, client_identity, fails, identity, server_config, trust
from tests.unit.transport.aio_running import LOOPS, Loop, closed, serving, wait_until
from tests.unit.transport.sockets import Running, reset, tcp_pair


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Loop:
    return Loop(request.param)


class SlowSigner:
    """A key somewhere else: each signature takes until it is released."""

    def __init__(self) -> None:
        self._local = identity().signer
        self.schemes = self._local.schemes
        self.released = asyncio.Event()
        self.begun = 0
        self.cancelled = 0

    async def sign(self, scheme: int, content: bytes) -> bytes:
        self.begun += 1
        try:
            await self.released.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        signature = self._local.sign(scheme, content)
        assert isinstance(signature, bytes)
        return signature


def slow_identity() -> tuple[Identity, SlowSigner]:
    signer = SlowSigner()
    return Identity(identity().chain, signer), signer


class AsyncVerifier:
    """Awaits something before each verdict, as a lookup over the network would."""

    def __init__(self, error: BaseException | None = None) -> None:
        self._error = error
        self._local = ChainVerifier(trust())

    async def verify_server(self, chain: Sequence[bytes], server_name: str | None, now: datetime) -> PeerIdentity:
        await asyncio.sleep(0.01)
        if self._error is not None:
            raise self._error
        return self._local.verify_server(chain, server_name, now)

    async def verify_client(self, chain: Sequence[bytes], now: datetime) -> PeerIdentity:
        await asyncio.sleep(0.01)
        return self._local.verify_client(chain, now)


# --- awaited -------------------------------------------------------------------------------------------------------


def test_a_slow_signer_holds_up_nobody_else(run: Loop) -> None:
    slow, signer = slow_identity()

    async def main() -> None:
        quick = identity("p384", "quick.example")
        async with serving(identities=[slow, quick]) as served:
            waiting = asyncio.ensure_future(served.connect())
            for _ in range(10):
                _, writer = await served.connect(server_name="quick.example")
                await closed(writer)
            assert not waiting.done()
            await wait_until(lambda: signer.begun)
            assert not waiting.done()
            signer.released.set()
            _, writer = await waiting
            assert writer.get_extra_info("handshake").version == "TLSv1.3"
            await closed(writer)

    run(main())


def test_everything_that_can_be_awaited(run: Loop) -> None:
    asked: list[str] = []

    async def review(client_hello: Any) -> ServerConfig | None:
        asked.append("review")
        await asyncio.sleep(0)
        return None

    async def choose(client_hello: Any) -> Identity | None:
        asked.append("choose")
        await asyncio.sleep(0)
        return identity("ed25519")

    async def choose_client(request: Any) -> Identity | None:
        asked.append("choose client")
        await asyncio.sleep(0)
        return client_identity()

    async def check(peer: PeerIdentity) -> None:
        asked.append("check")
        await asyncio.sleep(0)

    async def main() -> None:
        settings: dict[str, Any] = {"client_authentication": "required", "client_verifier": AsyncVerifier()}
        async with serving(on_client_hello=review, choose_identity=choose, check_peer=check, **settings) as served:
            config = client_config(verifier=AsyncVerifier(), choose_identity=choose_client, check_peer=check)
            reader, writer = await served.connect(config=config)
            assert writer.get_extra_info("handshake").signature_scheme == "ed25519"
            writer.write(b"all awaited")
            assert await reader.readexactly(11) == b"all awaited"
            await closed(writer)
        assert asked == ["review", "choose", "check", "choose client", "check"]

    run(main())


def test_answers_that_refuse(run: Loop) -> None:
    async def refuse(peer: PeerIdentity) -> None:
        await asyncio.sleep(0)
        raise CertificateRefused("certificate_revoked")

    async def turn_away(client_hello: Any) -> None:
        await asyncio.sleep(0)
        raise HandshakeRefused("unrecognized_name")

    async def main() -> None:
        async with serving(on_client_hello=turn_away) as served:
            with fails(AlertReceived, reasons.ALERT_RECEIVED) as caught:
                await served.connect()
            assert caught.value.name == "unrecognized_name"
        async with serving() as served:
            with fails(CertificateRefused, reasons.CERTIFICATE_REFUSED):
                await served.connect(config=client_config(check_peer=refuse))
            (error,) = await served.failed()
            assert isinstance(error, AlertReceived)
            assert error.name == "certificate_revoked"

    run(main())


@pytest.mark.parametrize("cause", [ZeroDivisionError, asyncio.CancelledError, StopAsyncIteration])
def test_answers_that_fail(run: Loop, cause: type[BaseException]) -> None:
    async def main() -> None:
        async with serving() as served:
            with fails(TLSError, reasons.CALLBACK_FAILED) as caught:
                await served.connect(config=client_config(verifier=AsyncVerifier(cause("no verdict"))))
            assert type(caught.value.__cause__) is cause
            (error,) = await served.failed()
            assert isinstance(error, AlertReceived)
            assert error.name == "internal_error"

    run(main())


def test_a_question_that_nobody_is_there_to_answer(run: Loop) -> None:
    async def main() -> None:
        async with serving() as served:
            with fails(MisuseError, reasons.MISUSE) as caught:
                await served.connect(config=client_config(verifier=ASK))
            assert "needs an application" in caught.value.evidence["problem"]

    run(main())


def test_a_local_key_and_verifier_take_no_task(run: Loop) -> None:
    async def main() -> None:
        tasks: list[Any] = []
        loop = asyncio.get_running_loop()
        async with serving(lambda _, writer: writer.close()) as served:
            waiting = asyncio.ensure_future(served.connect())

            def count(loop: Any, coro: Any, **options: Any) -> asyncio.Task[Any]:
                tasks.append(coro)
                return asyncio.Task(coro, loop=loop, **options)

            loop.set_task_factory(count)
            _, writer = await waiting
            loop.set_task_factory(None)
            of_asyncio = "BaseSelectorEventLoop._accept_connection2"  # each connection that it accepts has one
            assert [task for task in tasks if task.__qualname__ != of_asyncio] == []
            await closed(writer)

    run(main())


# --- the connection ends while a question is open ------------------------------------------------------------------


def test_the_peer_goes_away_meanwhile(run: Loop) -> None:
    """A reset ends the wait: the answer's task is cancelled, not left."""
    slow, signer = slow_identity()

    async def main() -> None:
        from handfast import ClientConnection

        client = ClientConnection(client_config(), server_name="localhost")
        client.start()
        async with serving(identities=[slow]) as served:
            sock = await served.dial()
            sock.sendall(client.data_to_send())
            await wait_until(lambda: signer.begun)
            reset(sock)
            (error,) = await served.failed()
            assert isinstance(error, ConnectionFailed)
        assert signer.cancelled == 1

    run(main())


def test_the_time_is_over_meanwhile(run: Loop) -> None:
    slow, signer = slow_identity()

    async def main() -> None:
        async with serving(identities=[slow], handshake_timeout=1.0) as served:
            with fails(AlertReceived, reasons.CLOSED_DURING_HANDSHAKE):
                await served.connect()
            (error,) = await served.failed()
            assert isinstance(error, HandshakeTimeout)
        assert signer.cancelled == 1

    run(main())


def test_the_client_is_cancelled_before_its_answer_is_begun(run: Loop) -> None:
    """No coroutine is left that was never awaited."""

    async def main() -> None:
        async with serving() as served:
            connecting: asyncio.Task[Any] | None = None

            class Cancelling(AsyncVerifier):
                async def verify_server(self, *args: Any) -> PeerIdentity:
                    raise AssertionError("never begun")

                def __getattribute__(self, name: str) -> Any:
                    if name == "verify_server" and connecting is not None:  # not while the configuration is made
                        connecting.cancel()
                    return super().__getattribute__(name)

            connecting = asyncio.ensure_future(served.connect(config=client_config(verifier=Cancelling())))
            with pytest.raises(asyncio.CancelledError):
                await connecting
            await served.failed()

    run(main())


def test_input_that_arrives_meanwhile_is_bounded(run: Loop) -> None:
    """A server may send data right after its flight: we stop reading, and lose nothing of it."""
    stuck = threading.Event()

    class Patient(AsyncVerifier):
        async def verify_server(self, *args: Any) -> PeerIdentity:
            assert await asyncio.to_thread(stuck.wait, 30)  # however long the server takes to send all that it can
            return await super().verify_server(*args)

    async def main() -> None:
        def serve() -> int:
            """Half-RTT data (RFC 9846 section 4.5.3): as soon as our Finished is sent, before the client's has come."""
            from handfast import ServerConnection

            engine = ServerConnection(server_config())
            engine.start()
            with there:
                while not engine.has_data_to_send:
                    engine.receive_data(there.recv(65_536))
                    list(engine.events())
                there.sendall(engine.data_to_send())
                there.settimeout(0.2)
                total = 0
                with suppress(TimeoutError):
                    while total < 50_000_000:  # not protected, so it will be refused; what counts is how much is taken
                        total += there.send(b"\x17\x03\x03\x40\x00" + bytes(16_384))
                stuck.set()
                there.settimeout(30)
                with suppress(ConnectionError):
                    while there.recv(65_536):
                        pass
            return total

        here, there = tcp_pair()
        peer = Running(serve)
        config = client_config(verifier=Patient())
        reader, writer = await aio.open_connection(sock=here, config=config, server_name="localhost")
        with fails(BadRecord, reasons.BAD_RECORD_MAC):
            await reader.read()
        with pytest.raises(TLSError):
            await writer.wait_closed()
        assert 1_000_000 < await asyncio.to_thread(peer.result) < 30_000_000

    run(main())


# --- computed ------------------------------------------------------------------------------------------------------


class Slow(ChainVerifier):
    """Computes for a while, and says so."""

    says_so = True
    seconds = 20.0

    def __init__(self) -> None:
        super().__init__(trust())
        self.threads: list[threading.Thread] = []
        self.released = threading.Event()
        self.in_time = self.done = False

    def is_slow(self, chain: Sequence[bytes]) -> bool:
        assert all(isinstance(der, bytes) for der in chain)
        return self.says_so

    def _work(self) -> None:
        self.threads.append(threading.current_thread())
        if self.says_so:
            self.in_time = self.released.wait(self.seconds)
            self.done = True

    def verify_server(self, chain: Sequence[bytes], server_name: str | None, now: datetime) -> PeerIdentity:
        self._work()
        return super().verify_server(chain, server_name, now)

    def verify_client(self, chain: Sequence[bytes], now: datetime) -> PeerIdentity:
        self._work()
        return super().verify_client(chain, now)


async def release(slow: Slow) -> None:
    """What the loop can do only while it is not held up: let the verifier, which is at work, come to its end."""
    while not slow.threads:  # noqa: ASYNC110 - it is a thread that we wait for
        await asyncio.sleep(0.005)
    slow.released.set()


@pytest.mark.parametrize("side", ["client", "server", "server of another configuration"])
def test_a_chain_that_takes_long_does_not_hold_up_the_loop(run: Loop, side: str) -> None:
    slow = Slow()
    mutual: dict[str, Any] = {"client_authentication": "required", "client_verifier": slow}
    settings: dict[str, Any] = {}
    client: dict[str, Any] = {"identities": [client_identity()]}
    if side == "client":
        client = {"verifier": slow}
    elif side == "server":
        settings = mutual
    else:

        async def review(client_hello: Any) -> ServerConfig:
            return server_config(**mutual)

        settings = {"on_client_hello": review}

    async def main() -> None:
        async with serving(**settings) as served:
            releasing = asyncio.ensure_future(release(slow))
            reader, writer = await served.connect(config=client_config(**client))
            writer.write(b"done")
            assert await reader.readexactly(4) == b"done"
            await releasing
            assert slow.in_time
            assert len(slow.threads) == 1
            assert slow.threads[0] is not threading.current_thread()
            await closed(writer)

    run(main())


def test_a_chain_that_does_not_is_verified_at_once(run: Loop) -> None:
    quick = Slow()
    quick.says_so = False

    async def main() -> None:
        async with serving(on_client_hello=lambda hello: server_config("ed25519")) as served:
            _, writer = await served.connect(config=client_config(verifier=quick))
            assert quick.threads == [threading.current_thread()]
            assert writer.get_extra_info("handshake").signature_scheme == "ed25519"
            await closed(writer)

    run(main())


def test_a_chain_that_takes_long_and_is_refused(run: Loop) -> None:
    slow = Slow()
    slow.seconds = 0.01

    async def main() -> None:
        async with serving() as served:
            with pytest.raises(TLSError) as caught:
                await served.connect(config=client_config(verifier=slow), server_name="other.example")
            assert type(caught.value).__name__ == "CertificateNameMismatch"
            assert slow.threads[0] is not threading.current_thread()

    run(main())


def test_a_configuration_stays_as_it_was(run: Loop) -> None:
    slow = Slow()
    slow.seconds = 0.01
    config = client_config(verifier=slow)

    async def main() -> None:
        async with serving() as served:
            _, writer = await served.connect(config=config)
            await closed(writer)
        assert config.server_verifier is slow

    run(main())


def test_the_wait_for_a_thread_has_an_end(run: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CLOSE_SECONDS", 0.2)
    slow = Slow()
    slow.seconds = 30.0

    async def main() -> None:
        async with serving() as served:
            config = client_config(verifier=slow, handshake_timeout=1.0)
            with fails(HandshakeTimeout, reasons.HANDSHAKE_TIMEOUT):
                await served.connect(config=config)
            assert slow.threads
            assert not slow.done, "nobody has waited for it"
            slow.released.set()

    run(main())


def test_a_long_chain_from_a_real_peer(run: Loop) -> None:
    """ChainVerifier's own estimate: more certificates than any honest chain has."""

    class Watched(ChainVerifier):
        thread: threading.Thread | None = None

        def verify_server(self, chain: Sequence[bytes], server_name: str | None, now: datetime) -> PeerIdentity:
            self.thread = threading.current_thread()
            return super().verify_server(chain, server_name, now)

    async def main() -> None:
        others = [identity("p256", f"{number}.example").chain[0] for number in range(8)]
        padded = Identity([*identity().chain, *others], identity().signer)
        for who, elsewhere in ((identity(), False), (padded, True)):
            verifier = Watched(trust())
            async with serving(identities=[who]) as served:
                _, writer = await served.connect(config=client_config(verifier=verifier))
                await closed(writer)
            assert (verifier.thread is not threading.current_thread()) is elsewhere

    run(main())
