"""The names of files in a directory of roots, as OpenSSL has them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID

from handfast.certificates import pem
from handfast.testing.authority import certify, new_key
from handfast.transport.ssl_module.hashed import is_called, name_hash
from tests.ssl_module.test_context import hash_of


@pytest.mark.parametrize(
    "subject",
    [
        [(NameOID.COUNTRY_NAME, "DE"), (NameOID.ORGANIZATION_NAME, "  Ünï \t  ÇODE "), (NameOID.COMMON_NAME, "ABC")],
        [(NameOID.EMAIL_ADDRESS, "Alice@Example.org"), (NameOID.SERIAL_NUMBER, "Aa  1")],
        [(NameOID.COMMON_NAME, "x" * 64), (NameOID.ORGANIZATION_NAME, "y" * 64)],
        [],
    ],
)
def test_names_are_hashed_as_openssl_does(subject: list[tuple[Any, str]], tmp_path: Path) -> None:
    attributes = [x509.NameAttribute(*each) for each in subject]
    apart = x509.Name(attributes)
    names = [apart]
    if len(attributes) > 1:
        names.append(x509.Name([x509.RelativeDistinguishedName(attributes)]))
        wide = x509.NameAttribute(NameOID.COMMON_NAME, "Ä B", _ASN1Type.BMPString)
        names.append(x509.Name([*attributes, wide]))
    for name in names:
        key = new_key("p256")
        der = certify(name, key.public_key(), name, key, {}, (datetime.now(UTC), datetime.now(UTC) + timedelta(days=1)))
        (tmp_path / "one.pem").write_bytes(pem.certificate(der))
        assert name_hash(name.public_bytes()) == hash_of(tmp_path / "one.pem")


@pytest.mark.parametrize(
    "data", [b"", b"nothing", b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n", b"0\x80"]
)
def test_what_is_no_certificate_has_no_name(data: bytes) -> None:
    assert not is_called("0a1b2c3d.0", data)
