"""Configurations: frozen values that any number of connections share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from handfast import limits
from handfast.clock import SYSTEM_CLOCK, Clock
from handfast.crypto.entropy import SYSTEM_ENTROPY, Entropy
from handfast.crypto.groups import GROUPS
from handfast.crypto.signatures import CERTIFICATE_SCHEMES, SCHEMES
from handfast.crypto.suites import SUITES
from handfast.errors import ConfigurationError
from handfast.wire.codepoints import CipherSuite, NamedGroup, Registry, SignatureScheme

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from datetime import datetime

    from handfast.certificates.identity import Identity, PeerIdentity
    from handfast.certificates.store import TrustStore
    from handfast.wire.hello import ClientHello

DEFAULT_SUITES = (
    CipherSuite.TLS_AES_128_GCM_SHA256,
    CipherSuite.TLS_AES_256_GCM_SHA384,
    CipherSuite.TLS_CHACHA20_POLY1305_SHA256,
)
DEFAULT_GROUPS = (
    NamedGroup.X25519MLKEM768,
    NamedGroup.X25519,
    NamedGroup.SECP256R1,
    NamedGroup.SECP384R1,
)


class ServerVerifier(Protocol):
    """Decides whether a chain is the server's; see handfast.certificates.policy for the one that is used by default."""

    def verify_server(
        self, chain: Sequence[bytes], server_name: str | None, now: datetime
    ) -> PeerIdentity | Awaitable[PeerIdentity]:
        """The server's proven identity. Raises a CertificateError where there is none."""


class KeyLog(Protocol):
    """Takes the secrets of connections, for a debugger that decrypts a capture."""

    def secret(self, label: str, client_random: bytes, secret: bytes) -> None:
        """One line of the SSLKEYLOGFILE format (RFC 9850)."""


class _Later:
    """See :data:`ASK`."""

    def __repr__(self) -> str:
        return "handfast.ASK"


ASK = _Later()
"""In place of a verifier or chooser: the question comes out of the connection as an event."""

Names = Sequence[int | str]


def _code_points(setting: str, values: Names, registry: type[Registry], known: Sequence[int]) -> tuple[int, ...]:
    """Names or numbers as numbers, each known and there once; at least one."""
    found: list[int] = []
    for value in [values] if isinstance(values, str) else values:
        number = registry.value(value) if isinstance(value, str) else value
        if number is None or number not in known:
            raise ConfigurationError(
                setting=setting, problem=f"{value!r} is not known", known=[registry.name(item) for item in known]
            )
        if number not in found:
            found.append(number)
    if not found:
        raise ConfigurationError(setting=setting, problem="the list is empty")
    return tuple(found)


def _protocols(values: Sequence[str | bytes]) -> tuple[bytes, ...]:
    if isinstance(values, (str, bytes)):
        raise ConfigurationError(setting="alpn", problem="a list of names is needed, not a name")
    names = tuple(value.encode("utf-8") if isinstance(value, str) else value for value in values)
    for name in names:
        if not 1 <= len(name) <= 255:
            raise ConfigurationError(setting="alpn", problem="a name has 1 to 255 bytes (RFC 7301 section 3.1)")
    return names


@dataclass(frozen=True, kw_only=True)
class _Config:
    """What both sides can set.

    ``cipher_suites, groups``  names or numbers, the preferred one first
    ``alpn``                   application protocols, the preferred one first; none means that ALPN is not used
    ``keylog``                 where the secrets of connections go, so that captures can be decrypted; off by default
    ``handshake_timeout``      seconds that a handshake may take, which a transport enforces; None for no limit
    ``clock``                  time, for tests and for machines whose clock is elsewhere
    ``entropy_for_tests``      replaces all randomness: with it a handshake can be repeated, and is not secure
    """

    cipher_suites: Names = DEFAULT_SUITES
    groups: Names = DEFAULT_GROUPS
    alpn: Sequence[str | bytes] = ()
    keylog: KeyLog | None = None
    handshake_timeout: float | None = limits.HANDSHAKE_SECONDS
    clock: Clock = SYSTEM_CLOCK
    entropy_for_tests: Entropy | None = field(default=None, repr=False)

    # What the settings above come to, as numbers and bytes.
    suite_ids: tuple[int, ...] = field(init=False, repr=False)
    group_ids: tuple[int, ...] = field(init=False, repr=False)
    protocols: tuple[bytes, ...] = field(init=False, repr=False)
    entropy: Entropy = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._set("suite_ids", _code_points("cipher_suites", self.cipher_suites, CipherSuite, tuple(SUITES)))
        self._set("group_ids", _code_points("groups", self.groups, NamedGroup, tuple(GROUPS)))
        self._set("protocols", _protocols(self.alpn))
        self._set("entropy", self.entropy_for_tests or SYSTEM_ENTROPY)
        if self.handshake_timeout is not None and self.handshake_timeout <= 0:
            raise ConfigurationError(setting="handshake_timeout", problem="has to be more than 0 seconds")

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)  # the dataclass is frozen; this is its own constructor


