"""Certificates that are renewed, in each way in which that is done."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from handfast import ClientConfig, Files, ServerConfig, connect
from handfast.testing import Authority, IssuedIdentity
from handfast.testing.authority import write_private
from tests.handshake.parties import authority, trust

CHAIN, KEY = "fullchain.pem", "privkey.pem"


def issued(*names: str, **settings: Any) -> IssuedIdentity:
    return authority().issue("localhost", *names, **settings)


def put(folder: Path, identity: IssuedIdentity) -> None:
    """Each file replaced by one of its name, one after the other, as certbot does it."""
    put_chain(folder, identity)
    put_key(folder, identity)


def put_chain(folder: Path, identity: IssuedIdentity) -> None:
    new = folder / "chain.new"
    new.write_bytes(identity.certificate_pem)
    new.replace(folder / CHAIN)


def put_key(folder: Path, identity: IssuedIdentity) -> None:
    new = folder / "key.new"
    write_private(new, identity.key_pem)
    new.replace(folder / KEY)


def mount(folder: Path, name: str, identity: IssuedIdentity) -> None:
    """As Kubernetes mounts a secret: the files are links through one link to a folder, which alone is replaced."""
    data, link = folder / name, folder / "..data"
    data.mkdir()
    put(data, identity)
    old = link.resolve() if link.exists() else None
    new = folder / "..data_tmp"
    new.symlink_to(name)
    new.replace(link)
    for file in (CHAIN, KEY):
        if not (folder / file).is_symlink():
            (folder / file).symlink_to(Path("..data", file))
    if old is not None:
        shutil.rmtree(old)


def settings_of(folder: Path, **more: Any) -> Any:
    """What makes a server's configuration from the files of a folder."""

    def settings(files: Files) -> ServerConfig:
        return ServerConfig(identities=[files.identity(folder / CHAIN, folder / KEY)], **more)

    return settings


def served(port: int) -> tuple[str, ...]:
    """The names in the certificate that a server has now."""
    with connect("localhost", port, config=ClientConfig(trust=trust())) as tls:
        assert tls.handshake.peer is not None
        return tls.handshake.peer.dns_names


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def stranger() -> Authority:
    return Authority.create("somebody else")
