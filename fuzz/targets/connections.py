"""Connections: handshakes that are changed inside of the encryption, what comes after them, and changed bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random

from fuzz import play, recorded, steps, vectors
from fuzz.peers import CLIENT_HELLO_WITH_EARLY_DATA, RETRY_REQUEST, message
from fuzz.play import ACT, ACTS, KEYS, KINDS, MESSAGE, OWN, PIECES, RECORD, SPLIT, WIRE
from fuzz.recorded import ASK_FOR_KEYS, CHANGE_CIPHER_SPEC, CLOSE_NOTIFY, DATA, EARLY_DATA
from fuzz.steps import Step
from fuzz.target import Change, Target
from handfast.wire.codepoints import HandshakeType

H = HandshakeType

_OWN = (
    H.CLIENT_HELLO,
    CLIENT_HELLO_WITH_EARLY_DATA,
    H.SERVER_HELLO,
    RETRY_REQUEST,
    H.ENCRYPTED_EXTENSIONS,
    H.CERTIFICATE_REQUEST,
    H.CERTIFICATE,
    H.CERTIFICATE_VERIFY,
    H.FINISHED,
    H.NEW_SESSION_TICKET,
    H.KEY_UPDATE,
)
_STOCK = [
    *recorded.own(*_OWN),
    *(Step(ACT, bytes((number,))) for number in range(len(ACTS))),
    *(Step(KEYS, bytes((number,))) for number in range(len(play.EPOCHS))),
    *recorded.in_pieces(1),
    *recorded.in_pieces(100),
    CHANGE_CIPHER_SPEC,
    EARLY_DATA,
    CLOSE_NOTIFY,
    DATA,
    ASK_FOR_KEYS,
    Step(RECORD, b"\x15\0\x01\x5a"),
    Step(RECORD, b"\x17\0"),
    Step(RECORD, b"\x16\0\x14"),
    Step(MESSAGE, message(H.HELLO_REQUEST)),
    Step(MESSAGE, message(H.END_OF_EARLY_DATA)),
]


def _inside(step: Step, limit: int, random: Random, change: Change) -> Step:
    kind, content = step.kind % KINDS, step.content
    if kind == MESSAGE and len(content) >= 4 and random.random() < 0.95:
        # With a length that is wrong a message ends the handshake at once, or never.
        body = vectors.mutated(content[0], content[4:], max(1, min(limit, 0xFFFF) - 4), random, change)
        return Step(MESSAGE, message(content[0], body))
    if kind == OWN and random.random() < 0.7:
        edit = random.randrange(400).to_bytes(2) + bytes((random.choice((0, 1, 1, 2, 4, 32)),))
        return Step(OWN, content[:1] + edit + random.randbytes(random.choice((0, 1, 1, 2, 4, 32))))
    if kind in (ACT, KEYS, PIECES, SPLIT):
        return Step(kind, bytes((random.randrange(256),)))
    if kind == RECORD and len(content) > 2 and random.random() < 0.7:
        return Step(RECORD, content[:2] + change(content[2:], max(1, limit - 2)))
    return Step(kind, change(content or b"\0", limit))


# --- whole handshakes


def _handshake(side: str) -> Callable[[bytes], None]:
    def run(data: bytes) -> None:
        settings, played = steps.decode(data)
        play.player(side, settings).play(played)

    return run


def _seeds(side: str) -> Mapping[str, bytes]:
    """Each handshake by the peer's own messages, and with the messages as they are; only the first follow changes."""
    found = {}
    for name, (settings, honest) in recorded.handshakes(side).items():
        found[f"whole-{name}"] = steps.encode(settings, honest)
        said = iter(recorded.played(side, name).messages)
        literal = [_literal(step, next(said, b"")) if step.kind in (OWN, MESSAGE) else step for step in honest]
        found[f"whole-{name}-literal"] = steps.encode(settings, literal)
    if side == "server":
        early = recorded.early_handshakes().items()
        found.update({f"whole-{name}-early": steps.encode(settings, played) for name, (settings, played) in early})
    settings, honest = recorded.handshakes(side)["default"]
    found["whole-pieces"] = steps.encode(settings, [*recorded.in_pieces(7), *honest])
    after = recorded.AFTER_OF_CLIENT if side == "client" else recorded.AFTER_OF_SERVER
    found.update({f"then-{name}": steps.encode(settings, [*honest, *more]) for name, more in after.items()})
    return found


