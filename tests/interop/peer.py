"""What every peer is: what it can do, and how it is started as a server and as a client."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, Self

from tests.interop.features import MEETING, is_12
from tests.interop.processes import Program, connected
from tests.peers import require_peer

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

    from handfast import TLSSocket
    from tests.interop.credentials import Credentials
    from tests.interop.features import Abilities

UNEXPECTED_MESSAGE: Final = 10
HANDSHAKE_FAILURE: Final = 40
BAD_CERTIFICATE: Final = 42
CERTIFICATE_UNKNOWN: Final = 46
UNKNOWN_CA: Final = 48
ACCESS_DENIED: Final = 49
DECODE_ERROR: Final = 50
PROTOCOL_VERSION: Final = 70
INAPPROPRIATE_FALLBACK: Final = 86
NO_RENEGOTIATION: Final = 100
CERTIFICATE_REQUIRED: Final = 116
NO_APPLICATION_PROTOCOL: Final = 120

# How OpenSSL, in all programs that use it, reports an alert that came.
OPENSSL_ALERTS: Final = {
    "alert unknown ca": UNKNOWN_CA,
    "alert protocol version": PROTOCOL_VERSION,
    "alert handshake failure": HANDSHAKE_FAILURE,
    "alert inappropriate fallback": INAPPROPRIATE_FALLBACK,
    "no renegotiation": NO_RENEGOTIATION,
    "alert certificate required": CERTIFICATE_REQUIRED,
    "alert no application protocol": NO_APPLICATION_PROTOCOL,
}

# What both sides export, where a peer can.
EXPORTER: Final = "EXPORTER-handfast-interop"
EXPORTED: Final = 32  # bytes
CONTEXT: Final = b"something that the application names"

UPDATED_AFTER: Final = 2048  # bytes after which a peer changes its key that cannot be told to


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What a test wants of a peer. What is not set is as the peer has it.

    ``suites``         the only ones of their version, the preferred one first; a peer that cannot limit its suites
                       leaves that to handfast's configuration
    ``order``          whose order of suites decides, where the peer is the server
    ``groups``         the only ones, likewise; a client sends a share of the first
    ``keys``           of a server's certificate; a second one is for the name "other.example"
    ``client_key``     of a client's certificate; None for none
    ``intermediate``   the server's certificate comes from an intermediate authority
    ``name``           the server name that a client asks for
    ``trust``          the root that the peer trusts: "root" or "strange"
    ``lowest, highest``  the versions that it speaks: "1.1", "1.2" or "1.3"
    ``fallback``       a client says that it has tried a newer version before (RFC 7507)
    ``asks``           whether a server asks for a certificate, and whether a client has to have one
    ``cookie``         a server wants a second ClientHello with a cookie
    ``compatible``     a client looks like TLS 1.2 to middleboxes
    ``exports``        it says what it exports, see Running.exported, and its channel bindings, see Running.unique
    ``renegotiates``   it can be told to renegotiate, see Running.renegotiate
    ``updates``        it can be told to change its key, see Running.update_keys
    ``size_limit``     the longest record that it takes
    ``padding``        its records are padded to a multiple of so many bytes
    ``closes``         a server closes first; the others wait for us
    ``data``           what is sent each way
    ``connections``    how many a server takes, one after the other
    ``tickets``        whether a server has tickets; without them it keeps sessions by ID, in TLS 1.2
    ``early``          what a client sends as early data; a server takes early data if it is not empty
    ``without_dhe``    it goes without a key exchange where it has a session
    ``psk``            a key from outside, with its identity
    """

    suites: tuple[str, ...] = ()
    order: Literal["server", "client"] = "server"
    groups: tuple[str, ...] = ()
    keys: tuple[str, ...] = ("p256",)
    client_key: str | None = None
    intermediate: bool = False
    alpn: tuple[str, ...] = ()
    name: str = "localhost"
    trust: Literal["root", "strange"] = "root"
    lowest: str = "1.2"
    highest: str = "1.3"
    fallback: bool = False
    asks: Literal["optional", "required"] | None = None
    cookie: bool = False
    compatible: bool = True
    exports: bool = False
    updates: bool = False
    renegotiates: bool = False
    size_limit: int | None = None
    padding: int | None = None
    closes: bool = False
    data: bytes = b"hello\n"
    connections: int = 1
    tickets: bool = True
    early: bytes = b""
    without_dhe: bool = False
    psk: tuple[str, bytes] | None = None

    @property
    def suites_13(self) -> list[str]:
        return [suite for suite in self.suites if not is_12(suite)]

    @property
    def suites_12(self) -> list[str]:
        return [suite for suite in self.suites if is_12(suite)]

    @property
    def only(self) -> str | None:
        """The only version."""
        return self.lowest if self.lowest == self.highest else None


