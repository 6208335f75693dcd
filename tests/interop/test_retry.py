"""HelloRetryRequest: the server wants a key share of another group, or proof that the client can be reached."""

from __future__ import annotations

import pytest

from handfast.wire.codepoints import ExtensionType
from tests.interop.matrix import feature
from tests.interop.sides import Accepting, Connecting

pytestmark = pytest.mark.timeout(300)  # the first one of Go waits for the compiler

COOKIE_KEY = bytes(range(32))

# --- we are the client ---------------------------------------------------------------------------------------------------


@feature("server", "retry")
def test_a_server_that_wants_another_key_share(connecting: Connecting) -> None:
    with connecting.serve(groups=("secp384r1",)) as running:
        tls = connecting(running, key_shares=["x25519"])
        connecting.check(tls, running)
    assert tls.handshake.hello_retry_request
    assert tls.handshake.group == "secp384r1"


@feature("server", "cookie")
def test_a_server_that_sends_a_cookie(connecting: Connecting) -> None:
    with connecting.serve(cookie=True) as running:
        # OpenSSL 3.0 stumbles over the ChangeCipherSpec of a client that looks like TLS 1.2, its own among them.
        tls = connecting(running, middlebox_compatibility=False)
        connecting.check(tls, running)
    assert tls.handshake.hello_retry_request
    first, again = (hello for hello in connecting.seen.messages_sent if hello.NAME == "ClientHello")
    assert ExtensionType.COOKIE not in first.extension_types
    assert ExtensionType.COOKIE in again.extension_types


# --- we are the server ---------------------------------------------------------------------------------------------------


@feature("client", "retry")
def test_a_client_that_guessed_another_group(accepting: Accepting) -> None:
    serving = accepting.serve(groups=["secp384r1"])
    with serving, accepting.connect(serving, groups=("secp256r1", "secp384r1")) as running:
        handshake = accepting.check(serving, running)
    assert handshake.hello_retry_request
    assert handshake.group == "secp384r1"


@feature("client", "cookie")
def test_a_client_that_guessed_another_group_gets_a_cookie(accepting: Accepting) -> None:
    serving = accepting.serve(groups=["secp384r1"], cookie_key=COOKIE_KEY)
    with serving, accepting.connect(serving, groups=("secp256r1", "secp384r1")) as running:
        handshake = accepting.check(serving, running)
    assert handshake.hello_retry_request
    _, again = (hello for hello in serving.seen.messages_received if hello.NAME == "ClientHello")
    assert ExtensionType.COOKIE in again.extension_types


@feature("client", "retry always")
def test_a_client_gets_nothing_but_a_cookie(accepting: Accepting) -> None:
    serving = accepting.serve(retry="always", cookie_key=COOKIE_KEY)
    with serving, accepting.connect(serving) as running:
        handshake = accepting.check(serving, running)
    assert handshake.hello_retry_request
    first, again = (hello for hello in serving.seen.messages_received if hello.NAME == "ClientHello")
    assert ExtensionType.COOKIE in again.extension_types
    assert first.random == again.random
