"""Explores both scripts: every message type at every wait point. docs/state-machine.md is what was found.

``UPDATE=1 pytest tests/playbook/test_state_machine.py`` writes the page anew; without that a changed graph is a failure.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from handfast import TLSError, reasons
from handfast.connection import ClientConnection, ServerConnection
from handfast.sessions.session import Session
from handfast.wire.alert import ChangeCipherSpec
from handfast.wire.codepoints import ContentType, HandshakeType, NamedGroup
from handfast.wire.messages12 import Certificate12, NewSessionTicket12
from handfast.wire.messages13 import Certificate, EncryptedExtensions
from tests.handshake.parties import client_config, client_identity, server_config
from tests.handshake.returning import Guard, Sessions, Tickets, first_session
from tests.playbook.peers import CHANGE_CIPHER_SPEC, REQUEST, RawClient, RawServer, message
from tests.playbook.peers12 import RawClient12, RawServer12

PAGE = Path(__file__).parents[2] / "docs" / "state-machine.md"
REFUSALS = (
    reasons.UNEXPECTED_MESSAGE,
    reasons.RENEGOTIATION,
    reasons.RENEGOTIATION_REFUSED,
    reasons.BAD_CHANGE_CIPHER_SPEC,
)
TICKET = message(HandshakeType.NEW_SESSION_TICKET, bytes(8) + b"\0" + b"\0\1t" + b"\0\0")
NAMES = {
    HandshakeType.CLIENT_HELLO: "ClientHello",
    HandshakeType.CERTIFICATE: "Certificate",
    HandshakeType.CERTIFICATE_VERIFY: "CertificateVerify",
    HandshakeType.FINISHED: "Finished",
    HandshakeType.ENCRYPTED_EXTENSIONS: "EncryptedExtensions",
    HandshakeType.CERTIFICATE_REQUEST: "CertificateRequest",
    HandshakeType.KEY_UPDATE: "KeyUpdate",
    HandshakeType.END_OF_EARLY_DATA: "EndOfEarlyData",
    HandshakeType.NEW_SESSION_TICKET: "NewSessionTicket",
    HandshakeType.SERVER_KEY_EXCHANGE: "ServerKeyExchange",
    HandshakeType.SERVER_HELLO_DONE: "ServerHelloDone",
    HandshakeType.CLIENT_KEY_EXCHANGE: "ClientKeyExchange",
}
START, DATA = "", "data"

HEAD = """# What each side waits for

A side of the handshake always waits for one message, or for one of two. This page says which, what it answers, and what it
waits for then. It is made by `tests/playbook/test_state_machine.py`, which starts both scripts over and over, and sends
every handshake message type at every wait point. So it shows what the code does, and the test fails when that changes.

There are pictures for TLS 1.3 and for TLS 1.2. A side that speaks both starts as in either, and the first hello that it
gets says which one goes on.

Whatever has no arrow is refused with `unexpected_message`, before it is parsed; a second handshake in a connection of
TLS 1.2 with `no_renegotiation`. A ChangeCipherSpec is an arrow in TLS 1.2, where it changes keys. In TLS 1.3 it means
nothing, passes where old middleboxes want to see it, and is left out of the pictures.