class Running:
    """A peer that runs, as one side of one connection. Subclasses know what their program says and how."""

    def __init__(self, program: Program, port: int) -> None:
        self.program = program
        self.port = port

    # --- what it says

    def facts(self) -> dict[str, str]:
        """What it says was agreed: suite, group, alpn, server_name, ...; as much of it as it tells, in our words."""
        raise NotImplementedError

    def alert(self) -> int:
        """The alert that it says it received."""
        raise NotImplementedError

    def check_alert(self, number: int) -> None:
        """It received this alert; a peer that gives several of them one name has to override this."""
        assert self.alert() == number

    def exported(self) -> bytes:
        """What it exported under EXPORTER, EXPORTED bytes."""
        raise NotImplementedError

    def exported_with_context(self) -> bytes:
        """Likewise, with CONTEXT: in TLS 1.2 the length of that counts, and an empty one is not none (RFC 5705)."""
        raise NotImplementedError

    def unique(self) -> bytes:
        """What it has as the channel binding tls-unique."""
        raise NotImplementedError

    def ended(self) -> None:
        """Wait for the end of the connection, and check that the peer found it in order."""
        assert self.program.wait() == 0

    def refused(self) -> None:
        """As a client: wait for its end, and check that it did not accept us."""
        assert self.program.wait() != 0

    # --- what it does

    def socket(self) -> socket.socket:
        """A TCP connection to it, as a server."""
        return connected(self.port, self.program)

    def swap(self, tls: TLSSocket, data: bytes) -> tuple[bytes, bytes]:
        """As a server: send it ``data``, and have it send ``data``. What it received, and what we received."""
        tls.sendall(data)
        there = self.program.read(len(data))
        self.program.write(data)
        return there, receive(tls, len(data))

    def visit(self, tls: TLSSocket) -> None:
        """As a server: say something each way, behind its tickets."""
        there, here = self.swap(tls, b"visit\n")
        assert there == here == b"visit\n"

    EARLY: bytes = b"early\n"

    def has_heard(self, tls: TLSSocket) -> None:
        """As a server: check that EARLY has arrived, once, by what it says or answers."""
        raise NotImplementedError

    def echo(self, data: bytes) -> bytes:
        """As a client: have it send ``data`` to our server, which sends it back. What came back."""
        self.program.write(data)
        return self.program.read(len(data))

    def update_keys(self) -> None:
        """Have it change its key, and ask us to change ours: at once, or by itself after UPDATED_AFTER bytes."""
        raise NotImplementedError

    def renegotiate(self, tls: TLSSocket | None) -> None:
        """Have it ask for a second handshake; ``tls`` is our side, where we are the client."""
        raise NotImplementedError

    def close(self, tls: TLSSocket | None) -> None:
        """Have it say that it will send nothing more; ``tls`` is our side, where we are the client."""
        self.program.end_input()

    def hears(self, data: bytes) -> None:
        """As a client: check that this came from our server."""
        assert self.program.read(len(data)) == data

    def greeting(self) -> bytes:
        """As a client: all that came from our server, up to the end."""
        return self.program.read(1 << 20)

    def shaken(self) -> None:
        """As a client: have it shake hands; most do so at once."""

    def __enter__(self) -> Self:
        self.program.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.program.__exit__(*error)  # type: ignore[arg-type]


