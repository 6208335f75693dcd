"""Chains that are made to take long: the work is counted, not timed."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.verification import Criticality, ExtensionPolicy, PolicyBuilder, VerificationError

from handfast import errors, limits, reasons
from handfast.certificates import constraints, path, strength, work
from handfast.certificates.der import parts
from handfast.certificates.parsed import parsed
from handfast.certificates.policy import ChainVerifier
from handfast.certificates.store import TrustStore
from handfast.errors import CertificateError
from handfast.testing import GOOD, Authority, chain
from handfast.testing.authority import certify, subject_of
from handfast.testing.chains import SERVER_NAME, root
from handfast.transport.aio_offload import OffLoop

NOW = datetime.now(UTC)
VERIFIER = ChainVerifier(root().trust)


def validity() -> tuple[datetime, datetime]:
    return NOW - timedelta(days=1), NOW + timedelta(days=1)


def twins(count: int) -> tuple[bytes, ...]:
    """A leaf, and authorities of one name and one key: each has issued each, and there are count^8 ways to go.

    All signatures are good, so that only the end of all ways shows that none leads to a root.
    """
    made = Authority.create("a twin")
    name = made.certificate.subject
    extensions = {type(item.value): (item.value, item.critical) for item in made.certificate.extensions}
    own = (x509.AuthorityKeyIdentifier.from_issuer_public_key(made.key.public_key()), False)
    extensions[x509.AuthorityKeyIdentifier] = own
    copies = [certify(name, made.key.public_key(), name, made.key, extensions, validity()) for _ in range(count)]
    return (made.issue(SERVER_NAME).chain[0], *copies)


def constrained(levels: int, per_level: int, names: int) -> tuple[bytes, ...]:
    """A good chain with so many authorities that exclude so many names each, and a leaf that has so many."""
    authority = root()
    excluded = x509.NameConstraints(None, [x509.DNSName(f"x{number}.test") for number in range(per_level)])
    for level in range(levels):
        authority = authority.intermediate(f"level {level}", extensions={x509.NameConstraints: (excluded, True)})
    return authority.issue(SERVER_NAME, *(f"n{number}.example" for number in range(names - 1))).chain


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts the signatures that our own search verifies, and the names that our own checks compare."""
    counts: Counter[str] = Counter()

    def counting(module: Any, name: str, as_what: str) -> None:
        real: Callable[..., Any] = getattr(module, name)

        def count(*arguments: Any, **options: Any) -> Any:
            counts[as_what] += 1
            return real(*arguments, **options)

        monkeypatch.setattr(module, name, count)

    counting(path, "is_signed_by", "signatures")
    counting(constraints, "_covers", "comparisons")
    return counts


# --- the bounds ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [2, 8, limits.CERTIFICATES_OF_A_CHAIN - 1])
@pytest.mark.parametrize("side", ["server", "client"])
def test_twins_are_not_followed_in_every_way(count: int, side: str, counted: Counter[str]) -> None:
    sent = twins(count)
    with pytest.raises(CertificateError):
        VERIFIER.verify_server(sent, SERVER_NAME, NOW) if side == "server" else VERIFIER.verify_client(sent, NOW)
    assert 0 < counted["signatures"] <= limits.ISSUERS_TRIED


def test_the_verifier_does_not_follow_twins_in_every_way_either() -> None:
    """We rely on a bound of `cryptography`: a check of ours that it calls for each issuer it looks at counts them."""
    looked_at = 0

    def count(*_: Any) -> None:
        nonlocal looked_at
        looked_at += 1

    authorities = ExtensionPolicy.webpki_defaults_ca().may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, count)
    builder = PolicyBuilder().store(root().trust.verification_store).max_chain_depth(limits.PATH_DEPTH)
    builder = builder.extension_policies(ee_policy=ExtensionPolicy.webpki_defaults_ee(), ca_policy=authorities)
    leaf, *others = map(x509.load_der_x509_certificate, twins(limits.CERTIFICATES_OF_A_CHAIN - 1))
    with pytest.raises(VerificationError):
        builder.build_server_verifier(x509.DNSName(SERVER_NAME)).verify(leaf, others)
    assert 0 < looked_at < 2_000  # and there are 15^8 ways


def test_comparisons_of_a_path_have_one_budget(counted: Counter[str]) -> None:
    sent = constrained(levels=8, per_level=60, names=60)
    assert limits.COMPARISONS_OF_A_PATH < 8 * 60 * 60
    assert VERIFIER.verify_server(sent, SERVER_NAME, NOW)  # the verifier has compared them all
    assert limits.COMPARISONS_OF_A_PATH // 2 < counted["comparisons"] <= limits.COMPARISONS_OF_A_PATH


