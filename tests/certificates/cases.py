"""Broken and odd chains, and what we have to make of them. docs/certificate-errors.md is written from this.

Beside the ones of handfast.testing, which our users have too, here are those that are harder to make. Those of badssl.com
are marked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from handfast import errors, reasons
from handfast.certificates.leaked import KeyList, fingerprint
from handfast.certificates.parsed import parsed
from handfast.certificates.policy import Policy
from handfast.certificates.spiffe import AllowSpiffe
from handfast.certificates.store import TrustStore
from handfast.errors import CertificateError
from handfast.reasons import Reason
from handfast.testing import Authority, IssuedIdentity, chain
from handfast.testing.authority import key_usage
from handfast.testing.chains import SERVER_NAME
from handfast.testing.keys import new_key
from tests.certificates.forging import (
    EXTENSIONS,
    PUBLISHED_KEY,
    SEQUENCE,
    SET,
    VERSION,
    Fields,
    element,
    forged,
    info,
    inside,
    modulus,
    raw_extension,
    roca_modulus,
    rsa_info,
    rsa_key,
    split,
    with_key,
)

NOW: Final = datetime.now(UTC).replace(microsecond=0)


@dataclass(frozen=True)
class Made:
    """A chain as it is sent, and whom it is shown to.

    ``name``    what is asked for; None for a client's chain, and for a server whose name does not count
    ``policy``  what is asked of it beside
    """

    chain: tuple[bytes, ...]
    trust: TrustStore
    name: str | None = SERVER_NAME
    client: bool = False
    policy: Policy = field(default_factory=Policy)


@dataclass(frozen=True)
class Case:
    """``says``: a part of the message that tells this case from others with its Reason. ``badssl``: its name there."""

    name: str
    group: str
    make: Callable[[], Made]
    error: type[CertificateError] | None = None
    reason: Reason | None = None
    says: str = ""
    badssl: str = ""


_cases: list[Case] = []
_group = ""

Outcome = tuple[type[CertificateError], Reason] | None
EXPIRED: Final = (errors.CertificateExpired, reasons.CERTIFICATE_EXPIRED)
EARLY: Final = (errors.CertificateNotYetValid, reasons.CERTIFICATE_NOT_YET_VALID)
NAME: Final = (errors.CertificateNameMismatch, reasons.CERTIFICATE_NAME_MISMATCH)
NAMELESS: Final = (errors.CertificateNameMismatch, reasons.CERTIFICATE_WITHOUT_NAMES)
USAGE: Final = (errors.CertificateUsageError, reasons.CERTIFICATE_WRONG_USAGE)
NOT_A_CA: Final = (errors.CertificateUsageError, reasons.NOT_A_CA)
SELF_SIGNED: Final = (errors.SelfSignedCertificate, reasons.SELF_SIGNED_CERTIFICATE)
UNKNOWN: Final = (errors.UnknownIssuer, reasons.UNKNOWN_ISSUER)
MISSING: Final = (errors.MissingIntermediate, reasons.MISSING_INTERMEDIATE)
FORGED: Final = (errors.BadCertificateSignature, reasons.BAD_CERTIFICATE_SIGNATURE)
WEAK_KEY: Final = (errors.WeakCertificate, reasons.WEAK_KEY)
EXPONENT: Final = (errors.WeakCertificate, reasons.WEAK_EXPONENT)
ROCA: Final = (errors.WeakCertificate, reasons.ROCA_KEY)
DEBIAN: Final = (errors.WeakCertificate, reasons.DEBIAN_KEY)
LEAKED: Final = (errors.WeakCertificate, reasons.LEAKED_KEY)
WEAK_SIGNATURE: Final = (errors.WeakCertificate, reasons.WEAK_SIGNATURE)
UNUSABLE: Final = (errors.UnusableKey, reasons.UNSUPPORTED_PUBLIC_KEY)
RULE: Final = (errors.CertificateRuleBroken, reasons.CERTIFICATE_RULE_BROKEN)
UNREADABLE: Final = (errors.CertificateUnreadable, reasons.CERTIFICATE_UNREADABLE)
NOT_ALLOWED: Final = (CertificateError, reasons.PEER_NOT_ALLOWED)
COMPARISONS: Final = (CertificateError, reasons.TOO_MANY_COMPARISONS)
TOO_MANY: Final = (CertificateError, reasons.CERTIFICATE_REFUSED)


def _group_of(title: str) -> None:
    global _group  # noqa: PLW0603 - the file is read from top to bottom, once
    _group = title


def _case(name: str, make: Callable[[], Any], outcome: Outcome = None, says: str = "", badssl: str = "") -> None:
    error, reason = outcome or (None, None)
    _cases.append(Case(name, _group, cache(lambda: _made(make())), error, reason, says, badssl))


def _made(made: Any) -> Made:
    if isinstance(made, Made):
        return made
    return _shown(made)


def _shown(made: IssuedIdentity | Sequence[bytes], authority: Authority | None = None, **options: Any) -> Made:
    """To somebody who trusts an authority, the usual one if none is named."""
    sent = made.chain if isinstance(made, IssuedIdentity) else tuple(made)
    return Made(sent, (authority or root()).trust, **options)


def _shared(name: str) -> Callable[[], Made]:
    """One of handfast.testing."""

    def make() -> Made:
        case = chain(name)
        return Made(case.chain, case.trust, case.server_name)

    return make


# --- who issues ----------------------------------------------------------------------------------------------------------


@cache
def root() -> Authority:
    """Of organizations of their own, the authorities here would have roots in common; so there is one."""
    return Authority.create("handfast test root")


@cache
def between() -> Authority:
    return root().intermediate()


def _leaf(*names: str, **options: Any) -> IssuedIdentity:
    return root().issue(*(names or (SERVER_NAME,)), **options)


def _client(*names: str, **options: Any) -> IssuedIdentity:
    return root().issue(*names, usage=("client",), **options)


def _with(*changes: tuple[x509.ExtensionType, bool], names: Sequence[str] = (SERVER_NAME,), **options: Any) -> Any:
    """A leaf with these extensions, each with whether it is critical, in place of the usual ones of their kinds."""
    return root().issue(*names, extensions={type(value): (value, critical) for value, critical in changes}, **options)


def _below(*changes: tuple[x509.ExtensionType, bool], names: Sequence[str] = (SERVER_NAME,), **options: Any) -> Any:
    """A leaf of an authority with these extensions."""
    authority = root().intermediate(extensions={type(value): (value, critical) for value, critical in changes})
    return authority.issue(*names, **options)


def _changed(change: Callable[[Fields], Any], **options: Any) -> tuple[bytes]:
    """A leaf whose fields were changed before it was signed."""
    return (forged(_leaf(**options).chain[0], root().key, change),)


def _keyed(key: bytes) -> tuple[bytes]:
    """A leaf for any key."""
    return _changed(with_key(key))


def _alternatives(*names: x509.GeneralName) -> tuple[x509.SubjectAlternativeName, bool]:
    return x509.SubjectAlternativeName(names), False


def _raw_names(content: bytes) -> IssuedIdentity:
    """A leaf whose subjectAltName has any content."""
    odd = raw_extension("2.5.29.17", element(SEQUENCE, content))
    return root().issue(extensions={x509.UnrecognizedExtension: (odd, False)})


def _usages(*names: x509.ObjectIdentifier) -> tuple[x509.ExtendedKeyUsage, bool]:
    return x509.ExtendedKeyUsage(names), False


def _constrained(permitted: Any = None, excluded: Any = None, *, critical: bool = True) -> tuple[Any, bool]:
    return x509.NameConstraints(permitted, excluded), critical


def _directory(organization: str) -> x509.DirectoryName:
    return x509.DirectoryName(x509.Name([x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, organization)]))


def _ago(**span: float) -> datetime:
    return NOW - timedelta(**span)


def _in(**span: float) -> datetime:
    return NOW + timedelta(**span)


# --- times ---------------------------------------------------------------------------------------------------------------

_group_of("Times")
_case("expired ten days ago", _shared("expired"), EXPIRED, "expired for: ", "expired")
_case(
    "expired three minutes ago",
    lambda: _leaf(not_before=_ago(days=90), not_after=_ago(minutes=3)),
    EXPIRED,
    "only just outside: if this machine's clock is ahead by 3 minutes",
)
_case("an intermediate has expired", _shared("expired_intermediate"), EXPIRED, "certificate 2 of 2")
_case("the trusted root has expired", _shared("expired_root"), EXPIRED, "trusted root")


def _all_expired() -> Made:
    old = {"not_before": _ago(days=90), "not_after": _ago(days=2)}
    authority = Authority.create(**old)  # type: ignore[arg-type]
    return _shown(authority.issue(SERVER_NAME, **old), authority)  # type: ignore[arg-type]


_case("everything has expired, the root too", _all_expired, EXPIRED, "this machine's clock is probably ahead")
_case("valid in ten days", _shared("not_yet_valid"), EARLY, "valid in: ")
_case(
    "valid in five minutes",
    lambda: _leaf(not_before=_in(minutes=5, seconds=30), not_after=_in(days=90)),
    EARLY,
    "a clock that is ahead of this machine's by 5 minutes",
)


def _all_early() -> Made:
    authority = Authority.create(not_before=_in(days=100), not_after=_in(days=1000))
    return _shown(authority.issue(SERVER_NAME, not_before=_in(days=200), not_after=_in(days=300)), authority)


_case("everything is from the future", _all_early, EARLY, "this machine's clock is probably behind")
_case(
    "an intermediate is not valid yet",
    lambda: root().intermediate(not_before=_in(days=5), not_after=_in(days=50)).issue(SERVER_NAME),
    EARLY,
    "certificate 2 of 2",
)


def _backwards(fields: Fields) -> None:
    fields["validity"] = element(SEQUENCE, *reversed(split(inside(fields["validity"]))))


_case("it ends before it begins", lambda: _changed(_backwards), EXPIRED, "it ends before it begins")

# --- names ---------------------------------------------------------------------------------------------------------------

_group_of("Names")
_case("for other names", _shared("wrong_name"), NAME, "certificate is for: DNS:other.example", "wrong.host")
_case("a common name alone", _shared("common_name_only"), NAMELESS, f"common name: {SERVER_NAME}", "no-common-name")
_case("no name at all", lambda: root().issue(common_name=""), NAMELESS, "subject: (empty)", "no-subject")
_case(
    "a wildcard, and two labels below it",
    lambda: _shown(_leaf("*.example"), name="a.b.example"),
    NAME,
    "stands for one label, and a.b.example has more below example",
)
_case(
    "a wildcard, and the name above it",
    lambda: _leaf("*.server.example"),
    NAME,
    "stands for the names right below server.example, and not for server.example itself",
)
_case("a wildcard for a whole top-level domain", lambda: _leaf("*.example"), NAME, "which nobody owns")
_case("a wildcard for everything", lambda: _leaf("*"), NAME)
_case("a wildcard within a label", lambda: _leaf("s*.example"), NAME, "a wildcard that is not a whole label")
_case(
    "a wildcard in the middle",
    lambda: _shown(_leaf("www.*.example"), name="www.server.example"),
    NAME,
)
_case("with www, without www asked", lambda: _leaf("www.server.example"), NAME, "it is for www.server.example, and not")
_case("a name that ends in a dot", lambda: _leaf("server.example."), NAME, "ends in a dot")
_case(
    "another address",
    _shared("wrong_address"),
    NAME,
    "certificate is for: IP:127.0.0.1",
)
_case(
    "an address as a DNS name",
    lambda: _shown(_with(_alternatives(x509.DNSName("192.0.2.1"))), name="192.0.2.1"),
    NAME,
    "the address stands in it as a DNS name",
)
_case(
    "an address as the common name",
    lambda: _shown(root().issue(common_name="192.0.2.1"), name="192.0.2.1"),
    NAMELESS,
    "common name: 192.0.2.1",
)
_case("a service's URI, and no host", lambda: _leaf("spiffe://example.org/web"), NAME, "it names a service by URI")
_case("an e-mail address, and no host", lambda: _leaf("server@server.example"), NAME, "EMAIL:server@server.example")
_case("an empty list of names", lambda: _raw_names(b""), NAMELESS)
_case(
    "a zero byte in a name",
    lambda: _raw_names(element(0x82, b"server.example\0.evil.example")),
    NAME,
    "certificate is for: DNS:server.example\\x00.evil.example",
)
_case(
    "a name that is not ASCII",
    lambda: _shown(_raw_names(element(0x82, "b\u00fccher.example".encode())), name="xn--bcher-kva.example"),
    NAME,
    "is not in the form that is compared",
)
_case("an internationalised name", lambda: _shown(_leaf("xn--bcher-kva.example"), name="xn--bcher-kva.example"))
_case("another case of letters", lambda: _leaf("SERVER.Example"))
_case("a wildcard", _shared("wildcard"))
_case("an address", _shared("address"))
_case("a thousand names", lambda: _leaf(*(f"{n}.example" for n in range(1000)), SERVER_NAME), badssl="1000-sans")
_case(
    "a long name",
    lambda: _shown(_leaf(f"{'long.' * 40}example"), name=f"{'long.' * 40}example"),
    badssl="long-extended-subdomain-name-containing-many-letters-and-dashes",
)

# --- usage ---------------------------------------------------------------------------------------------------------------

_group_of("Usage")
_case("a client's certificate", _shared("wrong_usage"), USAGE, "allows client auth, and not serverAuth")
_case(
    "for signing code",
    lambda: _with(_usages(ExtendedKeyUsageOID.CODE_SIGNING)),
    USAGE,
    "allows code signing, and not serverAuth",
)
_case("for any usage, and not named", lambda: _with(_usages(ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE)), USAGE, "any")
_case("keyEncipherment alone", _shared("no_digital_signature"), USAGE, "have no forward secrecy")
_case("keyAgreement alone", lambda: _with((key_usage(key_agreement=True), True)), USAGE, "have no forward secrecy")
_case("no usage named", _shared("without_usages"))
_case("an authority for clients", _shared("authority_for_clients"), USAGE, "extendedKeyUsage of the authority")
_case("a server's certificate issued another", _shared("leaf_as_ca"), NOT_A_CA, "basicConstraints says that it is none")
_case(
    "an authority without keyCertSign", _shared("ca_without_cert_sign"), NOT_A_CA, "keyUsage does not allow keyCertSign"
)
_case(
    "an authority without basicConstraints",
    lambda: root().intermediate(extensions={x509.BasicConstraints: None}).issue(SERVER_NAME),
    NOT_A_CA,
    "it has no basicConstraints",
)


def _version_1_authority() -> tuple[bytes, ...]:
    authority = root().intermediate()
    der = forged(authority.der, root().key, lambda fields: fields.update(version=b"", extensions=b""))
    return authority.issue(SERVER_NAME).chain[0], der


_case("an authority of version 1", _version_1_authority, NOT_A_CA, "it has no basicConstraints")


def _root_that_is_none() -> Made:
    authority = Authority.create(extensions={x509.BasicConstraints: (x509.BasicConstraints(False, None), True)})
    return _shown(authority.issue(SERVER_NAME), authority)


_case("the trusted root is no authority", _root_that_is_none, NOT_A_CA, "trusted root")
_case(
    "a server's certificate of a client", lambda: _shown(_leaf(), name=None, client=True), USAGE, "and not clientAuth"
)

# --- who issued ----------------------------------------------------------------------------------------------------------

_group_of("Issuers")
_case("self-signed", _shared("self_signed"), SELF_SIGNED, badssl="self-signed")
_case("a root that is not trusted", _shared("unknown_root_sent"), UNKNOWN, "is not trusted here", "untrusted-root")
_case("an issuer that nobody knows", _shared("unknown_issuer"), UNKNOWN)
_case(
    "a root of the same name",
    _shared("issuer_with_another_key"),
    UNKNOWN,
    "has the issuer's name, and is not the issuer",
)
_case("the intermediate was forgotten", _shared("missing_intermediate"), MISSING, badssl="incomplete-chain")
_case(
    "the intermediate was forgotten, and can be fetched",
    _shared("missing_intermediate_with_address"),
    MISSING,
    "http://ca.example/issuer.der",
)
_case("the intermediate of another chain", lambda: (between().issue(SERVER_NAME).chain[0], _stray()), MISSING)


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


_case("two authorities that certify each other", _authorities_in_a_circle, UNKNOWN, "in a circle")
_case("a changed signature", _shared("bad_signature"), FORGED)


def _changed_after_signing() -> tuple[bytes]:
    der = _leaf("server-example.test").chain[0]
    return (der.replace(b"server-example.test", b"server.example.test"),)


_case(
    "a changed name",
    lambda: _shown(_changed_after_signing(), name="server.example.test"),
    FORGED,
)


def _cross_signed() -> Made:
    new = Authority.create("new root")
    old = Authority.create("old root", not_before=_ago(days=20), not_after=_ago(days=10))
    issuer = new.intermediate()
    return _shown((issuer.issue(SERVER_NAME).chain[0], _certified(new, old), old.der, issuer.der), new)


_case("cross-signed by an old root", _cross_signed)
_case("root, stray and disorder in the chain", _shared("any_order"))
_case("the same certificate twice", lambda: _leaf().chain * 2)
_case("seventeen certificates", lambda: _leaf().chain * 17, TOO_MANY, "limit: 16")

# --- strength ------------------------------------------------------------------------------------------------------------

_group_of("Strength")


def _new(kind: str) -> Any:
    return new_key(kind).public_key()


@cache
def _rsa_root() -> Authority:
    return Authority.create("handfast test root (RSA)", key="rsa2048")


def _sha1_intermediate() -> Made:
    authority = _rsa_root().intermediate()
    sha256, sha1 = bytes.fromhex("2a864886f70d01010b"), bytes.fromhex("2a864886f70d010105")
    signed = x509.load_der_x509_certificate(authority.der).tbs_certificate_bytes.replace(sha256, sha1)
    signature = _rsa_root().key.sign(signed, padding.PKCS1v15(), hashes.SHA1())
    der = element(SEQUENCE, signed, element(SEQUENCE, element(0x06, sha1), b"\5\0"), element(0x03, b"\0", signature))
    return _shown((authority.issue(SERVER_NAME).chain[0], der), _rsa_root())


def _says_md5() -> Made:
    """It names MD5, and nobody gets as far as to compute with it."""
    der = _rsa_root().issue(SERVER_NAME).chain[0]
    return _shown((der.replace(bytes.fromhex("2a864886f70d01010b"), bytes.fromhex("2a864886f70d010104")),), _rsa_root())


_case("RSA of 1024 bits", _shared("weak_key"), WEAK_KEY, "RSA of 1024 bits")
_case("RSA of 2047 bits", lambda: _keyed(rsa_info(modulus(2047), 65537)), WEAK_KEY, "RSA of 2047 bits")
_case("RSA of 2050 bits", lambda: _keyed(rsa_info(modulus(2050), 65537)), RULE, "odd-key-size")
_case("RSA of 8192 bits", lambda: _keyed(rsa_info(modulus(8192), 65537)), badssl="rsa8192")
_case("RSA of 16384 bits", lambda: _keyed(rsa_info(modulus(16384), 65537)), UNUSABLE, "take too long to verify")
_case("RSA with the exponent 3", lambda: _keyed(info(rsa_key(modulus(2048), 3))), EXPONENT, "the exponent 3")
_case("RSA with the exponent 1", lambda: _keyed(rsa_info(modulus(2048), 1)), EXPONENT, "the exponent 1")
_case(
    "RSA with an even exponent", lambda: _keyed(rsa_info(modulus(2048), 65538)), EXPONENT, "an even one has no inverse"
)
_case("RSA with a huge exponent", lambda: _keyed(rsa_info(modulus(2048), modulus(64))), UNUSABLE, "take too long")
_case("RSA by Infineon's library (ROCA)", lambda: _keyed(rsa_info(roca_modulus(), 65537)), ROCA, "Infineon's library")


def _debian() -> Made:
    number = modulus(2048)
    known = KeyList.of("debian", "Debian's OpenSSL, RSA of 2048 bits", [fingerprint(rsa_key(number))])
    return _shown(_keyed(rsa_info(number, 65537)), policy=Policy(known_keys=known))


_case("a key of Debian's broken generator", _debian, DEBIAN, "Debian's OpenSSL, RSA of 2048 bits")
_case("a published key", lambda: _keyed(info(PUBLISHED_KEY.public_key())), LEAKED, "RFC 9500")


def _published_authority() -> Made:
    authority = Authority.create("a published root")
    der = forged(authority.der, PUBLISHED_KEY, with_key(info(PUBLISHED_KEY.public_key())))
    published = Authority((der,), PUBLISHED_KEY)
    return _shown(published.issue(SERVER_NAME), published)


_case("a trusted root whose key is public", _published_authority, LEAKED, "trusted root", "superfish, edellroot")
_case("secp224r1", _shared("weak_curve"), WEAK_KEY, "secp224r1 of 224 bits")
_case("secp256k1", lambda: _keyed(info(_new("secp256k1"))), UNUSABLE, "secp256k1")
_case("brainpoolP256r1", _shared("unusable_curve"), UNUSABLE, "brainpoolP256r1")
_case("DSA", _shared("dsa"), WEAK_KEY, "DSA, which is no longer used")
_case("an intermediate with RSA of 1024 bits", _shared("weak_intermediate"), WEAK_KEY, "certificate 2 of 2")
_case("signed with SHA-1", _shared("weak_signature"), WEAK_SIGNATURE, "SHA1")
_case("an intermediate signed with SHA-1", _sha1_intermediate, WEAK_SIGNATURE, "SHA1", "sha1-intermediate")
_case("a signature that says MD5", _says_md5, WEAK_SIGNATURE, "MD5")
_case("P-384", lambda: _leaf(key="p384"), badssl="ecc384")
_case("an Ed25519 authority", _shared("ed25519_authority"))
_case("an ML-DSA authority", _shared("mldsa_authority"))

# --- what authorities may issue -------------------------------------------------------------------------------------------

_group_of("What an authority may issue")
_case(
    "a name outside of what is permitted", _shared("outside_name_constraints"), RULE, "is outside of what is permitted"
)
_case(
    "an address that is excluded", _shared("excluded_by_name_constraints"), RULE, "127.0.0.1 is excluded by 127.0.0.0/8"
)
_case(
    "a wildcard that reaches into what is excluded",
    lambda: _shown(
        _below(_constrained(None, [x509.DNSName("secret.server.example")]), names=["*.server.example"]),
        name="www.server.example",
    ),
    RULE,
    "*.server.example is excluded by secret.server.example",
)
_case(
    "an e-mail address of another host",
    lambda: _shown(
        root()
        .intermediate(extensions={x509.NameConstraints: _constrained([x509.RFC822Name("example.com")])})
        .issue("somebody@example.org", usage=("client",)),
        name=None,
        client=True,
    ),
    RULE,
    "somebody@example.org is outside of what is permitted: example.com",
)
_case(
    "a subject of another organization",
    lambda: _below(_constrained([_directory("somebody else")], critical=False)),
    RULE,
    "CN=handfast test,O=handfast testing is outside of what is permitted: O=somebody else",
)
_case(
    "a critical constraint of directory names",
    lambda: _below(_constrained([_directory("handfast testing")])),
    RULE,
    "limit directory names, which is not understood here",
)
_case(
    "a service outside of its trust domain",
    lambda: _shown(
        root()
        .intermediate(extensions={x509.NameConstraints: _constrained([x509.UniformResourceIdentifier("example.org")])})
        .issue("spiffe://example.com/web", usage=("client",)),
        name=None,
        client=True,
    ),
    RULE,
    "spiffe://example.com/web is outside of what is permitted: example.org",
)
_case(
    "more authorities than one of them allows",
    _shared("path_too_long"),
    RULE,
    "1 authority is below it, and it allows none",
)


def _too_many_names() -> Made:
    excluded = x509.NameConstraints(None, [x509.DNSName(f"x{number}.test") for number in range(300)])
    authority = Authority.create(extensions={x509.NameConstraints: (excluded, True)})
    return _shown(authority.issue(SERVER_NAME, *(f"n{number}.example" for number in range(1_000))), authority)


_case("a thousand names below 300 constraints", _too_many_names, COMPARISONS, "limit: 262144")


def _deep(count: int) -> IssuedIdentity:
    authority = root()
    for number in range(count):
        authority = authority.intermediate(f"authority {number}")
    return authority.issue(SERVER_NAME)


_case("eight authorities", lambda: _deep(8))
_case("nine authorities", lambda: _deep(9), RULE, "more than 8 authorities")
_case(
    "one authority where none is allowed",
    lambda: _shown(between().issue(SERVER_NAME), policy=Policy(depth=0)),
    RULE,
    "and none is allowed",
)

# --- the profile ---------------------------------------------------------------------------------------------------------

_group_of("The profile")
for _name in (
    "critical_san",
    "uncritical_san",
    "critical_usage",
    "critical_policies",
    "missing_aki",
    "incomplete_aki",
    "root_without_key_usage",
    "uncritical_basic_constraints",
    "ca_as_leaf",
):
    _rule = chain(_name).relax
    assert _rule is not None
    _case(f"`{_rule}`", _shared(_name), RULE, f"relax: {_rule}")
_case(
    "an authority without authorityKeyIdentifier",
    lambda: root().intermediate(extensions={x509.AuthorityKeyIdentifier: None}).issue(SERVER_NAME),
    RULE,
    "relax: missing-authority-key-identifier",
)
_case("self-signed as `openssl req -x509` does it, and trusted", _shared("self_signed_and_trusted"))
_case("an unknown critical extension", _shared("unknown_critical_extension"), RULE, "is not understood here")
_case("two signature algorithms", _shared("two_signature_algorithms"), RULE, "two signature algorithms")
_case(
    "a negative serial number",
    lambda: _changed(lambda fields: fields.update(serial=bytes.fromhex("0201ff"))),
    RULE,
    "negative or too long",
)
_case(
    "a serial number of 22 bytes",
    lambda: _changed(lambda fields: fields.update(serial=element(0x02, b"\x01" * 22))),
    RULE,
    "negative or too long",
)
_case(
    "version 1",
    lambda: _changed(lambda fields: fields.update(version=b"", extensions=b""), common_name=SERVER_NAME),
    NAMELESS,
)
_case(
    "version 2 with extensions",
    lambda: _changed(lambda fields: fields.update(version=element(VERSION, bytes.fromhex("020101")))),
    UNREADABLE,
    "1 is not a valid X509 version",
)
_case(
    "nameConstraints in a server's certificate",
    lambda: _with(_constrained([x509.DNSName("example")])),
    RULE,
    "nameConstraints stands in a certificate that is no authority's",
)


def _twice(fields: Fields) -> None:
    own = split(inside(inside(fields["extensions"])))
    fields["extensions"] = element(EXTENSIONS, element(SEQUENCE, *own, own[-1]))


_case("an extension twice", lambda: _changed(_twice), UNREADABLE, "Duplicate")
_case("a cut certificate", _shared("unreadable"), UNREADABLE)
_case("bytes behind the certificate", lambda: (_leaf().chain[0] + b"\0\0",), UNREADABLE)
_case(
    "a set where a list belongs",
    lambda: _changed(lambda fields: fields.update(subject=bytes([SET]) + fields["subject"][1:])),
    UNREADABLE,
)
_case("a text that is no certificate", lambda: (b"-----BEGIN CERTIFICATE-----",), UNREADABLE)

# --- services ------------------------------------------------------------------------------------------------------------

_group_of("Clients and services by SPIFFE id")
WEB: Final = "spiffe://example.org/ns/prod/web"


def _service(*rules: str, names: Sequence[str] = (WEB,)) -> Made:
    return _shown(_client(*names), name=None, client=True, policy=Policy(allow=AllowSpiffe(*rules)))


_case("a service that is allowed", lambda: _service("spiffe://example.org/ns/prod/*"))
_case(
    "a service that no rule allows",
    lambda: _service("spiffe://example.org/ns/test/*"),
    NOT_ALLOWED,
    "no rule allows this id",
)
_case(
    "a service of another trust domain",
    lambda: _service("spiffe://example.com/*"),
    NOT_ALLOWED,
    "no rule allows this id",
)
_case("two ids", lambda: _service(WEB, names=[WEB, f"{WEB}2"]), NOT_ALLOWED, "it has 2 URIs")
_case("a URI that is no id", lambda: _service(WEB, names=["https://example.org/web"]), NOT_ALLOWED, "is no SPIFFE id")
_case("a client without an id", lambda: _service(WEB, names=["client.example"]), NOT_ALLOWED, "it has no URI")

CASES: Final = tuple(_cases)


def roots(made: Made) -> list[bytes]:
    """What is trusted, as DER."""
    return [item.public_bytes(Encoding.DER) for item in made.trust.roots]
