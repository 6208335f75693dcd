"""Files and texts that hold certificates: PEM (RFC 7468) or DER, told apart by looking."""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from cryptography import x509

from handfast.certificates.der import elements
from handfast.errors import ConfigurationError, words
from handfast.reasons import FILE_UNREADABLE

PathLike = str | os.PathLike[str]

# RFC 7468 section 5.1 has one label, and lets older ones be read. OpenSSL's TRUSTED CERTIFICATE says more behind it.
_LABELS: Final = ("CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE")
_BOUNDARY: Final = b"-----BEGIN "
_SEQUENCE: Final = b"0"  # what every certificate in DER begins with (0x30)


def read(path: PathLike, largest: int = 64 << 20) -> bytes:
    """A file's content. Raises ConfigurationError(FILE_UNREADABLE), naming file and cause.

    ``largest``  bytes, above which it is refused: a device has no end
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(largest + 1)
    except (OSError, ValueError) as error:  # a ValueError for a name that no file can have
        raise ConfigurationError(FILE_UNREADABLE, file=os.fspath(path), problem=words(error)) from None
    if len(data) > largest:
        problem = f"it has more than {largest >> 20} MiB"
        raise ConfigurationError(FILE_UNREADABLE, file=os.fspath(path), problem=problem)
    return data


def is_pem(data: bytes) -> bool:
    """Whether ``data`` is PEM; if not, it may be DER."""
    return _BOUNDARY in data


def certificates(data: bytes) -> list[bytes]:
    """The DER of the certificates in PEM or DER ``data``, in order and not looked into; empty if there is none.

    In DER several may stand one after the other.

    A block that is not even base64 comes back as it stands, so that whoever parses it can say which one is bad.
    """
    return [item.der for item in roots(data)]


class Root(NamedTuple):
    """A certificate of a file of roots, and why that file does not trust it for TLS; "" where it says nothing like that."""

    der: bytes
    distrust: str


def roots(data: bytes) -> list[Root]:
    """The same, with what OpenSSL's TRUSTED CERTIFICATE says behind each one."""
    if not is_pem(data):
        return [Root(der, "") for der in _sequences(data)] if data[:1] == _SEQUENCE else []
    return [_root(item.label, _decoded(item.body)) for item in blocks(data, *_LABELS)]


def _root(label: str, data: bytes) -> Root:
    if label != _LABELS[-1]:
        return Root(data, "")
    der = _sequences(data, rest=True)[0]
    return Root(der, _distrust(data[len(der) :]))


# extendedKeyUsage's serverAuth, clientAuth and anyExtendedKeyUsage (RFC 5280 section 4.2.1.12), as they are encoded.
_SERVERS: Final = bytes.fromhex("06082b06010505070301")
_CLIENTS: Final = bytes.fromhex("06082b06010505070302")
_ANYBODY: Final = bytes.fromhex("0604551d2500")
_OBJECT: Final = 0x06  # an object identifier
_TRUSTED: Final = 0x30
_REJECTED: Final = 0xA0
_MEMBERS: Final = (
    _TRUSTED,
    _REJECTED,
    0x0C,
    0x04,
    0xA1,
)  # and a name, a key identifier, other algorithms; in this order


def _distrust(behind: bytes) -> str:
    """What OpenSSL's X509_CERT_AUX forbids: its first two members are what is trusted, a SEQUENCE, and what is not, [0].

    It is read for both sides of TLS at once, since a store does not know which of them it will be used for: to be
    rejected for one is enough, and a list of what is trusted has to have servers.
    """
    if not behind:
        return ""
    try:
        ((tag, content),) = elements(behind)
        if tag != _SEQUENCE[0]:
            raise ValueError("it is no SEQUENCE")
        found = elements(content)
        if [tag for tag in _MEMBERS if tag in dict(found)] != [tag for tag, _ in found]:  # else one would hide another
            raise ValueError("it has more than OpenSSL writes, or in another order")
        members = dict(found)
        trusted = _objects(members[_TRUSTED]) if _TRUSTED in members else None
        rejected = _objects(members.get(_REJECTED, b""))
    except ValueError:
        return "what its file says of trust cannot be read"
    if rejected & {_SERVERS, _CLIENTS, _ANYBODY}:
        return "its file rejects it for TLS"
    if trusted is not None and not trusted & {_SERVERS, _ANYBODY}:
        return "its file trusts it for other things, and not for servers"
    return ""


def _objects(content: bytes) -> set[bytes]:
    """The object identifiers of a list, as they are encoded: short ones, the only ones that are looked for."""
    found = elements(content)
    if any(tag != _OBJECT for tag, _ in found):
        raise ValueError("it has something else in a list of usages")
    return {bytes((_OBJECT, len(value))) + value for _, value in found if len(value) < 0x80}


