"""What is tried with peers, in the words of docs/interop.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

ROLES: Final = ("server", "client")
VERSIONS: Final = ("1.3", "1.2")
MEETING: Final = "1.3 and 1.2"  # in place of a version: what is tried is which of them it will be

SUITES: Final = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
CCM: Final = "TLS_AES_128_CCM_SHA256"
CCM_8: Final = "TLS_AES_128_CCM_8_SHA256"

# In TLS 1.2 a suite also says with which kind of key the server signs.
_BULK_12: Final = ("AES_128_GCM_SHA256", "AES_256_GCM_SHA384", "CHACHA20_POLY1305_SHA256")
ECDSA_12: Final = tuple(f"TLS_ECDHE_ECDSA_WITH_{bulk}" for bulk in _BULK_12)
RSA_12: Final = tuple(f"TLS_ECDHE_RSA_WITH_{bulk}" for bulk in _BULK_12)
SUITES_12: Final = (*ECDSA_12, *RSA_12)
CCM_12: Final = tuple(f"TLS_ECDHE_ECDSA_WITH_{bulk}" for bulk in ("AES_128_CCM", "AES_256_CCM"))
CCM_8_12: Final = tuple(f"{suite}_8" for suite in CCM_12)

# Whose order decides is tried with two suites, and with one of ChaCha20 besides. handfast has both versions on offer.
AES: Final = {"1.3": SUITES[:2], "1.2": ECDSA_12[:2]}
CHACHA20: Final = {"1.3": SUITES[2], "1.2": ECDSA_12[2]}

# What a peer is limited to that shall have no suite in common with handfast's default.
UNWANTED: Final = {"1.3": CCM, "1.2": "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA"}

HYBRID: Final = "X25519MLKEM768"
HYBRIDS: Final = (HYBRID, "SecP256r1MLKEM768", "SecP384r1MLKEM1024")
CLASSICAL: Final = ("x25519", "secp256r1", "secp384r1", "secp521r1")

ECDSA: Final = ("p256", "p384", "p521")
RSA: Final = ("rsa2048", "rsapss2048")
EDWARDS: Final = ("ed25519", "ed448")
MLDSA: Final = ("mldsa44", "mldsa65", "mldsa87")

# What handfast is configured with, so that the peer's choice decides.
ALL_SUITES: Final = (*SUITES, CCM, CCM_8)
ALL_SUITES_12: Final = (*SUITES_12, *CCM_12, *CCM_8_12)
ALL_GROUPS: Final = (*HYBRIDS, *CLASSICAL, "x448")


class Feature(NamedTuple):
    """``roles``: those of the peer that it can be tried with. ``versions``: those that have it, or MEETING."""

    sentence: str
    roles: tuple[str, ...] = ROLES
    versions: tuple[str, ...] = VERSIONS


_NEW: Final = ("1.3",)
_OLD: Final = ("1.2",)
_EITHER: Final = (MEETING,)

FEATURES: Final = {
    # Which version it is: what either side knows, and what comes of it.
    "both sides know both": Feature("TLS 1.3", versions=_EITHER),
    "handfast knows TLS 1.2 alone": Feature("TLS 1.2, and nobody takes it for a downgrade", versions=_EITHER),
    "the peer knows TLS 1.2 alone": Feature("likewise", versions=_EITHER),
    "handfast knows TLS 1.3 alone, the peer 1.2": Feature(
        "no connection: protocol_version, and handfast's error names the versions", versions=_EITHER
    ),
    "handfast knows TLS 1.2 alone, the peer 1.3": Feature("likewise", versions=_EITHER),
    "the peer knows TLS 1.1 alone": Feature("likewise: it is refused by name", versions=_EITHER),
    "the client comes again with TLS 1.2": Feature(
        "it says so by TLS_FALLBACK_SCSV, and handfast knows 1.3: inappropriate_fallback", ("client",), _EITHER
    ),
    # What is negotiated.
    "order of the server": Feature("both have two suites; it is the one that the server prefers"),
    "order of the client": Feature("likewise, where the server follows the client"),
    "ChaCha20 first": Feature("a client that prefers it gets it, from a server that prefers AES"),
    "ALPN": Feature("both sides have a protocol in common, which is not the client's first"),
    "server name": Feature("it chooses one of the server's two certificates"),
    "intermediate": Feature("the server's certificate comes from an intermediate authority, which it sends too"),
    "no middlebox compatibility": Feature("the client does not look like TLS 1.2 (RFC 9846 appendix E.4)", ROLES, _NEW),
    # Clients' certificates, besides one of each kind of key, which the server requires.
    "optional certificate": Feature("the server asks for a certificate, and the client shows one"),
    "no certificate": Feature("the server asks for a certificate; the client has none, and is served all the same"),
    "certificate required": Feature(
        "the client has none: the handshake fails with certificate_required, in TLS 1.2 with handshake_failure"
    ),
    "unknown client CA": Feature("the server does not know the issuer of the client's certificate; its alert arrives"),
    # Another round trip.
    "retry": Feature("the server takes no group that the client sent a share of: HelloRetryRequest", ROLES, _NEW),
    "cookie": Feature("the HelloRetryRequest has a cookie, which the client sends back", ROLES, _NEW),
    "retry always": Feature("a HelloRetryRequest that wants nothing but the cookie", ("client",), _NEW),
    # Sessions. Each is two connections, the second of which takes up the first one's session.
    "resumption": Feature("the second connection has no certificates", ROLES, _NEW),
    "resumption without key exchange": Feature("likewise, by the session's key alone (psk_ke)", ROLES, _NEW),
    "resumption after a retry": Feature("likewise, and the server wants another key share first", ROLES, _NEW),
    "resumption by ticket": Feature("the abbreviated handshake (RFC 5077)", ROLES, _OLD),
    "resumption by ID": Feature("likewise; the server has kept the session", ROLES, _OLD),
    "early data": Feature("the second connection begins with data, which the server takes", ROLES, _NEW),
    "early data refused": Feature("the server does not take it; it is sent again, and arrives once", ROLES, _NEW),
    "external key": Feature("both sides were given a key, and nobody shows a certificate", ROLES, _NEW),
    # Afterwards.
    "exporter": Feature("both sides export the same keying material"),
    "exporter with a context": Feature("likewise, for something that the application names"),
    "tls-unique": Feature("both sides have the same channel binding", ROLES, _OLD),
    "key update by handfast": Feature(
        "it changes its key and asks the peer to do so too; data goes on both ways", ROLES, _NEW
    ),
    "key update by the peer": Feature("likewise, the other way round", ROLES, _NEW),
    "renegotiation by the peer": Feature("handfast ends the connection with no_renegotiation", ROLES, _OLD),
    "record size limit of handfast": Feature("it takes short records only, and the peer sends no others (RFC 8449)"),
    "record size limit of the peer": Feature("likewise, the other way round"),
    "padding by handfast": Feature("its records are all of one length", ROLES, _NEW),
    "padding by the peer": Feature("likewise", ROLES, _NEW),
    "1 MiB both ways": Feature("it arrives with the same SHA-256"),
    "handfast closes first": Feature("its close_notify is a clean end for the peer"),
    "peer closes first": Feature("its close_notify is a clean end for handfast"),
    # What has to fail.
    "unknown CA": Feature("the client does not know the issuer; its alert arrives, and both sides report it"),
    "no common ALPN": Feature("the handshake fails with the alert no_application_protocol"),
    "no common suite": Feature("it fails with the alert handshake_failure, and the error names what was offered"),
    "no common group": Feature("likewise"),
}


SESSIONS: Final = (
    "resumption",
    "resumption without key exchange",
    "resumption after a retry",
    "resumption by ticket",
    "resumption by ID",
    "early data",
    "early data refused",
    "external key",
)
EARLY: Final = ("early data", "early data refused")


class Pair(NamedTuple):
    """A suite, and the kind of key that the server signs with."""

    suite: str
    key: str

    def __str__(self) -> str:
        return f"{self.suite}-{self.key}" if is_12(self.suite) else self.suite


def is_12(suite: str) -> bool:
    """Whether a suite is one of TLS 1.2."""
    return "_WITH_" in suite


def signs(suite: str, key: str) -> bool:
    """Whether a server with this kind of key can have the suite."""
    return not is_12(suite) or ("_RSA_" in suite) == (key in RSA)


@dataclass(frozen=True)
class Abilities:
    """What is tried with a peer in one role and one version.

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

    @property
    def pairs(self) -> list[Pair]:
        """Each suite: in TLS 1.2 with each kind of key that it can be signed with, of the curves one alone."""
        pairs = []
        for suite in self.suites:
            fitting = [key for key in self.keys if signs(suite, key) and key not in ("p384", "p521")]
            pairs += [Pair(suite, key) for key in (fitting if is_12(suite) else fitting[:1])]
        return pairs


def both(newer: Abilities, suites: Sequence[str], has: Sequence[str] = ()) -> dict[str, Abilities]:
    """What a peer can do in TLS 1.3, and in 1.2: the same, with other suites, and without what is in 1.3 alone.

    ``has``: the features that it lacks in TLS 1.3 alone
    """
    older = replace(
        newer,
        suites=suites,
        groups=[group for group in newer.groups if group not in HYBRIDS],
        keys=[key for key in newer.keys if key not in MLDSA],
        client_keys=[key for key in newer.client_keys or () if key not in MLDSA],
        lacks=_of(_OLD, {name: why for name, why in newer.lacks.items() if name not in has}),
    )
    return {"1.3": replace(newer, lacks=_of((*_NEW, MEETING), newer.lacks)), "1.2": older}


def _of(versions: Sequence[str], lacks: Mapping[str, str]) -> dict[str, str]:
    return {name: why for name, why in lacks.items() if set(FEATURES[name].versions) & set(versions)}
