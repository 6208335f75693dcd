"""The password of load_cert_chain: text, bytes, or a function that is asked when it is needed."""

from __future__ import annotations

from typing import Any, Final

_LONGEST: Final = 1024  # what ssl has room for
_ENCRYPTED: Final = b"ENCRYPTED"  # "BEGIN ENCRYPTED PRIVATE KEY", or "Proc-Type: 4,ENCRYPTED"


class Password:
    """Checked as ``ssl`` checks it.

    ``value``  what was found out; None where it was not needed
    """

    def __init__(self, given: Any) -> None:
        """Raises TypeError for what can be no password."""
        self._given = given
        self.value: bytes | None = None
        if given is not None and not callable(given):
            self.value = _as_bytes(given, "password should be a string or callable")

    def for_key(self, key: bytes) -> bytes | None:
        """What this key (PEM) needs: a function is not asked for the password of a key that has none."""
        if _ENCRYPTED not in key:
            return None
        if callable(self._given):
            self.value = _as_bytes(self._given(), "password callback must return a string")
        if self.value is not None and len(self.value) > _LONGEST:
            raise ValueError(f"password cannot be longer than {_LONGEST} bytes")
        return self.value or None


def _as_bytes(value: Any, problem: str) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8")
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    raise TypeError(problem)
