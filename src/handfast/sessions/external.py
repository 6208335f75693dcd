"""Pre-shared keys that both sides were given, and that no handshake has made (RFC 9846 section 2.2, RFC 9257)."""

from __future__ import annotations

from typing import Final, Literal, Self

from handfast.crypto.guard import Guarded
from handfast.crypto.schedule13 import imported_psk
from handfast.errors import ConfigurationError
from handfast.wire.codepoints import ProtocolVersion
from handfast.wire.cursor import Writer

Role = Literal["client", "server"]
Hash = Literal["sha256", "sha384"]

_KEY: Final = 16  # bytes: 128 bits, if they are as random as they should be (RFC 9257 section 6)
_KDFS: Final = {"sha256": 0x0001, "sha384": 0x0002}  # HKDF_SHA256 and HKDF_SHA384 (RFC 9258 section 8)
_LONGEST: Final = (1 << 16) - 1 - 2 - 2 - 2 - 2  # bytes: what an ImportedIdentity has left of a PskIdentity


class ExternalPsk(Guarded):
    """A key that was given to both sides.

    ``identity``  how the client names it, in the clear: it must not tell who the client is, if that is a secret
    ``name``      the same, or for an imported key what it is imported under
    ``hash``      "sha256" or "sha384": it goes with the suites of this hash alone
    ``role``      whose the holder is. A key that two peers could both use in both roles would let an attacker send a
                  client's own hello back to it (Selfie, RFC 9257 section 4.1), so each side says which one it is
    """

    __slots__ = ("_key", "hash", "identity", "name", "purpose", "role")

    def __init__(self, identity: bytes, key: bytes, *, role: Role, hash_name: Hash = "sha256") -> None:
        _check_key(key)
        if not 1 <= len(identity) < 1 << 16:
            raise ConfigurationError(setting="psks", problem="an identity has 1 to 65535 bytes")
        if role not in ("client", "server") or hash_name not in _KDFS:
            raise ConfigurationError(
                setting="psks", problem='role is "client" or "server", hash_name "sha256" or "sha384"'
            )
        self.identity = self.name = identity
        self._key = key
        self.role: Role = role
        self.hash = hash_name
        self.purpose = "ext"

    @property
    def key(self) -> bytes:
        """For the key schedule."""
        return self._key

    @classmethod
    def imported(
        cls,
        identity: bytes,
        key: bytes,
        *,
        role: Role,
        context: bytes = b"",
        hash_name: Hash = "sha256",
        key_hash: Hash = "sha256",
    ) -> Self:
        """A key bound to its context, to TLS 1.3 and to one KDF (RFC 9258 section 5.1).

        ``context``    what both sides know of each other, such as who is which role: the best defence against Selfie
        ``hash_name``  the KDF that it is imported for
        ``key_hash``   the hash that the key itself was made for, where it was for one; SHA-256 if nobody has said so
        """
        _check_key(key)
        if not identity or len(identity) + len(context) > _LONGEST or hash_name not in _KDFS or key_hash not in _KDFS:
            problem = f"identity and context have 1 to {_LONGEST} bytes together, the hashes are of {list(_KDFS)}"
            raise ConfigurationError(setting="psks", problem=problem)
        name = Writer()
        name.vector16(identity)
        name.vector16(context)
        name.uint16(ProtocolVersion.TLS_1_3)
        name.uint16(_KDFS[hash_name])
        imported_identity = bytes(name.data)
        imported_key = imported_psk(hash_name, key, imported_identity, key_hash)
        psk = cls(imported_identity, imported_key, role=role, hash_name=hash_name)
        psk.purpose = "imp"
        psk.name = identity
        return psk


def _check_key(key: bytes) -> None:
    if len(key) < _KEY:
        raise ConfigurationError(setting="psks", problem=f"a key has to have {_KEY} random bytes or more")
