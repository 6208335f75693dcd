"""What is tried with peers, in the words of docs/interop.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

ROLES: Final = ("server", "client")

SUITES: Final = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
CCM: Final = "TLS_AES_128_CCM_SHA256"
CCM_8: Final = "TLS_AES_128_CCM_8_SHA256"

HYBRID: Final = "X25519MLKEM768"
HYBRIDS: Final = (HYBRID, "SecP256r1MLKEM768", "SecP384r1MLKEM1024")
CLASSICAL: Final = ("x25519", "secp256r1", "secp384r1", "secp521r1")

ECDSA: Final = ("p256", "p384", "p521")
RSA: Final = ("rsa2048", "rsapss2048")
EDWARDS: Final = ("ed25519", "ed448")
MLDSA: Final = ("mldsa44", "mldsa65", "mldsa87")

# What handfast is configured with, so that the peer's choice decides.
ALL_SUITES: Final = (*SUITES, CCM, CCM_8)
ALL_GROUPS: Final = (*HYBRIDS, *CLASSICAL, "x448")


class Feature(NamedTuple):
    """``roles``: those of the peer that it can be tried with."""

    sentence: str
    roles: tuple[str, ...] = ROLES


FEATURES: Final = {
    "ALPN": Feature("both sides have a protocol in common, which is not the client's first"),
    "server name": Feature("it chooses one of the server's two certificates"),
    "intermediate": Feature("the server's certificate comes from an intermediate authority, which it sends too"),
    "no middlebox compatibility": Feature("the client does not look like TLS 1.2 (RFC 9846 appendix E.4)"),
    # Clients' certificates, besides one of each kind of key, which the server requires.
    "optional certificate": Feature("the server asks for a certificate, and the client shows one"),
    "no certificate": Feature("the server asks for a certificate; the client has none, and is served all the same"),
    "certificate required": Feature("the client has none: the handshake fails with the alert certificate_required"),
    "unknown client CA": Feature("the server does not know the issuer of the client's certificate; its alert arrives"),
    # Another round trip.
    "retry": Feature("the server takes no group that the client sent a share of: HelloRetryRequest"),
    "cookie": Feature("the HelloRetryRequest has a cookie, which the client sends back"),
    "retry always": Feature("a HelloRetryRequest that wants nothing but the cookie", ("client",)),
    # Sessions. Each is two connections, the second of which takes up the first one's session.
    "resumption": Feature("the second connection has no certificates"),
    "resumption without key exchange": Feature("likewise, by the session's key alone (psk_ke)"),
    "resumption after a retry": Feature("likewise, and the server wants another key share first"),
    "resumption of TLS 1.2 by ticket": Feature("the abbreviated handshake (RFC 5077)"),
    "resumption of TLS 1.2 by ID": Feature("likewise; the server has kept the session"),
    "early data": Feature("the second connection begins with data, which the server takes"),
    "early data refused": Feature("the server does not take it; it is sent again, and arrives once"),
    "external key": Feature("both sides were given a key, and nobody shows a certificate"),
    # Afterwards.
    "exporter": Feature("both sides export the same keying material"),
    "key update by handfast": Feature("it changes its key and asks the peer to do so too; data goes on both ways"),
    "key update by the peer": Feature("likewise, the other way round"),
    "record size limit of handfast": Feature("it takes short records only, and the peer sends no others (RFC 8449)"),
    "record size limit of the peer": Feature("likewise, the other way round"),
    "padding by handfast": Feature("its records are all of one length"),
    "padding by the peer": Feature("likewise"),
    "1 MiB both ways": Feature("it arrives with the same SHA-256"),
    "handfast closes first": Feature("its close_notify is a clean end for the peer"),
    "peer closes first": Feature("its close_notify is a clean end for handfast"),
    # What has to fail.
    "unknown CA": Feature("the client does not know the issuer; its alert arrives, and both sides report it"),
    "no common ALPN": Feature("the handshake fails with the alert no_application_protocol"),
    "no common suite": Feature("it fails with the alert handshake_failure, and the error names what was offered"),
    "no common group": Feature("likewise"),
    "TLS 1.2 only": Feature("the peer knows nothing newer; handfast's error names the version"),
}


SESSIONS: Final = (
    "resumption",
    "resumption without key exchange",
    "resumption after a retry",
    "resumption of TLS 1.2 by ticket",
    "resumption of TLS 1.2 by ID",
    "early data",
    "early data refused",
    "external key",
)
EARLY: Final = ("early data", "early data refused")


@dataclass(frozen=True)
class Abilities:
    """What is tried with a peer in one role.

    ``keys``         the kinds of key that a server's certificate has
    ``client_keys``  those that a client's has; the same ones by default
    ``lacks``        the features that are not tried, and why: each is somebody's, nothing is left out in silence
    """

    suites: Sequence[str]
    groups: Sequence[str]
    keys: Sequence[str]
    client_keys: Sequence[str] | None = None
    lacks: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert set(self.lacks) <= set(FEATURES)
        if self.client_keys is None:
            object.__setattr__(self, "client_keys", self.keys)

    def has(self, feature: str) -> bool:
        return feature not in self.lacks
