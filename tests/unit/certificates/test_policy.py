"""What a policy and a verifier are made of is looked at when they are made, and not in each handshake."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from handfast.certificates.fetch_policy import FetchPolicy
from handfast.certificates.policy import ChainVerifier, Policy, ServiceVerifier
from handfast.certificates.spiffe import AllowSpiffe
from handfast.certificates.store import TrustStore
from handfast.errors import ConfigurationError
from handfast.testing.chains import root
from handfast.transport.fetching import FetchingVerifier

ALLOW = AllowSpiffe("spiffe://example.org/*")


@pytest.mark.parametrize(
    ("make", "setting", "given"),
    [
        (lambda: Policy(allow="spiffe://example.org/*"), "allow", "an AllowSpiffe, and is a value of type str"),
        (lambda: Policy(allow=False), "allow", "of type bool"),
        (lambda: Policy(allow=()), "allow", "of type tuple"),
        (lambda: Policy(allow=AllowSpiffe), "allow", "the class AllowSpiffe itself"),
        (lambda: Policy(known_keys=[]), "known_keys", "a KeyList, and is a value of type list"),
        (lambda: Policy(depth=None), "depth", "a number, and is a value of type NoneType"),
        (lambda: Policy(depth=True), "depth", "of type bool"),
        (lambda: Policy(depth=1.5), "depth", "of type float"),
        (lambda: Policy(relax=None), "relax", "a list of rules"),
        (lambda: ChainVerifier("roots.pem"), "trust", "a TrustStore, and is a value of type str"),
        (lambda: ChainVerifier(TrustStore), "trust", "the class TrustStore itself"),
        (lambda: ChainVerifier(root().trust, {}), "policy", "a Policy, and is a value of type dict"),
        (lambda: ServiceVerifier(root().trust, None), "policy", "of type NoneType"),
        (lambda: ServiceVerifier(root().trust, ALLOW), "policy", "of type AllowSpiffe"),
        (lambda: AllowSpiffe(None), "allow", "of type NoneType"),
        (lambda: AllowSpiffe(["spiffe://example.org/*"]), "allow", "a text such as"),
        (lambda: AllowSpiffe("spiffe://a/*", trust={"a": "roots.pem"}), "trust", "a TrustStore for each"),
        (lambda: AllowSpiffe("spiffe://a/*", trust={"a": TrustStore}), "trust", "and is the class TrustStore"),
        (lambda: AllowSpiffe("spiffe://a/*", trust=root().trust), "trust", "a dict of trust domains"),
        (lambda: FetchingVerifier("roots.pem"), "verifier", "a ChainVerifier, and is a value of type str"),
        (lambda: FetchingVerifier(ChainVerifier), "verifier", "the class ChainVerifier itself"),
        (lambda: FetchingVerifier(None), "verifier", "of type NoneType"),
        (lambda: FetchingVerifier(ChainVerifier(root().trust), FetchPolicy()), "fetcher", "of type FetchPolicy"),
        (lambda: FetchingVerifier(ChainVerifier(root().trust), on_done=[]), "on_done", "a function"),
    ],
)
def test_what_is_of_another_kind_is_refused_at_once(make: Callable[[], Any], setting: str, given: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make()
    assert caught.value.evidence["setting"] == setting
    assert given in str(caught.value.evidence["problem"])


def test_a_policy_and_a_store_of_one_s_own_will_do() -> None:
    class Ours(Policy):
        pass

    class Roots(TrustStore):
        pass

    assert ChainVerifier(Roots(root().trust.roots, "ours"), Ours(allow=ALLOW)).policy.allow is ALLOW
