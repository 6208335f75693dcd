"""Honest conversations, each played once: what seeds are made of."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from fuzz import play
from fuzz.peers import CLIENT_HELLO_WITH_EARLY_DATA, RETRY_REQUEST, TICKET, Client, message
from fuzz.peers12 import EC_CERTIFICATE
from fuzz.peers_back import EVERY, FULL, LATE, OFFER, OFFER_EARLY, TICKETS_OF_13
from fuzz.play import ACT, ACTS, EPOCHS, KEYS, MESSAGE, OWN, PIECES, RECORD, SPLIT, WIRE, Player
from fuzz.sessions import IDENTITIES, IMPORTED
from fuzz.steps import Step
from handfast.wire.codepoints import ContentType, HandshakeType
from handfast.wire.hello import ClientHello

H = HandshakeType

_VECTORS = Path(__file__).parents[1] / "tests" / "vectors"


def own(*kinds: int) -> list[Step]:
    """The messages of these types, as they should be."""
    return [Step(OWN, bytes((kind,))) for kind in kinds]


def act(name: str) -> Step:
    """What our application does, by the name of its function."""
    return Step(ACT, bytes(([each.__name__ for each in ACTS].index(name),)))


CHANGE_CIPHER_SPEC = Step(WIRE, b"\x14\x03\x03\0\x01\x01")
CHANGE_CIPHER_SPEC_12 = Step(RECORD, bytes((ContentType.CHANGE_CIPHER_SPEC, 0, 1)))
CLOSE_NOTIFY = Step(RECORD, bytes((ContentType.ALERT, 0, 1, 0)))
DATA = Step(RECORD, bytes((ContentType.APPLICATION_DATA, 3)) + b"hello")
ASK_FOR_KEYS = Step(MESSAGE, message(H.KEY_UPDATE, b"\1"))

_IDENTITY = (H.CERTIFICATE, H.CERTIFICATE_VERIFY, H.FINISHED)
TO_CLIENT = own(H.SERVER_HELLO, H.ENCRYPTED_EXTENSIONS, *_IDENTITY)
ASKING = own(H.SERVER_HELLO, H.ENCRYPTED_EXTENSIONS, H.CERTIFICATE_REQUEST, *_IDENTITY)
RETRIED = [*own(RETRY_REQUEST), CHANGE_CIPHER_SPEC, *TO_CLIENT]
TO_SERVER = own(H.CLIENT_HELLO, H.FINISHED)
PROVEN = own(H.CLIENT_HELLO, *_IDENTITY)
NAMELESS = [*own(H.CLIENT_HELLO), Step(MESSAGE, message(H.CERTIFICATE, bytes(4))), *own(H.FINISHED)]
RETRIED_TO_SERVER = own(H.CLIENT_HELLO, H.CLIENT_HELLO, H.FINISHED)
RETRIED_AND_PROVEN = own(H.CLIENT_HELLO, H.CLIENT_HELLO, *_IDENTITY)

# A client that resumes, as it thinks, and sends data at once, which a server skips that takes none (section 4.3.10).
EARLY_DATA = Step(WIRE, b"\x17\x03\x03\0\x20" + bytes(range(32)))
OFFERING_EARLY_DATA = own(CLIENT_HELLO_WITH_EARLY_DATA)
EARLY = [*OFFERING_EARLY_DATA, EARLY_DATA, EARLY_DATA, *own(H.FINISHED)]
RETRIED_EARLY = [*OFFERING_EARLY_DATA, EARLY_DATA, *own(H.CLIENT_HELLO, H.FINISHED)]

# In TLS 1.2.
_HELLO_12 = (H.SERVER_HELLO, H.CERTIFICATE, H.SERVER_KEY_EXCHANGE)
_END_12 = [CHANGE_CIPHER_SPEC_12, *own(H.FINISHED)]
TO_CLIENT_12 = [*own(*_HELLO_12, H.SERVER_HELLO_DONE), *_END_12]
ASKING_12 = [*own(*_HELLO_12, H.CERTIFICATE_REQUEST, H.SERVER_HELLO_DONE), *_END_12]
TO_CLIENT_EC_12 = [
    *own(H.SERVER_HELLO, EC_CERTIFICATE, H.SERVER_KEY_EXCHANGE, H.CERTIFICATE_REQUEST, H.SERVER_HELLO_DONE),
    *_END_12,
]
TO_SERVER_12 = [*own(H.CLIENT_HELLO, H.CLIENT_KEY_EXCHANGE), *_END_12]
PROVEN_12 = [*own(H.CLIENT_HELLO, H.CERTIFICATE, H.CLIENT_KEY_EXCHANGE, H.CERTIFICATE_VERIFY), *_END_12]
NAMELESS_12 = [
    *own(H.CLIENT_HELLO),
    Step(MESSAGE, message(H.CERTIFICATE, bytes(3))),
    *own(H.CLIENT_KEY_EXCHANGE),
    *_END_12,
]

# With sessions: a server that resumes, and a client that does, by what it offers.
BACK_TO_CLIENT = own(H.SERVER_HELLO, H.ENCRYPTED_EXTENSIONS, H.FINISHED)
RETRIED_BACK = [*own(RETRY_REQUEST), CHANGE_CIPHER_SPEC, *BACK_TO_CLIENT]
EARLY_KEYS, HANDSHAKE_KEYS = (Step(KEYS, bytes((EPOCHS.index(epoch),))) for epoch in ("early", "handshake"))
AND_EARLY_DATA = [EARLY_KEYS, DATA, DATA]
END_OF_EARLY_DATA = [Step(MESSAGE, message(H.END_OF_EARLY_DATA)), HANDSHAKE_KEYS]


def offering(name: bytes | None, *, early: bool = False) -> list[Step]:
    """A ClientHello that offers this session or key; all of them for None. In TLS 1.2 "early" is by ID."""
    return own((OFFER_EARLY if early else OFFER) + (EVERY if name is None else IDENTITIES.index(name)))


TICKET_12 = own(H.NEW_SESSION_TICKET)
BACK_TO_CLIENT_12 = [*own(H.SERVER_HELLO), *TICKET_12, *_END_12]
WITH_TICKET_12 = [*own(*_HELLO_12, H.SERVER_HELLO_DONE), *TICKET_12, *_END_12]


AFTER_OF_CLIENT = {
    "tickets": own(H.NEW_SESSION_TICKET, H.NEW_SESSION_TICKET),
    "keys": [*own(H.KEY_UPDATE), DATA, ASK_FOR_KEYS, DATA, act("_send")],
    "data": [DATA, act("_send"), DATA, act("_close"), CLOSE_NOTIFY],
}
AFTER_OF_SERVER = {
    "keys": [*own(H.KEY_UPDATE), DATA, ASK_FOR_KEYS, ASK_FOR_KEYS, DATA],
    "own-keys": [act("_update_both"), *own(H.KEY_UPDATE), DATA, act("_update"), act("_send"), act("_export")],
    "data": [DATA, act("_send"), CLOSE_NOTIFY, act("_end")],
    "alert": [Step(RECORD, bytes((ContentType.ALERT, 1, 2, 80)))],
}

_SHARED_12 = {
    "data": [DATA, act("_send"), Step(RECORD, b"\x17\0"), DATA, act("_export"), act("_close"), CLOSE_NOTIFY],
    "warning": [Step(RECORD, b"\x15\0\x01\x5a"), DATA, CLOSE_NOTIFY, act("_end")],
    "alert": [Step(RECORD, bytes((ContentType.ALERT, 0, 2, 80)))],
}
AFTER_OF_CLIENT_12 = {**_SHARED_12, "renegotiation": [DATA, Step(MESSAGE, message(H.HELLO_REQUEST))]}
AFTER_OF_SERVER_12 = {**_SHARED_12, "renegotiation": [DATA, *own(H.CLIENT_HELLO)]}

_TICKETS = {
    "week": [
        Step(MESSAGE, TICKETS_OF_13[0]),
        Step(MESSAGE, TICKETS_OF_13[2]),
        *own(H.NEW_SESSION_TICKET),
        act("_send"),
    ],
    "too-long": [Step(MESSAGE, TICKETS_OF_13[1])],
}

# What comes after an honest handshake, by the side under test; "alert", "renegotiation" and "too-long" end it.
AFTER = {
    "client": AFTER_OF_CLIENT,
    "server": AFTER_OF_SERVER,
    "client_12": AFTER_OF_CLIENT_12,
    "server_12": AFTER_OF_SERVER_12,
    "client_back": {**AFTER_OF_CLIENT, **_TICKETS},
    "server_back": AFTER_OF_SERVER,
    "client_back_12": AFTER_OF_CLIENT_12,
    "server_back_12": AFTER_OF_SERVER_12,
}

# By the side under test, and its configuration.
_HONEST = {
    "client": {
        "default": TO_CLIENT,
        "identity": ASKING,
        "unverified": TO_CLIENT,
        "small": TO_CLIENT,
        "hybrid": RETRIED,
        "groups": TO_CLIENT,
        "no-share": RETRIED,
    },
    "server": {
        "default": TO_SERVER,
        "required": PROVEN,
        "optional": NAMELESS,
        "retry": RETRIED_TO_SERVER,
        "cookie": RETRIED_AND_PROVEN,
        "small": TO_SERVER,
        "groups": TO_SERVER,
    },
    "client_12": {
        "default": TO_CLIENT_12,
        "only": TO_CLIENT_12,
        "identity": ASKING_12,
        "unverified": TO_CLIENT_EC_12,
        "small": TO_CLIENT_12,
    },
    "server_12": {
        "default": TO_SERVER_12,
        "only": TO_SERVER_12,
        "required": PROVEN_12,
        "optional": NAMELESS_12,
        "small": TO_SERVER_12,
    },
    "client_back": {
        "default": BACK_TO_CLIENT,
        "no early data": BACK_TO_CLIENT,
        "keys": BACK_TO_CLIENT,
        "no share": RETRIED_BACK,
        "two hashes": RETRIED_BACK,
        "too much": BACK_TO_CLIENT,
        "old": TO_CLIENT,
        "other name": TO_CLIENT,
        "other trust": TO_CLIENT,
        "stolen": [*own(FULL, LATE), *TO_CLIENT[2:]],
    },
    "server_back": {
        "default": [
            *offering(b"good", early=True),
            *AND_EARLY_DATA,
            act("_send"),
            *END_OF_EARLY_DATA,
            *own(H.FINISHED),
        ],
        "replayed": [*offering(b"good", early=True), *AND_EARLY_DATA, HANDSHAKE_KEYS, *own(H.FINISHED)],
        "keys": [*offering(b"key"), *own(H.FINISHED)],
        "required": [*offering(b"client", early=True), *AND_EARLY_DATA, *END_OF_EARLY_DATA, *own(H.FINISHED)],
        "retry": [
            *offering(b"good", early=True),
            *AND_EARLY_DATA,
            Step(KEYS, b"\0"),
            *offering(b"good"),
            *own(H.FINISHED),
        ],
        "groups": [*offering(IMPORTED), *own(H.FINISHED)],
        "no early data": [*offering(b"other hash"), *own(H.FINISHED)],
        "small": [*offering(b"old"), *own(H.FINISHED)],
    },
    "client_back_12": {
        "default": BACK_TO_CLIENT_12,
        "by ID": [*own(H.SERVER_HELLO), *_END_12],
        "first": WITH_TICKET_12,
        "fallen back": WITH_TICKET_12,
        "old": WITH_TICKET_12,
        "stolen": [*own(FULL), *WITH_TICKET_12[1:]],
    },
    "server_back_12": {
        "default": [*offering(b"1.2"), *_END_12],
        "cache": [*offering(b"1.2", early=True), *_END_12],
        "no cache": [*offering(b"1.2 old"), *own(H.CLIENT_KEY_EXCHANGE), *_END_12],
        "required": [*offering(b"1.2 client"), *_END_12],
    },
}
SIDES = tuple(_HONEST)


# Further ones with servers.
_EARLY = {"default": EARLY, "retry": RETRIED_EARLY}


def early_handshakes() -> dict[str, tuple[int, list[Step]]]:
    """Handshakes with servers that early data comes with; the settings and the steps, by the configuration's name."""
    return {name: (list(play.SERVERS).index(name), steps) for name, steps in _EARLY.items()}


