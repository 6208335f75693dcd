"""What somebody who writes a verifier, a check or a signer reads when it is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from handfast import CertificateError, ClientConfig, ConfigurationError, KeyUnavailable, ServerConfig, TLSError, reasons
from handfast.certificates.identity import Identity
from handfast.testing import Authority, pair
from tests.handshake.parties import fails

AUTHORITY = Authority.create()
IDENTITY = AUTHORITY.issue("localhost")
SERVER = ServerConfig(identities=[IDENTITY])


class Returning:
    """A verifier that returns what it is told to."""

    def __init__(self, answer: object) -> None:
        self._answer = answer

    def verify_server(self, chain: Any, server_name: Any, now: Any) -> Any:
        """Any answer."""
        return self._answer


@pytest.mark.parametrize("answer", [True, None])
def test_a_verifier_that_says_yes_is_told_what_is_an_answer(answer: object) -> None:
    with fails(TLSError, reasons.CALLBACK_FAILED) as caught:
        pair(ClientConfig(verifier=Returning(answer)), SERVER)
    assert caught.value.evidence == {
        "question": "VerifyPeer",
        "problem": f"{type(answer).__name__} is not an answer",
        "wanted": "a PeerIdentity, as ChainVerifier returns it; to refuse, raise CertificateRefused",
    }
    assert caught.value.__cause__ is None


def test_a_check_that_returns_its_verdict_is_told_how_to_refuse() -> None:
    no: Any = lambda peer: False  # noqa: E731
    with fails(TLSError, reasons.CALLBACK_FAILED) as caught:
        pair(ClientConfig(trust=AUTHORITY.trust, check_peer=no), SERVER)
    assert caught.value.evidence["problem"] == "bool is not an answer"
    assert caught.value.evidence["wanted"] == "None; to refuse, raise CertificateRefused"


def test_what_else_is_asked_for_is_named_by_its_type() -> None:
    class Text:
        schemes = IDENTITY.signer.schemes

        def sign(self, scheme: int, content: bytes) -> Any:
            return "text"

    with fails(TLSError, reasons.CALLBACK_FAILED) as caught:
        pair(ClientConfig(trust=AUTHORITY.trust), ServerConfig(identities=[Identity(IDENTITY.chain, Text())]))
    assert caught.value.evidence["wanted"] == "bytes"


@pytest.mark.parametrize("kind", [KeyUnavailable, CertificateError, TLSError])
def test_a_callback_may_raise_with_a_text(kind: type[TLSError]) -> None:
    class Card:
        schemes = IDENTITY.signer.schemes

        def sign(self, scheme: int, content: bytes) -> bytes:
            raise kind("the card is not in the reader")

    with pytest.raises(kind) as caught:
        pair(ClientConfig(trust=AUTHORITY.trust), ServerConfig(identities=[Identity(IDENTITY.chain, Card())]))
    assert caught.value.reason is (reasons.REFUSED_BY_CALLBACK if kind is TLSError else kind.default_reason)
    assert caught.value.evidence["problem"] == "the card is not in the reader"
    assert "the card is not in the reader" in str(caught.value)


@pytest.mark.parametrize("wrong", [IDENTITY, "fullchain.pem", 7, None, ["fullchain.pem"], [IDENTITY, None], [Identity]])
@pytest.mark.parametrize("kind", [ClientConfig, ServerConfig])
def test_identities_that_are_no_list_of_them(kind: Any, wrong: Any) -> None:
    with fails(ConfigurationError, reasons.BAD_CONFIGURATION) as caught:
        kind(identities=wrong)
    assert caught.value.evidence["setting"] == "identities"
    assert "has to be a list of Identity, such as [Identity.load(...)]" in caught.value.evidence["problem"]