class Peer:
    """A TLS implementation that nobody here wrote.

    ``name``                what it is called here, as in a test's id
    ``who``                 what it is, for docs/interop.md
    ``as_server, as_client``  what is tried, by version; nothing where it has no such role
    ``limits``              which of suite and group it can be told to use alone; else handfast's configuration does it
    ``unknown_ca``          the alerts that it may send, as a client, where it does not know the issuer
    ``unknown_client_ca``   likewise, as a server
    ``no_common_group``     the alerts that it may send, as a server that takes none of the client's groups
    ``without_certificate`` the alerts that it may send to a client that shows no certificate; in TLS 1.2 it is
                            ``without_certificate_12``
    ``no_common_version``   the alerts that it may send, as a server that knows none of the client's versions
    ``answers_close``       whether it answers our close_notify with its own, as RFC 9846 section 6.1 allows it not to,
                            as a server or a client
    ``answers_update``      whether it has more to say, after we asked it to change its key, that shows that it did so
    ``asks_its_user``       whether it may break off where a server asks for a certificate, and come again with the answer
    ``protocol``            what it speaks over TLS: "bytes" or "http"
    """

    name: str
    who: str
    as_server: Mapping[str, Abilities] = MappingProxyType({})
    as_client: Mapping[str, Abilities] = MappingProxyType({})
    limits: frozenset[str] = frozenset({"suite", "group"})
    unknown_ca = frozenset({UNKNOWN_CA})
    unknown_client_ca = frozenset({UNKNOWN_CA, BAD_CERTIFICATE})
    no_common_group = frozenset({HANDSHAKE_FAILURE})
    without_certificate = frozenset({CERTIFICATE_REQUIRED})
    without_certificate_12 = frozenset({HANDSHAKE_FAILURE})
    no_common_version = frozenset({PROTOCOL_VERSION})
    answers_close: frozenset[str] = frozenset({"server", "client"})
    answers_update = True
    asks_its_user = False
    protocol: Literal["bytes", "http"] = "bytes"

    def __repr__(self) -> str:
        return self.name

    def version(self) -> str:
        """Name and version of what is on this machine. Skips or fails where it is missing."""
        raise NotImplementedError

    def serve(self, credentials: Credentials, setup: Setup) -> Running:
        raise NotImplementedError

    def connect(self, credentials: Credentials, setup: Setup, port: int) -> Running:
        raise NotImplementedError

    def come_back(self, credentials: Credentials, setup: Setup, port: int) -> Running:
        """As a client: make one connection, and then another that takes up its session; the latter runs."""
        raise NotImplementedError

    def finish(self) -> None:
        """End what it has kept running for the next test."""

    def abilities(self, role: str, version: str = "1.3") -> Abilities | None:
        """``version``: what is tried of which version it will be, stands with TLS 1.3."""
        return (self.as_server if role == "server" else self.as_client).get("1.3" if version == MEETING else version)


def receive(tls: TLSSocket, size: int) -> bytes:
    """Exactly ``size`` bytes, or fewer at the end."""
    data = bytearray()
    while len(data) < size and (piece := tls.recv(size - len(data))):
        data += piece
    return bytes(data)


def alert_of(text: str, names: dict[str, int] = OPENSSL_ALERTS) -> int:
    """The alert whose name is in a text."""
    for name, number in names.items():
        if name in text:
            return number
    raise AssertionError("the peer reports no alert that is known here")


@cache
def said(program: str, *options: str) -> str:
    """What a program says about itself."""
    done = subprocess.run([require_peer(program), *options], capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr
