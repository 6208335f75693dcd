"""What holds a secret cannot be pickled or copied, and shows nothing of it."""

from __future__ import annotations

import copy
import importlib
import pickle
import pkgutil
import sys
from collections.abc import Callable

import pytest

import handfast
from handfast.crypto.groups import GROUPS
from handfast.crypto.guard import Guarded
from handfast.crypto.schedule13 import EarlySecret, Exporter, TrafficSecret
from handfast.crypto.suites import SUITES
from handfast.errors import MisuseError
from handfast.reasons import MISUSE
from handfast.record.layer import RecordLayer
from handfast.record.protection13 import Opener, Sealer
from handfast.wire.codepoints import NamedGroup as G


def guarded_classes() -> list[type[Guarded]]:
    """All classes that hold secrets: those that derive from Guarded, once every module is there."""
    for module in pkgutil.walk_packages(handfast.__path__, "handfast."):
        if ".cli" not in module.name and not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found: list[type[Guarded]] = []
    waiting: list[type[Guarded]] = [Guarded]
    while waiting:
        waiting += (kinds := waiting.pop().__subclasses__())
        found += kinds
    # dataclass(slots=True) makes a class anew, and the first one waits for the garbage collector: only what its module
    # knows by its name counts.
    ours = {kind for kind in found if getattr(sys.modules.get(kind.__module__), kind.__name__, None) is kind}
    return sorted((kind for kind in ours if kind.__module__.startswith("handfast.")), key=lambda kind: kind.__name__)


CLASSES = guarded_classes()


def test_these_classes_hold_secrets() -> None:
    """Whoever makes a class of secrets unguarded has to change this list."""
    assert {kind.__name__ for kind in CLASSES} >= {
        "ClientConnection",
        "Connection",
        "EarlySecret",
        "Established",
        "Exporter",
        "HandshakeSecret",
        "Identity",
        "Link",
        "LocalSigner",
        "MainSecret",
        "Offer",
        "Opener",
        "PeerIdentity",
        "RecordLayer",
        "Sealer",
        "ServerConnection",
        "TrafficSecret",
        "_CurveShare",
        "_HybridShare",
        "_MontgomeryShare",
    }


# --- every class, by an object that nothing has been put into: refusing must not depend on the content


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_no_object_is_pickled(kind: type[Guarded], protocol: int) -> None:
    with pytest.raises(MisuseError) as caught:
        pickle.dumps(object.__new__(kind), protocol)
    assert caught.value.reason is MISUSE
    assert kind.__name__ in str(caught.value)


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
def test_no_object_is_copied(kind: type[Guarded], duplicate: object) -> None:
    with pytest.raises(MisuseError, match="cannot be pickled or copied"):
        duplicate(object.__new__(kind))  # type: ignore[operator]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_no_class_has_a_way_around(kind: type[Guarded]) -> None:
    assert kind.__reduce_ex__ is Guarded.__reduce_ex__
    for name in ("__copy__", "__deepcopy__", "__getnewargs__", "__getnewargs_ex__"):
        assert not hasattr(kind, name)


# --- objects with secrets in them

SECRET = bytes(range(200, 232))
SUITE = SUITES[0x1301]


def keyed_layer() -> RecordLayer:
    layer = RecordLayer()
    layer.install_read(TrafficSecret(SUITE, SECRET))
    layer.install_write(TrafficSecret(SUITE, SECRET))
    layer.feed(SECRET)
    return layer


FILLED: dict[str, Callable[[], object]] = {
    "TrafficSecret": lambda: TrafficSecret(SUITE, SECRET),
    "EarlySecret": lambda: EarlySecret(SUITE),
    "HandshakeSecret": lambda: EarlySecret(SUITE).handshake_secret(SECRET),
    "MainSecret": lambda: EarlySecret(SUITE).handshake_secret(SECRET).main_secret(),
    "Exporter": lambda: Exporter(SUITE, SECRET),
    "Sealer": lambda: Sealer(TrafficSecret(SUITE, SECRET)),
    "Opener": lambda: Opener(TrafficSecret(SUITE, SECRET)),
    "RecordLayer": keyed_layer,
    "_MontgomeryShare": GROUPS[G.X25519].new_share,
    "_CurveShare": GROUPS[G.SECP256R1].new_share,
    "_HybridShare": GROUPS[G.X25519MLKEM768].new_share,
}


def test_all_classes_of_crypto_and_record_are_in_the_table() -> None:
    here = [kind.__name__ for kind in CLASSES if kind.__module__.startswith(("handfast.crypto.", "handfast.record."))]
    assert sorted(FILLED) == here


@pytest.mark.parametrize("name", FILLED)
def test_a_representation_is_a_name_and_nothing_else(name: str) -> None:
    value = FILLED[name]()
    for text in (repr(value), str(value), f"{value}"):
        assert text == f"<{name}>"


@pytest.mark.parametrize("name", FILLED)
def test_an_object_inside_another_is_refused_too(name: str) -> None:
    value = {"inside": [FILLED[name]()]}
    with pytest.raises(MisuseError):
        copy.deepcopy(value)
    with pytest.raises(MisuseError):
        pickle.dumps(value)


def test_a_share_shows_its_public_half_alone() -> None:
    share = GROUPS[G.X25519].new_share()
    public = {name for name in dir(share) if not name.startswith("_")}
    assert public == {"group", "public", "open"}
