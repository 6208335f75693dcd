"""The decisions of a handshake: pure functions from what both sides offer to what is used.

Each takes values and returns a value, or raises PeerIncompatible with what either side offered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from handfast.crypto.suites import SUITES, Suite
from handfast.errors import PeerIncompatible, PeerMisbehaved
from handfast.reasons import (
    BAD_COMPRESSION,
    BAD_KEY_SHARE_LIST,
    BAD_LEGACY_VERSION,
    INAPPROPRIATE_FALLBACK,
    MISSING_EXTENSION,
    NO_COMMON_ALPN,
    NO_COMMON_GROUP,
    NO_COMMON_SIGNATURE_SCHEME,
    NO_COMMON_SUITE,
    NO_COMMON_VERSION,
    UNRECOGNIZED_NAME,
)
from handfast.wire.codepoints import CipherSuite, ExtensionType, NamedGroup, ProtocolVersion, SignatureScheme, is_grease
from handfast.wire.extensions import KeyShareEntry
from handfast.wire.hello import ClientHello
from handfast.wire.messages13 import CertificateRequest

if TYPE_CHECKING:
    from handfast.certificates.identity import Identity
    from handfast.config import ServerConfig
    from handfast.wire.messages12 import CertificateRequest12

T = TypeVar("T")


@dataclass(slots=True)
class Terms:
    """What a server has decided on besides the keys (RFC 9846 section 4.2.1)."""

    identity: Identity
    scheme: int
    protocol: bytes | None


def version(hello: ClientHello, ours: Sequence[int]) -> int:
    """The version to speak with this client, of ``ours``, the best first (RFC 9846 section 4.3.1).

    A client that has supported_versions is taken at that alone.
    """
    offered = hello.supported_versions
    if offered is None:
        # Before TLS 1.3 a client named only the highest version it speaks, and a newer one has to be read as TLS 1.2.
        offered = [min(hello.legacy_version, ProtocolVersion.TLS_1_2)]
    for candidate in ours:
        if candidate in offered:
            if candidate != ours[0] and CipherSuite.TLS_FALLBACK_SCSV in hello.cipher_suites:
                raise PeerIncompatible(
                    INAPPROPRIATE_FALLBACK,
                    peer_offered=[ProtocolVersion.name(value) for value in offered],
                    we_accept=[ProtocolVersion.name(value) for value in ours],
                )
            return candidate
    highest = max((value for value in offered if not is_grease(value)), default=0)
    raise PeerIncompatible(
        NO_COMMON_VERSION,
        peer_speaks=ProtocolVersion.name(highest),
        peer_offered=[ProtocolVersion.name(value) for value in offered],
        we_accept=[ProtocolVersion.name(value) for value in ours],
    )


def terms(config: ServerConfig, hello: ClientHello, chosen: Identity | None) -> Terms:
    """Who we are for this client, and what we shall speak. ``chosen``: the identity, if it is settled already."""
    refuse_unknown = config.unknown_names == "refuse" and chosen is None  # a chosen one is right for any name
    who, scheme = identity([chosen] if chosen else config.identities, hello, refuse_unknown)
    protocol = application_protocol(config.protocols, hello.application_layer_protocol_negotiation)
    return Terms(who, scheme, protocol)


def check_hello(hello: ClientHello) -> None:
    """What a ClientHello of TLS 1.3 has to be, whatever is chosen from it (RFC 9846 sections 4.2.2 and 9.2)."""
    if hello.legacy_version != ProtocolVersion.TLS_1_2:
        raise PeerMisbehaved(BAD_LEGACY_VERSION, legacy_version=ProtocolVersion.name(hello.legacy_version))
    if hello.legacy_compression_methods != b"\0":
        raise PeerMisbehaved(BAD_COMPRESSION, methods=list(hello.legacy_compression_methods))
    required(hello.signature_algorithms, ExtensionType.SIGNATURE_ALGORITHMS)
    groups = required(hello.supported_groups, ExtensionType.SUPPORTED_GROUPS)
    shares = [share.group for share in required(hello.key_share, ExtensionType.KEY_SHARE)]
    # Each share belongs to a group that is offered, there is one of each, and their order is that of the groups.
    positions = [groups.index(group) if group in groups else -1 for group in shares]
    if -1 in positions or positions != sorted(set(positions)):
        raise PeerMisbehaved(
            BAD_KEY_SHARE_LIST,
            key_shares=[NamedGroup.name(group) for group in shares],
            supported_groups=[NamedGroup.name(group) for group in groups],
        )


def required(value: T | None, extension: int) -> T:
    """An extension that has to be there (RFC 9846 section 9.2)."""
    if value is None:
        raise PeerMisbehaved(MISSING_EXTENSION, extension=ExtensionType.name(extension))
    return value


def cipher_suite(ours: Sequence[int], theirs: Sequence[int], client_decides: bool) -> Suite:
    """The first common suite in the order of whoever decides.

    A client that puts ChaCha20 first has no fast AES, and gets ChaCha20 in either case if we have it.
    """
    for suite in suites_in_order(ours, theirs, client_decides):
        return SUITES[suite]
    raise PeerIncompatible(
        NO_COMMON_SUITE,
        peer_offered=[CipherSuite.name(suite) for suite in theirs],
        we_accept=[CipherSuite.name(suite) for suite in ours],
    )


def suites_in_order(ours: Sequence[int], theirs: Sequence[int], client_decides: bool) -> list[int]:
    """The common suites, each once, in the order of whoever decides: the client too, if it puts ChaCha20 first."""
    first = next((suite for suite in theirs if not is_grease(suite)), None)
    preferred, others = (theirs, ours) if client_decides or first in _CHACHA20 else (ours, theirs)
    wanted = frozenset(others)  # a hello has room for 32,767 suites
    return [suite for suite in dict.fromkeys(preferred) if suite in wanted]


_CHACHA20 = (
    CipherSuite.TLS_CHACHA20_POLY1305_SHA256,
    CipherSuite.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    CipherSuite.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
)


def key_share(ours: Sequence[int], hello: ClientHello) -> KeyShareEntry | int:
    """The client's share of the group we prefer among those it sent a share of (RFC 9846 section 4.3.8).

    Where it sent none that we can use, the group to ask it for: the one we prefer among those that it supports.
    """
    shares = {share.group: share for share in hello.key_share or ()}
    for group in ours:
        if group in shares:
            return shares[group]
    theirs = required(hello.supported_groups, ExtensionType.SUPPORTED_GROUPS)
    for group in ours:
        if group in theirs:
            return group
    raise PeerIncompatible(
        NO_COMMON_GROUP,
        peer_offered=[NamedGroup.name(group) for group in theirs],
        we_accept=[NamedGroup.name(group) for group in ours],
    )


def identity(identities: Sequence[Identity], hello: ClientHello, refuse_unknown: bool) -> tuple[Identity, int]:
    """Who we are for this client, and the scheme to sign with.

    Of the identities that fit the first that can sign in a way the client accepts (RFC 9846 sections 4.3.3 and 4.5.1.2).
    """
    accepted = required(hello.signature_algorithms, ExtensionType.SIGNATURE_ALGORITHMS)
    for candidate in fitting_identities(identities, hello, refuse_unknown):
        scheme = usable_scheme(candidate.schemes, accepted)
        if scheme is not None:
            return candidate, scheme
    raise PeerIncompatible(
        NO_COMMON_SIGNATURE_SCHEME,
        peer_offered=[SignatureScheme.name(scheme) for scheme in accepted],
        we_can_sign_with=[SignatureScheme.name(scheme) for candidate in identities for scheme in candidate.schemes],
    )


def fitting_identities(identities: Sequence[Identity], hello: ClientHello, refuse_unknown: bool) -> Sequence[Identity]:
    """Those for the name that the client asks for; all of them if there is none, unless that is refused.

    Those that lead to an authority which the client names come first, then those whose chain it can verify.
    """
    fitting = [candidate for candidate in identities if candidate.fits(hello.server_name)]
    if not fitting and refuse_unknown and hello.server_name is not None:
        raise PeerIncompatible(
            UNRECOGNIZED_NAME,
            peer_asked_for=hello.server_name,
            we_are=[name for candidate in identities for name in candidate.names],
        )
    if len(identities) == 1:
        return identities
    authorities = frozenset(hello.certificate_authorities or ())  # once: a hello has room for 20,000
    in_certificates = hello.signature_algorithms_cert or hello.signature_algorithms or ()
    return sorted(
        fitting or identities,
        key=lambda candidate: (not candidate.issued_by(authorities), not candidate.signed_by(in_certificates)),
    )


def client_identity(
    identities: Sequence[Identity], request: CertificateRequest | CertificateRequest12, chosen: bool
) -> tuple[Identity | None, int]:
    """Who we are for this server, and the scheme to sign with; (None, 0) if none of ours is what it asks for.

    The first that can sign in a way the server accepts and leads to one of the authorities that it names, if it names
    any (RFC 9846 section 4.5.1.2): another one would tell it who we are, and be refused. One that the
    application has ``chosen`` needs only a scheme.
    """
    accepted = required(request.signature_algorithms, ExtensionType.SIGNATURE_ALGORITHMS)
    authorities = frozenset(request.certificate_authorities or ())
    for candidate in identities:
        if authorities and not chosen and not candidate.issued_by(authorities):
            continue
        in_13 = isinstance(request, CertificateRequest)
        scheme = usable_scheme(candidate.schemes if in_13 else candidate.schemes_12, accepted)
        if scheme is not None:
            return candidate, scheme
    return None, 0


def usable_scheme(ours: Sequence[int], accepted: Sequence[int]) -> int | None:
    """How to sign: the first of ours that the peer accepts; None if it accepts none."""
    return next((scheme for scheme in ours if scheme in accepted), None)


def application_protocol(ours: Sequence[bytes], theirs: Sequence[bytes] | None) -> bytes | None:
    """The first of our protocols that the client offers (RFC 7301 section 3.2); None if either side has no ALPN."""
    if not ours or theirs is None:
        return None
    for protocol in ours:
        if protocol in theirs:
            return protocol
    raise PeerIncompatible(
        NO_COMMON_ALPN,
        peer_offered=[shown_protocol(name) for name in theirs],
        we_accept=[shown_protocol(name) for name in ours],
    )


def shown_protocol(name: bytes) -> str:
    """An ALPN name as text; RFC 7301 allows any bytes."""
    return name.decode("utf-8", "backslashreplace")
