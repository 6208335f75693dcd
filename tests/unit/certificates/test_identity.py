"""Who we prove to be: from files and memory, and every way that this fails."""

from __future__ import annotations

import copy
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from handfast import reasons
from handfast.certificates import pem
from handfast.certificates.identity import Identity, LocalSigner, Signer
from handfast.certificates.parsed import parsed
from handfast.certificates.peer import PeerIdentity
from handfast.config import ClientConfig, ServerConfig
from handfast.crypto import signatures
from handfast.errors import ConfigurationError, MisuseError, PeerIncompatible
from handfast.testing import Authority, IssuedIdentity, pair
from handfast.testing.authority import key_pem
from handfast.testing.chains import certified, root
from handfast.testing.keys import new_key
from handfast.wire.codepoints import SignatureScheme as S


@pytest.fixture(scope="module")
def issued() -> IssuedIdentity:
    return root().intermediate().issue("server.example", "*.wild.example", "127.0.0.1")


def _der(key: Any, password: bytes | None = None) -> bytes:
    hidden = BestAvailableEncryption(password) if password else NoEncryption()
    encoded: bytes = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, hidden)
    return encoded


def _failure(reason: reasons.Reason, call: Any, *arguments: Any) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        call(*arguments)
    assert caught.value.reason is reason
    assert caught.value.alert is None
    assert caught.value.__cause__ is None
    return caught.value


# --- good ---------------------------------------------------------------------------------------------------------


def test_files(issued: IssuedIdentity, tmp_path: Path) -> None:
    certificates, key = issued.write(tmp_path)
    loaded = Identity.load(certificates, str(key))
    assert loaded.chain == issued.chain
    assert len(loaded.chain) == 2
    assert loaded.names == ("server.example", "*.wild.example", "127.0.0.1")
    assert loaded.schemes == (S.ECDSA_SECP256R1_SHA256,)
    assert isinstance(loaded.signer, Signer)


def test_one_file_for_both_in_either_order(issued: IssuedIdentity, tmp_path: Path) -> None:
    for content in (issued.certificate_pem + issued.key_pem, issued.key_pem + issued.certificate_pem):
        both = tmp_path / "both.pem"
        both.write_bytes(b"Some text before it.\r\n" + content)
        assert Identity.load(both, both).chain == issued.chain


def test_der_files(issued: IssuedIdentity, tmp_path: Path) -> None:
    certificate, key = tmp_path / "leaf.der", tmp_path / "key.der"
    certificate.write_bytes(issued.chain[0])
    key.write_bytes(_der(issued.key))
    assert Identity.load(certificate, key).chain == issued.chain[:1]


def test_memory(issued: IssuedIdentity) -> None:
    assert Identity.from_pem(issued.certificate_pem, issued.key_pem).chain == issued.chain
    assert Identity.from_der(issued.chain, _der(issued.key)).chain == issued.chain
    assert Identity(issued.chain, issued.key).chain == issued.chain
    assert Identity([bytearray(der) for der in issued.chain], issued.key).chain == issued.chain


@pytest.mark.parametrize("password", ["pässword", "pässword".encode()])
def test_encrypted_keys(issued: IssuedIdentity, password: str | bytes) -> None:
    encrypted = key_pem(issued.key, "pässword")
    assert Identity.from_pem(issued.certificate_pem, encrypted, password).chain == issued.chain
    assert Identity.from_der(issued.chain, _der(issued.key, "pässword".encode()), password).chain == issued.chain


def test_a_password_that_is_not_needed_does_no_harm(issued: IssuedIdentity) -> None:
    assert Identity.from_pem(issued.certificate_pem, issued.key_pem, "unused").chain == issued.chain


