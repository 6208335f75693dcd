"""Keys that somebody else has too: published ones, leaked ones, and those that can be guessed (Debian's of 2006 to 2008).

A :class:`KeyList` knows them by a hash of the one number that makes a public key what it is, cut to 120 bits: the modulus
of RSA, x of a curve's point, the bytes of the others. So a key is found however it is encoded and whatever its exponent
is. It is the hash by which the public lists of the badkeys project (https://badkeys.info) know their keys, some four
million; :meth:`KeyList.from_badkeys` reads them.

A file of ours is text and then bytes::

    handfast known keys 1
    1 leaked RFC 9500
    2 debian Debian's OpenSSL, RSA of 2048 bits
                                              (an empty line)
    16 bytes a key: the hash, and the number of its list; sorted

Nothing of it is needed: a short list of keys that stand in RFCs and in the sources of well-known software is built in.
"""

from __future__ import annotations

import hashlib
import json
import re
from bisect import bisect_left
from collections.abc import Iterable
from functools import cache
from itertools import count, pairwise, starmap
from operator import le
from pathlib import Path
from struct import iter_unpack
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, mldsa, rsa

from handfast.certificates import pem
from handfast.errors import ConfigurationError, shown
from handfast.reasons import FILE_UNREADABLE

if TYPE_CHECKING:
    from handfast.certificates.parsed import Parsed
    from handfast.crypto.signatures import PublicKey

Kind = Literal["leaked", "debian"]

_MAGIC: Final = b"handfast known keys 1\n"
_HASH: Final = 15
BADKEYS: Final = ("badkeysdata.json", "blocklist.dat")
_LARGEST: Final = 1 << 30  # bytes of a file: that of badkeys has 60 million
_RECORD: Final = _HASH + 1
_SHORT: Final = 1_024  # bytes of a list that is searched at once as fast as by halves, most often in vain


class Source(NamedTuple):
    """Where a key is known from.

    ``kind``  "debian" for keys that can be guessed, "leaked" for those whose private half is public
    ``name``  which list it is on
    """

    kind: Kind
    name: str


