"""Good and broken certificate chains, each with what has to come of it.

::

    @pytest.mark.parametrize("name", BROKEN)
    def test_my_client_refuses(name):
        case = chain(name)
        ...                         # serve case.identity, trust case.trust, connect to case.server_name
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import ip_network
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from handfast import errors, reasons
from handfast.certificates.rules import Rule
from handfast.certificates.store import TrustStore
from handfast.errors import CertificateError, ConfigurationError
from handfast.reasons import Reason
from handfast.testing.authority import Authority, IssuedIdentity, certify, key_usage, subject_of
from handfast.testing.keys import new_key

SERVER_NAME: Final = "server.example"

# The identifiers of RSA signatures (RFC 8017 appendix C): they differ in their last byte only.
_WITH_SHA1, _WITH_SHA256, _WITH_SHA384 = (bytes.fromhex(f"2a864886f70d0101{end}") for end in ("05", "0b", "0c"))


@dataclass(frozen=True)
class Case:
    """One chain, and what a client has to make of it.

    ``name``         what it is called
    ``chain``        DER, as the server sends it
    ``trust``        what the client trusts
    ``server_name``  what the client asks for
    ``error``        the exception that refuses it; None for a chain that is good
    ``reason``       its Reason
    ``at_fault``     the index of the certificate at fault in the chain; None if it is not in it
    ``relax``        the switch that lets it pass, if there is one
    ``identity``     to serve it with; None where no server can, since TLS has no signature scheme for its key
    """

    name: str
    chain: tuple[bytes, ...]
    trust: TrustStore
    server_name: str = SERVER_NAME
    error: type[CertificateError] | None = None
    reason: Reason | None = None
    at_fault: int | None = None
    relax: Rule | None = None
    identity: IssuedIdentity | None = None


_makers: Final[dict[str, Callable[[str], Case]]] = {}
_good_names: Final[list[str]] = []
_Maker = Callable[[], Any]


def chain(name: str) -> Case:
    """The chain of this name, made once a process. Raises ConfigurationError for a name that is not there."""
    if name not in _makers:
        raise ConfigurationError(setting="chain", value=name, known=sorted(_makers))
    return _made(name)


@cache
def _made(name: str) -> Case:
    return _makers[name](name)


def _good(make: _Maker) -> _Maker:
    name = make.__name__.strip("_")
    _good_names.append(name)
    _makers[name] = lambda name: _case(name, make())
    return make


def _broken(
    error: type[CertificateError], reason: Reason, at_fault: int | None = 0, relax: Rule | None = None
) -> Callable[[_Maker], _Maker]:
    def register(make: _Maker) -> _Maker:
        _makers[make.__name__.strip("_")] = lambda name: _case(
            name, make(), error=error, reason=reason, at_fault=at_fault, relax=relax
        )
        return make

    return register


def _rule(rule: Rule | None, at_fault: int | None = 0) -> Callable[[_Maker], _Maker]:
    return _broken(errors.CertificateRuleBroken, reasons.CERTIFICATE_RULE_BROKEN, at_fault, rule)


def _case(name: str, made: Any, **expected: Any) -> Case:
    """A maker gives an identity or a bare chain, and, if they differ from the usual ones, what is trusted and asked."""
    what, trust, server_name = made if isinstance(made, tuple) and len(made) == 3 else (made, root().trust, SERVER_NAME)
    identity = what if isinstance(what, IssuedIdentity) else None
    return Case(name, identity.chain if identity else what, trust, server_name, identity=identity, **expected)


# --- the authorities ----------------------------------------------------------------------------------------------------


@cache
def root() -> Authority:
    """The root that the cases trust."""
    return Authority.create()


@cache
def _intermediate() -> Authority:
    return root().intermediate()


@cache
def _rsa_root() -> Authority:
    return Authority.create("handfast test root (RSA)", key="rsa2048")


@cache
def _stranger() -> Authority:
    # Of another organisation, so that nothing connects it with the roots that are trusted.
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a stranger")])
    key = new_key("p256")
    made = Authority.create("a stranger")
    der = certify(name, key.public_key(), name, key, _extensions_of(made), _around_now())
    return Authority((der,), key)


def _extensions_of(authority: Authority) -> dict[Any, tuple[x509.ExtensionType, bool] | None]:
    return {type(item.value): (item.value, item.critical) for item in authority.certificate.extensions}


def _around_now() -> tuple[datetime, datetime]:
    return _days(-1), _days(90)


def _days(count: float) -> datetime:
    return datetime.now(UTC).replace(microsecond=0) + timedelta(days=count)


# --- good (the names of the functions are the names of the cases) -----------------------------------------------------------------------------------------------------------------


@_good
def _good_chain() -> IssuedIdentity:
    return root().issue(SERVER_NAME)


@_good
def _intermediate_sent() -> IssuedIdentity:
    return _intermediate().issue(SERVER_NAME)


@_good
def _any_order() -> IssuedIdentity:
    """The root sent too, the intermediates in the wrong order, and a stray."""
    lower = _intermediate().intermediate("handfast test issuer")
    made = lower.issue(SERVER_NAME)
    leaf, first, second = made.chain
    return IssuedIdentity((leaf, root().der, second, _stranger().der, first), made.key)


@_good
def _wildcard() -> Any:
    return root().issue("*.server.example"), root().trust, "www.server.example"


@_good
def _address() -> Any:
    return root().issue("127.0.0.1", "::1"), root().trust, "::1"


@_good
def _without_usages() -> IssuedIdentity:
    return root().issue(SERVER_NAME, usage=(), extensions={x509.KeyUsage: None, x509.BasicConstraints: None})


@_good
def _empty_subject() -> IssuedIdentity:
    return root().issue(SERVER_NAME, common_name="", critical_san=True)


@_good
def _ed25519_authority() -> Any:
    authority = Authority.create(key="ed25519")
    return authority.intermediate(key="ed25519").issue(SERVER_NAME, key="ed25519"), authority.trust, SERVER_NAME


@_good
def _ed448_authority() -> Any:
    authority = Authority.create(key="ed448")
    return authority.issue(SERVER_NAME), authority.trust, SERVER_NAME


@_good
def _mldsa_authority() -> Any:
    authority = Authority.create(key="mldsa65")
    return authority.intermediate(key="mldsa44").issue(SERVER_NAME, key="mldsa65"), authority.trust, SERVER_NAME


@_good
def _self_signed_and_trusted() -> Any:
    """As `openssl req -x509` makes it: the server's certificate is an authority's, and is itself what is trusted."""
    made = _self_signed_authority()
    return made, TrustStore.from_bytes(made.chain[0]), SERVER_NAME


def _self_signed_authority() -> IssuedIdentity:
    key, name = new_key("p256"), subject_of(SERVER_NAME)
    extensions: dict[Any, tuple[x509.ExtensionType, bool] | None] = {
        x509.BasicConstraints: (x509.BasicConstraints(ca=True, path_length=None), True),
        x509.SubjectAlternativeName: (x509.SubjectAlternativeName([x509.DNSName(SERVER_NAME)]), False),
    }
    return IssuedIdentity([certify(name, key.public_key(), name, key, extensions, _around_now())], key)


# --- times and names -----------------------------------------------------------------------------------------------------


@_broken(errors.CertificateExpired, reasons.CERTIFICATE_EXPIRED)
def _expired() -> IssuedIdentity:
    return root().issue(SERVER_NAME, not_before=_days(-20), not_after=_days(-10))


@_broken(errors.CertificateExpired, reasons.CERTIFICATE_EXPIRED, 1)
def _expired_intermediate() -> IssuedIdentity:
    return root().intermediate(not_before=_days(-20), not_after=_days(-10)).issue(SERVER_NAME)


@_broken(errors.CertificateExpired, reasons.CERTIFICATE_EXPIRED, None)
def _expired_root() -> Any:
    authority = Authority.create(not_before=_days(-20), not_after=_days(-10))
    return authority.issue(SERVER_NAME), authority.trust, SERVER_NAME


@_broken(errors.CertificateNotYetValid, reasons.CERTIFICATE_NOT_YET_VALID)
def _not_yet_valid() -> IssuedIdentity:
    return root().issue(SERVER_NAME, not_before=_days(10), not_after=_days(20))


@_broken(errors.CertificateNameMismatch, reasons.CERTIFICATE_NAME_MISMATCH)
def _wrong_name() -> IssuedIdentity:
    return root().issue("other.example", "*.server.example", "192.0.2.1")


@_broken(errors.CertificateNameMismatch, reasons.CERTIFICATE_NAME_MISMATCH)
def _wrong_address() -> Any:
    return root().issue("127.0.0.1", "server.example"), root().trust, "127.0.0.2"


@_broken(errors.CertificateNameMismatch, reasons.CERTIFICATE_WITHOUT_NAMES)
def _common_name_only() -> IssuedIdentity:
    return root().issue(common_name=SERVER_NAME)


# --- usage -----------------------------------------------------------------------------------------------------------------


@_broken(errors.CertificateUsageError, reasons.CERTIFICATE_WRONG_USAGE)
def _wrong_usage() -> IssuedIdentity:
    return root().issue(SERVER_NAME, usage=("client",))


@_broken(errors.CertificateUsageError, reasons.CERTIFICATE_WRONG_USAGE)
def _no_digital_signature() -> IssuedIdentity:
    return root().issue(SERVER_NAME, extensions={x509.KeyUsage: (key_usage(key_encipherment=True), True)})


@_broken(errors.CertificateUsageError, reasons.CERTIFICATE_WRONG_USAGE, 1)
def _authority_for_clients() -> IssuedIdentity:
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
    return root().intermediate(extensions={x509.ExtendedKeyUsage: (usage, False)}).issue(SERVER_NAME)


@_broken(errors.CertificateUsageError, reasons.NOT_A_CA, 1)
def _leaf_as_ca() -> IssuedIdentity:
    """A server's certificate, used to issue another one."""
    server = root().issue("attacker.example")
    return Authority((server.chain[0], root().der), server.key).issue(SERVER_NAME)


