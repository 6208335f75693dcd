"""What stands in requests for certificates, as plain values for whoever wants to read it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from handfast.authority.requests import Asked, name_of
from handfast.certificates import facts, kinds, pem, usages
from handfast.certificates.der import key_of_request
from handfast.certificates.parsed import name_of as name_with_kind
from handfast.certificates.strength import weakness
from handfast.crypto import signatures
from handfast.errors import ConfigurationError
from handfast.reasons import REQUEST_REFUSED

_LABELS: Final = ("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST")  # the second from before RFC 7468
_BLOCK: Final = b"-----BEGIN CERTIFICATE REQUEST-----%b-----END CERTIFICATE REQUEST-----\n"
_MOST: Final = 100  # each takes the time of a signature by any key that its maker likes


@dataclass(frozen=True, slots=True)
class Extension:
    """An extension that is asked for. ``value``: what it says, where that is known; else ""."""

    name: str
    critical: bool
    value: str


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """One request. Text in it is from whoever has made it, so show it by errors.shown alone.

    ``names``       the subjectAltName: "DNS:example.com", "IP:192.0.2.1", ...
    ``key``         "ECDSA P-256", "RSA 2048"
    ``key_sha256``  of the key as the certificate will have it (hexadecimal)
    ``weakness``    why the key is too weak; None if it is not
    ``signature``   how it is signed: "ECDSA with SHA-256"
    ``is_signed``   whether its key has signed it; None for a signature of a kind that is not known here
    ``extensions``  what it asks for besides
    """

    subject: str
    names: tuple[str, ...]
    key: str
    key_sha256: str
    weakness: str | None
    signature: str
    is_signed: bool | None
    extensions: tuple[Extension, ...]


def requests(data: bytes, source: str) -> list[Asked]:
    """The requests in PEM, or the one in DER. Raises ConfigurationError (REQUEST_REFUSED) for one that cannot be read."""
    if not pem.is_pem(data):
        return [Asked(data, source)]
    found = [_BLOCK % block.body for block in pem.blocks(data, *_LABELS)]
    if len(found) > _MOST:
        problem = f"it has {len(found)} requests, and {_MOST} is the most that is shown"
        raise ConfigurationError(REQUEST_REFUSED, request=source, problem=problem)
    return [Asked(block, source) for block in found]


def request_facts(asked: Asked) -> RequestFacts:
    """The facts of a request."""
    kind = signatures.kind_of(asked.key)
    encoded = key_of_request(asked.request.public_bytes(Encoding.DER))
    weak = weakness(kind, asked.key, encoded)
    return RequestFacts(
        subject=asked.subject,
        names=tuple(map(name_with_kind, asked.names)),
        key=kinds.called(kind, asked.key),
        key_sha256=hashlib.sha256(encoded).hexdigest(),
        weakness=None if weak is None else weak.sentence,
        signature=facts.signature(asked.request),
        is_signed=asked.is_signed,
        extensions=tuple(Extension(name_of(item.oid), item.critical, _value(item.value)) for item in asked.others),
    )


def _value(value: x509.ExtensionType) -> str:
    match value:
        case x509.KeyUsage():
            return " ".join(facts.bits(value)) or "for nothing"
        case x509.ExtendedKeyUsage():
            return " ".join(map(usages.called, value))
        case x509.BasicConstraints(ca=True):
            return "an authority"
        case x509.BasicConstraints():
            return "no authority"
        case _:
            return ""
