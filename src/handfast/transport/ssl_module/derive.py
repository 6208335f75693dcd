"""From the settings of a context to a configuration of ours.

What ``context.handfast`` sets goes first: only what it leaves at its default is taken from the context.
"""

from __future__ import annotations

import dataclasses
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn, TypeVar

from handfast.config import ClientConfig, Demand, ServerConfig
from handfast.crypto.suites import SUITES
from handfast.errors import ConfigurationError
from handfast.insecure import NoVerification
from handfast.limits import TICKETS
from handfast.transport.ssl_module.exceptions import NoIdentity
from handfast.transport.ssl_module.sessions import UNSTORED
from handfast.transport.ssl_module.trust import ContextVerifier, Unverified, completed
from handfast.wire.codepoints import ProtocolVersion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from handfast.certificates.identity import Identity
    from handfast.certificates.store import TrustStore
    from handfast.config import KeyLog
    from handfast.sessions.protocols import SessionCache, TicketSealer
    from handfast.wire.hello import ClientHello

C = TypeVar("C", ClientConfig, ServerConfig)


class Settings(NamedTuple):
    """The settings of a context that ``ssl`` itself keeps, as plain numbers: what a configuration was made for."""

    protocol: int
    check_hostname: bool
    verify_mode: int
    verify_flags: int
    options: int
    minimum_version: int
    maximum_version: int
    num_tickets: int
    revision: int  # of everything that we keep


_raw: Final[Any] = ssl.SSLContext.__base__  # which has the plain values
_protocol: Final = _raw.protocol.__get__
_check_hostname: Final = _raw.check_hostname.__get__
_verify_mode: Final = _raw.verify_mode.__get__
_verify_flags: Final = _raw.verify_flags.__get__
_options: Final = _raw.options.__get__
_minimum_version: Final = _raw.minimum_version.__get__
_maximum_version: Final = _raw.maximum_version.__get__
_num_tickets: Final = _raw.num_tickets.__get__


def settings_of(context: ssl.SSLContext, revision: int) -> Settings:
    """Read them, without the enumerations that ``ssl`` makes of them."""
    return Settings(
        _protocol(context),
        _check_hostname(context),
        _verify_mode(context),
        _verify_flags(context),
        _options(context),
        _minimum_version(context),
        _maximum_version(context),
        _num_tickets(context),
        revision,
    )


def stricter(now: Settings, then: Settings) -> Settings:
    """Of two settings the one that asks for more, each by itself: ``now``, where ``then`` asks for nothing else.

    OpenSSL copies these settings into a connection when it is wrapped. What a context says later, and another context
    that a servername callback chooses for its certificate, take nothing away from them.
    """
    if now[:-1] == then[:-1]:
        return now
    limits = [limit for limit in (now.maximum_version, then.maximum_version) if limit > 0]
    return now._replace(
        check_hostname=now.check_hostname or then.check_hostname,
        verify_mode=max(now.verify_mode, then.verify_mode),
        verify_flags=now.verify_flags | then.verify_flags,
        options=now.options | (then.options & _FORBIDDING),
        minimum_version=max(now.minimum_version, then.minimum_version),
        maximum_version=min(limits) if limits else now.maximum_version,
    )


_FORBIDDING: Final = ssl.OP_NO_TLSv1_2 | ssl.OP_NO_TLSv1_3


@dataclass(frozen=True, slots=True)
class Given:
    """What a context was given besides, and keeps itself."""

    trust: TrustStore | None
    identities: Sequence[Identity]
    alpn: tuple[str, ...]
    suites_12: tuple[int, ...] | None  # what set_ciphers has chosen; None where it was not called
    group: str | None
    keylog: KeyLog | None
    tickets: TicketSealer | None
    states: SessionCache | None


def config_of(
    kind: type[ClientConfig | ServerConfig], settings: Settings, given: Given, base: ClientConfig | ServerConfig | None
) -> ClientConfig | ServerConfig:
    """What all this comes to, for one side. Raises ConfigurationError."""
    if base is not None and not isinstance(base, kind):
        problem = f"it is a {type(base).__name__}, and a {kind.__name__} is needed here"
        raise ConfigurationError(setting="context.handfast", problem=problem)
    if kind is ClientConfig:
        return client_config(settings, given, base)  # type: ignore[arg-type]
    return server_config(settings, given, base)  # type: ignore[arg-type]


