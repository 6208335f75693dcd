"""Certificates that others make: trustme, and the openssl program in the ways its manual and many a blog show."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from handfast import errors, reasons
from handfast.certificates import pem
from handfast.certificates.identity import Identity
from handfast.certificates.parsed import parsed
from handfast.certificates.policy import ChainVerifier, Policy
from handfast.certificates.rules import findings
from handfast.certificates.store import TrustStore
from handfast.crypto import signatures
from handfast.testing import Authority
from handfast.wire.codepoints import SignatureScheme as S
from tests.peers import require_peer

# openssl makes certificates that begin this very second, and a long run of tests may get here minutes after this line.
NOW = datetime.now(UTC) + timedelta(hours=1)


# --- trustme -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("below", [False, True])
def test_trustme(below: bool) -> None:
    authority = trustme.CA()
    issuer = authority.create_child_ca() if below else authority
    issued = issuer.issue_cert("server.example", "127.0.0.1")
    sent = [pem.certificates(item.bytes())[0] for item in issued.cert_chain_pems]
    trust = TrustStore.from_bytes(authority.cert_pem.bytes())
    with pytest.raises(errors.CertificateRuleBroken) as caught:
        ChainVerifier(trust).verify_server(sent, "server.example", NOW)
    assert caught.value.certificate == sent[0]
    switches = caught.value.evidence["relax"]
    assert switches == "critical-extended-key-usage, critical-subject-alternative-name"
    relaxed = ChainVerifier(trust, Policy(switches.split(", ")))
    assert len(relaxed.verify_server(sent, "127.0.0.1", NOW).path) == 2 + below
    with pytest.raises(errors.CertificateNameMismatch):
        relaxed.verify_server(sent, "other.example", NOW)
    certificates = b"".join(item.bytes() for item in issued.cert_chain_pems)
    assert Identity.from_pem(certificates, issued.private_key_pem.bytes()).names == ("server.example", "127.0.0.1")


# --- openssl -----------------------------------------------------------------------------------------------------------


class Shell:
    """Runs openssl in a folder of its own."""

    def __init__(self, program: str, folder: Path) -> None:
        self._program = program
        self.folder = folder

    def __call__(self, command: str) -> None:
        # A configuration of its own, so that what the machine has does not matter.
        (self.folder / "openssl.cnf").write_text(
            "[req]\ndistinguished_name = dn\nx509_extensions = ca\n[dn]\n[ca]\n"
            "subjectKeyIdentifier = hash\nauthorityKeyIdentifier = keyid:always,issuer\nbasicConstraints = critical,CA:true\n"
        )
        environment = {**os.environ, "OPENSSL_CONF": str(self.folder / "openssl.cnf")}
        done = subprocess.run(
            [self._program, *command.split()],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def trust(self, name: str) -> TrustStore:
        return TrustStore.from_files(self.folder / name)

    def chain(self, *names: str) -> list[bytes]:
        return [pem.certificates((self.folder / name).read_bytes())[0] for name in names]


@pytest.fixture
def openssl(tmp_path: Path) -> Shell:
    return Shell(require_peer("openssl"), tmp_path)


def _leaf(
    openssl: Shell, extensions: str, key: str = "-newkey ec -pkeyopt ec_paramgen_curve:P-256", digest: str = "-sha256"
) -> None:
    openssl.write("leaf.ext", extensions)
    openssl(f"req -new {key} -nodes -keyout leaf.key -subj /CN=server.example -out leaf.csr")
    openssl(
        f"x509 -req -in leaf.csr -CA ca.pem -CAkey ca.key -days 30 {digest} -extfile leaf.ext -out leaf.pem -set_serial 7"
    )


def test_a_root_by_req_has_no_key_usage(openssl: Shell) -> None:
    openssl("req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -subj /CN=my-root -days 30")
    _leaf(openssl, "subjectAltName=DNS:server.example\nauthorityKeyIdentifier=keyid\n")
    verifier = ChainVerifier(openssl.trust("ca.pem"))
    with pytest.raises(errors.CertificateRuleBroken) as caught:
        verifier.verify_server(openssl.chain("leaf.pem"), "server.example", NOW)
    assert caught.value.evidence["relax"] == "missing-key-usage"
    assert caught.value.evidence["position"] == "trusted root"
    relaxed = ChainVerifier(openssl.trust("ca.pem"), Policy("missing-key-usage"))
    assert relaxed.verify_server(openssl.chain("leaf.pem"), "server.example", NOW).issuer == "CN=my-root"


def test_a_leaf_without_extensions(openssl: Shell) -> None:
    """`openssl x509 -req` alone: no names at all."""
    openssl("req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -subj /CN=my-root -days 30")
    _leaf(openssl, "")
    with pytest.raises(errors.CertificateNameMismatch) as caught:
        ChainVerifier(openssl.trust("ca.pem")).verify_server(openssl.chain("leaf.pem"), "server.example", NOW)
    assert caught.value.reason is reasons.CERTIFICATE_WITHOUT_NAMES
    assert caught.value.evidence["common_name"] == "server.example"


@pytest.mark.parametrize("key", ["rsa:2048", "ec -pkeyopt ec_paramgen_curve:P-384", "ed25519"])
def test_a_self_signed_server(openssl: Shell, key: str) -> None:
    openssl(
        f"req -x509 -newkey {key} -nodes -keyout server.key -out server.pem -subj /CN=server.example -days 30"
        " -addext subjectAltName=DNS:server.example"
    )
    identity = Identity.load(openssl.folder / "server.pem", openssl.folder / "server.key")
    with pytest.raises(errors.SelfSignedCertificate):
        ChainVerifier(TrustStore.certifi()).verify_server(identity.chain, "server.example", NOW)
    peer = ChainVerifier(openssl.trust("server.pem")).verify_server(identity.chain, "server.example", NOW)
    assert peer.path == identity.chain


_RSA_PSS = "-newkey rsa-pss -pkeyopt rsa_keygen_bits:2048"


@pytest.mark.parametrize(
    ("options", "schemes"),
    [
        ("", (S.RSA_PSS_PSS_SHA256, S.RSA_PSS_PSS_SHA384, S.RSA_PSS_PSS_SHA512)),
        ("-pkeyopt rsa_pss_keygen_md:sha256 -pkeyopt rsa_pss_keygen_mgf1_md:sha256", (S.RSA_PSS_PSS_SHA256,)),
        ("-pkeyopt rsa_pss_keygen_md:sha384 -pkeyopt rsa_pss_keygen_mgf1_md:sha384", (S.RSA_PSS_PSS_SHA384,)),
    ],
)
def test_an_rsa_pss_server(openssl: Shell, options: str, schemes: tuple[int, ...]) -> None:
    openssl(
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -subj /CN=r -days 30"
        " -addext keyUsage=critical,keyCertSign"
    )
    _leaf(openssl, "subjectAltName=DNS:server.example\nauthorityKeyIdentifier=keyid\n", f"{_RSA_PSS} {options}")
    identity = Identity.load(openssl.folder / "leaf.pem", openssl.folder / "leaf.key")
    assert identity.schemes == schemes
    peer = ChainVerifier(openssl.trust("ca.pem")).verify_server(identity.chain, "server.example", NOW)
    assert peer.pss is not None
    for scheme in schemes:
        signature = identity.signer.sign(scheme, b"content")
        assert isinstance(signature, bytes)
        signatures.verify(peer.public_key, scheme, signature, b"content", pss=peer.pss)


def test_an_rsa_pss_key_for_sha1_has_no_scheme(openssl: Shell) -> None:
    openssl(
        f"req -x509 {_RSA_PSS} -pkeyopt rsa_pss_keygen_md:sha1 -pkeyopt rsa_pss_keygen_mgf1_md:sha1 -sha1"
        " -nodes -keyout server.key -out server.pem -subj /CN=server.example -days 30"
    )
    with pytest.raises(errors.ConfigurationError) as caught:
        Identity.load(openssl.folder / "server.pem", openssl.folder / "server.key")
    assert caught.value.evidence["key"] == "rsa-pss"


def test_an_rsa_pss_authority(openssl: Shell) -> None:
    """The verifier refuses its key, and we do not."""
    openssl(
        f"req -x509 {_RSA_PSS} -nodes -keyout ca.key -out ca.pem -subj /CN=r -days 30"
        " -addext keyUsage=critical,keyCertSign"
    )
    extensions = "subjectAltName=DNS:server.example\nauthorityKeyIdentifier=keyid\n"
    _leaf(openssl, extensions, digest="-sha256 -sigopt rsa_pss_saltlen:digest")
    peer = ChainVerifier(openssl.trust("ca.pem")).verify_server(openssl.chain("leaf.pem"), "server.example", NOW)
    assert peer.issuer == "CN=r"
    _leaf(openssl, extensions)  # which takes the longest salt there is room for
    with pytest.raises(errors.CertificateRuleBroken) as caught:
        ChainVerifier(openssl.trust("ca.pem")).verify_server(openssl.chain("leaf.pem"), "server.example", NOW)
    assert "a salt of 222 bytes" in str(caught.value.evidence["rule"])


@pytest.mark.parametrize(("digest", "name"), [("-sha1", "SHA-1"), ("-md5", "MD5")])
def test_broken_hashes(openssl: Shell, digest: str, name: str) -> None:
    openssl(
        "req -x509 -newkey rsa:2048 -sha256 -nodes -keyout ca.key -out ca.pem -subj /CN=r -days 30"
        " -addext keyUsage=critical,keyCertSign"
    )
    _leaf(openssl, "subjectAltName=DNS:server.example\nauthorityKeyIdentifier=keyid\n", digest=digest)
    with pytest.raises(errors.WeakCertificate) as caught:
        ChainVerifier(openssl.trust("ca.pem")).verify_server(openssl.chain("leaf.pem"), "server.example", NOW)
    assert caught.value.reason is reasons.WEAK_SIGNATURE
    assert caught.value.evidence["signature"] == name


def test_a_root_signed_with_sha1_is_trusted_all_the_same(openssl: Shell) -> None:
    openssl(
        "req -x509 -newkey rsa:2048 -sha1 -nodes -keyout ca.key -out ca.pem -subj /CN=r -days 30"
        " -addext keyUsage=critical,keyCertSign"
    )
    _leaf(openssl, "subjectAltName=DNS:server.example\nauthorityKeyIdentifier=keyid\n")
    assert ChainVerifier(openssl.trust("ca.pem")).verify_server(openssl.chain("leaf.pem"), "server.example", NOW)


def test_a_trusted_certificate_of_a_server_may_have_signed_itself_with_sha1(openssl: Shell) -> None:
    openssl(
        "req -x509 -newkey rsa:2048 -sha1 -nodes -keyout own.key -out own.pem -subj /CN=s -days 30"
        " -addext subjectAltName=DNS:server.example -addext basicConstraints=critical,CA:FALSE"
    )
    own = openssl.chain("own.pem")[:1]
    assert ChainVerifier(openssl.trust("own.pem")).verify_server(own, "server.example", NOW).path == tuple(own)


def test_an_authority_key_identifier_by_issuer_and_serial(openssl: Shell) -> None:
    """`issuer:always` beside `keyid`, as easy-rsa makes it: harmless."""
    openssl(
        "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -subj /CN=r -days 30"
        " -addext keyUsage=critical,keyCertSign"
    )
    _leaf(openssl, "subjectAltName=DNS:server.example\nauthorityKeyIdentifier=keyid,issuer:always\n")
    assert ChainVerifier(openssl.trust("ca.pem")).verify_server(openssl.chain("leaf.pem"), "server.example", NOW)


@pytest.mark.parametrize("form", ["traditional", "pkcs8", "parameters", "legacy encryption"])
def test_keys_as_openssl_writes_them(openssl: Shell, form: str) -> None:
    openssl(
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout a.key -out a.pem -subj /CN=a -days 30"
    )
    commands = {
        "traditional": "ec -in a.key -out b.key",
        "pkcs8": "pkcs8 -topk8 -v2 aes-256-cbc -passout pass:secret -in a.key -out b.key",
        "parameters": "ec -in a.key -out b.key",
        "legacy encryption": "ec -aes128 -passout pass:secret -in a.key -out b.key",
    }
    openssl(commands[form])
    if form == "parameters":
        openssl("ecparam -name prime256v1 -out parameters.pem")
        key = openssl.folder / "b.key"
        key.write_bytes((openssl.folder / "parameters.pem").read_bytes() + key.read_bytes())
    loaded = Identity.load(openssl.folder / "a.pem", openssl.folder / "b.key", "secret")
    assert loaded.schemes == (S.ECDSA_SECP256R1_SHA256,)
    if form in ("pkcs8", "legacy encryption"):
        with pytest.raises(errors.ConfigurationError) as caught:
            Identity.load(openssl.folder / "a.pem", openssl.folder / "b.key", "wrong")
        assert caught.value.reason is reasons.KEY_ENCRYPTED


def test_a_certificate_of_version_1(openssl: Shell) -> None:
    openssl("req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -subj /CN=my-root -days 30")
    openssl("req -new -newkey rsa:2048 -nodes -keyout leaf.key -subj /CN=server.example -out leaf.csr")
    openssl("x509 -req -in leaf.csr -CA ca.pem -CAkey ca.key -days 30 -out leaf.pem -set_serial 7")
    if parsed(openssl.chain("leaf.pem")[0]).certificate.version.name != "v1":
        pytest.skip("this openssl makes version 3")
    assert "it is not of version 3" in [
        breach.sentence for breach in findings(parsed(openssl.chain("leaf.pem")[0]), "leaf").breaches
    ]
    with pytest.raises(errors.CertificateNameMismatch):
        ChainVerifier(openssl.trust("ca.pem")).verify_server(openssl.chain("leaf.pem"), "server.example", NOW)
    # As a trusted certificate of a server it fails for its names as well; as an authority it is none.
    made = Shell(require_peer("openssl"), openssl.folder)
    made.write("below.ext", "subjectAltName=DNS:server.example\nauthorityKeyIdentifier=keyid,issuer\n")
    made("x509 -req -in leaf.csr -CA leaf.pem -CAkey leaf.key -days 30 -extfile below.ext -out below.pem -set_serial 8")
    with pytest.raises(errors.CertificateUsageError) as caught:
        ChainVerifier(made.trust("leaf.pem")).verify_server(made.chain("below.pem"), "server.example", NOW)
    assert caught.value.reason is reasons.NOT_A_CA


# OpenSSL 3.0 has no ML-DSA.
@pytest.mark.parametrize(
    "kind", ["p256", "p384", "p521", "rsa2048", "ed25519", "ed448", "rsapss2048", "rsapss2048-sha384"]
)
def test_openssl_accepts_what_the_testing_authority_makes(openssl: Shell, kind: str) -> None:
    authority = Authority.create(key=kind)
    bundle = authority.write(openssl.folder)
    made = authority.intermediate(key=kind).issue("server.example", "127.0.0.1", key=kind)
    certificates, key = made.write(openssl.folder)
    openssl(
        f"verify -x509_strict -CAfile {bundle} -untrusted {certificates} -purpose sslserver"
        f" -verify_hostname server.example {certificates}"
    )
    openssl(f"pkey -in {key} -check -noout")
    openssl(f"x509 -in {certificates} -noout -pubkey -out public.pem")
    openssl(f"pkey -in {key} -pubout -out same.pem")
    assert (openssl.folder / "public.pem").read_text() == (openssl.folder / "same.pem").read_text()
