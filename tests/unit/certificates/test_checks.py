"""Parts of the checks by themselves: strength, spans of time, near misses of names, surplus, policies."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import isqrt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from handfast import errors, reasons
from handfast.certificates.checks.times import lasted
from handfast.certificates.der import rsa_numbers
from handfast.certificates.names import near_miss
from handfast.certificates.parsed import parsed
from handfast.certificates.policy import ChainVerifier
from handfast.certificates.store import TrustStore
from handfast.certificates.strength import has_close_factors, has_roca, small_factor, weak_key
from handfast.certificates.surplus import surplus
from handfast.certificates.validation import level as level_of
from handfast.certificates.validation import policies as policies_of
from handfast.testing import Authority, chain
from handfast.testing.authority import certify
from handfast.testing.chains import SERVER_NAME, root
from handfast.testing.keys import new_key
from tests.certificates.forging import close_modulus, forged, info, modulus, roca_modulus, rsa_info, rsa_key, with_key

NOW = datetime.now(UTC)

# --- strength ------------------------------------------------------------------------------------------------------------


def test_roca() -> None:
    for _ in range(20):
        assert has_roca(roca_modulus())
    for _ in range(200):
        assert not has_roca(modulus(2048))
    assert not has_roca(roca_modulus() + 2)


# The modulus of a key that such a chip has made, and of one by Debian's OpenSSL: examples of the badkeys project (MIT).
BY_A_CHIP = int(
    "9132ad211fcc0dfb4dae48326ac864c227e4b394b09bd1c4930e197028a3c907694d2b489e4f69754aeae338c6ead939c57f406985cbbb8edf9a"
    "2055cc2946bc05d365ba67e896c6d4811152cfa2d290514f90b352eeef27feb72fbd8dcd5bc915a4f4494139cc1ca10a3244fa97e53275f57b55"
    "29b4e767379007798e112a4ba056c7b75cedb132cdf21f7bd3c9976d9da38815153477a13b3ebb2046d100a851dc00698f530d19396f00fbef2c"
    "4bf1659ebc4c7fd9556b5ffc93f03ca2d3dfacd222a5f028ab430a27ea31136c0c2f50c3c481931a635a37780f00d2727ae71aee9b40f8d1aae6"
    "8535c77a56317812beb5525d4a28364f31224acac52cf72d",
    16,
)
BY_DEBIAN = int(
    "c096530c4c4a343fc388ff8b6e14c88b617485966dd0f757f3decb2f03dfdfe6f518e0948f5387059bd5aa124f26d38f139dd6ebc23436056168"
    "9758e9b14e03f714508167374cbf64e24e26c3cd95ed5a5d04e3c404be157bb8090e9ada9cdc53ef7e806c1e77b5f10242150a24e9adf991088d"
    "af20a75beb54bc91fe43dd8755447fd3abdefb9f1c987a8b0419824504e213f8dd26a9c6b7ed2f2103d8422720f7a7400ce34743e4ce40440c69"
    "013efea2a39790fcdfccbb424da1d824adfe58071ed76d41af836e4093ea60f5719e250fa214f8631153a81eefc17d82e3f819da57691ed96025"
    "50074fdea73ac9e5cfe10f6b91adc31b402c3e370b03a559",
    16,
)


def test_roca_of_a_real_chip() -> None:
    assert has_roca(BY_A_CHIP)
    assert not has_roca(BY_DEBIAN)


@pytest.mark.parametrize("prime", [3, 167, 173, 751])
def test_a_modulus_with_a_small_factor(prime: int) -> None:
    number = modulus(2048)
    while number % prime or number % 2 == 0 or small_factor(number) != prime:
        number += 2
    assert not has_close_factors(number)
    assert _weakness(number) == f"RSA with a modulus that can be divided by {prime}"


def test_an_even_modulus() -> None:
    der = forged(root().issue(SERVER_NAME).chain[0], root().key, with_key(rsa_info(modulus(2048) + 1, 65_537)))
    weak = weak_key(parsed(der))
    assert weak is not None
    assert weak.sentence == "RSA with an even modulus, so that one of its factors is 2"


@pytest.mark.parametrize("apart", [2, 1 << 300, 1 << 515], ids=int.bit_length)
def test_a_modulus_of_primes_that_are_close_to_each_other(apart: int) -> None:
    """CVE-2022-26320: whoever has the certificate has the key."""
    assert _weakness(close_modulus(apart)) == "RSA with factors so close to each other that they are easily found"


@pytest.mark.parametrize(("rounds", "found"), [(1, True), (100, True), (101, False)])
def test_fermat_s_method_has_so_many_rounds(rounds: int, found: bool) -> None:
    a = modulus(1024) - 1
    b = isqrt(2 * a * (rounds - 1)) + 1
    b += 1 - b % 2
    assert has_close_factors((a - b) * (a + b)) is found


@pytest.mark.parametrize(("bits", "weak"), [(2047, True), (2048, False), (2049, False)])
def test_the_bits_of_a_modulus(bits: int, weak: bool) -> None:
    der = forged(root().issue(SERVER_NAME).chain[0], root().key, with_key(info(rsa_key(modulus(bits)))))
    assert (weak_key(parsed(der)) is not None) is weak


def test_a_modulus_as_it_should_be() -> None:
    for number in (BY_DEBIAN, close_modulus(1 << 600), new_key("rsa2048").public_key().public_numbers().n):
        assert small_factor(number) is None
        assert not has_close_factors(number)


def _weakness(number: int) -> str:
    """Why the certificate of a key with this modulus is refused."""
    made = root().issue(SERVER_NAME)
    der = forged(made.chain[0], root().key, with_key(info(rsa_key(number))))
    with pytest.raises(errors.WeakCertificate) as caught:
        ChainVerifier(root().trust).verify_server((der,), SERVER_NAME, NOW)
    assert caught.value.reason is reasons.WEAK_KEY
    return str(caught.value.evidence["key"])


@pytest.mark.parametrize("exponent", [1, 3, 4, 65536, 65537, 1 << 40])
def test_numbers_of_an_rsa_key(exponent: int) -> None:
    number = modulus(2048)
    assert rsa_numbers(rsa_info(number, exponent)) == (number, exponent)


def test_other_keys_have_no_such_numbers() -> None:
    assert rsa_numbers(info(new_key("p256").public_key())) is None
    assert rsa_numbers(rsa_info(modulus(2048), 3)[:40]) is None
    assert rsa_numbers(b"") is None


def with_exponent_3(issuer: Authority | None = None) -> Authority:
    """An authority with such a key: a root, or below another one."""
    key = rsa.generate_private_key(3, 2048)
    made = Authority.create("of the nineties") if issuer is None else issuer.intermediate("of the nineties")
    extensions = {type(item.value): (item.value, item.critical) for item in made.certificate.extensions}
    extensions[x509.SubjectKeyIdentifier] = (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
    above = made.certificate.issuer
    validity = (NOW - timedelta(days=1), NOW + timedelta(days=10))
    der = certify(
        made.certificate.subject, key.public_key(), above, issuer.key if issuer else key, extensions, validity
    )
    return Authority((der, *(issuer.chain if issuer else ())), key)


def test_no_root_may_have_the_exponent_1() -> None:
    """Everything is a signature of itself then."""
    for exponent, tolerable in ((1, False), (3, True)):
        key = with_key(rsa_info(modulus(2048), exponent))
        weak = weak_key(parsed(forged(root().der, root().key, key)))
        assert weak is not None
        assert weak.tolerable is tolerable


def test_a_short_key_is_not_tolerated_in_a_root() -> None:
    short = Authority.create(key="rsa1024")
    with pytest.raises(errors.WeakCertificate) as caught:
        ChainVerifier(short.trust).verify_server(short.issue(SERVER_NAME).chain, SERVER_NAME, NOW)
    assert caught.value.reason is reasons.WEAK_KEY
    assert caught.value.certificate == short.der


def test_an_old_root_may_have_the_exponent_3_and_no_other_authority() -> None:
    old = with_exponent_3()
    assert ChainVerifier(old.trust).verify_server(old.issue(SERVER_NAME).chain, SERVER_NAME, NOW)
    below = with_exponent_3(root())
    with pytest.raises(errors.WeakCertificate) as caught:
        ChainVerifier(root().trust).verify_server(below.issue(SERVER_NAME).chain, SERVER_NAME, NOW)
    assert caught.value.reason is reasons.WEAK_EXPONENT
    assert caught.value.certificate == below.der


def test_a_signature_that_does_not_go_with_the_issuer_s_key() -> None:
    authority = Authority.create()
    other = forged(authority.der, authority.key, with_key(info(rsa_key(modulus(2048)))))
    made = authority.issue(SERVER_NAME)
    with pytest.raises(errors.BadCertificateSignature) as caught:
        ChainVerifier(TrustStore.from_bytes(other)).verify_server(made.chain, SERVER_NAME, NOW)
    assert caught.value.certificate == made.chain[0]
    assert (
        caught.value.evidence["problem"]
        == "it is signed in a way that its issuer's key is not for, or that is not known here"
    )


# --- times ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (timedelta(0), "less than a second"),
        (timedelta(seconds=1), "1 second"),
        (timedelta(seconds=59.9), "59 seconds"),
        (timedelta(minutes=1), "1 minute"),
        (timedelta(minutes=119), "1 hour"),
        (timedelta(hours=47), "1 day"),
        (timedelta(days=700), "700 days"),
        (timedelta(days=7270), "7,270 days"),
    ],
)
def test_spans(span: timedelta, text: str) -> None:
    assert lasted(span) == text


def test_a_clock_that_nobody_can_have() -> None:
    made = root().issue(SERVER_NAME)
    with pytest.raises(errors.CertificateNotYetValid) as caught:
        ChainVerifier(root().trust).verify_server(made.chain, SERVER_NAME, datetime(1970, 1, 1, 0, 5, tzinfo=UTC))
    assert (
        caught.value.evidence["clock"]
        == "this machine's clock is wrong: it says 1970-01-01, and this program is younger"
    )


def test_a_certificate_that_is_merely_old_says_nothing_of_clocks() -> None:
    case = chain("expired")
    with pytest.raises(errors.CertificateExpired) as caught:
        ChainVerifier(case.trust).verify_server(case.chain, case.server_name, NOW)
    assert "clock" not in caught.value.evidence
    assert caught.value.evidence["expired_for"] in ("9 days", "10 days")


# --- names ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "presented", "says"),
    [
        ("a.b.example.com", ["*.example.com"], "stands for one label"),
        ("example.com", ["*.example.com"], "not for example.com itself"),
        ("www.com", ["*.com"], "which nobody owns"),
        ("foo.example.com", ["f*.example.com"], "not a whole label"),
        ("a.b.example.com", ["a.*.example.com"], "not in front"),
        ("a.b.example.com", ["a.*.example.org", "c.*.example.com", "a.*.b.example.com"], None),
        ("example.com", ["*"], "every name"),
        ("example.com", ["example.com\0.evil.example"], "characters that no name may have"),
        ("example.com", ["evil\0.example"], None),
        ("foo.example.com", ["foo.example.com."], "ends in a dot"),
        ("xn--bcher-kva.example", ["b\u00fccher.example"], "A-labels"),
        ("example.com", ["www.example.com"], "it is for www.example.com"),
        ("www.example.com", ["example.com"], "it is for example.com"),
        ("192.0.2.1", ["192.0.2.1"], "as a DNS name"),
        ("192.0.2.1", ["*.0.2.1"], None),
        ("example.com", ["example.org", "notexample.com"], None),
        ("example.com", [], None),
        ("a.example.com", ["*.b.example.com"], None),
    ],
)
def test_near_misses(name: str, presented: list[str], says: str | None) -> None:
    found = near_miss(name, presented)
    assert (found is None) is (says is None)
    assert says is None or says in (found or "")


# --- issuers ----------------------------------------------------------------------------------------------------------


def test_a_root_that_was_taken_out_is_called_so() -> None:
    other = Authority.create("another root")
    trust = root().trust.union(other.trust).without(root().trust.roots[0])
    with pytest.raises(errors.UnknownIssuer) as caught:
        ChainVerifier(trust).verify_server(root().issue(SERVER_NAME).chain, SERVER_NAME, NOW)
    assert caught.value.evidence["distrusted"] == "a root of this name was taken out by hand"


# --- surplus -------------------------------------------------------------------------------------------------------------


def kinds(chain_sent: tuple[bytes, ...], path: tuple[bytes, ...]) -> list[tuple[int, str]]:
    return [(item.position, item.kind) for item in surplus(chain_sent, path)]


def test_what_is_sent_in_surplus() -> None:
    lower = root().intermediate().intermediate("handfast test issuer")
    leaf, issuer, above = lower.issue(SERVER_NAME).chain
    stray = root().issue("stray.example").chain[0]
    stranger = Authority.create("a stranger").der
    path = (leaf, issuer, above, root().der)
    assert kinds((leaf, issuer, above), path) == []
    assert kinds(path, path) == [(4, "root")]
    assert kinds((leaf, above, issuer), path) == [(2, "order"), (3, "order")]
    assert kinds((leaf, issuer, issuer, above), path) == [(3, "duplicate")]
    assert kinds((leaf, stray, issuer, stranger, above), path) == [(2, "stray"), (4, "root")]
    found = surplus((leaf, issuer, above, stranger), path)[0]
    assert str(found) == f"certificate 4 ({parsed(stranger).subject}) is a root, which whoever trusts it has already"
    assert found.size == len(stranger)


def test_surplus_of_a_verified_peer() -> None:
    case = chain("any_order")
    peer = ChainVerifier(case.trust).verify_server(case.chain, case.server_name, NOW)
    assert kinds(peer.chain, peer.path) == [(2, "root"), (3, "order"), (4, "root"), (5, "order")]


def test_a_trusted_certificate_of_a_server_is_no_surplus() -> None:
    case = chain("self_signed_and_trusted")
    peer = ChainVerifier(case.trust).verify_server(case.chain, case.server_name, NOW)
    assert surplus(peer.chain, peer.path) == ()


# --- policies -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("oids", "level"),
    [
        (["2.23.140.1.1"], "extended validation"),
        (["1.2.3.4", "2.23.140.1.2.1"], "domain validated"),
        (["2.23.140.1.2.2"], "organization validated"),
        (["2.23.140.1.2.3"], "individual validated"),
        (["1.2.3.4"], None),
        ([], None),
    ],
)
def test_how_far_an_authority_looked(oids: list[str], level: str | None) -> None:
    policies = x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier(oid), None) for oid in oids])
    made = root().issue(SERVER_NAME, extensions={x509.CertificatePolicies: (policies, False)} if oids else None)
    certificate = parsed(made.chain[0])
    assert level_of(certificate) == level
    assert policies_of(certificate) == tuple(oids)
