"""What the keychain of macOS says: which certificates are there, and what they are trusted for.

By ctypes, from Security.framework and CoreFoundation. It decides nothing: that is for native.py.
"""

from __future__ import annotations

import ctypes
from ctypes import byref, c_int32, c_long, c_uint32, c_void_p
from functools import cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from handfast.certificates.native import Verdict

USER, ADMIN = 0, 1  # SecTrustSettingsDomain

_FRAMEWORKS: Final = "/System/Library/Frameworks"
_UTF8: Final = 0x08000100  # kCFStringEncodingUTF8
_INT: Final = 9  # kCFNumberIntType
_NO_SETTINGS: Final = -25263  # errSecNoTrustSettings
_VERDICTS: Final[dict[int, Verdict]] = {1: "trust", 2: "trust", 3: "deny"}  # SecTrustSettingsResult


@cache
def _security() -> Any:
    library = ctypes.CDLL(f"{_FRAMEWORKS}/Security.framework/Security")
    _declare(
        library,
        SecTrustCopyAnchorCertificates=(c_int32, c_void_p),
        SecTrustSettingsCopyCertificates=(c_int32, c_uint32, c_void_p),
        SecTrustSettingsCopyTrustSettings=(c_int32, c_void_p, c_uint32, c_void_p),
        SecCertificateCopyData=(c_void_p, c_void_p),
        SecPolicyCopyProperties=(c_void_p, c_void_p),
    )
    return library


@cache
def _core() -> Any:
    library = ctypes.CDLL(f"{_FRAMEWORKS}/CoreFoundation.framework/CoreFoundation")
    _declare(
        library,
        CFArrayGetCount=(c_long, c_void_p),
        CFArrayGetValueAtIndex=(c_void_p, c_void_p, c_long),
        CFDataGetLength=(c_long, c_void_p),
        CFDataGetBytePtr=(c_void_p, c_void_p),
        CFDictionaryGetValue=(c_void_p, c_void_p, c_void_p),
        CFNumberGetValue=(ctypes.c_bool, c_void_p, c_long, c_void_p),
        CFStringCreateWithCString=(c_void_p, c_void_p, ctypes.c_char_p, c_uint32),
        CFEqual=(ctypes.c_bool, c_void_p, c_void_p),
        CFRelease=(None, c_void_p),
    )
    return library


def _declare(library: Any, **functions: tuple[Any, ...]) -> None:
    for name, (result, *arguments) in functions.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments


def anchors() -> list[bytes]:
    """The roots that Apple ships, DER. Raises OSError where the system does not tell."""
    found = c_void_p()
    _check(_security().SecTrustCopyAnchorCertificates(byref(found)))
    try:
        return [_der(certificate) for certificate in _items(found)]
    finally:
        _core().CFRelease(found)


def settings(domain: int) -> list[tuple[bytes, Verdict]]:
    """What the user or the administrator says of certificates (DER), for servers. Raises OSError likewise."""
    found = c_void_p()
    status = _security().SecTrustSettingsCopyCertificates(domain, byref(found))
    if status == _NO_SETTINGS:
        return []
    _check(status)
    try:
        return [(_der(certificate), _verdict(certificate, domain)) for certificate in _items(found)]
    finally:
        _core().CFRelease(found)


def _verdict(certificate: int, domain: int) -> Verdict:
    found = c_void_p()
    status = _security().SecTrustSettingsCopyTrustSettings(certificate, domain, byref(found))
    if status == _NO_SETTINGS:
        return "unspecified"
    _check(status)
    try:
        said = [_result(entry) for entry in _items(found)]
    finally:
        _core().CFRelease(found)
    if not said:
        return "trust"  # an empty list means: for everything
    return "deny" if "deny" in said else "trust" if "trust" in said else "unspecified"


def _result(entry: int) -> Verdict:
    """What one entry says: of all uses, or of servers; what it says of other uses does not count, but for "deny"."""
    core = _core()
    number, value = _value(entry, b"kSecTrustSettingsResult"), c_int32(1)  # kSecTrustSettingsResultTrustRoot is implied
    if number and not core.CFNumberGetValue(number, _INT, byref(value)):
        return "deny"
    verdict = _VERDICTS.get(value.value, "unspecified")
    policy = _value(entry, b"kSecTrustSettingsPolicy")
    return verdict if verdict == "deny" or not policy or _is_of_servers(policy) else "unspecified"


def _is_of_servers(policy: int) -> bool:
    core, security = _core(), _security()
    properties = security.SecPolicyCopyProperties(policy)
    if not properties:
        return False
    try:
        name = core.CFDictionaryGetValue(properties, c_void_p.in_dll(security, "kSecPolicyOid"))
        return bool(name) and core.CFEqual(name, c_void_p.in_dll(security, "kSecPolicyAppleSSL"))
    finally:
        core.CFRelease(properties)


def _value(dictionary: int, key: bytes) -> int | None:
    core = _core()
    name = core.CFStringCreateWithCString(None, key, _UTF8)
    try:
        found: int | None = core.CFDictionaryGetValue(dictionary, name)
        return found
    finally:
        core.CFRelease(name)


def _items(array: c_void_p) -> Iterator[int]:
    core = _core()
    for index in range(core.CFArrayGetCount(array) if array.value else 0):
        yield core.CFArrayGetValueAtIndex(array, index)


def _der(certificate: int) -> bytes:
    core = _core()
    data = _security().SecCertificateCopyData(certificate)
    if not data:
        raise OSError("a certificate of the keychain cannot be read")
    try:
        return ctypes.string_at(core.CFDataGetBytePtr(data), core.CFDataGetLength(data))
    finally:
        core.CFRelease(data)


def _check(status: int) -> None:
    if status != 0:
        raise OSError(f"the keychain answers with OSStatus {status}")
