"""pkcs11: URIs (RFC 7512): which key of which token, by which library, and where its PIN is."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import quote_from_bytes, unquote_to_bytes

from handfast.errors import ConfigurationError, words
from handfast.reasons import BAD_KEY_URI, FILE_UNREADABLE

SCHEME: Final = "pkcs11:"

# What describes token and key; each may stand once (RFC 7512 section 2.3).
_PATH: Final = frozenset(
    ("token", "manufacturer", "serial", "model", "object", "type", "id", "slot-id", "slot-description",
     "slot-manufacturer", "library-description", "library-manufacturer", "library-version")
)  # fmt: skip
_QUERY: Final = frozenset(("module-path", "module-name", "pin-source", "pin-value"))
_SECRET: Final = ("pin-value", "pin-source")
_SECRET_MISPLACED: Final = re.compile(r"[;&?,#\s]pin-(value|source)=", re.IGNORECASE)

_MODULES: Final = (
    "/usr/lib/pkcs11",
    "/usr/lib64/pkcs11",
    "/usr/local/lib/pkcs11",
    "/usr/lib/softhsm",
    "/usr/lib/*-linux-gnu*/pkcs11",
    "/usr/lib/*-linux-gnu*/softhsm",
    "/usr/lib/*-linux-gnu*",
    "/usr/lib64",
    "/usr/lib",
    "/opt/homebrew/lib",
    "/usr/local/lib",
)
_SUFFIXES: Final = (".so", ".dylib", ".dll")
_LONGEST: Final = 4_096  # bytes of a file with a PIN
_PROXY: Final = "p11-kit-proxy"  # the library of all tokens that this machine has set up


@dataclass(frozen=True, slots=True)
class KeyUri:
    """What a pkcs11 URI says. Its text (``str``) has no PIN in it, nor where it is: it may be shown.

    ``path``   what describes token and key: "token", "serial", "object", "id" (bytes in the URI's encoding), ...
    ``query``  "module-path" or "module-name", "pin-source" or "pin-value"
    """

    path: Mapping[str, bytes]
    query: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    @classmethod
    def parse(cls, text: str) -> KeyUri:
        """Read a URI. Raises ConfigurationError(BAD_KEY_URI), never with the PIN in it."""
        if text[: len(SCHEME)].lower() != SCHEME:  # RFC 3986 section 3.1: as the letters come
            raise ConfigurationError(BAD_KEY_URI, problem="it does not begin with pkcs11:")
        path, _, query = text[len(SCHEME) :].partition("?")
        described = dict(_attributes(path, ";", _PATH, strict=True))
        if described.get("library-version", b"").isdigit():
            described["library-version"] += b".0"  # section 2.3: where the minor number is not said, it is 0
        found = cls(described, dict(_attributes(query, "&", _QUERY, strict=False)))
        if found.path.get("type", b"private") != b"private":
            raise ConfigurationError(BAD_KEY_URI, problem="it is of another object: a private key has type=private")
        if len(found.query.keys() & _SECRET) == 2:
            raise ConfigurationError(BAD_KEY_URI, problem="pin-source and pin-value do not go together")
        if not found.path.get("slot-id", b"0").isdigit():
            raise ConfigurationError(BAD_KEY_URI, problem="slot-id has to be a number")
        return found

    def text(self, name: str) -> str | None:
        """A part of the path as text; None where it is not said."""
        value = self.path.get(name)
        return None if value is None else value.decode("utf-8", "replace")

    def module(self) -> str:
        """The library to load: an absolute path. Raises ConfigurationError where none is named or found."""
        path = self.query.get("module-path", b"").decode("utf-8", "replace")
        name = self.query.get("module-name", b"").decode("utf-8", "replace")
        if path and _is(Path.is_file, Path(path)) and Path(path).is_absolute():
            return path
        if path and not _is(Path.is_dir, Path(path)):
            problem = "it is not there" if Path(path).is_absolute() else "the path has to begin at the root"
            raise ConfigurationError(BAD_KEY_URI, module=path, problem=problem)
        if "/" in name:
            raise ConfigurationError(BAD_KEY_URI, module=name, problem="module-name is no path: that is module-path")
        found = _library(name or _PROXY, (path,) if path else _MODULES)
        if found is None:
            problem = "no such library is found" if name else "it has to name the token's library: ?module-path=FILE"
            raise ConfigurationError(BAD_KEY_URI, **({"module": name} if name else {}), problem=problem)
        return found

    def pin(self) -> str | None:
        """The PIN that the URI has or names a file of; None without. Raises ConfigurationError."""
        if "pin-value" in self.query:
            return _pin(self.query["pin-value"])
        source = self.query.get("pin-source", b"").decode("utf-8", "replace")
        if not source:
            return None
        if source.startswith("|"):
            raise ConfigurationError(BAD_KEY_URI, problem="pin-source names a program, and programs are not run")
        file = source.removeprefix("file:")
        file = "/" + file.lstrip("/") if file != source and file.startswith("/") else file
        try:
            with Path(file).open("rb") as opened:
                read = opened.read(_LONGEST + 1)  # it may be a device, which never ends
        except (OSError, ValueError) as error:  # a ValueError for a name that no file can have
            raise ConfigurationError(FILE_UNREADABLE, file=file, problem=words(error)) from None
        if len(read) > _LONGEST:
            problem = f"it has more than {_LONGEST:,} bytes, which is no PIN"
            raise ConfigurationError(FILE_UNREADABLE, file=file, problem=problem)
        return _pin(read.rstrip(b"\r\n"))

    def __str__(self) -> str:
        shown = ";".join(f"{name}={quote_from_bytes(value, safe=' :_-./,')}" for name, value in self.path.items())
        return SCHEME + shown


def _attributes(text: str, separator: str, known: frozenset[str], *, strict: bool) -> Iterator[tuple[str, bytes]]:
    seen: set[str] = set()
    for part in filter(None, text.split(separator)):
        name, equals, value = part.partition("=")
        if name not in known:
            # To pass over a part of the description would be to take a key that is not meant. The query has no such part.
            if strict or not re.fullmatch(r"[A-Za-z0-9_-]+", name):
                if not equals:  # it may be a PIN whose beginning was forgotten
                    raise ConfigurationError(BAD_KEY_URI, problem="a part of it has no = between name and value")
                raise ConfigurationError(BAD_KEY_URI, attribute=name[:40], problem="it is not known")
            continue
        if _SECRET_MISPLACED.search(value):
            # It would be shown as a part of the description, or of a path.
            problem = "a PIN stands in the middle of it: pin-value and pin-source follow a ? or a &"
            raise ConfigurationError(BAD_KEY_URI, attribute=name, problem=problem)
        if not equals or re.search(r"%(?![0-9A-Fa-f]{2})", value):
            raise ConfigurationError(BAD_KEY_URI, attribute=name, problem="it has no value that can be read")
        if name in seen:
            raise ConfigurationError(BAD_KEY_URI, attribute=name, problem="it stands there twice")
        seen.add(name)
        yield name, unquote_to_bytes(value)


def _is(what: Callable[[Path], bool], path: Path) -> bool:
    """Whether a path is that; it is not where nobody can say: its name is too long, or its folder is not for us."""
    try:
        return what(path)
    except OSError:
        return False


def _library(name: str, folders: tuple[str, ...]) -> str | None:
    names = [f"{prefix}{name}{suffix}" for suffix in _SUFFIXES for prefix in ("", "lib")]
    for pattern in folders:
        base = Path(pattern.partition("*")[0]).parent if "*" in pattern else Path(pattern)
        places = sorted(base.glob(str(Path(pattern).relative_to(base)))) if "*" in pattern else [base]
        for place in places:
            for candidate in names:
                if _is(Path.is_file, place / candidate):
                    return str(place / candidate)
    return None


def _pin(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        raise ConfigurationError(BAD_KEY_URI, problem="the PIN is not UTF-8") from None