@_broken(errors.CertificateUsageError, reasons.NOT_A_CA, 1)
def _ca_without_cert_sign() -> IssuedIdentity:
    return root().intermediate(extensions={x509.KeyUsage: (key_usage(crl_sign=True), True)}).issue(SERVER_NAME)


# --- issuers ---------------------------------------------------------------------------------------------------------------


@_broken(errors.SelfSignedCertificate, reasons.SELF_SIGNED_CERTIFICATE)
def _self_signed() -> IssuedIdentity:
    return _self_signed_authority()


@_broken(errors.UnknownIssuer, reasons.UNKNOWN_ISSUER)
def _unknown_issuer() -> IssuedIdentity:
    return _stranger().issue(SERVER_NAME)


@_broken(errors.UnknownIssuer, reasons.UNKNOWN_ISSUER, 1)
def _unknown_root_sent() -> IssuedIdentity:
    made = _stranger().issue(SERVER_NAME)
    return IssuedIdentity((*made.chain, _stranger().der), made.key)


@_broken(errors.UnknownIssuer, reasons.UNKNOWN_ISSUER)
def _issuer_with_another_key() -> IssuedIdentity:
    """A root of the trusted one's name, made anew."""
    return Authority.create().issue(SERVER_NAME)


@_broken(errors.MissingIntermediate, reasons.MISSING_INTERMEDIATE)
def _missing_intermediate() -> IssuedIdentity:
    return _intermediate().issue(SERVER_NAME, send_chain=False)


