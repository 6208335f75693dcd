"""Configurations: frozen values that any number of connections share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, Protocol

from handfast import limits
from handfast.clock import SYSTEM_CLOCK, Clock
from handfast.crypto.entropy import SYSTEM_ENTROPY, Entropy
from handfast.crypto.groups import CLASSICAL_HALF
from handfast.crypto.signatures import CERTIFICATE_SCHEMES, SCHEMES, SCHEMES_12
from handfast.crypto.suites import SUITES, SUITES_12
from handfast.errors import ConfigurationError, kind_wanted
from handfast.profiles import (
    INTERMEDIATE,
    KNOWN_GROUPS,
    KNOWN_SCHEMES,
    KNOWN_SUITES,
    PROFILES,
    Profile,
    version_of,
    why_not,
)
from handfast.wire.codepoints import CipherSuite, NamedGroup, ProtocolVersion, Registry, SignatureScheme

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from datetime import datetime

    from handfast.certificates.identity import Identity
    from handfast.certificates.peer import PeerIdentity
    from handfast.certificates.store import TrustStore
    from handfast.sessions.external import ExternalPsk
    from handfast.sessions.protocols import PskFinder, ReplayGuard, SessionCache, SessionStore, TicketSealer
    from handfast.wire.hello import ClientHello
    from handfast.wire.messages12 import CertificateRequest12
    from handfast.wire.messages13 import CertificateRequest

_COOKIE_KEY = 32
_NOBODY: Final = b"clients are not asked"


class ServerVerifier(Protocol):
    """Decides whether a chain is the server's; see handfast.certificates.policy for the one that is used by default."""

    def verify_server(
        self, chain: Sequence[bytes], server_name: str | None, now: datetime
    ) -> PeerIdentity | Awaitable[PeerIdentity]:
        """The server's proven identity. Raises a CertificateError where there is none."""


class ClientVerifier(Protocol):
    """Decides whether a chain proves who a client is; ChainVerifier does, with one's own roots."""

    def verify_client(self, chain: Sequence[bytes], now: datetime) -> PeerIdentity | Awaitable[PeerIdentity]:
        """The client's proven identity. Raises a CertificateError where there is none."""


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

_PSK_IDENTITIES = 24_576  # bytes: there may be a ticket as well, and all extensions have 65,535
_TRUST_ID = 255  # bytes that a session has for it
_INNER_LIMIT = (1 << 14) + 1  # content, content type and padding of one record (RFC 9846 section 5.4)


def _code_points(setting: str, values: Names, registry: type[Registry], known: Sequence[int]) -> tuple[int, ...]:
    """Names or numbers as numbers, each known and there once; at least one."""
    found: list[int] = []
    for value in [values] if isinstance(values, str) else values:
        number = registry.value(value) if isinstance(value, str) else value
        if number is None or number not in known:
            why = why_not(str(value) if number is None else registry.name(number))
            problem = f"{value!r} cannot be used: {why}" if why else f"{value!r} is not known"
            raise ConfigurationError(setting=setting, problem=problem, known=[registry.name(item) for item in known])
        if number not in found:
            found.append(number)
    if not found:
        raise ConfigurationError(setting=setting, problem="the list is empty")
    return tuple(found)


def _one_of(setting: str, value: str, *known: str) -> None:
    if value not in known:
        raise ConfigurationError(setting=setting, problem="has to be " + " or ".join(f'"{name}"' for name in known))


def _protocols(values: Sequence[str | bytes]) -> tuple[bytes, ...]:
    if isinstance(values, (str, bytes)):
        raise ConfigurationError(setting="alpn", problem="a list of names is needed, not a name")
    names = tuple(value.encode("utf-8") if isinstance(value, str) else value for value in values)
    for name in names:
        if not 1 <= len(name) <= 255:
            raise ConfigurationError(setting="alpn", problem="a name has 1 to 255 bytes (RFC 7301 section 3.1)")
    return names


def _profile(value: Profile | str) -> Profile:
    if isinstance(value, Profile):
        return value
    if value not in PROFILES:
        known = list(PROFILES)
        problem = "legacy is not there yet" if value == "legacy" else f"{value!r} is not known"
        raise ConfigurationError(setting="profile", problem=problem, known=known)
    return PROFILES[value]


def _version(setting: str, name: str | None) -> int | None:
    if name is None:
        return None
    version = version_of(str(name))
    if version is None:
        problem = f"{name!r} cannot be used: {why_not(f'TLSv{name}') or 'there is no such version'}"
        raise ConfigurationError(setting=setting, problem=problem, known=["1.2", "1.3"])
    return version


