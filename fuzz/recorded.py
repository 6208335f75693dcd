"""Honest conversations, each played once: what seeds are made of."""

from __future__ import annotations

from functools import cache

from fuzz import play
from fuzz.peers import CLIENT_HELLO_WITH_EARLY_DATA, RETRY_REQUEST, TICKET, Client, message
from fuzz.play import ACT, ACTS, MESSAGE, OWN, PIECES, RECORD, SPLIT, WIRE, Player
from fuzz.steps import Step
from handfast.wire.codepoints import ContentType, HandshakeType
from handfast.wire.hello import ClientHello

H = HandshakeType


def own(*kinds: int) -> list[Step]:
    """The messages of these types, as they should be."""
    return [Step(OWN, bytes((kind,))) for kind in kinds]


def act(name: str) -> Step:
    """What our application does, by the name of its function."""
    return Step(ACT, bytes(([each.__name__ for each in ACTS].index(name),)))


CHANGE_CIPHER_SPEC = Step(WIRE, b"\x14\x03\x03\0\x01\x01")
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

# By the configuration of the connection under test.
_CLIENTS = {
    "default": TO_CLIENT,
    "identity": ASKING,
    "unverified": TO_CLIENT,
    "small": TO_CLIENT,
    "hybrid": RETRIED,
    "groups": TO_CLIENT,
    "no-share": RETRIED,
}
_SERVERS = {
    "default": TO_SERVER,
    "required": PROVEN,
    "optional": NAMELESS,
    "retry": RETRIED_TO_SERVER,
    "cookie": RETRIED_AND_PROVEN,
    "small": TO_SERVER,
    "groups": TO_SERVER,
}


# Further ones with servers.
_EARLY = {"default": EARLY, "retry": RETRIED_EARLY}


def early_handshakes() -> dict[str, tuple[int, list[Step]]]:
    """Handshakes with servers that early data comes with; the settings and the steps, by the configuration's name."""
    return {name: (list(play.SERVERS).index(name), steps) for name, steps in _EARLY.items()}


def handshakes(side: str) -> dict[str, tuple[int, list[Step]]]:
    """Honest handshakes with a "client" or a "server": the settings and the steps, by the configuration's name."""
    known, honest = (play.CLIENTS, _CLIENTS) if side == "client" else (play.SERVERS, _SERVERS)
    return {name: (list(known).index(name), steps) for name, steps in honest.items()}


@cache
def played(side: str, name: str) -> Player:
    """An honest handshake, played."""
    settings, steps = handshakes(side)[name]
    player = play.player(side, settings)
    player.play(steps)
    return player


@cache
def messages() -> list[tuple[str, bytes]]:
    """Handshake messages of every kind, with names for them."""
    found = {}
    for side in ("client", "server"):
        for name in handshakes(side):
            for number, raw in enumerate(played(side, name).messages):
                found.setdefault(raw, f"{side}_{name}-{number}")
    for settings, name in enumerate(play.CLIENTS):
        hello = Client(play.client(settings))
        found.setdefault(_first_hello(hello), f"own_hello-{name}")
    found[TICKET] = "ticket"
    found[message(H.KEY_UPDATE, b"\1")] = "key_update"
    found[message(H.END_OF_EARLY_DATA)] = "end_of_early_data"
    return [(name, raw) for raw, name in found.items()]


def _first_hello(peer: Client) -> bytes:
    """The ClientHello that a connection of ours has sent to a peer, which did not expect it."""
    peer.hear()
    return ClientHello.parse(peer.transcript).raw


@cache
def streams() -> dict[str, bytes]:
    """All bytes that each side receives in its honest handshakes, by side and configuration."""
    return {f"{side}_{name}": played(side, name).wire for side in ("client", "server") for name in handshakes(side)}


def in_pieces(size: int) -> list[Step]:
    """From here on messages are split over records of this size, and these arrive in pieces of this size."""
    return [Step(PIECES, bytes((size,))), Step(SPLIT, bytes((size,)))]
