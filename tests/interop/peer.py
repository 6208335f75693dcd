"""What every peer is: what it can do, and how it is started as a server and as a client."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final, Self

from tests.interop.processes import Program, connected
from tests.peers import require_peer

if TYPE_CHECKING:
    import socket

    from handfast import TLSSocket
    from tests.interop.credentials import Credentials

SUITES: Final = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
CLASSICAL: Final = ("x25519", "secp256r1", "secp384r1")
HYBRID: Final = "X25519MLKEM768"
GROUPS: Final = (HYBRID, *CLASSICAL)

# What is tried besides suites, groups and keys of certificates. docs/interop.md says it in these words.
FEATURES: Final = {
    "ALPN": "both sides have a protocol in common, which is not the client's first",
    "no common ALPN": "the handshake fails with the alert no_application_protocol",
    "server name": "it chooses one of the server's two certificates",
    "intermediate": "the server's certificate comes from an intermediate authority, which it sends too",
    "no middlebox compatibility": "the client does not look like TLS 1.2 (RFC 9846 appendix E.4)",
    "certificate request": "the server asks for a certificate, and handfast answers that it has none",
    "1 MiB both ways": "it arrives with the same SHA-256",
    "handfast closes first": "its close_notify is a clean end for the peer",
    "peer closes first": "its close_notify is a clean end for handfast",
    "unknown CA": "the client does not know the issuer; its alert arrives, and both sides report it",
    "TLS 1.2 only": "the peer knows nothing newer; handfast's error names the version",
    "no common suite": "the handshake fails with the alert handshake_failure, and the error names what was offered",
    "no common group": "likewise",
    "retry refused": "a HelloRetryRequest would be needed, which handfast does not have yet; the error says so",
}

UNKNOWN_CA: Final = 48
PROTOCOL_VERSION: Final = 70
HANDSHAKE_FAILURE: Final = 40
BAD_CERTIFICATE: Final = 42
NO_APPLICATION_PROTOCOL: Final = 120

# How OpenSSL, in all programs that use it, reports an alert that came.
OPENSSL_ALERTS: Final = {
    "alert unknown ca": UNKNOWN_CA,
    "alert protocol version": PROTOCOL_VERSION,
    "alert handshake failure": HANDSHAKE_FAILURE,
    "alert no application protocol": NO_APPLICATION_PROTOCOL,
}


@dataclass(frozen=True)
class Abilities:
    """What is tried with a peer in one role."""

    suites: Sequence[str]
    groups: Sequence[str]
    keys: Sequence[str]
    features: Sequence[str]

    def __post_init__(self) -> None:
        assert set(self.features) <= set(FEATURES)


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What a test wants of a peer. What is not set is as the peer has it.

    ``suite``          the only one; a peer that cannot limit its suites leaves that to handfast's configuration
    ``groups``         the only ones, likewise; a client sends a share of the first
    ``keys``           of its certificate; a second one is for the name "other.example"
    ``intermediate``   its certificate comes from an intermediate authority
    ``name``           the server name that a client asks for
    ``trust``          the root that a client trusts: "root" or "strange"
    ``newest``         "1.2": nothing newer
    ``asks``           a server asks for a certificate
    ``compatible``     a client looks like TLS 1.2 to middleboxes
    ``closes``         a server closes first; the others wait for us
    ``data``           what is sent each way
    """

    suite: str | None = None
    groups: tuple[str, ...] = ()
    keys: tuple[str, ...] = ("p256",)
    intermediate: bool = False
    alpn: tuple[str, ...] = ()
    name: str = "localhost"
    trust: str = "root"
    newest: str | None = None
    asks: bool = False
    compatible: bool = True
    closes: bool = False
    data: bytes = b"hello\n"


class Running:
    """A peer that runs, as one side of one connection. Subclasses know what their program says and how."""

    port: int
    program: Program

    # --- what it says

    def facts(self) -> dict[str, str]:
        """What it says was agreed: suite, group, alpn, server_name, ...; as much of it as it tells, in our words."""
        raise NotImplementedError

    def alert(self) -> int:
        """The alert that it says it received."""
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

    def echo(self, data: bytes) -> bytes:
        """As a client: have it send ``data`` to our server, which sends it back. What came back."""
        self.program.write(data)
        return self.program.read(len(data))

    def close(self, tls: TLSSocket | None) -> None:
        """Have it say that it will send nothing more; ``tls`` is our side, where we are the client."""
        self.program.end_input()

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
    ``as_server, as_client``  what is tried, None where it has no such role
    ``unknown_ca``          the alerts that it may send, as a client, where it does not know the issuer
    ``limits``              which of suite and group it can be told to use alone
    ``only_12``             the alerts that it may send, as a server that knows nothing newer than TLS 1.2
    ``answers_close``       whether it answers our close_notify with its own, as RFC 9846 section 6.1 allows it not to,
                            as a server or a client
    ``protocol``            what it speaks over TLS: "bytes" or "http"
    """

    name: str
    as_server: Abilities | None = None
    as_client: Abilities | None = None
    unknown_ca = frozenset({UNKNOWN_CA})
    limits: frozenset[str] = frozenset({"suite", "group"})
    only_12 = frozenset({PROTOCOL_VERSION})
    answers_close: frozenset[str] = frozenset({"server", "client"})
    protocol = "bytes"

    def __repr__(self) -> str:
        return self.name

    def version(self) -> str:
        """Name and version of what is on this machine. Skips or fails where it is missing."""
        raise NotImplementedError

    def serve(self, credentials: Credentials, setup: Setup) -> Running:
        raise NotImplementedError

    def connect(self, credentials: Credentials, setup: Setup, port: int) -> Running:
        raise NotImplementedError

    def abilities(self, role: str) -> Abilities | None:
        return self.as_server if role == "server" else self.as_client


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