@_broken(errors.MissingIntermediate, reasons.MISSING_INTERMEDIATE)
def _missing_intermediate_with_address() -> IssuedIdentity:
    """No name in common with any root, but an address where the issuer can be fetched: a public authority's."""
    where = x509.AccessDescription(
        AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier("http://ca.example/issuer.der")
    )
    return _stranger().issue(
        SERVER_NAME, extensions={x509.AuthorityInformationAccess: (x509.AuthorityInformationAccess([where]), False)}
    )


# --- signatures and strength ---------------------------------------------------------------------------------------------


@_broken(errors.BadCertificateSignature, reasons.BAD_CERTIFICATE_SIGNATURE)
def _bad_signature() -> IssuedIdentity:
    made = root().issue(SERVER_NAME)
    der = bytearray(made.chain[0])
    der[-1] ^= 1
    return IssuedIdentity([bytes(der)], made.key)


@_broken(errors.WeakCertificate, reasons.WEAK_KEY)
def _weak_key() -> IssuedIdentity:
    return root().issue(SERVER_NAME, key="rsa1024")


@_broken(errors.WeakCertificate, reasons.WEAK_KEY)
def _weak_curve() -> tuple[bytes, ...]:
    return _with_key("p224")


@_broken(errors.WeakCertificate, reasons.WEAK_KEY)
def _dsa() -> tuple[bytes, ...]:
    return _with_key("dsa2048")


