"""SSLObject: what it does, beside what ``ssl`` does, and with ``ssl`` on the other side."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from typing import Any

import pytest

from handfast import ClientConfig, ServerConfig
from handfast.transport import ssl_module
from tests.ssl_module.conftest import MODULES, Make
from tests.ssl_module.memory import Pair, failure, read_all, shaken

PAIRS = [("handfast", "handfast"), ("handfast", "ssl"), ("ssl", "handfast")]
VERSIONS = ["TLSv1_2", "TLSv1_3"]
EVERY_PAIR = pytest.mark.parametrize(("client", "server"), PAIRS)
EVERY_VERSION = pytest.mark.parametrize("version", VERSIONS)


@EVERY_PAIR
@EVERY_VERSION
def test_both_roles_with_either_module(
    client: str, server: str, version: str, client_of: Make, server_of: Make
) -> None:
    pair = shaken(
        client_of(MODULES[client], version=version, alpn=("h2", "http/1.1")),
        server_of(MODULES[server], version=version, alpn=("http/1.1",)),
    )
    for side in (pair.client, pair.server):
        assert side.version() == ssl.TLSVersion[version].name.replace("_", ".")
        assert side.selected_alpn_protocol() == "http/1.1"
        assert side.compression() is None
    assert pair.client.cipher() == pair.server.cipher()
    assert pair.client.cipher() in pair.server.shared_ciphers()
    assert pair.client.getpeercert()["subjectAltName"] == (("DNS", "localhost"), ("IP Address", "127.0.0.1"))
    assert pair.server.getpeercert() is None
    data = os.urandom(300_000)
    for sender, receiver in ((pair.client, pair.server), (pair.server, pair.client)):
        sent = 0
        while sent < len(data):
            sent += sender.write(memoryview(data)[sent:])
        assert read_all(receiver, len(data)) == data
    with pytest.raises(ssl.SSLWantReadError):
        pair.client.unwrap()
    assert pair.server.read(10) == b""
    pair.server.unwrap()
    pair.client.unwrap()


def _facts(pair: Pair) -> dict[str, Any]:
    peer = pair.client.getpeercert()
    return {
        "cert": peer,
        "der": pair.client.getpeercert(binary_form=True),
        "none": pair.server.getpeercert(True),
        "version": pair.client.version(),
        "cipher": pair.client.cipher(),
        "sides": (pair.client.server_side, pair.server.server_side),
        "names": (pair.client.server_hostname, pair.server.server_hostname),
        "shared": pair.client.shared_ciphers(),
        "unknown binding": repr(failure(pair.client.get_channel_binding, "unknown")),
    }


@EVERY_VERSION
def test_facts_are_those_of_ssl(version: str, client_of: Make, server_of: Make) -> None:
    server = server_of(ssl, version=version)
    assert _facts(shaken(client_of(version=version), server)) == _facts(shaken(client_of(ssl, version=version), server))


def test_before_the_handshake(client_of: Make, server_of: Make) -> None:
    for module in MODULES.values():
        pair = Pair(client_of(module), server_of(module))
        assert pair.client.cipher() is pair.client.version() is pair.client.shared_ciphers() is None
        assert pair.client.selected_alpn_protocol() is pair.client.get_channel_binding() is None
        assert pair.client.pending() == 0
        with pytest.raises(ValueError, match="handshake not done yet"):
            pair.client.getpeercert()
        assert failure(pair.client.unwrap).reason == "SHUTDOWN_WHILE_IN_INIT"  # type: ignore[attr-defined]


Step = tuple[str, Callable[[Pair], Any]]
BEHAVIOUR: list[Step] = [
    ("write", lambda p: p.client.write(b"hello")),
    ("pending before", lambda p: p.server.pending()),
    ("read nothing", lambda p: p.server.read(0)),
    ("read two", lambda p: p.server.read(2)),
    ("pending", lambda p: p.server.pending()),
    ("read the rest", lambda p: p.server.read(100)),
    ("read too early", lambda p: p.server.read(1)),
    ("write nothing", lambda p: p.client.write(b"")),
    ("still too early", lambda p: p.server.read(1)),
    ("read less than nothing", lambda p: p.server.read(-1)),
    ("write again", lambda p: p.client.write(b"0123456789")),
    ("into a buffer", lambda p: p.server.read(4, bytearray(9))),
    ("into a shorter one", lambda p: p.server.read(9, bytearray(2))),
    ("of any size", lambda p: p.server.read(-1, bytearray(2))),
    ("into none", lambda p: p.server.read(5, bytearray(0))),
    ("the end of it", lambda p: p.server.read()),
    ("a large piece", lambda p: p.client.write(bytes(100_000))),
    ("a record at a time", lambda p: len(p.server.read(100_000))),
    ("all of it", lambda p: len(read_all(p.server, 100_000 - 16_384))),
    ("numbers are no data", lambda p: p.client.write(5)),  # type: ignore[arg-type]
    ("the client closes", lambda p: p.client.unwrap()),
    ("that is read", lambda p: p.server.read()),
    ("and again", lambda p: p.server.read()),
    ("into a buffer too", lambda p: p.server.read(5, bytearray(5))),
    ("the client cannot write", lambda p: p.client.write(b"x")),
    ("the server closes", lambda p: p.server.unwrap()),
    ("there is nothing more", lambda p: p.server.read()),
    ("nor for the client", lambda p: p.client.unwrap()),
    ("who has read all", lambda p: p.client.read()),
    ("and cannot write", lambda p: p.client.write(b"x")),
]


def _outcome(step: Callable[[Pair], Any], pair: Pair) -> tuple[Any, ...]:
    try:
        return ("returns", step(pair))
    except ssl.SSLError as error:
        kind = next(base for base in type(error).__mro__ if base.__module__ == "ssl")
        return (kind, error.errno, error.reason)
    except Exception as error:
        return (type(error),)


@EVERY_VERSION
def test_behaves_step_by_step_as_ssl(version: str, client_of: Make, server_of: Make) -> None:
    ours = shaken(client_of(version=version), server_of(version=version))
    theirs = shaken(client_of(ssl, version=version), server_of(ssl, version=version))
    # TLS 1.3 of OpenSSL has tickets on the way; they are read before the comparison begins.
    for side in (theirs.client, ours.client):
        with pytest.raises(ssl.SSLWantReadError):
            side.read()
    for name, step in BEHAVIOUR:
        assert (name, _outcome(step, ours)) == (name, _outcome(step, theirs))


def test_the_end_without_close_notify(client_of: Make, server_of: Make) -> None:
    for module in MODULES.values():
        pair = shaken(client_of(module), server_of(module))
        pair.to_client.write_eof()
        for call in (pair.client.read, lambda side=pair.client: side.write(b"x")):
            error = failure(call)
            assert isinstance(error, ssl.SSLEOFError)
            assert error.errno == ssl.SSL_ERROR_EOF


def test_the_end_during_the_handshake(client_of: Make, server_of: Make) -> None:
    pair = Pair(client_of(), server_of())
    pair.to_client.write_eof()
    error = failure(pair.client.do_handshake)
    assert isinstance(error, ssl.SSLEOFError)
    assert "EOF occurred in violation of protocol" in str(error)
    assert "closed the connection during the handshake" in str(error)


def test_bytes_may_come_one_by_one(client_of: Make, server_of: Make) -> None:
    pair = Pair(client_of(), server_of())
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    slow = server_of().wrap_bio(incoming, outgoing, server_side=True)
    with pytest.raises(ssl.SSLWantReadError):
        pair.client.do_handshake()
    hello = pair.to_server.read()
    for at in range(len(hello)):
        with pytest.raises(ssl.SSLWantReadError):
            slow.do_handshake()
        assert not outgoing.pending
        incoming.write(hello[at : at + 1])
    with pytest.raises(ssl.SSLWantReadError):
        slow.do_handshake()
    pair.to_client.write(outgoing.read())
    pair.client.do_handshake()
    incoming.write(pair.to_server.read())
    slow.do_handshake()
    pair.client.write(b"abc")
    data = pair.to_server.read()
    for at in range(len(data)):
        with pytest.raises(ssl.SSLWantReadError):
            slow.read()
        incoming.write(data[at : at + 1])
    assert slow.read() == b"abc"


def test_what_follows_close_notify_stays_in_the_buffer(client_of: Make, server_of: Make) -> None:
    pair = shaken(client_of(), server_of())
    with pytest.raises(ssl.SSLWantReadError):
        pair.client.unwrap()
    pair.to_server.write(b"in plain text")
    pair.server.unwrap()
    assert pair.to_server.read() == b"in plain text"


def test_reading_and_writing_begin_the_handshake(client_of: Make, server_of: Make) -> None:
    pair = Pair(client_of(), server_of())
    with pytest.raises(ssl.SSLWantReadError):
        pair.client.write(b"hello")
    with pytest.raises(ssl.SSLWantReadError):
        pair.server.read()
    assert pair.client.write(b"hello") == 5
    assert pair.server.read() == b"hello"


@pytest.mark.parametrize("kind", ["tls-exporter", "tls-server-end-point"])
def test_channel_bindings_that_ssl_does_not_have(kind: str, client_of: Make, server_of: Make) -> None:
    pair = shaken(client_of(), server_of())
    binding = pair.client.get_channel_binding(kind)
    assert binding
    assert binding == pair.server.get_channel_binding(kind)


def test_tls_unique_is_of_tls_12_alone(client_of: Make, server_of: Make) -> None:
    pair = shaken(client_of(version="TLSv1_2"), server_of(ssl, version="TLSv1_2"))
    assert pair.client.get_channel_binding() == pair.server.get_channel_binding()
    assert shaken(client_of(), server_of()).client.get_channel_binding() is None  # RFC 9266 section 3


def test_the_connection_is_at_hand(client_of: Make, server_of: Make) -> None:
    pair = Pair(client_of(), server_of())
    assert pair.client.handfast is None
    pair.shake()
    exported = [side.handfast.export_keying_material("EXPERIMENTAL x", 32) for side in (pair.client, pair.server)]
    assert exported[0] == exported[1]
    assert pair.client.handfast.handshake.group == "X25519MLKEM768"


def test_chains(client_of: Make, server_of: Make, authority: Any) -> None:
    pair = shaken(client_of(), server_of())
    leaf = pair.client.getpeercert(True)
    assert pair.client.get_unverified_chain() == [leaf]
    assert pair.client.get_verified_chain() == [leaf, authority.der]
    assert pair.server.get_verified_chain() == pair.server.get_unverified_chain() == []
    beneath = pair.client._sslobj.get_unverified_chain()  # what truststore and urllib3 call
    assert [item.public_bytes(ssl._ssl.ENCODING_DER) for item in beneath] == [leaf]  # type: ignore[attr-defined]
    assert beneath[0].public_bytes() == ssl.DER_cert_to_PEM_cert(leaf)


@EVERY_PAIR
@EVERY_VERSION
@pytest.mark.parametrize("mode", [ssl.CERT_OPTIONAL, ssl.CERT_REQUIRED])
def test_client_certificates(
    client: str, server: str, version: str, mode: ssl.VerifyMode, client_of: Make, server_of: Make, files: Any
) -> None:
    asking = server_of(MODULES[server], version=version)
    asking.verify_mode = mode
    asking.load_verify_locations(files["ca"])
    asked = client_of(MODULES[client], version=version)
    asked.load_cert_chain(files["client"], files["client_key"])
    pair = shaken(asked, asking)
    assert pair.server.getpeercert()["subject"]
    without = Pair(client_of(MODULES[client], version=version), asking)
    if mode == ssl.CERT_OPTIONAL:
        without.shake()
        assert without.server.getpeercert() is None
    else:
        error = failure(without.shake)
        assert isinstance(error, ssl.SSLError)
        assert error.reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE"


def test_without_verification_there_is_an_empty_dictionary(client_of: Make, server_of: Make) -> None:
    context = client_of()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    pair = shaken(context, server_of(name="other"))
    assert pair.client.getpeercert() == {}
    assert pair.client.getpeercert(True)


def test_post_handshake_authentication_is_refused(client_of: Make, server_of: Make) -> None:
    pair = shaken(client_of(), server_of())
    assert failure(pair.server.verify_client_post_handshake).reason == "EXTENSION_NOT_RECEIVED"  # type: ignore[attr-defined]
    assert failure(pair.client.verify_client_post_handshake).reason == "NOT_SERVER"  # type: ignore[attr-defined]


def test_sessions_of_openssl_are_refused(client_of: Make, server_of: Make) -> None:
    session = shaken(client_of(ssl, version="TLSv1_2"), server_of(ssl, version="TLSv1_2")).client.session
    pair = Pair(client_of(), server_of())
    assert pair.client.session is None
    assert not pair.client.session_reused
    with pytest.raises(ValueError, match="different SSLContext"):
        pair.client.session = session
    with pytest.raises(TypeError):
        pair.client.session = b"x"
    with pytest.raises(TypeError):
        pair.client.session = None


def test_the_config_has_the_last_word(client_of: Make, server_of: Make) -> None:
    client, server = client_of(), server_of()
    client.handfast = ClientConfig(groups=["secp384r1"], cipher_suites=["TLS_CHACHA20_POLY1305_SHA256"])
    seen: list[Any] = []
    server.handfast = ServerConfig(on_client_hello=lambda hello: seen.append(hello.server_name))
    pair = shaken(client, server)
    assert pair.client.handfast.handshake.group == "secp384r1"
    assert pair.server.cipher() == ("TLS_CHACHA20_POLY1305_SHA256", "TLSv1.3", 256)
    assert seen == ["localhost"]


def test_a_config_of_the_wrong_side_is_refused(client_of: Make, authority: Any) -> None:
    client = client_of()
    with pytest.raises(TypeError):
        client.handfast = "fast"
    client.handfast = ServerConfig(identities=[authority.issue("localhost")])
    side = client.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="localhost")
    assert "it is a ServerConfig, and a ClientConfig is needed here" in str(failure(side.do_handshake))


@pytest.mark.parametrize("in_loop", [False, True])
def test_asynchronous_callbacks(in_loop: bool, client_of: Make, server_of: Make) -> None:
    """They are awaited where there is no event loop, and refused by name where there is one."""
    import asyncio

    async def welcome(_: Any) -> None:
        await asyncio.sleep(0)

    client = client_of()
    client.handfast = ClientConfig(check_peer=welcome)
    pair = Pair(client, server_of())
    if not in_loop:
        pair.shake()
        return

    async def within() -> None:
        assert "use handfast.aio" in str(failure(pair.shake))

    asyncio.run(within())


def test_objects_and_sockets_are_those_of_ssl(client_of: Make, server_of: Make) -> None:
    pair = Pair(client_of(), server_of())
    assert isinstance(pair.client, ssl.SSLObject)
    assert isinstance(client_of(), ssl.SSLContext)
    assert issubclass(ssl_module.SSLSocket, ssl.SSLSocket)
    with pytest.raises(TypeError, match="public constructor"):
        ssl_module.SSLObject()
