"""The roots of Windows and macOS, which keep them in stores of their own.

What decides (:func:`of_windows`, :func:`of_macos`) takes plain values. What asks the system is kept as thin as can be: a
call of the standard library on Windows, a page of ctypes in keychain.py on macOS.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

SERVER_AUTH = "1.3.6.1.5.5.7.3.1"
Verdict = Literal["trust", "deny", "unspecified"]


@dataclass(frozen=True, slots=True)
class Native:
    """Roots that the system trusts for servers (DER), and what to call the store."""

    ders: tuple[bytes, ...]
    source: str


def roots() -> Native | None:
    """Those of this system; None where it has no store of its own, or it does not answer."""
    try:
        if sys.platform == "win32":
            import ssl

            return of_windows(ssl.enum_certificates)
        if sys.platform == "darwin":
            from handfast.certificates import keychain

            return of_macos(keychain.anchors(), keychain.settings(keychain.ADMIN), keychain.settings(keychain.USER))
    except (OSError, AttributeError):
        return None  # then certifi's are used
    return None


def of_windows(stores: Callable[[str], Iterable[tuple[bytes, str, object]]]) -> Native:
    """The certificates of ROOT that are for servers, without those of Disallowed.

    ``stores``  the certificates of a store: DER, its encoding, and what it is trusted for: True or a set of OIDs

    Windows fetches a public root when it first meets it: one that this machine never needed is not in the store yet.
    """
    refused = {der for der, _, _ in stores("Disallowed")}
    found = (
        der
        for der, encoding, uses in stores("ROOT")
        if encoding == "x509_asn" and der not in refused
        if uses is True or (isinstance(uses, (set, frozenset)) and SERVER_AUTH in uses)
    )
    return Native(tuple(dict.fromkeys(found)), "the certificate store of Windows")


def of_macos(
    anchors: Sequence[bytes], admin: Iterable[tuple[bytes, Verdict]], user: Iterable[tuple[bytes, Verdict]]
) -> Native:
    """Apple's anchors, and what administrator and user say of certificates. The user has the last word."""
    said = {der: verdict for der, verdict in (*admin, *user) if verdict != "unspecified"}
    added = [der for der, verdict in said.items() if verdict == "trust"]
    kept = (der for der in (*anchors, *added) if said.get(der) != "deny")
    return Native(tuple(dict.fromkeys(kept)), "the keychain of macOS")