def client_config(settings: Settings, given: Given, base: ClientConfig | None) -> ClientConfig:
    """Raises ConfigurationError where no version of TLS is left, say."""
    changes = _common(settings, given)
    own_trust = None if base is None else base.trust  # whoever gives roots wants them to count
    unverified = settings.verify_mode == ssl.CERT_NONE and own_trust is None
    trust = given.trust if own_trust is None else own_trust
    changes["verifier"] = Unverified() if unverified else _verifier(settings, trust)
    if not settings.options & ssl.OP_NO_TICKET:
        changes["sessions"] = UNSTORED
    return _replaced(base or ClientConfig(), changes)


def server_config(settings: Settings, given: Given, base: ServerConfig | None) -> ServerConfig:
    """The same for a server. One without a certificate refuses every client, as with ``ssl``."""
    changes = _common(settings, given)
    if base is not None:
        refuse_early_data(base)
    if settings.options & ssl.OP_NO_TICKET:
        changes["session_cache"] = given.states
    else:
        changes["tickets"] = given.tickets
    changes["ticket_count"] = min(settings.num_tickets, TICKETS)
    changes["suite_order"] = "server" if settings.options & ssl.OP_CIPHER_SERVER_PREFERENCE else "client"
    asked = _ASKED[settings.verify_mode]
    if asked != "none":
        changes["client_authentication"] = asked
        trust = given.trust if base is None or base.client_trust is None else base.client_trust
        changes["client_verifier"] = _verifier(settings, trust)
        changes["client_authorities"] = ()  # ssl names none either
    if given.identities:
        changes["choose_identity"] = None
    elif base is None:
        changes["choose_identity"] = _nobody
    config = _replaced(base or ServerConfig(choose_identity=_nobody), changes)
    return _demanding(config, asked, config.verifier_of_clients)  # the stricter one of the two counts


_ASKED: Final[dict[int, Demand]] = {ssl.CERT_NONE: "none", ssl.CERT_OPTIONAL: "optional", ssl.CERT_REQUIRED: "required"}


def refuse_early_data(config: ServerConfig) -> None:
    """Whoever uses ssl's interface reads early data as if it could not be a replay: so none may come."""
    if config.early_data is not None:
        problem = "the interface of ssl has no way to take early data; handfast.aio and handfast.Server have"
        raise ConfigurationError(setting="early_data", problem=problem)


def _nobody(_: ClientHello) -> NoReturn:
    raise NoIdentity("handshake_failure", "this context has no certificate: load_cert_chain comes first")


# What verify_flags may demand (OpenSSL's x509_vfy.h; ssl has names for few of them), and nobody here looks at. The others
# that there are take demands away, or change how lists are read.
_UNREAD: Final = (
    (ssl.VERIFY_CRL_CHECK_LEAF | ssl.VERIFY_CRL_CHECK_CHAIN, "certificate revocation lists"),
    (0x780, "certificate policies"),  # X509_V_FLAG_POLICY_CHECK, _EXPLICIT_POLICY, _INHIBIT_ANY, _INHIBIT_MAP
    (0x30000, "the algorithms of Suite B"),  # X509_V_FLAG_SUITEB_128_LOS_ONLY, _192_LOS, or both
    (0xC00000, "answers of OCSP"),  # X509_V_FLAG_OCSP_RESP_CHECK, _ALL
)


def _verifier(settings: Settings, trust: TrustStore | None) -> ContextVerifier:
    return ContextVerifier(
        trust,
        check_hostname=settings.check_hostname,
        strict=bool(settings.verify_flags & ssl.VERIFY_X509_STRICT),
        unread=next((what for flags, what in _UNREAD if settings.verify_flags & flags), ""),
    )


