"""SPIFFE ids, and rules of who may come in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509

from handfast import errors, reasons
from handfast.certificates.policy import ChainVerifier, Policy
from handfast.certificates.spiffe import AllowSpiffe, SpiffeId
from handfast.certificates.store import TrustStore
from handfast.errors import CertificateError, ConfigurationError
from handfast.testing import Authority
from handfast.testing.authority import key_usage
from handfast.testing.chains import root
from tests.unit.certificates.made import chain_by

WEB = "spiffe://example.org/web"
NOW = datetime.now(UTC)


@pytest.mark.parametrize(
    ("text", "domain", "path"),
    [
        ("spiffe://example.org", "example.org", ""),
        ("spiffe://example.org/web", "example.org", "/web"),
        ("SPIFFE://example.org/ns/Prod/sa/a_b.c-d", "example.org", "/ns/Prod/sa/a_b.c-d"),
        ("spiffe://a_b-c.1/x", "a_b-c.1", "/x"),
        ("spiffe://" + "a" * 255 + "/x", "a" * 255, "/x"),
        ("spiffe://example.org/" + "a" * 2027, "example.org", "/" + "a" * 2027),  # 2,048 bytes in all
    ],
)
def test_ids(text: str, domain: str, path: str) -> None:
    found = SpiffeId.parse(text)
    assert (found.trust_domain, found.path) == (domain, path)
    assert str(found) == f"spiffe://{domain}{path}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "https://example.org/web",
        "spiffe:example.org",
        "spiffe://",
        "spiffe:///web",
        "spiffe://Example.org/web",
        "spiffe://example.org:8443/web",
        "spiffe://user@example.org/web",
        "spiffe://example.org/",
        "spiffe://example.org/web/",
        "spiffe://example.org//web",
        "spiffe://example.org/./web",
        "spiffe://example.org/ns/../web",
        "spiffe://example.org/web?x=1",
        "spiffe://example.org/web#x",
        "spiffe://example.org/w%65b",
        "spiffe://example.org/w\u00e9b",
        "spiffe://example.org/web\n",
        "spiffe://" + "a" * 256 + "/x",
        "spiffe://example.org/" + "a" * 2028,
    ],
)
def test_what_is_no_id(text: str) -> None:
    with pytest.raises(ValueError, match=r"it|is|made|segment"):
        SpiffeId.parse(text)


@pytest.mark.parametrize(
    ("rule", "name", "allowed"),
    [
        ("spiffe://example.org/web", "spiffe://example.org/web", True),
        ("spiffe://example.org/web", "spiffe://example.org/webs", False),
        ("spiffe://example.org/web", "spiffe://example.org/web/more", False),
        ("spiffe://example.org/ns/*", "spiffe://example.org/ns/prod/web", True),
        ("spiffe://example.org/ns/*", "spiffe://example.org/ns", False),
        ("spiffe://example.org/ns/*", "spiffe://example.org/nsx/web", False),
        ("spiffe://example.org/*", "spiffe://example.org/web", True),
        ("spiffe://example.org/*", "spiffe://example.org", False),
        ("spiffe://example.org/*", "spiffe://example.org.evil/web", False),
    ],
)
def test_rules(rule: str, name: str, allowed: bool) -> None:
    assert AllowSpiffe("spiffe://other.test/x", rule).allows(SpiffeId.parse(name)) is allowed


@pytest.mark.parametrize(
    "rule",
    [
        "*",
        "spiffe://*",
        "spiffe://example.org/*/web",
        "example.org/web",
        "spiffe://example.org/n*",
        "spiffe://example.org",
    ],
)
def test_rules_that_are_none(rule: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        AllowSpiffe(rule)
    assert caught.value.evidence["value"] == rule


def test_no_rule_is_a_mistake() -> None:
    with pytest.raises(ConfigurationError):
        AllowSpiffe()


def test_a_server_by_its_id() -> None:
    """Its name does not count then, and its chain does."""
    made = root().issue("spiffe://example.org/db")
    verifier = ChainVerifier(root().trust, Policy(allow=AllowSpiffe("spiffe://example.org/db")))
    peer = verifier.verify_unnamed_server(made.chain, NOW)
    assert peer.uris == ("spiffe://example.org/db",)
    with pytest.raises(errors.CertificateNameMismatch):
        verifier.verify_server(made.chain, "db.example", NOW)
    with pytest.raises(CertificateError) as caught:
        verifier.verify_unnamed_server(root().issue("spiffe://example.org/web").chain, NOW)
    error = caught.value
    assert error.reason is reasons.PEER_NOT_ALLOWED
    assert error.alert == 49
    assert error.evidence["allowed"] == ["spiffe://example.org/db"]
    assert error.evidence["names"] == ["URI:spiffe://example.org/web"]


@pytest.mark.parametrize(
    ("name", "extensions", "relax", "problem"),
    [
        ("spiffe://example.org", {}, (), "its id is the trust domain"),
        (
            WEB,
            {x509.KeyUsage: (key_usage(digital_signature=True, crl_sign=True), True)},
            (),
            "signs lists of revoked ones",
        ),
        (
            WEB,
            {x509.KeyUsage: (key_usage(digital_signature=True, key_cert_sign=True), True)},
            ["authority-as-leaf"],
            "an authority's",
        ),
        (
            WEB,
            {x509.BasicConstraints: (x509.BasicConstraints(True, None), True)},
            ["authority-as-leaf"],
            "an authority's",
        ),
    ],
)
def test_what_only_authorities_have(name: str, extensions: Any, relax: Sequence[str], problem: str) -> None:
    """X509-SVID section 5.2: a validator has to look at all of it."""
    own = {x509.SubjectAlternativeName: (x509.SubjectAlternativeName([x509.UniformResourceIdentifier(name)]), False)}
    made = root().issue(WEB, usage=("client",), extensions={**own, **extensions})
    rules = ChainVerifier(root().trust, Policy(relax, allow=AllowSpiffe("spiffe://example.org/*")))
    with pytest.raises(CertificateError) as caught:
        rules.verify_client(made.chain, NOW)
    assert caught.value.reason is reasons.PEER_NOT_ALLOWED
    assert problem in caught.value.evidence["problem"]


def test_each_trust_domain_has_its_own_roots() -> None:
    """Or the authority of one could make services of the other."""
    ours, theirs = root(), Authority.create("theirs")
    trust = {"ours.test": ours.trust, "theirs.test": theirs.trust}
    rules = AllowSpiffe("spiffe://ours.test/*", "spiffe://theirs.test/db", trust=trust)
    verifier = ChainVerifier(ours.trust | theirs.trust, Policy(allow=rules))
    for authority, name in ((ours, "spiffe://ours.test/web"), (theirs, "spiffe://theirs.test/db")):
        assert verifier.verify_client(authority.issue(name, usage=("client",)).chain, NOW).uris == (name,)
        below = authority.intermediate().issue(name, usage=("client",))
        assert verifier.verify_client(below.chain, NOW).uris == (name,)
    for authority, name in ((theirs, "spiffe://ours.test/web"), (ours, "spiffe://theirs.test/db")):
        with pytest.raises(CertificateError) as caught:
            verifier.verify_client(authority.issue(name, usage=("client",)).chain, NOW)
        assert caught.value.reason is reasons.PEER_NOT_ALLOWED
        assert "does not vouch for this trust domain" in caught.value.evidence["problem"]
    swapped = AllowSpiffe(*rules.rules, trust={"ours.test": theirs.trust, "theirs.test": ours.trust})
    assert len({item.fingerprint for item in (rules, swapped, AllowSpiffe(*rules.rules))}) == 3
    with pytest.raises(ConfigurationError, match=r"theirs\.test"):
        AllowSpiffe(*rules.rules, trust={"ours.test": ours.trust})


@pytest.mark.parametrize("extensions", [{x509.BasicConstraints: None}, {x509.KeyUsage: None}])
def test_who_does_not_say_to_be_no_authority_is_none(extensions: Any) -> None:
    made = root().issue(WEB, usage=("client",), extensions=extensions)
    verifier = ChainVerifier(root().trust, Policy(allow=AllowSpiffe(WEB)))
    assert verifier.verify_client(made.chain, NOW).uris == (WEB,)


@pytest.mark.parametrize("names", [("db.test",), (WEB, "spiffe://example.org/db"), ("https://example.org/web",)])
def test_who_has_no_id_comes_from_no_trust_domain(names: Sequence[str]) -> None:
    ours, theirs = root(), Authority.create("theirs")
    rules = AllowSpiffe("spiffe://example.org/*", trust={"example.org": ours.trust})
    for authority in (ours, theirs):
        made = authority.issue(*names, usage=("client",))
        with pytest.raises(CertificateError) as caught:
            ChainVerifier(ours.trust | theirs.trust, Policy(allow=rules)).verify_client(made.chain, NOW)
        assert caught.value.reason is reasons.PEER_NOT_ALLOWED


class TwoDomains:
    """Two trust domains; an authority of the first has been certified by the root of the second too."""

    def __init__(self) -> None:
        self.ours, self.theirs = Authority.create("ours"), Authority.create("theirs")
        self.between = self.ours.intermediate()
        self.crossed = chain_by(self.theirs, self.between)
        self.sent = (self.leaf("spiffe://ours.test/web"), self.between.der, self.crossed)

    def leaf(self, name: str) -> bytes:
        return self.between.issue(name, usage=("server", "client")).chain[0]

    def verifier(self, **trust: TrustStore) -> ChainVerifier:
        """Of somebody who trusts both roots, and has them vouch for these trust domains."""
        found = {name.replace("_", "."): store for name, store in trust.items()}
        rules = AllowSpiffe(*(f"spiffe://{name}/*" for name in found), trust=found)
        return ChainVerifier(self.ours.trust | self.theirs.trust, Policy(allow=rules))


def test_of_several_paths_the_one_to_the_right_root_counts() -> None:
    """Whichever of them is found first."""
    made = TwoDomains()
    leaf, direct, crossed = made.sent
    for sent in ((leaf, direct, crossed), (leaf, crossed, direct)):
        ours = made.verifier(ours_test=made.ours.trust).verify_client(sent, NOW)
        assert ours.path == (leaf, direct, made.ours.der)
        theirs = made.verifier(ours_test=made.theirs.trust).verify_client(sent, NOW)
        assert theirs.path == (leaf, crossed, made.theirs.der)
        assert made.verifier(ours_test=made.theirs.trust).verify_unnamed_server(sent, NOW).path == theirs.path


def test_it_has_to_be_a_good_path_to_a_root_that_is_trusted() -> None:
    made = TwoDomains()
    leaf, direct, crossed = made.sent

    def refused(verifier: ChainVerifier, sent: Sequence[bytes]) -> None:
        for _ in range(2):  # what was refused is not remembered as anything else
            with pytest.raises(CertificateError) as caught:
                verifier.verify_client(sent, NOW)
            assert caught.value.reason is reasons.PEER_NOT_ALLOWED

    ours, theirs = made.verifier(ours_test=made.ours.trust), made.verifier(ours_test=made.theirs.trust)
    refused(ours, (leaf, crossed))
    refused(theirs, (leaf, direct))
    forged = bytearray(crossed)
    forged[-1] ^= 1
    refused(theirs, (leaf, direct, bytes(forged)))
    # A path to the right root does not make up for an id that no rule allows, nor for one of another trust domain.
    other = made.leaf("spiffe://theirs.test/web")
    refused(made.verifier(ours_test=made.ours.trust), (other, direct, crossed))
    # Whoever vouches for it has to be trusted at all, and what is distrusted stays so.
    stranger = Authority.create("a stranger")
    refused(made.verifier(ours_test=stranger.trust), made.sent)
    distrusting = (made.theirs.trust | stranger.trust).without(crossed)
    refused(made.verifier(ours_test=distrusting), made.sent)


def test_a_refused_peer_is_not_remembered_as_accepted() -> None:
    made = root().issue("spiffe://example.org/web", usage=("client",))
    verifier = ChainVerifier(root().trust, Policy(allow=AllowSpiffe("spiffe://example.org/db")))
    for _ in range(2):
        with pytest.raises(CertificateError):
            verifier.verify_client(made.chain, NOW)


def test_who_asks_for_something_else_trusts_something_else() -> None:
    """Sessions of one are none of the other."""
    policies = [
        Policy(),
        Policy(depth=1),
        Policy(allow=AllowSpiffe("spiffe://a/x")),
        Policy(allow=AllowSpiffe("spiffe://a/y")),
    ]
    assert len({ChainVerifier(root().trust, policy).trust_id for policy in policies}) == len(policies)


def test_roots_of_another_kind_are_asked_each_time() -> None:
    """Only they know what they ask for, so no session stands on it."""

    class Roots(TrustStore):
        pass

    def trust_id(roots: TrustStore) -> bytes:
        rules = AllowSpiffe("spiffe://a/*", trust={"a": roots})
        return ChainVerifier(root().trust, Policy(allow=rules)).trust_id

    assert trust_id(root().trust) != b""
    assert trust_id(Roots.from_bytes(root().der)) == b""


@pytest.mark.parametrize("depth", [-1, 9])
def test_a_depth_has_bounds(depth: int) -> None:
    with pytest.raises(ConfigurationError):
        Policy(depth=depth)


def test_what_a_trust_domain_distrusts_vouches_for_none_of_its_ids() -> None:
    """Also where the verifier itself trusts it, and the path that is found first is one to the right root."""
    made = TwoDomains()
    leaf, direct, _ = made.sent
    ours = made.ours.trust
    for distrusted in (ours.without(direct), ours.without(direct, keys=True), ours.without(leaf)):
        with pytest.raises(CertificateError) as caught:
            made.verifier(ours_test=distrusted).verify_client((leaf, direct), NOW)
        assert caught.value.reason is reasons.PEER_NOT_ALLOWED
        assert "distrusts" in caught.value.evidence["problem"]
    again = chain_by(made.ours, made.between)  # another certificate of the same authority, which is not distrusted
    for sent in ((leaf, direct, again), (leaf, again, direct)):
        found = made.verifier(ours_test=ours.without(direct)).verify_client(sent, NOW)
        assert found.path == (leaf, again, made.ours.der)
