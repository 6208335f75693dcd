"""Certificates for all peers, as files: of one authority that is trusted, and the root of another one that is not."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from handfast import Identity, TrustStore
from handfast.certificates import pem
from handfast.testing import Authority

if TYPE_CHECKING:
    from collections.abc import Callable

    from handfast.testing.authority import IssuedIdentity
    from tests.interop.peer import Setup

NAMES = ("localhost", "127.0.0.1")
OTHER_NAMES = ("other.example",)
CLIENT = "client.example"

# The kind of key -> what its CertificateVerify is signed with, where nothing else is asked for.
KEYS = {
    "p256": "ecdsa_secp256r1_sha256",
    "p384": "ecdsa_secp384r1_sha384",
    "p521": "ecdsa_secp521r1_sha512",
    "rsa2048": "rsa_pss_rsae_sha256",
    "rsapss2048": "rsa_pss_pss_sha256",
    "ed25519": "ed25519",
    "ed448": "ed448",
    "mldsa44": "mldsa44",
    "mldsa65": "mldsa65",
    "mldsa87": "mldsa87",
}


@dataclass(frozen=True)
class Files:
    """A chain and its key."""

    chain: Path
    key: Path

    @property
    def identity(self) -> Identity:
        return Identity.load(self.chain, self.key)


class Credentials:
    """Makes what is asked for, once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._authority = Authority.create()
        self._made: dict[str, Files] = {}

    # --- whom to trust

    @property
    def trust(self) -> TrustStore:
        return self._authority.trust

    @cached_property
    def root(self) -> Path:
        """The root that is to be trusted."""
        return self._authority.write(self.folder)

    @cached_property
    def strange_authority(self) -> Authority:
        """An authority that issued nothing here."""
        return Authority.create("somebody else's root")

    @cached_property
    def _strange_root(self) -> Path:
        return self.strange_authority.write(self.folder, "strange")

    def trusted_by(self, setup: Setup) -> Path:
        """The root that a peer is to trust."""
        return self.root if setup.trust == "root" else self._strange_root

    # --- who to be

    def files(self, key: str = "p256", names: tuple[str, ...] = NAMES) -> Files:
        """A server's."""
        return self._once(f"{key}-{names[0]}", lambda: self._authority.issue(*names, key=key))

    def client(self, key: str = "p256") -> Files:
        """A client's."""
        return self._once(f"client-{key}", lambda: self._authority.issue(CLIENT, key=key, usage=("client",)))

    def servers(self, setup: Setup) -> list[Files]:
        """What a server is to have: for the usual names, and perhaps for other ones."""
        first = self.with_intermediate if setup.intermediate else self.files(setup.keys[0])
        return [first, *(self.files(key, OTHER_NAMES) for key in setup.keys[1:])]

    def client_of(self, setup: Setup) -> Files | None:
        """What a client is to have."""
        return self.client(setup.client_key) if setup.client_key else None

    @cached_property
    def with_intermediate(self) -> Files:
        """A chain of two: the certificate of a server, and that of its issuer."""
        return self._once("two", lambda: self._authority.intermediate().issue(*NAMES))

    @cached_property
    def issuers(self) -> Path:
        """The second one of these alone."""
        path = self.folder / "issuers.pem"
        path.write_bytes(pem.certificate(self.with_intermediate.identity.chain[1]))
        return path

    def _once(self, stem: str, make: Callable[[], IssuedIdentity]) -> Files:
        if stem not in self._made:
            self._made[stem] = Files(*make().write(self.folder, stem))
        return self._made[stem]
