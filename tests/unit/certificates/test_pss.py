"""RSASSA-PSS keys: what their certificates limit them to, as identities, peers and authorities."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from handfast import errors, reasons
from handfast.certificates.der import PssParameters, pss_parameters
from handfast.certificates.identity import Identity, LocalSigner
from handfast.certificates.parsed import parsed
from handfast.certificates.policy import ChainVerifier, Policy
from handfast.certificates.rules import Rule
from handfast.crypto.signatures import PssKey
from handfast.errors import CertificateError, ConfigurationError
from handfast.testing import Authority, IssuedIdentity
from handfast.testing.authority import certify, subject_of
from handfast.testing.chains import SERVER_NAME, root
from handfast.testing.keys import new_key
from handfast.testing.pss import PssPrivateKey, parameters
from handfast.wire.codepoints import SignatureScheme as S

NOW = datetime.now(UTC)
RSA = new_key("rsa2048")
OID = bytes.fromhex("06092a864886f70d01010a")


def identifier(*contents: bytes) -> bytes:
    content = OID + b"".join(contents)
    return bytes((0x30, len(content))) + content


def leaf(raw: bytes) -> bytes:
    """A certificate whose key has these parameters."""
    key = PssPrivateKey(RSA, raw=raw)
    extensions = root().leaf_extensions(key, [SERVER_NAME])
    validity = (NOW - timedelta(days=1), NOW + timedelta(days=1))
    return certify(subject_of("pss"), key.public_key(), root().certificate.subject, root().key, extensions, validity)


# --- parameters ---------------------------------------------------------------------------------------------------------

SHA1_BY_DEFAULT = b"\x30\x00"
PARAMETERS: dict[str, tuple[bytes, int | None]] = {
    "none": (b"", None),
    "SHA-256": (parameters(256), 256),
    "SHA-384": (parameters(384), 384),
    "SHA-512": (parameters(512), 512),
    "a shorter salt": (parameters(256, salt_length=24), 256),
    "no salt": (parameters(256, salt_length=0), 256),
    "a salt longer than the hash": (parameters(256, salt_length=33), 0),
    "another hash in MGF1": (parameters(256, 384), 0),
    "SHA-1, the default": (SHA1_BY_DEFAULT, 0),
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_parameters_of_a_key(name: str) -> None:
    raw, bits = PARAMETERS[name]
    assert parsed(leaf(raw)).pss == PssKey(bits)


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_key_signs_within_its_parameters_only(name: str) -> None:
    raw, bits = PARAMETERS[name]
    everything = (S.RSA_PSS_PSS_SHA256, S.RSA_PSS_PSS_SHA384, S.RSA_PSS_PSS_SHA512)
    wanted = everything if bits is None else tuple(s for s in everything if str(bits) in S.name(s))
    if not wanted:
        with pytest.raises(ConfigurationError) as caught:
            Identity([leaf(raw)], RSA)
        assert caught.value.evidence["key"] == "rsa-pss"
        return
    identity = Identity([leaf(raw)], RSA)
    assert identity.schemes == wanted
    assert isinstance(identity.signer, LocalSigner)


def test_a_peer_with_a_key_that_tls_cannot_use() -> None:
    with pytest.raises(errors.UnusableKey) as caught:
        ChainVerifier(root().trust).verify_server([leaf(parameters(256, 384))], SERVER_NAME, NOW)
    assert caught.value.evidence["key"] == "RSASSA-PSS, with parameters that no scheme of TLS 1.3 has"


def test_a_peer_s_limits_are_known() -> None:
    peer = ChainVerifier(root().trust).verify_server([leaf(parameters(384))], SERVER_NAME, NOW)
    assert peer.pss == PssKey(384)


def test_an_ordinary_key_has_no_parameters() -> None:
    assert parsed(root().issue(SERVER_NAME, key="rsa2048").chain[0]).pss is None


def test_a_key_of_1024_bits_has_no_room_for_sha_512() -> None:
    """RFC 8017 section 9.1.1. It is skipped where schemes are chosen, and where it is all there is nothing is left."""
    short = new_key("rsa1024")
    key = PssPrivateKey(short)
    der = certify(subject_of("short"), key.public_key(), subject_of("short"), key, {}, (NOW, NOW + timedelta(days=1)))
    assert Identity([der], short).schemes == (S.RSA_PSS_PSS_SHA256, S.RSA_PSS_PSS_SHA384)
    assert root().issue(key="rsa1024").schemes == (S.RSA_PSS_RSAE_SHA256, S.RSA_PSS_RSAE_SHA384)
    only = PssPrivateKey(short, 512).public_key()
    der = certify(subject_of("short"), only, root().certificate.subject, root().key, {}, (NOW, NOW + timedelta(days=1)))
    with pytest.raises(ConfigurationError):
        Identity([der], short)


@pytest.mark.parametrize(
    "odd",
    [
        b"\x05\x00",  # NULL
        b"\x30\x03\xa3\x03",  # cut off
        b"\x30",
        b"\x30\x02\xa0\x00",
        b"\x30\x04\xa0\x02\x30\x00",
        b"\x30\x04\xa1\x02\x30\x00",
        parameters(256).replace(bytes.fromhex("2a864886f70d010108"), bytes.fromhex("2a864886f70d010109")),  # no MGF1
        parameters(256).replace(bytes.fromhex("608648016503040201"), bytes.fromhex("608648016503040301")),  # no hash
        parameters(256)[:1] + bytes((parameters(256)[1] + 5,)) + parameters(256)[2:] + b"\xa3\x03\x02\x01\x02",
    ],
    ids=bytes.hex,
)
def test_what_cannot_be_understood_fits_nothing(odd: bytes) -> None:
    found = pss_parameters(identifier(odd))
    assert found is not None
    assert not found.fits_tls


@given(st.binary(max_size=80))
def test_parameters_never_crash(odd: bytes) -> None:
    found = pss_parameters(identifier(odd) if len(odd) < 100 else odd)
    assert found is None or isinstance(found, PssParameters)


# --- authorities --------------------------------------------------------------------------------------------------------


def pss_root(hash_bits: int | None = None) -> Authority:
    authority = Authority.create("an authority with PSS", key="rsa2048")
    key = PssPrivateKey(authority.key, hash_bits)
    name = authority.certificate.subject
    extensions = {type(item.value): (item.value, item.critical) for item in authority.certificate.extensions}
    validity = (NOW - timedelta(days=1), NOW + timedelta(days=1))
    return Authority((certify(name, key.public_key(), name, key, extensions, validity),), key)


def signed(authority: Authority, algorithm: Any, rsa_padding: Any) -> IssuedIdentity:
    """A server's certificate, signed by the authority's bare RSA key as nobody should."""
    key = new_key("p256")
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject_of("a server"))
        .issuer_name(authority.certificate.subject)
        .public_key(key.public_key())
        .serial_number(77)
        .not_valid_before(NOW - timedelta(hours=1))
        .not_valid_after(NOW + timedelta(hours=1))
    )
    for extension in authority.leaf_extensions(key, [SERVER_NAME]).values():
        if extension is not None:
            builder = builder.add_extension(*extension)
    certificate = builder.sign(authority.key, algorithm, rsa_padding=rsa_padding)
    return IssuedIdentity([certificate.public_bytes(Encoding.DER)], key)


def pss(algorithm: Any, *, salt: int | None = None, mask: Any = None) -> padding.PSS:
    return padding.PSS(padding.MGF1(mask or algorithm), algorithm.digest_size if salt is None else salt)


@pytest.mark.parametrize("algorithm", [hashes.SHA256(), hashes.SHA384(), hashes.SHA512()], ids=lambda a: a.name)
@pytest.mark.parametrize("limit", [None, 256, 384, 512])
def test_an_authority_signs_with_the_hash_that_its_key_is_for(algorithm: Any, limit: int | None) -> None:
    authority = pss_root(limit)
    made = signed(authority, algorithm, pss(algorithm))
    bits = algorithm.digest_size * 8
    verifier = ChainVerifier(authority.trust)
    if limit in (None, bits):
        assert verifier.verify_server(made.chain, SERVER_NAME, NOW).path == (*made.chain, authority.der)
        return
    with pytest.raises(errors.CertificateRuleBroken) as caught:
        verifier.verify_server(made.chain, SERVER_NAME, NOW)
    assert caught.value.evidence["rule"] == f"it is signed with SHA-{bits}, which its issuer's key is not for"
    assert caught.value.certificate == made.chain[0]


SHA256 = hashes.SHA256()
ODD_SIGNATURES = {
    "PKCS#1 v1.5": (SHA256, padding.PKCS1v15(), "its issuer's key is for RSASSA-PSS alone"),
    "a short salt": (SHA256, pss(SHA256, salt=24), "parameters that TLS 1.3 does not have, such as a salt of 24 bytes"),
    "a long salt": (SHA256, pss(SHA256, salt=48), "parameters that TLS 1.3 does not have, such as a salt of 48 bytes"),
    "another hash in MGF1": (SHA256, pss(SHA256, mask=hashes.SHA384()), "parameters that TLS 1.3 does not have"),
    "SHA-224": (hashes.SHA224(), pss(hashes.SHA224()), "parameters that TLS 1.3 does not have"),
}


@pytest.mark.parametrize("name", ODD_SIGNATURES)
def test_an_authority_with_pss_has_to_sign_like_tls(name: str) -> None:
    algorithm, rsa_padding, rule = ODD_SIGNATURES[name]
    authority = pss_root()
    made = signed(authority, algorithm, rsa_padding)
    x509.load_der_x509_certificate(made.chain[0]).verify_directly_issued_by(authority.certificate)  # which sees nothing
    with pytest.raises(CertificateError) as caught:
        ChainVerifier(authority.trust, Policy(Rule)).verify_server(made.chain, SERVER_NAME, NOW)
    assert rule in str(caught.value.evidence["rule"])


def test_a_forged_signature_of_an_authority_with_pss() -> None:
    authority = pss_root()
    der = bytearray(authority.issue(SERVER_NAME).chain[0])
    der[-1] ^= 1
    with pytest.raises(CertificateError) as caught:
        ChainVerifier(authority.trust).verify_server([bytes(der)], SERVER_NAME, NOW)
    assert caught.value.reason is reasons.BAD_CERTIFICATE_SIGNATURE


def test_every_other_rule_holds_below_an_authority_with_pss() -> None:
    authority = pss_root()
    verifier = ChainVerifier(authority.trust)
    constrained = authority.intermediate(
        extensions={x509.NameConstraints: (x509.NameConstraints([x509.DNSName("example")], None), True)}
    )
    for made, reason in (
        (authority.issue("other.example"), reasons.CERTIFICATE_NAME_MISMATCH),
        (authority.issue(SERVER_NAME, usage=("client",)), reasons.CERTIFICATE_WRONG_USAGE),
        (authority.issue(SERVER_NAME, critical_san=True), reasons.CERTIFICATE_RULE_BROKEN),
        (authority.intermediate(key="rsa1024").issue(SERVER_NAME), reasons.WEAK_KEY),
        (authority.intermediate(extensions={x509.BasicConstraints: None}).issue(SERVER_NAME), reasons.NOT_A_CA),
        (constrained.issue(SERVER_NAME), reasons.CERTIFICATE_RULE_BROKEN),  # only the verifier enforces them
    ):
        with pytest.raises(CertificateError) as caught:
            verifier.verify_server(made.chain, SERVER_NAME, NOW)
        assert caught.value.reason is reason


# --- the testing authority's keys ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["rsapss2048", "rsapss2048-sha256", "rsapss2048-sha384", "rsapss2048-sha512"])
def test_an_issued_identity_is_written_as_what_it_is(kind: str) -> None:
    made = root().issue(SERVER_NAME, key=kind)
    found = x509.load_der_x509_certificate(made.chain[0])
    assert found.public_key_algorithm_oid.dotted_string == "1.2.840.113549.1.1.10"
    assert made.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()).count(OID) == 1
    again = Identity.from_pem(made.certificate_pem, made.key_pem)
    assert again.schemes == made.schemes
    assert all("pss_pss" in S.name(scheme) for scheme in made.schemes)
    assert kind == "rsapss2048" or [S.name(scheme) for scheme in made.schemes] == [
        f"rsa_pss_pss_sha{kind.removeprefix('rsapss2048-sha')}"
    ]


def test_its_keys_do_what_rsa_keys_do_but_for_encryption() -> None:
    key = PssPrivateKey(RSA)
    public = key.public_key()
    assert (key.key_size, public.key_size) == (2048, 2048)
    assert public == RSA.public_key() == public
    assert public != new_key("p256").public_key()
    assert public.public_numbers() == RSA.public_key().public_numbers()
    assert key.private_numbers() == RSA.private_numbers()
    assert isinstance(key, rsa.RSAPrivateKey)
    public.verify(key.sign(b"", key.padding, key.signature_hash), b"", key.padding, key.signature_hash)
    for call in (key.decrypt, public.encrypt, public.recover_data_from_signature):
        with pytest.raises(TypeError):
            call(b"")
    with pytest.raises(ConfigurationError):
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"password"))


@pytest.mark.parametrize("behind", [False, True])
def test_a_key_elsewhere_is_tried_as_each_certificate_wants_it(*, behind: bool) -> None:
    """An RSA certificate beside it takes a signature that its own, which is for RSASSA-PSS, does not."""

    class Elsewhere:
        schemes = (S.RSA_PSS_RSAE_SHA256, S.RSA_PSS_PSS_SHA256)

        def sign(self, scheme: int, content: bytes) -> bytes:
            return RSA.sign(content, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())

    ours, others = leaf(parameters(256)), root().issue(SERVER_NAME, key="rsa2048").chain[0]
    assert Identity.from_der([others, ours] if behind else [ours, others], Elsewhere()).chain == (ours,)
