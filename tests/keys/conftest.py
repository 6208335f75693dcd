from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pkcs11
import pytest

from handfast.testing import Authority, IssuedIdentity
from tests.keys.softhsm import SoftHsm

KINDS = ("p256", "p384", "p521", "rsa2048", "ed25519")


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority.create("the authority of the tokens")


@pytest.fixture(scope="session")
def issued(authority: Authority) -> dict[str, IssuedIdentity]:
    """By kind of key: the certificates whose keys are in the token."""
    return {kind: authority.intermediate().issue("localhost", key=kind, usage=("server", "client")) for kind in KINDS}


@pytest.fixture(scope="session")
def hsm(tmp_path_factory: pytest.TempPathFactory, issued: dict[str, IssuedIdentity]) -> Iterator[SoftHsm]:
    """A token with a key of each kind, whose label is the kind and whose id is its number from 1 on."""
    made = SoftHsm(tmp_path_factory.mktemp("softhsm"))
    made.token("handfast")
    for number, (kind, identity) in enumerate(issued.items(), 1):
        made.put(identity.key, kind, number, "handfast")
    made.token("another one")
    before = os.environ.get("SOFTHSM2_CONF")
    os.environ["SOFTHSM2_CONF"] = str(made.configuration)
    try:
        yield made
    finally:
        pkcs11.unload(made.library)
        os.environ.pop("SOFTHSM2_CONF")
        if before is not None:
            os.environ["SOFTHSM2_CONF"] = before


@pytest.fixture
def chain(issued: dict[str, IssuedIdentity], tmp_path: Path) -> Path:
    """A file with the chain of the P-256 key, and no key."""
    path = tmp_path / "chain.pem"
    path.write_bytes(issued["p256"].certificate_pem)
    return path
