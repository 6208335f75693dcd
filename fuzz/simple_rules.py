"""What a chain has to be that was accepted, written again: short, slow, and from the bytes, so that it shares nothing with us.

It knows less than the verifier does: a chain that it has nothing against may be refused. What it forbids may not be accepted.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509 import verification

from fuzz import extensions as ext
from fuzz.der import Element, elements

# RFC 5280 section 4.2: what is critical has to be understood.
_UNDERSTOOD = {
    ext.NAME_CONSTRAINTS, ext.ALTERNATIVE_NAME, ext.BASIC_CONSTRAINTS, ext.KEY_USAGE, ext.EXTENDED_KEY_USAGE, ext.POLICIES,
    ext.AUTHORITY_KEY, ext.SUBJECT_KEY, ext.ACCESS,
}  # fmt: skip
_NOT_FOLLOWED = (bytes.fromhex("2b6570"), bytes.fromhex("2b6571"), bytes.fromhex("2a864886f70d01010a"))
"""Keys of authorities that `cryptography`'s verifier does not follow a path through: Ed25519, Ed448 and RSA for PSS alone."""


@dataclass(frozen=True)
class Simple:
    """A certificate in its parts."""

    der: bytes
    issuer: bytes
    subject: bytes
    key: bytes
    key_kind: bytes
    values: dict[bytes, tuple[bool, list[Element]]]  # by identifier: whether it is critical, and what is in it

    def inside(self, identifier: bytes) -> list[Element] | None:
        """What stands in the outermost element of an extension; None where there is no such extension."""
        if identifier not in self.values:
            return None
        value = self.values[identifier][1]
        return value[0].inner or [] if value else []

    @property
    def names(self) -> list[Element]:
        """The subjectAltName."""
        return self.inside(ext.ALTERNATIVE_NAME) or []

    @property
    def self_issued(self) -> bool:
        """Whether it names itself as its issuer."""
        return self.issuer == self.subject


def simple(certificate: bytes) -> Simple:
    """Take one apart that a parser has accepted before."""
    found = ext.parts(certificate)
    assert found is not None
    _, fields, extensions = found
    at = int(fields[0].tag == 0xA0)
    key = fields[at + 5]
    values = {}
    for each in extensions:
        identifier, *more = each.inner or []
        critical = len(more) == 2 and more[0].content == b"\xff"
        assert identifier.content not in values, "an extension stands there twice"
        values[identifier.content] = critical, elements(more[-1].content) or []
    return Simple(
        certificate,
        fields[at + 2].encode(),
        fields[at + 4].encode(),
        key.encode(),
        ((key.inner or [])[0].inner or [])[0].content,
        values,
    )


# --- names -----------------------------------------------------------------------------------------------------------


def is_named(certificate: Simple, name: str) -> bool:
    """RFC 9525 section 6: an address as an address, a host by its labels; the first may be a * of the certificate's."""
    try:
        address: bytes | None = ipaddress.ip_address(name).packed
    except ValueError:
        address = None
    if address is not None:
        return any(each.tag == ext.ADDRESS and each.content == address for each in certificate.names)
    return any(each.tag == ext.DNS and _matches(each.content, name) for each in certificate.names)


def _matches(presented: bytes, name: str) -> bool:
    ours, theirs = name.split("."), presented.decode("latin-1").lower().split(".")
    if theirs == ours:
        return "*" not in name
    return theirs[0] == "*" and len(theirs) > 2 and theirs[1:] == ours[1:] and "*" not in "".join(theirs[1:])


def _is_forbidden(name: Element, permitted: list[Element], excluded: list[Element]) -> bool:
    """RFC 5280 section 4.2.1.10. A constraint of a kind that is not known here forbids all names of this kind."""
    own = [each for each in permitted if each.tag == name.tag]
    if own and not any(_is_within(name, limit, some=False) for limit in own):
        return True
    return any(_is_within(name, limit, some=True) for limit in excluded if limit.tag == name.tag)


def _is_within(name: Element, limit: Element, *, some: bool) -> bool:
    """Whether what a name stands for is within a constraint: all of it, or some of it."""
    if name.tag == ext.DNS:
        host, domain = (each.content.decode("latin-1").lower() for each in (name, limit))
        star = host.startswith("*.")
        host = host.removeprefix("*.")
        inside = not domain.strip(".") or f".{host}".endswith(f".{domain.removeprefix('.')}")
        return inside or (some and star and f".{domain}".endswith(f".{host}"))
    if name.tag == ext.ADDRESS:
        size = len(name.content)
        if len(limit.content) != 2 * size:
            return False
        base, mask = limit.content[:size], limit.content[size:]
        return all(a & m == b & m for a, b, m in zip(name.content, base, mask, strict=True))
    return some  # of other kinds it is not said here