In the pictures an arrow is a message that comes, and behind the slash stands what is sent in answer. The states are what is
waited for; *data* is the end of the handshake, from which on either side may send application data.
"""


@dataclass(frozen=True)
class Step:
    """``type`` comes while a side waits for ``source``: then it sends ``answer``, and waits for ``target``."""

    source: str
    name: str
    answer: tuple[str, ...]
    target: str


@dataclass(frozen=True)
class Side:
    """``say``: what a well-behaved peer may say, by its name, with its type; the first way to a state is the one kept."""

    title: str
    text: str
    start: Callable[[], Any]
    say: Mapping[str, tuple[int, Callable[[Any], None]]]

    @property
    def types(self) -> tuple[int, ...]:
        """What is tried everywhere: every type that a handshake message has, and in TLS 1.2 a ChangeCipherSpec."""
        with_specs = (ChangeCipherSpec.TYPE,) if "ChangeCipherSpec" in self.say else ()
        return (*HandshakeType.names(), *with_specs)


# --- the client ----------------------------------------------------------------------------------------------------


def _client() -> RawServer:
    # It sends a share of the first group; a retry asks it for one of the second.
    config = client_config(groups=["x25519", "secp384r1"], identities=[client_identity()])
    client = ClientConnection(config, server_name="localhost")
    client.start()
    return RawServer(client)


def _retry(server: RawServer) -> None:
    request = server.retry()
    server.fold()
    server.say(request)


def _server_finished(server: RawServer) -> None:
    server.say(server.finished())
    server.use_application_keys()


def _deliver_update(peer: Any, *, request: bool) -> None:
    peer.deliver(peer.update(request=request))
    peer.connection.send(b"data")  # an update that was asked for goes before the next data


CLIENT = Side(
    "A client of TLS 1.3",
    "*(asked)* is where the server has asked who the client is. A client without an identity that fits answers with an\n"
    "empty Certificate, and no CertificateVerify.",
    _client,
    {
        "HelloRetryRequest": (HandshakeType.SERVER_HELLO, _retry),
        "ServerHello": (
            HandshakeType.SERVER_HELLO,
            lambda server: server.say_hello(server.client_hello.key_share[0].group),
        ),
        "EncryptedExtensions": (HandshakeType.ENCRYPTED_EXTENSIONS, lambda server: server.say(EncryptedExtensions())),
        "CertificateRequest": (HandshakeType.CERTIFICATE_REQUEST, lambda server: server.say(REQUEST)),
        "Certificate": (HandshakeType.CERTIFICATE, lambda server: server.say(server.certificate())),
        "CertificateVerify": (HandshakeType.CERTIFICATE_VERIFY, lambda server: server.say(server.proof())),
        "Finished": (HandshakeType.FINISHED, _server_finished),
        "NewSessionTicket": (HandshakeType.NEW_SESSION_TICKET, lambda server: server.handshake(TICKET)),
        "KeyUpdate": (HandshakeType.KEY_UPDATE, lambda server: _deliver_update(server, request=False)),
        "KeyUpdate (update_requested)": (
            HandshakeType.KEY_UPDATE,
            lambda server: _deliver_update(server, request=True),
        ),
    },
)


# --- the server ----------------------------------------------------------------------------------------------------


def _server(**settings: Any) -> Callable[[], RawClient]:
    def start() -> RawClient:
        server = ServerConnection(server_config(groups=["x25519", "secp384r1"], **settings))
        server.start()
        return RawClient(server)

    return start


def _client_hello(client: RawClient) -> None:
    client.say(client.hello() if client.request is None else client.hello_again())


def _hello_without_share(client: RawClient) -> None:
    changes = {"supported_groups": [NamedGroup.SECP384R1], "key_share": []}
    client.say(client.hello(**changes) if client.request is None else client.hello_again(**changes))


SERVER_SAYS: Mapping[str, tuple[int, Callable[[Any], None]]] = {
    "ClientHello": (HandshakeType.CLIENT_HELLO, _client_hello),
    "ClientHello (no usable share)": (HandshakeType.CLIENT_HELLO, _hello_without_share),
    "Certificate": (HandshakeType.CERTIFICATE, lambda client: client.say(client.certificate())),
    "Certificate (empty)": (HandshakeType.CERTIFICATE, lambda client: client.say(Certificate([]))),
    "CertificateVerify": (HandshakeType.CERTIFICATE_VERIFY, lambda client: client.say(client.proof())),
    "Finished": (HandshakeType.FINISHED, lambda client: client.say_finished()),
    "KeyUpdate": (HandshakeType.KEY_UPDATE, lambda client: _deliver_update(client, request=False)),
    "KeyUpdate (update_requested)": (HandshakeType.KEY_UPDATE, lambda client: _deliver_update(client, request=True)),
}
SERVER = Side("A server of TLS 1.3", "Where no key share will do, it asks for another one.", _server(), SERVER_SAYS)
ASKING_SERVER = Side(
    "A server of TLS 1.3 that asks who its client is",
    'With `client_authentication="required"` there is no way on after an empty Certificate: it is refused with\n'
    '`certificate_required`. This is `"optional"`.',
    _server(client_authentication="optional"),
    SERVER_SAYS,
)


# --- sessions of TLS 1.3 -------------------------------------------------------------------------------------------


@cache
def _session(version: str) -> Session:
    """One that can be used again and again, and its server's tickets."""
    server = {"tickets": TICKETS, "early_data": Guard(), "max_version": version}
    return first_session({"sessions": Sessions(), "max_version": version}, server)


