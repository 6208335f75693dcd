"""An authority, its files, and the modules that a side may be of."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from handfast.testing import Authority
from handfast.transport import ssl_module

MODULES = {"handfast": ssl_module, "ssl": ssl}
Make = Callable[..., Any]


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority.create("Drop-in CA")


@pytest.fixture(scope="session")
def files(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("ssl_module")
    found = {"ca": authority.write(folder), "folder": folder}
    for name, names in (("server", ("localhost", "127.0.0.1")), ("other", ("other.test",))):
        found[name], found[f"{name}_key"] = authority.issue(*names).write(folder, name)
    found["client"], found["client_key"] = authority.issue("me.test", usage=("client",)).write(folder, "client")
    return found


@pytest.fixture
def client_of(files: dict[str, Path]) -> Make:
    """A context for clients, of one module or the other."""

    def make(module: ModuleType = ssl_module, *, version: str | None = None, alpn: tuple[str, ...] = ()) -> Any:
        context = module.create_default_context(cafile=files["ca"])
        return _limited(context, version, alpn)

    return make


@pytest.fixture
def server_of(files: dict[str, Path]) -> Make:
    """The same for servers."""

    def make(
        module: ModuleType = ssl_module, *, version: str | None = None, alpn: tuple[str, ...] = (), name: str = "server"
    ) -> Any:
        context = module.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(files[name], files[f"{name}_key"])
        return _limited(context, version, alpn)

    return make


def _limited(context: Any, version: str | None, alpn: tuple[str, ...]) -> Any:
    if version is not None:
        context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context
