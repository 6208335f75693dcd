"""That the bench runs, which nobody starts as often as the tests. How fast anything is, is not for a test to say."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from bench.measure import Effort
from bench.scenarios import RATIOS, load_peers, measure, scenarios

FOLDER = Path(__file__).parents[2] / "bench"
LEAST = Effort(rounds=1, turn=0.0, budget=5.0, pairs=2)


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("[!_]*.py")))
def test_each_part_of_it_can_be_imported(name: str) -> None:
    import_module(f"bench.{name}")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of peers, where `make bench` has installed them
@pytest.mark.timeout(600)  # half a minute, where nothing else is to be done
def test_each_scenario_has_a_figure_for_handfast() -> None:
    ours = {name: peer for name, peer in load_peers()[0].items() if name in {"handfast", "ssl", "floor"}}
    assert len(ours) == 3
    for scenario in scenarios():
        entry, _ = measure(scenario, ours, LEAST)
        assert entry["handfast"] > 0, scenario.name
        assert any(entry[f"ratio_{name}"] for name in RATIOS), scenario.name
