"""Plays a conversation with a connection: what a peer says, in which pieces, and what our application does meanwhile."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from fuzz import sessions
from fuzz.credentials import CLOCK, SERVER_NAME, identity, known, trust
from fuzz.peers import Client, Peer, Server
from fuzz.peers12 import Client12, Server12
from fuzz.peers_back import ClientBack, ClientBack12, ServerBack, ServerBack12
from fuzz.sessions import Memory
from fuzz.steps import Step, pieces
from fuzz.target import check_refusal
from handfast.config import ClientConfig, ServerConfig
from handfast.connection import ClientConnection, Connection, ServerConnection
from handfast.crypto.groups import GROUPS
from handfast.errors import TLSError
from handfast.events import Handshake, HandshakeCompleted
from handfast.handshake.flow import Question
from handfast.insecure import NoVerification
from handfast.record.framing import CIPHERTEXT_LIMIT, HEADER_LENGTH
from handfast.testing.pairs import EntropyForTests
from handfast.wire.codepoints import ContentType, NamedGroup

MESSAGE, OWN, RECORD, WIRE, PIECES, KEYS, ACT, SPLIT, BOUND = range(9)
"""The kinds of steps.

MESSAGE  a handshake message, as the content has it
OWN      the message of the type that the first byte names, as it should be; what follows is put in its place: an offset
         (2 bytes), how many bytes go, and the bytes that come
