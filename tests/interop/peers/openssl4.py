"""OpenSSL 4 as it comes with `cryptography`, through pyOpenSSL, in a thread of this process."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Self

from cryptography.hazmat.bindings.openssl.binding import Binding

from tests.interop.credentials import OTHER_NAMES
from tests.interop.features import (
    ALL_GROUPS,
    ALL_SUITES_12,
    CCM,
    CCM_8,
    ECDSA,
    EDWARDS,
    MLDSA,
    RSA,
    SESSIONS,
    SUITES,
    Abilities,
    both,
)
from tests.interop.peer import CONTEXT, EXPORTED, EXPORTER, Peer, Running, Setup, alert_of
from tests.interop.peers.openssl3 import ciphers, suite_named
from tests.interop.processes import PATIENCE
from tests.peers import missing

if TYPE_CHECKING:
    from collections.abc import Callable

    from OpenSSL import SSL

    from tests.interop.credentials import Credentials, Files

# What OpenSSL calls a group -> what we call it, where that is not the same.
_GROUPS = {
    "X25519": "x25519",
    "X448": "x448",
    "P-256": "secp256r1",
    "P-384": "secp384r1",
    "P-521": "secp521r1",
    "prime256v1": "secp256r1",
}


# Of OpenSSL's ssl.h; pyOpenSSL has no names for them.
_PRIORITIZE_CHACHA = 1 << 21
_SEND_FALLBACK_SCSV = 0x80


class InThread(Running):
    """One connection in a thread: a pipe between it and our end of a socket pair."""

    _accepts = False

    def __init__(
        self, open_socket: Callable[[], socket.socket], make: Callable[[socket.socket], SSL.Connection]
    ) -> None:
        self._open_socket = open_socket
        self._make = make
        self._ours, self._theirs = socket.socketpair()
        self._ours.settimeout(PATIENCE)
        self._facts: dict[str, str] = {}
        self._exported = self._exported_with_context = b""
        self._finished: tuple[bytes, ...] = ()
        self._error: Exception | None = None
        self._clean = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    # --- the thread

    def _run(self) -> None:
        try:
            with self._open_socket() as sock, self._theirs:
                sock.setblocking(False)
                self._talk(sock, self._make(sock))
        except Exception as error:
            self._error = error

    def _talk(self, sock: socket.socket, connection: SSL.Connection) -> None:
        self._until_done(sock, connection.do_handshake)
        facts = {
            "version": connection.get_protocol_version_name(),
            "suite": suite_named(connection.get_cipher_name() or ""),
            "group": connection.get_group_name(),
            "alpn": connection.get_alpn_proto_negotiated().decode(),
            "server_name": (connection.get_servername() or b"").decode(),
        }
        self._facts = {key: value for key, value in facts.items() if value}
        if "group" in self._facts:
            self._facts["group"] = _GROUPS.get(self._facts["group"], self._facts["group"])
        self._exported = connection.export_keying_material(EXPORTER.encode(), EXPORTED)
        self._exported_with_context = connection.export_keying_material(EXPORTER.encode(), EXPORTED, CONTEXT)
        both = (connection.get_finished() or b"", connection.get_peer_finished() or b"")
        self._finished = both[::-1] if self._accepts else both
        self._pump(sock, connection)

    def _pump(self, sock: socket.socket, connection: SSL.Connection) -> None:
        """Both ways, until both sides have closed."""
        from OpenSSL import SSL

        listening = talking = True
        while listening or talking:
            if not connection.pending():
                select.select([*([sock] if listening else []), *([self._theirs] if talking else [])], [], [], PATIENCE)
            if listening:
                try:
                    self._theirs.sendall(connection.recv(65_536))
                except SSL.WantReadError:
                    pass
                except SSL.ZeroReturnError:  # close_notify; an end without it is a SysCallError
                    listening = False
                    if talking:  # nobody listens to what else we may have to say
                        self._until_done(sock, connection.shutdown)
                        talking = False
            if talking and select.select([self._theirs], [], [], 0)[0]:
                data = memoryview(self._theirs.recv(65_536))
                if not data:
                    self._until_done(sock, connection.shutdown)
                    talking = False
                while data:
                    data = data[self._until_done(sock, connection.send, data) :]
        self._clean = True

    @staticmethod
    def _until_done(sock: socket.socket, step: Callable[..., Any], *arguments: Any) -> Any:
        from OpenSSL import SSL

        while True:
            try:
                return step(*arguments)
            except SSL.WantReadError:
                select.select([sock], [], [], PATIENCE)
            except SSL.WantWriteError:
                select.select([], [sock], [], PATIENCE)

    # --- the test's side

    def _wait(self) -> None:
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    def facts(self) -> dict[str, str]:
        self._wait()
        return self._facts

    def exported(self) -> bytes:
        self._wait()
        return self._exported

    def exported_with_context(self) -> bytes:
        self._wait()
        return self._exported_with_context

    def unique(self) -> bytes:
        """The first Finished, which is the client's (RFC 5929 section 3)."""
        self._wait()
        return self._finished[0]

    def alert(self) -> int:
        self._wait()
        return alert_of(str(self._error))

    def ended(self) -> None:
        self._wait()
        assert self._error is None
        assert self._clean

    def refused(self) -> None:
        self._wait()
        assert "certificate verify failed" in str(self._error)

    def _read(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size and (piece := self._ours.recv(size - len(data))):
            data += piece
        return bytes(data)

    def swap(self, tls: Any, data: bytes) -> tuple[bytes, bytes]:
        # What it receives waits in the socket pair, which is small: somebody has to listen meanwhile.
        sender = threading.Thread(target=tls.sendall, args=[data], daemon=True)
        sender.start()
        there = self._read(len(data))
        sender.join(PATIENCE)
        sender = threading.Thread(target=self._ours.sendall, args=[data], daemon=True)
        sender.start()
        here = bytearray()
        while len(here) < len(data) and (piece := tls.recv(len(data) - len(here))):
            here += piece
        sender.join(PATIENCE)
        return there, bytes(here)

    def echo(self, data: bytes) -> bytes:
        sender = threading.Thread(target=self._ours.sendall, args=[data], daemon=True)
        sender.start()
        back = self._read(len(data))
        sender.join(PATIENCE)
        return back

    def close(self, tls: Any) -> None:
        self._ours.shutdown(socket.SHUT_WR)

    def greeting(self) -> bytes:
        return self._read(1 << 20)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        with contextlib.suppress(OSError):
            self._ours.shutdown(socket.SHUT_RDWR)
        self._ours.close()
        self._thread.join(PATIENCE)
        if error is not None:
            error.add_note(f"OpenSSL: {self._error!r}")


class _Server(InThread):
    _accepts = True

    def __init__(self, listener: socket.socket, make: Callable[[socket.socket], SSL.Connection]) -> None:
        self.port = listener.getsockname()[1]
        listener.settimeout(PATIENCE)

        def accept() -> socket.socket:
            with listener:
                return listener.accept()[0]

        super().__init__(accept, make)

    def socket(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), PATIENCE)


