"""The transcript hash (RFC 9846 section 4.1)."""

from __future__ import annotations

import hashlib

import pytest

from handfast.crypto.suites import SUITES, SUITES_12
from handfast.crypto.transcript import HASHES, Transcript
from handfast.wire.messages13 import Finished

FIRST, SECOND, THIRD = (Finished(b"", raw) for raw in (b"first", b"second", b"third"))


def test_every_suite_has_its_hash() -> None:
    for suites in (SUITES, SUITES_12):
        assert {suite.hash for suite in suites.values()} == set(HASHES)


@pytest.mark.parametrize("hash_name", HASHES)
def test_it_hashes_what_was_added_before_and_after_the_hash_was_fixed(hash_name: str) -> None:
    transcript = Transcript()
    transcript.add(FIRST)
    transcript.add(SECOND)
    transcript.use(hash_name)
    assert transcript.digest() == hashlib.new(hash_name, b"firstsecond").digest()
    transcript.add(THIRD)
    assert transcript.digest() == hashlib.new(hash_name, b"firstsecondthird").digest()


@pytest.mark.parametrize("hash_name", HASHES)
def test_a_retry_puts_the_first_hello_s_hash_in_its_place(hash_name: str) -> None:
    """RFC 9846 section 4.1: message_hash, three bytes of length, the hash; what follows is added to that."""
    transcript = Transcript()
    transcript.add(FIRST)
    transcript.use(hash_name)
    transcript.fold()
    digest = hashlib.new(hash_name, b"first").digest()
    folded = b"\xfe\0\0" + bytes((len(digest),)) + digest
    assert transcript.digest() == hashlib.new(hash_name, folded).digest()
    transcript.add(SECOND)
    transcript.add(THIRD)
    assert transcript.digest() == hashlib.new(hash_name, folded + b"secondthird").digest()


def test_a_hash_that_is_fixed_stays() -> None:
    """The ServerHello after a retry names the suite again, and nothing is forgotten."""
    transcript = Transcript()
    transcript.add(FIRST)
    transcript.use("sha384")
    transcript.use("sha384")
    assert transcript.digest() == hashlib.sha384(b"first").digest()


def test_nothing_is_folded_before_the_hash_is_known() -> None:
    with pytest.raises(AssertionError, match="fixed before"):
        Transcript().fold()


def test_looking_at_it_changes_nothing() -> None:
    transcript = Transcript()
    transcript.use("sha256")
    assert transcript.digest() == transcript.digest() == hashlib.sha256().digest()
    transcript.add(FIRST)
    transcript.digest()
    transcript.add(SECOND)
    assert transcript.digest() == hashlib.sha256(b"firstsecond").digest()


def test_there_is_no_digest_before_the_hash_is_known() -> None:
    with pytest.raises(AssertionError, match="fixed before"):
        Transcript().digest()


# --- the bytes of TLS 1.2


def test_the_bytes_are_kept_where_something_will_be_signed_over_them() -> None:
    """RFC 5246 section 7.4.8: all messages, those before the hash was known too, by a hash of the scheme's own."""
    transcript = Transcript()
    transcript.add(FIRST)
    transcript.use_and_keep("sha384")
    transcript.add(SECOND)
    assert transcript.digest() == hashlib.sha384(b"firstsecond").digest()
    assert transcript.take_kept() == b"firstsecond"
    transcript.add(THIRD)
    assert transcript.digest() == hashlib.sha384(b"firstsecondthird").digest()


def test_what_was_taken_is_kept_no_longer() -> None:
    transcript = Transcript()
    transcript.use_and_keep("sha256")
    transcript.add(FIRST)
    assert transcript.take_kept() == b"first"
    transcript.add(SECOND)
    with pytest.raises(AssertionError, match="until they are taken"):
        transcript.take_kept()


def test_what_nobody_will_sign_is_dropped() -> None:
    transcript = Transcript()
    transcript.use_and_keep("sha256")
    transcript.add(FIRST)
    transcript.drop_kept()
    transcript.add(SECOND)
    assert transcript._kept is None
    assert transcript.digest() == hashlib.sha256(b"firstsecond").digest()
    transcript.drop_kept()  # a second time, or without anything kept, does nothing


def test_nothing_is_kept_unless_asked_for() -> None:
    transcript = Transcript()
    transcript.add(FIRST)
    transcript.use("sha256")
    transcript.add(SECOND)
    assert transcript._kept is None