class KeyList:
    """Keys that nobody should trust. Never changes; any number of verifiers share one."""

    def __init__(self, sources: dict[int, Source], records: bytes) -> None:
        """``sources``: by number, 0 to 255. ``records``: sorted, 16 bytes each, see above. Raises ConfigurationError."""
        if len(records) % _RECORD:
            raise ConfigurationError(setting="known_keys", problem=f"{len(records)} bytes are no records of {_RECORD}")
        if not all(starmap(le, pairwise(iter_unpack(f"{_HASH}sx", records)))):  # else keys would not be found
            raise ConfigurationError(setting="known_keys", problem="the keys are not sorted")
        if not all(0 <= number <= 255 for number in sources):
            raise ConfigurationError(setting="known_keys", problem="the number of a list is not from 0 to 255")
        # A name is one line of a file, and stands in errors.
        self._sources = {number: Source(kind, shown(name)) for number, (kind, name) in sources.items()}
        for number in sorted({*records[_HASH::_RECORD]} - sources.keys()):  # whose name nobody has told
            self._sources[number] = Source("leaked", f"list {number}")
        self._records = records

    @classmethod
    def built_in(cls) -> KeyList:
        """The short list that comes with handfast."""
        return _built_in()

    @classmethod
    def of(cls, kind: Kind, name: str, keys: Iterable[bytes]) -> KeyList:
        """A list of your own. ``keys``: :func:`fingerprint` of each."""
        return cls({1: Source(kind, name)}, b"".join(sorted({key[:_HASH] + b"\x01" for key in keys})))

    @classmethod
    def load(cls, path: pem.PathLike) -> KeyList:
        """A file that :meth:`write` wrote. Raises ConfigurationError, naming file and cause."""
        head, gap, records = pem.read(path, _LARGEST).partition(b"\n\n")
        lines = (head + b"\n").removeprefix(_MAGIC).decode("utf-8", "replace").splitlines()
        try:
            if not (gap and head.startswith(_MAGIC.rstrip())):
                raise ValueError(
                    f"it is no list of keys that handfast has written: these begin with {_MAGIC.strip().decode()!r}"
                )
            sources = dict(map(_source, lines))
            return cls(sources, records)
        except ValueError as error:
            raise ConfigurationError(FILE_UNREADABLE, file=str(path), problem=str(error)) from None
        except ConfigurationError as error:
            raise ConfigurationError(FILE_UNREADABLE, file=str(path), **error.evidence) from None

    @classmethod
    def from_badkeys(cls, folder: pem.PathLike) -> KeyList:
        """The lists of the badkeys project, as its program keeps them: the files BADKEYS of a folder.

        Raises ConfigurationError, naming file and cause.
        """
        text = pem.read(Path(folder, BADKEYS[0]))
        try:
            about = json.loads(text)
            sources = {
                int(item["id"]): Source("debian" if "debian" in item["name"] else "leaked", str(item["name"]))
                for item in about["blocklists"]
            }
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            problem = f"badkeysdata.json is not as expected: {error}"
            raise ConfigurationError(FILE_UNREADABLE, file=str(folder), problem=problem) from None
        try:
            return cls(sources, pem.read(Path(folder, BADKEYS[1]), _LARGEST))
        except ConfigurationError as error:
            if "file" in error.evidence:
                raise
            problem = f"the lists are not as expected: {error.evidence['problem']}"
            raise ConfigurationError(FILE_UNREADABLE, file=str(folder), problem=problem) from None

    def write(self, path: pem.PathLike) -> None:
        """Write it as a file that :meth:`load` reads."""
        lines = "".join(f"{number} {kind} {name}\n" for number, (kind, name) in sorted(self._sources.items()))
        Path(path).write_bytes(_MAGIC + lines.encode("utf-8") + b"\n" + self._records)

    def __add__(self, other: KeyList) -> KeyList:
        """The keys of both. ConfigurationError where they come from more than 256 lists."""
        sources, moved = dict(self._sources), {}
        for number, source in other._sources.items():
            known = next((own for own, item in sources.items() if item == source), None)
            moved[number] = known if known is not None else next(free for free in count(1) if free not in sources)
            sources[moved[number]] = source
        if max(sources, default=0) > 255:
            raise ConfigurationError(setting="known_keys", problem="they come from more than 256 lists")
        records, theirs = self._records, other._records
        added = {theirs[at : at + _HASH] + bytes([moved[theirs[at + _HASH]]]) for at in range(0, len(theirs), _RECORD)}
        both = KeyList.__new__(KeyList)  # what was sorted stays so: millions of keys are not compared once more
        both._sources, both._records = sources, _with(records, sorted(added))
        return both

    def __len__(self) -> int:
        return len(self._records) // _RECORD

    def __repr__(self) -> str:
        return f"<KeyList of {len(self)} keys: {', '.join(source.name for source in self._sources.values())}>"

    @property
    def fingerprint(self) -> bytes:
        """A hash of all that is in it."""
        return hashlib.sha256(repr(sorted(self._sources.items())).encode("utf-8") + self._records).digest()

    def find(self, certificate: Parsed) -> Source | None:
        """Where the certificate's key is known from; None if it is not known."""
        known: tuple[KeyList, Source | None] | None = certificate.notes.get("known")
        if known is None or known[0] is not self:
            source = None if certificate.key is None else self.look_up(_fingerprint_of(certificate))
            known = certificate.notes["known"] = (self, source)
        return known[1]

    def look_up(self, key: bytes) -> Source | None:
        """The same by :func:`fingerprint`."""
        records = self._records
        if len(records) <= _SHORT and key not in records:
            return None
        at = bisect_left(range(len(self)), key, key=lambda index: records[index * _RECORD : index * _RECORD + _HASH])
        found = records[at * _RECORD : (at + 1) * _RECORD]
        if found[:_HASH] != key:
            return None
        return self._sources[found[_HASH]]


