"""SSLContext: the settings that ``ssl`` knows, and one of ours.

The context of OpenSSL beneath keeps the plain settings (verify_mode, check_hostname, options, versions ...), so that they
are checked and coupled as each version of Python has it. No connection is made with it. Certificates, keys, suites and
protocols are kept here, and what all that comes to is a ClientConfig or ServerConfig, made once and kept until a
setting changes.
"""

from __future__ import annotations

import hashlib
import os
import ssl
import threading
import warnings
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

from handfast.certificates import pem
from handfast.certificates.identity import Identity
from handfast.certificates.names import normalized
from handfast.config import ClientConfig, ServerConfig
from handfast.errors import ConfigurationError, TLSError
from handfast.reasons import PASSWORD_TOO_SLOW
from handfast.sessions.keys import TicketKeyRing
from handfast.sessions.memory import MemoryCache
from handfast.transport.ssl_module import derive, exceptions, trust
from handfast.transport.ssl_module.engine import check_name
from handfast.transport.ssl_module.facts import BY_OPENSSL_NAME, described_suites
from handfast.transport.ssl_module.hello import Review
from handfast.transport.ssl_module.keylog import KeyLogFile
from handfast.transport.ssl_module.messages import MakeTap
from handfast.transport.ssl_module.objects import MemoryEngine, SSLObject
from handfast.transport.ssl_module.passwords import Password
from handfast.transport.ssl_module.sockets import SocketEngine, SSLSocket

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self

    from handfast.certificates.store import TrustStore
    from handfast.events import Handshake
    from handfast.transport.ssl_module.engine import Engine

_GROUPS: Final = {
    "prime256v1": "secp256r1",
    "P-256": "secp256r1",
    "secp384r1": "secp384r1",
    "P-384": "secp384r1",
    "secp521r1": "secp521r1",
    "P-521": "secp521r1",
    "X25519": "x25519",
    "X448": "x448",
}
_Made = ClientConfig | ServerConfig | ConfigurationError
_KEPT: Final = 8  # configurations of one context: settings that go to and fro make no more
C = TypeVar("C", ClientConfig, ServerConfig)
_beneath: Final[Any] = ssl.SSLContext.__base__  # OpenSSL's
_keylog_filename: Final[Any] = _beneath.keylog_filename  # the property beneath
_COUNTED: Final = ("connect", "connect_good", "accept", "accept_good", "hits")


