"""What comes back from where sessions and keys are kept: states, tickets, files, key rings, and a store that is hostile."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from fuzz import sessions
from fuzz.credentials import CLOCK, NOW, SERVER_NAME, identity, leaf, trust
from fuzz.sessions import DAMAGED, TICKETS
from fuzz.target import Change, Target, check_refusal, may_refuse
from handfast.clock import Clock
from handfast.config import ClientConfig, ServerConfig
from handfast.connection import ClientConnection, ServerConnection
from handfast.errors import TLSError
from handfast.sessions.keys import TicketKey, TicketKeyRing
from handfast.sessions.sealing import SealingKey
from handfast.sessions.session import CLOCKS, Session
from handfast.testing.pairs import EntropyForTests
from handfast.transport.stores.file import FileSessions
from handfast.transport.stores.shared import Shared
from handfast.transport.stores.shared_guard import RedisReplayGuard
from handfast.transport.stores.shared_keys import RedisKeyRing
from handfast.transport.stores.shared_states import RedisStore
from handfast.wire.codepoints import ProtocolVersion

STATE, FILE, ENTRIES, TICKET, OPENED, RING, KEY, REPLIES = range(8)
"""What an input is, by its first byte: a session's state; a file; its entries; a ticket; what a ticket is of; an exported ring;
what a key in it is of; the replies of a store (see :class:`Hostile`)."""

_MAGIC = b"handfast sessions 1\np"
_SECRET = bytes(range(32))


def run(data: bytes) -> None:
    """The first byte says what the rest is."""
    if data:
        _RUNS[data[0] % len(_RUNS)](data[1:])


# --- states


def run_state(data: bytes) -> None:
    """What decodes encodes to the same, and a client and a server can do with it whatever they do with sessions."""
    kept = Session.decode(data)
    if kept is None:
        return
    assert kept.encode() == data
    assert Session.decode(data) == kept
    assert kept.suite.name
    kept.peer()
    kept.age(NOW)
    come_back(kept)


def come_back(kept: Session) -> None:
    """A client that has this session, and a server that has it too: whatever is in it, nothing fails because of it."""
    config = ClientConfig(trust=trust(), clock=CLOCK, alpn=["h2"], entropy_for_tests=EntropyForTests("client"))
    version = "1.2" if kept.version == ProtocolVersion.TLS_1_2 else None
    server_config = ServerConfig(
        identities=[identity()], tickets=_Opening(kept), session_cache=_Opening(kept), early_data=sessions.Memory(),
        clock=CLOCK, alpn=["h2"], groups=["x25519"], entropy_for_tests=EntropyForTests("server"), max_version=version,
    )  # fmt: skip
    store = _Keeping(trust=config.trust_id)
    store.ours = replace(kept, trust=config.trust_id) if kept.trust == _TRUSTED else kept
    config = replace(config, sessions=store)
    client = ClientConnection(config, server_name=SERVER_NAME, early_data=sessions.EARLY)
    server = ServerConnection(server_config)
    client.start()
    server.start()
    _carry(client, server)
    for side in (client, server):
        assert side.handshake is not None, "a session that is of no use keeps a client away"
    if client.handshake is not None and client.handshake.resumed:
        assert kept.is_valid(NOW, CLOCKS)
        assert kept.server_name == SERVER_NAME


def _carry(client: Any, server: Any) -> None:
    """Bytes both ways, until neither side has more to say."""
    for _ in range(8):
        for here, there in ((client, server), (server, client)):
            try:
                for _event in here.events():
                    pass
            except TLSError as error:
                check_refusal(error)
                raise AssertionError(f"a session makes a connection fail: {error}") from error
            data = here.data_to_send()
            assert len(data) < 400_000
            if data:
                there.receive_data(data)


class _Keeping(sessions.Memory):
    """A SessionStore. What is made of a session with odd times may have odd times."""

    def put(self, kept: Session) -> None:
        assert Session.decode(kept.encode()) == kept, "a session that nobody can read"


class _Opening:
    """A TicketSealer and SessionCache that have one session."""

    def __init__(self, kept: Session) -> None:
        self._names = [name for name in (kept.ticket, kept.session_id) if name]
        self._state = replace(kept, trust=b"clients are not asked", ticket=b"", session_id=b"").encode()

    def seal(self, state: bytes, seconds: int) -> bytes:
        assert Session.decode(state) is not None, "a session that nobody can read"
        return b"another"

    def open(self, ticket: bytes) -> bytes | None:
        return self._state if ticket in self._names else None

    def store(self, session_id: bytes, state: bytes, seconds: int) -> None:
        assert Session.decode(state) is not None, "a session that nobody can read"

    def load(self, session_id: bytes) -> bytes | None:
        return self.open(session_id)


# In place of the client's trust in a state: what it stands on is right.
_TRUSTED = b"trusted"


# --- files


@cache
def _folder() -> Path:
    """Where the files are; it stays until the process ends."""
    return Path(_holder().name)


@cache
def _holder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="handfast-fuzz-")


def run_file(data: bytes) -> None:
    """A file with anything in it: it counts as empty, or is refused at once, or has sessions."""
    path = _folder() / "sessions"
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(data)
    warnings: list[str] = []
    store = None
    with may_refuse():
        store = FileSessions(path, clock=CLOCK, warn=warnings.append)
    if store is None:
        assert path.read_bytes() == data, "a file of another kind is lost"
        return
    taken = store.take(SERVER_NAME)
    assert taken is None or (taken.is_valid(NOW) and taken.server_name == SERVER_NAME)
    ours = sessions.session(b"good", trusted=b"ours")
    store.put(ours)
    assert store.take(SERVER_NAME) == ours
    assert not warnings, warnings
    assert "failed" not in store.counts


def run_entries(data: bytes) -> None:
    """The same with a beginning that is right."""
    run_file(_MAGIC + data)


# --- tickets and keys


def _ring() -> TicketKeyRing:
    ring = TicketKeyRing(clock=CLOCK, entropy_for_tests=EntropyForTests("ring"))
    ring.make_key()
    return ring


@cache
def _sealed() -> bytes:
    return _ring().seal(b"state", 3_600) or b""


@cache
def _exported() -> bytes:
    return _ring().export(_SECRET)


def run_ticket(data: bytes) -> None:
    """A ticket is one that was sealed, or opens to nothing."""
    ring = _ring()
    assert ring.open(data) == (b"state" if data == _sealed() else None)
    assert ring.open(data, b"elsewhere") is None
    assert len(ring.keys) == 1


def run_opened(data: bytes) -> None:
    """What was sealed comes back until it expires, whatever it is."""
    ring = _ring()
    [key] = ring.keys
    ticket = key.name + key._sealing.seal(data, key.name)
    expires = int.from_bytes(data[:8])
    state = ring.open(ticket)
    assert state == (data[8:] if expires > int(NOW.timestamp() * 1_000) else None)
    if state is not None:
        run_state(state)


def run_ring(data: bytes) -> None:
    """Keys from elsewhere are added all or not at all."""
    ring = TicketKeyRing(rotation=None, clock=CLOCK)
    with may_refuse():
        ring.load(data, _SECRET)
        assert len(ring.keys) <= len(data) // 64
        return
    assert not ring.keys


def run_key(data: bytes) -> None:
    """What is sealed as a key is one, or is refused; with any times the ring goes on."""
    under = SealingKey.of_secret(_SECRET, "ticket keys")
    key = TicketKey.opened(under.seal(data, b"handfast ticket keys 1\n"), under)
    if key is None:
        return
    assert TicketKey.opened(key.sealed(under), under).not_after == key.not_after  # type: ignore[union-attr]
    ring = TicketKeyRing(clock=CLOCK)
    ring.add(key)
    ticket = ring.seal(b"state", 60)
    assert ticket is not None
    assert ring.open(ticket) == b"state"


# --- a hostile store


class Hostile:
    """A client of a store that replies whatever an input says, and not for ever.

    Each reply is its kind, a length and so many bytes: nothing, a number, bytes, a list, a table, an error.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.commands = 0

    def execute_command(self, *command: Any) -> Any:
        """A reply."""
        self.commands += 1
        assert self.commands < 64, "a store is asked without end"
        return self._reply()

    def _reply(self) -> Any:
        kind, length = (*self._data[:2], 0, 0)[:2]
        content, self._data = self._data[2 : 2 + length], self._data[2 + length :]
        replies: list[Callable[[], Any]] = [
            lambda: None,
            lambda: int.from_bytes(content),
            lambda: content,
            lambda: [content[:16], content],
            lambda: {content[:16]: content, b"other": b""},
            lambda: _failing(content),
            lambda: "admitted",
            lambda: b"admitted",
            lambda: {content[:16]: None, None: content},
            lambda: {key.name: key.sealed(_under()) for key in _ring().keys},
            _sealed,  # of the fleet's key, and not for this place
        ]
        return replies[kind % len(replies)]()

    def close(self) -> None:
        """Nothing is open."""