_LACKS = {
    "cookie": "pyOpenSSL cannot ask for one",
    "key update by the peer": "pyOpenSSL cannot ask for it",
    "record size limit of handfast": "OpenSSL has no RFC 8449",
    "record size limit of the peer": "OpenSSL has no RFC 8449",
    "padding by the peer": "pyOpenSSL cannot ask for it",
    **dict.fromkeys(SESSIONS, "each connection has a context of its own"),
    "renegotiation by the peer": "it is tried with the program, which ends likewise",
}


class OpenSSL4(Peer):
    name = "openssl4"
    who = "the OpenSSL that comes with `cryptography`, through pyOpenSSL, in a thread of the test"
    as_server = both(
        Abilities((*SUITES, CCM, CCM_8), ALL_GROUPS, (*ECDSA, *RSA, *EDWARDS, *MLDSA), lacks=_LACKS), ALL_SUITES_12
    )
    as_client = both(
        Abilities(
            (*SUITES, CCM, CCM_8),
            ALL_GROUPS,
            (*ECDSA, *RSA, *EDWARDS, *MLDSA),
            lacks={name: why for name, why in _LACKS.items() if name != "cookie"}
            | {"no middlebox compatibility": "pyOpenSSL cannot ask for it"},
        ),
        ALL_SUITES_12,
    )

    def version(self) -> str:
        try:
            from OpenSSL import SSL
        except ImportError:
            raise missing("pyOpenSSL is not on this machine: make venv") from None
        openssl = " ".join(SSL.OpenSSL_version(SSL.OPENSSL_VERSION).decode().split()[:2])
        return f"{openssl} (pyOpenSSL {version('pyOpenSSL')})"

    def _context(self, setup: Setup, method: int) -> SSL.Context:
        from OpenSSL import SSL

        context = SSL.Context(method)
        if setup.suites_13:
            context.set_tls13_ciphersuites(":".join(setup.suites_13).encode())
        if names := ciphers(setup):
            context.set_cipher_list(names.encode())
        if setup.order == "server":
            context.set_options(SSL.OP_CIPHER_SERVER_PREFERENCE | _PRIORITIZE_CHACHA)
        if setup.fallback:
            context.set_mode(_SEND_FALLBACK_SCSV)
        if setup.groups:
            # pyOpenSSL has this for one curve alone, and `cryptography` has it for lists.
            names = ":".join(setup.groups).encode()
            assert Binding.lib.SSL_CTX_set1_curves_list(context._context, names) == 1
        versions = {"1.1": SSL.TLS1_1_VERSION, "1.2": SSL.TLS1_2_VERSION, "1.3": SSL.TLS1_3_VERSION}
        context.set_min_proto_version(versions[setup.lowest])
        context.set_max_proto_version(versions[setup.highest])
        return context

    def serve(self, credentials: Credentials, setup: Setup) -> Running:
        from OpenSSL import SSL

        def context_with(files: Files) -> SSL.Context:
            context = self._context(setup, SSL.TLS_SERVER_METHOD)
            context.use_certificate_chain_file(str(files.chain))
            context.use_privatekey_file(str(files.key))
            return context

        context, *others = map(context_with, credentials.servers(setup))
        if others:

            def choose(connection: SSL.Connection) -> None:
                if connection.get_servername() == OTHER_NAMES[0].encode():
                    connection.set_context(others[0])

            context.set_tlsext_servername_callback(choose)
        if setup.alpn:
            ours = [name.encode() for name in setup.alpn]

            def select_protocol(_: SSL.Connection, offered: list[bytes]) -> Any:
                # OpenSSL answers NO_OVERLAPPING_PROTOCOLS by going on without ALPN; a refusal is an exception here.
                return next(name for name in ours if name in offered)

            context.set_alpn_select_callback(select_protocol)
        if setup.asks:
            context.load_verify_locations(str(credentials.trusted_by(setup)))
            required = SSL.VERIFY_FAIL_IF_NO_PEER_CERT if setup.asks == "required" else 0
            context.set_verify(SSL.VERIFY_PEER | required)

        def make(sock: socket.socket) -> SSL.Connection:
            connection = SSL.Connection(context, sock)
            connection.set_accept_state()
            return connection

        return _Server(socket.create_server(("127.0.0.1", 0)), make)

    def connect(self, credentials: Credentials, setup: Setup, port: int) -> Running:
        from OpenSSL import SSL

        context = self._context(setup, SSL.TLS_CLIENT_METHOD)
        context.load_verify_locations(str(credentials.trusted_by(setup)))
        context.set_verify(SSL.VERIFY_PEER)
        if files := credentials.client_of(setup):
            context.use_certificate_chain_file(str(files.chain))
            context.use_privatekey_file(str(files.key))
        if setup.alpn:
            context.set_alpn_protos([name.encode() for name in setup.alpn])

        def make(sock: socket.socket) -> SSL.Connection:
            connection = SSL.Connection(context, sock)
            connection.set_tlsext_host_name(setup.name.encode())
            connection.set_connect_state()
            return connection

        return InThread(lambda: socket.create_connection(("127.0.0.1", port), PATIENCE), make)
