"""Sessions and keys from outside, as values."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handfast.errors import ConfigurationError
from handfast.sessions.external import ExternalPsk
from handfast.sessions.session import Session
from tests.sessions.stores import START, session, session12, values

KEY = bytes(range(16))


@pytest.mark.parametrize(
    "kept", [session(), session12(session_id=bytes(32)), session(None, protocol=None, chain=(), path=())]
)
def test_a_session_comes_back_from_its_bytes(kept) -> None:
    assert values(Session.decode(kept.encode())) == values(kept)


ENCODED = session().encode()


@given(st.integers(0, len(ENCODED) - 1))
def test_a_session_that_was_cut_is_none(length: int) -> None:
    assert Session.decode(ENCODED[:length]) is None


@given(st.integers(0, 8 * len(ENCODED) - 1))
def test_a_flipped_bit_gives_another_session_or_none(bit: int) -> None:
    data = bytearray(ENCODED)
    data[bit // 8] ^= 1 << bit % 8
    found = Session.decode(bytes(data))
    assert found is None or found.encode() == bytes(data)


def test_a_session_whose_path_cannot_be_read_is_none() -> None:
    """Else the next ticket, whose life ends with the certificates of the path, would end the connection."""
    kept = session()
    assert kept.path
    kept.path = (*kept.path, kept.path[0][:-1])
    assert Session.decode(kept.encode()) is None


def test_a_session_that_would_live_for_more_than_seven_days_is_none() -> None:
    """None is made. One that a store has damaged had a lifetime that a ticket cannot say, where it is handed on."""
    kept = session12()
    kept.expires = kept.basis.verified + 604_800_000
    assert Session.decode(kept.encode()) is not None
    kept.expires += 1
    assert Session.decode(kept.encode()) is None


def test_the_peer_of_a_client_was_asked_for_by_name_and_that_of_a_server_was_not() -> None:
    assert session().peer().server_name == "localhost"
    assert session12(ticket=b"", session_id=b"id").peer().server_name == "localhost"
    assert session(ticket=b"").peer().server_name is None


def test_a_session_is_valid_from_its_first_millisecond_to_its_last() -> None:
    kept = session()
    at = {milliseconds: START + timedelta(milliseconds=milliseconds) for milliseconds in (-1, 0, 7_199_999, 7_200_000)}
    assert {span: kept.is_valid(moment) for span, moment in at.items()} == {
        -1: False,
        0: True,
        7_199_999: True,
        7_200_000: False,
    }
    assert kept.age(at[7_200_000]) == 7_200_000


def test_a_key_has_128_bits() -> None:
    ExternalPsk(b"me", KEY, role="client")
    for make in (ExternalPsk, ExternalPsk.imported):
        with pytest.raises(ConfigurationError, match="16 random bytes"):
            make(b"me", KEY[:15], role="client")


def test_an_identity_has_a_length_that_can_be_sent() -> None:
    ExternalPsk(bytes(65_535), KEY, role="server")
    longest = ExternalPsk.imported(bytes(60_000), KEY, role="server", context=bytes(65_535 - 8 - 60_000))
    assert len(longest.identity) == 65_535
    with pytest.raises(ConfigurationError):
        ExternalPsk(bytes(65_536), KEY, role="server")
    with pytest.raises(ConfigurationError):
        ExternalPsk(b"", KEY, role="server")
    with pytest.raises(ConfigurationError):
        ExternalPsk.imported(bytes(60_000), KEY, role="server", context=bytes(65_535 - 8 - 60_000 + 1))


@pytest.mark.parametrize("make", [ExternalPsk, ExternalPsk.imported])
def test_what_is_no_role_or_hash_is_refused(make) -> None:
    with pytest.raises(ConfigurationError):
        make(b"me", KEY, role="both")
    with pytest.raises(ConfigurationError):
        make(b"me", KEY, role="client", hash_name="md5")


def test_an_imported_key_is_another_one_for_each_context_and_hash() -> None:
    keys = {
        ExternalPsk.imported(b"me", KEY, role="client", context=context, hash_name=name).key
        for context in (b"", b"a to b", b"b to a")
        for name in ("sha256", "sha384")
    }
    assert len(keys) == 6
    assert sorted({len(key) for key in keys}) == [32, 48]
