"""Every good and broken chain: what is accepted, and with which error and alert the others are refused."""

from __future__ import annotations

import warnings
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from hypothesis import given, settings
from hypothesis import strategies as st

from handfast import errors, insecure, reasons
from handfast.certificates import parsed
from handfast.certificates.alike import alike
from handfast.certificates.policy import ChainVerifier, Policy
from handfast.certificates.rules import Role, Rule, findings
from handfast.errors import CertificateError, ConfigurationError, TLSError
from handfast.testing import BROKEN, GOOD, Authority, chain
from handfast.testing.authority import certify
from handfast.testing.chains import SERVER_NAME, root
from handfast.testing.keys import new_key
from tests.certificates.alerts import ALERTS
from tests.certificates.forging import INTEGER, element, forged
from tests.unit.certificates.made import NOW, refusal, refused, root_with_full_serial


@pytest.mark.parametrize("name", GOOD)
def test_good_chains(name: str) -> None:
    case = chain(name)
    peer = ChainVerifier(case.trust).verify_server(case.chain, case.server_name, NOW)
    assert peer.verified_by == "chain"
    assert peer.server_name == case.server_name
    assert peer.chain == case.chain
    assert peer.path[0] == case.chain[0]
    assert x509.load_der_x509_certificate(peer.path[-1]) in case.trust
    assert case.identity is not None
    assert peer.public_key == case.identity.key.public_key()


@pytest.mark.parametrize("name", BROKEN)
def test_broken_chains(name: str) -> None:
    case = chain(name)
    error = refusal(case)
    assert type(error) is case.error
    assert error.reason is case.reason
    assert error.alert == ALERTS[error.reason.name]
    assert error.sent_by == "us"
    if case.at_fault is not None:
        assert error.certificate == case.chain[case.at_fault]
    else:
        assert error.certificate is not None
        assert x509.load_der_x509_certificate(error.certificate) in case.trust
    assert str(error).startswith(error.reason.sentence)
    if name != "unreadable":
        place = "trusted root" if case.at_fault is None else f"certificate {case.at_fault + 1} of {len(case.chain)}"
        assert error.evidence["position"] == place
        assert error.evidence["subject"]
        assert error.evidence["issuer"]
    assert error.evidence.get("relax") == (None if case.relax is None else case.relax.value)


@pytest.mark.parametrize("name", [name for name in BROKEN if chain(name).relax])
def test_a_switch_relaxes_its_rule(name: str) -> None:
    case = chain(name)
    assert case.relax is not None
    for switch in (case.relax, case.relax.value):
        peer = ChainVerifier(case.trust, Policy([switch])).verify_server(case.chain, case.server_name, NOW)
        assert peer.verified_by == "chain"


@pytest.mark.parametrize("name", BROKEN)
def test_a_switch_relaxes_nothing_else(name: str) -> None:
    case = chain(name)
    others = [rule for rule in Rule if rule is not case.relax]
    error = refusal(case, *others)
    assert type(error) is case.error
    assert error.reason is case.reason


@pytest.mark.parametrize("name", [name for name in BROKEN if not chain(name).relax])
def test_where_no_switch_is_named_none_helps(name: str) -> None:
    assert refusal(chain(name), *Rule).reason is chain(name).reason


@pytest.mark.parametrize("name", GOOD)
def test_relaxing_everything_accepts_what_is_good(name: str) -> None:
    case = chain(name)
    assert ChainVerifier(case.trust, Policy(Rule)).verify_server(case.chain, case.server_name, NOW).path


@pytest.mark.parametrize("name", GOOD)
def test_good_chains_are_for_their_name_their_time_and_their_trust_only(name: str) -> None:
    case = chain(name)
    verifier = ChainVerifier(case.trust)
    with pytest.raises(errors.CertificateNameMismatch):
        verifier.verify_server(case.chain, "other.test", NOW)
    with pytest.raises(errors.CertificateExpired):
        verifier.verify_server(case.chain, case.server_name, NOW + timedelta(days=36500))
    with pytest.raises(errors.CertificateNotYetValid):
        verifier.verify_server(case.chain, case.server_name, NOW - timedelta(days=36500))
    with pytest.raises(errors.UnknownIssuer):
        ChainVerifier(Authority.create("somebody else").trust).verify_server(case.chain, case.server_name, NOW)