def _psk_modes(names: Sequence[str]) -> bytes:
    known = {"psk_ke": 0, "psk_dhe_ke": 1}
    if isinstance(names, str) or not names or any(name not in known for name in names):
        raise ConfigurationError(setting="psk_modes", problem='has to be a list of "psk_dhe_ke" and "psk_ke"')
    return bytes(known[name] for name in dict.fromkeys(names))


def _check_tickets(wanted: tuple[int, int] | None) -> None:
    if wanted is not None and (len(tuple(wanted)) != 2 or any(not 0 <= count < 1 << 8 for count in wanted)):
        raise ConfigurationError(setting="ticket_request", problem="has to be two numbers of 0 to 255")


def _check_roles(psks: Iterable[ExternalPsk], role: str) -> None:
    for psk in psks:
        if psk.role != role:
            problem = f"the key is for a {psk.role}, and this is a {role}: one key has one direction (Selfie, RFC 9257)"
            raise ConfigurationError(setting="psks", problem=problem)


def _check_verifier(setting: str, value: object, method: str) -> None:
    if value is None or value is ASK:
        return
    if isinstance(value, type) or not callable(getattr(value, method, None)):
        raise kind_wanted(setting, value, f"an object that has {method}, such as a ChainVerifier")


def _identities(values: object) -> tuple[Identity, ...]:
    """A list of them. One without its list, or the name of a file, would fail somewhere else and say less."""
    from handfast.certificates.identity import Identity

    wanted = "a list of Identity, such as [Identity.load(...)]"
    if isinstance(values, (Identity, str, bytes)) or not isinstance(values, Iterable):
        raise kind_wanted("identities", values, wanted)
    found = tuple(values)
    for value in found:
        if not isinstance(value, Identity):
            raise kind_wanted("identities", value, wanted)
    return found


def _check_roots(setting: str, value: object) -> None:
    if value is None:
        return
    from handfast.certificates.store import TrustStore

    if not isinstance(value, TrustStore):
        raise kind_wanted(setting, value, "a TrustStore, such as TrustStore.from_files(...) gives")


def _lacking(**lists: tuple[int, ...]) -> str:
    """Which of the lists has nothing for a version of TLS; "" if none is empty."""
    return ", ".join(f"{name} has nothing for it" for name, values in lists.items() if not values)


ClientChooser = Callable[["CertificateRequest | CertificateRequest12"], "Identity | Awaitable[Identity | None] | None"]
CheckPeer = Callable[["PeerIdentity"], "Awaitable[None] | None"]


