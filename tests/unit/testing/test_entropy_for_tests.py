"""Randomness that is none: the same seed gives the same shares, in every group."""

from __future__ import annotations

import pytest

from handfast.crypto.groups import CLASSICAL_HALF, GROUPS
from handfast.errors import ConfigurationError
from handfast.testing import EntropyForTests
from handfast.wire.codepoints import NamedGroup as G


@pytest.mark.parametrize("group", GROUPS, ids=G.name)
def test_a_seed_gives_the_same_share_each_time_and_another_seed_another(group: int) -> None:
    first, again, other = (EntropyForTests(seed).new_shares((group,))[0] for seed in ("seed", "seed", "other"))
    assert first.group == group
    assert first.public == again.public != other.public
    answer, secret = GROUPS[group].encapsulate(first.public)
    assert first.open(answer) == again.open(answer) == secret


@pytest.mark.parametrize("group", [group for group in GROUPS if group not in CLASSICAL_HALF], ids=G.name)
def test_a_server_repeats_its_answer(group: int) -> None:
    share = GROUPS[group].new_share()
    answer, secret = EntropyForTests(1).encapsulate(group, share.public)
    assert (answer, secret) == EntropyForTests(1).encapsulate(group, share.public)
    assert share.open(answer) == secret


@pytest.mark.parametrize("group", CLASSICAL_HALF, ids=G.name)
def test_a_server_cannot_repeat_the_answer_of_a_hybrid(group: int) -> None:
    with pytest.raises(ConfigurationError) as caught:
        EntropyForTests(1).encapsulate(group, GROUPS[group].new_share().public)
    assert caught.value.evidence["problem"] == f"{G.name(group)} cannot be repeated on a server"
