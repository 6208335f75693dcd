"""Clients and services that are known by their SPIFFE id."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from cryptography import x509

from handfast.certificates.policy import Policy
from handfast.certificates.spiffe import AllowSpiffe
from handfast.certificates.store import TrustStore
from handfast.testing import Authority
from handfast.testing.authority import key_usage
from tests.certificates.making import NOT_ALLOWED, Group, Made, client, presented, root
from tests.unit.certificates.made import chain_by

GROUP = Group("Clients and services by SPIFFE id")
case = GROUP.case
WEB: Final = "spiffe://example.org/ns/prod/web"


def _service(*rules: str, names: Sequence[str] = (WEB,)) -> Made:
    return presented(client(*names), name=None, client=True, policy=Policy(allow=AllowSpiffe(*rules)))


case("a service that is allowed", lambda: _service("spiffe://example.org/ns/prod/*"))
case(
    "a service that no rule allows",
    lambda: _service("spiffe://example.org/ns/test/*"),
    NOT_ALLOWED,
    "no rule allows this id",
)
case(
    "a service of another trust domain",
    lambda: _service("spiffe://example.com/*"),
    NOT_ALLOWED,
    "no rule allows this id",
)
case("two ids", lambda: _service(WEB, names=[WEB, f"{WEB}2"]), NOT_ALLOWED, "it has 2 URIs")
case("a URI that is no id", lambda: _service(WEB, names=["https://example.org/web"]), NOT_ALLOWED, "is no SPIFFE id")
case("a client without an id", lambda: _service(WEB, names=["client.example"]), NOT_ALLOWED, "it has no URI")
case("a trust domain in place of an id", lambda: _odd("spiffe://example.org"), NOT_ALLOWED, "which an authority has")
case(
    "a service that may sign lists of revoked certificates",
    lambda: _odd(WEB, KeyUsage=(key_usage(digital_signature=True, crl_sign=True), True)),
    NOT_ALLOWED,
    "signs lists of revoked ones",
)
case(
    "an authority's certificate with an id, where that is relaxed",
    lambda: _odd(WEB, BasicConstraints=(x509.BasicConstraints(True, None), True), relax=["authority-as-leaf"]),
    NOT_ALLOWED,
    "it is an authority's certificate",
)


def _odd(name: str, relax: Sequence[str] = (), **extensions: tuple[Any, bool]) -> Made:
    """A client whose certificate has what only authorities have (X509-SVID section 5.2)."""
    own = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(name)])
    found = {getattr(x509, kind): value for kind, value in extensions.items()}
    made = client(WEB, extensions={x509.SubjectAlternativeName: (own, False), **found})
    rules = AllowSpiffe("spiffe://example.org/*")
    return presented(made, name=None, client=True, policy=Policy(relax, allow=rules))


def _of_two_domains(*, crossed: bool) -> Made:
    """By an authority of another trust domain, which the root of the right one may have certified too."""
    theirs = Authority.create("another trust domain").intermediate("an authority of theirs")
    rules = AllowSpiffe("spiffe://example.org/*", trust={"example.org": root().trust})
    sent = (*theirs.issue(WEB, usage=("client",)).chain, *([chain_by(root(), theirs)] if crossed else []))
    both = root().trust | TrustStore.from_bytes(theirs.chain[-1])
    return Made(sent, both, None, client=True, policy=Policy(allow=rules))


case(
    "an id by the root of another trust domain",
    lambda: _of_two_domains(crossed=False),
    NOT_ALLOWED,
    "does not vouch for this trust domain",
)
case("the same, cross-signed by the root of the right one", lambda: _of_two_domains(crossed=True))
