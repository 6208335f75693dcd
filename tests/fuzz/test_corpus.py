"""What fuzzing has collected, in the ordinary run: every input of the corpus for every target, without the fuzzer."""

from __future__ import annotations

from contextlib import nullcontext
from functools import cache
from pathlib import Path
from random import Random

import pytest

from fuzz import play, recorded
from fuzz.seeds import CORPUS, PREFIX
from fuzz.target import changed
from fuzz.targets import TARGETS, containers, small_texts
from handfast.errors import TLSError

each_target = pytest.mark.parametrize("name", TARGETS)

# A few of the changes that the fuzzer makes, always the same ones: the mutators are part of what can break.
CHANGES = 4


@cache
def files() -> list[Path]:
    return sorted(path for path in CORPUS.glob("*/*") if path.is_file())


def seeds(name: str) -> list[Path]:
    return [path for path in files() if path.parent.name == name and path.name.startswith(PREFIX)]


@pytest.mark.filterwarnings("ignore")  # of `cryptography`, about certificates that are odd on purpose
@each_target
def test_every_input_for_every_target(name: str) -> None:
    for path in files():
        run(name, path.read_bytes(), str(path))


@pytest.mark.filterwarnings("ignore")
@each_target
def test_changed_seeds(name: str) -> None:
    target = TARGETS[name]
    for path in seeds(name):
        data = path.read_bytes()
        for number in range(CHANGES):
            random = Random(f"{path.name}-{number}")
            change = changed(random)
            mutated = target.mutate(data, target.max_length, random, change) if target.mutate else change(data, 4096)
            assert len(mutated) <= target.max_length
            run(name, mutated, mutated.hex())


def run(name: str, data: bytes, shown: str) -> None:
    try:
        TARGETS[name].run(data)
    except Exception as error:
        error.add_note(f"target {name}, input {shown}")
        raise


@each_target
def test_every_target_has_seeds_that_are_small(name: str) -> None:
    assert seeds(name)
    assert {path.name.removeprefix(PREFIX) for path in seeds(name)} == set(TARGETS[name].seeds())


def test_the_corpus_is_small() -> None:
    assert {path.parent.name for path in files()} == set(TARGETS)
    assert len(files()) < 1_200
    assert all(path.stat().st_size <= 4_096 for path in files())


# --- that the seeds get as far as they should: a corpus of refused handshakes would find nothing behind the refusal


@pytest.mark.parametrize("side", recorded.SIDES)
def test_the_handshakes_of_the_seeds_complete(side: str) -> None:
    assert set(recorded.handshakes(side)) == set(play.CONFIGURATIONS[side])
    for name in recorded.handshakes(side):
        player = recorded.played(side, name)
        assert player.failure is None, name
        assert player.connection.handshake is not None, name
        assert player.connection.handshake.version == ("TLSv1.2" if side.endswith("_12") else "TLSv1.3"), name


@pytest.mark.parametrize("name", recorded.SIDES)
def test_the_seeds_in_the_corpus_still_complete(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine may come to say other things than it did when the corpus was made; then it has to be made anew."""
    completed = []
    monkeypatch.setattr("fuzz.play.Player._check_end", lambda player: completed.append(player.connection.handshake))
    for path in seeds(name):
        completed.clear()
        TARGETS[name].run(path.read_bytes())
        assert completed, path.name
        assert completed[0] is not None, f"{path.name}: make the seeds anew, python -m fuzz.seeds"


# How a seed ends that comes after a handshake; all others end without an error.
ENDINGS = {"alert": "alert_received", "renegotiation": "renegotiation_refused"}


@pytest.mark.parametrize("side", recorded.SIDES)
def test_what_comes_after_the_handshake_is_taken(side: str) -> None:
    settings, handshake = recorded.handshakes(side)["default"]
    for name, more in recorded.AFTER[side].items():
        player = play.player(side, settings)
        player.play([*handshake, *more])
        refused = "" if player.failure is None else player.failure.reason.name
        assert refused == ENDINGS.get(name, ""), name


def test_every_side_and_configuration_is_reached_after_the_handshake(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the number that an input of "established" or "stream" begins with."""
    reached = set()
    honest = play.player

    def player(side: str, number: int) -> play.Player:
        reached.add((side, number))
        return honest(side, number)

    monkeypatch.setattr(play, "player", player)
    for settings in range(64):
        TARGETS["established"].run(bytes((settings,)))
    assert reached == {(side, number) for side in recorded.SIDES for number, _ in recorded.handshakes(side).values()}


@pytest.mark.parametrize("path", seeds("stream"), ids=lambda path: path.name)
def test_recorded_bytes_complete_the_handshake(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ends = []
    monkeypatch.setattr("fuzz.play.Player._check_end", lambda player: ends.append(player.connection.handshake))
    TARGETS["stream"].run(path.read_bytes())
    [facts] = ends
    assert facts is not None
    assert facts.version == ("TLSv1.2" if "_12-" in path.name else "TLSv1.3")


def test_the_good_chains_of_the_seeds_are_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    accepted = []
    monkeypatch.setattr("fuzz.targets.certificates.check_accepted", lambda peer, *_: accepted.append(peer.subject))
    good = [path for path in seeds("chain") if path.name.startswith(f"{PREFIX}good")]
    assert good
    for path in good:
        accepted.clear()
        TARGETS["chain"].run(path.read_bytes())
        assert len(accepted) == 1, path.name


def test_the_good_chains_for_the_checks_are_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    accepted = []
    monkeypatch.setattr("fuzz.targets.checks.check_accepted", lambda identity, *_: accepted.append(identity))
    good = [path for path in seeds("checks") if path.name.startswith(f"{PREFIX}good")]
    assert len(good) > 10
    for path in good:
        accepted.clear()
        TARGETS["checks"].run(path.read_bytes())
        assert len(accepted) == 1, path.name


def test_the_honest_containers_and_texts_are_taken() -> None:
    """Without the tolerance that a target has for what is refused."""
    for module, refused in ((containers, NO_CONTAINERS), (small_texts, NO_TEXTS)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "may_refuse", nullcontext)
            for path in seeds(module.TARGETS[0].name):
                name = path.name.removeprefix(PREFIX)
                if name in refused:
                    with pytest.raises(TLSError) as caught:
                        module.run(path.read_bytes())
                    assert caught.value.reason.name == refused[name], name
                else:
                    module.run(path.read_bytes())


# What is honest, and cannot be all that the target makes of it: neither a folder of roots nor an identity has PKCS#7 in it,
# and the former no PKCS#12.
NO_CONTAINERS = {
    "file-pkcs12": "not_a_certificate",
    "file-pkcs7": "not_a_certificate",
    "identity-costly": "password_too_slow",
}
NO_TEXTS = {"fetch-directory": "fetch_not_http", "token-1": "bad_key_uri"}