_BEGINNING: Final = 4_096  # bytes, in which the first label is
# What people give in place of a certificate, by the label that PEM has for it.
_REQUEST: Final = "it is a request for a certificate (CSR), and no certificate yet"
_REVOCATIONS: Final = "it is a revocation list (CRL), and no certificate"
_OTHERS: Final = (
    (b"PRIVATE KEY-----", "it has a private key, and no certificate"),
    (b"CERTIFICATE REQUEST-----", _REQUEST),
    (b"X509 CRL-----", _REVOCATIONS),
    (b"PUBLIC KEY-----", "it is a public key, and no certificate"),
)
CUT: Final = "it is cut: a certificate begins, and does not end (-----END CERTIFICATE-----)"


def is_cut(data: bytes) -> bool:
    """Whether the last certificate in ``data`` begins and does not end, as where a disk was full or a copy broke off."""
    labels = [label.encode("ascii") for label in _LABELS]
    return any(data.rfind(b"-----BEGIN %b-----" % item) > data.rfind(b"-----END %b-----" % item) for item in labels)


def instead(data: bytes) -> str:
    """What is there in place of certificates, for people; "" where there is one, which cannot be read."""
    if not data.strip():
        return "there is nothing in it"
    if is_cut(data):
        return CUT
    found = next((words for label, words in _OTHERS if label in data[:_BEGINNING]), "")
    if found or is_pem(data):
        return found
    return _in_der(data) if data[:1] == _SEQUENCE else "it is neither PEM nor DER"


def has_requests(data: bytes) -> bool:
    """Whether there is a request for a certificate in place of certificates, as far as labels tell; in DER one that is whole."""
    if is_pem(data):
        return b"CERTIFICATE REQUEST-----" in data and not certificates(data)
    return data[:1] == _SEQUENCE and _in_der(data) == _REQUEST


def _in_der(data: bytes) -> str:
    """What it is, which has no label in DER; "" where it may be a certificate."""
    for load, words_of_it in ((x509.load_der_x509_crl, _REVOCATIONS), (x509.load_der_x509_csr, _REQUEST)):
        with suppress(ValueError, x509.InvalidVersion):
            load(data)
            return words_of_it
    return ""


_BLANKS: Final = b" \t\xef\xbb\xbf"  # and the mark of UTF-8, with which editors of Windows begin a file


class Block(NamedTuple):
    """A block of PEM: its label, and what stands between its two lines."""

    label: str
    body: bytes


def blocks(data: bytes, *labels: str) -> Iterator[Block]:
    """The blocks with these labels, in their order; one that does not end is passed over.

    A block begins its line, after blanks at most, or follows another one: a root whose first line is commented out is not
    there, as OpenSSL has it.

    Whoever has written ``data``, the work grows with its length alone: each label's missing end is looked for once.
    """
    begin = re.compile(rb"-----BEGIN (%b)-----" % b"|".join(re.escape(label.encode("ascii")) for label in labels))
    endless: set[bytes] = set()
    at = 0
    while found := begin.search(data, at):
        before = data[at : found.start()].replace(b"\r", b"\n").rpartition(b"\n")[2]
        at = found.end()
        if before.strip(_BLANKS) or found[1] in endless:
            continue
        last = b"-----END %b-----" % found[1]
        end = data.find(last, at)
        if end < 0:
            endless.add(found[1])
            continue
        yield Block(found[1].decode("ascii"), data[at:end])
        at = end + len(last)


def _sequences(data: bytes, *, rest: bool = False) -> list[bytes]:
    """The SEQUENCEs that ``data`` consists of; ``data`` itself where it does not, for whoever parses it to say so.

    ``rest``: the first one counts, whatever is behind it.
    """
    found, at = [], 0
    while data[at : at + 1] == _SEQUENCE and at + 1 < len(data):
        first = data[at + 1]
        octets = first & 0x7F if first & 0x80 else 0
        length = int.from_bytes(data[at + 2 : at + 2 + octets]) if octets else first
        end = at + 2 + octets + length
        if end > len(data):
            return [data]
        found.append(data[at:end])
        at = end
        if rest:
            return found
    return found if found and at == len(data) else [data]


def certificate(der: bytes) -> bytes:
    """One certificate as PEM."""
    return block("CERTIFICATE", der)


def block(label: str, der: bytes) -> bytes:
    """DER as PEM."""
    text = base64.encodebytes(der).replace(b"\n", b"")
    lines = b"\n".join(text[start : start + 64] for start in range(0, len(text), 64))
    name = label.encode("ascii")
    return b"-----BEGIN %b-----\n%b\n-----END %b-----\n" % (name, lines, name)


def _decoded(body: bytes) -> bytes:
    try:
        return base64.b64decode(b"".join(body.split()), validate=True)
    except binascii.Error:
        return body
