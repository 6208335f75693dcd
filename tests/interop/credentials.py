"""Certificates for all peers, as files: of one authority that is trusted, and the root of another one that is not."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from handfast import Identity, TrustStore
from handfast.certificates import pem
from handfast.testing import Authority
from handfast.testing.authority import key_pem, write_private
from tests.peers import require_peer

if TYPE_CHECKING:
    from tests.interop.peer import Setup

NAMES = ("localhost", "127.0.0.1")
OTHER_NAMES = ("other.example",)

# The kind of key -> what its CertificateVerify is signed with, where nothing else is asked for.
KEYS = {
    "p256": "ecdsa_secp256r1_sha256",
    "p384": "ecdsa_secp384r1_sha384",
    "p521": "ecdsa_secp521r1_sha512",
    "rsa2048": "rsa_pss_rsae_sha256",
    "rsa-pss": "rsa_pss_pss_sha256",
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
        self._made: dict[tuple[str, tuple[str, ...]], Files] = {}

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
    def strange_root(self) -> Path:
        return self.strange_authority.write(self.folder, "strange")

    def files(self, key: str = "p256", names: tuple[str, ...] = NAMES) -> Files:
        if (key, names) not in self._made:
            self._made[key, names] = self._make(key, names)
        return self._made[key, names]

    @cached_property
    def with_intermediate(self) -> Files:
        """A chain of two: the certificate of a server, and that of its issuer."""
        return Files(*self._authority.intermediate().issue(*NAMES).write(self.folder, "two"))

    @cached_property
    def issuers(self) -> Path:
        """The second one of these alone."""
        path = self.folder / "issuers.pem"
        path.write_bytes(pem.certificate(self.with_intermediate.identity.chain[1]))
        return path

    def of(self, setup: Setup) -> Files:
        """What a server is to have."""
        return self.with_intermediate if setup.intermediate else self.files(setup.keys[0])

    def _make(self, key: str, names: tuple[str, ...]) -> Files:
        stem = f"{key}-{names[0]}"
        if key == "rsa-pss":
            return self._make_rsa_pss(stem, names)
        return Files(*self._authority.issue(*names, key=key).write(self.folder, stem))

    def _make_rsa_pss(self, stem: str, names: tuple[str, ...]) -> Files:
        """By openssl: `cryptography` cannot make a key that is called id-RSASSA-PSS."""
        openssl = require_peer("openssl")
        path = self.folder / stem
        authority_key = self.folder / "ca.key"
        write_private(authority_key, key_pem(self._authority.key))
        alternatives = ",".join(f"{'IP' if name[0].isdigit() else 'DNS'}:{name}" for name in names)
        Path(f"{path}.cnf").write_text(
            f"[req]\ndistinguished_name = dn\n[dn]\n[leaf]\nsubjectAltName = {alternatives}\n"
            "basicConstraints = critical, CA:false\nkeyUsage = critical, digitalSignature\n"
            "extendedKeyUsage = serverAuth\nauthorityKeyIdentifier = keyid\n"
        )
        request = (
            f"req -new -newkey rsa-pss -pkeyopt rsa_keygen_bits:2048 -nodes -keyout {path}.key -out {path}.csr"
            f" -subj /CN=handfast -config {path}.cnf"
        )
        signing = (
            f"x509 -req -in {path}.csr -CA {self.root} -CAkey {authority_key} -set_serial 7 -days 30 -sha256"
            f" -extfile {path}.cnf -extensions leaf -out {path}.pem"
        )
        for command in (request, signing):
            done = subprocess.run([openssl, *command.split()], capture_output=True, text=True, timeout=60)
            assert done.returncode == 0, done.stderr
        return Files(Path(f"{path}.pem"), Path(f"{path}.key"))
