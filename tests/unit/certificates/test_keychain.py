"""The code that asks the keychain of macOS, against a stand-in for its two frameworks.

Nothing of macOS runs here. What this holds is that each call is made with what the call before it gave, that what was
copied is released, and what each answer is taken for.
"""

from __future__ import annotations

import ctypes
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from handfast.certificates import keychain, native

NO_SETTINGS = -25263
TRUST_ROOT, TRUST_AS_ROOT, DENY, UNSPECIFIED = 1, 2, 3, 4
SSL = b"1.2.840.113635.100.1.3"
MAIL = b"1.2.840.113635.100.1.8"


class Frameworks:
    """Objects by their numbers, as if these were addresses; and how often each was copied and released."""

    def __init__(self) -> None:
        self.objects: dict[int, Any] = {}
        self.owned: Counter[int] = Counter()
        self.anchors: list[bytes] = []
        self.said: dict[int, dict[bytes, list[dict[bytes, Any]] | None]] = {}
        self.status = 0

    def new(self, value: Any) -> int:
        number = 0x1000 + 16 * len(self.objects)
        self.objects[number] = value
        return number

    def copied(self, value: Any) -> int:
        number = self.new(value)
        self.owned[number] += 1
        return number

    def of(self, reference: Any) -> Any:
        return self.objects[getattr(reference, "value", reference)]

    # --- Security.framework

    def SecTrustCopyAnchorCertificates(self, out: Any) -> int:  # noqa: N802
        out._obj.value = self.copied([self.new(der) for der in self.anchors]) if not self.status else None
        return self.status

    def SecTrustSettingsCopyCertificates(self, domain: int, out: Any) -> int:  # noqa: N802
        if domain not in self.said:
            return NO_SETTINGS
        out._obj.value = self.copied([self.new(der) for der in self.said[domain]])
        return self.status

    def SecTrustSettingsCopyTrustSettings(self, certificate: int, domain: int, out: Any) -> int:  # noqa: N802
        entries = self.said[domain][self.of(certificate)]
        if entries is None:
            return NO_SETTINGS
        out._obj.value = self.copied([self.new(entry) for entry in entries])
        return 0

    def SecCertificateCopyData(self, certificate: int) -> int | None:  # noqa: N802
        der = self.of(certificate)
        return self.copied(der) if der else None

    def SecPolicyCopyProperties(self, policy: int) -> int | None:  # noqa: N802
        oid = self.of(policy)
        return self.copied({"oid": self.new(oid)}) if oid else None

    # --- CoreFoundation

    def CFArrayGetCount(self, array: Any) -> int:  # noqa: N802
        return len(self.of(array))

    def CFArrayGetValueAtIndex(self, array: Any, index: int) -> int:  # noqa: N802
        found: int = self.of(array)[index]
        return found

    def CFDataGetLength(self, data: int) -> int:  # noqa: N802
        return len(self.of(data))

    def CFDataGetBytePtr(self, data: int) -> Any:  # noqa: N802
        self._kept = ctypes.create_string_buffer(self.of(data))
        return ctypes.addressof(self._kept)

    def CFDictionaryGetValue(self, dictionary: int, key: Any) -> int | None:  # noqa: N802
        entries = self.of(dictionary)
        if "oid" in entries:
            assert key.value == self.oid_key
            found: int = entries["oid"]
            return found
        value = entries.get(self.of(key))
        return None if value is None else self.new(value)

    def CFNumberGetValue(self, number: int, kind: int, out: Any) -> bool:  # noqa: N802
        assert kind == 9
        value = self.of(number)
        if not isinstance(value, int):
            return False
        out._obj.value = value
        return True

    def CFStringCreateWithCString(self, allocator: None, text: bytes, encoding: int) -> int:  # noqa: N802
        assert encoding == 0x08000100
        return self.copied(text)

    def CFEqual(self, one: int, other: Any) -> bool:  # noqa: N802
        return bool(self.of(one) == self.of(other))

    def CFRelease(self, reference: Any) -> None:  # noqa: N802
        number = getattr(reference, "value", reference)
        self.owned[number] -= 1
        assert self.owned[number] == 0

    # --- the constants of Security.framework

    @property
    def oid_key(self) -> int:
        return 0x10

    def constant(self, name: str) -> Any:
        if name == "kSecPolicyOid":
            return ctypes.c_void_p(self.oid_key)
        assert name == "kSecPolicyAppleSSL"
        return ctypes.c_void_p(self.new(SSL))


@pytest.fixture
def mac(monkeypatch: pytest.MonkeyPatch) -> Iterator[Frameworks]:
    made = Frameworks()

    class Pointer(ctypes.c_void_p):
        @classmethod
        def in_dll(cls, library: Any, name: str) -> Any:
            return library.constant(name)

    monkeypatch.setattr(keychain, "_security", lambda: made)
    monkeypatch.setattr(keychain, "_core", lambda: made)
    monkeypatch.setattr(keychain, "c_void_p", Pointer)
    yield made
    assert not +made.owned, "what was copied has to be released"


def result(number: Any, policy: bytes | None = None) -> dict[bytes, Any]:
    found = {} if number is None else {b"kSecTrustSettingsResult": number}
    return found if policy is None else {**found, b"kSecTrustSettingsPolicy": policy}


def test_anchors(mac: Frameworks) -> None:
    mac.anchors = [b"one", b"two\0two"]
    assert keychain.anchors() == [b"one", b"two\0two"]


@pytest.mark.parametrize(
    ("entries", "verdict"),
    [
        ([], "trust"),  # an empty list is the system's way to say: for everything
        (None, "unspecified"),
        ([result(TRUST_ROOT)], "trust"),
        ([result(TRUST_AS_ROOT)], "trust"),
        ([result(None)], "trust"),
        ([result(DENY)], "deny"),
        ([result(UNSPECIFIED)], "unspecified"),
        ([result("no number")], "deny"),
        ([result(TRUST_ROOT, SSL)], "trust"),
        ([result(TRUST_ROOT, MAIL)], "unspecified"),
        ([result(TRUST_ROOT, b"")], "unspecified"),
        ([result(None, MAIL)], "unspecified"),
        ([result(DENY, MAIL)], "deny"),
        ([result(TRUST_ROOT, SSL), result(DENY, MAIL)], "deny"),
        ([result(TRUST_ROOT, MAIL), result(TRUST_ROOT, SSL)], "trust"),
    ],
)
def test_what_is_said_of_a_certificate(mac: Frameworks, entries: Any, verdict: str) -> None:
    mac.said = {keychain.USER: {b"certificate": entries}}
    assert keychain.settings(keychain.USER) == [(b"certificate", verdict)]


def test_nothing_is_said(mac: Frameworks) -> None:
    assert keychain.settings(keychain.ADMIN) == []


def test_a_keychain_that_does_not_answer(mac: Frameworks, monkeypatch: pytest.MonkeyPatch) -> None:
    mac.status = -25291
    with pytest.raises(OSError, match="-25291"):
        keychain.anchors()
    monkeypatch.setattr("sys.platform", "darwin")
    assert native.roots() is None


def test_a_certificate_that_cannot_be_read(mac: Frameworks) -> None:
    mac.anchors = [b"one", b""]
    with pytest.raises(OSError, match="cannot be read"):
        keychain.anchors()


def test_all_together(mac: Frameworks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    mac.anchors = [b"apple", b"denied"]
    mac.said = {keychain.ADMIN: {b"company": []}, keychain.USER: {b"denied": [result(DENY)]}}
    found = native.roots()
    assert found is not None
    assert found.ders == (b"apple", b"company")