def handshakes(side: str) -> dict[str, tuple[int, list[Step]]]:
    """Honest handshakes with one of SIDES: the settings and the steps, by the configuration's name."""
    known = list(play.CONFIGURATIONS[side])
    return {name: (known.index(name), steps) for name, steps in _HONEST[side].items()}


@cache
def played(side: str, name: str) -> Player:
    """An honest handshake, played."""
    settings, steps = handshakes(side)[name]
    player = play.player(side, settings)
    player.play(steps)
    return player


_HELLOS = (H.CLIENT_HELLO, H.SERVER_HELLO)


@cache
def messages() -> list[tuple[str, bytes]]:
    """Handshake messages of every kind, with names for them: the hellos of both versions, else those of TLS 1.3."""
    found = {}
    for side in SIDES:
        kinds = _HELLOS if side.endswith("_12") else (*_HELLOS, H.ENCRYPTED_EXTENSIONS)
        for name, raw in said(side):
            if side in ("client", "server") or raw[0] in kinds:
                found.setdefault(raw, name)
    for side in ("client", "client_12", "client_back", "client_back_12"):
        for name in play.CONFIGURATIONS[side]:
            peer = Client(play.connection(side, name))
            found.setdefault(_first_hello(peer), f"own_hello{side.removeprefix('client')}-{name}")
    found[TICKET] = "ticket"
    found |= {raw: f"ticket-{number}" for number, raw in enumerate(TICKETS_OF_13)}
    for name, raw in _of_the_rfc():
        found.setdefault(raw, name)
    found[message(H.KEY_UPDATE, b"\1")] = "key_update"
    found[message(H.END_OF_EARLY_DATA)] = "end_of_early_data"
    return [(name, raw) for raw, name in found.items()]


