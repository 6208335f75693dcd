"""What certificates are for."""

from __future__ import annotations

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from handfast.testing import Authority
from handfast.testing.authority import key_usage
from handfast.testing.chains import SERVER_NAME
from tests.certificates.forging import forged
from tests.certificates.making import NOT_A_CA, USAGE, Group, Made, leaf, leaf_with, presented, root, shared, usages

GROUP = Group("Usage")
case = GROUP.case
case("a client's certificate", shared("wrong_usage"), USAGE, "allows clientAuth, and not serverAuth")
case(
    "for signing code",
    lambda: leaf_with(usages(ExtendedKeyUsageOID.CODE_SIGNING)),
    USAGE,
    "allows codeSigning, and not serverAuth",
)
case(
    "for any usage, and not named", lambda: leaf_with(usages(ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE)), USAGE, "any"
)
case("keyEncipherment alone", shared("no_digital_signature"), USAGE, "have no forward secrecy")
case("keyAgreement alone", lambda: leaf_with((key_usage(key_agreement=True), True)), USAGE, "have no forward secrecy")
case("no usage named", shared("without_usages"))
case("an authority for clients", shared("authority_for_clients"), USAGE, "extendedKeyUsage of the authority")
case(
    "an authority for any usage",
    lambda: (
        root()
        .intermediate(extensions={x509.ExtendedKeyUsage: usages(ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE)})
        .issue(SERVER_NAME)
    ),
)
case("a server's certificate issued another", shared("leaf_as_ca"), NOT_A_CA, "basicConstraints says that it is none")
case(
    "an authority without keyCertSign", shared("ca_without_cert_sign"), NOT_A_CA, "keyUsage does not allow keyCertSign"
)
case(
    "an authority without basicConstraints",
    lambda: root().intermediate(extensions={x509.BasicConstraints: None}).issue(SERVER_NAME),
    NOT_A_CA,
    "it has no basicConstraints",
)


def _version_1_authority() -> tuple[bytes, ...]:
    authority = root().intermediate()
    der = forged(authority.der, root().key, lambda fields: fields.update(version=b"", extensions=b""))
    return authority.issue(SERVER_NAME).chain[0], der


case("an authority of version 1", _version_1_authority, NOT_A_CA, "it has no basicConstraints")


def _root_that_is_none() -> Made:
    authority = Authority.create(extensions={x509.BasicConstraints: (x509.BasicConstraints(False, None), True)})
    return presented(authority.issue(SERVER_NAME), authority)


case("the trusted root is no authority", _root_that_is_none, NOT_A_CA, "trusted root")
case(
    "a server's certificate of a client", lambda: presented(leaf(), name=None, client=True), USAGE, "and not clientAuth"
)
