"""What is offered and accepted by default: profiles after Mozilla's "Server Side TLS", as values.

::

    ClientConfig()                                        # the profile "intermediate"
    ServerConfig(identities=[...], profile="modern")
    ServerConfig(identities=[...], groups=["x25519"])     # a profile, with one list replaced
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from handfast.crypto.groups import GROUPS
from handfast.crypto.signatures import SCHEMES, SCHEMES_12
from handfast.crypto.suites import SUITES, SUITES_12
from handfast.wire.codepoints import CipherSuite, NamedGroup, ProtocolVersion


@dataclass(frozen=True)
class Profile:
    """Versions and algorithms, as code points, the preferred one first.

    ``name``      how a configuration refers to it
    ``versions``  ProtocolVersion
    """

    name: str
    versions: tuple[int, ...]
    cipher_suites: tuple[int, ...]
    groups: tuple[int, ...]
    signature_schemes: tuple[int, ...]


_SUITES_13: Final = (
    CipherSuite.TLS_AES_128_GCM_SHA256,
    CipherSuite.TLS_AES_256_GCM_SHA384,
    CipherSuite.TLS_CHACHA20_POLY1305_SHA256,
)
_SUITES_12: Final = (
    CipherSuite.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    CipherSuite.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    CipherSuite.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    CipherSuite.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    CipherSuite.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    CipherSuite.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
)
_GROUPS: Final = (NamedGroup.X25519MLKEM768, NamedGroup.X25519, NamedGroup.SECP256R1, NamedGroup.SECP384R1)

MODERN: Final = Profile("modern", (ProtocolVersion.TLS_1_3,), _SUITES_13, _GROUPS, tuple(SCHEMES))
INTERMEDIATE: Final = Profile(
    "intermediate",
    (ProtocolVersion.TLS_1_3, ProtocolVersion.TLS_1_2),
    (*_SUITES_13, *_SUITES_12),
    _GROUPS,
    tuple(dict.fromkeys((*SCHEMES, *SCHEMES_12))),
)
PROFILES: Final = {profile.name: profile for profile in (MODERN, INTERMEDIATE)}

# What a configuration may name one by one.
VERSIONS: Final = INTERMEDIATE.versions
KNOWN_SUITES: Final = (*SUITES, *SUITES_12)
KNOWN_GROUPS: Final = tuple(GROUPS)
KNOWN_SCHEMES: Final = INTERMEDIATE.signature_schemes


def why_not(name: str) -> str:
    """Why something that TLS has a name for cannot be chosen: a sentence, "" if there is nothing to say.

    ``name``: of a suite, group, signature scheme or version, as the RFCs have it.
    """
    wanted = name.upper()
    return next((why for part, why in _REFUSED if part in wanted), "")


# The first that fits: by what a name has in it.
_REFUSED: Final = (
    ("SSL", "SSL is broken (RFC 7568)"),
    ("TLSV1.0", "TLS 1.0 and 1.1 are broken (RFC 8996)"),
    ("TLSV1.1", "TLS 1.0 and 1.1 are broken (RFC 8996)"),
    ("NULL", "it does not encrypt"),
    ("EXPORT", "it was made to be broken"),
    ("ANON", "nobody proves who they are"),
    ("RC4", "RC4 is broken (RFC 7465)"),
    ("3DES", "its blocks are too small (Sweet32)"),
    ("MD5", "MD5 is broken"),
    ("_SHA1", "SHA-1 is broken"),
    ("TLS_RSA_WITH", "RSA key exchange has no forward secrecy, and oracles against it keep coming back (ROBOT)"),
    ("CBC", "CBC as TLS has it cannot be implemented safely (Lucky 13)"),
    ("_DHE_", "finite-field Diffie-Hellman is slow and often has weak groups (Logjam); ECDHE replaces it"),
    ("FFDHE", "finite-field Diffie-Hellman is slow; elliptic curves replace it"),
)


def version_of(name: str) -> int | None:
    """The version called "1.3", "TLSv1.3" or "TLS 1.3"; None if it is none that can be chosen."""
    digits = name.upper().replace("TLS", "").strip(" V")
    return {"1.2": ProtocolVersion.TLS_1_2, "1.3": ProtocolVersion.TLS_1_3}.get(digits)