@dataclass(frozen=True, kw_only=True)
class ClientConfig(_Config):
    """A client's settings. Everything has a safe default: ``ClientConfig()`` is what a web client wants.

    ``trust``         the roots to trust; the system's by default
    ``verifier``      decides on the server's certificate, instead of the roots above; ASK makes it an event
    ``key_shares``    the groups to send a share of at once. By default the first hybrid and X25519, where both are
                      offered, and otherwise the first group: no round trip is lost to a server without the hybrid
    ``signature_schemes``  what the server may sign with (RFC 9846 section 4.3.3)
    ``certificate_signature_schemes``  what its certificates may be signed with; besides the above RSA PKCS#1
    ``middlebox_compatibility``  look like TLS 1.2 to old middleboxes (RFC 9846 appendix E.4)
    """

    trust: TrustStore | None = None
    verifier: ServerVerifier | _Later | None = None
    key_shares: Names | None = None
    signature_schemes: Names = tuple(SCHEMES)
    certificate_signature_schemes: Names = CERTIFICATE_SCHEMES
    middlebox_compatibility: bool = True

    share_ids: tuple[int, ...] = field(init=False, repr=False)
    scheme_ids: tuple[int, ...] = field(init=False, repr=False)
    certificate_scheme_ids: tuple[int, ...] = field(init=False, repr=False)
    server_verifier: ServerVerifier | _Later = field(init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set("share_ids", self._shares())
        self._set(
            "scheme_ids", _code_points("signature_schemes", self.signature_schemes, SignatureScheme, tuple(SCHEMES))
        )
        self._set(
            "certificate_scheme_ids",
            _code_points(
                "certificate_signature_schemes",
                self.certificate_signature_schemes,
                SignatureScheme,
                CERTIFICATE_SCHEMES,
            ),
        )
        self._set("server_verifier", self.verifier or self._default_verifier())

    def _shares(self) -> tuple[int, ...]:
        if self.key_shares is not None:
            shares = _code_points("key_shares", self.key_shares, NamedGroup, self.group_ids)
            return tuple(group for group in self.group_ids if group in shares)
        if self.group_ids[0] == NamedGroup.X25519MLKEM768 and NamedGroup.X25519 in self.group_ids:
            return (NamedGroup.X25519MLKEM768, NamedGroup.X25519)
        return self.group_ids[:1]

    def _default_verifier(self) -> ServerVerifier:
        from handfast.certificates.policy import ChainVerifier
        from handfast.certificates.store import TrustStore

        return ChainVerifier(self.trust or TrustStore.default())


Chooser = Callable[["ClientHello"], "Identity | Awaitable[Identity | None] | None"]


@dataclass(frozen=True, kw_only=True)
class ServerConfig(_Config):
    """A server's settings.

    ``identities``       certificates with their keys; the first one is the default
    ``choose_identity``  called with each ClientHello, to name an identity; None leaves the choice to the list above
    ``suite_order``      whose order of preference decides: ours, or the client's. With ours a client that puts
                         ChaCha20 first gets it all the same, since it has no fast AES
    ``unknown_names``    what a client gets that asks for a name no identity has: the first identity, or an alert
    """

    identities: Sequence[Identity] = ()
    choose_identity: Chooser | _Later | None = None
    suite_order: Literal["server", "client"] = "server"
    unknown_names: Literal["default", "refuse"] = "default"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set("identities", tuple(self.identities))
        if not self.identities and self.choose_identity is None:
            raise ConfigurationError(setting="identities", problem="a server needs a certificate and its key")
        if self.suite_order not in ("server", "client"):
            raise ConfigurationError(setting="suite_order", problem='has to be "server" or "client"')
        if self.unknown_names not in ("default", "refuse"):
            raise ConfigurationError(setting="unknown_names", problem='has to be "default" or "refuse"')
