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
        """Raises TypeError and ValueError."""
        self._given = given
        self.value: bytes | None = None
        if given is not None and not callable(given):
            self.value = _checked(given, "password should be a string or callable")

    def for_key(self, key: bytes) -> bytes | None:
        """What this key (PEM) needs: a function is not asked for the password of a key that has none."""
        if callable(self._given) and _ENCRYPTED in key:
            self.value = _checked(self._given(), "password callback must return a string")
        return self.value or None


def _checked(value: Any, problem: str) -> bytes:
    if isinstance(value, str):
        value = value.encode("utf-8")
    elif not isinstance(value, (bytes, bytearray)):
        raise TypeError(problem)
    if len(value) > _LONGEST:
        raise ValueError(f"password cannot be longer than {_LONGEST} bytes")
    return bytes(value)
