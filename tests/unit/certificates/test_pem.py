"""PEM from strangers: what stands between the lines, and how long it may take to find that."""

from __future__ import annotations

import time

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from handfast.certificates import containers, pem
from handfast.certificates.aia import Content, candidates
from handfast.certificates.store import TrustStore
from handfast.errors import CertificateError, FetchFailed
from handfast.testing import Authority

AUTHORITY = Authority.create()


def test_blocks_come_in_their_order_each_with_its_label() -> None:
    data = pem.block("A", b"1") + b"between\n" + pem.block("C", b"2") + pem.block("B", b"3")
    found = list(pem.blocks(data, "A", "B"))
    assert [item.label for item in found] == ["A", "B"]
    assert found[1].body == b"\nMw==\n"


def test_a_block_without_its_end_is_passed_over_and_what_follows_is_found() -> None:
    data = b"-----BEGIN X509 CERTIFICATE-----\n" + AUTHORITY.pem
    assert pem.certificates(data) == [AUTHORITY.der]


@pytest.mark.parametrize("before", [b"# ", b"#", b"<!-- ", b"-", b"removed: ", b"\n# \t", b"x\r\n; "])
def test_a_root_that_is_commented_out_is_not_there(before: bytes) -> None:
    """Also where it is its first line alone."""
    other = Authority.create("another one")
    for data in (before + AUTHORITY.pem + other.pem, other.pem + before + AUTHORITY.pem):
        assert TrustStore.from_bytes(data).roots == (other.certificate,)


@pytest.mark.parametrize("before", [b"", b"  ", b"\t", b"\xef\xbb\xbf", b"# a root\n", b"a root\r\n ", b"a root\r"])
def test_a_block_may_have_blanks_before_it_and_lines_of_text(before: bytes) -> None:
    assert pem.certificates(before + AUTHORITY.pem) == [AUTHORITY.der]
    assert pem.certificates(AUTHORITY.pem.strip() + before + AUTHORITY.pem) == [AUTHORITY.der] * 2


def test_a_file_that_is_cut_is_said_to_be() -> None:
    whole = AUTHORITY.pem
    assert all("it is cut" in pem.instead(whole[:length]) for length in (30, 100, len(whole) - 30))
    assert not pem.certificates(whole[: len(whole) - 30])
    assert pem.instead(whole) == ""
    assert [pem.is_cut(data) for data in (whole, whole + whole[:40], whole[:40] + whole, AUTHORITY.der)] == [
        False,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize("label", ["CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE", "PKCS7", "CMS"])
def test_many_beginnings_without_an_end_take_no_time(label: str) -> None:
    """They took 15 seconds of 128 KiB, which anybody's server may send to who fetches issuers."""
    begun = time.process_time()
    with pytest.raises(FetchFailed):
        candidates(Content((b"-----BEGIN %b-----" % label.encode() * 10_000)[:131_072]))
    assert time.process_time() - begun < 2  # it takes some milliseconds


def with_version(der: bytes, version: int) -> bytes:
    return der.replace(bytes.fromhex("a003020102"), bytes.fromhex("a0030201") + bytes([version]), 1)


def test_a_certificate_of_an_unheard_of_version_is_broken_like_any_other() -> None:
    bad = with_version(AUTHORITY.der, 5)
    store = TrustStore.from_bytes(pem.certificate(bad) + AUTHORITY.pem)
    assert (len(store), len(store.skipped)) == (1, 1)
    bundle = pkcs7.serialize_certificates([AUTHORITY.certificate], Encoding.DER)
    for data in (bad, with_version(bundle, 5)):
        with pytest.raises(CertificateError):
            containers.certificates(data)
        with pytest.raises(FetchFailed):
            candidates(Content(data))
