"""Signers that take their time: nobody else on the event loop waits for them."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from handfast import aio
from handfast.certificates.identity import Identity, Signer
from handfast.config import ClientConfig, ServerConfig
from handfast.errors import KeyUnavailable, MisuseError, TLSError
from handfast.handshake.flow import Sign
from handfast.signers import Threaded
from handfast.testing import Authority, IssuedIdentity, pair
from handfast.transport.blocking import connect
from handfast.transport.server import Server

AUTHORITY = Authority.create()
SLOW, QUICK = AUTHORITY.issue("slow.example"), AUTHORITY.issue("quick.example", "localhost")
CLIENT = ClientConfig(trust=AUTHORITY.trust)


class Slow:
    """A key that does not sign before it is told to, as a card that waits for its owner's finger."""

    def __init__(self, identity: IssuedIdentity) -> None:
        self._signer = identity.signer
        self.schemes = identity.signer.schemes
        self.release = threading.Event()
        self.asked = threading.Semaphore(0)
        self.signing: list[str] = []

    def sign(self, scheme: int, content: bytes) -> bytes:
        self.signing.append(threading.current_thread().name)
        self.asked.release()
        assert self.release.wait(60)
        signature = self._signer.sign(scheme, content)
        assert isinstance(signature, bytes)
        return signature


class InLoop:
    """A key behind a network: async."""

    def __init__(self, identity: IssuedIdentity) -> None:
        self._signer = identity.signer
        self.schemes = identity.signer.schemes
        self.release = asyncio.Event()
        self.asked: asyncio.Queue[int] = asyncio.Queue()

    async def sign(self, scheme: int, content: bytes) -> bytes:
        self.asked.put_nowait(scheme)
        await self.release.wait()
        signature = self._signer.sign(scheme, content)
        assert isinstance(signature, bytes)
        return signature


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(await reader.read(100))
    writer.close()