class SSLContext(ssl.SSLContext):
    """An ``ssl.SSLContext`` whose connections are handfast's. See docs/ssl-module.md for each attribute.

    Any number of threads and connections share one.
    """

    sslsocket_class = SSLSocket
    sslobject_class = SSLObject

    _lock: threading.RLock  # around every change of what follows
    _revision: int  # one more with each
    _made: dict[type, dict[derive.Settings, _Made]]
    _handfast: ClientConfig | ServerConfig | None
    _roots: tuple[TrustStore, ...]
    _found_later: frozenset[bytes]  # of directories: get_ca_certs shows them once they have been used
    # What the one beneath has not been told of; None stands for the machine's roots.
    _for_openssl: list[TrustStore | bytes | None]
    _identities: tuple[tuple[bytes, Identity], ...]  # one for each kind of key, with a digest of where it comes from
    _alpn: tuple[str, ...]
    _suites_12: tuple[int, ...] | None
    _group: str | None
    _keylog: KeyLogFile | None
    _tap: MakeTap | None
    _counts: dict[str, int]
    _tickets: TicketKeyRing | None  # a server's, made when it is needed
    _states: MemoryCache | None  # likewise, where it may give no tickets

    def __new__(cls, protocol: int | None = None, *_: object, **__: object) -> Self:
        """``protocol``: PROTOCOL_TLS_CLIENT or PROTOCOL_TLS_SERVER; PROTOCOL_TLS is deprecated, and may be either."""
        if protocol is None:
            warnings.warn(
                "ssl.SSLContext() without protocol argument is deprecated.", category=DeprecationWarning, stacklevel=2
            )
            protocol = ssl.PROTOCOL_TLS
        self: Self = _beneath.__new__(cls, protocol)
        self._lock = threading.RLock()
        self._revision = 0
        self._made = {}
        self._handfast = None
        self._roots, self._identities = (), ()
        self._found_later, self._for_openssl = frozenset(), []
        self._alpn, self._suites_12, self._group = (), None, None
        self._keylog = self._tap = None
        self._tickets = self._states = None
        self._counts = dict.fromkeys(_COUNTED, 0)
        return self

    # --- what ssl does not have

    @property
    def handfast(self) -> ClientConfig | ServerConfig | None:
        """A configuration of handfast, for what ssl has no name for: groups, signers, callbacks, keys from memory.

        What it sets goes before what this context says. A ClientConfig where the context makes clients, a ServerConfig
        where it makes servers.
        """
        return self._handfast

    @handfast.setter
    def handfast(self, config: ClientConfig | ServerConfig | None) -> None:
        if config is not None and not isinstance(config, (ClientConfig, ServerConfig)):
            raise TypeError(f"a ClientConfig or ServerConfig is needed, not a {type(config).__name__}")
        self._set("_handfast", config)

    @property
    def handfast_tap(self) -> MakeTap | None:
        """Called with each SSLObject or SSLSocket when its handshake begins: makes the tap that sees its messages.

        See handfast.observe.
        """
        return self._tap

    @handfast_tap.setter
    def handfast_tap(self, make: MakeTap | None) -> None:
        if make is not None and not callable(make):
            raise TypeError(f"a function is needed, not a {type(make).__name__}")
        self._tap = make

    def _set(self, name: str, value: object) -> None:
        """Change what we keep. What is set to what it was, as some programs do for each connection, is no change."""
        with self._lock:
            before = getattr(self, name)
            if before is not value and not (isinstance(value, tuple) and before == value):
                setattr(self, name, value)
                self._revision += 1

    # --- configurations

    def _settings(self, since: derive.Settings | None = None) -> derive.Settings:
        """The settings; those that a connection was wrapped with, ``since``, stay in force."""
        settings = derive.settings_of(self, self._revision)
        return settings if since is None else derive.stricter(settings, since)

    def _config(self, kind: type[C], since: derive.Settings | None = None) -> C:
        """What all settings come to; made once and kept until one of them changes. Raises ConfigurationError."""
        made = self._made.get(kind, {}).get(self._settings(since))
        if made is None:
            made = self._make(kind, since)
        if isinstance(made, ConfigurationError):
            raise made.copy()
        assert isinstance(made, kind)
        return made

    def _make(self, kind: type[ClientConfig | ServerConfig], since: derive.Settings | None) -> _Made:
        with self._lock:
            settings = self._settings(since)
            if kind is ServerConfig:
                self._tickets = self._tickets or TicketKeyRing()
                self._states = self._states or MemoryCache()
            given = derive.Given(
                trust.joined(self._roots),
                tuple(identity for _, identity in self._identities),
                self._alpn,
                self._suites_12,
                self._group,
                self._keylog,
                self._tickets,
                self._states,
            )
            made: _Made
            try:
                made = derive.config_of(kind, settings, given, self._handfast)
            except ConfigurationError as error:
                made = error.copy()
            others = self._made.get(kind, {}).items()
            kept = {key: value for key, value in others if key.revision == settings.revision}
            # Others may be reading the one that is there: it is replaced, and never changed.
            self._made[kind] = {**(kept if len(kept) < _KEPT else {}), settings: made}
            return made

    def _client_config(
        self, server_hostname: str | None, since: derive.Settings | None = None
    ) -> tuple[ClientConfig, str | None]:
        """The configuration of a client, and the name that it asks for."""
        config = self._config(ClientConfig, since)
        compared = self._settings(since).check_hostname
        if server_hostname is not None and not compared and not _is_usable(server_hostname):
            server_hostname = None  # such as "my_service": nobody compares it, and it may not be sent
        return config, server_hostname

    def _server_config(self, engine: Engine) -> ServerConfig:
        """The configuration of a server, for one connection."""
        config = self._config(ServerConfig, engine.since)
        return derive.with_review(config, Review(engine, config))

    def _why_unusable(self, since: derive.Settings) -> str | None:
        """OpenSSL's name for why there is no configuration."""
        return "NO_PROTOCOLS_AVAILABLE" if not derive.versions_left(self._settings(since)) else None

    def _suites_in_force(self) -> tuple[int, ...]:
        as_client = self.protocol == ssl.PROTOCOL_TLS_CLIENT
        config = self._config(ClientConfig) if as_client else self._config(ServerConfig)
        return (*config.suite_ids, *config.suite_12_ids)

    # --- connections

    def _wrap_socket(
        self,
        sock: SSLSocket,
        server_side: bool,
        server_hostname: str | None = None,
        *,
        owner: object = None,
        session: object = None,
    ) -> SocketEngine:
        """What ``ssl.SSLSocket`` calls once it is connected."""
        self._check_role(server_side, server_hostname)
        return SocketEngine(self, sock, server_side, server_hostname, session)

    def _wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool,
        server_hostname: str | None = None,
        *,
        owner: object = None,
        session: object = None,
    ) -> MemoryEngine:
        """What ``ssl.SSLObject`` calls."""
        for name, bio in (("incoming", incoming), ("outgoing", outgoing)):
            if not isinstance(bio, ssl.MemoryBIO):
                raise TypeError(f"_wrap_bio() argument {name!r} must be _ssl.MemoryBIO, not {type(bio).__name__}")
        self._check_role(server_side, server_hostname)
        return MemoryEngine(self, incoming, outgoing, server_side, server_hostname, owner, session)

    def _check_role(self, server_side: bool, server_hostname: str | None) -> None:
        if server_side and self.protocol == ssl.PROTOCOL_TLS_CLIENT:
            raise exceptions.plain("Cannot create a server socket with a PROTOCOL_TLS_CLIENT context")
        if not server_side and self.protocol == ssl.PROTOCOL_TLS_SERVER:
            raise exceptions.plain("Cannot create a client socket with a PROTOCOL_TLS_SERVER context")
        check_name(server_hostname, server_side)
        if not server_side and self.check_hostname and server_hostname is None:
            # ssl lets such a client pass, and then compares no name at all.
            raise ValueError("check_hostname requires server_hostname")

    # --- certificates and keys

    def load_verify_locations(self, cafile: Any = None, capath: Any = None, cadata: Any = None) -> None:
        """Trust the certificates of a PEM file, of a directory with OpenSSL's hashed names, or in memory."""
        if cadata is not None or not _are_paths(cafile, capath):
            super().load_verify_locations(cafile, capath, cadata)  # which also says what is wrong
            known_beneath = True
        else:
            known_beneath = False
        found: list[TrustStore] = []
        if cadata is not None:
            found += _stores_of(cadata)
        if cafile is not None:
            found += self._of_file(cafile, known_beneath)
        directory = trust.of_directory(capath) if capath is not None else None
        with self._lock:
            if directory is not None and directory not in self._roots:
                self._found_later |= frozenset(trust.ders(directory))
            if not known_beneath:
                self._for_openssl += [store for store in found if store not in self._roots]
            self._trust(*found, *(() if directory is None else (directory,)))

    def _trust(self, *stores: TrustStore) -> None:
        self._set("_roots", tuple(dict.fromkeys((*self._roots, *stores))))

    def _of_file(self, cafile: Any, known_beneath: bool) -> list[TrustStore]:
        with open(cafile, "rb") as file:  # noqa: PTH123 - a path in bytes will do too
            data = file.read()
        try:
            found = [trust.store_of(data, source=os.fsdecode(cafile))]
        except ConfigurationError:
            found = []
        if not known_beneath and (not found or found[0].skipped):
            super().load_verify_locations(cafile)  # which raises in most cases; else there are revocation lists in it
        return found

    def load_default_certs(self, purpose: Any = ssl.Purpose.SERVER_AUTH) -> None:
        """Trust the roots of this machine; see :meth:`set_default_verify_paths`."""
        if not isinstance(purpose, ssl._ASN1Object):
            raise TypeError(purpose)
        self.set_default_verify_paths()

    def set_default_verify_paths(self) -> None:
        """Trust the roots of this machine, or certifi's where it has none; SSL_CERT_FILE and SSL_CERT_DIR go first."""
        found = trust.of_system()
        with self._lock:
            self._trust(*found)
            self._for_openssl.append(None)

    def _tell_openssl(self) -> None:
        """The context beneath gets the roots when it is asked about them: to parse them all twice takes long."""
        with self._lock:
            waiting, self._for_openssl = self._for_openssl, []
            for item in waiting:
                if item is None:
                    super().set_default_verify_paths()
                else:
                    super().load_verify_locations(
                        cadata=item if isinstance(item, bytes) else b"".join(trust.ders(item))
                    )

    def cert_store_stats(self) -> dict[str, int]:
        """How many certificates, authorities and revocation lists there are."""
        self._tell_openssl()
        return super().cert_store_stats()

    def get_ca_certs(self, binary_form: bool = False) -> Any:
        """The authorities that were loaded; those of a directory once they have been used."""
        self._tell_openssl()
        return super().get_ca_certs(binary_form)

    def load_cert_chain(self, certfile: Any, keyfile: Any = None, password: Any = None) -> None:
        """A certificate with its chain, and its key, from PEM files. Several calls with several kinds of keys go together."""
        if not _are_paths(certfile) or not (keyfile is None or _are_paths(keyfile)):
            super().load_cert_chain(certfile, keyfile, password)  # which says what is wrong
        secret = Password(password)
        certificates, key = _read(certfile), _read(certfile if keyfile is None else keyfile)
        known_as = hashlib.sha256(b"\0".join((certificates, key, secret.for_key(key) or b""))).digest()
        if any(known_as == digest for digest, _ in self._identities):
            return  # some programs load it again for each connection
        try:
            identity = Identity.from_pem(certificates, key, secret.value, arrange=False)  # as ssl sends it
        except ConfigurationError as error:
            error.evidence["file"] = [os.fsdecode(path) for path in (certfile, keyfile) if path is not None]
            self._refuse_chain(error, certfile, keyfile, secret.value or b"")
        with self._lock:
            others = (known for known in self._identities if known[1].kind != identity.kind)
            self._set("_identities", (*others, (known_as, identity)))

    def _refuse_chain(self, error: ConfigurationError, certfile: Any, keyfile: Any, password: bytes) -> NoReturn:
        """The error of ssl for these files, with what we know of it."""
        if error.reason is PASSWORD_TOO_SLOW:  # and OpenSSL would begin to count
            raise exceptions.translated(error) from None
        try:
            super().load_cert_chain(certfile, keyfile, password)
        except ssl.SSLError as original:
            raise exceptions.extended(original, error) from None
        raise exceptions.translated(error) from None  # OpenSSL would take it, and we do not

    # --- algorithms and protocols

    def set_ciphers(self, ciphers: str) -> None:
        """Choose the suites of TLS 1.2 by a string of OpenSSL's; those of TLS 1.3 stay, as with OpenSSL."""
        with self._lock:
            super().set_ciphers(ciphers)
            listed = [cipher for cipher in super().get_ciphers() if cipher["protocol"] != "TLSv1.3"]
            names = [cipher["name"] for cipher in listed]
            chosen = tuple(BY_OPENSSL_NAME[name] for name in names if name in BY_OPENSSL_NAME)
            if listed and not chosen:
                raise exceptions.no_cipher(listed)
            self._set("_suites_12", chosen)

    def get_ciphers(self) -> list[Any]:
        """The suites that are offered or accepted, as ssl describes them."""
        return described_suites(self._suites_in_force())

    def set_alpn_protocols(self, alpn_protocols: Iterable[str]) -> None:
        """Application protocols, the preferred one first."""
        names = tuple(alpn_protocols)
        super().set_alpn_protocols(names)  # it checks them
        self._set("_alpn", names)

    def set_npn_protocols(self, npn_protocols: Iterable[str]) -> NoReturn:
        """Refused: NPN was replaced by ALPN in 2014 (RFC 7301)."""
        raise NotImplementedError("NPN is not there; use set_alpn_protocols")

    def set_ecdh_curve(self, name: Any) -> None:
        """Use one group alone."""
        super().set_ecdh_curve(name)  # a ValueError for what is no curve
        group = _GROUPS.get(os.fsdecode(name))
        if group is None:
            raise ValueError(f"{os.fsdecode(name)!r} is not a group of handfast's: {', '.join(_GROUPS)}")
        self._set("_group", group)

    # --- looking

    @property
    def keylog_filename(self) -> Any:
        """Where the secrets of connections are written, None for nowhere."""
        return _keylog_filename.__get__(self)

    @keylog_filename.setter
    def keylog_filename(self, path: Any) -> None:
        with self._lock:
            _keylog_filename.__set__(self, path)
            self._set("_keylog", None if path is None else KeyLogFile(path))

    def session_stats(self) -> dict[str, int]:
        """How many handshakes were begun and completed, and how many of these resumed a session ("hits")."""
        with self._lock:
            return {**super().session_stats(), **self._counts}

    def _count(self, what: str) -> None:
        with self._lock:
            self._counts[what] += 1

    def _completed(self, agreed: Handshake, server_side: bool) -> None:
        """A handshake is complete."""
        self._count("accept_good" if server_side else "connect_good")
        if agreed.resumed:
            self._count("hits")
        if self._found_later and agreed.peer is not None and agreed.peer.path:
            root = agreed.peer.path[-1]
            with self._lock:
                if root in self._found_later:
                    self._found_later -= {root}
                    self._for_openssl.append(root)

    # --- what is not there

    def set_psk_client_callback(self, callback: object) -> None:
        """Refused: external pre-shared keys are not there yet."""
        _refuse_psk(callback)

    def set_psk_server_callback(self, callback: object, identity_hint: object = None) -> None:
        """Refused: external pre-shared keys are not there yet."""
        _refuse_psk(callback)


def _refuse_psk(callback: object) -> None:
    if callback is not None:
        raise NotImplementedError("handfast has no external pre-shared keys yet")


def _is_usable(name: str) -> bool:
    try:
        normalized(name)
    except TLSError:
        return False
    return True


def _are_paths(*paths: object) -> bool:
    given = [path for path in paths if path is not None]
    return bool(given) and all(isinstance(path, (str, bytes, os.PathLike)) for path in given)


def _stores_of(cadata: Any) -> list[TrustStore]:
    """What ssl has accepted already: text in PEM, or DER of certificates one after the other."""
    if isinstance(cadata, str):
        text = cadata.encode("ascii")
        return [trust.store_of(text)] if pem.certificates(text) else []
    ders = tuple(trust.split(bytes(cadata)))
    return [trust.store_of(*ders)] if ders else []


def _read(path: Any) -> bytes:
    with open(path, "rb") as file:  # noqa: PTH123 - a path in bytes will do too
        return file.read()