def _under() -> SealingKey:
    return SealingKey.of_secret(_SECRET, "ticket keys")


def _failing(content: bytes) -> Any:
    raise ConnectionError(content.decode("latin-1"))


def run_replies(data: bytes) -> None:
    """Whatever it replies: states are none, tickets are ours, and nothing is raised."""
    seconds = [0.0]
    clock = Clock(wall=lambda: NOW + timedelta(seconds=seconds[0]), monotonic=lambda: seconds[0])
    client = Hostile(data)
    shared = Shared(client, clock=clock, warn=lambda text: None)
    ring = RedisKeyRing(shared, _SECRET, entropy_for_tests=EntropyForTests("fleet"))
    store, guard = RedisStore(shared, ring, entropy_for_tests=EntropyForTests("store")), RedisReplayGuard(shared)
    for _ in range(3):
        ticket = ring.seal(b"state", 60)
        assert ticket is None or isinstance(ticket, bytes)
        if ticket is not None:
            assert ring.open(ticket) == b"state"
        assert ring.open(b"x" * 64) is None
        named: Any = store.seal(b"state", 60)
        assert named is None or len(named) == 32
        assert store.open(b"name") is None, "a state that nobody has sealed"
        assert store.load(b"id") is None, "a state that nobody has sealed"
        store.store(b"id", b"state", 60)
        assert guard.admit(bytes(32), 20) in (True, False)
        seconds[0] += 61
    assert len(ring.keys) < 8
    kinds = len(guard.counts) + len(store.counts) + len(ring.counts) + len(shared.counts)
    assert kinds < 20, "a store decides on how much is counted"


_RUNS = (run_state, run_file, run_entries, run_ticket, run_opened, run_ring, run_key, run_replies)


# --- seeds


def kept_session(ticket: bytes) -> Session:
    """A session as a client keeps it."""
    chain = (leaf(SERVER_NAME, "root"),)
    return replace(sessions.session(ticket, trusted=_TRUSTED), chain=chain, path=chain, ticket=ticket)


def _states() -> dict[str, bytes]:
    found = {ticket.decode("ascii").replace(" ", "-"): kept_session(ticket).encode() for ticket in TICKETS}
    by_id = replace(kept_session(b"1.2"), ticket=b"", session_id=bytes(32))
    return {**found, "by-id": by_id.encode()}


def _seeds() -> Mapping[str, bytes]:
    states = _states()
    few = b"".join(len(state).to_bytes(3) + state for state in (states["good"], states["old"], states["1.2"]))
    later = (int(NOW.timestamp() * 1_000) + 1).to_bytes(8)
    key = bytes(48) + later + (1 << 62).to_bytes(8)
    replies = {
        "nothing": b"",
        "keys": b"\x09\0\x01\0\x02\x01a\x06\0\x07\0\x02\x08admitted",
        "moved": b"\x09\0\x01\0\x02\x01a" + 30 * b"\x0a\0",
        "planted": b"\x04\x20" + bytes(32) + b"\x02\x03abc" + b"\x08\x02xx\x03\0",
        "failing": b"\x05\x03why\x01\x01\x07",
    }
    return {
        **{f"state-{name}": bytes((STATE,)) + state for name, state in states.items()},
        "file": bytes((FILE,)) + _MAGIC + few,
        "file-encrypted": bytes((FILE,)) + _MAGIC[:-1] + b"e" + bytes(64),
        "entries": bytes((ENTRIES,)) + few,
        "ticket": bytes((TICKET,)) + _sealed(),
        "ticket-damaged": bytes((TICKET,)) + DAMAGED,
        "opened": bytes((OPENED,)) + later + states["good"],
        "ring": bytes((RING,)) + _exported(),
        "key": bytes((KEY,)) + key,
        **{f"replies-{name}": bytes((REPLIES,)) + data for name, data in replies.items()},
    }


def _mutate(data: bytes, limit: int, random: Random, change: Change) -> bytes:
    """Changes a part of a state and lets its length follow; else anything."""
    if not data or random.random() < 0.03:
        return bytes((random.randrange(len(_RUNS)),)) + data[1:]
    if data[0] % len(_RUNS) == STATE and random.random() < 0.7:
        kept = Session.decode(data[1:])
        if kept is not None:
            return _changed(kept, random, change, data)[:limit]
    return data[:1] + change(data[1:] or b"\0", max(1, limit - 1))


_NUMBERS = {"version": 2, "suite_id": 2, "issued": 8, "expires": 8, "group": 2, "scheme": 2}
_NUMBERS |= {"age_add": 4, "max_early_data": 4}
_TEXTS = {"secret": 255, "protocol": 255, "trust": 255, "ticket": 600, "session_id": 255}


def _changed(kept: Session, random: Random, change: Change, data: bytes) -> bytes:
    name = random.choice((*_NUMBERS, *_TEXTS, "path", "basis"))
    if name == "basis":
        shown = change(kept.basis.shown or b"\0", 255)
        value: Any = replace(kept.basis, verified=random.choice((0, kept.expires, random.getrandbits(64))), shown=shown)
    elif name == "path":
        value = tuple(change(der, 1_500) or b"\0" for der in kept.path)
    elif name in _NUMBERS:
        width = _NUMBERS[name]
        old = getattr(kept, name)
        limits = (0, 1, (1 << 8 * width) - 1, old + random.choice((-1, 1, 1_000)))
        value = random.choice((*limits, random.getrandbits(8 * width))) % (1 << 8 * width)
    else:
        value = change(getattr(kept, name) or b"\0", _TEXTS[name])
    changed = replace(kept, **{name: value})
    return data[:1] + changed.encode()


TARGETS = [Target("stored", run, _seeds, _mutate)]
