"""Who issued, and what of the chain was sent."""

from __future__ import annotations

from functools import cache

from cryptography import x509

from handfast.certificates.parsed import parsed
from handfast.certificates.store import TrustStore
from handfast.testing import Authority
from handfast.testing.chains import SERVER_NAME
from tests.certificates.forging import EXTENSIONS, SEQUENCE, Fields, element, forged, inside, split
from tests.certificates.making import (
    FORGED,
    MISSING,
    REFUSED,
    SELF_SIGNED,
    UNKNOWN,
    Group,
    Made,
    ago,
    between,
    leaf,
    presented,
    root,
    shared,
)

GROUP = Group("Issuers")
case = GROUP.case


def _unreadable_root() -> Made:
    """It limits nothing by nameConstraints, which it has all the same."""
    authority = Authority.create()
    nothing = element(SEQUENCE, bytes.fromhex("0603551d1e"), element(0x04, element(SEQUENCE)))

    def change(fields: Fields) -> None:
        fields["extensions"] = element(EXTENSIONS, element(SEQUENCE, inside(inside(fields["extensions"])), nothing))

    trust = TrustStore.from_bytes(forged(authority.der, authority.key, change))
    return Made(authority.issue(SERVER_NAME).chain, trust)


case("self-signed", shared("self_signed"), SELF_SIGNED, badssl="self-signed")
case("a root that is not trusted", shared("unknown_root_sent"), UNKNOWN, "is not trusted here", "untrusted-root")
case("an issuer that nobody knows", shared("unknown_issuer"), UNKNOWN)
case(
    "a root of the same name",
    shared("issuer_with_another_key"),
    UNKNOWN,
    "has the issuer's name, and another key",
)
case(
    "a root with an extension that cannot be read",
    _unreadable_root,
    UNKNOWN,
    "the trusted root that has the issuer's name cannot be read",
)
case("the intermediate was forgotten", shared("missing_intermediate"), MISSING, badssl="incomplete-chain")
case(
    "the intermediate was forgotten, and can be fetched",
    shared("missing_intermediate_with_address"),
    MISSING,
    "http://ca.example/issuer.der",
)
case("the intermediate of another chain", lambda: (between().issue(SERVER_NAME).chain[0], _stray()), MISSING)


@cache
def _stray() -> bytes:
    return root().intermediate("another intermediate").der


def _authorities_in_a_circle() -> tuple[bytes, ...]:
    first, second = Authority.create("first"), Authority.create("second")
    return first.issue(SERVER_NAME).chain[0], _certified(first, second), _certified(second, first)


def _certified(subject: Authority, issuer: Authority) -> bytes:
    """The name and key of an authority, certified by another one."""

    def change(fields: Fields) -> None:
        fields["issuer"] = parsed(issuer.der).raw.subject
        own = split(inside(inside(fields["extensions"])))
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()).public_bytes()
        own.append(element(SEQUENCE, bytes.fromhex("0603551d23"), element(0x04, identifier)))
        fields["extensions"] = element(EXTENSIONS, element(SEQUENCE, *own))

    return forged(subject.der, issuer.key, change)


case("two authorities that certify each other", _authorities_in_a_circle, UNKNOWN, "in a circle")
case("a changed signature", shared("bad_signature"), FORGED)


def _changed_after_signing() -> tuple[bytes]:
    der = leaf("server-example.test").chain[0]
    return (der.replace(b"server-example.test", b"server.example.test"),)


case(
    "a changed name",
    lambda: presented(_changed_after_signing(), name="server.example.test"),
    FORGED,
)


def _cross_signed() -> Made:
    new = Authority.create("new root")
    old = Authority.create("old root", not_before=ago(days=20), not_after=ago(days=10))
    issuer = new.intermediate()
    return presented((issuer.issue(SERVER_NAME).chain[0], _certified(new, old), old.der, issuer.der), new)


case("cross-signed by an old root", _cross_signed)
case("root, stray and disorder in the chain", shared("any_order"))
case("the same certificate twice", lambda: leaf().chain * 2)
case("seventeen certificates", lambda: leaf().chain * 17, REFUSED, "limit: 16")


def _distrusting(*ders: bytes) -> TrustStore:
    return (root().trust | Authority.create("another root").trust).without(*ders)


case(
    "a root that was distrusted by hand",
    lambda: Made(leaf().chain, _distrusting(root().der)),
    UNKNOWN,
    "distrusted: a root of this name was taken out by hand",
)
case(
    "an intermediate that was distrusted by hand",
    lambda: Made(between().issue(SERVER_NAME).chain, _distrusting(between().der)),
    UNKNOWN,
    "the issuer that was sent, or its key, was distrusted by hand",
)


def _own() -> Made:
    made = leaf().chain
    return Made(made, _distrusting(made[0]))


case(
    "its own certificate was distrusted by hand", _own, REFUSED, "this certificate, or its key, was distrusted by hand"
)