# --- odd ones, as they can only be made by hand ---------------------------------------------------------------------------


def breaches(der: bytes, role: Role) -> list[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `cryptography` warns of serial numbers that it will refuse
        found = findings(parsed.parsed_root(x509.load_der_x509_certificate(der)), role)
    return [breach.sentence for breach in found.breaches]


def test_serial_numbers() -> None:
    made = root_with_full_serial()
    serial = made.certificate.serial_number.to_bytes(20, "big")
    assert breaches(made.der.replace(serial, b"\x80" + bytes(19)), "root") == [
        "its serial number is negative or too long"
    ]
    assert breaches(made.der, "root") == []


@pytest.mark.parametrize(
    ("number", "broken"), [("00", False), ("00" + "80" * 20, False), ("7f" * 21, False), ("00" + "80" * 21, True)]
)
def test_the_length_of_serial_numbers(number: str, broken: bool) -> None:
    alike.cache_clear()  # nothing is known of the root, which has a number of its own
    serial = element(INTEGER, bytes.fromhex(number))
    der = forged(root().der, root().key, lambda fields: fields.update(serial=serial))
    assert breaches(der, "root") == ["its serial number is negative or too long"] * broken


def test_a_certificate_of_the_first_version() -> None:
    der = forged(root().der, root().key, lambda fields: fields.update(version=b"", extensions=b""))
    assert "it is not of version 3" in breaches(der, "leaf")


def test_an_issuer_without_a_name() -> None:
    key = new_key("p256")
    extensions = root().leaf_extensions(key, [])
    validity = (NOW, NOW + timedelta(days=1))
    der = certify(x509.Name([]), key.public_key(), x509.Name([]), root().key, extensions, validity)
    assert breaches(der, "leaf") == ["its issuer has no name"]
    assert parsed.parsed(der).self_issued


def test_names_that_are_no_text() -> None:
    """The verifier compares names byte by byte, so such a certificate may be good; to show it must not fail."""
    authority = Authority.create(key="rsa2048")
    made = authority.issue(SERVER_NAME)
    odd = x509.load_der_x509_certificate(made.chain[0]).tbs_certificate_bytes
    odd = odd.replace(b"\x0c\x0dhandfast test0", b"\x0c\x0dhandfast \xff\xff\xff\xff0")
    signature = authority.key.sign(odd, padding.PKCS1v15(), hashes.SHA256())
    original = x509.load_der_x509_certificate(made.chain[0]).tbs_certificate_bytes
    der = made.chain[0].replace(original, odd)[: -len(signature)] + signature
    assert der != made.chain[0]
    peer = ChainVerifier(authority.trust).verify_server((der,), SERVER_NAME, NOW)
    assert peer.subject == ""
    assert peer.subject_alternative_names == (f"DNS:{SERVER_NAME}",)
    assert refused((der,), root().trust).reason is reasons.CERTIFICATE_UNREADABLE


# --- the rest -----------------------------------------------------------------------------------------------------------


def test_a_name_is_needed() -> None:
    with pytest.raises(ConfigurationError):
        ChainVerifier(root().trust).verify_server(chain("good_chain").chain, None, NOW)


def test_policies() -> None:
    assert Policy() == Policy([])
    assert Policy(["missing-key-usage"]) == Policy([Rule.MISSING_KEY_USAGE]) == Policy("missing-key-usage")
    assert hash(Policy(Rule)) == hash(Policy(Rule))
    with pytest.raises(AttributeError):
        Policy().relax = frozenset(Rule)  # type: ignore[misc]
    with pytest.raises(ConfigurationError) as caught:
        Policy(["everything"])
    assert caught.value.evidence["known"] == [rule.value for rule in Rule]
    assert repr(ChainVerifier(root().trust, Policy("missing-key-usage"))).endswith("without missing-key-usage>")
    assert repr(ChainVerifier(root().trust)).endswith("1 root>>")


def test_no_verification() -> None:
    verifier = insecure.NoVerification()
    for name in BROKEN:
        case = chain(name)
        if name == "unreadable":
            with pytest.raises(errors.CertificateUnreadable):
                verifier.verify_server(case.chain, case.server_name, NOW)
            continue
        peer = verifier.verify_server(case.chain, case.server_name, NOW)
        assert (peer.verified_by, peer.path, peer.chain) == ("nothing", (), case.chain)
    assert verifier.verify_server(chain("good_chain").chain, None, NOW).server_name is None
    with pytest.raises(CertificateError) as caught:
        verifier.verify_server((), SERVER_NAME, NOW)
    assert caught.value.reason is reasons.NO_CERTIFICATE
    assert "anybody" in repr(verifier)


def test_no_verification_of_a_key_that_nobody_knows() -> None:
    der = chain("good_chain").chain[0]
    unknown = der.replace(bytes.fromhex("06082a8648ce3d030107"), bytes.fromhex("06082a8648ce3d03017f"))
    assert unknown != der
    with pytest.raises(errors.UnusableKey):
        insecure.NoVerification().verify_server((unknown,), SERVER_NAME, NOW)
    error = refused((unknown,), root().trust)
    assert isinstance(error, CertificateError)


def test_large_certificates_are_not_kept() -> None:
    names = [f"a-rather-long-name-to-make-this-certificate-large-{number}.example" for number in range(150)]
    made = root().issue(*names)
    assert len(made.chain[0]) > parsed.LARGE_BYTES
    assert parsed.parsed(made.chain[0]) is not parsed.parsed(made.chain[0])
    assert ChainVerifier(root().trust).verify_server(made.chain, names[7], NOW)
    assert parsed.parsed(root().der) is parsed.parsed(bytes(bytearray(root().der)))


def test_few_certificates_are_kept_of_those_that_take_much() -> None:
    """What a peer sends full of names takes fifty times its bytes."""
    names = [f"{number}.example" for number in range(200)]
    made = [parsed.parsed(root().issue(*names).chain[0]) for _ in range(parsed.LARGE_CERTIFICATES + 1)]
    assert parsed.SMALL_BYTES < len(made[0].der) <= parsed.LARGE_BYTES
    assert parsed.parsed(made[-1].der) is made[-1]
    assert parsed.parsed(made[0].der) is not made[0]


_MADE = chain("intermediate_sent")


@settings(max_examples=300)
@given(st.integers(0, 1), st.integers(0, 8 * 400 - 1))
def test_a_flipped_bit_is_never_accepted_and_never_a_crash(which: int, bit: int) -> None:
    sent = list(_MADE.chain)
    changed = bytearray(sent[which])
    changed[bit // 8 % len(changed)] ^= 1 << bit % 8
    sent[which] = bytes(changed)
    with pytest.raises(TLSError):
        ChainVerifier(_MADE.trust).verify_server(sent, SERVER_NAME, NOW)


@given(st.integers(0, 600), st.binary(max_size=40))
def test_a_cut_certificate_is_unreadable(length: int, tail: bytes) -> None:
    leaf = _MADE.chain[0]
    broken = leaf[: length % len(leaf)] + tail
    if broken == leaf:
        return
    with pytest.raises(CertificateError):
        ChainVerifier(_MADE.trust).verify_server([broken], SERVER_NAME, NOW)


@given(st.permutations(range(4)))
def test_the_order_of_intermediates_does_not_matter(order: list[int]) -> None:
    case = chain("any_order")
    sent = (case.chain[0], *(case.chain[1:][index] for index in order))
    assert len(ChainVerifier(case.trust).verify_server(sent, SERVER_NAME, NOW).path) == 4
