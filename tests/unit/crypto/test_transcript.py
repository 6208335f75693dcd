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
