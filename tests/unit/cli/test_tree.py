"""Trees of certificates: who stands below whom, and files that are made to take long or to be deep."""

from __future__ import annotations

import io
import sys

from cryptography import x509

from handfast.certificates.lineage import issuers_of, rooted
from handfast.certificates.parsed import parsed
from handfast.cli.cert_show import shown_chain
from handfast.cli.cert_source import Source
from handfast.cli.streams import Paper
from handfast.cli.tree import Node, draw
from handfast.testing import Authority
from handfast.testing.authority import certify


def test_a_tree_may_be_deeper_than_python_calls() -> None:
    depth = 3 * sys.getrecursionlimit()
    top = lowest = Node("certificate 0")
    for number in range(1, depth):
        lowest.below.append(Node(f"certificate {number}", [("name", "value", "")]))
        lowest = lowest.below[0]
    file = io.StringIO()
    draw(Paper(file), top)
    lines = file.getvalue().splitlines()
    assert sum("certificate" in line for line in lines) == depth
    assert max(map(len, lines)) < 120


def test_issuers_and_circles() -> None:
    """Each has the first that may have issued it; whose issuers go round in a circle stand in front."""
    one, two = Authority.create("one"), Authority.create("two")
    by_two, by_one = _certified(one, two), _certified(two, one)
    leaf = one.issue("a.example").chain[0]
    issuers = issuers_of((leaf, by_two, by_one))
    assert issuers == {leaf: by_two, by_two: by_one, by_one: by_two}
    assert rooted(issuers) == set()
    issuers = issuers_of((leaf, one.der, by_one, by_two))
    assert issuers == {leaf: one.der, one.der: None, by_one: one.der, by_two: by_one}
    assert rooted(issuers) == set(issuers)


def _certified(subject: Authority, issuer: Authority) -> bytes:
    """The name and key of an authority, certified by another one."""
    own = {type(item.value): (item.value, item.critical) for item in subject.certificate.extensions}
    issued_by = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())
    own[x509.AuthorityKeyIdentifier] = (issued_by, False)
    certificate = subject.certificate
    valid = (certificate.not_valid_before_utc, certificate.not_valid_after_utc)
    names = certificate.subject, issuer.certificate.subject
    return certify(names[0], subject.key.public_key(), names[1], issuer.key, own, valid)


def test_an_issuer_is_one_that_names_and_keys_allow() -> None:
    """As may_be_issued_by has it, of each two."""
    first, second = Authority.create("same name"), Authority.create("same name")
    chain = (second.issue("a.example").chain[0], first.der, second.der, first.issue("b.example").chain[0])
    for der, issuer in issuers_of(chain).items():
        found = parsed(der)
        allowed = (other for other in chain if not found.self_issued and found.may_be_issued_by(parsed(other)))
        assert issuer == next(allowed, None)


def test_one_certificate_that_comes_often() -> None:
    root = Authority.create()
    file = io.StringIO()
    shown_chain(Paper(file), Source("file", "many.pem", (root.der,) * 20_000))
    assert file.getvalue().count("in many.pem, 1 of 20000, and again as 2, 3, ") == 1
