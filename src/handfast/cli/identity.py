"""`--cert FILE --key FILE`, for both commands; the key may be in a token: `--key pkcs11:...`."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from handfast.certificates.identity import Identity
from handfast.certificates.notes import Note
from handfast.errors import ConfigurationError, shown

_TOKEN = "pkcs11:"  # noqa: S105 - how the URI of a key in a token begins (RFC 7512)

Key = Any
"""What --key names: the path of a file, a Signer, or None for the file of --cert."""


def identity(
    cert: Path | None, key: str | Path | None, on_note: Callable[[Note], object] | None = None
) -> Identity | None:
    """The identity of the two options; None without them. The key may stand in the file of the chain.

    Raises ConfigurationError, naming the file and the cause.
    """
    if cert is None:
        if key is not None:
            raise ConfigurationError(setting="--key", problem="needs --cert: the chain that the key belongs to")
        return None
    return Identity.load(cert, opened(key), password(cert, key), on_note=on_note)


def opened(key: str | Path | None) -> Key:
    """A file's name as it is, and for a pkcs11 URI a Signer. Raises ConfigurationError."""
    if key is None or not str(key).startswith(_TOKEN):
        return key
    from handfast.signers import KeyUri, Pkcs11Signer

    uri = KeyUri.parse(str(key))
    return Pkcs11Signer(uri, lambda: uri.pin() or _asked(f"PIN for {shown(uri)}: "))


def password(cert: Path, key: str | Path | None) -> Callable[[], str]:
    """What asks for the password of an encrypted key, where there is somebody to ask."""
    return lambda: _asked(f"password for {shown(key or cert)}: ") or ""


def told(notes: Iterable[Note]) -> list[str]:
    """What was found about our certificates, a line each."""
    return [str(note) for note in notes]


def _asked(prompt: str) -> str | None:
    """What is typed, unseen; None where nobody is there to type."""
    if not sys.stdin.isatty():
        return None
    try:
        return getpass.getpass(prompt)
    except (EOFError, OSError):
        return None
