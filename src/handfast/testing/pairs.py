"""Two connections that talk to each other in memory, for tests of whatever is built on connections.

::

    authority = Authority.create()
    client, server = pair(
        ClientConfig(trust=authority.trust),
        ServerConfig(identities=[authority.issue("localhost")]),
    )
    client.send(b"hello")
    _, events = pump(client, server)                 # [ApplicationData(b"hello")]
"""

from __future__ import annotations

import asyncio
import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives.asymmetric import ec, mlkem, x448, x25519

from handfast.connection import ClientConnection, Connection, Event, ServerConnection, Tap
from handfast.crypto.groups import CLASSICAL_HALF, GROUPS, Curve, Hybrid, Montgomery, Share
from handfast.errors import ConfigurationError, MisuseError, TLSError
from handfast.handshake.flow import Question
from handfast.wire.codepoints import NamedGroup

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from handfast.config import ClientConfig, ServerConfig

# The private key of ML-KEM that goes with an encapsulation key of this many bytes.
_KEM_OF: Final[dict[int, Any]] = {1184: mlkem.MLKEM768PrivateKey, 1568: mlkem.MLKEM1024PrivateKey}


def pair(
    client_config: ClientConfig,
    server_config: ServerConfig,
    *,
    server_name: str | None = "localhost",
    client_tap: Tap | None = None,
    server_tap: Tap | None = None,
) -> tuple[ClientConnection, ServerConnection]:
    """A client and a server that have shaken hands.

    Asynchronous callbacks are awaited, each in an event loop of its own, so this can be called within a loop too.

    Raises the TLSError of the side that refused, not the alert that told the other one. MisuseError where a question
    (:data:`handfast.ASK`) would need an application to answer it: run such a pair by :func:`pump`.
    """
    client = ClientConnection(client_config, server_name=server_name, tap=client_tap)
    server = ServerConnection(server_config, tap=server_tap)
    client.start()
    server.start()
    asked = True
    while asked:
        events = pump(client, server)
        asked = False
        for event in (*events[0], *events[1]):
            if isinstance(event, Question):
                _answer(event)
                asked = True
    return client, server


def pump(client: Connection, server: Connection) -> tuple[list[Event], list[Event]]:
    """Carry bytes both ways until neither side has more to say: the events of the client, and those of the server.

    Whichever side fails first, its error is raised after the other side has got its alert.
    """
    events: tuple[list[Event], list[Event]] = ([], [])
    failure: TLSError | None = None
    carried = True
    while carried:
        carried = False
        for here, there, seen in ((client, server, events[0]), (server, client, events[1])):
            try:
                seen.extend(here.events())
            except TLSError as error:
                failure = failure or error
            if here.has_data_to_send:
                carried = True
                data = here.data_to_send()
                if not there.failed:
                    there.receive_data(data)
    if failure is not None:
        raise failure
    return events


def _answer(question: Question) -> None:
    """Await what a callback has returned. Raises MisuseError where nobody but an application knows the answer."""
    if question.awaitable is None:
        problem = "the handshake waits for the answer to a question: carry the bytes by pump, and answer it"
        raise MisuseError(problem=problem, question=question.NAME)
    with ThreadPoolExecutor(1) as pool:  # there may be an event loop in this thread
        try:
            answer = pool.submit(asyncio.run, _result(question.awaitable)).result()
        except Exception as error:
            question.refuse(error)
        else:
            question.answer(answer)


async def _result(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


class EntropyForTests:
    """Randomness that is none: the same seed gives the same handshake, byte for byte. It protects nothing.

    For ``entropy_for_tests`` of a configuration. Each connection that is to be repeated needs an object of its own,
    since an object goes on where it stopped. Signatures are random by themselves, but for Ed25519 and Ed448.

    `cryptography` cannot repeat an ML-KEM encapsulation: a server with this entropy refuses the hybrids by a
    ConfigurationError, so leave them out of what it accepts.
    """

    def __init__(self, seed: bytes | str | int = 0) -> None:
        self._seed = repr(seed).encode("utf-8")
        self._taken = 0

    def random(self, length: int) -> bytes:
        """The next ``length`` bytes that belong to the seed."""
        self._taken += 1
        return hashlib.shake_256(b"%d:%b" % (self._taken, self._seed)).digest(length)

    def new_shares(self, groups: tuple[int, ...]) -> list[Share]:
        """A share of each group, with keys that come from the seed."""
        return [self._share(group) for group in groups]

    def encapsulate(self, group: int, public: bytes) -> tuple[bytes, bytes]:
        """A share and the secret, in answer to the client's share."""
        if group in CLASSICAL_HALF:
            raise ConfigurationError(
                setting="entropy_for_tests", problem=f"{NamedGroup.name(group)} cannot be repeated on a server"
            )
        share = self._share(group)
        return share.public, share.open(public)

    def _share(self, number: int) -> Share:
        """A share of the usual kind, whose private key comes from the seed."""
        group = GROUPS[number]
        if isinstance(group, Hybrid):
            kem = _KEM_OF[group.encapsulation_key].from_seed_bytes(self.random(64))
            return group.share_of(kem, self._share(group.classical.id))
        if isinstance(group, Curve):
            scalar = int.from_bytes(self.random(group.curve.key_size // 8 - 1)) + 1  # a byte less is below the order
            return group.share_of(ec.derive_private_key(scalar, group.curve))
        assert isinstance(group, Montgomery), "there are three kinds of groups"
        kind = x25519.X25519PrivateKey if number == NamedGroup.X25519 else x448.X448PrivateKey
        return group.share_of(kind.from_private_bytes(self.random(group.length)))

    def __repr__(self) -> str:
        return "<EntropyForTests: not random>"
