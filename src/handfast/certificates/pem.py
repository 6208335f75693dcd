"""Files and texts that hold certificates: PEM (RFC 7468) or DER, told apart by looking."""

from __future__ import annotations

import base64
import binascii
import os
import re
from pathlib import Path
from typing import Final

from handfast.errors import ConfigurationError
from handfast.reasons import FILE_UNREADABLE

PathLike = str | os.PathLike[str]

_CERTIFICATE: Final = re.compile(rb"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", re.DOTALL)
_BOUNDARY: Final = b"-----BEGIN "
_SEQUENCE: Final = b"0"  # what every certificate in DER begins with (0x30)


def read(path: PathLike) -> bytes:
    """A file's content. Raises ConfigurationError(FILE_UNREADABLE), naming file and cause."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigurationError(FILE_UNREADABLE, file=os.fspath(path), problem=error.strerror or str(error)) from None


def is_pem(data: bytes) -> bool:
    """Whether ``data`` is PEM; if not, it may be DER."""
    return _BOUNDARY in data


def certificates(data: bytes) -> list[bytes]:
    """The DER of the certificates in PEM or DER ``data``, in order and not looked into; empty if there is none.

    A block that is not even base64 comes back as it stands, so that whoever parses it can say which one is bad.
    """
    if not is_pem(data):
        return [data] if data[:1] == _SEQUENCE else []
    return [_decoded(body) for body in _CERTIFICATE.findall(data)]


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
