"""Missing peers: skipped by name, and a failure where nothing may be skipped."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests import peers


@pytest.fixture
def no_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "_PLACES", "/nowhere")


def test_a_peer_that_is_there_has_a_path(tmp_path, monkeypatch) -> None:
    program = tmp_path / "curl"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setattr(peers, "_PLACES", str(tmp_path))
    assert peers.require_peer("curl") == str(program)


@pytest.mark.usefixtures("no_peers")
@pytest.mark.parametrize("ci", ["", "false", "1"])
def test_a_missing_peer_skips_the_test_by_name(monkeypatch, ci: str) -> None:
    monkeypatch.setenv("CI", ci)
    with pytest.raises(pytest.skip.Exception, match=r"gnutls-cli is not on this machine: apt-get install gnutls-bin"):
        peers.require_peer("gnutls-cli")


@pytest.mark.usefixtures("no_peers")
def test_a_missing_peer_fails_the_test_in_ci(monkeypatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="nginx is not on this machine"):
        peers.require_peer("nginx")


def test_a_peer_that_nobody_knows_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="known: certtool, certutil, chromium, curl"):
        peers.find_peer("curll")


def test_what_comes_from_the_system_is_installed_by_the_script() -> None:
    script = Path(__file__).parents[2].joinpath("scripts", "peers.sh").read_text(encoding="utf-8")
    listed = dict(re.findall(r"\b([\w-]+):([\w-]+)", script.partition('peers="')[2].partition('"')[0]))
    packages = {
        name: how.removeprefix("apt-get install ") for name, how in peers.PEERS.items() if how.startswith("apt")
    }
    assert listed == packages
