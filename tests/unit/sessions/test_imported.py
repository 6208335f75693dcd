"""Imported keys against HKDF of `cryptography` (RFC 9258 section 5.1), for keys that were made for either hash."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from handfast.errors import ConfigurationError
from handfast.sessions.external import ExternalPsk, Hash

ALGORITHMS = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384()}
KEY = bytes(range(48))


@pytest.mark.parametrize("own", ["sha256", "sha384"])
@pytest.mark.parametrize("target", ["sha256", "sha384"])
def test_an_imported_key_is_what_the_rfc_says(own: Hash, target: Hash) -> None:
    psk = ExternalPsk.imported(b"psk", KEY, role="client", context=b"context", hash_name=target, key_hash=own)
    identity = b"\0\3psk" + b"\0\7context" + b"\3\4" + {"sha256": b"\0\1", "sha384": b"\0\2"}[target]
    assert psk.identity == identity
    extracted = hmac.digest(bytes(ALGORITHMS[own].digest_size), KEY, own)
    length = ALGORITHMS[target].digest_size
    digest = hashlib.new(own, identity).digest()
    info = length.to_bytes(2) + b"\x11tls13 derived psk" + bytes([len(digest)]) + digest
    assert psk.key == HKDFExpand(ALGORITHMS[own], length, info).derive(extracted)


def test_an_external_identity_has_a_byte_or_more() -> None:
    """``opaque external_identity<1..2^16-1>``"""
    with pytest.raises(ConfigurationError):
        ExternalPsk.imported(b"", KEY, role="client", context=b"context")
