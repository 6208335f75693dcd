"""Randomness comes from the operating system, unless a test replaces it."""

from __future__ import annotations

import pytest

from handfast.config import ClientConfig
from handfast.crypto.entropy import SYSTEM_ENTROPY
from handfast.crypto.groups import GROUPS
from handfast.wire.codepoints import NamedGroup as G


@pytest.mark.parametrize("length", [0, 1, 32, 4096])
def test_random_bytes_have_the_length_asked_for(length: int) -> None:
    assert len(SYSTEM_ENTROPY.random(length)) == length


def test_random_bytes_do_not_repeat() -> None:
    assert len({SYSTEM_ENTROPY.random(32) for _ in range(1000)}) == 1000


@pytest.mark.parametrize("group", GROUPS, ids=G.name)
def test_a_key_exchange_with_fresh_keys(group: int) -> None:
    (share,) = SYSTEM_ENTROPY.new_shares((group,))
    answer, secret = SYSTEM_ENTROPY.encapsulate(group, share.public)
    assert share.open(answer) == secret
    assert SYSTEM_ENTROPY.new_shares((group,))[0].public != share.public


def test_a_configuration_has_it_unless_told_otherwise() -> None:
    assert ClientConfig().entropy is SYSTEM_ENTROPY