def _of_the_rfc() -> list[tuple[str, bytes]]:
    """The messages of the handshakes in RFC 8448 that end in a ticket, and that resume with it and early data."""
    found = []
    for part in ("simple_1rtt", "resumed_0rtt"):
        vectors = json.loads((_VECTORS / f"rfc8448_{part}.json").read_text(encoding="ascii"))
        kinds = ("client_hello", "server_hello", "encrypted_extensions", "new_session_ticket")
        said = vectors["messages"].items()
        found += [(f"rfc8448_{part}-{name}", bytes.fromhex(raw)) for name, raw in said if name in kinds]
    return found


def said(side: str) -> list[tuple[str, bytes]]:
    """The messages of the honest handshakes with this side, with names for them."""
    return [
        (f"{side}_{name}-{number}", raw)
        for name in handshakes(side)
        for number, raw in enumerate(played(side, name).messages)
    ]


def _first_hello(peer: Client) -> bytes:
    """The ClientHello that a connection of ours has sent to a peer, which did not expect it."""
    peer.hear()
    return ClientHello.parse(peer.transcript).raw


@cache
def streams() -> dict[str, bytes]:
    """All bytes that each side receives in its honest handshakes, by side and configuration."""
    return {f"{side}_{name}": played(side, name).wire for side in SIDES for name in handshakes(side)}


def in_pieces(size: int) -> list[Step]:
    """From here on messages are split over records of this size, and these arrive in pieces of this size."""
    return [Step(PIECES, bytes((size,))), Step(SPLIT, bytes((size,)))]
