"""The targets can fail: each of the things that they hold is broken once, and they say so."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from fuzz import play, recorded, steps
from fuzz.steps import Step
from fuzz.targets import TARGETS
from handfast.certificates.accepted import Accepted
from handfast.certificates.identity import PeerIdentity
from handfast.certificates.names import NameSet
from handfast.connection import Connection
from handfast.record.framing import Framing
from handfast.wire.codepoints import HandshakeType
from handfast.wire.hello import ClientHello
from handfast.wire.messages13 import EncryptedExtensions, Finished


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


@pytest.mark.parametrize("side", ["client", "server"])
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
    None: (
        ["02080b0f14", "0202080b0f14", "02080d0b0f14"],
        ["0214", "020814", "02080b14", "020b0f14", "080b0f14", "02080b0f"],
    ),
    "default": (["0114", "010114"], ["01", "14", "010b0f14"]),
    "required": (["010b0f14", "01010b0f14"], ["0114", "010b14", "010f14"]),
    "optional": (["010b0f14", "010b14"], ["0114", "010f14"]),
    "retry": (["010114"], ["0114"]),
}


@pytest.mark.parametrize("server_name", COMPLETE)
def test_a_handshake_that_is_complete_too_soon_is_a_finding(server_name: str | None) -> None:
    enough, too_little = COMPLETE[server_name]
    for types in enough:
        play.check_complete(bytes.fromhex(types), server_name)
    for types in too_little:
        with pytest.raises(AssertionError):
            play.check_complete(bytes.fromhex(types), server_name)


def test_the_order_of_messages_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    to_client, to_server = seed("client", "whole-default"), seed("server", "whole-default")
    seen = []
    monkeypatch.setattr(play, "check_complete", lambda types, server_name: seen.append((types.hex(), server_name)))
    TARGETS["client"].run(to_client)
    TARGETS["server"].run(to_server)
    assert seen == [("02080b0f14", None), ("0114", "default")]