@pytest.mark.parametrize(
    ("kind", "schemes"),
    [
        ("p256", (S.ECDSA_SECP256R1_SHA256,)),
        ("p384", (S.ECDSA_SECP384R1_SHA384,)),
        ("p521", (S.ECDSA_SECP521R1_SHA512,)),
        ("rsa2048", (S.RSA_PSS_RSAE_SHA256, S.RSA_PSS_RSAE_SHA384, S.RSA_PSS_RSAE_SHA512)),
        ("ed25519", (S.ED25519,)),
        ("ed448", (S.ED448,)),
        ("mldsa44", (S.MLDSA44,)),
        ("mldsa65", (S.MLDSA65,)),
        ("mldsa87", (S.MLDSA87,)),
    ],
)
def test_each_kind_of_key_signs_with_its_schemes(kind: str, schemes: tuple[int, ...]) -> None:
    made = root().issue("server.example", key=kind)
    loaded = Identity.from_pem(made.certificate_pem, made.key_pem)
    assert loaded.schemes == schemes
    for scheme in schemes:
        signature = loaded.signer.sign(scheme, b"content")
        assert isinstance(signature, bytes)
        signatures.verify(parsed(made.chain[0]).key, scheme, signature, b"content")


ECDSA_12 = (S.ECDSA_SECP256R1_SHA256, S.ECDSA_SECP384R1_SHA384, S.ECDSA_SECP521R1_SHA512)
PSS_12 = (S.RSA_PSS_RSAE_SHA256, S.RSA_PSS_RSAE_SHA384, S.RSA_PSS_RSAE_SHA512)
PKCS1_12 = (S.RSA_PKCS1_SHA256, S.RSA_PKCS1_SHA384, S.RSA_PKCS1_SHA512)


@pytest.mark.parametrize(
    ("kind", "schemes"),
    [
        ("p256", ECDSA_12),
        ("p384", (S.ECDSA_SECP384R1_SHA384, S.ECDSA_SECP256R1_SHA256, S.ECDSA_SECP521R1_SHA512)),
        ("p521", (S.ECDSA_SECP521R1_SHA512, S.ECDSA_SECP256R1_SHA256, S.ECDSA_SECP384R1_SHA384)),
        ("rsa2048", (*PSS_12, *PKCS1_12)),
        ("rsapss2048-sha384", (S.RSA_PSS_PSS_SHA384,)),
        ("ed25519", (S.ED25519,)),
        ("ed448", (S.ED448,)),
        ("mldsa65", ()),
    ],
)
def test_each_kind_of_key_has_other_schemes_in_tls_1_2(kind: str, schemes: tuple[int, ...]) -> None:
    """ECDSA with any hash, that of the curve first, and RSA PKCS#1 last; ML-DSA is for TLS 1.3 alone."""
    made = root().issue("server.example", key=kind)
    assert made.schemes_12 == schemes
    leaf = parsed(made.chain[0])
    for scheme in schemes:
        signature = made.signer.sign(scheme, b"content")
        assert isinstance(signature, bytes)
        signatures.verify(leaf.key, scheme, signature, b"content", signatures.SCHEMES_12, pss=leaf.pss)


def test_a_signer_may_be_for_tls_1_2_alone() -> None:
    """A token that knows RSA PKCS#1 alone is good for that."""

    class Old:
        schemes = (S.RSA_PKCS1_SHA256,)

        def sign(self, scheme: int, content: bytes) -> bytes:
            raise AssertionError("nobody asks it here")

    identity = Identity(root().issue("server.example", key="rsa2048").chain, Old())
    assert (identity.schemes, identity.schemes_12) == ((), (S.RSA_PKCS1_SHA256,))


class _Remote:
    """A key that is somewhere else."""

    schemes = (S.RSA_PKCS1_SHA256, S.ECDSA_SECP256R1_SHA256)

    async def sign(self, scheme: int, content: bytes) -> bytes:
        return b"signature"


def test_a_signer_of_ones_own(issued: IssuedIdentity) -> None:
    remote = _Remote()
    identity = Identity(issued.chain, remote)
    assert identity.signer is remote
    # What a signer can do beside does not go with the certificate's key.
    assert identity.schemes == identity.schemes_12 == (S.ECDSA_SECP256R1_SHA256,)


@pytest.mark.parametrize(
    ("name", "fits"),
    [
        (None, True),
        ("server.example", True),
        ("SERVER.example.", True),
        ("127.0.0.1", True),
        ("a.wild.example", True),
        ("wild.example", False),
        ("a.b.wild.example", False),
        ("other.example", False),
        ("", False),
    ],
)
def test_the_names_it_fits(issued: IssuedIdentity, name: str | None, fits: bool) -> None:
    assert issued.fits(name) is fits