def _literal(step: Step, raw: bytes) -> Step:
    """The message itself, unless what is in it depends on all that came before."""
    return step if raw[:1] in (b"", b"\x0f", b"\x14") else Step(MESSAGE, raw)


# --- after the handshake


def _sides(settings: int) -> tuple[str, int, list[Step]]:
    """From one number: which side is under test, its configuration, the honest handshake with it."""
    side = "server" if settings & 1 else "client"
    honest = list(recorded.handshakes(side).values())
    number, handshake = honest[(settings >> 1) % len(honest)]
    return side, number, handshake


def run_established(data: bytes) -> None:
    """What may come once the handshake is complete, of which the lowest bit of the settings says the side."""
    settings, more = steps.decode(data)
    side, number, handshake = _sides(settings)
    player = play.player(side, number)
    player.play(handshake)
    if player.failure is None:
        player.play(more)


def _established_seeds() -> Mapping[str, bytes]:
    found = {}
    for bit, (side, after) in enumerate((("client", recorded.AFTER_OF_CLIENT), ("server", recorded.AFTER_OF_SERVER))):
        for number, (name, more) in enumerate(after.items()):
            found[f"{side}-{name}"] = steps.encode(bit | number << 1, more)
    return found


# --- changed bytes


def run_stream(data: bytes) -> None:
    """Bytes of the wire as they come: the first byte says to whom, the second in which pieces."""
    side, number, _ = _sides(data[0] if data else 0)
    pieces = Step(PIECES, data[1:2])
    play.player(side, number).play([pieces, Step(WIRE, data[2:]), recorded.act("_end")])


def _stream_seeds() -> Mapping[str, bytes]:
    found = {}
    for bit, side in enumerate(("client", "server")):
        for number, name in enumerate(recorded.handshakes(side)):
            found[f"{side}-{name}"] = bytes((bit | number << 1, 0)) + recorded.streams()[f"{side}_{name}"]
    return found


def _mutate_stream(data: bytes, limit: int, random: Random, change: Change) -> bytes:
    """Changes one record and lets its length follow, or the order of records, or anything."""
    at, records = 2, []
    while at + 5 <= len(data):
        stop = at + 5 + int.from_bytes(data[at + 3 : at + 5])
        records.append(data[at:stop])
        at = stop
    if not records or random.random() < 0.3:
        return change(data, limit)
    chosen = random.randrange(len(records))
    record = records[chosen]
    if random.random() < 0.3:
        records[chosen : chosen + 1] = random.choice(([], [record, record], [record, *records[:1]]))
    else:
        body = change(record[5:] or b"\0", max(1, min(0xFFFF, limit - len(data) + len(record))))
        records[chosen] = record[:3] + len(body).to_bytes(2) + body
    result = data[:2] + b"".join(records)
    return result if len(result) <= limit else change(data, limit)


TARGETS = [
    Target(
        "client",
        _handshake("client"),
        lambda: _seeds("client"),
        steps.mutator(_inside, _STOCK, len(play.CLIENTS)),
        max_length=8192,
    ),
    Target(
        "server",
        _handshake("server"),
        lambda: _seeds("server"),
        steps.mutator(_inside, _STOCK, len(play.SERVERS)),
        max_length=8192,
    ),
    Target("established", run_established, _established_seeds, steps.mutator(_inside, _STOCK, 16)),
    Target("stream", run_stream, _stream_seeds, _mutate_stream, max_length=8192),
]
