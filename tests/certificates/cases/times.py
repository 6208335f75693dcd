"""When certificates are valid."""

from __future__ import annotations

from handfast.testing import Authority
from handfast.testing.chains import SERVER_NAME
from tests.certificates.forging import SEQUENCE, Fields, element, inside, split
from tests.certificates.making import EARLY, EXPIRED, Group, Made, ago, ahead, changed, leaf, presented, root, shared

GROUP = Group("Times")
case = GROUP.case
case("expired ten days ago", shared("expired"), EXPIRED, "expired for: ", "expired")
case(
    "expired three minutes ago",
    lambda: leaf(not_before=ago(days=90), not_after=ago(minutes=3)),
    EXPIRED,
    "only just outside: if this machine's clock is ahead by 3 minutes",
)
case("an intermediate has expired", shared("expired_intermediate"), EXPIRED, "certificate 2 of 2")
case("the trusted root has expired", shared("expired_root"), EXPIRED, "trusted root")


def _all_expired() -> Made:
    old = {"not_before": ago(days=90), "not_after": ago(days=2)}
    authority = Authority.create(**old)  # type: ignore[arg-type]
    return presented(authority.issue(SERVER_NAME, **old), authority)  # type: ignore[arg-type]


case("everything has expired, the root too", _all_expired, EXPIRED, "this machine's clock is probably ahead")
case("valid in ten days", shared("not_yet_valid"), EARLY, "valid in: ")
case(
    "valid in five minutes",
    lambda: leaf(not_before=ahead(minutes=5, seconds=30), not_after=ahead(days=90)),
    EARLY,
    "a clock that is ahead of this machine's by 5 minutes",
)


def _all_early() -> Made:
    authority = Authority.create(not_before=ahead(days=100), not_after=ahead(days=1000))
    return presented(authority.issue(SERVER_NAME, not_before=ahead(days=200), not_after=ahead(days=300)), authority)


case("everything is from the future", _all_early, EARLY, "this machine's clock is probably behind")
case(
    "an intermediate is not valid yet",
    lambda: root().intermediate(not_before=ahead(days=5), not_after=ahead(days=50)).issue(SERVER_NAME),
    EARLY,
    "certificate 2 of 2",
)


def _backwards(fields: Fields) -> None:
    fields["validity"] = element(SEQUENCE, *reversed(split(inside(fields["validity"]))))


case("it ends before it begins", lambda: changed(_backwards), EXPIRED, "it ends before it begins")