TICKETS = Tickets()


def _resuming_client(early_data: bytes = b"") -> Callable[[], RawServer]:
    def start() -> RawServer:
        config = client_config(groups=["x25519", "secp384r1"])
        session = _session("1.3")
        client = ClientConnection(config, server_name="localhost", session=session, early_data=early_data)
        client.start()
        return RawServer(client, session=session)

    return start


def _retry_without_keys(server: RawServer) -> None:
    server.reading = None  # the second hello has no keys
    _retry(server)


def _take_up(server: RawServer) -> None:
    share = server.client_hello.key_share
    assert share is not None
    server.take_up(group=share[0].group)


def _server_finished_resumed(server: RawServer) -> None:
    server.say(server.finished())
    server.use_application_keys()


AFTERWARDS = ("NewSessionTicket", "KeyUpdate", "KeyUpdate (update_requested)")
RESUMING_SAYS: Mapping[str, tuple[int, Callable[[Any], None]]] = {
    "HelloRetryRequest": (HandshakeType.SERVER_HELLO, _retry_without_keys),
    "ServerHello (resumes)": (HandshakeType.SERVER_HELLO, _take_up),
    "ServerHello": (HandshakeType.SERVER_HELLO, CLIENT.say["ServerHello"][1]),
    **{
        name: CLIENT.say[name]
        for name in ("EncryptedExtensions", "CertificateRequest", "Certificate", "CertificateVerify")
    },
    "Finished": (HandshakeType.FINISHED, _server_finished_resumed),
    **{name: CLIENT.say[name] for name in AFTERWARDS},
}
RESUMING_CLIENT = Side(
    "A client of TLS 1.3 that comes back",
    "It offers a session. A server that takes it up shows no certificate: *(resumed)*.",
    _resuming_client(),
    RESUMING_SAYS,
)


def _refuse_early(server: RawServer) -> None:
    server.say(EncryptedExtensions())
    server.reading = type(server.writing)(server.client_handshake)  # type: ignore[misc, arg-type]


EARLY_CLIENT = Side(
    "A client of TLS 1.3 that sends early data",
    "A server that takes it says so in EncryptedExtensions; only then is there an EndOfEarlyData. After a retry there is no\n"
    "early data any more.",
    _resuming_client(b"early"),
    {
        "HelloRetryRequest": (HandshakeType.SERVER_HELLO, _retry_without_keys),
        "ServerHello (resumes)": (HandshakeType.SERVER_HELLO, _take_up),
        "EncryptedExtensions (early_data)": (
            HandshakeType.ENCRYPTED_EXTENSIONS,
            lambda server: server.say(EncryptedExtensions(early_data=True)),
        ),
        "EncryptedExtensions": (HandshakeType.ENCRYPTED_EXTENSIONS, _refuse_early),
        "Finished": (HandshakeType.FINISHED, _server_finished_resumed),
        **{name: CLIENT.say[name] for name in AFTERWARDS},
    },
)


def _early_server() -> RawClient:
    _session("1.3")
    server = ServerConnection(server_config(groups=["x25519"], tickets=TICKETS, early_data=Guard()))
    server.start()
    return RawClient(server)


def _hello_of_session(client: RawClient) -> None:
    client.say(client.hello_with(_session("1.3")).raw)


EARLY_SERVER = Side(
    "A server of TLS 1.3 that takes early data",
    "Where it does not, it skips what it cannot read, and waits for Finished at once.",
    _early_server,
    {
        "ClientHello (session)": (HandshakeType.CLIENT_HELLO, _hello_of_session),
        "ClientHello (session, early_data)": (
            HandshakeType.CLIENT_HELLO,
            lambda client: client.say_early(_session("1.3"), b"early"),
        ),
        "ClientHello": (HandshakeType.CLIENT_HELLO, _client_hello),
        "EndOfEarlyData": (HandshakeType.END_OF_EARLY_DATA, lambda client: client.end_early()),
        "Finished": (HandshakeType.FINISHED, lambda client: client.say_finished()),
        "KeyUpdate": SERVER_SAYS["KeyUpdate"],
    },
)


