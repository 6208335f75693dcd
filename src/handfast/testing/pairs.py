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

import hashlib
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric import ec, mlkem, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from handfast.connection import ClientConnection, Connection, Event, ServerConnection, Tap
from handfast.crypto.groups import GROUPS, X25519MLKEM768, Share
from handfast.errors import ConfigurationError, MisuseError, TLSError
from handfast.wire.codepoints import NamedGroup

if TYPE_CHECKING:
    from handfast.config import ClientConfig, ServerConfig


def pair(
    client_config: ClientConfig,
    server_config: ServerConfig,
    *,
    server_name: str | None = "localhost",
    client_tap: Tap | None = None,
    server_tap: Tap | None = None,
) -> tuple[ClientConnection, ServerConnection]:
    """A client and a server that have shaken hands.

    Raises the TLSError of the side that refused, not the alert that told the other one. MisuseError where a question
    (:data:`handfast.ASK`, an awaitable) would need an application to answer it: run such a pair by :func:`pump`.
    """
    client = ClientConnection(client_config, server_name=server_name, tap=client_tap)
    server = ServerConnection(server_config, tap=server_tap)
    client.start()
    server.start()
    pump(client, server)
    if client.handshake is None or server.handshake is None:
        raise MisuseError(problem="the handshake waits for the answer to a question", awaiting=client.awaiting)
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


class EntropyForTests:
    """Randomness that is none: the same seed gives the same handshake, byte for byte. It protects nothing.

    For ``entropy_for_tests`` of a configuration. Each connection that is to be repeated needs an object of its own,
    since an object goes on where it stopped. Signatures are random by themselves, but for Ed25519 and Ed448.

    `cryptography` cannot repeat an ML-KEM encapsulation: a server with this entropy refuses X25519MLKEM768 by a
    ConfigurationError, so leave that group out of what it accepts.
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
        if isinstance(GROUPS[group], X25519MLKEM768):
            raise ConfigurationError(
                setting="entropy_for_tests", problem=f"{NamedGroup.name(group)} cannot be repeated on a server"
            )
        share = self._share(group)
        return share.public, share.open(public)

    def _share(self, group: int) -> Share:
        """A share of the usual kind, whose private key is replaced."""
        share: Any = GROUPS[group].new_share()
        if group == NamedGroup.X25519MLKEM768:
            share._mlkem = mlkem.MLKEM768PrivateKey.from_seed_bytes(self.random(64))
            share._x25519 = self._share(NamedGroup.X25519)
            share.public = share._mlkem.public_key().public_bytes_raw() + share._x25519.public
        elif group == NamedGroup.X25519:
            share._private = x25519.X25519PrivateKey.from_private_bytes(self.random(32))
            share.public = share._private.public_key().public_bytes_raw()
        else:
            curve = share._private.curve
            number = int.from_bytes(self.random(curve.key_size // 8 - 1)) + 1  # a byte less is less than the order
            share._private = ec.derive_private_key(number, curve)
            share.public = share._private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        typed: Share = share
        return typed

    def __repr__(self) -> str:
        return "<EntropyForTests: not random>"
