"""Certificates that change while their key stays in the token."""

from __future__ import annotations

from pathlib import Path

import pytest

from handfast import reasons
from handfast.config import ServerConfig
from handfast.errors import ConfigurationError
from handfast.signers import Pkcs11Signer
from handfast.testing import Authority, IssuedIdentity
from handfast.transport.reload import Files, Reloading
from tests.keys.softhsm import PIN, SoftHsm


def test_a_renewed_certificate_of_the_same_key(
    hsm: SoftHsm, chain: Path, issued: dict[str, IssuedIdentity], authority: Authority
) -> None:
    with Pkcs11Signer(hsm.uri(object="p256"), PIN) as signer:

        def settings(files: Files) -> ServerConfig:
            return ServerConfig(identities=[files.identity(chain, signer)])

        live = Reloading(settings)
        before = live().identities[0]
        assert live.has_files
        chain.write_bytes(b"".join((authority.pem, issued["p256"].certificate_pem)))
        after = live.reload().identities[0]
        assert after.chain == before.chain
        assert after.signer is before.signer is signer
        assert [note.reason for note in after.notes] == [reasons.ROOT_LEFT_OUT]
        chain.write_bytes(issued["p384"].certificate_pem)
        with pytest.raises(ConfigurationError) as caught:
            live.reload()
        assert caught.value.reason is reasons.KEY_MISMATCH
        assert live().identities[0] is after
