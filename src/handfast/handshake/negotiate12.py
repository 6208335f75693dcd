"""The decisions of a server of TLS 1.2: pure functions, like those in negotiate.py.

In TLS 1.2 a suite also says which kind of certificate signs, so suite and identity are chosen together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from handfast.crypto.suites import SUITES_12, Suite
from handfast.errors import PeerIncompatible, PeerMisbehaved
from handfast.handshake import negotiate
from handfast.handshake.negotiate import application_protocol, fitting_identities, suites_in_order
from handfast.reasons import (
    BAD_COMPRESSION,
    BAD_POINT_FORMATS,
    BAD_RENEGOTIATION_INFO,
    NO_COMMON_GROUP,
    NO_COMMON_SIGNATURE_SCHEME,
    NO_COMMON_SUITE,
    NO_EXTENDED_MAIN_SECRET,
)
from handfast.wire.codepoints import CipherSuite, NamedGroup, SignatureScheme
from handfast.wire.hello import ClientHello

if TYPE_CHECKING:
    from handfast.certificates.identity import Identity
    from handfast.config import ServerConfig
    from handfast.wire.messages12 import CertificateRequest12

UNCOMPRESSED: Final = b"\0"  # the only point format there is (RFC 8422 section 5.1.2)


@dataclass(slots=True)
class Terms12:
    """What a server has decided on."""

    suite: Suite
    group: int
    identity: Identity
    scheme: int
    protocol: bytes | None


def check_hello(hello: ClientHello) -> None:
    """What a ClientHello of TLS 1.2 has to be, whatever is chosen from it."""
    if 0 not in hello.legacy_compression_methods:
        raise PeerMisbehaved(BAD_COMPRESSION, methods=list(hello.legacy_compression_methods))
    if hello.renegotiation_info:
        raise PeerMisbehaved(BAD_RENEGOTIATION_INFO)
    if hello.ec_point_formats is not None and UNCOMPRESSED not in hello.ec_point_formats:
        raise PeerMisbehaved(BAD_POINT_FORMATS, offered=list(hello.ec_point_formats))
    if not hello.extended_main_secret:
        raise PeerIncompatible(NO_EXTENDED_MAIN_SECRET)


def terms(config: ServerConfig, hello: ClientHello, chosen: Identity | None) -> Terms12:
    """All that a server of TLS 1.2 decides from the ClientHello. ``chosen``: the identity, if it is settled already."""
    refuse_unknown = config.unknown_names == "refuse" and chosen is None
    identities = fitting_identities([chosen] if chosen else config.identities, hello, refuse_unknown)
    suite, who, scheme = suite_and_identity(config, hello, identities)
    return Terms12(
        suite=suite,
        group=group(config.group_12_ids, hello.supported_groups),
        identity=who,
        scheme=scheme,
        protocol=application_protocol(config.protocols, hello.application_layer_protocol_negotiation),
    )


def suite_and_identity(
    config: ServerConfig, hello: ClientHello, identities: Sequence[Identity]
) -> tuple[Suite, Identity, int]:
    """The first common suite, in the order of whoever decides, for which one of ours can sign; who, and how."""
    accepted = hello.signature_algorithms or ()
    # The first of ours, and how it signs, for the suites of ECDSA and for those of RSA.
    able: dict[str, tuple[Identity, int]] = {}
    for candidate in identities:
        scheme = negotiate.usable_scheme(candidate.schemes_12, accepted)
        if scheme is not None and is_known_curve(candidate.kind, hello.supported_groups):
            able.setdefault(signed_by(candidate.kind), (candidate, scheme))
    common = suites_in_order(config.suite_12_ids, hello.cipher_suites, config.suite_order == "client")
    for code in common:
        suite = SUITES_12[code]
        if suite.signed_by in able:
            return suite, *able[suite.signed_by]
    if any(signed_by(candidate.kind) == SUITES_12[code].signed_by for code in common for candidate in identities):
        raise PeerIncompatible(
            NO_COMMON_SIGNATURE_SCHEME,
            peer_offered=[SignatureScheme.name(scheme) for scheme in accepted],
            we_can_sign_with=[SignatureScheme.name(scheme) for who in identities for scheme in who.schemes_12],
            our_certificates_are=sorted({candidate.kind for candidate in identities}),
            peer_knows_curves=[NamedGroup.name(group) for group in hello.supported_groups or ()],
        )
    raise PeerIncompatible(
        NO_COMMON_SUITE,
        peer_offered=[CipherSuite.name(suite) for suite in hello.cipher_suites],
        we_accept=[CipherSuite.name(suite) for suite in config.suite_12_ids],
        our_certificates_are=sorted({candidate.kind for candidate in identities}),
    )


def is_known_curve(key: str, groups: Sequence[int] | None) -> bool:
    """In TLS 1.2 the list of groups is also that of the curves that certificates may have (RFC 8422 section 5.1)."""
    curve = NamedGroup.value(key)
    return groups is None or curve is None or curve in groups


def signed_by(key: str) -> str:
    """Which suites a kind of key is for (RFC 8422 section 5.1.1): Ed25519 and Ed448 go with those of ECDSA."""
    return "RSA" if key.startswith("rsa") else "ECDSA"


def client_identity(
    identities: Sequence[Identity], request: CertificateRequest12, chosen: bool
) -> tuple[Identity | None, int]:
    """Who we are for this server, as in TLS 1.3; the server also says which kinds of certificate it takes."""
    wanted = {_TYPES[kind] for kind in request.certificate_types if kind in _TYPES}
    fitting = [candidate for candidate in identities if signed_by(candidate.kind) in wanted]
    return negotiate.client_identity(fitting, request, chosen)


# ClientCertificateType (RFC 8422 section 5.5).
RSA_SIGN: Final = 1
ECDSA_SIGN: Final = 64
_TYPES: Final = {RSA_SIGN: "RSA", ECDSA_SIGN: "ECDSA"}


def group(ours: Sequence[int], theirs: Sequence[int] | None) -> int:
    """The group we prefer among those of the client; one that names none has P-256 (RFC 8422 section 4)."""
    offered = [NamedGroup.SECP256R1] if theirs is None else theirs
    for candidate in ours:
        if candidate in offered:
            return candidate
    raise PeerIncompatible(
        NO_COMMON_GROUP,
        peer_offered=[NamedGroup.name(value) for value in offered],
        we_accept=[NamedGroup.name(value) for value in ours],
    )
