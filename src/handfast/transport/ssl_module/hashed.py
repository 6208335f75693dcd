"""By which names OpenSSL looks for authorities in a directory: a hash of a root's subject, and a number."""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from typing import Final

from handfast.certificates import pem
from handfast.certificates.der import elements, parts

_UTF8: Final = 0x0C
_TEXTS: Final = {0x0C: "utf-8", 0x13: "latin-1", 0x14: "latin-1", 0x16: "latin-1", 0x1A: "latin-1", 0x1C: "utf-32-be", 0x1E: "utf-16-be"}  # fmt: skip
_BLANKS: Final = re.compile(rb"[ \t\n\v\f\r]+")


def is_called(file: str, data: bytes) -> bool:
    """Whether a file has the name by which one of its certificates is looked for; any other file nobody opens."""
    return any(file[:8] == _hash_of(der) for der in pem.certificates(data))


def _hash_of(certificate: bytes) -> str:
    try:
        return name_hash(parts(certificate).subject)
    except (ValueError, IndexError):  # which is no certificate
        return ""


@lru_cache(maxsize=1024)  # contexts are made one after the other from one directory
def name_hash(name: bytes) -> str:
    """What `openssl x509 -subject_hash` prints for a name (DER): eight digits in hexadecimal.

    SHA-1 of the name as OpenSSL compares names: in UTF-8, the letters of ASCII in lower case, blanks as one each, and without
    the tag around it all. Raises ValueError for what is no name.
    """
    ((_, sets),) = elements(name)
    whole = b"".join(_encoded(0x31, b"".join(sorted(map(_canonical, elements(held))))) for _, held in elements(sets))
    return hashlib.sha1(whole, usedforsecurity=False).digest()[3::-1].hex()


def _canonical(attribute: tuple[int, bytes]) -> bytes:
    (kind, identifier), (tag, value) = elements(attribute[1])
    if tag in _TEXTS:
        text = value.decode(_TEXTS[tag]).encode("utf-8")
        tag, value = _UTF8, _BLANKS.sub(b" ", text.lower().strip(b" \t\n\v\f\r"))
    return _encoded(0x30, _encoded(kind, identifier) + _encoded(tag, value))


def _encoded(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    size = (length.bit_length() + 7) // 8
    return bytes((tag, 0x80 | size)) + length.to_bytes(size) + content
