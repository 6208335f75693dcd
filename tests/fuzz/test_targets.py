"""The targets can fail: each of the things that they hold is broken once, and they say so."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from fuzz import peers12, play, recorded, steps, vectors
from fuzz.peers import message
from fuzz.steps import Step
from fuzz.targets import TARGETS, connections, messages, records
from handfast.certificates.accepted import Accepted
from handfast.certificates.names import NameSet
from handfast.certificates.peer import PeerIdentity
from handfast.connection import Connection
from handfast.events import ApplicationData
from handfast.handshake import authenticate12, server13
from handfast.handshake.flow import expect
from handfast.record.framing import PLAINTEXT_LIMIT, Framing
from handfast.record.layer import RecordLayer
from handfast.sessions.keys import TicketKey
from handfast.sessions.memory import Shelf
from handfast.sessions.sealing import SealingKey
from handfast.sessions.session import Session
from handfast.transport.stores.shared import Shared
from handfast.wire import messages12
from handfast.wire.alert import ChangeCipherSpec
from handfast.wire.codepoints import HandshakeType
from handfast.wire.hello import ClientHello
from handfast.wire.messages13 import EncryptedExtensions, Finished

H = HandshakeType


def seed(target: str, name: str) -> bytes:
    """To be called before anything is broken: the conversations that seeds are made of are played only once."""
    return TARGETS[target].seeds()[name]


def an_index_error(*_: Any, **__: Any) -> Any:
    raise IndexError


def test_any_other_exception_than_ours_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    data = next(iter(TARGETS["encrypted_extensions"].seeds().values()))
    monkeypatch.setattr(EncryptedExtensions, "parse", an_index_error)
    with pytest.raises(IndexError):
        TARGETS["encrypted_extensions"].run(data)


def test_a_message_that_encodes_to_something_else_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    data = next(iter(TARGETS["client_hello"].seeds().values()))
    honest = ClientHello.encode

    def encode(self: ClientHello) -> bytes:
        self.legacy_version ^= 1
        return honest(self)

    monkeypatch.setattr(ClientHello, "encode", encode)
    with pytest.raises(AssertionError):
        TARGETS["client_hello"].run(data)


def test_framing_that_depends_on_pieces_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    data = seed("framing", "client_default-whole")
    honest = Framing.feed
    monkeypatch.setattr(Framing, "feed", lambda self, data: honest(self, data[:5]))
    with pytest.raises(AssertionError):
        TARGETS["framing"].run(data)


@pytest.mark.parametrize("side", recorded.SIDES)
def test_a_bug_within_a_connection_is_a_finding(side: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection makes INTERNAL_ERROR of it, and fails closed; for the fuzzer that is no refusal."""
    data = seed(side, "whole-default")
    monkeypatch.setattr(Finished, "parse", an_index_error)
    with pytest.raises(AssertionError, match="a bug of ours") as caught:
        TARGETS[side].run(data)
    assert isinstance(caught.value.__cause__, IndexError)


def test_a_connection_that_sends_without_end_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    data = seed("server", "whole-default")
    monkeypatch.setattr(play, "OUTPUT", 100)
    with pytest.raises(AssertionError, match="without end"):
        TARGETS["server"].run(data)


def test_a_connection_that_goes_on_after_its_failure_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Connection, "_check_usable", lambda self: None)
    with pytest.raises(AssertionError):
        TARGETS["client"].run(steps.encode(0, recorded.own(HandshakeType.FINISHED)))


def test_a_whole_record_that_is_held_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Connection, "_work", lambda self: None)
    with pytest.raises(AssertionError, match="whole records are held"):
        TARGETS["server"].run(steps.encode(0, [Step(play.WIRE, b"\x16\x03\x01\x40\x00" + bytes(17_000))]))


def test_an_accepted_chain_for_another_name_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    good = seed("chain", "good-direct")
    monkeypatch.setattr(NameSet, "__contains__", lambda self, name: False)
    monkeypatch.setattr("handfast.certificates.policy.check", lambda *arguments: None)
    with pytest.raises(AssertionError):
        TARGETS["chain"].run(good)


