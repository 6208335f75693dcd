"""What several files of tests look at, and none changes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from handfast.authority import AuthorityFolder
from tests.cli.world import World


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Certificates in a folder. Nobody writes there."""
    return World(tmp_path_factory.mktemp("cert"))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HANDFAST_CA", raising=False)
    return tmp_path


@pytest.fixture(scope="session")
def _authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return AuthorityFolder.create(tmp_path_factory.mktemp("ca") / "made", "handfast").path


@pytest.fixture
def made(here: Path, _authority: Path) -> Path:
    """One with an authority in it: a copy."""
    shutil.copytree(_authority, here / "handfast-ca")
    return here
