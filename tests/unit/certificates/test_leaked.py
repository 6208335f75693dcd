"""Keys that somebody else has too: the list, its file, and how a key is known."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from handfast import reasons
from handfast.certificates.leaked import KeyList, Source, fingerprint
from handfast.certificates.parsed import parsed
from handfast.errors import ConfigurationError
from handfast.testing.chains import certified
from handfast.testing.keys import new_key
from tests.certificates.forging import PUBLISHED_KEY

KEYS = [hashlib.sha256(bytes([number])).digest()[:15] for number in range(50)]


def test_the_built_in_ones() -> None:
    known = KeyList.built_in()
    assert known is KeyList.built_in()
    assert len(known) >= 10
    source = known.look_up(fingerprint(PUBLISHED_KEY.public_key()))
    assert source == Source("leaked", "RFC 9500, keys for tests")
    assert "RFC 8410" in repr(known)


def test_a_key_is_known_by_its_one_number() -> None:
    key = new_key("rsa2048").public_key()
    modulus = key.public_numbers().n
    by_hand = hashlib.sha256(modulus.to_bytes(256, "big")).digest()[:15]
    assert fingerprint(key) == by_hand
    assert fingerprint(rsa.RSAPublicNumbers(3, modulus).public_key()) == by_hand  # whatever its exponent is
    point = new_key("p384").public_key()
    assert (
        fingerprint(point) == hashlib.sha256(point.public_numbers().x.to_bytes(48, "big").lstrip(b"\0")).digest()[:15]
    )
    edwards = new_key("ed25519").public_key()
    assert fingerprint(edwards) == hashlib.sha256(edwards.public_bytes_raw().lstrip(b"\0")).digest()[:15]
    lattice = new_key("mldsa44").public_key()
    assert fingerprint(lattice) == hashlib.sha256(lattice.public_bytes_raw()).digest()[:15]


@pytest.mark.parametrize("kind", ["p256", "p384", "p521", "ed25519", "ed448", "rsa2048", "mldsa44", "dsa2048"])
def test_the_key_of_a_certificate_is_found(kind: str) -> None:
    key = new_key(kind)
    certificate = parsed(certified(key)[0])
    known = KeyList.of("leaked", "ours", [fingerprint(key.public_key())])
    assert known.find(certificate) == Source("leaked", "ours")
    assert known.find(certificate) == Source("leaked", "ours")  # remembered
    assert KeyList.of("leaked", "others", KEYS).find(certificate) is None
    assert known.find(certificate) is not None  # and asked anew for another list


def test_a_point_whose_x_begins_with_zeros() -> None:
    key: Any = next(key for key in iter(lambda: ec.generate_private_key(ec.SECP256R1()), None) if _x(key) < 1 << 248)
    known = KeyList.of("leaked", "ours", [fingerprint(key.public_key())])
    assert known.find(parsed(certified(key)[0])) is not None


def _x(key: ec.EllipticCurvePrivateKey) -> int:
    return key.public_key().public_numbers().x


@given(st.sets(st.binary(min_size=15, max_size=15), max_size=40), st.binary(min_size=15, max_size=15))
def test_what_is_in_it_is_found_and_nothing_else(keys: set[bytes], other: bytes) -> None:
    known = KeyList.of("debian", "some", keys)
    assert len(known) == len(keys)
    for key in keys:
        assert known.look_up(key) == Source("debian", "some")
    assert (known.look_up(other) is not None) is (other in keys)


def test_a_file_and_back(tmp_path: Path) -> None:
    known = KeyList.of("leaked", "ours, with spaces", KEYS[:20]) + KeyList.of("debian", "theirs", KEYS[10:])
    known.write(tmp_path / "keys")
    again = KeyList.load(tmp_path / "keys")
    assert again.fingerprint == known.fingerprint
    assert again.look_up(KEYS[0]) == Source("leaked", "ours, with spaces")
    assert again.look_up(KEYS[49]) == Source("debian", "theirs")
    text = (tmp_path / "keys").read_bytes()
    assert text.startswith(b"handfast known keys 1\n1 leaked ours, with spaces\n2 debian theirs\n\n")


def test_two_lists_of_one_name_become_one() -> None:
    both = KeyList.of("leaked", "ours", KEYS[:2]) + KeyList.of("leaked", "ours", KEYS[1:3])
    assert len(both) == 3
    assert repr(both) == "<KeyList of 3 keys: ours>"


_SOME = st.sets(st.sampled_from([bytes([number]) * 15 for number in range(9)]))


@given(_SOME, _SOME)
def test_both_together_are_what_a_list_of_all_would_be(ours: set[bytes], theirs: set[bytes]) -> None:
    both = KeyList.of("leaked", "ours", ours) + KeyList.of("debian", "theirs", theirs)
    records = sorted([key + b"\x01" for key in ours] + [key + b"\x02" for key in theirs])
    assert (
        both.fingerprint
        == KeyList({1: Source("leaked", "ours"), 2: Source("debian", "theirs")}, b"".join(records)).fingerprint
    )
    for key in ours | theirs:
        assert both.look_up(key) == (Source("leaked", "ours") if key in ours else Source("debian", "theirs"))


def test_no_more_than_256_lists() -> None:
    known = KeyList({number: Source("leaked", str(number)) for number in range(256)}, b"")
    with pytest.raises(ConfigurationError):
        _ = known + KeyList.of("leaked", "one more", KEYS)


def test_a_list_that_nobody_has_named_keeps_its_keys_to_itself() -> None:
    """Whatever number it has, and whatever lists it is put together with."""
    odd = KeyList({1: Source("leaked", "ours")}, b"".join(key + b"\x02" for key in sorted(KEYS[:1])))
    debian = KeyList({2: Source("debian", "theirs")}, KEYS[1] + b"\x02")
    for both in (odd + debian, debian + odd):
        assert both.look_up(KEYS[0]) == Source("leaked", "list 2")
        assert both.look_up(KEYS[1]) == Source("debian", "theirs")


def test_a_high_number_is_not_many_lists() -> None:
    both = KeyList({255: Source("leaked", "ours")}, KEYS[0] + b"\xff") + KeyList.of("debian", "theirs", KEYS[1:2])
    assert both.look_up(KEYS[0]) == Source("leaked", "ours")
    assert both.look_up(KEYS[1]) == Source("debian", "theirs")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "it is no list of keys"),
        (b"something else\n\n", "it is no list of keys"),
        (b"handfast known keys 1\n1 leaked ours\n", "it is no list of keys"),
        (b"handfast known keys 1\n1 leaked ours\n\n" + bytes(15), "no records of 16"),
        (b"handfast known keys 1\n1 leaked ours\n\n" + bytes(14) + b"\1\1" + bytes(15) + b"\1", "not sorted"),
        (b"handfast known keys 1\n1 stolen ours\n\n", "announced by a number"),
        (b"handfast known keys 1\n300 leaked ours\n\n", "announced by a number"),
        (b"handfast known keys 1\nours\n\n", "announced by a number"),
    ],
)
def test_files_that_are_none(tmp_path: Path, content: bytes, problem: str) -> None:
    (tmp_path / "keys").write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        KeyList.load(tmp_path / "keys")
    assert caught.value.reason is reasons.FILE_UNREADABLE
    assert str(caught.value.evidence["file"]).endswith("keys")
    assert problem in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        KeyList.load(tmp_path / "keys")
    assert "No such file" in str(caught.value)


def badkeys(folder: Path, records: bytes, lists: object) -> Path:
    """What the badkeys project's program keeps."""
    (folder / "badkeysdata.json").write_text(json.dumps({"bkformat": 0, "blocklists": lists}))
    (folder / "blocklist.dat").write_bytes(records)
    return folder


