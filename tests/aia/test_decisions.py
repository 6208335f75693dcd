"""What is decided without any socket: what may be asked, what is taken, and what is remembered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from handfast import reasons
from handfast.certificates import pem
from handfast.certificates.aia import (
    Completion,
    Content,
    Fetch,
    IssuerCache,
    candidates,
    check_type,
)
from handfast.certificates.fetch_policy import FetchPolicy
from handfast.certificates.parsed import parsed
from handfast.certificates.policy import ChainVerifier
from handfast.clock import Clock
from handfast.errors import ConfigurationError, FetchFailed, MissingIntermediate
from handfast.limits import ISSUER_ADDRESSES, ISSUERS_OF_AN_ANSWER
from handfast.testing import Authority
from tests.aia.farm import NOW, Missing, lacking, points_to

URL = "http://authority.example/issuer.der"
PUBLIC = ["8.8.8.8", "2001:4860:4860::8888", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::"]
INNER = [
    *("127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.0.1", "169.254.1.1", "100.64.0.1", "0.0.0.0", "224.0.0.1"),
    *("240.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "::", "::1", "fe80::1%eth0", "fc00::1", "ff02::1"),
    *("168.63.129.16", "192.88.99.1", "64:ff9b:1::a00:1", "3fff::1", "5f00::1", "fec0::1", "::127.0.0.1"),
    *("::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "2001:db8::1", "not an address"),
]


@pytest.mark.parametrize("address", PUBLIC)
def test_the_public_internet_may_be_asked(address: str) -> None:
    assert FetchPolicy().why_not(address, 80) is None
    assert FetchPolicy().why_not(address, 8080) is None


@pytest.mark.parametrize("address", INNER)
def test_inner_addresses_may_not(address: str) -> None:
    failed = FetchPolicy().why_not(address, 80)
    assert failed is not None
    assert (failed.reason, failed.evidence["address"]) == (reasons.FETCH_ADDRESS, address)


def test_a_network_can_be_allowed_and_then_its_ports_too() -> None:
    policy = FetchPolicy(networks=["10.0.0.0/8", "fd00::/8"])
    for address in ("10.1.2.3", "::ffff:10.1.2.3", "fd00::7"):
        assert policy.why_not(address, 81) is None
    for address in ("192.168.0.1", "127.0.0.1", "fe80::1"):
        assert policy.why_not(address, 80) is not None


@pytest.mark.parametrize(
    "limits",
    [{"seconds": 0}, {"fetches": 0}, {"depth": -1}, {"size": 0}, {"redirects": -1}, {"networks": ["10.0.0.0/64"]}],
)
def test_a_policy_that_makes_no_sense(limits: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        FetchPolicy(**limits)


@pytest.fixture(scope="module")
def chain() -> tuple[bytes, ...]:
    return Authority.create().intermediate("upper").intermediate("lower").chain[:-1]


def loaded(ders: Sequence[bytes]) -> list[x509.Certificate]:
    return [x509.load_der_x509_certificate(der) for der in ders]


def test_every_form_that_an_issuer_comes_in(chain: tuple[bytes, ...]) -> None:
    assert candidates(Content(chain[0], "application/pkix-cert")) == [chain[0]]
    assert candidates(Content(chain[0])) == [chain[0]]
    assert candidates(Content(b"".join(map(pem.certificate, chain)), "text/plain")) == list(chain)
    for encoding in (Encoding.DER, Encoding.PEM):
        bundle = pkcs7.serialize_certificates(loaded(chain), encoding)
        assert sorted(candidates(Content(bundle, "application/pkcs7-mime"))) == sorted(chain)


def test_of_a_crowd_only_the_first_are_looked_at(chain: tuple[bytes, ...]) -> None:
    assert len(candidates(Content(pem.certificate(chain[0]) * ISSUERS_OF_AN_ANSWER))) == ISSUERS_OF_AN_ANSWER
    assert len(candidates(Content(pem.certificate(chain[0]) * (ISSUERS_OF_AN_ANSWER + 1)))) == ISSUERS_OF_AN_ANSWER


@pytest.mark.parametrize("kind", ["text/html", "application/json", "image/png", "application/ocsp-response"])
def test_types_of_other_things(kind: str) -> None:
    with pytest.raises(FetchFailed) as caught:
        check_type(kind)
    assert (caught.value.reason, caught.value.evidence) == (reasons.FETCH_TYPE, {"media_type": kind})


def test_the_addresses_of_a_certificate_are_read_in_their_order() -> None:
    urls = ("ldap://x/", "http://a/", "http://b/")
    identity = Authority.create().issue("a.example", extensions=points_to(*urls))
    assert parsed(identity.chain[0]).issuer_addresses == urls
    assert parsed(Authority.create().issue("a.example").chain[0]).issuer_addresses == ()


# --- the cache ------------------------------------------------------------------------------------------------------------


class Time:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def cache(time: Time) -> IssuerCache:
    return IssuerCache(2, seconds=100, failed=10, clock=Clock(monotonic=time))


def test_what_was_found_is_remembered_and_what_failed_is_shorter(cache: IssuerCache, time: Time) -> None:
    cache.keep("a", (b"x",))
    cache.keep("b", FetchFailed(reasons.FETCH_STATUS, status=404))
    time.now = 9.9
    assert cache.find("a") == (b"x",)
    again = cache.find("b")
    assert isinstance(again, FetchFailed)
    assert again.evidence == {"status": 404}
    assert again is not cache.find("b")
    time.now = 10.0
    assert cache.find("b") is None
    time.now = 100.0
    assert cache.find("a") is None
    assert len(cache) == 0


def test_what_was_not_used_for_longest_goes_first(cache: IssuerCache) -> None:
    cache.keep("a", (b"a",))
    cache.keep("b", (b"b",))
    assert cache.find("a")
    cache.keep("c", (b"c",))
    assert (cache.find("a"), cache.find("b"), cache.find("c")) == ((b"a",), None, (b"c",))


def test_a_cache_holds_no_more_bytes_than_it_may(time: Time) -> None:
    """Whoever is asked has chosen the addresses, and what they bring."""
    cache = IssuerCache(most=102, seconds=100, clock=Clock(monotonic=time))
    for url in ("a", "b"):
        cache.keep(url, (bytes(25), bytes(25)))
    cache.keep("b", (bytes(50),))  # in place of what was there
    assert cache.find("a") is not None  # so that it is the one that was used last
    cache.keep("c", (bytes(30),))
    assert [cache.find(url) is not None for url in "abc"] == [True, False, True]
    cache.keep("d", (bytes(102),))
    assert [cache.find(url) is not None for url in "abcd"] == [True, False, True, False]
    cache.keep("e", (bytes(101),))
    assert cache.find("e") is not None
    time.now = 100.0
    assert cache.find("e") is None
    cache.keep("f", (bytes(101),))  # what has gone holds nothing
    assert cache.find("f") is not None


def test_a_cache_holds_no_more_of_addresses_and_failures_either() -> None:
    """A certificate has room for an address of 100,000 characters, and a status line for a long story."""
    cache = IssuerCache(most=100)
    cache.keep("a" * 101, FetchFailed(reasons.FETCH_NOT_HTTP))
    cache.keep("b", FetchFailed(reasons.FETCH_BAD_ANSWER, problem="b" * 100))
    assert len(cache) == 0
    for url in ("c", "d", "e"):
        cache.keep(url, FetchFailed(reasons.FETCH_BAD_ANSWER, problem="x" * 49))
    assert [cache.find(url) is not None for url in "cde"] == [False, True, True]


def test_a_cache_of_nothing() -> None:
    cache = IssuerCache(0)
    cache.keep("a", (b"a",))
    assert cache.find("a") is None


# --- the script -----------------------------------------------------------------------------------------------------------


def run(missing: Missing, answers: dict[str, Content | FetchFailed], cache: IssuerCache | None = None) -> Any:
    """The identity or the error, what was asked, and the completion."""
    verifier = ChainVerifier(missing.trust)
    completion = Completion(missing.chain, FetchPolicy(), IssuerCache() if cache is None else cache)
    script = completion.run(lambda chain: verifier.verify_server(chain, "localhost", NOW))
    asked: list[str] = []
    try:
        wanted = next(script)
        while True:
            assert isinstance(wanted, Fetch)
            asked.append(wanted.url)
            wanted = script.send(answers[wanted.url])
    except StopIteration as end:
        return end.value, asked, completion
    except MissingIntermediate as error:
        return error, asked, completion


def test_a_chain_that_is_whole_asks_for_nothing() -> None:
    root = Authority.create()
    identity = root.intermediate().issue("localhost", extensions=points_to(URL))
    peer, asked, completion = run(Missing(root, identity.chain, []), {})
    assert (peer.chain, asked, completion.attempts) == (identity.chain, [], [])


def test_one_answer_may_bring_several_levels() -> None:
    missing = lacking(URL, above=("http://unused.example/",))
    bundle = pkcs7.serialize_certificates(loaded([*missing.missing, missing.root.der]), Encoding.DER)
    peer, asked, completion = run(missing, {URL: Content(bundle)})
    assert peer.path == (*missing.chain, *missing.missing, missing.root.der)
    assert peer.chain == missing.chain
    assert asked == [URL]
    assert completion.fetched == dict.fromkeys(missing.missing, URL)


def test_the_next_address_is_asked_where_one_fails() -> None:
    urls = ("ldap://directory.example/", "http://down.example/", "http://other.example/", URL)
    missing = lacking(*urls)
    stranger = Authority.create().intermediate()
    answers: dict[str, Content | FetchFailed] = {
        urls[1]: FetchFailed(reasons.FETCH_UNREACHABLE),
        urls[2]: Content(stranger.der),
        URL: Content(missing.missing[0]),
    }
    peer, asked, completion = run(missing, answers)
    assert len(peer.path) == 3
    assert asked == list(urls[1:])
    told = [None if attempt.failed is None else attempt.failed.reason for attempt in completion.attempts]
    assert told == [reasons.FETCH_NOT_HTTP, reasons.FETCH_UNREACHABLE, reasons.FETCH_NOT_THE_ISSUER, None]


def test_of_many_addresses_only_the_first_are_tried() -> None:
    down = [f"http://{number}.down.example/" for number in range(ISSUER_ADDRESSES)]
    answers: dict[str, Content | FetchFailed] = {url: FetchFailed(reasons.FETCH_STATUS, status=404) for url in down}
    last = lacking(*down[1:], URL)
    assert run(last, answers | {URL: Content(last.missing[0])})[1] == [*down[1:], URL]
    beyond = lacking(*down, URL)
    error, asked, _ = run(beyond, answers | {URL: Content(beyond.missing[0])})
    assert (type(error), asked) == (MissingIntermediate, down)


def test_what_is_remembered_is_not_asked_again_and_is_checked_again() -> None:
    missing, cache = lacking(URL), IssuerCache()
    assert run(missing, {URL: Content(missing.missing[0])}, cache)[1] == [URL]
    _, asked, completion = run(missing, {}, cache)
    assert (asked, [attempt.cached for attempt in completion.attempts]) == ([], [True])
    # Another authority's certificate says the same address: what is remembered is not its issuer.
    other = lacking(URL)
    peer, asked, _ = run(other, {URL: Content(other.missing[0])}, cache)
    assert asked == [URL]
    assert peer.path[1] == other.missing[0]


@pytest.mark.parametrize("first", ["issuer", "stranger"])
def test_a_stranger_who_names_an_address_takes_it_from_nobody(first: str) -> None:
    """Whose certificate names the address of another authority gets what is there, and it is of no use to him."""
    missing, stranger, cache = lacking(URL), lacking(URL), IssuerCache()
    answers: dict[str, Content | FetchFailed] = {URL: Content(missing.missing[0])}
    if first == "issuer":
        assert run(missing, answers, cache)[1] == [URL]
    for asked in ([URL], []):  # the stranger's own failure is remembered
        error, found, _ = run(stranger, answers, cache)
        assert (type(error), found) == (MissingIntermediate, asked)
    peer, asked, _ = run(missing, answers, cache)
    assert (peer.path[1], asked) == (missing.missing[0], [] if first == "issuer" else [URL])


@pytest.mark.parametrize("reason", [reasons.FETCH_TIMEOUT, reasons.FETCH_UNREACHABLE])
def test_a_stranger_who_leaves_no_time_does_not_either(reason: reasons.Reason) -> None:
    """His first address drips until almost nothing is left for the second, which is another authority's."""
    missing, stranger, cache = lacking(URL), lacking("http://slow.example/", URL), IssuerCache()
    run(stranger, {"http://slow.example/": FetchFailed(reasons.FETCH_CUT), URL: FetchFailed(reason)}, cache)
    peer, _, _ = run(missing, {URL: Content(missing.missing[0])}, cache)
    assert peer.path[1] == missing.missing[0]


