"""What is found of certificates that are alike holds for each of them, as if it had been looked at alone."""

from __future__ import annotations

import datetime as dt
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from handfast.certificates import parsed as module
from handfast.certificates import pem
from handfast.certificates.alike import Alike, alike, outlined
from handfast.certificates.der import parts
from handfast.certificates.names import NameSet
from handfast.certificates.parsed import Parsed, parsed
from handfast.certificates.rules import findings
from handfast.errors import CertificateUnreadable
from tests.certificates.cases import CASES
from tests.certificates.forging import element, raw_extension

SAN, SKI, TIMESTAMPS = "2.5.29.17", "2.5.29.14", "1.3.6.1.4.1.11129.2.4.2"
OCTETS, SEQUENCE, DNS, IP = 0x04, 0x30, 0x82, 0x87
ROLES = tuple(itertools.product(("leaf", "issuer", "root"), ("server", "client")))
KEY = ec.generate_private_key(ec.SECP256R1())
RSA_KEY = rsa.generate_private_key(65537, 2048)
START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def made(*extensions: tuple[x509.ExtensionType, bool], key: Any = KEY, serial: int = 0) -> bytes:
    """A certificate of an authority that issues nothing twice."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "somebody")]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")]))
        .public_key(key.public_key())
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(START)
        .not_valid_after(START + dt.timedelta(days=90))
    )
    for value, critical in extensions:
        builder = builder.add_extension(value, critical)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(Encoding.DER)


def named(*names: str) -> tuple[x509.ExtensionType, bool]:
    return x509.SubjectAlternativeName(list(map(x509.DNSName, names))), False


def raw(oid: str, value: bytes) -> tuple[x509.ExtensionType, bool]:
    return raw_extension(oid, value), False


def alone(der: bytes, monkeypatch: pytest.MonkeyPatch) -> Parsed:
    """The same certificate, that nothing is alike to."""
    with monkeypatch.context() as patch:
        patch.setattr(module, "outlined", lambda raw: ((), None))
        patch.setattr(module, "alike", lambda _: Alike())
        return Parsed(der, x509.load_der_x509_certificate(der))


def limbo() -> list[bytes]:
    cases = json.loads((Path(__file__).parents[2] / "vectors" / "limbo.json").read_text())["testcases"]
    texts = {
        text
        for case in cases
        for text in (case["peer_certificate"], *case["untrusted_intermediates"], *case["trusted_certs"])
    }
    return [der for text in sorted(texts) for der in pem.certificates(text.encode())]


@pytest.mark.filterwarnings("ignore")
def test_each_is_as_if_it_stood_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    alike.cache_clear()
    broken = [der for case in CASES for der in case.made().chain]
    seen = 0
    for der in [*limbo(), *broken]:
        try:
            certificate = parsed(der)
        except CertificateUnreadable:
            with pytest.raises(Exception, match=""):
                alone(der, monkeypatch)
            continue
        other = alone(der, monkeypatch)
        seen += 1
        assert certificate.names.texts == other.names.texts
        assert certificate.critical == other.critical
        for extension in other.certificate.extensions:
            assert certificate.is_critical(type(extension.value)) == extension.critical
            if not isinstance(extension.value, x509.UnrecognizedExtension):
                assert certificate.extension(type(extension.value)) == extension.value
        for role, purpose in ROLES:
            assert findings(certificate, role, purpose) == findings(other, role, purpose)  # type: ignore[arg-type]
    assert seen > 400
    assert alike.cache_info().hits > 100


def test_what_differs_in_no_rule_is_alike() -> None:
    first = parsed(made(named("a.example"), (x509.SubjectKeyIdentifier(b"1" * 20), False)))
    second = parsed(made(named("b.example", "*.c.example"), (x509.SubjectKeyIdentifier(b"2" * 20), False), key=RSA_KEY))
    assert first.alike is second.alike
    assert findings(first, "leaf") is findings(second, "leaf")
    assert second.names.texts == ("b.example", "*.c.example")
    assert second.alternative_names == ("DNS:b.example", "DNS:*.c.example")
    assert second.extension(x509.SubjectKeyIdentifier) == x509.SubjectKeyIdentifier(b"2" * 20)


USAGE = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
CRITICAL_NAME = x509.SubjectAlternativeName([x509.DNSName("a.example")])
IDENTIFIER = x509.SubjectKeyIdentifier(b"1" * 20)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([named("a.example")], []),
        ([named("a.example")], [(CRITICAL_NAME, True)]),
        ([(USAGE, False)], [(USAGE, True)]),
        ([(IDENTIFIER, False)], [(IDENTIFIER, True)]),
        ([(IDENTIFIER, False)], [(x509.SubjectKeyIdentifier(b"1" * 19), False)]),
        ([(IDENTIFIER, False)], [raw("2.5.29.98", b"\x04\x14" + b"1" * 20)]),
        ([raw(TIMESTAMPS, b"\x04\x02\0\0")], [(raw_extension(TIMESTAMPS, b"\x04\x02\0\0"), True)]),
        ([raw(TIMESTAMPS, b"\x04\x02\0\0")], [raw(TIMESTAMPS[:-1] + "9", b"\x04\x02\0\0")]),
        ([(x509.BasicConstraints(False, None), True)], [(x509.BasicConstraints(True, None), True)]),
        ([(x509.BasicConstraints(True, 1), True)], [(x509.BasicConstraints(True, None), True)]),
        ([(USAGE, False), named("a.example")], [named("a.example"), (USAGE, False)]),
    ],
)
def test_what_a_rule_may_be_about_is_not_alike(one: list[Any], other: list[Any]) -> None:
    assert parsed(made(*one)).alike is not parsed(made(*other)).alike


def test_a_long_serial_number_is_its_own() -> None:
    usual = outlined(parts(made(serial=2**159 - 1)))[0]
    assert outlined(parts(made(serial=1)))[0] == usual
    for first in b"\x80\xff":  # which are below zero
        odd = made(serial=2**159 - 1).replace(b"\x7f" + b"\xff" * 19, bytes([first]) + b"\xff" * 19, 1)
        assert outlined(parts(odd))[0] != usual


def test_a_key_with_a_fault_shares_nothing() -> None:
    issuer = x509.AuthorityKeyIdentifier(b"2" * 20, None, None), False
    weak = parsed(made(named("a.example"), issuer, key=rsa.generate_private_key(65537, 1024)))
    good = parsed(made(named("b.example"), issuer))
    odd = parsed(made(named("c.example"), issuer, key=rsa.generate_private_key(65537, 2050)))
    assert weak.alike is good.alike is odd.alike
    assert findings(weak, "leaf").weak_key is not None
    assert findings(good, "leaf").plain
    assert findings(odd, "leaf").breaches


def names_of(*names: bytes) -> bytes:
    return element(SEQUENCE, *(element(DNS, name) for name in names))


@pytest.mark.parametrize(
    ("value", "names"),
    [
        (names_of(b"a.example"), ["a.example"]),
        (names_of(b"A.example", b"*.b.example", b""), ["a.example", "*.b.example", ""]),
        (names_of(*[b"name-%03d.example" % number for number in range(400)]), 400),
        (names_of(*[b"n%d.example" % number for number in range(12)]), 12),
        (names_of(b"a\0.example"), ["a\0.example"]),
        (names_of(b"a" * 125), ["a" * 125]),
        (names_of(b"a" * 126), ["a" * 126]),
        (names_of(b"a" * 127), ["a" * 127]),
        (names_of(b"a" * 126, b"b" * 125), ["a" * 126, "b" * 125]),  # 255 bytes
        (names_of(b"a" * 126, b"b" * 126), ["a" * 126, "b" * 126]),
        (element(SEQUENCE, element(DNS, b"a.example"), element(IP, bytes(4))), ["a.example", "0.0.0.0"]),
        (element(SEQUENCE, element(IP, bytes(15) + b"\1"), element(DNS, b"a.example")), ["a.example", "::1"]),
        # Read by `cryptography`, or refused by it.
        (names_of(b"a" * 128), None),
        (names_of("b\u00fccher.example".encode()), None),
        (names_of(b"\xff.example"), None),
        (names_of(), None),
        (element(SEQUENCE, element(IP, bytes(8))), None),
        (element(SEQUENCE, element(IP, bytes(5))), None),
        (element(SEQUENCE, element(IP)), None),
        (element(SEQUENCE, element(0xA7, bytes(4))), None),
        (element(SEQUENCE, element(DNS, b"a.example"), element(0x86, b"urn:a")), None),
        (element(SEQUENCE, element(IP, bytes(4)))[:-1], None),
        (names_of(b"a.example") + b"\0", None),
        (b"\x30\x81\x0b" + names_of(b"a.example")[2:], None),
        (b"\x30\x82\x00\x0b" + names_of(b"a.example")[2:], None),
        (b"\x30\x0b\x82\x81\x08a.examp.", None),
        (names_of(b"a.example") + element(DNS, b"b.example"), None),
        (b"\x30\x81\x78" + names_of(b"a" * 118)[2:], None),
        (element(SEQUENCE, b"\x82\x80" + b"a" * 128), None),
        (element(SEQUENCE, b"\x82\x82" + b"a" * 130), None),
        (b"\x30", None),
        (names_of(b"a.example")[:-1], None),
        (b"\x30\x0b\x82\x0aa.example", None),
        (b"\x30\x0c" + names_of(b"a.example")[2:] + b"\x82", None),
        (b"\x31" + names_of(b"a.example")[1:], None),
        (b"", None),
    ],
)
def test_names_are_read_as_cryptography_reads_them(value: bytes, names: list[str] | int | None) -> None:
    parsed(made(named("first.example")))
    der = made(raw(SAN, value))
    read = outlined(parts(der))[1]
    texts = None if read is None else list(read.texts)
    assert (len(texts) if isinstance(names, int) and texts else texts) == names
    try:
        extensions = x509.load_der_x509_certificate(der).extensions
        theirs = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except Exception:
        assert read is None
        with pytest.raises(CertificateUnreadable):
            parsed(der)
    else:
        hosts = NameSet(theirs.get_values_for_type(x509.DNSName), theirs.get_values_for_type(x509.IPAddress))
        if read is not None:
            assert read.texts == hosts.texts
        assert parsed(der).names.texts == tuple(text for text in hosts.texts if "/" not in text)  # nor any network


def timestamp(version: int = 0, extensions: bytes = b"", algorithms: bytes = b"\4\3", size: int = 71) -> bytes:
    signed = bytes([version]) + bytes(40) + prefixed(extensions) + algorithms + prefixed(bytes(size))
    return prefixed(signed)


def prefixed(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data


def timestamps(*items: bytes) -> bytes:
    return element(OCTETS, prefixed(b"".join(items)))


@pytest.mark.parametrize(
    ("value", "is_usual"),
    [
        (timestamps(timestamp(), timestamp(size=70)), True),
        (timestamps(timestamp(extensions=bytes(8))), True),
        (timestamps(timestamp(algorithms=b"\4\1", size=256)), True),
        (timestamps(), True),
        (timestamps(timestamp(algorithms=b"\5\3")), False),
        (timestamps(timestamp(version=1)), False),
        (timestamps(timestamp(algorithms=b"\7\3")), False),
        (timestamps(timestamp()[:-1]), False),
        (timestamps(timestamp(), b"\0"), False),
        (timestamps(prefixed(bytes(43) + b"\4\3" + b"\0\x46" + bytes(71))), False),
        (timestamps(prefixed(bytes(43) + b"\4\3" + b"\0\x48" + bytes(71))), False),
        (timestamps(prefixed(b"")), False),
        (element(OCTETS, b"\0"), False),
        (element(OCTETS, b""), False),
        (timestamps(timestamp()) + b"\0", False),
        (b"\x04\x81\x02\0\0", False),
        (element(SEQUENCE, prefixed(b"")), False),
        (b"", False),
    ],
)
def test_timestamps_are_left_out_where_cryptography_reads_them(value: bytes, is_usual: bool) -> None:
    first = parsed(made(named("first.example"), raw(TIMESTAMPS, timestamps(timestamp()))))
    der = made(named("second.example"), raw(TIMESTAMPS, value))
    assert (alike(outlined(parts(der))[0]) is first.alike) == is_usual
    try:
        _ = x509.load_der_x509_certificate(der).extensions
    except Exception:
        assert not is_usual
        with pytest.raises(CertificateUnreadable):
            parsed(der)
    else:
        assert parsed(der).extension(x509.PrecertificateSignedCertificateTimestamps) is not None


@pytest.mark.parametrize("value", [b"\x04\x14" + b"1" * 19, b"\x04\x15" + b"1" * 21, b"\x30\x14" + b"1" * 20, b""])
def test_a_key_identifier_that_is_none_is_no_less_unreadable(value: bytes) -> None:
    parsed(made(named("first.example"), (IDENTIFIER, False)))
    der = made(named("second.example"), raw(SKI, value))
    try:
        _ = x509.load_der_x509_certificate(der).extensions
    except Exception:
        with pytest.raises(CertificateUnreadable):
            parsed(der)
    else:
        assert parsed(der).extension(x509.SubjectKeyIdentifier) is not None


def test_an_extension_that_stands_there_twice_is_refused() -> None:
    parsed(made(named("first.example"), (IDENTIFIER, False)))
    der = made(named("second.example"), (IDENTIFIER, False), raw("2.5.29.98", b"\5\0"))
    twice = der.replace(bytes.fromhex("0603551d62"), bytes.fromhex("0603551d0e"))
    with pytest.raises(CertificateUnreadable):
        parsed(twice)


def test_unique_identifiers_in_front_of_the_extensions_are_kept() -> None:
    der = made(named("a.example"))
    cut = parts(der)._replace(extensions=b"\x81\x02\x00\x00" + parts(der).extensions)
    outline, names = outlined(cut)
    assert names is None
    assert cut.extensions in outline
