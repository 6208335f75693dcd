"""Connections: handshakes that are changed inside of the encryption, what comes after them, and changed bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random

from fuzz import play, recorded, steps, vectors
from fuzz.credentials import SERVER_NAME, rsa_leaf
from fuzz.peers import CLIENT_HELLO_WITH_EARLY_DATA, RETRY_REQUEST, message
from fuzz.peers12 import EC_CERTIFICATE, RESUMED
from fuzz.peers_back import EVERY, FULL, KEY_ALONE, LAST_KEY, LATE, OFFER, OFFER_EARLY, TICKETS_OF_13
from fuzz.play import ACT, ACTS, BOUND, KEYS, KINDS, MESSAGE, OWN, PIECES, RECORD, SPLIT, WIRE
from fuzz.recorded import ASK_FOR_KEYS, CHANGE_CIPHER_SPEC, CHANGE_CIPHER_SPEC_12, CLOSE_NOTIFY, DATA, EARLY_DATA
from fuzz.steps import Step
from fuzz.target import Change, Target
from handfast.wire.codepoints import HandshakeType
from handfast.wire.hello import ClientHello
from handfast.wire.messages12 import Certificate12

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
_OWN_12 = (
    H.HELLO_REQUEST,
    H.CLIENT_HELLO,
    H.SERVER_HELLO,
    H.CERTIFICATE,
    H.SERVER_KEY_EXCHANGE,
    H.CERTIFICATE_REQUEST,
    H.SERVER_HELLO_DONE,
    H.CLIENT_KEY_EXCHANGE,
    H.CERTIFICATE_VERIFY,
    H.FINISHED,
)
NO_CERTIFICATE = Step(MESSAGE, message(H.CERTIFICATE, bytes(3)))
RSA_CERTIFICATE = Step(MESSAGE, Certificate12([rsa_leaf(SERVER_NAME, "root")]).encode())

# Steps for both versions, and for one of them.
_ANY = [
    *(Step(ACT, bytes((number,))) for number in range(len(ACTS))),
    *recorded.in_pieces(1),
    *recorded.in_pieces(100),
    CHANGE_CIPHER_SPEC,
    CLOSE_NOTIFY,
    DATA,
    Step(RECORD, b"\x15\0\x01\x5a"),
    Step(RECORD, b"\x17\0"),
    Step(RECORD, b"\x16\0\x14"),
    Step(MESSAGE, message(H.HELLO_REQUEST)),
]
_STOCK = [
    *_ANY,
    *recorded.own(*_OWN),
    *(Step(KEYS, bytes((number,))) for number in range(len(play.EPOCHS))),
    EARLY_DATA,
    ASK_FOR_KEYS,
    Step(MESSAGE, message(H.END_OF_EARLY_DATA)),
]
_STOCK_12 = [
    *_ANY,
    *recorded.own(*_OWN_12),
    *(Step(KEYS, bytes((play.EPOCHS.index(epoch),))) for epoch in ("", "application")),
    *recorded.own(RESUMED, EC_CERTIFICATE),
    NO_CERTIFICATE,
    RSA_CERTIFICATE,
    CHANGE_CIPHER_SPEC_12,
    EARLY_DATA,
    Step(RECORD, b"\x15\0\x01\x64"),
]
_OFFERS = [first + place for first in (OFFER, OFFER_EARLY) for place in range(EVERY + 1)]
_STOCK_BACK = [
    *_STOCK,
    *recorded.own(*_OFFERS, FULL, KEY_ALONE, LAST_KEY, LATE),
    *(Step(MESSAGE, ticket) for ticket in TICKETS_OF_13),
    *recorded.END_OF_EARLY_DATA,
]
_STOCK_BACK_12 = [*_STOCK_12, *recorded.own(*_OFFERS, FULL, H.NEW_SESSION_TICKET)]


def _inside(step: Step, limit: int, random: Random, change: Change) -> Step:
    return _changed(step, limit, random, change, 0)


def _inside_12(step: Step, limit: int, random: Random, change: Change) -> Step:
    return _changed(step, limit, random, change, vectors.OF_12)


def _changed(step: Step, limit: int, random: Random, change: Change, version: int) -> Step:
    """``version``: 0, or OF_12, for what the messages look like."""
    kind, content = step.kind % KINDS, step.content
    if kind in (MESSAGE, BOUND) and len(content) >= 4 and random.random() < 0.95:
        # With a length that is wrong a message ends the handshake at once, or never.
        body = vectors.mutated(content[0] | version, content[4:], max(1, min(limit, 0xFFFF) - 4), random, change)
        return Step(kind, message(content[0], body))
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
        literal = [_literal(step, next(said, b"")) if step.kind in _SAYING else step for step in honest]
        found[f"whole-{name}-literal"] = steps.encode(settings, literal)
    if side == "server":
        early = recorded.early_handshakes().items()
        found.update({f"whole-{name}-early": steps.encode(settings, played) for name, (settings, played) in early})
    settings, honest = recorded.handshakes(side)["default"]
    found["whole-pieces"] = steps.encode(settings, [*recorded.in_pieces(7), *honest])
    after = recorded.AFTER[side].items()
    found.update({f"then-{name}": steps.encode(settings, [*honest, *more]) for name, more in after})
    return found


_SAYING = (OWN, MESSAGE, BOUND)


def _literal(step: Step, raw: bytes) -> Step:
    """The message itself, unless what is in it depends on all that came before."""
    depends = raw[:1] in (b"", b"\x0c", b"\x0f", b"\x14")  # ServerKeyExchange, CertificateVerify, Finished
    bound = raw[:1] == b"\x01" and ClientHello.parse(raw).pre_shared_key is not None
    return step if depends else Step(BOUND if bound else MESSAGE, raw)


# --- after the handshake


def _sides(settings: int) -> tuple[str, int, list[Step]]:
    """From one number: which side is under test, its configuration, the honest handshake with it, of either version."""
    side = "server" if settings & 1 else "client"
    honest = [
        (version, number, handshake)
        for version in (side, f"{side}_12", f"{side}_back", f"{side}_back_12")
        for number, handshake in recorded.handshakes(version).values()
    ]
    return honest[(settings >> 1) % len(honest)]


def _settings(side: str) -> list[int]:
    """The numbers that stand for the configurations of a side."""
    found = [settings for settings in range(_SETTINGS) if _sides(settings)[0] == side]
    return found[: len(recorded.handshakes(side))]


_SETTINGS = 64  # more than there are


def run_established(data: bytes) -> None:
    """What may come once the handshake is complete, of which the lowest bit of the settings says the side."""
    settings, more = steps.decode(data)
    side, number, handshake = _sides(settings)
    player = play.player(side, number)
    player.play(handshake)
    if player.failure is None:
        player.play(more)


def _established_seeds() -> Mapping[str, bytes]:
    return {
        f"{side}-{name}": steps.encode(settings, more)
        for side in recorded.SIDES
        for settings, (name, more) in zip(_settings(side), recorded.AFTER[side].items(), strict=False)
    }


# --- changed bytes


def run_stream(data: bytes) -> None:
    """Bytes of the wire as they come: the first byte says to whom, the second in which pieces."""
    side, number, _ = _sides(data[0] if data else 0)
    pieces = Step(PIECES, data[1:2])
    play.player(side, number).play([pieces, Step(WIRE, data[2:]), recorded.act("_end")])


def _stream_seeds() -> Mapping[str, bytes]:
    return {
        f"{side}-{name}": bytes((settings, 0)) + recorded.streams()[f"{side}_{name}"]
        for side in recorded.SIDES
        for settings, name in zip(_settings(side), recorded.handshakes(side), strict=True)
    }


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


def _of_version(side: str, inside: steps.Inside, stock: list[Step]) -> Target:
    mutate = steps.mutator(inside, stock, len(play.CONFIGURATIONS[side]))
    return Target(side, _handshake(side), lambda: _seeds(side), mutate, max_length=8192)


TARGETS = [
    _of_version("client", _inside, _STOCK),
    _of_version("server", _inside, _STOCK),
    _of_version("client_12", _inside_12, _STOCK_12),
    _of_version("server_12", _inside_12, _STOCK_12),
    _of_version("client_back", _inside, _STOCK_BACK),
    _of_version("server_back", _inside, _STOCK_BACK),
    _of_version("client_back_12", _inside_12, _STOCK_BACK_12),
    _of_version("server_back_12", _inside_12, _STOCK_BACK_12),
    Target(
        "established",
        run_established,
        _established_seeds,
        steps.mutator(_inside, [*_STOCK_BACK, *_STOCK_12], _SETTINGS),
    ),
    Target("stream", run_stream, _stream_seeds, _mutate_stream, max_length=8192),
]
