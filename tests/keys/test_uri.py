"""pkcs11: URIs, by RFC 7512."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from handfast import reasons
from handfast.errors import ConfigurationError
from handfast.signers import uri
from handfast.signers.uri import KeyUri

MISPLACED = "a PIN stands in the middle of it: pin-value and pin-source follow a ? or a &"


def test_what_a_uri_says() -> None:
    found = KeyUri.parse(
        "pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;manufacturer=Snake%20Oil,%20Inc.;model=1.0;object=my-sign-key;"
        "type=private;id=%69%95%3E%5C%F4%BD%EC%91;serial=?pin-source=file:/etc/token_pin&module-name=softhsm2&x-vendor=1"
    )
    assert found.text("token") == "The Software PKCS#11 Softtoken"
    assert found.text("object") == "my-sign-key"
    assert found.text("serial") == ""
    assert found.text("slot-id") is None
    assert found.path["id"] == bytes.fromhex("69953e5cf4bdec91")
    assert found.query == {"pin-source": b"file:/etc/token_pin", "module-name": b"softhsm2"}


def test_the_shortest_one() -> None:
    assert KeyUri.parse("pkcs11:") == KeyUri({})
    assert str(KeyUri.parse("pkcs11:")) == "pkcs11:"


def test_the_scheme_in_any_letters() -> None:
    assert KeyUri.parse("PKCS11:object=a?pin-value=1234") == KeyUri({"object": b"a"}, {"pin-value": b"1234"})
    assert str(KeyUri.parse("Pkcs11:object=a")) == "pkcs11:object=a"


def test_a_version_without_its_minor_number() -> None:
    assert KeyUri.parse("pkcs11:library-version=2").text("library-version") == "2.0"
    assert KeyUri.parse("pkcs11:library-version=2.6").text("library-version") == "2.6"


def test_the_text_can_be_read_again_and_has_no_secret() -> None:
    text = "pkcs11:token=a%3Bb%3Dc%25 d;id=%00%FF;object=%1B[31mred?pin-value=secret-pin"
    found = KeyUri.parse(text)
    assert KeyUri.parse(str(found)).path == found.path
    assert str(found).isprintable()
    assert "secret-pin" not in str(found) + repr(found)
    assert found.pin() == "secret-pin"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("file:/key.pem", "it does not begin with pkcs11:"),
        ("pkcs11:object=a;object=b", "it stands there twice"),
        ("pkcs11:object=a;objekt=b", "it is not known"),
        ("pkcs11:object=a;x-vendor=b", "it is not known"),
        ("pkcs11:object=a;\x1b[31m=b", "it is not known"),
        ("pkcs11:object=a?\x1b[31m=b", "it is not known"),
        ("pkcs11:object", "it has no value that can be read"),
        ("pkcs11:object=%4", "it has no value that can be read"),
        ("pkcs11:object=%zz", "it has no value that can be read"),
        ("pkcs11:object=a;type=cert", "it is of another object: a private key has type=private"),
        ("pkcs11:slot-id=first", "slot-id has to be a number"),
        ("pkcs11:object=a?pin-value=secret-pin&pin-source=file:/x", "pin-source and pin-value do not go together"),
        ("pkcs11:object=a?pin-value=secret-pin&pin-value=secret-pin", "it stands there twice"),
        ("pkcs11:object=a?pin-value=secret-pin%", "it has no value that can be read"),
        ("pkcs11:object=a&pin-value=secret-pin", MISPLACED),
        ("pkcs11:object=a?module-path=/x;pin-value=secret-pin", MISPLACED),
        ("pkcs11:object=a?module-path=/x#pin-value=secret-pin", MISPLACED),
        ("pkcs11:object=a;secret-pin", "a part of it has no = between name and value"),
        ("pkcs11:object=a?pin-value:secret-pin", "a part of it has no = between name and value"),
    ],
)
def test_what_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        KeyUri.parse(text)
    assert caught.value.reason is reasons.BAD_KEY_URI
    assert caught.value.evidence["problem"] == problem
    assert "secret-pin" not in str(caught.value)
    assert str(caught.value).isprintable()


# --- the library ------------------------------------------------------------------------------------------------------


@pytest.fixture
def library(tmp_path: Path) -> Path:
    path = tmp_path / "libtoken.so"
    path.write_bytes(b"")
    return path


def test_the_library_by_its_path(library: Path) -> None:
    assert KeyUri.parse(f"pkcs11:?module-path={library}").module() == str(library)
    assert KeyUri.parse(f"pkcs11:?module-path={library.parent}&module-name=token").module() == str(library)


def test_the_library_by_its_name(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uri, "_MODULES", (str(library.parent / "missing"), str(library.parent)))
    assert KeyUri.parse("pkcs11:?module-name=token").module() == str(library)
    assert KeyUri.parse("pkcs11:?module-name=libtoken").module() == str(library)
    monkeypatch.setattr(uri, "_MODULES", (str(library.parent.parent / "*"),))
    assert KeyUri.parse("pkcs11:?module-name=token").module() == str(library)


def test_the_library_of_all_tokens_where_none_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uri, "_MODULES", (str(tmp_path),))
    with pytest.raises(ConfigurationError, match=r"it has to name the token's library: \?module-path=FILE"):
        KeyUri.parse("pkcs11:object=x").module()
    (tmp_path / "p11-kit-proxy.so").write_bytes(b"")
    assert KeyUri.parse("pkcs11:object=x").module() == str(tmp_path / "p11-kit-proxy.so")


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("module-path=/nowhere/lib.so", "it is not there"),
        (f"module-path=/nowhere/{'l' * 300}.so", "it is not there"),
        (f"module-name={'l' * 300}", "no such library is found"),
        ("module-path=lib.so", "the path has to begin at the root"),
        ("module-name=../lib", "module-name is no path: that is module-path"),
        ("module-name=nothing-like-that", "no such library is found"),
    ],
)
def test_a_library_that_cannot_be_loaded(query: str, problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        KeyUri.parse(f"pkcs11:?{query}").module()
    assert caught.value.evidence["problem"] == problem


# --- the PIN ----------------------------------------------------------------------------------------------------------


def test_the_pin_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "my pin.txt"
    file.write_bytes("pïn \r\n".encode())
    for source in (f"file:{file}", f"file://{file}", str(file), f"file:{file}".replace(" ", "%20")):
        assert KeyUri.parse(f"pkcs11:?pin-source={source}").pin() == "pïn "
    assert KeyUri.parse("pkcs11:?pin-value=%C3%AF%26").pin() == "ï&"
    assert KeyUri.parse("pkcs11:").pin() is None


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("pin-source=%7Cecho 1234", reasons.BAD_KEY_URI),  # RFC 7512 section 2.4 has programs; we run none
        ("pin-source=/nowhere/pin", reasons.FILE_UNREADABLE),
        ("pin-source=/nowhere/%00", reasons.FILE_UNREADABLE),
        ("pin-source=file:/dev/zero", reasons.FILE_UNREADABLE),  # which never ends
        ("pin-source=/", reasons.FILE_UNREADABLE),
        ("pin-value=%FF", reasons.BAD_KEY_URI),
    ],
)
def test_a_pin_that_cannot_be_had(query: str, reason: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        KeyUri.parse(f"pkcs11:?{query}").pin()
    assert caught.value.reason is reason