@_broken(errors.UnusableKey, reasons.UNSUPPORTED_PUBLIC_KEY)
def _unusable_curve() -> tuple[bytes, ...]:
    return _with_key("brainpool256")


@_broken(errors.WeakCertificate, reasons.WEAK_KEY, 1)
def _weak_intermediate() -> IssuedIdentity:
    return root().intermediate(key="rsa1024").issue(SERVER_NAME)


@_broken(errors.WeakCertificate, reasons.WEAK_SIGNATURE)
def _weak_signature() -> Any:
    made = _rsa_root().issue(SERVER_NAME)
    return IssuedIdentity([_signed_with_sha1(made.chain[0], _rsa_root().key)], made.key), _rsa_root().trust, SERVER_NAME


def _with_key(kind: str) -> tuple[bytes, ...]:
    return certified(new_key(kind))


def certified(key: Any) -> tuple[bytes, ...]:
    """A chain for a key that no Identity takes."""
    extensions = root().leaf_extensions(key, [SERVER_NAME])
    subject, issuer = subject_of("handfast test"), root().certificate.subject
    return (certify(subject, key.public_key(), issuer, root().key, extensions, _around_now()),)


def _signed_with_sha1(certificate: bytes, key: Any) -> bytes:
    """Sign a certificate anew. `cryptography` signs none with SHA-1, but both identifiers have the same length."""
    signed = x509.load_der_x509_certificate(certificate).tbs_certificate_bytes.replace(_WITH_SHA256, _WITH_SHA1)
    signature = key.sign(signed, padding.PKCS1v15(), hashes.SHA1())  # noqa: S303 - that is the point
    return certificate.replace(_WITH_SHA256, _WITH_SHA1)[: -len(signature)] + bytes(signature)


# --- rules -----------------------------------------------------------------------------------------------------------------


@_rule(Rule.CRITICAL_SUBJECT_ALTERNATIVE_NAME)
def _critical_san() -> IssuedIdentity:
    return root().issue(SERVER_NAME, critical_san=True)


@_rule(Rule.UNCRITICAL_SUBJECT_ALTERNATIVE_NAME)
def _uncritical_san() -> IssuedIdentity:
    return root().issue(SERVER_NAME, common_name="")


@_rule(Rule.CRITICAL_EXTENDED_KEY_USAGE)
def _critical_usage() -> IssuedIdentity:
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    return root().issue(SERVER_NAME, extensions={x509.ExtendedKeyUsage: (usage, True)})


@_rule(Rule.CRITICAL_EXTENDED_KEY_USAGE, 1)
def _critical_usage_of_authority() -> IssuedIdentity:
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    return root().intermediate(extensions={x509.ExtendedKeyUsage: (usage, True)}).issue(SERVER_NAME)


@_rule(Rule.CRITICAL_CERTIFICATE_POLICIES)
def _critical_policies() -> IssuedIdentity:
    return root().issue(SERVER_NAME, extensions={x509.CertificatePolicies: (_any_policy(), True)})


@_rule(Rule.CRITICAL_CERTIFICATE_POLICIES, 1)
def _critical_policies_of_authority() -> IssuedIdentity:
    return root().intermediate(extensions={x509.CertificatePolicies: (_any_policy(), True)}).issue(SERVER_NAME)