@dataclass(frozen=True, kw_only=True)
class _Config:
    """What both sides can set.

    ``identities``    certificates with their keys. A server's first one is its default; a client needs one only where
                      servers ask who it is, and the first that the server can accept is used
    ``check_peer``    called with the peer's identity, once it is proven; refuses it by raising a TLSError:
                      CertificateRefused lets it choose the alert. May be asynchronous. Not called where a key from
                      outside was used (``psks``): nobody shows an identity then
    ``profile``                what is offered and accepted, by name or as a value: "intermediate" is TLS 1.3, and TLS 1.2
                               with ephemeral keys, AEADs and the extended main secret; "modern" is TLS 1.3 alone. See
                               handfast.profiles
    ``min_version``            "1.2" or "1.3", within the profile
    ``max_version``            likewise
    ``cipher_suites, groups``  names or numbers in place of the profile's, the preferred one first
    ``signature_schemes``      likewise: what the peer may sign with (RFC 9846 section 4.3.3). A version without a suite,
                               group or scheme of its own is not offered
    ``certificate_signature_schemes``  what its certificates may be signed with; besides the above RSA PKCS#1
    ``alpn``                   application protocols, the preferred one first; none means that ALPN is not used
    ``record_size_limit``      the longest record that the peer may send, 64 to 16385 bytes of content, type and padding
                               (RFC 8449): for those who have little memory. A client that leaves it out does not say
    ``record_padding``         pads the records we send to a multiple of so many bytes, to hide lengths; 0 for none
    ``keylog``                 where the secrets of connections go, so that captures can be decrypted; off by default
    ``handshake_timeout``      seconds that a handshake may take, which a transport enforces; None for no limit
    ``clock``                  time, for tests and for machines whose clock is elsewhere
    ``entropy_for_tests``      replaces all randomness: with it a handshake can be repeated, and is not secure
    """

    identities: Sequence[Identity] = ()
    check_peer: CheckPeer | _Later | None = None
    profile: Profile | str = INTERMEDIATE.name
    min_version: str | None = None
    max_version: str | None = None
    cipher_suites: Names | None = None
    groups: Names | None = None
    signature_schemes: Names | None = None
    certificate_signature_schemes: Names = CERTIFICATE_SCHEMES
    record_size_limit: int | None = None
    record_padding: int = 0
    alpn: Sequence[str | bytes] = ()
    keylog: KeyLog | None = None
    handshake_timeout: float | None = limits.HANDSHAKE_SECONDS
    clock: Clock = SYSTEM_CLOCK
    entropy_for_tests: Entropy | None = field(default=None, repr=False)

    # What the settings above come to, as numbers and bytes.
    versions: tuple[int, ...] = field(init=False, repr=False)
    suite_ids: tuple[int, ...] = field(init=False, repr=False)
    suite_12_ids: tuple[int, ...] = field(init=False, repr=False)
    group_ids: tuple[int, ...] = field(init=False, repr=False)
    group_12_ids: tuple[int, ...] = field(init=False, repr=False)
    scheme_ids: tuple[int, ...] = field(init=False, repr=False)
    scheme_12_ids: tuple[int, ...] = field(init=False, repr=False)
    certificate_scheme_ids: tuple[int, ...] = field(init=False, repr=False)
    protocols: tuple[bytes, ...] = field(init=False, repr=False)
    entropy: Entropy = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._choose(_profile(self.profile))
        schemes = _code_points(
            "certificate_signature_schemes", self.certificate_signature_schemes, SignatureScheme, CERTIFICATE_SCHEMES
        )
        self._set("certificate_scheme_ids", schemes)
        if self.check_peer is not None and self.check_peer is not ASK and not callable(self.check_peer):
            raise kind_wanted("check_peer", self.check_peer, "a function")
        self._set("identities", _identities(self.identities))
        self._set("protocols", _protocols(self.alpn))
        self._set("entropy", self.entropy_for_tests or SYSTEM_ENTROPY)
        if self.handshake_timeout is not None and self.handshake_timeout <= 0:
            raise ConfigurationError(setting="handshake_timeout", problem="has to be more than 0 seconds")
        if (
            self.record_size_limit is not None
            and not limits.RECORD_SIZE_LIMIT <= self.record_size_limit <= _INNER_LIMIT
        ):
            problem = f"has to be {limits.RECORD_SIZE_LIMIT} to {_INNER_LIMIT} (RFC 8449 section 4)"
            raise ConfigurationError(setting="record_size_limit", problem=problem)
        if not 0 <= self.record_padding <= _INNER_LIMIT:
            raise ConfigurationError(setting="record_padding", problem=f"has to be 0 to {_INNER_LIMIT} bytes")

    def _choose(self, profile: Profile) -> None:
        """The versions, and the algorithms of each."""
        suites, groups, schemes = profile.cipher_suites, profile.groups, profile.signature_schemes
        if self.cipher_suites is not None:
            suites = _code_points("cipher_suites", self.cipher_suites, CipherSuite, KNOWN_SUITES)
        if self.groups is not None:
            groups = _code_points("groups", self.groups, NamedGroup, KNOWN_GROUPS)
        if self.signature_schemes is not None:
            schemes = _code_points("signature_schemes", self.signature_schemes, SignatureScheme, KNOWN_SCHEMES)
        of_13 = tuple(suite for suite in suites if suite in SUITES)
        of_12 = tuple(suite for suite in suites if suite in SUITES_12)
        curves = tuple(group for group in groups if group not in CLASSICAL_HALF)  # hybrids need TLS 1.3
        schemes_13 = tuple(scheme for scheme in schemes if scheme in SCHEMES)
        schemes_12 = tuple(scheme for scheme in schemes if scheme in SCHEMES_12)
        lacking = {
            ProtocolVersion.TLS_1_3: _lacking(cipher_suites=of_13, groups=groups, signature_schemes=schemes_13),
            ProtocolVersion.TLS_1_2: _lacking(cipher_suites=of_12, groups=curves, signature_schemes=schemes_12),
        }
        lowest, highest = _version("min_version", self.min_version), _version("max_version", self.max_version)
        for version in lacking:
            if version not in profile.versions:
                lacking[version] = "the profile does not have it"
            elif (lowest or version) > version or (highest or version) < version:
                lacking[version] = "it is not within min_version and max_version"
        versions = tuple(version for version in profile.versions if lacking.get(version) == "")
        if not versions:
            raise ConfigurationError(
                setting="min_version, max_version, cipher_suites, groups, signature_schemes",
                problem="no version of TLS is left",
                profile=profile.name,
                why=[f"{ProtocolVersion.name(version)}: {why}" for version, why in lacking.items()],
            )
        with_12 = ProtocolVersion.TLS_1_2 in versions
        self._set("versions", versions)
        self._set("suite_ids", of_13 if ProtocolVersion.TLS_1_3 in versions else ())
        self._set("suite_12_ids", of_12 if with_12 else ())
        self._set("group_ids", groups if ProtocolVersion.TLS_1_3 in versions else curves)
        self._set("group_12_ids", curves)
        self._set("scheme_ids", schemes_13)
        self._set("scheme_12_ids", schemes_12 if with_12 else ())

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)  # the dataclass is frozen; this is its own constructor