@pytest.mark.parametrize("seed_name", ["good-direct", "good-client"])
def test_a_chain_that_is_remembered_for_too_long_is_a_finding(seed_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    good = seed("chain", seed_name)
    TARGETS["chain"].run(good)

    def find(self: Accepted, chain: tuple[bytes, ...], server_name: str | None, now: datetime) -> PeerIdentity | None:
        entry = self._found.get((chain, server_name))
        return entry and entry[0]

    monkeypatch.setattr(Accepted, "find", find)
    with pytest.raises(AssertionError):
        TARGETS["chain"].run(good)


# What may have come when a handshake is complete, by HandshakeType in hex; what leaves something out may not.
COMPLETE = {
    ("client", "default"): (
        ["02080b0f14", "0202080b0f14", "02080d0b0f14"],
        ["0214", "020814", "02080b14", "020b0f14", "080b0f14", "02080b0f"],
    ),
    ("server", "default"): (["0114", "010114"], ["01", "14", "010b0f14"]),
    ("server", "required"): (["010b0f14", "01010b0f14"], ["0114", "010b14", "010f14"]),
    ("server", "optional"): (["010b0f14", "010b14"], ["0114", "010f14"]),
    ("server", "retry"): (["010114"], ["0114"]),
    ("client_12", "default"): (
        ["020b0c0e14", "020b0c0d0e14"],
        ["0214", "020e14", "020b0e14", "020c0e14", "020b0c14", "020b0c0e", "02080b0f14"],
    ),
    ("server_12", "default"): (["011014"], ["0114", "0110", "1014", "010b100f14"]),
    ("server_12", "required"): (["010b100f14"], ["011014", "010b1014", "01100f14", "010b0f14"]),
    ("server_12", "optional"): (["010b100f14", "010b1014"], ["011014", "01100f14"]),
}


@pytest.mark.parametrize(("side", "name"), COMPLETE)
def test_a_handshake_that_is_complete_too_soon_is_a_finding(side: str, name: str) -> None:
    enough, too_little = COMPLETE[side, name]
    for types in enough:
        play.check_complete(bytes.fromhex(types), side, name)
    for types in too_little:
        with pytest.raises(AssertionError):
            play.check_complete(bytes.fromhex(types), side, name)


# The same for handshakes that resume.
RESUMED = {
    "client_back": (["020814", "02020814"], ["0214", "0208", "02080b0f14", "0814"]),
    "server_back": (["0114", "010514", "010114"], ["01", "14", "0105", "010b14", "010101"]),
    "client_back_12": (["0214", "020414"], ["02", "14", "020b0c0e14", "020404"]),
    "server_back_12": (["0114"], ["01", "14", "011014"]),
}


@pytest.mark.parametrize("side", RESUMED)
def test_a_resumed_handshake_that_is_complete_too_soon_is_a_finding(side: str) -> None:
    enough, too_little = RESUMED[side]
    for types in enough:
        play.check_complete(bytes.fromhex(types), side, "default", resumed=True)
    for types in too_little:
        with pytest.raises(AssertionError):
            play.check_complete(bytes.fromhex(types), side, "default", resumed=True)


def test_the_order_of_messages_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = {side: seed(side, "whole-default") for side in recorded.SIDES}
    seen = []
    monkeypatch.setattr(
        play,
        "check_complete",
        lambda types, *configuration, resumed: seen.append((types.hex(), *configuration, resumed)),
    )
    for side, data in honest.items():
        TARGETS[side].run(data)
    assert seen == [
        ("02080b0f14", "client", "default", False),
        ("0114", "server", "default", False),
        ("020b0c0e14", "client_12", "default", False),
        ("011014", "server_12", "default", False),
        ("020814", "client_back", "default", True),
        ("010514", "server_back", "default", True),
        ("020414", "client_back_12", "default", True),
        ("0114", "server_back_12", "default", True),
    ]


@pytest.mark.parametrize("side", ["client_12", "server_12"])
def test_a_handshake_that_completes_without_encryption_is_a_finding(side: str, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = [step for step in recorded.handshakes(side)["default"][1] if step != recorded.CHANGE_CIPHER_SPEC_12]

    def without_waiting(wanted: type) -> Any:
        if wanted is not ChangeCipherSpec:
            return (yield from expect(wanted))
        return None

    monkeypatch.setattr(authenticate12, "expect", without_waiting)
    monkeypatch.setattr(RecordLayer, "install_read", lambda self, key: None)
    with pytest.raises(AssertionError, match="without encryption"):
        TARGETS[side].run(steps.encode(0, honest))


@pytest.mark.parametrize("name", ["Certificate12", "ServerKeyExchange", "CertificateRequest12", "ClientKeyExchange"])
def test_a_message_of_tls_1_2_that_encodes_to_something_else_is_a_finding(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = getattr(messages12, name)
    data = [each for each in TARGETS["messages_12"].seeds().values() if messages.OF_12[each[0]] is kind]
    honest = kind.encode
    monkeypatch.setattr(kind, "encode", lambda self: honest(self) + b"x")
    assert data
    for each in data:
        with pytest.raises(AssertionError):
            TARGETS["messages_12"].run(each)


def test_a_record_of_tls_1_2_that_is_too_long_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    long = steps.encode(records.TLS_1_2, [Step(records.SEALED, bytes(PLAINTEXT_LIMIT) + b"x\x17")])
    TARGETS["records"].run(long)
    monkeypatch.setattr("handfast.record.protection12.PLAINTEXT_LIMIT", 2 * PLAINTEXT_LIMIT)
    monkeypatch.setattr("handfast.record.layer.PLAINTEXT_LIMIT", 2 * PLAINTEXT_LIMIT)
    monkeypatch.setattr(RecordLayer, "__init__", _without_limits(RecordLayer.__init__))
    with pytest.raises(AssertionError):
        TARGETS["records"].run(long)


def _without_limits(honest: Any) -> Any:
    def start(self: RecordLayer) -> None:
        honest(self)
        self._receive_limit = 2 * PLAINTEXT_LIMIT

    return start


# --- sessions, keys and early data


@pytest.mark.parametrize("side", ["client_back", "server_back", "client_back_12", "server_back_12"])
def test_a_session_that_is_resumed_when_it_is_dead_is_a_finding(side: str, monkeypatch: pytest.MonkeyPatch) -> None:
    resuming = {
        "client_back": recorded.BACK_TO_CLIENT,
        "server_back": [*recorded.offering(b"old"), *recorded.own(H.FINISHED)],
        "client_back_12": recorded.BACK_TO_CLIENT_12,
        "server_back_12": [*recorded.offering(b"1.2 old"), recorded.CHANGE_CIPHER_SPEC_12, *recorded.own(H.FINISHED)],
    }
    names = list(play.CONFIGURATIONS[side])
    old = names.index("old") if "old" in names else 0
    data = steps.encode(old, resuming[side])
    TARGETS[side].run(data)
    monkeypatch.setattr(Session, "is_valid", lambda *arguments, **settings: True)
    with pytest.raises(AssertionError, match="no session allows it"):
        TARGETS[side].run(data)


def test_early_data_without_the_guards_yes_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    replayed = seed("server_back", "whole-replayed")
    TARGETS["server_back"].run(replayed)

    def admitted(link: Any, config: Any, terms: Any) -> Any:
        yield from ()
        link.early_data_left = 200
        return True

    monkeypatch.setattr(server13, "admitted_early_data", admitted)
    with pytest.raises(AssertionError, match="has not admitted"):
        TARGETS["server_back"].run(replayed)


def test_early_data_that_looks_like_any_other_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    early = seed("server_back", "whole-default")
    monkeypatch.setattr("handfast.connection.EarlyData", ApplicationData)
    with pytest.raises(AssertionError, match="before the handshake is complete"):
        TARGETS["server_back"].run(early)


def test_data_that_is_sent_too_early_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server may answer early data at once, and nothing else."""
    TARGETS["server_back"].run(steps.encode(0, [*recorded.offering(b"good", early=True), recorded.act("_send")]))
    late = steps.encode(0, [*recorded.offering(b"good"), recorded.act("_send")])
    TARGETS["server_back"].run(late)
    monkeypatch.setattr(Connection, "_check_can_send", lambda *arguments, **settings: None)
    with pytest.raises(AssertionError, match="data may be sent"):
        TARGETS["server_back"].run(late)


def test_a_session_that_nobody_can_read_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    data = seed("client_back", "then-tickets")
    honest = Session.encode
    monkeypatch.setattr(Session, "encode", lambda self: honest(self) + b"x")
    with pytest.raises(AssertionError, match="nobody can read"):
        TARGETS["client_back"].run(data)


STORED = {
    "state-good": (Session, "decode", an_index_error),
    "entries": (Shelf, "put", an_index_error),
    "ticket": (SealingKey, "open", lambda self, sealed, context: None),
    "opened": (TicketKey, "open", lambda self, ticket, context: (1 << 60, b"forged")),
    "key": (TicketKey, "sealed", an_index_error),
    "replies-moved": (TicketKey, "open", lambda self, ticket, context: (1 << 60, b"of another place")),
    "replies-failing": (Shared, "_failed", an_index_error),
}


@pytest.mark.parametrize("name", STORED)
def test_what_is_stored_and_does_harm_is_a_finding(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = seed("stored", name)
    TARGETS["stored"].run(data)
    monkeypatch.setattr(*STORED[name])
    with pytest.raises((AssertionError, IndexError)):
        TARGETS["stored"].run(data)


def test_a_hello_that_is_changed_is_bound_again() -> None:
    """So a server gets as far as the change, and not to a binder that is wrong."""
    hello, *rest = recorded.handshakes("server_back")["default"][1]
    raw = recorded.played("server_back", "default").messages[0]
    other = raw[:10] + bytes((raw[10] ^ 1,)) + raw[11:]  # a byte of the random
    outcomes = []
    for first in (Step(play.BOUND, other), Step(play.MESSAGE, other), Step(play.OWN, hello.content + b"\0\6\1x")):
        player = play.player("server_back", 0)
        player.play([first, *rest])
        outcomes.append(player.failure.reason.name if player.failure else "")
    assert outcomes == ["", "bad_binder", ""]


def test_the_vectors_of_offered_keys_are_found() -> None:
    """Identities and binders, each with a length of its own, and the lists of them."""
    raw = recorded.played("server_back", "default").messages[0]
    without = recorded.played("server", "default").messages[0]
    spans, _ = vectors.find(H.CLIENT_HELLO, raw[4:])
    bodies = {raw[4:][span.start : span.stop] for span in spans}
    assert b"good" in bodies
    offered = ClientHello.parse(raw).pre_shared_key
    assert offered is not None
    assert set(offered.binders) <= bodies
    assert not {b"good"} & {
        without[4:][span.start : span.stop] for span in vectors.find(H.CLIENT_HELLO, without[4:])[0]
    }


# --- what a change leaves right, and what a peer may do besides being honest


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (recorded.own(peers12.RESUMED), "resumed_nothing"),
        ([*recorded.own(H.SERVER_HELLO), connections.NO_CERTIFICATE], "no_certificate"),
        ([*recorded.own(H.SERVER_HELLO), connections.RSA_CERTIFICATE], "wrong_signature_type"),
        (recorded.own(H.SERVER_HELLO, peers12.EC_CERTIFICATE, H.SERVER_KEY_EXCHANGE), ""),
        (recorded.own(H.SERVER_HELLO, H.CERTIFICATE, H.SERVER_KEY_EXCHANGE), ""),
    ],
)
def test_what_a_server_of_tls_1_2_may_do(said: list[Step], reason: str) -> None:
    player = play.player("client_12", 0)
    player.play(said)
    assert (player.failure.reason.name if player.failure else "") == reason


def test_a_share_that_is_changed_is_signed_again() -> None:
    """So a client gets as far as the change, and not to a signature that is wrong."""
    handshake = recorded.handshakes("client_12")["default"][1]
    at = [step.content[:1] for step in handshake].index(b"\x0c")
    group = Step(play.OWN, b"\x0c\0\1\2\x12\x34")  # in place of the two bytes behind the first
    player = play.player("client_12", 0)
    player.play([*handshake[:at], group, *handshake[at + 1 :]])
    assert player.failure is not None
    assert player.failure.reason.name == "group_not_offered"

    public = Step(play.OWN, b"\x0c\0\4\x20" + bytes(range(32)))
    player = play.player("client_12", 0)
    player.play([*handshake[:at], public, *handshake[at + 1 :]])
    assert player.failure is not None
    assert player.failure.reason.name in ("bad_record_mac", "bad_finished")  # another share, rightly signed


@pytest.mark.parametrize("side", ["client_12", "server_12"])
def test_finished_follows_a_change_of_the_hello(side: str) -> None:
    handshake = recorded.handshakes(side)["default"][1]
    changed = Step(play.OWN, handshake[0].content + b"\0\5\1x")  # a byte of the random
    player = play.player(side, 0)
    player.play([changed, *handshake[1:]])
    assert player.failure is None
    assert player.connection.handshake is not None


def test_the_vectors_of_messages_of_tls_1_2_are_found() -> None:
    """Each of them, and nothing that is none: what is put into one leaves a message that parses."""
    said = [*recorded.said("client_12"), *recorded.said("server_12")]
    classes = {each.TYPE: each for each in messages.OF_12}
    for kind, vector_count in ((H.CERTIFICATE, 2), (H.SERVER_KEY_EXCHANGE, 2), (H.CLIENT_KEY_EXCHANGE, 1)):
        raw = next(raw for _, raw in said if raw[0] == kind)
        spans, blocks = vectors.find(kind | vectors.OF_12, raw[4:])
        assert (len(spans), blocks) == (vector_count, [])
        longest = spans[-1]
        body = vectors.spliced(raw[4:], spans, longest.stop, longest.stop, b"x")
        assert len(classes[kind].parse(message(kind, body)).raw) == len(raw) + 1
    request = next(raw for _, raw in recorded.said("client_12") if raw[0] == H.CERTIFICATE_REQUEST)
    spans, _ = vectors.find(H.CERTIFICATE_REQUEST | vectors.OF_12, request[4:])
    body = vectors.spliced(request[4:], spans, spans[2].stop, spans[2].stop, b"\0\x010")
    assert messages12.CertificateRequest12.parse(message(H.CERTIFICATE_REQUEST, body)).certificate_authorities == [b"0"]