def test_an_address_with_the_issuers_of_several_serves_all_of_them() -> None:
    ways, cache = [lacking(URL), lacking(URL)], IssuerCache()
    bundle = {URL: Content(b"".join(pem.certificate(way.missing[0]) for way in ways))}
    for asked in ([URL], []):
        for way in ways:
            peer, found, _ = run(way, bundle, cache)
            assert (peer.path[1], found) == (way.missing[0], asked)


def test_a_crowded_place_is_no_failure_of_the_address() -> None:
    missing, cache = lacking(URL), IssuerCache()
    error, _, _ = run(missing, {URL: FetchFailed(reasons.FETCH_BUSY)}, cache)
    assert "As much is being fetched" in error.evidence["fetching"][0]
    assert len(cache) == 0


def test_a_certificate_that_says_no_address() -> None:
    root = Authority.create()
    identity = root.intermediate().issue("localhost", send_chain=False)
    error, asked, _ = run(Missing(root, identity.chain, []), {})
    assert (error.evidence["fetching"], asked) == ("the certificate does not say where its issuer can be had", [])


def test_what_the_peer_sent_keeps_its_place_in_errors() -> None:
    missing = lacking(URL, above=("http://down.example/\x1b[31m",))
    answers = {URL: Content(missing.missing[0]), "http://down.example/\x1b[31m": FetchFailed(reasons.FETCH_STATUS)}
    error, _, _ = run(missing, answers)
    assert error.evidence["position"] == f"fetched from {URL}"
    assert "\x1b" not in str(error)


