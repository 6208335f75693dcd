"""What several of these tests make."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509

from handfast.certificates.policy import ChainVerifier, Policy
from handfast.certificates.rules import Rule
from handfast.certificates.store import TrustStore
from handfast.errors import CertificateError
from handfast.testing import Authority, Case, IssuedIdentity
from handfast.testing.authority import certify
from handfast.testing.chains import SERVER_NAME

NOW = datetime.now(UTC)


def root_with_full_serial() -> Authority:
    """A root whose serial number has all of its twenty bytes, so that others of that length can take their place."""
    while True:
        made = Authority.create()
        if made.certificate.serial_number.bit_length() > 152:
            return made


def refusal(case: Case, *relax: Rule | str, now: datetime = NOW) -> CertificateError:
    with pytest.raises(CertificateError) as caught:
        ChainVerifier(case.trust, Policy(relax)).verify_server(case.chain, case.server_name, now)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return caught.value


def refused(
    made: IssuedIdentity | Sequence[bytes], trust: TrustStore, *relax: Rule | str, name: str = SERVER_NAME
) -> CertificateError:
    sent = tuple(made.chain if isinstance(made, IssuedIdentity) else made)
    return refusal(Case("", sent, trust, name), *relax)


def chain_by(authority: Authority, subject: Authority) -> bytes:
    """The same name and key, certified by another authority."""
    extensions = {type(item.value): (item.value, item.critical) for item in subject.certificate.extensions}
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
    extensions[x509.AuthorityKeyIdentifier] = (identifier, False)
    return certify(
        subject.certificate.subject,
        subject.key.public_key(),
        authority.certificate.subject,
        authority.key,
        extensions,
        (authority.certificate.not_valid_before_utc, authority.certificate.not_valid_after_utc),
    )


def ed25519_root(**options: Any) -> Authority:
    return Authority.create(key="ed25519", **options)
