"""`--cert FILE --key FILE`, for both commands; the key may be in a token: `--key pkcs11:...`."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Final

from handfast.certificates.identity import Identity
from handfast.certificates.notes import Note
from handfast.errors import ConfigurationError, shown, words
from handfast.reasons import FILE_UNREADABLE

_TOKEN = "pkcs11:"  # noqa: S105 - how the URI of a key in a token begins (RFC 7512)
STDIN: Final = Path("-")
_LONGEST: Final = 1 << 12  # bytes of a line

Key = Any
"""What --key names: the path of a file, a Signer, or None for the file of --cert."""


def identity(
    cert: Path | None,
    key: str | Path | None,
    password_file: Path | None = None,
    *,
    on_note: Callable[[Note], object] | None = None,
) -> Identity | None:
    """The identity of these options; None without them. The key may stand in the file of the chain.

    Raises ConfigurationError, naming the file and the cause.
    """
    if cert is None:
        for setting, value, whose in (("--key", key, "key"), ("--password-file", password_file, "password")):
            if value is not None:
                raise ConfigurationError(
                    setting=setting, problem=f"needs --cert: the chain that the {whose} belongs to"
                )
        return None
    return Identity.load(cert, opened(key), password(cert, key, password_file), on_note=on_note)


def opened(key: str | Path | None) -> Key:
    """A file's name as it is, and for a pkcs11 URI a Signer. Raises ConfigurationError."""
    if key is None or not str(key).lower().startswith(_TOKEN):
        return key
    from handfast.signers import KeyUri, Pkcs11Signer

    uri = KeyUri.parse(str(key))
    return Pkcs11Signer(uri, lambda: uri.pin() or typed(f"PIN for {shown(uri)}: "))


def password(cert: Path, key: str | Path | None, file: Path | None = None) -> Callable[[], str]:
    """What knows the password of an encrypted key, from a file, or by asking where there is somebody to ask."""
    if file is not None:
        return lambda: first_line(file)
    return lambda: typed(f"Password of {shown(key or cert)}: ") or ""


def first_line(path: Path) -> str:
    """The first line of a file, or of the standard input ("-"), without its end. Raises ConfigurationError."""
    try:
        with nullcontext(sys.stdin.buffer) if path == STDIN else path.open("rb") as file:
            line = file.readline(_LONGEST).decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise ConfigurationError(FILE_UNREADABLE, file=str(path), problem="it is no text in UTF-8") from None
    except OSError as error:
        raise ConfigurationError(FILE_UNREADABLE, file=str(path), problem=words(error)) from None
    if not line:
        raise ConfigurationError(FILE_UNREADABLE, file=str(path), problem="its first line is empty")
    return line


def told(notes: Iterable[Note]) -> list[str]:
    """What was found about our certificates, a line each."""
    return [str(note) for note in notes]


def typed(prompt: str) -> str | None:
    """What is typed, unseen; None where nobody is there to type."""
    if not sys.stdin.isatty():
        return None
    try:
        return getpass.getpass(prompt)
    except EOFError:  # Ctrl-D, which ends no line
        print(file=sys.stderr)
        return None
    except OSError:
        return None