# --- TLS 1.2 -------------------------------------------------------------------------------------------------------


def _client12() -> RawServer12:
    config = client_config(max_version="1.2", groups=["x25519", "secp256r1"], identities=[client_identity()])
    client = ClientConnection(config, server_name="localhost")
    client.start()
    return RawServer12(client)


CLIENT_12 = Side(
    "A client of TLS 1.2",
    "*(asked)* is where the server has asked who the client is. A client without an identity that fits answers with an\n"
    "empty Certificate, and no CertificateVerify.",
    _client12,
    {
        "ServerHello": (HandshakeType.SERVER_HELLO, lambda server: server.say(server.hello())),
        "Certificate": (HandshakeType.CERTIFICATE, lambda server: server.say(server.certificate())),
        "ServerKeyExchange": (HandshakeType.SERVER_KEY_EXCHANGE, lambda server: server.say(server.exchange())),
        "CertificateRequest": (HandshakeType.CERTIFICATE_REQUEST, lambda server: server.say(server.request())),
        "ServerHelloDone": (HandshakeType.SERVER_HELLO_DONE, lambda server: server.say(server.done())),
        "ChangeCipherSpec": (ChangeCipherSpec.TYPE, lambda server: server.change_cipher_spec()),
        "Finished": (HandshakeType.FINISHED, lambda server: server.say(server.finished())),
    },
)


def _server12(**settings: Any) -> Callable[[], RawClient12]:
    def start() -> RawClient12:
        server = ServerConnection(server_config(max_version="1.2", groups=["x25519"], **settings))
        server.start()
        return RawClient12(server)

    return start


SERVER_SAYS_12: Mapping[str, tuple[int, Callable[[Any], None]]] = {
    "ClientHello": (HandshakeType.CLIENT_HELLO, lambda client: client.say(client.hello())),
    "Certificate": (HandshakeType.CERTIFICATE, lambda client: client.say(client.certificate())),
    "Certificate (empty)": (HandshakeType.CERTIFICATE, lambda client: client.say(Certificate12([]))),
    "ClientKeyExchange": (HandshakeType.CLIENT_KEY_EXCHANGE, lambda client: client.say_exchange()),
    "CertificateVerify": (HandshakeType.CERTIFICATE_VERIFY, lambda client: client.say(client.proof())),
    "ChangeCipherSpec": (ChangeCipherSpec.TYPE, lambda client: client.change_cipher_spec()),
    "Finished": (HandshakeType.FINISHED, lambda client: client.say(client.finished())),
}
SERVER_12 = Side(
    "A server of TLS 1.2", "There is no retry: a client sends its share last.", _server12(), SERVER_SAYS_12
)


def _resuming_client12() -> RawServer12:
    config = client_config(max_version="1.2", groups=["x25519", "secp256r1"], sessions=Sessions(_session("1.2")))
    client = ClientConnection(config, server_name="localhost")
    client.start()
    return RawServer12(client)


def _resume_client12(server: RawServer12, *, ticket: bool) -> None:
    session_id = server.client_hello.legacy_session_id
    server.say(server.hello(legacy_session_id_echo=session_id, session_ticket_promised=ticket or None))
    server.resume(_session("1.2"))


RESUMING_CLIENT_12 = Side(
    "A client of TLS 1.2 that comes back",
    "By a ticket or an ID. The server's Finished comes first, after a new ticket where it has promised one.",
    _resuming_client12,
    {
        "ServerHello": CLIENT_12.say["ServerHello"],
        "ServerHello (resumes)": (
            HandshakeType.SERVER_HELLO,
            lambda server: _resume_client12(server, ticket=False),
        ),
        "ServerHello (resumes, ticket promised)": (
            HandshakeType.SERVER_HELLO,
            lambda server: _resume_client12(server, ticket=True),
        ),
        "NewSessionTicket": (
            HandshakeType.NEW_SESSION_TICKET,
            lambda server: server.say(NewSessionTicket12(100, b"renewed")),
        ),
        **{name: way for name, way in CLIENT_12.say.items() if name != "ServerHello"},
    },
)


