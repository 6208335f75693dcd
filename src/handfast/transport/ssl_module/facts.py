"""What ``ssl`` says about a connection, in its own words: OpenSSL's names of suites, the dictionary of a certificate."""

from __future__ import annotations

import ssl
from collections.abc import Collection, Iterable
from functools import cache, lru_cache
from typing import Any, Final

from handfast.certificates.described import described
from handfast.certificates.parsed import parsed
from handfast.crypto.suites import SUITES, SUITES_12, Suite
from handfast.errors import TLSError, shown
from handfast.transport.ssl_module.exceptions import translated

CHANNEL_BINDING_TYPES: Final = ["tls-unique", "tls-exporter", "tls-server-end-point"]
"""What get_channel_binding knows. ``ssl`` has the first one alone, which TLS 1.3 does not have."""

_BITS: Final = 8


def openssl_name(suite: Suite) -> str:
    """What OpenSSL calls a suite: in TLS 1.3 as the RFC does, before that ECDHE-RSA-AES128-GCM-SHA256."""
    if suite.id in SUITES:
        return suite.name
    name = suite.name.removeprefix("TLS_").replace("_WITH_", "_").replace("AES_", "AES")
    if "CHACHA20" in name:
        name = name.removesuffix("_SHA256")
    return name.replace("_", "-").replace("CCM-8", "CCM8")


_ALL: Final = {**SUITES, **SUITES_12}
_FACTS: Final = {
    code: (openssl_name(suite), "TLSv1.3" if code in SUITES else "TLSv1.2", suite.key_length * _BITS)
    for code, suite in _ALL.items()
}
_BY_RFC_NAME: Final = {suite.name: _FACTS[code] for code, suite in _ALL.items()}
BY_OPENSSL_NAME: Final = {name: code for code, (name, _, _) in _FACTS.items()}


def described_suites(suites: Iterable[int]) -> list[dict[str, Any]]:
    """What get_ciphers() says of these suites; nothing of the few that OpenSSL does not list."""
    known = _known_suites()
    return [dict(known[name]) for name, _, _ in (_FACTS[code] for code in suites) if name in known]


@cache
def _known_suites() -> dict[str, dict[str, Any]]:
    """OpenSSL's facts about every suite that it has, by its name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_ciphers("ALL:@SECLEVEL=0")
    return {cipher["name"]: dict(cipher) for cipher in context.get_ciphers()}


def cipher_of(rfc_name: str) -> tuple[str, str, int]:
    """Name, version and bits of a suite that a handshake names."""
    return _BY_RFC_NAME[rfc_name]


def shared(offered: Iterable[int], ours: Collection[int]) -> list[tuple[str, str, int]]:
    """The suites of the one list that are in the other too."""
    return [_FACTS[code] for code in offered if code in ours]


@lru_cache(maxsize=1024)
def _naming(identifier: str) -> str:
    """OpenSSL's long name of an object identifier."""
    try:
        return ssl._ASN1Object(identifier).longname
    except ValueError:
        return identifier


def certificate(der: bytes) -> dict[str, Any]:
    """What getpeercert() returns for a certificate that was verified. Raises ssl's error where it cannot be read."""
    try:
        return described(der, _naming)
    except TLSError as error:  # a part that nobody has looked at before: a callback has accepted the certificate
        raise translated(error) from None


class Certificate:
    """A certificate of a chain, with the one method that programs call on those of ``ssl``."""

    __slots__ = ("der",)

    def __init__(self, der: bytes) -> None:
        self.der = der

    def public_bytes(self, encoding: int = 1) -> bytes | str:
        """DER (``_ssl.ENCODING_DER``) or PEM (``_ssl.ENCODING_PEM``)."""
        if encoding == ssl._ssl.ENCODING_PEM:  # type: ignore[attr-defined]
            return ssl.DER_cert_to_PEM_cert(self.der)
        return self.der

    def get_info(self) -> dict[str, Any]:
        """As getpeercert()."""
        return certificate(self.der)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Certificate) and other.der == self.der

    def __hash__(self) -> int:
        return hash(self.der)

    def __repr__(self) -> str:
        return f"<Certificate {shown(parsed(self.der).subject)}>"