def test_whether_an_authority_issued_it() -> None:
    top = Authority.create("top")
    middle = top.intermediate("middle")
    made = middle.issue("server.example")
    names = {authority: parsed(authority.der).raw.subject for authority in (top, middle)}
    assert made.issued_by([names[middle]])
    assert made.issued_by((b"0\0", names[top]))
    assert made.issued_by(top.trust.subjects())
    assert not made.issued_by([])
    assert not made.issued_by([parsed(made.chain[0]).raw.subject])
    assert not made.issued_by(root().trust.subjects())
    alone = middle.issue("server.example", send_chain=False)
    assert not alone.issued_by([names[top]])  # which is true, and cannot be seen


# --- secrets -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps])
def test_it_cannot_be_copied(issued: IssuedIdentity, duplicate: Any) -> None:
    for thing in (issued, issued.signer):
        with pytest.raises(MisuseError):
            duplicate(thing)


def test_it_shows_names_and_no_key(issued: IssuedIdentity) -> None:
    assert repr(Identity(issued.chain, issued.key)) == "<Identity server.example, *.wild.example, 127.0.0.1>"
    assert repr(LocalSigner(issued.key)) == "<LocalSigner>"
    hostile = root().issue(common_name="\x1b[31mred")
    assert "\x1b" not in repr(hostile)


# --- failures ------------------------------------------------------------------------------------------------------


def test_a_missing_file(issued: IssuedIdentity, tmp_path: Path) -> None:
    certificates, key = issued.write(tmp_path)
    missing = tmp_path / "missing.pem"
    for files in ((missing, key), (certificates, missing)):
        error = _failure(reasons.FILE_UNREADABLE, Identity.load, *files)
        assert error.evidence["file"] == str(missing)
        assert error.evidence["problem"] == "No such file or directory"


def test_a_folder_instead_of_a_file(issued: IssuedIdentity, tmp_path: Path) -> None:
    error = _failure(reasons.FILE_UNREADABLE, Identity.load, tmp_path, tmp_path)
    assert error.evidence["problem"] == "Is a directory"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(issued: IssuedIdentity, tmp_path: Path) -> None:
    certificates, key = issued.write(tmp_path)
    key.chmod(0)
    error = _failure(reasons.FILE_UNREADABLE, Identity.load, certificates, key)
    assert error.evidence["problem"] == "Permission denied"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        b"-----BEGIN CERTIFICATE-----\nnot base64!\n-----END CERTIFICATE-----\n",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n",
    ],
)
def test_a_file_without_a_certificate(issued: IssuedIdentity, tmp_path: Path, content: bytes) -> None:
    certificates, key = issued.write(tmp_path)
    certificates.write_bytes(content)
    error = _failure(reasons.NOT_A_CERTIFICATE, Identity.load, certificates, key)
    assert error.evidence["file"] == str(certificates)
    assert error.evidence["problem"]


def test_files_given_the_wrong_way_round(issued: IssuedIdentity, tmp_path: Path) -> None:
    certificates, key = issued.write(tmp_path)
    error = _failure(reasons.NOT_A_CERTIFICATE, Identity.load, key, certificates)
    assert error.evidence["file"] == str(key)
    error = _failure(reasons.NOT_A_KEY, Identity.load, certificates, certificates)
    assert error.evidence["file"] == str(certificates)


def test_a_bad_certificate_further_down_the_chain(issued: IssuedIdentity) -> None:
    chain = [issued.chain[0], issued.chain[1][:-1]]
    _failure(reasons.NOT_A_CERTIFICATE, Identity, chain, issued.key)
    _failure(reasons.NOT_A_CERTIFICATE, Identity.from_der, chain, _der(issued.key))
    _failure(reasons.NOT_A_CERTIFICATE, Identity.from_pem, b"".join(map(pem.certificate, chain)), issued.key_pem)