@dataclass(frozen=True, kw_only=True)
class ClientConfig(_Config):
    """A client's settings. Everything has a safe default: ``ClientConfig()`` is what a web client wants.

    ``trust``         the roots to trust; the system's by default
    ``verifier``      decides on the server's certificate, instead of the roots above; ASK makes it an event
    ``choose_identity``  called with a server's CertificateRequest, to name an identity; None for no certificate. Without
                      it the choice is made from ``identities``
    ``certificate_authorities``  send the names of the trusted roots, so that the server can choose a certificate that
                      leads to one of them (RFC 9846 section 4.3.4)
    ``key_shares``    the groups to send a share of at once. By default the first group, and where that is a hybrid and
                      its classical half is offered too, that: no round trip is lost to a server without the hybrid.
                      () sends none, and lets the server ask for one
    ``middlebox_compatibility``  look like TLS 1.2 to old middleboxes (RFC 9846 appendix E.4)
    ``sessions``      where sessions are kept, so that the next connection is quicker; None resumes nothing. It counts only
                      with a verifier that can say what it trusts (``trust_id``), as ChainVerifier does
    ``psks``          keys that the server has too; with them no certificate is needed
    ``psk_modes``     "psk_dhe_ke" (a session's key and a fresh one) or, by choice, "psk_ke" (the session's key alone,
                      without forward secrecy), the preferred one first
    ``ticket_request``  how many tickets to ask for: after a full handshake, and after a resumed one (RFC 9149)
    """

    trust: TrustStore | None = None
    verifier: ServerVerifier | _Later | None = None
    choose_identity: ClientChooser | _Later | None = None
    certificate_authorities: bool = False
    key_shares: Names | None = None
    middlebox_compatibility: bool = True
    sessions: SessionStore | None = None
    psks: Sequence[ExternalPsk] = ()
    psk_modes: Sequence[str] = ("psk_dhe_ke",)
    ticket_request: tuple[int, int] | None = None

    share_ids: tuple[int, ...] = field(init=False, repr=False)
    server_verifier: ServerVerifier | _Later = field(init=False, repr=False)
    psk_mode_ids: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set("psk_mode_ids", _psk_modes(self.psk_modes))
        _check_roots("trust", self.trust)
        _check_verifier("verifier", self.verifier, "verify_server")
        _check_roles(self.psks, "client")
        _check_tickets(self.ticket_request)
        if len(self.psks) >= limits.PSK_IDENTITIES:  # one is for a session
            raise ConfigurationError(setting="psks", problem=f"there can be {limits.PSK_IDENTITIES - 1} keys")
        if sum(len(psk.identity) for psk in self.psks) > _PSK_IDENTITIES:
            problem = f"their identities may have {_PSK_IDENTITIES} bytes together: they have to fit into a ClientHello"
            raise ConfigurationError(setting="psks", problem=problem)
        self._set("share_ids", self._shares() if ProtocolVersion.TLS_1_3 in self.versions else ())
        self._set("server_verifier", self._default_verifier() if self.verifier is None else self.verifier)

    def _shares(self) -> tuple[int, ...]:
        if self.key_shares is not None and not self.key_shares:
            return ()
        if self.key_shares is not None:
            shares = _code_points("key_shares", self.key_shares, NamedGroup, self.group_ids)
            return tuple(group for group in self.group_ids if group in shares)
        first = self.group_ids[0]
        half = CLASSICAL_HALF.get(first)
        return (first, half) if half is not None and half in self.group_ids else (first,)

    @property
    def trust_id(self) -> bytes:
        """What a session of ours stands on; b"" where the verifier cannot say that, and nothing is resumed."""
        return _trust_id(self.server_verifier)

    def _default_verifier(self) -> ServerVerifier:
        from handfast.certificates.policy import ChainVerifier

        return ChainVerifier(self._roots())

    def _roots(self) -> TrustStore:
        from handfast.certificates.store import TrustStore

        return TrustStore.default() if self.trust is None else self.trust

    def authorities(self) -> list[bytes] | None:
        """What the ClientHello has as certificate_authorities: distinguished names (DER), None to leave it out."""
        return (list(self._roots().subjects()) or None) if self.certificate_authorities else None