async def _visit(port: int, name: str) -> bytes:
    reader, writer = await aio.open_connection("127.0.0.1", port, config=CLIENT, server_name=name)
    writer.write(name.encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def _served(signer: Signer, talk: Callable[[int], Awaitable[None]], **settings: Any) -> None:
    identities = [Identity(QUICK.chain, QUICK.key), Identity(SLOW.chain, signer)]
    server = await aio.start_server(_echo, "127.0.0.1", 0, config=ServerConfig(identities=identities, **settings))
    async with server:
        await talk(server.sockets[0].getsockname()[1])


def test_others_shake_hands_while_a_signature_is_waited_for() -> None:
    """Twenty clients come, speak and go while five wait for one key; then these are served too."""
    slow = Slow(SLOW)

    async def talk(port: int) -> None:
        waiting = [asyncio.create_task(_visit(port, "slow.example")) for _ in range(5)]
        assert await asyncio.to_thread(slow.asked.acquire, timeout=60)
        answers = await asyncio.gather(*(_visit(port, "quick.example") for _ in range(20)))
        assert answers == [b"quick.example"] * 20
        assert not any(task.done() for task in waiting)
        slow.release.set()
        assert await asyncio.gather(*waiting) == [b"slow.example"] * 5

    with Threaded(slow, threads=2) as signer:
        asyncio.run(_served(signer, talk))
    assert len(slow.signing) == 5
    assert all(name.startswith("handfast-sign") for name in slow.signing)
    assert len(set(slow.signing)) <= 2


def test_others_come_and_go_in_the_second_that_a_signature_takes() -> None:
    slow = Slow(SLOW)
    visits = 0

    class Sleepy:
        schemes = slow.schemes

        def sign(self, scheme: int, content: bytes) -> bytes:
            time.sleep(1.0)
            slow.release.set()
            return slow.sign(scheme, content)

    async def talk(port: int) -> None:
        nonlocal visits
        waiting = asyncio.create_task(_visit(port, "slow.example"))
        while not waiting.done():
            assert await _visit(port, "quick.example") == b"quick.example"
            visits += 1
        assert await waiting == b"slow.example"

    with Threaded(Sleepy()) as signer:
        asyncio.run(_served(signer, talk))
    assert visits > 1  # one alone could have waited with it


def test_an_async_signer_does_not_hold_up_others_either() -> None:
    async def run() -> None:
        slow = InLoop(SLOW)

        async def talk(port: int) -> None:
            waiting = [asyncio.create_task(_visit(port, "slow.example")) for _ in range(5)]
            for _ in range(5):
                await slow.asked.get()
            assert await asyncio.gather(*(_visit(port, "quick.example") for _ in range(20)))
            assert not any(task.done() for task in waiting)
            slow.release.set()
            assert await asyncio.gather(*waiting) == [b"slow.example"] * 5

        await _served(slow, talk)

    asyncio.run(run())


def test_the_deadline_of_the_handshake_runs_on() -> None:
    slow = Slow(SLOW)

    async def talk(port: int) -> None:
        with pytest.raises(TLSError):
            await _visit(port, "slow.example")
        assert await _visit(port, "quick.example") == b"quick.example"
        slow.release.set()

    with Threaded(slow) as signer:
        asyncio.run(_served(signer, talk, handshake_timeout=2.0))


def test_signatures_that_nobody_waits_for_any_more_are_not_made() -> None:
    slow = Slow(SLOW)

    async def talk(port: int) -> None:
        waiting = [asyncio.create_task(_visit(port, "slow.example")) for _ in range(4)]
        done = await asyncio.gather(*waiting, return_exceptions=True)
        assert all(isinstance(item, TLSError) for item in done)
        slow.release.set()

    with Threaded(slow, threads=1) as signer:
        asyncio.run(_served(signer, talk, handshake_timeout=0.5))
    assert len(slow.signing) == 1


def test_what_a_signer_raises_reaches_the_log_of_its_connection_alone() -> None:
    class Broken:
        schemes = SLOW.signer.schemes

        def sign(self, scheme: int, content: bytes) -> bytes:
            raise KeyUnavailable(problem="the card is out")

    async def run() -> TLSError:
        failures: asyncio.Queue[TLSError] = asyncio.Queue()
        identities = [Identity(QUICK.chain, QUICK.key), Identity(SLOW.chain, Threaded(Broken()))]
        server = await aio.start_server(
            _echo,
            "127.0.0.1",
            0,
            config=ServerConfig(identities=identities),
            on_failure=lambda address, error, tap: failures.put_nowait(error),
        )
        async with server:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(TLSError) as caught:
                await _visit(port, "slow.example")
            assert caught.value.alert == 80
            assert await _visit(port, "quick.example") == b"quick.example"
            return await failures.get()

    failure = asyncio.run(run())
    assert isinstance(failure, KeyUnavailable)
    assert failure.evidence == {"problem": "the card is out"}


def test_without_an_event_loop_it_waits() -> None:
    slow = Slow(QUICK)
    slow.release.set()
    server = ServerConfig(identities=[Identity(QUICK.chain, Threaded(slow))])
    assert pair(CLIENT, server, server_name="localhost")
    with (
        Server(lambda tls: tls.sendall(tls.recv()), "127.0.0.1", 0, config=server) as listening,
        connect("localhost", listening.address[1], config=CLIENT) as tls,
    ):
        tls.sendall(b"hello")
        assert tls.recv() == b"hello"
    assert not any(name.startswith("handfast-sign") for name in slow.signing)


def test_the_question_has_what_is_to_be_awaited() -> None:
    """For whoever pulls events himself, in an event loop."""
    from handfast.connection import ClientConnection, ServerConnection

    async def run() -> None:
        slow = Slow(QUICK)
        slow.release.set()
        signer = Threaded(slow)
        client = ClientConnection(CLIENT, server_name="localhost")
        server = ServerConnection(ServerConfig(identities=[Identity(QUICK.chain, signer)]))
        client.start()
        server.start()
        server.receive_data(client.data_to_send())
        question = next(event for event in server.events() if isinstance(event, Sign))
        assert question.awaitable is not None
        question.answer(await question.awaitable)
        client.receive_data(server.data_to_send())
        signer.close()

    asyncio.run(run())


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_process_has_threads_of_its_own() -> None:
    slow = Slow(QUICK)
    slow.release.set()
    signer = Threaded(slow)

    async def sign() -> bytes:
        made = signer.sign(signer.schemes[0], b"content")
        assert not isinstance(made, bytes)
        return await made

    assert asyncio.run(sign())
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if asyncio.run(asyncio.wait_for(sign(), 20)) else 1
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    signer.close()


def test_it_is_a_signer_and_cannot_be_copied() -> None:
    import copy

    signer = Threaded(Slow(QUICK))
    assert isinstance(signer, Signer)
    with pytest.raises(MisuseError):
        copy.copy(signer)