def test_no_certificate_in_memory(issued: IssuedIdentity) -> None:
    _failure(reasons.NOT_A_CERTIFICATE, Identity, [], issued.key)
    _failure(reasons.NOT_A_CERTIFICATE, Identity.from_der, [], _der(issued.key))
    _failure(reasons.NOT_A_CERTIFICATE, Identity.from_pem, issued.chain[0], issued.key_pem)


@pytest.mark.parametrize("content", [b"", b"hello", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
@pytest.mark.parametrize("password", [None, "password"])
def test_a_file_without_a_key(issued: IssuedIdentity, tmp_path: Path, content: bytes, password: str | None) -> None:
    certificates, key = issued.write(tmp_path)
    key.write_bytes(content)
    error = _failure(reasons.NOT_A_KEY, Identity.load, certificates, key, password)
    assert error.evidence["file"] == str(key)
    assert error.evidence["problem"]


# PKCS#8 of Ed25519, one byte short: `cryptography` has an InternalError for it.
SHORT_KEY = bytes.fromhex("302d020100300506032b65700421041f") + bytes(31)


def test_a_key_that_is_too_short(issued: IssuedIdentity) -> None:
    error = _failure(reasons.NOT_A_KEY, Identity.from_der, issued.chain, SHORT_KEY)
    assert error.evidence["problem"] == "it is damaged"


def test_a_public_key_is_none(issued: IssuedIdentity) -> None:
    public = issued.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    _failure(reasons.NOT_A_KEY, Identity.from_pem, issued.certificate_pem, public)
    _failure(reasons.NOT_A_KEY, Identity, issued.chain, issued.key.public_key())
    _failure(reasons.NOT_A_KEY, Identity, issued.chain, "key.pem")


@pytest.mark.parametrize(
    ("password", "problem"),
    [(None, "no password was given"), ("", "no password was given"), ("wrong", "the password is wrong")],
)
def test_an_encrypted_key_without_its_password(
    issued: IssuedIdentity, tmp_path: Path, password: str | None, problem: str
) -> None:
    certificates, key = issued.write(tmp_path)
    for content in (key_pem(issued.key, "right"), _der(issued.key, b"right")):
        key.write_bytes(content)
        error = _failure(reasons.KEY_ENCRYPTED, Identity.load, certificates, key, password)
        assert error.evidence == {"file": str(key), "problem": problem}


def test_a_key_of_another_certificate(issued: IssuedIdentity, tmp_path: Path) -> None:
    certificates, key = issued.write(tmp_path)
    key.write_bytes(key_pem(new_key("p256")))
    error = _failure(reasons.KEY_MISMATCH, Identity.load, certificates, key)
    assert error.evidence["file"] == str(key)
    assert error.evidence["certificate_file"] == str(certificates)
    assert error.evidence["certificate"] == "CN=handfast test,O=handfast testing"
    _failure(reasons.KEY_MISMATCH, Identity, issued.chain, new_key("ed25519"))
    _failure(reasons.KEY_MISMATCH, Identity.from_der, issued.chain, _der(new_key("rsa2048")))


def test_a_chain_in_the_wrong_order_is_named(issued: IssuedIdentity) -> None:
    error = _failure(reasons.KEY_MISMATCH, Identity, issued.chain[::-1], issued.key)
    assert error.evidence["problem"] == "it belongs to certificate 2; our own has to come first"


@pytest.mark.parametrize("curve", [ec.SECP224R1(), ec.SECP256K1(), ec.BrainpoolP256R1()])
def test_keys_that_tls_has_no_scheme_for(curve: ec.EllipticCurve) -> None:
    key = ec.generate_private_key(curve)
    error = _failure(reasons.BAD_CONFIGURATION, Identity, certified(key), key)
    assert error.evidence["key"] == curve.name


def test_a_key_that_cannot_sign(issued: IssuedIdentity) -> None:
    key = x25519.X25519PrivateKey.generate()
    _failure(reasons.KEY_MISMATCH, Identity.from_der, issued.chain, _der(key))


def test_a_signer_without_schemes(issued: IssuedIdentity) -> None:
    class Useless:
        schemes = ()

        def sign(self, scheme: int, content: bytes) -> bytes:
            return b""

    _failure(reasons.BAD_CONFIGURATION, Identity, issued.chain, Useless())


class Listing:
    """A key that says what it can sign with: not all that it could."""

    def __init__(self, signer: Signer, *schemes: int) -> None:
        self._signer = signer
        self.schemes = schemes

    def sign(self, scheme: int, content: bytes) -> Any:
        assert scheme in self.schemes, "nothing else is asked for"
        return self._signer.sign(scheme, content)


PKCS1 = (S.RSA_PKCS1_SHA256, S.RSA_PKCS1_SHA512)


def only_12(*schemes: int) -> tuple[Authority, Identity]:
    """Somebody with an RSA key in an old token, which cannot do PSS."""
    authority = Authority.create()
    issued = authority.issue("localhost", key="rsa2048", usage=("server", "client"))
    return authority, Identity(issued.chain, Listing(issued.signer, *schemes))


def test_an_identity_of_tls_1_2_alone_on_both_sides() -> None:
    authority, who = only_12(*PKCS1)
    client, server = pair(
        ClientConfig(trust=authority.trust, identities=[who]),
        ServerConfig(
            identities=[who], max_version="1.2", client_authentication="required", client_trust=authority.trust
        ),
    )
    for facts in (client.handshake, server.handshake):
        assert facts is not None
        assert facts.version == "TLSv1.2"
        assert facts.signature_scheme == facts.client_signature_scheme == "rsa_pkcs1_sha256"


def test_an_identity_of_tls_1_2_alone_has_no_use_in_tls_1_3() -> None:
    """The version is agreed before it is known who we are: a server of such a key alone has to say max_version="1.2"."""
    authority, who = only_12(*PKCS1)
    with pytest.raises(PeerIncompatible) as caught:
        pair(ClientConfig(trust=authority.trust), ServerConfig(identities=[who]))
    assert caught.value.reason is reasons.NO_COMMON_SIGNATURE_SCHEME
    # A client that has nothing else shows nothing.
    server = ServerConfig(
        identities=[authority.issue("localhost")], client_authentication="optional", client_trust=authority.trust
    )
    client, _ = pair(ClientConfig(trust=authority.trust, identities=[who]), server)
    assert client.handshake is not None
    assert (client.handshake.version, client.handshake.identity) == ("TLSv1.3", None)


def test_schemes_of_both_versions_are_kept_apart() -> None:
    _, who = only_12(S.RSA_PKCS1_SHA256, S.RSA_PSS_RSAE_SHA256, S.ED25519, S.RSA_PSS_PSS_SHA256)
    assert who.schemes == (S.RSA_PSS_RSAE_SHA256,)  # Ed25519 and id-RSASSA-PSS are of other keys
    assert who.schemes_12 == (S.RSA_PKCS1_SHA256, S.RSA_PSS_RSAE_SHA256)


# --- the peer's ----------------------------------------------------------------------------------------------------


def test_a_proof_cannot_be_made_by_hand(issued: IssuedIdentity) -> None:
    leaf = parsed(issued.chain[0])
    with pytest.raises(TypeError):
        PeerIdentity(object(), leaf, issued.chain, (), "server.example", "chain")


def test_what_can_be_read_from_a_proof() -> None:
    from handfast.insecure import NoVerification

    made = Authority.create().issue("server.example", "127.0.0.1", "spiffe://trust.example/service")
    leaf = parsed(made.chain[0])
    peer = NoVerification().verify_server(made.chain, "server.example", leaf.not_before)
    assert peer.subject == "CN=handfast test,O=handfast testing"
    assert peer.issuer == "CN=handfast test root,O=handfast testing"
    assert peer.subject_alternative_names == (
        "DNS:server.example",
        "IP:127.0.0.1",
        "URI:spiffe://trust.example/service",
    )
    assert peer.not_before < peer.not_after
    assert peer.not_before.utcoffset() is not None
    assert peer.public_key == made.key.public_key()
    assert peer.pss is None
    assert "verified by nothing" in repr(peer)
    for duplicate in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(MisuseError):
            duplicate(peer)
