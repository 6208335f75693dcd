"""HMAC is that of the standard library, as often as a key is used."""

from __future__ import annotations

import hmac

import pytest

from handfast.crypto.mac import keyed, mac, mac_once
from handfast.crypto.suites import SUITES, SUITES_12

# Shorter than a block of the hash, as long as one, and longer, so that the key is hashed first (RFC 2104 section 3).
KEYS = [bytes(range(length)) for length in (1, 32, 48, 64, 65, 128, 129, 200)]


@pytest.mark.parametrize("hash_name", sorted({suite.hash for suite in (*SUITES.values(), *SUITES_12.values())}))
@pytest.mark.parametrize("key", KEYS, ids=len)
def test_it_is_that_of_the_standard_library(hash_name: str, key: bytes) -> None:
    whole = keyed(hash_name, key)
    for message in (b"", b"a", bytes(1000), b"a"):  # one after the other, with the same key
        expected = hmac.digest(key, message, hash_name)
        assert mac(whole, message) == expected
        assert mac_once(hash_name, key, message) == expected