def test_an_answer_that_we_have_already_is_no_issuer() -> None:
    missing = lacking(URL)
    error, _, completion = run(missing, {URL: Content(missing.chain[0])})
    failed = completion.attempts[0].failed
    assert (failed.reason, failed.evidence["problem"]) == (
        reasons.FETCH_NOT_THE_ISSUER,
        "it is one that we have already",
    )
    assert "it is one that we have already" in error.evidence["fetching"][0]


@pytest.mark.parametrize("same", [{}, {x509.SubjectKeyIdentifier: None}], ids=["another key", "no identifier"])
def test_an_authority_of_the_same_name_is_thrown_away(same: dict[Any, Any]) -> None:
    missing = lacking(URL)
    forger = Authority.create("the root").intermediate("the highest intermediate", extensions=same)
    _, _, completion = run(missing, {URL: Content(forger.der)})
    failed = completion.attempts[0].failed
    assert (failed.reason, failed.evidence["problem"]) == (reasons.FETCH_NOT_THE_ISSUER, "it has another name or key")
    assert completion.fetched == {}


def test_an_error_about_what_was_sent_counts_what_was_sent() -> None:
    """Once the chain is complete, something of it may still be wrong."""
    from handfast.errors import WeakCertificate

    root = Authority.create()
    below = root.intermediate()
    chain = below.issue("localhost", key="rsa1024", extensions=points_to(URL), send_chain=False).chain
    with pytest.raises(WeakCertificate) as caught:
        run(Missing(root, chain, []), {URL: Content(below.der)})
    assert caught.value.evidence["position"] == "certificate 1 of 1"


def test_an_error_about_the_root_stays_as_it_is() -> None:
    from datetime import timedelta

    from handfast.errors import CertificateExpired

    root = Authority.create(not_after=NOW - timedelta(minutes=1))
    below = root.intermediate()
    chain = below.issue("localhost", extensions=points_to(URL), send_chain=False).chain
    with pytest.raises(CertificateExpired) as caught:
        run(Missing(root, chain, []), {URL: Content(below.der)})
    assert caught.value.evidence["position"] == "trusted root"


def test_a_self_signed_certificate_asks_for_nothing() -> None:
    from handfast.errors import SelfSignedCertificate

    stranger = Authority.create("localhost", extensions={**points_to(URL), x509.KeyUsage: None})
    completion = Completion((stranger.der,), FetchPolicy(), IssuerCache())
    verifier = ChainVerifier(Authority.create().trust)
    with pytest.raises(SelfSignedCertificate) as caught:
        next(completion.run(lambda chain: verifier.verify_unnamed_server(chain, NOW)))
    assert "fetching" not in caught.value.evidence