def test_what_is_beyond_the_verifier_s_own_bound_is_refused() -> None:
    sent = constrained(levels=1, per_level=1_100, names=1_100)
    with pytest.raises(CertificateError) as caught:
        VERIFIER.verify_server(sent, SERVER_NAME, NOW)
    assert caught.value.reason is reasons.TOO_MANY_COMPARISONS


def test_a_budget() -> None:
    budget = constraints.Budget()
    assert budget.spend(limits.COMPARISONS_OF_A_PATH - 1)
    assert not budget.spend(2)
    assert budget.spend(1)
    assert not budget.spend(1)
    assert budget.spend(0)


# --- keys that take long ------------------------------------------------------------------------------------------------


def rsa_public(bits: int, exponent: int) -> rsa.RSAPublicKey:
    """A public key that nobody has the private half of: what is verified with it is never good, and takes its time."""
    modulus = (1 << bits) - 159 | 1
    return rsa.RSAPublicNumbers(exponent, modulus).public_key()


def with_key(key: Any) -> bytes:
    return certify(subject_of("slow"), key, root().certificate.subject, root().key, {}, validity())


@pytest.mark.parametrize(
    ("bits", "exponent"),
    [(2048, 3), (limits.RSA_BITS_MOST, 65537), (2048, (1 << limits.RSA_EXPONENT_BITS_MOST) - 1)],
)
def test_keys_that_do_not_take_long(bits: int, exponent: int) -> None:
    assert strength.excessive_key(parsed(with_key(rsa_public(bits, exponent)))) is None


@pytest.mark.parametrize(
    ("bits", "exponent", "problem"),
    [
        (limits.RSA_BITS_MOST + 1, 65537, "RSA of 8193 bits, of which more than 8192 take too long to verify"),
        (16384, 65537, "RSA of 16384 bits, of which more than 8192 take too long to verify"),
        (
            2048,
            (1 << limits.RSA_EXPONENT_BITS_MOST) + 1,
            "RSA with an exponent of 34 bits, of which more than 33 take too long",
        ),
        (3072, (1 << 2000) + 1, "RSA with an exponent of 2001 bits, of which more than 33 take too long"),
    ],
)
@pytest.mark.parametrize("side", ["server", "client"])
def test_keys_that_take_long_are_refused_unused(
    bits: int, exponent: int, problem: str, side: str, counted: Counter[str]
) -> None:
    slow = with_key(rsa_public(bits, exponent))
    leaf = root().issue(SERVER_NAME).chain[0]
    for sent, place in (((slow,), "certificate 1 of 1"), ((leaf, slow), "certificate 2 of 2")):
        with pytest.raises(errors.UnusableKey) as caught:
            VERIFIER.verify_server(sent, SERVER_NAME, NOW) if side == "server" else VERIFIER.verify_client(sent, NOW)
        assert caught.value.evidence["key"] == problem
        assert caught.value.evidence["position"] == place
        assert caught.value.certificate == slow
        assert caught.value.alert == 43
    assert not counted


def test_a_trusted_root_may_have_any_key_that_it_likes() -> None:
    """Whoever trusts it has chosen it; the peer has not. Nor is it sent."""
    made = root().issue(SERVER_NAME)
    trust = TrustStore.from_bytes(root().der, with_key(rsa_public(16384, 65537)))
    assert ChainVerifier(trust).verify_server(made.chain, SERVER_NAME, NOW)


# --- the estimate -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GOOD)
def test_good_chains_are_fast(name: str) -> None:
    assert not ChainVerifier(chain(name).trust).is_slow(chain(name).chain)


def test_a_chain_of_large_post_quantum_certificates_is_fast() -> None:
    authority = Authority.create(key="mldsa87")
    sent = authority.intermediate(key="mldsa87").issue(SERVER_NAME, key="mldsa87").chain
    assert sum(map(len, (*sent, authority.der))) < limits.QUICK_BYTES
    assert not VERIFIER.is_slow((*sent, authority.der))


def long_chain() -> tuple[bytes, ...]:
    authority = root()
    for number in range(limits.QUICK_CERTIFICATES):
        authority = authority.intermediate(f"authority {number}")
    return authority.issue(SERVER_NAME).chain