def _common(settings: Settings, given: Given) -> dict[str, Any]:
    changes: dict[str, Any] = {
        "identities": tuple(completed(identity, given.trust) for identity in given.identities),
        "alpn": given.alpn,
        "keylog": given.keylog,
        "handshake_timeout": None,  # whoever calls has his own
    }
    lowest, highest = _versions(settings)
    changes["min_version"], changes["max_version"] = lowest, highest
    if given.suites_12 is not None:
        # As with OpenSSL, the suites of TLS 1.3 are not a matter of this setting.
        changes["cipher_suites"] = (*_DEFAULT_SUITES_13, *given.suites_12)
    if given.group is not None:
        changes["groups"] = (given.group,)
    return changes


_DEFAULT_SUITES_13: Final = tuple(
    suite for suite in ClientConfig(verifier=NoVerification()).suite_ids if suite in SUITES
)
# The protocols that are one version, deprecated as they are.
_ONLY: Final = {
    getattr(ssl, name): version
    for name, version in (
        ("PROTOCOL_TLSv1", ProtocolVersion.TLS_1_0),
        ("PROTOCOL_TLSv1_1", ProtocolVersion.TLS_1_1),
        ("PROTOCOL_TLSv1_2", ProtocolVersion.TLS_1_2),
    )
    if hasattr(ssl, name)
}
_NAMES: Final = {ProtocolVersion.TLS_1_2: "1.2", ProtocolVersion.TLS_1_3: "1.3"}


def _versions(settings: Settings) -> tuple[str, str]:
    left = versions_left(settings)
    if not left:
        raise ConfigurationError(
            setting="minimum_version, maximum_version, options",
            problem="no version of TLS is left",
            known=["1.2", "1.3"],
        )
    return _NAMES[min(left)], _NAMES[max(left)]


def versions_left(settings: Settings) -> list[int]:
    """The versions that minimum_version, maximum_version and the options that forbid one leave of ours."""
    lowest = settings.minimum_version if settings.minimum_version > 0 else ProtocolVersion.TLS_1_2
    highest = settings.maximum_version if settings.maximum_version > 0 else ProtocolVersion.TLS_1_3
    forbidden = [
        version
        for version, option in (
            (ProtocolVersion.TLS_1_2, ssl.OP_NO_TLSv1_2),
            (ProtocolVersion.TLS_1_3, ssl.OP_NO_TLSv1_3),
        )
        if settings.options & option
    ]
    only = _ONLY.get(settings.protocol)
    if only is not None:
        forbidden += [version for version in _NAMES if version != only]
    return [version for version in _NAMES if lowest <= version <= highest and version not in forbidden]


def _replaced(base: C, changes: dict[str, Any]) -> C:
    """``base`` with these changes, but for what it sets itself."""
    kind = type(base)
    free = {
        field.name: changes[field.name]
        for field in dataclasses.fields(kind)
        if field.name in changes and _is_default(base, field)
    }
    return dataclasses.replace(base, **free)


def _is_default(base: object, field: dataclasses.Field[Any]) -> bool:
    value = getattr(base, field.name)
    return value is field.default or value == field.default or value is _nobody


def with_review(config: ServerConfig, review: object) -> ServerConfig:
    """A configuration for one connection: the same, with a callback that knows it. Nothing is worked out anew."""
    return _copied(config, on_client_hello=review)


def without_alpn(config: ServerConfig) -> ServerConfig:
    """The same for a client with which no protocol is in common: ``ssl`` goes on without one."""
    return _copied(config, alpn=(), protocols=())


def as_strict(config: ServerConfig, first: ServerConfig) -> ServerConfig:
    """A configuration that comes in place of another one: clients are asked for no less than by ``first``."""
    return _demanding(config, first.demand, first.verifier_of_clients)


def _demanding(config: ServerConfig, demand: Demand, verifier: object) -> ServerConfig:
    """The same, which asks clients for no less than ``demand``; by ``verifier`` where it has none of its own."""
    if _DEMANDS.index(config.demand) >= _DEMANDS.index(demand):
        return config
    own = config.verifier_of_clients
    return _copied(config, demand=demand, verifier_of_clients=verifier if own is None else own)


_DEMANDS: Final = ("none", "optional", "required")


def _copied(config: ServerConfig, **changes: object) -> ServerConfig:
    copied = object.__new__(ServerConfig)
    copied.__dict__.update(config.__dict__)
    copied.__dict__.update(changes)
    return copied
