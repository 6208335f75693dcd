"""Every parser of wire/: it gives a message or refuses, and what it gives encodes to the same message."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

from fuzz import recorded, vectors
from fuzz.target import Change, Target, fields, may_refuse
from handfast.errors import TLSError
from handfast.wire import alert, hello, messages12, messages13
from handfast.wire.alert import Alert
from handfast.wire.codepoints import HandshakeType

KINDS: dict[int, Any] = {
    kind.TYPE: kind
    for module in (hello, messages13)
    for kind in vars(module).values()
    if hasattr(kind, "TYPE") and hasattr(kind, "parse")
}
"""The classes of handshake messages, by HandshakeType."""

# Those with a target of their own; the others are of a few bytes, and share one.
_LARGE = (
    HandshakeType.CLIENT_HELLO,
    HandshakeType.SERVER_HELLO,
    HandshakeType.ENCRYPTED_EXTENSIONS,
    HandshakeType.CERTIFICATE_REQUEST,
    HandshakeType.CERTIFICATE,
    HandshakeType.NEW_SESSION_TICKET,
)
_SMALL = [0, *sorted(set(KINDS) - set(_LARGE))]  # 0 stands for an alert


def check_message(kind: Any, body: bytes) -> None:
    """Parse a message with this body. The header is always right: nothing reaches a parser before that is checked."""
    raw = bytes((kind.TYPE,)) + len(body).to_bytes(3) + body
    message = None
    with may_refuse():
        message = kind.parse(raw)
    if message is None:
        return
    assert message.raw == raw
    if hasattr(message, "encode"):
        check_encoding(message, raw)


def check_encoding(message: Any, raw: bytes) -> None:
    """A message that parsed encodes to what came, but for what nobody needs: what padding was filled with, and
    whether a hello's empty block was there at all."""
    encoded = message.encode()
    try:
        again = type(message).parse(encoded)
    except TLSError as error:
        raise AssertionError(f"we would refuse it from ourselves: {error}") from error
    assert fields(again) == fields(message)
    if len(encoded) == len(raw):
        assert encoded == raw or getattr(message, "padding", None) is not None
    else:
        assert isinstance(message, hello.ClientHello | hello.ServerHello)
        assert encoded[4:] == raw[4:] + b"\0\0"


def _target(kind: Any) -> Target:
    def run(data: bytes) -> None:
        check_message(kind, data)

    def seeds() -> Mapping[str, bytes]:
        return {name: raw[4:] for name, raw in recorded.messages() if raw[0] == kind.TYPE}

    return Target(_snake(kind.NAME), run, seeds, vectors.mutator(kind.TYPE))


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).strip("_")


# --- the small ones


def run_small(data: bytes) -> None:
    """The first byte says which message, the rest is its body."""
    kind = _SMALL[data[0] % len(_SMALL)] if data else 0
    if kind:
        check_message(KINDS[kind], data[1:])
        return
    with may_refuse():
        parsed = Alert.parse(memoryview(data[1:]))
        assert parsed.encode() == data[1:]
        assert parsed.name


def _small_seeds() -> Mapping[str, bytes]:
    found = {name: bytes((_SMALL.index(raw[0]),)) + raw[4:] for name, raw in recorded.messages() if raw[0] in _SMALL}
    return {**found, "alert": bytes((0, alert.FATAL, 40))}


def _mutate_small(data: bytes, limit: int, random: Random, change: Change) -> bytes:
    if not data or random.random() < 0.1:
        return bytes((random.randrange(len(_SMALL)),)) + data[1:]
    kind = _SMALL[data[0] % len(_SMALL)]
    return data[:1] + vectors.mutated(kind, data[1:], max(1, limit - 1), random, change)


# --- those of TLS 1.2

# The first byte of an input is a place in this list: what is new goes to its end.
OF_12: tuple[Any, ...] = (
    messages12.Certificate12,
    messages12.ServerKeyExchange,
    messages12.CertificateRequest12,
    messages12.ServerHelloDone,
    messages12.ClientKeyExchange,
    messages12.CertificateVerify12,
    messages12.Finished12,
    messages12.HelloRequest,
    messages12.NewSessionTicket12,
)
_TYPES_12 = [kind.TYPE for kind in OF_12]


def run_12(data: bytes) -> None:
    """The first byte says which message, the rest is its body."""
    if data:
        check_message(OF_12[data[0] % len(OF_12)], data[1:])


def _seeds_12() -> Mapping[str, bytes]:
    said = [item for side in recorded.SIDES if side.endswith("_12") for item in recorded.said(side)]
    of_12 = {raw: name for name, raw in said if raw[0] in _TYPES_12}
    of_12[bytes((HandshakeType.HELLO_REQUEST, 0, 0, 0))] = "hello_request"
    return {name: bytes((_TYPES_12.index(raw[0]),)) + raw[4:] for raw, name in of_12.items()}


def _mutate_12(data: bytes, limit: int, random: Random, change: Change) -> bytes:
    if not data or random.random() < 0.05:
        return bytes((random.randrange(len(OF_12)),)) + data[1:]
    kind = _TYPES_12[data[0] % len(OF_12)] | vectors.OF_12
    return data[:1] + vectors.mutated(kind, data[1:], max(1, limit - 1), random, change)


TARGETS = [
    *(_target(KINDS[kind]) for kind in _LARGE),
    Target("small_messages", run_small, _small_seeds, _mutate_small, max_length=1024),
    Target("messages_12", run_12, _seeds_12, _mutate_12),
]