@_rule(Rule.MISSING_AUTHORITY_KEY_IDENTIFIER)
def _missing_aki() -> IssuedIdentity:
    return root().issue(SERVER_NAME, extensions={x509.AuthorityKeyIdentifier: None})


@_rule(Rule.INCOMPLETE_AUTHORITY_KEY_IDENTIFIER, 1)
def _incomplete_aki() -> IssuedIdentity:
    name = x509.DirectoryName(root().certificate.subject)
    identifier = x509.AuthorityKeyIdentifier(None, [name], root().certificate.serial_number)
    return root().intermediate(extensions={x509.AuthorityKeyIdentifier: (identifier, False)}).issue(SERVER_NAME)


@_rule(Rule.MISSING_SUBJECT_KEY_IDENTIFIER, 1)
def _missing_ski() -> IssuedIdentity:
    return root().intermediate(extensions={x509.SubjectKeyIdentifier: None}).issue(SERVER_NAME)


@_rule(Rule.MISSING_KEY_USAGE, None)
def _root_without_key_usage() -> Any:
    authority = Authority.create(extensions={x509.KeyUsage: None})
    return authority.issue(SERVER_NAME), authority.trust, SERVER_NAME


@_rule(Rule.UNCRITICAL_BASIC_CONSTRAINTS, None)
def _uncritical_basic_constraints() -> Any:
    limits = x509.BasicConstraints(ca=True, path_length=None)
    authority = Authority.create(extensions={x509.BasicConstraints: (limits, False)})
    return authority.issue(SERVER_NAME), authority.trust, SERVER_NAME


@_rule(Rule.AUTHORITY_AS_LEAF)
def _ca_as_leaf() -> IssuedIdentity:
    return root().issue(
        SERVER_NAME,
        extensions={
            x509.BasicConstraints: (x509.BasicConstraints(ca=True, path_length=None), True),
            x509.KeyUsage: (key_usage(digital_signature=True, key_cert_sign=True), True),
        },
    )


@_rule(None, 2)
def _path_too_long() -> IssuedIdentity:
    return root().intermediate(path_length=0).intermediate("handfast test issuer").issue(SERVER_NAME)


@_rule(None, 1)
def _outside_name_constraints() -> IssuedIdentity:
    limits = x509.NameConstraints([x509.DNSName("other.example")], None)
    return root().intermediate(extensions={x509.NameConstraints: (limits, True)}).issue(SERVER_NAME)


@_rule(None, 1)
def _excluded_by_name_constraints() -> Any:
    limits = x509.NameConstraints(None, [x509.IPAddress(ip_network("127.0.0.0/8"))])
    authority = root().intermediate(extensions={x509.NameConstraints: (limits, True)})
    return authority.issue("127.0.0.1"), root().trust, "127.0.0.1"


@_rule(None)
def _unknown_critical_extension() -> IssuedIdentity:
    odd = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.55738.1"), b"\x05\x00")
    return root().issue(SERVER_NAME, extensions={x509.UnrecognizedExtension: (odd, True)})


@_rule(None)
def _two_signature_algorithms() -> Any:
    """One algorithm stands in what is signed, another one beside the signature (RFC 5280 section 4.1.1.2)."""
    signed = _rsa_root().issue(SERVER_NAME).chain[0]
    inside = x509.load_der_x509_certificate(signed).tbs_certificate_bytes
    signature = _rsa_root().key.sign(inside, padding.PKCS1v15(), hashes.SHA384())
    head, _, tail = signed.rpartition(_WITH_SHA256)
    return (head + _WITH_SHA384 + tail[: -len(signature)] + signature,), _rsa_root().trust, SERVER_NAME


@_broken(errors.CertificateUnreadable, reasons.CERTIFICATE_UNREADABLE)
def _unreadable() -> tuple[bytes, ...]:
    return (root().issue(SERVER_NAME).chain[0][:-10],)


def _any_policy() -> x509.CertificatePolicies:
    return x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier("2.5.29.32.0"), None)])


GOOD: Final = tuple(_good_names)
BROKEN: Final = tuple(name for name in _makers if name not in _good_names)
