"""Times as people read them: the same everywhere."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from handfast.cli.lines import days_left, left

NOW = datetime(2027, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("until", "told", "days"),
    [
        (timedelta(days=30), "30 days left", 30),
        (timedelta(days=30, seconds=-1), "30 days left", 30),
        (timedelta(days=30, minutes=-1), "29 days left", 29),
        (timedelta(days=2), "2 days left", 2),
        (timedelta(days=1, hours=23), "47 hours left", 1),
        (timedelta(hours=24, seconds=-1), "24 hours left", 1),
        (timedelta(minutes=119), "119 minutes left", 0),
        (timedelta(seconds=10), "1 minute left", 0),
    ],
)
def test_a_minute_that_has_begun_counts(until: timedelta, told: str, days: int) -> None:
    assert left(NOW + until, NOW) == told
    assert days_left(NOW + until, NOW) == days


def test_what_has_ended_has_less_than_no_days() -> None:
    assert days_left(NOW - timedelta(hours=1), NOW) == -1
    assert days_left(NOW - timedelta(days=3), NOW) == -3
