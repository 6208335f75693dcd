"""Sessions with tokens, by python-pkcs11: finding a key, logging in, and what becomes of both when a token goes away.

python-pkcs11 loads a token's library without asking it to lock, so all calls of one library are made one after another,
under one lock. A login is of the process and not of a session (PKCS #11 3.0 section 5.6.8): it is kept until the last key
that was found by it is given up.
"""

from __future__ import annotations

import os
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, NoReturn

import pkcs11
from pkcs11 import Attribute, ObjectClass, PKCS11Error, TokenFlag, UserAlreadyLoggedIn

from handfast.crypto.guard import Guarded
from handfast.errors import KeyUnavailable, shown
from handfast.reasons import (
    BAD_KEY_URI,
    KEY_AMBIGUOUS,
    KEY_NOT_FOUND,
    KEY_UNAVAILABLE,
    PIN_MISSING,
    PIN_REFUSED,
    SIGNING_FAILED,
    Reason,
)
from handfast.signers.mechanisms import Way, needs_pin_each_time, ways
from handfast.signers.uri import KeyUri

_PAUSE: Final = 1.0  # seconds after a token was not there in which nobody looks for it again

# What may be wrong with a PIN, by the names of python-pkcs11's exceptions.
_OF_PINS: Final = {
    "PinIncorrect": "the PIN is wrong",
    "PinInvalid": "the PIN has characters that the token does not take",
    "PinLenRange": "the PIN is too short or too long",
    "PinLocked": "the token has locked itself",
    "PinExpired": "the PIN has expired",
    "UserPinNotInitialized": "the token has no PIN yet",
}
# What would be the same in a new session.
_FOR_GOOD: Final = frozenset(
    ("ArgumentsBad", "DataInvalid", "DataLenRange", "FunctionCancelled", "FunctionNotSupported", "FunctionRejected",
     "KeySizeRange", "KeyTypeInconsistent", "MechanismInvalid", "MechanismParamInvalid")
)  # fmt: skip

# How the loader says that a file is no library, or one of something else.
_NO_MODULE: Final = ("C_GetFunctionList", "invalid ELF header", "file too short")
_NAMED: Final = 8  # tokens or keys, where none is like the one that is wanted

_locks: Final[dict[tuple[str, int], threading.RLock]] = {}
_logins: Final[dict[tuple[str, int], tuple[Any, set[int]]]] = {}  # by library and slot: a session, and for whom
# By library: the process that has initialized it, and how often that was done. What was found before the last time is void,
# and worse: the library counts its sessions and keys from 1 again, so that an old number may be that of another key.
_started: Final[dict[str, tuple[int, int]]] = {}


def lock_of(module: str) -> threading.RLock:
    """One for each library and process: after a fork nobody would let go of the other one."""
    return _locks.setdefault((module, os.getpid()), threading.RLock())


def _library(module: str) -> Any:
    """A token's library, initialized in this process: PKCS #11 3.0 section 5.4.1, what a process has does not go with a fork."""
    try:
        library = pkcs11.lib(module)
    except PKCS11Error as error:
        if any(words in str(error) for words in _NO_MODULE):
            raise KeyUnavailable(BAD_KEY_URI, module=module, problem="it is no PKCS#11 module") from None
        raise
    process, count = _started.setdefault(module, (os.getpid(), 0))
    if process != os.getpid():
        library.reinitialize()
        for place in [place for place in _logins if place[0] == module]:
            del _logins[place]
        _started[module] = os.getpid(), count + 1
    return library


def _start_again(module: str) -> None:
    """Have the library initialized once more, if nothing was found since that was done after a fork.

    Where many processes are forked at once, SoftHSM may see no token in some of them, and would never see one.
    """
    process, count = _started[module]
    if count and process == os.getpid() and not any(place[0] == module for place in _logins):
        _started[module] = 0, count


