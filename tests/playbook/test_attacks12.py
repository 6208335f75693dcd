"""Attacks on whole connections of TLS 1.2 that no single rule of the protocol stands for."""

from __future__ import annotations

import gc
import os
import threading
import types
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, x448, x25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from handfast import AlertReceived, ApplicationData, MisuseError, PeerClosed, reasons
from handfast.connection import ClientConnection, ServerConnection
from handfast.crypto.entropy import SystemEntropy
from handfast.crypto.groups import GROUPS, Share
from handfast.errors import BadRecord, PeerMisbehaved
from handfast.insecure import NoVerification
from handfast.wire.codepoints import CipherSuite, ContentType, NamedGroup, SignatureScheme
from handfast.wire.messages12 import Certificate12, CertificateVerify12, ClientKeyExchange, ServerKeyExchange
from tests.handshake.parties import fails, started
from tests.playbook.peers import record
from tests.playbook.playing import at_client12, at_server12, check_refused

ONLY_12 = {"max_version": "1.2"}
AT: dict[str, Any] = {"client": at_client12, "server": at_server12}
BOTH = pytest.mark.parametrize("side", AT)


def connected(**settings: Any) -> tuple[ClientConnection, ServerConnection]:
    """Both sides of one connection of TLS 1.2, after the handshake."""
    client, server = started({**ONLY_12, **settings})
    for _ in range(3):
        server.receive_data(client.data_to_send())
        list(server.events())
        client.receive_data(server.data_to_send())
        list(client.events())
    assert client.handshake is not None
    assert server.handshake is not None
    return client, server


# --- keys ----------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@BOTH
def test_the_child_of_a_fork_does_not_use_a_nonce_again(side: str) -> None:
    peer = AT[side]("")
    peer.hear()
    child = os.fork()
    if child == 0:  # pragma: no cover - in another process
        code = 1
        try:
            peer.connection.send(b"one nonce twice")
        except MisuseError as error:
            code = 0 if error.reason is reasons.FORKED and not peer.connection.has_data_to_send else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    peer.connection.send(b"the parent goes on")
    assert peer.hear() == [(ContentType.APPLICATION_DATA, b"the parent goes on", True)]


class _Log:
    """A key log that keeps the secrets."""

    def __init__(self) -> None:
        self.secrets: list[bytes] = []

    def secret(self, label: str, client_random: bytes, secret: bytes) -> None:
        self.secrets.append(secret)


def holds(root: object, secret: bytes) -> bool:
    """Whether ``secret`` can be reached from an object, by any way there is."""
    passed, waiting = set(), [root]
    while waiting:
        item = waiting.pop()
        if id(item) in passed or isinstance(item, (types.ModuleType, types.FunctionType, type, _Log)):
            continue
        passed.add(id(item))
        if isinstance(item, (bytes, bytearray)) and secret in item:
            return True
        waiting += gc.get_referents(item)
    return False


def test_a_failed_connection_has_no_main_secret_any_more() -> None:
    """It is that of all that was said before, too: whoever gets hold of it can read a capture."""
    log = _Log()
    client, _ = connected(keylog=log)
    [main] = log.secrets
    assert holds(client, main)
    client.receive_data(record(ContentType.APPLICATION_DATA, bytes(32)))
    with fails(BadRecord, reasons.BAD_RECORD_MAC) as caught:
        client.next_event()
    assert not holds(client, main)
    with pytest.raises(BadRecord) as again:
        client.export_keying_material("EXPORTER-x", 32)
    assert main not in repr((vars(caught.value), vars(again.value))).encode()


# --- shares --------------------------------------------------------------------------------------------------------

LOW_ORDER = {
    NamedGroup.X25519: (
        bytes(32),
        b"\1" + bytes(31),
        bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
        bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
        bytes.fromhex("ec" + "ff" * 30 + "7f"),
        bytes.fromhex("ed" + "ff" * 30 + "7f"),
        bytes.fromhex("ee" + "ff" * 30 + "7f"),
        bytes(31) + b"\x80",  # the highest bit does not count (RFC 7748 section 5)
    ),
    NamedGroup.X448: (
        bytes(56),
        b"\1" + bytes(55),
        b"\xfe" + b"\xff" * 27 + b"\xfe" + b"\xff" * 27,
        b"\xff" * 28 + b"\xfe" + b"\xff" * 27,
    ),
}
COORDINATE = {NamedGroup.SECP256R1: 32, NamedGroup.SECP384R1: 48, NamedGroup.SECP521R1: 66}


def no_points(group: int) -> list[bytes]:
    """What may look like a share of the group, and is none."""
    right = GROUPS[group].new_share().public
    if group in LOW_ORDER:
        return [*LOW_ORDER[group], right[:-1], right + b"\0", b"\4" + right]
    size = COORDINATE[group]
    compressed = bytes((2 + right[-1] % 2,)) + right[1 : 1 + size]
    hybrid = bytes((6 + right[-1] % 2,)) + right[1:]
    elsewhere = right[:-1] + bytes((right[-1] ^ 1,))
    too_large = b"\4" + b"\xff" * (2 * size)
    return [compressed, hybrid, elsewhere, too_large, bytes(1 + 2 * size), b"\0", right[1:], right[:-1], right + b"\0"]


