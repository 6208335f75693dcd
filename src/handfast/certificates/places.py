"""Where systems that keep their roots in files have them."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from handfast.certificates import pem
from handfast.errors import ConfigurationError, words
from handfast.reasons import FILE_UNREADABLE

BUNDLES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Arch, Gentoo, NixOS
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",  # Fedora, RHEL
    "/etc/pki/tls/certs/ca-bundle.crt",  # older ones of these
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/var/lib/ca-certificates/ca-bundle.pem",  # SUSE's own copy
    "/etc/ssl/cert.pem",  # Alpine, OpenBSD, FreeBSD
    "/usr/local/share/certs/ca-root-nss.crt",  # FreeBSD's port
    "/etc/openssl/certs/ca-certificates.crt",  # NetBSD
    "/data/data/com.termux/files/usr/etc/tls/cert.pem",  # Termux
)
FOLDERS: Final = (
    "/etc/ssl/certs",  # SUSE, and any with OpenSSL's layout
    "/etc/pki/tls/certs",
    "/apex/com.android.conscrypt/cacerts",  # Android 14 and later
    "/system/etc/security/cacerts",  # Android
    "/etc/certs/CA",  # Solaris
)

HASHED: Final = re.compile(r"[0-9a-f]{8}\.[0-9]+")  # what `openssl rehash` calls the certificates of a folder
_SUFFIXES: Final = (".pem", ".crt", ".cer", ".der")


def folder(path: pem.PathLike) -> tuple[list[tuple[str, bytes]], list[tuple[str, str]]]:
    """The files of a folder that may have certificates, by name, with their contents; and those that cannot be read, and why.

    Where some names are hashes, these alone: a folder like that has the same certificates under other names too. Raises
    ConfigurationError(FILE_UNREADABLE) where there is no such folder.
    """
    try:
        entries = sorted(Path(path).iterdir())
    except (OSError, ValueError) as error:
        raise ConfigurationError(FILE_UNREADABLE, file=os.fspath(path), problem=words(error)) from None
    hashed = [entry for entry in entries if HASHED.fullmatch(entry.name)]
    chosen = hashed or [entry for entry in entries if entry.suffix.lower() in _SUFFIXES]
    contents: list[tuple[str, bytes]] = []
    problems: list[tuple[str, str]] = []
    for entry in chosen:
        try:
            if entry.is_dir() or (entry.exists() and not entry.is_file()):  # to open a pipe may wait for ever
                continue
            contents.append((entry.name, entry.read_bytes()))
        except OSError as error:
            problems.append((entry.name, words(error)))
    return contents, problems
