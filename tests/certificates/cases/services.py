"""Clients and services that are known by their SPIFFE id."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from handfast.certificates.policy import Policy
from handfast.certificates.spiffe import AllowSpiffe
from tests.certificates.making import NOT_ALLOWED, Group, Made, client, presented

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