SLOW: dict[str, Callable[[], tuple[bytes, ...]]] = {
    "many certificates": long_chain,
    "many bytes": lambda: (bytes(limits.QUICK_BYTES + 1),),
    "many names": lambda: (root().issue(*(f"{number}.example.com" for number in range(400))).chain[0],),
    "a large RSA key": lambda: (root().issue(SERVER_NAME).chain[0], with_key(rsa_public(4097, 65537))),
    "many constraints": lambda: constrained(levels=2, per_level=40, names=40),
    "twins": lambda: twins(4),
}


@pytest.mark.parametrize("name", SLOW)
def test_what_is_slow(name: str) -> None:
    assert VERIFIER.is_slow(SLOW[name]())


def test_what_is_just_not_slow() -> None:
    assert not VERIFIER.is_slow(long_chain()[1:])
    assert not VERIFIER.is_slow((with_key(rsa_public(4096, 65537)),))
    assert not VERIFIER.is_slow(constrained(levels=2, per_level=20, names=40))
    assert not VERIFIER.is_slow(twins(1))
    leaf = root().issue(SERVER_NAME).chain[0]
    assert not VERIFIER.is_slow((leaf,) * limits.QUICK_CERTIFICATES)


def with_extension_bytes(count: int) -> bytes:
    """A certificate whose extensions have so many bytes."""

    def made(padding: int) -> bytes:
        filler = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), bytes(padding))
        return root().issue(SERVER_NAME, extensions={x509.UnrecognizedExtension: (filler, False)}).chain[0]

    return made(4_096 + count - len(parts(made(4_096)).extensions))