def _trust_id(verifier: object) -> bytes:
    """What a verifier says that it trusts; b"" for one that cannot say it, or says what no session has room for."""
    found = getattr(verifier, "trust_id", b"")
    return found if isinstance(found, bytes) and len(found) <= _TRUST_ID else b""


Chooser = Callable[["ClientHello"], "Identity | Awaitable[Identity | None] | None"]
Demand = Literal["none", "optional", "required"]
HelloReview = Callable[["ClientHello"], "ServerConfig | Awaitable[ServerConfig | None] | None"]


@dataclass(frozen=True, kw_only=True)
class ServerConfig(_Config):
    """A server's settings.

    ``on_client_hello``  called with each ClientHello before anything is decided: may return another ServerConfig for
                         this connection, or refuse by raising HandshakeRefused. Clock and deadline stay as they are
    ``choose_identity``  called with each ClientHello, to name an identity; None leaves the choice to the list above
    ``suite_order``      whose order of preference decides: ours, or the client's. With ours a client that puts
                         ChaCha20 first gets it all the same, since it has no fast AES
    ``unknown_names``    what a client gets that asks for a name no identity has: the first identity, or an alert
    ``client_authentication``  whether clients are asked for a certificate, and whether they have to have one. A
                         certificate that does not verify ends the handshake in both cases. A client with a key from
                         outside (``psks``) is not asked, so "required" does not go with those. It has to be said where
                         anything else here is about clients' certificates; without all of these it is "none"
    ``client_trust``     the roots that clients' certificates have to lead to
    ``client_verifier``  decides on clients' certificates, instead of the roots above; ASK makes it an event
    ``client_authorities``  the names (DER) that clients are told to choose their certificate by; None for those of the
                         roots, () for none
    ``cookie_key``       a HelloRetryRequest has a cookie, keyed by these 32 bytes or more: the client has to bring it
                         back, and any process with the key can tell that it was given
    ``retry``            "always" answers every first ClientHello with a HelloRetryRequest and a cookie, which costs a
                         round trip and proves that the client can be reached; by default only where a key share is
                         missing
    ``tickets``          seals what clients come back with, such as a TicketKeyRing; None gives no tickets
    ``session_cache``    keeps the sessions of clients of TLS 1.2 that have no tickets, by their IDs
    ``ticket_count``     how many a client of TLS 1.3 gets that does not say how many it wants; one that has come back by
                         a ticket gets one for it
    ``ticket_lifetime``  seconds for which a session may be resumed, at most seven days
    ``psks``             keys that clients have too, by identity; or a callable from identity to ExternalPsk or None
    ``psk_modes``        "psk_dhe_ke", and by choice "psk_ke", which has no forward secrecy, the preferred one first
    ``early_data``       the guard that tells first sendings from replays; None takes no early data (RFC 9846 section 8)
    ``max_early_data``   bytes that a client may send with its hello
    """

    on_client_hello: HelloReview | _Later | None = None
    choose_identity: Chooser | _Later | None = None
    suite_order: Literal["server", "client"] = "server"
    unknown_names: Literal["default", "refuse"] = "default"
    client_authentication: Demand | None = None
    client_trust: TrustStore | None = None
    client_verifier: ClientVerifier | _Later | None = None
    client_authorities: Sequence[bytes] | None = None
    cookie_key: bytes | None = field(default=None, repr=False)
    retry: Literal["when_needed", "always"] = "when_needed"
    tickets: TicketSealer | None = None
    session_cache: SessionCache | None = None
    ticket_count: int = 2
    ticket_lifetime: int = 7_200
    psks: Mapping[bytes, ExternalPsk] | PskFinder | None = None
    psk_modes: Sequence[str] = ("psk_dhe_ke",)
    early_data: ReplayGuard | None = None
    max_early_data: int = 14_336

    psk_mode_ids: bytes = field(init=False, repr=False)
    verifier_of_clients: ClientVerifier | _Later | None = field(init=False, repr=False)
    demand: Demand = field(init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set("psk_mode_ids", _psk_modes(self.psk_modes))
        _check_roots("client_trust", self.client_trust)
        _check_verifier("client_verifier", self.client_verifier, "verify_client")
        if isinstance(self.psks, Mapping):
            _check_roles(self.psks.values(), "server")
            if any(psk.identity != name for name, psk in self.psks.items()):
                raise ConfigurationError(setting="psks", problem="each key has to stand under its own identity")
        if not 0 < self.ticket_lifetime <= limits.SESSION_SECONDS:
            raise ConfigurationError(setting="ticket_lifetime", problem="has to be 1 second to 7 days")
        for kept in (self.tickets, self.session_cache):
            longest = getattr(kept, "max_lifetime", None)
            if longest is not None and self.ticket_lifetime > longest:
                problem = f"is longer than the store keeps its keys: RedisKeyRing(..., lifetime={self.ticket_lifetime})"
                raise ConfigurationError(setting="ticket_lifetime", problem=problem)
        if not 0 <= self.ticket_count <= limits.TICKETS:
            raise ConfigurationError(setting="ticket_count", problem=f"has to be 0 to {limits.TICKETS}")
        if not 0 <= self.max_early_data < 1 << 32:
            raise ConfigurationError(setting="max_early_data", problem="has to fit into four bytes")
        if not self.identities and self.choose_identity is None and self.on_client_hello is None and self.psks is None:
            raise ConfigurationError(setting="identities", problem="a server needs a certificate and its key")
        _one_of("suite_order", self.suite_order, "server", "client")
        _one_of("unknown_names", self.unknown_names, "default", "refuse")
        self._set("demand", self._demanded())
        if self.psks is not None and self.client_authentication == "required":
            problem = (
                'with psks it cannot be "required": who has a key shows no certificate; "optional" is what there is'
            )
            raise ConfigurationError(setting="client_authentication", problem=problem)
        _one_of("retry", self.retry, "when_needed", "always")
        if self.cookie_key is not None and len(self.cookie_key) < _COOKIE_KEY:
            raise ConfigurationError(setting="cookie_key", problem=f"has to have {_COOKIE_KEY} bytes or more")
        if self.retry == "always" and self.cookie_key is None:
            # Without a cookie a retry may be one that changes nothing, which clients have to refuse.
            raise ConfigurationError(setting="retry", problem='"always" needs a cookie_key')
        self._set(
            "verifier_of_clients", self._default_verifier() if self.client_verifier is None else self.client_verifier
        )

    @property
    def trust_id(self) -> bytes:
        """What a client's identity in a session stands on: a constant where clients are not asked who they are.

        b"" where the verifier cannot say that: then it has to verify each time, and nothing is resumed.
        """
        if self.demand == "none":
            return _NOBODY
        return _trust_id(self.verifier_of_clients)

    def _demanded(self) -> Demand:
        if self.client_authentication is not None:
            _one_of("client_authentication", self.client_authentication, "none", "optional", "required")
            return self.client_authentication
        for setting in ("client_trust", "client_verifier", "check_peer"):
            if getattr(self, setting) is not None:
                # Whoever says who may come in does not mean everybody.
                problem = f'with {setting} it has to be said: "required", "optional", or "none" to ask no client'
                raise ConfigurationError(setting="client_authentication", problem=problem)
        return "none"

    def _default_verifier(self) -> ClientVerifier | None:
        from handfast.certificates.policy import ChainVerifier

        if self.client_trust is not None:
            return ChainVerifier(self.client_trust)
        if self.demand != "none":
            # The system's roots are for servers: a certificate from one of them says nothing about a client.
            raise ConfigurationError(
                setting="client_trust", problem="to ask for client certificates, say which roots they have to lead to"
            )
        return None

    def authorities(self) -> list[bytes] | None:
        """What the CertificateRequest has as certificate_authorities: distinguished names (DER), None for none."""
        names = self.client_authorities
        if names is None and self.client_trust is not None:
            names = self.client_trust.subjects()
        return list(names or ()) or None