def _resuming_server12() -> RawClient12:
    session = _session("1.2")
    server = ServerConnection(server_config(max_version="1.2", groups=["x25519"], tickets=TICKETS))
    server.start()
    client = RawClient12(server)
    client.known = session
    return client


def _hello_of_session12(client: RawClient12) -> None:
    client.say(client.hello(session_ticket=_session("1.2").ticket, legacy_session_id=b"ours"))


RESUMING_SERVER_12 = Side(
    "A server of TLS 1.2 whose clients come back",
    "Here by a ticket, which it renews. Its own Finished comes first then.",
    _resuming_server12,
    {
        "ClientHello (session)": (HandshakeType.CLIENT_HELLO, _hello_of_session12),
        **SERVER_SAYS_12,
    },
)
ASKING_SERVER_12 = Side(
    "A server of TLS 1.2 that asks who its client is",
    'This is `client_authentication="optional"`. *(no certificate)* is where the client has none: with `"required"` it is\n'
    "refused there.",
    _server12(client_authentication="optional"),
    SERVER_SAYS_12,
)
SIDES = (
    CLIENT,
    RESUMING_CLIENT,
    EARLY_CLIENT,
    SERVER,
    EARLY_SERVER,
    ASKING_SERVER,
    CLIENT_12,
    RESUMING_CLIENT_12,
    SERVER_12,
    RESUMING_SERVER_12,
    ASKING_SERVER_12,
)


# --- exploring -----------------------------------------------------------------------------------------------------


def _state(peer: Any, path: tuple[str, ...]) -> str:
    """What is waited for, and what makes it another state than the same words elsewhere."""
    awaited: str = peer.connection.awaiting
    if not awaited:
        return DATA
    if path and awaited in ("ServerHello", "ClientHello"):
        return f"{awaited} (the second)"
    if "EncryptedExtensions (early_data)" in path or "ClientHello (session, early_data)" in path:
        return f"{awaited} (early data taken)"
    if "ServerHello (resumes, ticket promised)" in path and awaited == "ChangeCipherSpec":
        return f"{awaited} (resumed, ticket came)"
    if "HelloRetryRequest" in path and getattr(peer.connection, "_early_data", b""):
        return f"{awaited} (resumed, after a retry)"
    if any("(resumes" in name or "(session" in name for name in path):
        return f"{awaited} (resumed)"
    if isinstance(peer, (RawServer, RawServer12)) and "CertificateRequest" in path:
        return f"{awaited} (asked)"
    if isinstance(peer, RawClient12) and "Certificate (empty)" in path:
        return f"{awaited} (no certificate)"
    return awaited


def _walked(side: Side, path: tuple[str, ...]) -> Any:
    peer = side.start()
    for name in path:
        side.say[name][1](peer)
        peer.hear()
        if name == "Finished" and isinstance(peer, RawServer):
            peer.reading = type(peer.reading)(peer.client_application)
    return peer


def _refused(peer: Any, kind: int) -> bool:
    try:
        if kind == ChangeCipherSpec.TYPE:
            peer.deliver(CHANGE_CIPHER_SPEC)
        else:
            peer.handshake(message(kind))
    except TLSError as error:
        return error.reason in REFUSALS
    return False


def _sent(peer: Any) -> tuple[str, ...]:
    """The names of the messages that the connection has sent since the last time; data is none."""
    before = len(peer.heard)
    names = _names(peer, peer.heard_messages())
    changed = [kind for kind, _, _ in peer.heard[before:]].count(ContentType.CHANGE_CIPHER_SPEC)
    if changed and isinstance(peer, (RawClient12, RawServer12)):
        return (*names[:-1], "ChangeCipherSpec", names[-1])
    return names


