"""Requests: only what is asked for by name or allowed is granted, and nothing else of them gets into a certificate."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from handfast import ChainVerifier, ConfigurationError, reasons
from handfast.authority import Authority, Limits, Request
from handfast.authority.making import key_usage
from handfast.limits import NAMES_OF_A_SIGNING_REQUEST, SIGNING_REQUEST
from handfast.testing.keys import new_key
from tests.peers import require_peer

KEY = new_key("p256")


@pytest.fixture(scope="module")
def issuer() -> Authority:
    return Authority.create("root").intermediate("intermediate")


def request(
    *names: str,
    key: Any = KEY,
    common_name: str = "somebody",
    more: Sequence[tuple[x509.ExtensionType, bool]] = (),
    general: Sequence[x509.GeneralName] = (),
) -> bytes:
    """A request as a client makes it, DER."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    )
    found = [*map(x509.DNSName, names), *general]
    if found:
        builder = builder.add_extension(x509.SubjectAlternativeName(found), critical=False)
    for extension, critical in more:
        builder = builder.add_extension(extension, critical)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def names_in(der: bytes) -> list[str]:
    found = x509.load_der_x509_certificate(der).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return [str(name.value) for name in found.value]


def refused(data: bytes) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        Request(data, "a.csr")
    assert caught.value.reason is reasons.REQUEST_REFUSED
    return caught.value


def test_the_names_are_those_that_are_named(issuer: Authority) -> None:
    chain = issuer.sign(Request(request()), "www.example.com", "192.0.2.1")
    assert names_in(chain[0]) == ["www.example.com", "192.0.2.1"]
    certificate = x509.load_der_x509_certificate(chain[0])
    assert certificate.public_key() == KEY.public_key()
    assert certificate.subject.rfc4514_string() == "CN=www.example.com"
    assert ChainVerifier(issuer.trust).verify_server(chain, "192.0.2.1", datetime.now(UTC))


def test_what_is_not_named_or_allowed_is_refused_and_listed(issuer: Authority) -> None:
    asking = Request(request("www.example.com", "evil.example.org"), "a.csr")
    for names, allow in (((), ()), (("www.example.com",), ()), ((), ("example.com",)), (("other.example.com",), ())):
        with pytest.raises(ConfigurationError) as caught:
            issuer.sign(asking, *names, allow=allow)
        assert caught.value.reason is reasons.REQUEST_FOR_OTHER_NAMES
        assert "evil.example.org" in str(caught.value.evidence["asked_for"])
    assert names_in(issuer.sign(asking, "www.example.com", "evil.example.org")[0])
    chain = issuer.sign(asking, allow=["example.com"], drop_others=True)
    assert names_in(chain[0]) == ["www.example.com"]


def test_a_wildcard_is_granted_by_its_name_alone(issuer: Authority) -> None:
    asking = Request(request("*.example.com"))
    with pytest.raises(ConfigurationError):
        issuer.sign(asking, allow=["example.com"])
    assert names_in(issuer.sign(asking, "*.example.com")[0]) == ["*.example.com"]


@pytest.mark.parametrize(
    "name",
    [
        x509.UniformResourceIdentifier("spiffe://example.com/admin"),
        x509.UniformResourceIdentifier("https://example.com/admin"),
        x509.RFC822Name("root@example.com"),
    ],
    ids=str,
)
def test_who_somebody_is_is_granted_by_its_name_alone(issuer: Authority, name: x509.GeneralName) -> None:
    """Whoever runs www.example.com asks for it, and says that he is its administrator."""
    asking = Request(request("www.example.com", general=[name]))
    with pytest.raises(ConfigurationError) as caught:
        issuer.sign(asking, allow=["example.com"])
    assert caught.value.evidence["asked_for"] == [name.value]
    chain = issuer.sign(asking, allow=["example.com"], drop_others=True)
    assert names_in(chain[0]) == ["www.example.com"]
    usage = x509.load_der_x509_certificate(chain[0]).extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [x509.ExtendedKeyUsageOID.SERVER_AUTH]
    assert names_in(issuer.sign(asking, name.value, allow=["example.com"])[0]) == [name.value, "www.example.com"]


def test_the_common_name_of_a_request_is_no_name(issuer: Authority) -> None:
    asking = Request(request(common_name="www.example.com"))
    with pytest.raises(ConfigurationError) as caught:
        issuer.sign(asking, allow=["example.com"])
    assert "no name to certify" in str(caught.value)


