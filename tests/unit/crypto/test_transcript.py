"""The transcript hash (RFC 9846 section 4.1)."""

from __future__ import annotations

import hashlib

import pytest

from handfast.crypto.suites import SUITES
from handfast.crypto.transcript import HASHES, Transcript
from handfast.wire.messages13 import Finished

FIRST, SECOND, THIRD = (Finished(b"", raw) for raw in (b"first", b"second", b"third"))


def test_every_suite_has_its_hash() -> None:
    assert {suite.hash for suite in SUITES.values()} == set(HASHES)


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