def _limits(authority: Simple) -> tuple[list[Element], list[Element]]:
    trees: dict[int, list[Element]] = {0xA0: [], 0xA1: []}
    for part in authority.inside(ext.NAME_CONSTRAINTS) or ():
        for tree in part.inner or ():
            trees.setdefault(part.tag, []).append((tree.inner or [])[0])
    return trees[0xA0], trees[0xA1]


# --- a path ----------------------------------------------------------------------------------------------------------


def check_path(ders: tuple[bytes, ...], trusted: set[bytes], now: datetime, purpose: str, *, relaxed: bool) -> None:
    """From a peer's certificate to a root: each is what it has to be in its place.

    ``purpose``  "server" or "client"
    ``relaxed``  by a policy without the rules that have a switch
    """
    path = [simple(each) for each in ders]
    loaded = [x509.load_der_x509_certificate(each) for each in ders]
    assert ders[-1] in trusted, "it ends where nothing is trusted"
    assert len(path) <= 10, "it is too long"
    for certificate in loaded:
        assert certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc, "it is not valid now"
    for below, above in pairwise(loaded):
        below.verify_directly_issued_by(above)
    for place, certificate in enumerate(path):
        _check_place(certificate, place, path, purpose)
        _check_key(certificate, loaded[place], is_root=place > 0 and place == len(path) - 1)
        critical = {identifier for identifier, (is_critical, _) in certificate.values.items() if is_critical}
        passed = _UNDERSTOOD if relaxed or len(path) == 1 else _UNDERSTOOD - {ext.POLICIES}
        assert critical <= passed, "what is critical is not understood"


def _check_place(certificate: Simple, place: int, path: list[Simple], purpose: str) -> None:
    usages = certificate.inside(ext.EXTENDED_KEY_USAGE)
    wanted = {ext.SERVER_AUTH if purpose == "server" else ext.CLIENT_AUTH}
    if usages is not None:
        assert {each.content for each in usages} & (wanted | ({ext.ANY_USAGE} if place else set())), (
            "it is for something else"
        )
    usage = certificate.values.get(ext.KEY_USAGE, (False, [Element(ext.BITS, b"\0\xff")]))[1][0].content
    bits = usage[1] if len(usage) > 1 else 0
    if place == 0:
        assert bits & 0x80, "it may not sign"
        return
    assert bits & 0x04, "it may not issue"
    basic = certificate.inside(ext.BASIC_CONSTRAINTS) or []
    assert [each.content for each in basic if each.tag == ext.BOOLEAN] == [b"\xff"], "it is no authority"
    below = sum(not each.self_issued for each in path[1:place])
    for each in basic:
        assert each.tag != ext.INTEGER or below <= int.from_bytes(each.content), "there are too many below it"
    permitted, excluded = _limits(certificate)
    for number, each in enumerate(path[:place]):
        if number == 0 or not each.self_issued:
            for name in each.names:
                assert not _is_forbidden(name, permitted, excluded), "it has a name that it may not have"
            for limit in excluded:
                assert not _is_above(limit, each.subject), "it has a subject that it may not have"


def _is_above(limit: Element, subject: bytes) -> bool:
    """Whether a subject begins with a directory name, to the byte."""
    if limit.tag != ext.DIRECTORY or not limit.inner:
        return False
    whole = b"".join(part.encode() for part in (elements(subject) or [])[0].inner or ())
    return bool(whole) and whole.startswith(b"".join(part.encode() for part in limit.inner[0].inner or ()))


def _check_key(certificate: Simple, loaded: x509.Certificate, *, is_root: bool) -> None:
    assert certificate.key != ext.LEAKED, "everybody has its key"
    key = loaded.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        assert key.key_size >= 2048
        assert key.public_numbers().e % 2 == 1
        assert is_root or key.public_numbers().e >= 65_537
    if isinstance(key, ec.EllipticCurvePublicKey):
        assert key.curve.name in ("secp256r1", "secp384r1", "secp521r1")


def is_exempt(ders: tuple[bytes, ...]) -> bool:
    """Whether `cryptography`'s verifier is known to refuse such a path, and we accept it all the same."""
    path = [simple(each) for each in ders]
    odd = any(each.key_kind in _NOT_FOLLOWED for each in path[1:])
    constrained = any(ext.NAME_CONSTRAINTS in each.values for each in path[1:])
    return len(path) == 1 or (odd and not constrained)


def others_accept(sent: list[bytes], trusted: set[bytes], name: str | None, now: datetime) -> bool:
    """Whether `cryptography`'s verifier does, as it comes: a server for a name, or for None a client."""
    store = verification.Store([x509.load_der_x509_certificate(each) for each in sorted(trusted)])
    builder = verification.PolicyBuilder().store(store).time(now).max_chain_depth(8)
    leaf, *others = [x509.load_der_x509_certificate(each) for each in sent]
    try:
        if name is None:
            builder.build_client_verifier().verify(leaf, others)
        else:
            builder.build_server_verifier(_subject(name)).verify(leaf, others)
    except verification.VerificationError:
        return False
    return True


def _subject(name: str) -> verification.Subject:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