def test_no_extension_of_a_request_is_copied(issuer: Authority) -> None:
    greedy = [
        (x509.BasicConstraints(ca=True, path_length=None), True),
        (key_usage(key_cert_sign=True, crl_sign=True), True),
        (x509.ExtendedKeyUsage([x509.ObjectIdentifier("2.5.29.37.0")]), False),
        (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\0"), False),
    ]
    asking = Request(request("a.example", more=greedy))
    assert asking.left_out == ("basicConstraints", "keyUsage", "extendedKeyUsage", "1.2.3.4")
    ordinary = issuer.issue("a.example").chain[0]
    made = issuer.sign(asking, "a.example")[0]
    of_both = [
        [(item.oid, item.critical) for item in x509.load_der_x509_certificate(der).extensions]
        for der in (ordinary, made)
    ]
    assert of_both[0] == of_both[1]
    extensions = x509.load_der_x509_certificate(made).extensions
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert not extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign


def test_names_of_other_kinds(issuer: Authority) -> None:
    odd = [x509.RegisteredID(x509.ObjectIdentifier("1.2.3")), x509.DirectoryName(x509.Name([]))]
    asking = Request(request("a.example", general=odd))
    with pytest.raises(ConfigurationError) as caught:
        issuer.sign(asking, "a.example")
    assert caught.value.reason is reasons.REQUEST_FOR_OTHER_NAMES
    assert names_in(issuer.sign(asking, "a.example", drop_others=True)[0]) == ["a.example"]


def test_names_that_no_one_issues(issuer: Authority) -> None:
    asking = Request(request("a_b.example", "*.com", "a..b"))
    with pytest.raises(ConfigurationError) as caught:
        issuer.sign(asking, "a.example", allow=["example", "com"])
    assert caught.value.evidence["asked_for"] == ["a_b.example", "*.com", "a..b"]


def test_the_authority_s_limits_hold() -> None:
    limited = Authority.create("root", limits=Limits.of(["example.com"])).intermediate("intermediate")
    with pytest.raises(ConfigurationError) as caught:
        limited.sign(Request(request("example.org")), "example.org")
    assert caught.value.reason is reasons.NAME_NOT_ISSUED


@pytest.mark.parametrize("kind", ["rsa1024", "p224", "secp256k1", "dsa2048"])
def test_keys_that_nobody_should_have(issuer: Authority, kind: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        issuer.sign(Request(request(key=new_key(kind)), "a.csr"), "a.example")
    assert caught.value.reason is reasons.REQUEST_REFUSED
    assert caught.value.evidence["request"] == "a.csr"


# --- requests that are none -----------------------------------------------------------------------------------------------


def test_a_signature_that_is_not_the_key_s() -> None:
    good = request("a.example")
    assert "not signed by the key" in str(refused(good[:-1] + bytes((good[-1] ^ 1,))))
    assert "not signed by the key" in str(refused(good.replace(b"a.example", b"b.example")))


@pytest.mark.parametrize(
    "data",
    [b"", b"hello", b"\x30\x03\x02\x01\x00", request("a.example")[:-3], b"-----BEGIN CERTIFICATE REQUEST-----\nx"],
)
def test_what_is_no_request(data: bytes) -> None:
    refused(data)


def test_an_extension_that_the_parser_trips_over() -> None:
    """A TLS feature with a number that `cryptography` has no name for: it raises a KeyError."""
    feature = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.5.5.7.1.24"), bytes.fromhex("300402020505"))
    assert "it cannot be read" in str(refused(request("www.example.com", more=[(feature, False)])))


def test_a_certificate_is_no_request(issuer: Authority) -> None:
    refused(issuer.der)
    refused(issuer.pem)


def test_what_is_too_much() -> None:
    assert "65,536 bytes" not in str(refused(bytes(SIGNING_REQUEST)))
    assert "65,536 bytes" in str(refused(bytes(SIGNING_REQUEST + 1)))
    names = [f"a{number}.example" for number in range(NAMES_OF_A_SIGNING_REQUEST + 1)]
    assert len(Request(request(*names[1:])).names) == NAMES_OF_A_SIGNING_REQUEST
    assert "101 names" in str(refused(request(*names)))


@given(st.integers(0, 300), st.integers(1, 255))
def test_any_change_of_what_is_signed_is_a_refusal(place: int, change: int) -> None:
    changed = bytearray(request("a.example"))
    place %= len(x509.load_der_x509_csr(bytes(changed)).tbs_certrequest_bytes)
    changed[place] ^= change
    refused(bytes(changed))


@pytest.mark.parametrize("kind", ["ec -pkeyopt ec_paramgen_curve:P-256", "rsa:2048", "ed25519"])
def test_requests_of_openssl(tmp_path: Path, issuer: Authority, kind: str) -> None:
    subprocess.run(
        [
            require_peer("openssl"), "req", "-new", "-newkey", *kind.split(), "-nodes", "-keyout", "a.key", "-out", "a.csr",
            "-subj", "/CN=a.example", "-addext", "subjectAltName=DNS:a.example,IP:192.0.2.1,URI:spiffe://a.example/b",
        ],
        cwd=tmp_path, check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    asking = Request((tmp_path / "a.csr").read_bytes())
    chain = issuer.sign(asking, "spiffe://a.example/b", allow=["a.example", "192.0.2.0/24"])
    assert names_in(chain[0]) == ["spiffe://a.example/b", "a.example", "192.0.2.1"]


def test_requests_of_gnutls(tmp_path: Path, issuer: Authority) -> None:
    require_peer("gnutls-cli")
    (tmp_path / "template").write_text('cn = "a"\ndns_name = "a.example"\n')
    for words in (
        ["--generate-privkey", "--ecc", "--outfile", "a.key"],
        ["--generate-request", "--load-privkey", "a.key", "--template", "template", "--outfile", "a.csr"],
    ):
        subprocess.run(["certtool", *words], cwd=tmp_path, check=True, capture_output=True, timeout=60)
    chain = issuer.sign(Request((tmp_path / "a.csr").read_bytes()), "a.example", kind="client")
    assert names_in(chain[0]) == ["a.example"]