class TokenKey(Guarded):
    """A key in a token, and the session that it is used in. What fails is a KeyUnavailable, without the PIN.

    ``schemes``  what it can sign with, best first; known once it was opened
    """

    def __init__(self, uri: KeyUri, pin: Callable[[], str | None]) -> None:
        """``pin`` is called whenever a login is needed, but not again after the token has refused one."""
        self._uri = uri
        self._pin = pin
        self._module = uri.module()
        self._start = (0, 0)  # of the library, by which the session and the key were found
        self._slot = 0
        self._session: Any = None
        self._key: Any = None
        self._each_time = False
        self._ways: dict[int, Way] = {}
        self._refused = ""  # why the PIN is not tried again
        self._not_before = 0.0  # when to look for the token again
        self.schemes: tuple[int, ...] = ()

    def open(self) -> None:
        """Find the key. Where that fails nothing is left behind, neither a session nor a login that nobody needs."""
        with lock_of(self._module):
            try:
                self._open()
            except PKCS11Error as error:
                self.close()
                self._fail(error)
            except BaseException:
                self.close()
                raise

    def sign(self, scheme: int, content: bytes) -> bytes:
        """A signature. Where the session has gone a new one is tried, once. Raises KeyUnavailable."""
        with lock_of(self._module):
            if self._key is not None and self._is_current:
                try:
                    return self._signed(scheme, content)
                except PKCS11Error as error:
                    if type(error).__name__ in _FOR_GOOD or type(error).__name__ in _OF_PINS:
                        self._fail(error)
                    self._drop()
            try:
                self._open()
                return self._signed(scheme, content)
            except PKCS11Error as error:
                self._drop()
                self._fail(error)
            except KeyUnavailable as error:
                if error.reason is KEY_NOT_FOUND:  # it was there when we started
                    raise KeyUnavailable(KEY_UNAVAILABLE, **error.evidence) from None
                raise

    def close(self) -> None:
        """End the session, and the login where nobody else needs it."""
        with lock_of(self._module):
            self._drop()
            if not self._is_current:
                return
            place = (self._module, self._slot)
            session, users = _logins.get(place, (None, set()))
            users.discard(id(self))
            if session is not None and not users:
                del _logins[place]
                with suppress(PKCS11Error):  # it has gone already
                    session.close()

    @property
    def _is_current(self) -> bool:
        """Whether what was found is what it was: in this process, and since the library was last initialized."""
        return self._start[0] == os.getpid() and self._start == _started.get(self._module)

    def _signed(self, scheme: int, content: bytes) -> bytes:
        way = self._ways[scheme]
        pin = self._pin() if self._each_time else None
        signature = self._key.sign(way.before(content), mechanism=way.mechanism, mechanism_param=way.parameter, pin=pin)
        return way.after(bytes(signature))

    def _open(self) -> None:
        if self._refused:
            raise self._unavailable(PIN_REFUSED, self._refused)
        if time.monotonic() < self._not_before:
            raise self._unavailable(KEY_UNAVAILABLE, "it was not there a moment ago")
        self._drop()
        library = _library(self._module)
        self._start = _started[self._module]
        _forget_errors()
        there = list(library.get_tokens())
        tokens = [token for token in there if self._is_meant(library, token)]
        if not tokens:
            _start_again(self._module)
        token = self._one(tokens, "token", [_named(token) for token in there if _is_made(token)])
        self._slot = token.slot.slot_id
        self._find(token)
        self._each_time = needs_pin_each_time(self._key)
        self._ways = ways(self._key, token.slot.get_mechanisms())
        if not self._ways:
            self._drop()
            problem = "TLS has no use for a key of this kind, or the token cannot sign with it"
            raise self._unavailable(SIGNING_FAILED, problem)
        if self.schemes and self.schemes != tuple(self._ways):
            self._drop()
            raise self._unavailable(KEY_UNAVAILABLE, "there is a key of another kind in its place")
        self.schemes = tuple(self._ways)

    def _is_meant(self, library: Any, token: Any) -> bool:
        """Whether the URI describes this token (RFC 7512 section 2.6)."""
        facts = {
            "token": token.label,
            "manufacturer": token.manufacturer_id,
            "model": token.model,
            "serial": token.serial,
            "slot-id": str(token.slot.slot_id),
            "slot-description": token.slot.slot_description,
            "slot-manufacturer": token.slot.manufacturer_id,
            "library-description": library.library_description,
            "library-manufacturer": library.manufacturer_id,
            "library-version": ".".join(map(str, library.library_version)),
        }
        return all(_plain(value) == _plain(self._uri.path.get(name, value)) for name, value in facts.items())

    def _find(self, token: Any) -> None:
        """The key, and a session in which it is seen; with a login, if it is not seen without."""
        wanted: dict[Any, Any] = {Attribute.CLASS: ObjectClass.PRIVATE_KEY}
        if "object" in self._uri.path:
            wanted[Attribute.LABEL] = self._uri.text("object")
        if "id" in self._uri.path:
            wanted[Attribute.ID] = self._uri.path["id"]
        self._session = token.open()
        keys = list(self._session.get_objects(wanted))
        if not keys and token.flags & TokenFlag.LOGIN_REQUIRED:
            self._login(token)
            keys = list(self._session.get_objects(wanted))
        others = [] if keys else self._session.get_objects({Attribute.CLASS: ObjectClass.PRIVATE_KEY})
        self._key = self._one(keys, "private key", [_plain(key.label) or "a key without a label" for key in others])
        _logins.get((self._module, self._slot), (None, set()))[1].add(id(self))

    def _login(self, token: Any) -> None:
        pin: Any = self._pin() if not token.flags & TokenFlag.PROTECTED_AUTHENTICATION_PATH else pkcs11.PROTECTED_AUTH
        if pin is None:
            raise self._unavailable(PIN_MISSING, "there is a login, and nobody has given a PIN for it")
        try:
            session = token.open(user_pin=pin)
        except UserAlreadyLoggedIn:
            return  # somebody else in this process has
        except PKCS11Error as error:
            # Never again by ourselves: after a few wrong ones a token locks itself for good.
            self._refused = _OF_PINS.get(type(error).__name__, "")
            raise
        _logins[self._module, self._slot] = (session, set())

    def _one(self, found: list[Any], kind: str, there: list[str]) -> Any:
        """The only one that was found; of what is ``there`` in its place people are told."""
        if len(found) == 1:
            return found[0]
        self._drop()
        if found:
            raise self._unavailable(KEY_AMBIGUOUS, f"{len(found)} {kind}s are like that")
        self._not_before = time.monotonic() + _PAUSE
        error = self._unavailable(KEY_NOT_FOUND, f"there is no {kind} like that")
        if there:
            more = [f"and {len(there) - _NAMED} more"] if len(there) > _NAMED else []
            error.evidence["there_are"] = [*map(shown, there[:_NAMED]), *more]
        raise error

    def _fail(self, error: PKCS11Error) -> NoReturn:
        name = type(error).__name__
        if name in _OF_PINS:
            raise self._unavailable(PIN_REFUSED, _OF_PINS[name]) from None
        if name in _FOR_GOOD:
            raise self._unavailable(SIGNING_FAILED, _in_words(name)) from None
        self._not_before = time.monotonic() + _PAUSE
        raise self._unavailable(KEY_UNAVAILABLE, str(error) or _in_words(name)) from None

    def _unavailable(self, reason: Reason, problem: str) -> KeyUnavailable:
        return KeyUnavailable(reason, key=str(self._uri), problem=shown(problem))

    def _drop(self) -> None:
        """Give up the session."""
        session, self._session, self._key = self._session, None, None
        if session is not None and self._is_current:
            with suppress(PKCS11Error):  # it has gone already
                session.close()


def _forget_errors() -> None:
    """Empty this thread's list of errors in the OpenSSL of :mod:`ssl`, which a token's library may use as well.

    SoftHSM looks for an engine when it starts, and leaves the error there if there is none. Then the next
    `SSLContext.load_verify_locations(cadata=...)` of the program, which did not clear the list before, would raise it.
    """
    with suppress(ssl.SSLError):
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).set_ciphers("none")  # which fails, and clears it


def _is_made(token: Any) -> bool:
    """Whether there is a token in this slot, and not only a place for one."""
    return bool(token.flags & TokenFlag.TOKEN_INITIALIZED)


def _named(token: Any) -> str:
    """A token by what a URI may say of it."""
    return f"{_plain(token.label)} (serial {_plain(token.serial)})"


def _plain(value: str | bytes) -> str:
    """Tokens fill up their texts with blanks."""
    return (value.decode("utf-8", "replace") if isinstance(value, bytes) else value).rstrip(" \0")


def _in_words(name: str) -> str:
    """The name of an exception, TokenNotPresent, as people write it: token not present."""
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name).strip()