def test_an_event_loop_waits_for_so_much_and_no_more() -> None:
    some = limits.QUICK_BYTES // 4  # of one certificate; what cannot be read is refused at once
    for just, more in (
        ([b""] * limits.QUICK_CERTIFICATES, [b""]),
        ([bytes(some)] * 4, [b"0"]),
        ([bytes(limits.QUICK_CERTIFICATE_BYTES)], None),
    ):
        assert not VERIFIER.is_slow(just)
        assert VERIFIER.is_slow([*just, *more] if more is not None else [just[0] + b"0"])
    for of_size, most, step in (
        (lambda bits: (with_key(rsa_public(bits, 65537)),), limits.QUICK_RSA_BITS, 1),
        (lambda count: (with_extension_bytes(count),), limits.QUICK_EXTENSION_BYTES, 1),
        (lambda count: constrained(levels=1, per_level=32, names=count // 32 - 2), limits.QUICK_COMPARISONS, 32),
    ):
        assert not VERIFIER.is_slow(of_size(most))
        assert VERIFIER.is_slow(of_size(most + step))


def test_that_it_is_slow_is_seen_without_looking_at_each_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """To make objects of thirty thousand bytes of names took 40 ms, on the event loop that is to be spared."""
    monkeypatch.setattr(work, "parsed", None)
    assert VERIFIER.is_slow(SLOW["many names"]())


@pytest.mark.parametrize(
    "sent",
    [(), (b"",), (b"nonsense",) * 6, (b"\x30\x82",) * 2, (b"\x30" * 4000,) * 2],
    ids=["none", "empty", "text", "cut", "deep"],
)
def test_what_cannot_be_read_is_refused_at_once_and_so_not_slow(sent: tuple[bytes, ...]) -> None:
    assert not VERIFIER.is_slow(sent)


def test_the_estimate_is_bounded_itself() -> None:
    found = work.steps([parsed(der) for der in twins(limits.CERTIFICATES_OF_A_CHAIN - 1)])
    assert limits.QUICK_STEPS < found <= limits.QUICK_STEPS + limits.CERTIFICATES_OF_A_CHAIN


def test_an_estimate_of_names() -> None:
    sent = [parsed(der) for der in constrained(levels=2, per_level=5, names=7)]
    assert work.comparisons(sent) == (7 + len(sent)) * 10  # each has a subject, too
    assert work.comparisons([parsed(root().der)]) == 0


# --- constraints of a trusted root --------------------------------------------------------------------------------------


def below_a_constrained_root(constraints_of_it: int, names: int) -> tuple[tuple[bytes, ...], ChainVerifier]:
    excluded = x509.NameConstraints(None, [x509.DNSName(f"x{number}.test") for number in range(constraints_of_it)])
    authority = Authority.create(extensions={x509.NameConstraints: (excluded, True)})
    made = authority.issue(SERVER_NAME, *(f"n{number}.example" for number in range(names - 1)))
    return made.chain, ChainVerifier(authority.trust)


def test_constraints_of_the_root_count() -> None:
    chain_of_it, verifier = below_a_constrained_root(50, 60)
    assert verifier.is_slow(chain_of_it)
    assert not VERIFIER.is_slow(chain_of_it)  # which does not know that root
    assert verifier.verify_server(chain_of_it, SERVER_NAME, NOW)


def test_what_is_slow_leaves_the_event_loop_alone() -> None:
    """Of a chain that is small itself, and below a root with many constraints."""
    chain_of_it, verifier = below_a_constrained_root(50, 60)
    threads: list[int] = []

    class Watched(ChainVerifier):
        def verify_server(self, *arguments: Any) -> Any:
            threads.append(threading.get_ident())
            return super().verify_server(*arguments)

    async def verify(sent: tuple[bytes, ...]) -> None:
        found = OffLoop(Watched(verifier.trust)).verify_server(sent, SERVER_NAME, NOW)
        if inspect.isawaitable(found):
            await found

    asyncio.run(verify(chain_of_it))
    assert threads.pop() != threading.get_ident()
    plain = ChainVerifier(root().trust)
    assert not plain.is_slow(root().issue(SERVER_NAME).chain)


def test_names_in_great_numbers_are_slow() -> None:
    many = root().issue(SERVER_NAME, *(f"n{number}.example" for number in range(1_000)))
    assert len(many.chain[0]) > limits.QUICK_CERTIFICATE_BYTES
    assert VERIFIER.is_slow(many.chain)
    assert VERIFIER.verify_server(many.chain, SERVER_NAME, NOW)


def test_too_many_comparisons_are_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    chain_of_it, verifier = below_a_constrained_root(300, 1_000)
    monkeypatch.setattr(ChainVerifier, "_verdict", lambda *_: pytest.fail("the verifier was asked"))
    with pytest.raises(CertificateError) as caught:
        verifier.verify_server(chain_of_it, SERVER_NAME, NOW)
    assert caught.value.reason is reasons.TOO_MANY_COMPARISONS
    assert caught.value.alert == 42
    assert caught.value.evidence == {"comparisons": 300 * 1_001, "limit": limits.COMPARISONS_OF_A_CHAIN}


def test_what_is_just_not_too_many() -> None:
    chain_of_it, verifier = below_a_constrained_root(261, 1_000)
    assert limits.COMPARISONS_OF_A_CHAIN > 261 * 1_001
    # Our own comparisons have a budget; beyond it the verifier alone has compared, and did so.
    assert verifier.verify_server(chain_of_it, SERVER_NAME, NOW)


def test_ways_are_gone_one_by_one_so_their_comparisons_add_up() -> None:
    excluded = (x509.NameConstraints(None, [x509.DNSName(f"x{number}.test") for number in range(200)]), True)
    made = Authority.create("a twin", extensions={x509.NameConstraints: excluded})
    name, key = made.certificate.subject, made.key
    extensions = {type(item.value): (item.value, item.critical) for item in made.certificate.extensions}
    copies = [certify(name, key.public_key(), name, key, extensions, validity()) for _ in range(4)]
    sent = [parsed(der) for der in (made.issue(*(f"n{n}.example" for n in range(200))).chain[0], *copies)]
    assert work.comparisons(sent) < limits.COMPARISONS_OF_A_CHAIN
    assert work.excessive(sent, root().trust) == work.comparisons(sent) * work.steps(sent)
    assert work.excessive(sent[:2], root().trust) is None


# --- names that nobody reads --------------------------------------------------------------------------------------------


def test_a_name_has_a_longest_length() -> None:
    def named(padding: int) -> bytes:
        name = x509.Name([x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "a" * padding)])
        return certify(name, root().key.public_key(), root().certificate.subject, root().key, {}, validity())

    most = 4_000 + limits.NAME_BYTES - len(parsed(named(4_000)).raw.subject)
    assert parsed(named(most)).subject == "O=" + "a" * most
    parsed(named(most)).check_names()
    assert parsed(named(most + 1)).subject == ""
    with pytest.raises(errors.CertificateUnreadable):
        parsed(named(most + 1)).check_names()


def test_a_name_of_thousands_of_parts_is_not_written_down() -> None:
    parts = [x509.NameAttribute(x509.NameOID.COMMON_NAME, f"part {number}") for number in range(400)]
    key, name = root().key, x509.Name(parts)
    der = certify(name, key.public_key(), root().certificate.subject, key, root().leaf_extensions(key, []), validity())
    assert len(parsed(der).raw.subject) > limits.NAME_BYTES
    assert parsed(der).subject == ""
    with pytest.raises(CertificateError) as caught:
        VERIFIER.verify_server((der,), SERVER_NAME, NOW)
    assert caught.value.reason is reasons.CERTIFICATE_UNREADABLE
    assert "one of its names has" in str(caught.value)