def test_the_lists_of_badkeys(tmp_path: Path) -> None:
    records = b"".join(sorted([KEYS[0] + b"\x01", KEYS[1] + b"\x02", KEYS[2] + b"\x63"]))
    lists = [{"id": 1, "name": "debianssl", "type": "github"}, {"id": 2, "name": "rfc", "type": "github"}]
    known = KeyList.from_badkeys(badkeys(tmp_path, records, lists))
    assert known.look_up(KEYS[0]) == Source("debian", "debianssl")
    assert known.look_up(KEYS[1]) == Source("leaked", "rfc")
    assert known.look_up(KEYS[2]) == Source("leaked", "list 99")
    assert known.look_up(KEYS[3]) is None


@pytest.mark.parametrize(
    "lists", [None, [{"id": 1}], [{"id": "x", "name": "debianssl"}], 3, [{"id": float("inf"), "name": "rfc"}]]
)
def test_lists_of_badkeys_that_are_none(tmp_path: Path, lists: object) -> None:
    with pytest.raises(ConfigurationError) as caught:
        KeyList.from_badkeys(badkeys(tmp_path, b"", lists))
    assert "badkeysdata.json" in str(caught.value)


@pytest.mark.parametrize("number", [-1, 256])
def test_a_list_of_badkeys_with_a_number_that_no_record_has(tmp_path: Path, number: int) -> None:
    with pytest.raises(ConfigurationError, match="from 0 to 255"):
        KeyList.from_badkeys(badkeys(tmp_path, b"", [{"id": number, "name": "rfc"}]))


@pytest.mark.parametrize("name", ["a\n2 leaked b", "\x1b[31mred", "\ud800", "x" * 3_000, "a\u2028b"])
def test_a_name_of_badkeys_is_one_line_that_can_be_shown_and_written(tmp_path: Path, name: str) -> None:
    known = KeyList.from_badkeys(badkeys(tmp_path, KEYS[0] + b"\x01", [{"id": 1, "name": name}]))
    assert repr(known).isprintable()
    known.write(tmp_path / "keys")
    assert KeyList.load(tmp_path / "keys").fingerprint == known.fingerprint


def test_lists_of_badkeys_that_are_not_sorted(tmp_path: Path) -> None:
    """Some of the keys would not be found, and nobody would notice."""
    records = b"".join(sorted((key + b"\x01" for key in KEYS), reverse=True))
    with pytest.raises(ConfigurationError, match="not sorted") as caught:
        KeyList.from_badkeys(badkeys(tmp_path, records, [{"id": 1, "name": "rfc"}]))
    assert caught.value.evidence["file"] == str(tmp_path)


def test_lists_of_badkeys_that_are_very_deep(tmp_path: Path) -> None:
    badkeys(tmp_path, b"", [])
    (tmp_path / "badkeysdata.json").write_text("[" * 200_000)
    with pytest.raises(ConfigurationError) as caught:
        KeyList.from_badkeys(tmp_path)
    assert "badkeysdata.json" in str(caught.value)
