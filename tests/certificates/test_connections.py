"""Reasons of certificates in whole connections: what one side raises, and which alert the other gets."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from handfast import errors, reasons
from handfast.certificates.leaked import KeyList, fingerprint
from handfast.certificates.policy import ChainVerifier, Policy, ServiceVerifier
from handfast.certificates.spiffe import AllowSpiffe
from handfast.errors import AlertReceived, ConfigurationError, TLSError
from handfast.reasons import Reason
from handfast.testing import Authority, IssuedIdentity
from handfast.testing.authority import certify, subject_of
from tests.certificates.forging import PUBLISHED_KEY
from tests.handshake.parties import started

NOW = datetime.now(UTC)
NAME = "server.example"
WEB = "spiffe://example.org/web"


@cache
def root() -> Authority:
    return Authority.create()


def identity_with(key: Any) -> IssuedIdentity:
    """A server's, with a key of our choice."""
    extensions = root().leaf_extensions(key, [NAME])
    validity = (NOW - timedelta(days=1), NOW + timedelta(days=10))
    issuer = root().certificate.subject
    return IssuedIdentity([certify(subject_of(NAME), key.public_key(), issuer, root().key, extensions, validity)], key)


def outcome(client: dict[str, Any], server: dict[str, Any]) -> tuple[TLSError | None, TLSError | None]:
    """What each side raises in a handshake."""
    sides = started(client, server, NAME)
    raised: list[TLSError | None] = [None, None]
    for _ in range(4):
        for index, (here, there) in enumerate([sides, sides[::-1]]):
            data = here.data_to_send()
            if raised[1 - index] is None and data:
                try:
                    there.receive_data(data)
                    list(there.events())
                except TLSError as error:
                    raised[1 - index] = error
    return raised[0], raised[1]


def leaked() -> tuple[IssuedIdentity, ChainVerifier]:
    return identity_with(PUBLISHED_KEY), ChainVerifier(root().trust)


def exponent() -> tuple[IssuedIdentity, ChainVerifier]:
    return identity_with(rsa.generate_private_key(3, 2048)), ChainVerifier(root().trust)


def debian() -> tuple[IssuedIdentity, ChainVerifier]:
    made = root().issue(NAME)
    known = KeyList.of("debian", "Debian's OpenSSL", [fingerprint(made.key.public_key())])
    return made, ChainVerifier(root().trust, Policy(known_keys=known))


def comparisons() -> tuple[IssuedIdentity, ChainVerifier]:
    excluded = x509.NameConstraints(None, [x509.DNSName(f"x{number}.test") for number in range(300)])
    authority = Authority.create(extensions={x509.NameConstraints: (excluded, True)})
    names = (f"name{number}.example" for number in range(1_000))
    return authority.issue(NAME, *names), ChainVerifier(authority.trust)


@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (leaked, reasons.LEAKED_KEY),
        (exponent, reasons.WEAK_EXPONENT),
        (debian, reasons.DEBIAN_KEY),
        (comparisons, reasons.TOO_MANY_COMPARISONS),
    ],
    ids=lambda item: getattr(item, "__name__", ""),
)
def test_a_server_is_refused(
    make: Callable[[], tuple[IssuedIdentity, ChainVerifier]], reason: Reason, version: str
) -> None:
    identity, verifier = make()
    client, server = outcome({"verifier": verifier, "max_version": version}, {"identities": [identity]})
    assert isinstance(client, errors.CertificateError)
    assert client.reason is reason
    assert isinstance(server, AlertReceived)
    assert server.description == 42


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_a_client_that_no_rule_allows(version: str) -> None:
    identity = root().issue(WEB, usage=("client",))
    settings = {"identities": [identity], "trust": root().trust, "max_version": version}
    for rule, allowed in ((WEB, True), (f"{WEB}/more", False)):
        verifier = ChainVerifier(root().trust, Policy(allow=AllowSpiffe(rule)))
        server = {"identities": [root().issue(NAME)], "client_authentication": "required", "client_verifier": verifier}
        here, there = outcome(settings, server)
        if allowed:
            assert here is there is None
            continue
        assert isinstance(there, errors.CertificateError)
        assert there.reason is reasons.PEER_NOT_ALLOWED
        assert isinstance(here, AlertReceived)
        assert here.description == 49


def test_a_server_by_its_id() -> None:
    for rule, allowed in ((WEB, True), ("spiffe://example.org/db", False)):
        verifier = ServiceVerifier(root().trust, Policy(allow=AllowSpiffe(rule)))
        here, there = outcome({"verifier": verifier}, {"identities": [root().issue(WEB)]})
        if allowed:
            assert here is there is None
            continue
        assert isinstance(here, errors.CertificateError)
        assert here.reason is reasons.PEER_NOT_ALLOWED
        assert isinstance(there, AlertReceived)


def test_a_verifier_of_services_stands_for_itself() -> None:
    policy = Policy(allow=AllowSpiffe(WEB))
    verifier = ServiceVerifier(root().trust, policy)
    assert verifier.trust_id
    assert verifier.trust_id != ChainVerifier(root().trust, policy).trust_id
    with pytest.raises(ConfigurationError):
        ServiceVerifier(root().trust, Policy())