@pytest.mark.parametrize("group", [*LOW_ORDER, *COORDINATE], ids=NamedGroup.name)
@BOTH
def test_shares_of_which_a_secret_would_be_known_or_tell_the_key(side: str, group: int) -> None:
    """Points of low order, of another curve (2015: invalid curve attacks), or in a form that TLS does not have."""
    for public in no_points(group):
        if side == "client":
            server = at_client12("ServerKeyExchange", groups=[*GROUPS])
            server.say(server.exchange(group, public=public))
            check_refused(
                server, PeerMisbehaved, reasons.BAD_KEY_SHARE, lambda server=server: server.say(server.done())
            )
        else:
            client = at_server12("ClientKeyExchange", group, groups=[group, NamedGroup.SECP256R1])
            share = ClientKeyExchange(public)
            check_refused(
                client,
                PeerMisbehaved,
                reasons.BAD_KEY_SHARE,
                lambda client=client, share=share: client.say(share),
            )


# --- certificates with keys that cannot sign, or not in TLS --------------------------------------------------------

ODD_KEYS: dict[str, Any] = {
    "x25519": x25519.X25519PrivateKey.generate,
    "x448": x448.X448PrivateKey.generate,
    "dsa": lambda: dsa.generate_private_key(1024),
    "secp256k1": lambda: ec.generate_private_key(ec.SECP256K1()),
    "brainpool": lambda: ec.generate_private_key(ec.BrainpoolP256R1()),
    "ed448": ed448.Ed448PrivateKey.generate,
}
SCHEMES = (SignatureScheme.ECDSA_SECP256R1_SHA256, SignatureScheme.ED25519, SignatureScheme.RSA_PKCS1_SHA256)


@cache
def certificate_of(kind: str) -> bytes:
    """A certificate for localhost with such a key."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, ODD_KEYS[kind]().public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(1)).not_valid_after(now + timedelta(1))
    signer = ec.generate_private_key(ec.SECP256R1())
    return builder.sign(signer, hashes.SHA256()).public_bytes(Encoding.DER)


@pytest.mark.parametrize("scheme", SCHEMES, ids=SignatureScheme.name)
@pytest.mark.parametrize("kind", ODD_KEYS)
@BOTH
def test_a_key_that_does_not_sign_proves_nothing(side: str, kind: str, scheme: int) -> None:
    """Even where nothing is verified: what the peer sends is refused as its fault, and is no error of ours."""
    certificate = Certificate12([certificate_of(kind)])
    nobody = NoVerification()
    refused = (reasons.WRONG_SIGNATURE_TYPE, reasons.GROUP_NOT_OFFERED)
    if side == "client":
        server = at_client12("ServerHello", verifier=nobody)
        server.say(server.hello(cipher_suite=CipherSuite.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256))
        exchange = ServerKeyExchange(NamedGroup.X25519, GROUPS[NamedGroup.X25519].new_share().public, scheme, bytes(64))
        with pytest.raises(PeerMisbehaved) as caught:
            server.say(certificate, exchange)
    else:
        client = at_server12("Certificate", client_verifier=nobody)
        client.say(certificate)
        client.say_exchange()
        with pytest.raises(PeerMisbehaved) as caught:
            client.say(CertificateVerify12(scheme, bytes(64)))
    assert caught.value.reason in refused


# --- threads -------------------------------------------------------------------------------------------------------


def test_one_thread_writes_while_another_one_reads() -> None:
    client, server = connected()
    pieces = [bytes((number,)) * size for number in range(100) for size in (1, 100, 20_000)]

    def write() -> None:
        for piece in pieces:
            client.send(piece)
        client.close()

    writer = threading.Thread(target=write)
    writer.start()
    received = bytearray()
    closed = False
    while not closed:
        finished = not writer.is_alive()
        server.receive_data(client.data_to_send())
        for event in server.events():
            if isinstance(event, ApplicationData):
                received += event.data
            closed = closed or isinstance(event, PeerClosed)
        server.send(b"x")
        client.receive_data(server.data_to_send())
        list(client.events())
        assert closed or not finished, "all that was sent has been read, and there was no end"
    writer.join()
    assert bytes(received) == b"".join(pieces)


class _Interrupted(SystemEntropy):
    """Lets something happen in another thread while the script is at its key exchange."""

    def __init__(self, interrupt: Callable[[], None]) -> None:
        self.interrupt = interrupt

    def new_shares(self, groups: tuple[int, ...]) -> list[Share]:
        if groups:  # a client of TLS 1.2 has none at the start
            self._let_happen()
        return super().new_shares(groups)

    def encapsulate(self, group: int, public: bytes) -> tuple[bytes, bytes]:
        self._let_happen()
        return super().encapsulate(group, public)

    def _let_happen(self) -> None:
        other = threading.Thread(target=self.interrupt)
        other.start()
        other.join()


@pytest.mark.parametrize("victim", ["client", "server"])
def test_a_handshake_that_another_thread_closes_ends_without_an_error_of_ours(victim: str) -> None:
    """In the middle of its script, which is running: what it sends after that must not go out."""
    parties: dict[str, Any] = {}
    failed: list[BaseException] = []

    def close() -> None:
        try:
            parties[victim].close()
        except BaseException as error:
            failed.append(error)

    settings = {"entropy_for_tests": _Interrupted(close)}
    client, server = started(
        {**ONLY_12, **(settings if victim == "client" else {})}, settings if victim == "server" else {}
    )
    parties["client"], parties["server"] = client, server
    with fails(AlertReceived, reasons.CLOSED_DURING_HANDSHAKE):
        for source, target in ((client, server), (server, client), (client, server)):
            target.receive_data(source.data_to_send())
            list(target.events())
    assert failed == []
    assert not parties[victim].failed
    assert not parties[victim].has_data_to_send
    assert parties[victim].handshake is None