RECORD   a record: content type, length of the padding, content. A ChangeCipherSpec changes the peer's keys in TLS 1.2
WIRE     bytes as they are
PIECES   from here on the connection gets all bytes in pieces of this size; 0 is for one piece
KEYS     which keys the peer writes with from now on, see EPOCHS
ACT      what our application does, see ACTS
SPLIT    from here on a message is sent in records of this size; 0 is for one record
BOUND    a handshake message like MESSAGE, but what in it depends on the rest is made right: binders, a signature
"""
KINDS = 9

EPOCHS = ("", "handshake", "application", "next", "early")

# Far more than any handshake needs: what a peer makes us send, besides what our application sends itself.
OUTPUT = 40_000
_HELD = CIPHERTEXT_LIMIT + HEADER_LENGTH


def _send(connection: Connection) -> None:
    connection.send(b"data" * 10)


def _update(connection: Any) -> None:
    connection.update_keys()


def _update_both(connection: Any) -> None:
    connection.update_keys(request_peer=True)


def _export(connection: Any) -> None:
    assert len(connection.export_keying_material("EXPORTER-fuzz", 32, b"context")) == 32
    assert connection.channel_binding()


def _close(connection: Connection) -> None:
    connection.close()


def _end(connection: Connection) -> None:
    connection.receive_eof()


def _time_out(connection: Connection) -> None:
    connection.handle_timeout()


ACTS: list[Callable[[Any], None]] = [_send, _close, _end, _time_out, _export, _update, _update_both]

_BASE: dict[str, Any] = {"clock": CLOCK, "alpn": ["h2", "http/1.1"], "groups": ["x25519", "secp256r1"]}
_OTHER_GROUPS = [NamedGroup.name(group) for group in GROUPS if group != NamedGroup.X25519MLKEM768]

CLIENTS: dict[str, dict[str, Any]] = {
    "default": {},
    "identity": {"identities": [identity("client.example")]},
    "unverified": {"verifier": NoVerification()},
    "small": {"record_size_limit": 64, "record_padding": 32, "middlebox_compatibility": False, "alpn": []},
    "hybrid": {"groups": ["X25519MLKEM768", "x25519", "secp256r1"]},
    "groups": {"groups": _OTHER_GROUPS, "key_shares": ["x25519", "secp256r1"], "certificate_authorities": True},
    "no-share": {"key_shares": [], "groups": ["secp256r1", "x25519"]},
}
SERVERS: dict[str, dict[str, Any]] = {
    "default": {},
    "required": {"client_authentication": "required", "client_trust": trust()},
    "optional": {"client_authentication": "optional", "client_trust": trust(), "suite_order": "client"},
    "retry": {"retry": "always", "cookie_key": bytes(32)},
    "cookie": {
        "groups": ["secp256r1"],
        "cookie_key": bytes(32),
        "client_authentication": "required",
        "client_trust": trust(),
    },
    "small": {"record_size_limit": 64, "record_padding": 32, "unknown_names": "refuse"},
    "groups": {"groups": _OTHER_GROUPS, "on_client_hello": lambda hello: None},
}
_CHACHA20 = ["TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "TLS_CHACHA20_POLY1305_SHA256"]
_AES_256 = ["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"]
_CCM_8 = ["TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8"]
CLIENTS_12: dict[str, dict[str, Any]] = {
    "default": {},
    "only": {"max_version": "1.2", "cipher_suites": _CHACHA20, "check_peer": lambda peer: None},
    "identity": {"choose_identity": lambda request: identity("client.example"), "cipher_suites": _AES_256},
    "unverified": {
        "verifier": NoVerification(),
        "groups": ["secp256r1"],
        "max_version": "1.2",
        "identities": [identity("client.example")],
    },
    "small": {"record_size_limit": 64, "cipher_suites": _CCM_8, "alpn": []},
}
SERVERS_12: dict[str, dict[str, Any]] = {
    "default": {},
    "only": {
        "max_version": "1.2",
        "cipher_suites": _CHACHA20,
        "groups": ["secp256r1"],
        "choose_identity": lambda hello: None,
    },
    "required": {
        "client_authentication": "required",
        "client_trust": trust(),
        "cipher_suites": _AES_256,
        "check_peer": lambda peer: None,
    },
    "optional": {"client_authentication": "optional", "client_trust": trust(), "suite_order": "client"},
    "small": {"record_size_limit": 64, "unknown_names": "refuse", "cipher_suites": _CCM_8},
}
CONFIGURATIONS = {
    "client": CLIENTS,
    "server": SERVERS,
    "client_12": CLIENTS_12,
    "server_12": SERVERS_12,
    **sessions.CONFIGURATIONS,
}
"""The configurations that are played with, by the side under test and the version that its peer speaks, TLS 1.3 or 1.2; the
side itself may speak both. What this version of handfast does not have is left out."""

_PEERS: dict[str, type[Peer]] = {
    "client": Server,
    "server": Client,
    "client_12": Server12,
    "server_12": Client12,
    "client_back": ServerBack,
    "server_back": ClientBack,
    "client_back_12": ServerBack12,
    "server_back_12": ClientBack12,
}


# What has to have come, by HandshakeType, when the handshake is complete: nothing may be left out. In the order of RFC 9846
# section 2, and of RFC 5246 section 7.3.
_ORDER = {
    "client": re.compile(rb"\x02?\x02\x08\x0d?\x0b\x0f\x14"),
    "server": re.compile(rb"\x01\x01?\x14"),
    "client_12": re.compile(rb"\x02\x0b\x0c\x0d?\x0e\x14"),
    "server_12": re.compile(rb"\x01\x10\x14"),
    "client_back": re.compile(rb"\x02?\x02\x08\x0d?\x0b\x0f\x14"),
    "server_back": re.compile(rb"\x01\x01?\x14"),
    "client_back_12": re.compile(rb"\x02\x0b\x0c\x0d?\x0e\x04?\x14"),
    "server_back_12": re.compile(rb"\x01\x10\x14"),
}
_ORDER_RESUMED = {
    "client_back": re.compile(rb"\x02?\x02\x08\x14"),
    "server_back": re.compile(rb"\x01\x01?\x05?\x14"),
    "client_back_12": re.compile(rb"\x02\x04?\x14"),
    "server_back_12": re.compile(rb"\x01\x14"),
}
_ORDER_OF = {
    ("server", "required"): re.compile(rb"\x01\x01?\x0b\x0f\x14"),
    ("server", "optional"): re.compile(rb"\x01\x01?\x0b\x0f?\x14"),
    ("server", "retry"): re.compile(rb"\x01\x01\x14"),
    ("server", "cookie"): re.compile(rb"\x01\x01?\x0b\x0f\x14"),
    ("server_back", "required"): re.compile(rb"\x01\x01?\x0b\x0f\x14"),
    ("server_back", "retry"): re.compile(rb"\x01\x01\x14"),
    ("server_back_12", "required"): re.compile(rb"\x01\x0b\x10\x0f\x14"),
    ("server_12", "required"): re.compile(rb"\x01\x0b\x10\x0f\x14"),
    ("server_12", "optional"): re.compile(rb"\x01\x0b\x10\x0f?\x14"),
}


def check_complete(types: bytes, side: str, name: str, *, resumed: bool = False) -> None:
    """That these messages may lead to a complete handshake with this side, configured by this name."""
    order = _ORDER_RESUMED[side] if resumed else _ORDER_OF.get((side, name), _ORDER[side])
    assert order.match(types), f"complete after {types.hex(' ')}"


def types_of(stream: bytes) -> bytes:
    """The types of the messages in a stream of them."""
    found = bytearray()
    at = 0
    while at + 4 <= len(stream):
        found.append(stream[at])
        at += 4 + int.from_bytes(stream[at + 1 : at + 4])
    return bytes(found)


def connection(side: str, name: str, memory: Memory | None = None) -> Connection:
    """A connection that has been started, of this side and with the configuration of this name.

    ``memory``  what it has of sessions, for those that have some
    """
    settings = {**_BASE, **CONFIGURATIONS[side][name]}
    memory = memory or Memory()
    if side in sessions.CONFIGURATIONS:
        settings = memory.settings(settings)
    started: Connection
    if side.startswith("client"):
        config = ClientConfig(
            **known(ClientConfig, trust=trust(), **settings), entropy_for_tests=EntropyForTests("client")
        )
        memory.use(config, settings)
        started = ClientConnection(config, server_name=SERVER_NAME, early_data=memory.early)
    else:
        settings = known(ServerConfig, **{"identities": [identity()], **settings})
        server_config = ServerConfig(**settings, entropy_for_tests=EntropyForTests("server"))
        memory.use(server_config, settings)
        started = ServerConnection(server_config)
    started.start()
    return started


def player(side: str, number: int) -> Player:
    """A player for one of the sides of CONFIGURATIONS, with one of its configurations."""
    names = list(CONFIGURATIONS[side])
    return Player(side, names[number % len(names)])


class Player:
    """Plays steps to a connection, and holds after each what has to hold.

    ``wire``      all that the peer has sent
    ``messages``  the handshake messages that it has sent
    ``failure``   the error that the connection ended with, None if it has not
    """

    def __init__(self, side: str, name: str) -> None:
        """See :func:`connection`."""
        self._configuration = side, name
        self.memory = Memory()
        self.connection = connection(side, name, self.memory)
        self.peer = _PEERS[side](self.connection)
        self.failure: TLSError | None = None
        self.wire = b""
        self.messages: list[bytes] = []
        self._piece = 0
        self._record = 0
        self._events = 0
        self._output = 0
        self._acts = 0
        self._messages_only = True  # no handshake message has been sent otherwise than as a message

    def play(self, steps: Sequence[Step]) -> None:
        """All steps, or those until the connection fails."""
        for step in steps:
            self._play(step)
            if self.failure is not None:
                break
        self._check_end()

    def _play(self, step: Step) -> None:
        kind, content = step.kind % KINDS, step.content
        first = content[0] if content else 0
        if kind == MESSAGE:
            self._say(content)
        elif kind == OWN:
            self._say(self.peer.mended(_edited(self.peer.own(first), content[1:])))
        elif kind == BOUND:
            self._say(self.peer.mended(content))
        elif kind == RECORD:
            self._messages_only &= first != ContentType.HANDSHAKE
            self._deliver(self.peer.record(first, content[2:], content[1] if len(content) > 1 else 0))
        elif kind == WIRE:
            self._messages_only = False
            self._deliver(content)
        elif kind == PIECES:
            self._piece = first
        elif kind == KEYS:
            epoch = EPOCHS[first % len(EPOCHS)]
            self.peer.use_next() if epoch == "next" else self.peer.use(epoch)
        elif kind == ACT:
            self._act(ACTS[first % len(ACTS)])
        else:
            self._record = first

    def _say(self, raw: bytes) -> None:
        if not raw:
            return
        self.messages.append(raw)
        records = [self.peer.record(ContentType.HANDSHAKE, piece) for piece in pieces(raw, self._record)]
        self.peer.said(raw)
        self._deliver(b"".join(records))

    def _act(self, act: Callable[[Any], None]) -> None:
        self._acts += 1
        try:
            act(self.connection)
            self.memory.check_act(act is _send)
        except AttributeError:
            if hasattr(self.connection, "update_keys"):
                raise
        except TLSError as error:  # MisuseError, mostly: not now
            check_refusal(error)
        self._deliver(b"")

    def _deliver(self, data: bytes) -> None:
        self.wire += data
        try:
            for piece in pieces(data, self._piece) if data else (b"",):
                self.connection.receive_data(piece)
                for event in self.connection.events():
                    assert not isinstance(event, Question), "all questions have their answers here"
                    self._events += 1
                    self.memory.check(event)
                    if isinstance(event, HandshakeCompleted):
                        self._check_completed(event.handshake)
                assert self.connection._layer.held < _HELD, "whole records are held"
        except TLSError as error:
            check_refusal(error)
            self.failure = error
        self._output += len(self.peer.hear())
        assert self._output <= OUTPUT + 512 * self._acts, "a peer makes us send without end"
        assert self._events <= 4 + len(self.wire) // HEADER_LENGTH, "more events than records"

    def _check_completed(self, facts: Handshake) -> None:
        side, name = self._configuration
        self.memory.check_facts(facts, is_server=side.startswith("server"))
        if self._messages_only:
            check_complete(types_of(b"".join(self.messages)), side, name, resumed=facts.resumed)
            assert self.peer.writing is not None, "complete without encryption"

    def _check_end(self) -> None:
        """RFC 9846 section 6.2: nothing is sent or received after an alert, and the reason stays the same."""
        connection, error = self.connection, self.failure
        assert connection.failed == (error is not None)
        if error is None:
            return
        for again in (lambda: connection.receive_data(b"\x17\x03\x03\0\0"), connection.next_event):
            later = _refused(again)
            assert later is not None, "a connection that has failed goes on"
            assert later.reason is error.reason
        assert not connection.data_to_send()


def _refused(call: Callable[[], Any]) -> TLSError | None:
    """The TLSError that a call ends with."""
    try:
        call()
    except TLSError as error:
        return error
    return None


def _edited(raw: bytes, edits: bytes) -> bytes:
    """A message with a part of it replaced; its length follows."""
    if len(edits) < 3:
        return raw
    at = 4 + int.from_bytes(edits[:2]) % max(1, len(raw) - 4)
    body = raw[4:at] + edits[3:] + raw[at + edits[2] :]
    return raw[:1] + len(body).to_bytes(3) + body