def _with(records: bytes, added: list[bytes]) -> bytes:
    """Sorted records with others put in their places. It takes as long as ``added`` is: ``records`` is only copied."""
    pieces, start = [], 0
    for record in added:
        at = bisect_left(
            range(start, len(records), _RECORD), record, key=lambda place: records[place : place + _RECORD]
        )
        end = start + at * _RECORD
        pieces.append(records[start:end])
        start = end
        if records[end : end + _RECORD] != record:
            pieces.append(record)
    return b"".join((*pieces, records[start:]))


_COORDINATE: Final = {"secp256r1": 32, "secp384r1": 48, "secp521r1": 66}  # bytes


def _fingerprint_of(certificate: Parsed) -> bytes:
    """The same for a certificate's key. To read x where it stands is a good deal faster than to have the point made."""
    size = _COORDINATE.get(certificate.kind, 0)
    point = certificate.raw.subject_public_key_info[-2 * size - 1 :]
    if size and point[0] == 4:  # not compressed
        return hashlib.sha256(point[1 : size + 1].lstrip(b"\0")).digest()[:_HASH]
    return fingerprint(certificate.key)


def fingerprint(key: PublicKey) -> bytes:
    """The 15 bytes by which a public key is known: the beginning of SHA-256 of its number, big-endian, without zeros."""
    return hashlib.sha256(_number(key)).digest()[:_HASH]


def _number(key: PublicKey) -> bytes:
    match key:
        case rsa.RSAPublicKey():
            return _bytes(key.public_numbers().n)
        case ec.EllipticCurvePublicKey():
            return _bytes(key.public_numbers().x)
        case ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey():
            return _bytes(int.from_bytes(key.public_bytes_raw(), "big"))
        case mldsa.MLDSA44PublicKey() | mldsa.MLDSA65PublicKey() | mldsa.MLDSA87PublicKey():
            return key.public_bytes_raw()
        case _:
            return b""  # DSA and the like, which are refused for what they are


def _bytes(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def _source(line: str) -> tuple[int, Source]:
    found = re.fullmatch(r"([0-9]{1,3}) (leaked|debian) (.*)", line)
    if found is None or int(found[1]) > 255:
        raise ValueError(f"a list is announced by a number, leaked or debian, and a name, and not by {line[:80]!r}")
    return int(found[1]), Source(found[2], found[3])  # type: ignore[arg-type]


# Whose private half stands in an RFC or in the sources of well-known software, and that servers have been seen with.
_BUILT_IN: Final[dict[str, tuple[str, ...]]] = {
    "RFC 9500, keys for tests": (
        "d5246bc377541fb76508de53d527eb",
        "718d4d86179831caf9ff705a08a587",
        "336ab2ef332415f3ec691a96a4dfd2",
        "f37f4a83bbce8e3e8118ca38541b39",
        "95ebd9e88bd04c3238d9593c875af8",
    ),
    "RFC 8410, an example": ("e744c0791320c3285460eddb523f14",),
    "RFC 8946, an example": ("f9109dc651a11992575b3ec496aded",),
    "RFC 7517, examples": (
        "cfd9828d5c4be180a7f4eb8b337257",
        "c4a8d76ecf5f712a6f98052d967a15",
    ),
    "RFC 8037, an example": ("21fe31dfa154a261626bf854046fd2",),
    "the sources of Go, net/http's localhost": ("544fdd519498def7b9c1778c026df9",),
}


@cache
def _built_in() -> KeyList:
    sources = {number: Source("leaked", name) for number, name in enumerate(_BUILT_IN, 1)}
    records = [
        bytes.fromhex(key) + bytes([number]) for number, keys in enumerate(_BUILT_IN.values(), 1) for key in keys
    ]
    return KeyList(sources, b"".join(sorted(records)))
