"""docs/interop.md says what is tried here, and nothing else."""

from __future__ import annotations

import pytest

from tests.interop import (
    report,
    test_client,
    test_client_certificates,
    test_established,
    test_order,
    test_retry,
    test_server,
    test_sessions,
    test_versions,
)
from tests.interop.features import FEATURES, ROLES, VERSIONS
from tests.interop.matrix import AXES, PEERS

MODULES = (
    test_client,
    test_server,
    test_client_certificates,
    test_retry,
    test_established,
    test_order,
    test_sessions,
    test_versions,
)


def test_the_tables_say_what_is_tried() -> None:
    """Only versions may differ: they are those of the machine where the page was written."""
    _, inside, _ = report.split(report.DOCUMENT.read_text(encoding="utf-8"))
    assert inside == report.tables(report.versions_in(inside)), "run: python -m tests.interop.report"


@pytest.mark.parametrize("role", ROLES)
def test_every_axis_and_every_feature_has_its_test(role: str) -> None:
    tried = [test.tries for module in MODULES for name, test in vars(module).items() if name.startswith("test_")]
    assert {axis for its, axis, _ in tried if its == role} == set(AXES)
    features = [feature for its, _, feature in tried if feature and its == role]
    assert sorted(features) == sorted(name for name, feature in FEATURES.items() if role in feature.roles)


@pytest.mark.parametrize("role", ROLES)
def test_every_feature_is_tried_with_somebody(role: str) -> None:
    for name, feature in FEATURES.items():
        for version in feature.versions if role in feature.roles else ():
            there = [abilities for peer in PEERS if (abilities := peer.abilities(role, version))]
            assert any(abilities.has(name) for abilities in there), (name, version)


@pytest.mark.parametrize("role", ROLES)
def test_every_peer_is_tried_with_both_versions(role: str) -> None:
    for peer in PEERS:
        assert len({peer.abilities(role, version) is None for version in VERSIONS}) == 1, peer


def test_names_are_nobody_elses() -> None:
    assert len({peer.name for peer in PEERS}) == len(PEERS)
