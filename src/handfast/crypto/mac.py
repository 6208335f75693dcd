"""HMAC (RFC 2104), which both key schedules are made of.

Most secrets are the key of several values. A key takes half of the time: so it is given once, and each value is made of
a copy.
"""

from __future__ import annotations

from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.hmac import HMAC

_ALGORITHMS: Final = {"sha256": SHA256(), "sha384": SHA384()}

Key = HMAC


def keyed(hash_name: str, key: bytes) -> Key:
    """A key for any number of values. ``hash_name``: that of a suite."""
    return HMAC(key, _ALGORITHMS[hash_name])


def mac(key: Key, message: bytes) -> bytes:
    """The HMAC of a message."""
    running = key.copy()
    running.update(message)
    return running.finalize()


def mac_once(hash_name: str, key: bytes, message: bytes) -> bytes:
    """The same with a key that nothing else is made of."""
    running = HMAC(key, _ALGORITHMS[hash_name])
    running.update(message)
    return running.finalize()
