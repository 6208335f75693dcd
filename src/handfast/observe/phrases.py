"""What the explanations of messages are put together from. All that comes from a peer goes through errors.shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from handfast.certificates import facts
from handfast.certificates.parsed import Parsed, parsed
from handfast.errors import CertificateError, shown
from handfast.observe.authorities import distinguished_name
from handfast.wire.codepoints import ExtensionType, SignatureScheme

Line = tuple[str, str, str]
"""A field by its RFC name, its value as text that is safe to show, and what it means ("" where that is plain)."""

SHOWN: Final = 6


def listed(name: Callable[[int], str], values: Iterable[int] | None, most: int = SHOWN) -> str:
    """Code points by their names, the first ``most`` of them."""
    names = [name(value) for value in values or ()]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def excerpt(data: bytes) -> str:
    """The beginning of something random, enough to find it elsewhere, and its length."""
    return f"{data[:8].hex()}{'...' if len(data) > 8 else ''} ({count(len(data), 'byte')})"


def protocols(names: Iterable[bytes]) -> str:
    """ALPN names."""
    return shown([name.decode("utf-8", "backslashreplace") for name in names])


def sender(from_client: bool) -> str:
    """Who sent a message."""
    return "client" if from_client else "server"


def other_extensions(message: Any) -> Iterable[Line]:
    """Extensions that are known by their numbers alone, GREASE among them."""
    others = [value for value in message.extension_types if value in message.other_extensions]
    if others:
        yield "other extensions", listed(ExtensionType.name, others), ""


def accepted_schemes(message: Any, whose: str) -> Iterable[Line]:
    """How the other side may prove who it is; both the ClientHello and the CertificateRequest say so."""
    schemes = listed(SignatureScheme.name, message.signature_algorithms, 4)
    yield "signature_algorithms", schemes or "none", f"how the {whose} may prove who it is"
    if getattr(message, "signature_algorithms_cert", None) is not None:
        schemes = listed(SignatureScheme.name, message.signature_algorithms_cert, 4)
        yield (
            "signature_algorithms_cert",
            schemes,
            f"how the {whose}'s certificates may be signed, by whoever issued them",
        )
    names = message.certificate_authorities
    if names:
        meaning = f"whose certificates are accepted, so that the {whose} can choose one that leads there"
        yield "certificate_authorities", authorities(names), meaning


def authorities(names: list[bytes]) -> str:
    """Distinguished names (DER), in words where they can be read."""
    shown_names = [shown(distinguished_name(name)) for name in names[:2]]
    more = f" and {len(names) - 2} more" if len(names) > 2 else ""
    return "; ".join(shown_names) + more


def certificate_kinds(types: Iterable[int]) -> list[str]:
    """The kinds of keys in a CertificateRequest of TLS 1.2; ECDSA stands for EdDSA too (RFC 8422 section 5.5)."""
    return [_KINDS.get(kind, str(kind)) for kind in types]


_KINDS: Final = {1: "RSA", 2: "DSA", 64: "ECDSA"}


def size_limit(limit: int) -> Line:
    """record_size_limit."""
    return (
        "record_size_limit",
        count(limit, "byte"),
        "the longest record that it will read, for those who have little memory",
    )


def cookie(value: bytes, meaning: str) -> Line:
    """A cookie of a HelloRetryRequest."""
    return "cookie", excerpt(value), meaning


def count(number: int, noun: str, plural: str = "") -> str:
    """So many of something."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def certificates(chain: Iterable[bytes]) -> Iterable[Line]:
    """Whose a chain (DER) is, and who vouches for it."""
    for number, der in enumerate(chain, 1):
        label = f"certificate {number}"
        try:
            certificate = parsed(der)
        except CertificateError:
            yield label, f"{len(der)} bytes", "cannot be read"
            continue
        until = f"valid until {certificate.not_after:%Y-%m-%d}"
        whose = "the sender's own" if number == 1 else "vouches for the one before"
        subject = shown(certificate.subject) or "(empty subject)"
        yield label, subject, f"{whose}; {_key(certificate)} key, {until}"
        if number == 1 and certificate.alternative_names:
            yield "names", _listed(certificate.alternative_names), "whose it is"
        yield "issuer", shown(certificate.issuer) or "(empty)", "who signed it" if number == 1 else ""


def _key(certificate: Parsed) -> str:
    return facts.key(certificate) if certificate.key else "unknown"


def _listed(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return shown([name.removeprefix("DNS:").removeprefix("IP:") for name in names[:SHOWN]]) + more
