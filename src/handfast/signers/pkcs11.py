"""A private key in a token that speaks PKCS#11: a smart card, an HSM, SoftHSM. It never leaves the token."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from handfast.crypto.guard import Guarded
from handfast.errors import ConfigurationError, TLSError, shown
from handfast.signers.threads import Threaded
from handfast.signers.uri import KeyUri

if TYPE_CHECKING:
    from typing import Self

Pin = str | Callable[[], str | None] | None


class Pkcs11Signer(Guarded):
    """A Signer whose key is in a token, by python-pkcs11 (the extra "pkcs11").

    ``schemes``  what it can sign with, best first
    ``uri``      which key it is; without the PIN

    It makes one signature at a time; in an event loop in a thread of its own, so nobody else waits. Several signers may
    share a token. One that goes away fails the handshakes that need it, with KeyUnavailable, and serves again once it is
    back.
    """

    def __init__(self, uri: KeyUri | str, pin: Pin = None) -> None:
        """``uri``: as RFC 7512 has it: "pkcs11:token=NAME;object=LABEL;id=%01?module-path=/usr/lib/...so".

        ``pin``: the PIN, or what is called for it whenever a login is needed. Without, that of the URI. A PIN that the
        token refuses is not tried again.

        Raises ConfigurationError: BAD_KEY_URI, KEY_NOT_FOUND, KEY_AMBIGUOUS, PIN_MISSING, PIN_REFUSED, KEY_UNAVAILABLE; SIGNING_FAILED
        for a key that TLS has no use for.
        """
        try:
            from handfast.signers.tokens import TokenKey
        except ImportError:
            problem = "python-pkcs11 is not installed: pip install handfast[pkcs11]"
            raise ConfigurationError(setting="key", problem=problem) from None
        self.uri = KeyUri.parse(uri) if isinstance(uri, str) else uri
        self._given_pin = pin
        self._key = TokenKey(self.uri, self._pin)
        try:
            self._key.open()
        except TLSError as error:
            raise ConfigurationError(error.reason, **error.evidence) from None
        self.schemes = self._key.schemes
        self._threaded = Threaded(self._key, threads=1)

    def sign(self, scheme: int, content: bytes) -> bytes | Awaitable[bytes]:
        """See Signer. Raises KeyUnavailable: KEY_UNAVAILABLE, PIN_REFUSED, SIGNING_FAILED."""
        return self._threaded.sign(scheme, content)

    def sign_and_wait(self, scheme: int, content: bytes) -> bytes:
        """The same in this thread, whether there is an event loop or not."""
        return self._key.sign(scheme, content)

    def close(self) -> None:
        """End the session and the thread, and the login where no other signer needs it."""
        self._threaded.close()
        self._key.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Pkcs11Signer {shown(self.uri)}>"

    def _pin(self) -> str | None:
        given = self._given_pin
        return self.uri.pin() if given is None else given() if callable(given) else given
