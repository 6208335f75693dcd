"""Verifiers that were made stricter by inheritance: a session says nothing of what they ask for besides."""

from __future__ import annotations

from typing import Any

import pytest

from handfast import CertificateRefused
from handfast.certificates.policy import ChainVerifier, Policy, ServiceVerifier
from handfast.certificates.spiffe import AllowSpiffe, SpiffeId
from handfast.certificates.store import TrustStore
from handfast.transport.fetching import FetchingVerifier
from tests.handshake.parties import client_identity, trust
from tests.handshake.returning import Sessions, Tickets, visit


class Stricter(ChainVerifier):
    """Knows of a key that was stolen."""

    def verify_server(self, chain: Any, server_name: Any, now: Any) -> Any:
        raise CertificateRefused(alert="certificate_revoked", problem="stolen")

    def verify_client(self, chain: Any, now: Any) -> Any:
        raise CertificateRefused(alert="certificate_revoked", problem="stolen")


class Named(ChainVerifier):
    """Says itself what it stands for."""

    trust_id = b"the rules of this house"  # type: ignore[assignment]


@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize("side", ["client", "server"])
def test_a_session_of_a_laxer_verifier_does_not_get_past_it(side: str, version: str) -> None:
    client: dict[str, Any] = {"sessions": Sessions(), "identities": [client_identity()], "max_version": version}
    server: dict[str, Any] = {"tickets": Tickets(), "client_authentication": "required"}
    settings, name = {"client": (client, "verifier"), "server": (server, "client_verifier")}[side]
    settings[name] = ChainVerifier(trust())
    assert not visit(client, server).talk().resumed
    assert visit(client, server).talk().resumed
    settings[name] = Stricter(trust())
    with pytest.raises(CertificateRefused):
        visit(client, server).talk()


class Nobody(AllowSpiffe):
    """A rule of one's own, made stricter by inheritance too."""

    def allows(self, name: SpiffeId) -> bool:
        return False


class StricterService(ServiceVerifier):
    pass


def test_what_is_stricter_somewhere_has_no_trust_id_of_the_laxer_one() -> None:
    ids = [f"spiffe://example.org/{kind}" for kind in ("*", "web")]
    policies = [Policy(allow=AllowSpiffe(*ids)), Policy(allow=Nobody(*ids))]
    assert [bool(ChainVerifier(trust(), policy).trust_id) for policy in policies] == [True, False]
    assert [bool(ServiceVerifier(trust(), policy).trust_id) for policy in policies] == [True, False]
    assert StricterService(trust(), policies[0]).trust_id == b""


class StricterStore(TrustStore):
    """Asks somebody about each certificate."""

    def refuses(self, certificate: Any) -> bool:
        return True


class StricterFetching(FetchingVerifier):
    pass


def test_neither_has_what_stands_on_a_stricter_store_or_fetches_for_it() -> None:
    roots, stricter = trust(), StricterStore(trust().roots, "ours")
    rule = AllowSpiffe("spiffe://example.org/*", trust={"example.org": stricter})
    for verifier in (
        ChainVerifier(stricter),
        ChainVerifier(roots, Policy(allow=rule)),
        ServiceVerifier(roots, Policy(allow=rule)),
        StricterFetching(ChainVerifier(roots)),
    ):
        assert verifier.trust_id == b""
    assert FetchingVerifier(ChainVerifier(roots)).trust_id == ChainVerifier(roots).trust_id != b""


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_one_that_says_what_it_stands_for_resumes(version: str) -> None:
    client = {"sessions": Sessions(), "max_version": version, "verifier": Named(trust())}
    server = {"tickets": Tickets()}
    assert not visit(client, server).talk().resumed
    assert visit(client, server).talk().resumed
