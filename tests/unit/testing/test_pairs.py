"""A pair in memory, with callbacks that are coroutines."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime

import pytest

from handfast import ASK, CertificateRefused, ChainVerifier, ClientConfig, MisuseError, ServerConfig, TLSError, reasons
from handfast.certificates.identity import Identity
from handfast.certificates.peer import PeerIdentity
from handfast.testing import Authority, pair, pump
from tests.handshake.parties import fails

AUTHORITY = Authority.create()
IDENTITY = AUTHORITY.issue("localhost")


class Remote:
    """A key that takes its time."""

    schemes = IDENTITY.signer.schemes

    async def sign(self, scheme: int, content: bytes) -> bytes:
        """The signature, later."""
        await asyncio.sleep(0.001)
        signature = IDENTITY.signer.sign(scheme, content)
        assert isinstance(signature, bytes)
        return signature


class Asking:
    """A verifier that has to ask somebody."""

    async def verify_server(self, chain: Sequence[bytes], server_name: str | None, now: datetime) -> PeerIdentity:
        """The identity, later."""
        await asyncio.sleep(0.001)
        return ChainVerifier(AUTHORITY.trust).verify_server(chain, server_name, now)


def asynchronous() -> tuple[ClientConfig, ServerConfig]:
    async def welcome(peer: PeerIdentity) -> None:
        await asyncio.sleep(0.001)

    client = ClientConfig(verifier=Asking(), check_peer=welcome)
    return client, ServerConfig(identities=[Identity(IDENTITY.chain, Remote())])


def test_callbacks_that_are_coroutines_are_awaited() -> None:
    ours, theirs = pair(*asynchronous())
    theirs.send(b"hello")
    events, _ = pump(ours, theirs)
    assert getattr(events[-1], "data", None) == b"hello"


def test_also_within_an_event_loop() -> None:
    async def main() -> None:
        ours, _ = pair(*asynchronous())
        assert ours.handshake is not None

    asyncio.run(main())


def test_one_that_refuses_is_the_error_of_the_pair() -> None:
    async def refuse(peer: PeerIdentity) -> None:
        raise CertificateRefused("access_denied", "not today")

    client = ClientConfig(trust=AUTHORITY.trust, check_peer=refuse)
    with fails(CertificateRefused, reasons.CERTIFICATE_REFUSED) as caught:
        pair(client, ServerConfig(identities=[IDENTITY]))
    assert caught.value.evidence["problem"] == "not today"


def test_one_that_fails_is_told_as_one_that_fails() -> None:
    async def fail(peer: PeerIdentity) -> None:
        raise KeyError("no such service")

    with fails(TLSError, reasons.CALLBACK_FAILED) as caught:
        pair(ClientConfig(trust=AUTHORITY.trust, check_peer=fail), ServerConfig(identities=[IDENTITY]))
    assert isinstance(caught.value.__cause__, KeyError)


def test_a_question_to_the_application_is_named() -> None:
    with pytest.raises(MisuseError) as caught:
        pair(ClientConfig(trust=AUTHORITY.trust, check_peer=ASK), ServerConfig(identities=[IDENTITY]))
    assert caught.value.evidence["question"] == "CheckPeer"
