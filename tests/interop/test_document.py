"""docs/interop.md says what is tried here, and nothing else."""

from __future__ import annotations

from types import ModuleType

import pytest

from tests.interop import report, test_client, test_server
from tests.interop.matrix import PEERS
from tests.interop.peer import FEATURES


def test_the_tables_say_what_is_tried() -> None:
    """Only versions may differ: they are those of the machine where the page was written."""
    _, inside, _ = report.split(report.DOCUMENT.read_text(encoding="utf-8"))
    assert inside == report.tables(report.versions_in(inside)), "run: python -m tests.interop.report"


@pytest.mark.parametrize(("module", "role"), [(test_client, "server"), (test_server, "client")])
def test_all_that_peers_are_said_to_do_is_tested(module: ModuleType, role: str) -> None:
    tried = [test.tries for name, test in vars(module).items() if name.startswith("test_")]
    assert all(its == role for its, _, _ in tried)
    assert {axis for _, axis, _ in tried} == {"suites", "groups", "keys", "features"}
    features = [feature for _, _, feature in tried if feature]
    assert len(features) == len(set(features))
    claimed = {name for peer in PEERS if (abilities := peer.abilities(role)) for name in abilities.features}
    assert set(features) == claimed


def test_every_feature_is_tried_with_somebody() -> None:
    claimed = [abilities.features for peer in PEERS for abilities in (peer.as_server, peer.as_client) if abilities]
    assert set().union(*claimed) == set(FEATURES)