def _names(peer: Any, messages: list[bytes]) -> tuple[str, ...]:
    names = []
    for raw in messages:
        is_hello = raw[0] == HandshakeType.SERVER_HELLO
        hello = ("HelloRetryRequest" if peer.server_hello.is_retry_request else "ServerHello") if is_hello else ""
        names.append(hello or NAMES[raw[0]])
    return tuple(names)


def explored(side: Side) -> list[Step]:
    """Every step there is, from the start on."""
    fresh = side.start()
    paths: dict[str, tuple[str, ...]] = {_state(fresh, ()): ()}
    steps = [
        Step(
            START,
            "",
            _names(fresh, [content for kind, content, _ in fresh.heard if kind == ContentType.HANDSHAKE]),
            *paths,
        )
    ]
    for source in _growing(paths):
        path = paths[source]
        allowed = {kind for kind in side.types if not _refused(_walked(side, path), kind)}
        for name, (kind, say) in side.say.items():
            if kind not in allowed:
                continue
            peer = _walked(side, path)
            try:
                say(peer)
            except (TLSError, StopIteration):
                continue  # one of the two that this type may be
            target = _state(peer, (*path, name))
            steps.append(Step(source, name, _sent(peer), target))
            paths.setdefault(target, (*path, name))
        known = {kind for name, (kind, _) in side.say.items()}
        assert allowed <= known, f"{source} takes what nobody here can say: {allowed - known}"
    return steps


def _growing(paths: Mapping[str, Any]) -> Any:
    seen: list[str] = []
    while rest := [state for state in paths if state not in seen]:
        seen.append(rest[0])
        yield rest[0]


# --- the page ------------------------------------------------------------------------------------------------------


def _picture(steps: list[Step]) -> str:
    states = list(dict.fromkeys(step.target for step in steps))
    number = {START: "[*]"} | {state: f"s{at}" for at, state in enumerate(states)}
    lines = ["```mermaid", "stateDiagram-v2"]
    lines += [f"    {number[state]}: {state}" for state in states]
    for step in steps:
        answer = f"/ {', '.join(step.answer)}" if step.answer else ""
        label = f"{step.name} {answer}".strip()
        lines.append(f"    {number[step.source]} --> {number[step.target]}" + (f": {label}" if label else ""))
    return "\n".join([*lines, "```"])


def _table(steps: list[Step]) -> str:
    rows = ["| waits for | comes | it sends | then it waits for |", "| --- | --- | --- | --- |"]
    rows += [
        f"| {step.source or '*the start*'} | {step.name} | {', '.join(step.answer)} | {step.target} |" for step in steps
    ]
    return "\n".join(rows)


def page() -> str:
    text = HEAD
    for side in SIDES:
        steps = explored(side)
        text += f"\n## {side.title}\n\n{side.text}\n\n{_picture(steps)}\n\n{_table(steps)}\n"
    return text


def test_the_graph_is_the_one_that_is_documented() -> None:
    found = page()
    if os.environ.get("UPDATE"):
        PAGE.write_text(found, encoding="utf-8")
    documented = ""
    with suppress(FileNotFoundError):
        documented = PAGE.read_text(encoding="utf-8")
    assert found == documented, "UPDATE=1 writes docs/state-machine.md anew"


@pytest.mark.parametrize("side", SIDES, ids=lambda side: side.title)
def test_every_way_ends_in_data_and_none_leads_back(side: Side) -> None:
    steps = explored(side)
    for step in steps:
        assert step.source != step.target or step.source == DATA
        if step.target != DATA:  # from which in TLS 1.2 there is no way on
            assert any(other.source == step.target for other in steps), f"{step.target} has no way on"
    ends = {step.target for step in steps} - {step.source for step in steps if step.source != step.target}
    assert ends == {DATA}


def test_after_the_handshake_records_are_still_understood() -> None:
    """The walk itself is right: data crosses both ways at its end."""
    for side in SIDES:
        steps = explored(side)
        path: tuple[str, ...] = ()
        state = steps[0].target
        while state != DATA:
            step = next(step for step in steps if step.source == state)
            path, state = (*path, step.name), step.target
        peer = _walked(side, path)
        peer.connection.send(b"ping")
        assert peer.hear()[-1] == (ContentType.APPLICATION_DATA, b"ping", True)
