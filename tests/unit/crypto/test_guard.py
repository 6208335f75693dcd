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
from handfast.crypto.schedule12 import Exporter12, RecordKey
from handfast.crypto.schedule12 import MainSecret as MainSecret12
from handfast.crypto.schedule13 import EarlySecret, Exporter, PskSecret, TrafficSecret
from handfast.crypto.suites import SUITES, SUITES_12
from handfast.errors import MisuseError
from handfast.reasons import MISUSE
from handfast.record.layer import RecordLayer
from handfast.record.protection12 import Opener12, Sealer12
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
    return sorted((kind for kind in ours if kind.__module__.startswith("handfast.")), key=called)


def called(kind: type) -> str:
    """A class and its module: TLS 1.2 and 1.3 both have a MainSecret."""
    return f"{kind.__module__.rpartition('.')[2]}.{kind.__name__}"


CLASSES = guarded_classes()


def test_these_classes_hold_secrets() -> None:
    """Whoever makes a class of secrets unguarded has to change this list."""
    assert {called(kind) for kind in CLASSES} >= {
        "connection.ClientConnection",
        "connection.Connection",
        "connection.ServerConnection",
        "established.Established",
        "groups._CurveShare",
        "groups._HybridShare",
        "groups._MontgomeryShare",
        "hello.Offer",
        "identity.Identity",
        "identity.LocalSigner",
        "layer.RecordLayer",
        "link.Link",
        "peer.PeerIdentity",
        "protection12.Opener12",
        "protection12.Sealer12",
        "protection13.Opener",
        "protection13.Sealer",
        "schedule12.Exporter12",
        "schedule12.MainSecret",
        "schedule12.RecordKey",
        "schedule13.EarlySecret",
        "schedule13.Exporter",
        "schedule13.HandshakeSecret",
        "schedule13.MainSecret",
        "schedule13.PskSecret",
        "schedule13.TrafficSecret",
        "external.ExternalPsk",
        "psk.Chosen",
        "psk.Psk",
        "session.Session",
        "terms13.Terms",
    }


# --- every class, by an object that nothing has been put into: refusing must not depend on the content


@pytest.mark.parametrize("kind", CLASSES, ids=called)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_no_object_is_pickled(kind: type[Guarded], protocol: int) -> None:
    with pytest.raises(MisuseError) as caught:
        pickle.dumps(object.__new__(kind), protocol)
    assert caught.value.reason is MISUSE
    assert kind.__name__ in str(caught.value)


@pytest.mark.parametrize("kind", CLASSES, ids=called)
@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
def test_no_object_is_copied(kind: type[Guarded], duplicate: object) -> None:
    with pytest.raises(MisuseError, match="cannot be pickled or copied"):
        duplicate(object.__new__(kind))  # type: ignore[operator]


@pytest.mark.parametrize("kind", CLASSES, ids=called)
def test_no_class_has_a_way_around(kind: type[Guarded]) -> None:
    assert kind.__reduce_ex__ is Guarded.__reduce_ex__
    for name in ("__copy__", "__deepcopy__", "__getnewargs__", "__getnewargs_ex__"):
        assert not hasattr(kind, name)


# --- objects with secrets in them

SECRET = bytes(range(200, 232))
SUITE, SUITE_12 = SUITES[0x1301], SUITES_12[0xC02B]


def keyed_layer() -> RecordLayer:
    layer = RecordLayer()
    layer.install_read(TrafficSecret(SUITE, SECRET))
    layer.install_write(TrafficSecret(SUITE, SECRET))
    layer.feed(SECRET)
    return layer


RANDOMS = (bytes(32), bytes(32))
KEY_12 = RecordKey(SUITE_12, SECRET[:16], SECRET[:4])

FILLED: dict[str, Callable[[], object]] = {
    "groups._CurveShare": GROUPS[G.SECP256R1].new_share,
    "groups._HybridShare": GROUPS[G.X25519MLKEM768].new_share,
    "groups._MontgomeryShare": GROUPS[G.X25519].new_share,
    "layer.RecordLayer": keyed_layer,
    "protection12.Opener12": lambda: Opener12(KEY_12),
    "protection12.Sealer12": lambda: Sealer12(KEY_12),
    "protection13.Opener": lambda: Opener(TrafficSecret(SUITE, SECRET)),
    "protection13.Sealer": lambda: Sealer(TrafficSecret(SUITE, SECRET)),
    "schedule12.Exporter12": lambda: Exporter12(SUITE_12, SECRET, RANDOMS),
    "schedule12.MainSecret": lambda: MainSecret12(SUITE_12, SECRET, bytes(32), RANDOMS),
    "schedule12.RecordKey": lambda: KEY_12,
    "schedule13.EarlySecret": lambda: EarlySecret(SUITE),
    "schedule13.Exporter": lambda: Exporter(SUITE, SECRET),
    "schedule13.HandshakeSecret": lambda: EarlySecret(SUITE).handshake_secret(SECRET),
    "schedule13.MainSecret": lambda: EarlySecret(SUITE).handshake_secret(SECRET).main_secret(),
    "schedule13.PskSecret": lambda: PskSecret(SUITE, SECRET, "res"),
    "schedule13.TrafficSecret": lambda: TrafficSecret(SUITE, SECRET),
}


def test_all_classes_of_crypto_and_record_are_in_the_table() -> None:
    here = [called(kind) for kind in CLASSES if kind.__module__.startswith(("handfast.crypto.", "handfast.record."))]
    assert sorted(FILLED) == here


@pytest.mark.parametrize("name", FILLED)
def test_a_representation_is_a_name_and_nothing_else(name: str) -> None:
    value = FILLED[name]()
    for text in (repr(value), str(value), f"{value}"):
        assert text == f"<{name.partition('.')[2]}>"


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
