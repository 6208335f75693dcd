"""`handfast cert --key` with a key in a token."""

from __future__ import annotations

from pathlib import Path

import pytest

from handfast.certificates import pem
from handfast.testing import IssuedIdentity
from tests.cli.running import called, lines_of
from tests.cli.world import document
from tests.keys.conftest import KINDS
from tests.keys.softhsm import PIN, SoftHsm


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_in_a_token_belongs_to_its_certificate_alone(
    hsm: SoftHsm, issued: dict[str, IssuedIdentity], kind: str, tmp_path: Path
) -> None:
    uri = f"{hsm.uri(object=kind)}&pin-value={PIN}"
    for other, identity in issued.items():
        path, _ = identity.write(tmp_path, other)
        found = document(called("cert", "show", path, "--key", uri, "--json"))
        assert found["key"]["fits"] is (other == kind)
        known = found["certificates"][0]["key_sha256"] if other == kind else None
        assert found["key"]["sha256"] == known  # a token does not show it: it is known from the certificate
        assert PIN not in found["key"]["name"]
    run = called(
        "cert", "show", path, "--key", uri if kind != KINDS[-1] else f"{hsm.uri(object='p256')}&pin-value={PIN}"
    )
    assert run.returncode == 1
    assert "  key              in a token" in lines_of(run)
    assert PIN.encode() not in run.stdout + run.stderr


def test_of_several_certificates_it_is_told_which_one(
    hsm: SoftHsm, issued: dict[str, IssuedIdentity], tmp_path: Path
) -> None:
    both = [*issued["p256"].chain[:1], *issued["p384"].chain[:1], *issued["rsa2048"].chain[:1]]
    (tmp_path / "all.pem").write_bytes(b"".join(map(pem.certificate, both)))
    for kind, index in (("p256", 0), ("p384", 1), ("rsa2048", 2)):
        uri = f"{hsm.uri(object=kind)}&pin-value={PIN}"
        found = document(called("cert", "show", tmp_path / "all.pem", "--key", uri, "--json"))
        assert found["key"]["certificate"] == index
