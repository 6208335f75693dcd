"""Configurations that follow their files: certificates that are renewed, roots that are replaced.

::

    def settings(files: handfast.Files) -> ServerConfig:
        return ServerConfig(
            identities=[files.identity("fullchain.pem", "privkey.pem")],
            client_trust=files.trust("clients.pem"),
            client_authentication="required",
        )

    live = handfast.Reloading(settings)                 # reads the files; raises ConfigurationError as Identity.load does
    with live.watch(), handfast.Server(handler, config=live) as server:
        ...

A server takes the configuration in force for each connection, and connections that are there keep theirs. Where the
files cannot be used, what was in force stays in force, and that is said.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeVar

from handfast.certificates import pem, places
from handfast.certificates.identity import Identity, Signer
from handfast.certificates.parsed import parsed
from handfast.certificates.store import TrustStore
from handfast.config import ServerConfig
from handfast.errors import ConfigurationError, MisuseError, TLSError
from handfast.reasons import CHAIN_CUT, FILE_UNREADABLE, NOT_A_CERTIFICATE, NOT_VALID_NOW

if TYPE_CHECKING:
    from handfast.certificates.identity import OnNote
    from handfast.certificates.loading import Password
    from handfast.certificates.pem import PathLike
    from handfast.config import ClientConfig

_ATTEMPTS: Final = 5  # at files that change while they are read
_LARGE: Final = 4 << 20  # bytes: no certificate, key or bundle is as large; a list of published keys can be
_log: Final = logging.getLogger("handfast.reload")

C = TypeVar("C", bound="ServerConfig | ClientConfig")
Digests = dict[str, bytes | None]


class Files:
    """Reads the files of one configuration, and remembers which they were."""

    def __init__(self) -> None:
        self.digests: Digests = {}

    def identity(
        self,
        certificates: PathLike,
        key: PathLike | Signer | None = None,
        password: Password = None,
        *,
        on_note: OnNote = None,
    ) -> Identity:
        """As Identity.load; without ``key`` the file of the certificates holds it too."""
        self.note(certificates)
        if key is not None and not isinstance(key, Signer):
            self.note(key)
        return Identity.load(certificates, key, password, on_note=on_note)

    def trust(self, *paths: PathLike) -> TrustStore:
        """As TrustStore.from_paths: of files and folders."""
        self.note(*paths)
        return TrustStore.from_paths(*paths)

    def read(self, path: PathLike) -> bytes:
        """Any other file that belongs to the configuration. Raises ConfigurationError(FILE_UNREADABLE)."""
        self.note(path)
        try:
            return Path(path).read_bytes()
        except OSError as error:
            problem = error.strerror or str(error)
            raise ConfigurationError(FILE_UNREADABLE, file=os.fspath(path), problem=problem) from None

    def note(self, *paths: PathLike) -> None:
        """Files that belong to the configuration, and that something else reads after this, such as KeyList.load."""
        for path in paths:
            self.digests.setdefault(os.fspath(path), _digest(os.fspath(path)))


class Reloading(Generic[C]):
    """A configuration that is made anew when its files change. Calling it returns the one in force.

    Servers take it in place of their configuration, and call it for each connection. A client calls it itself:
    ``connect(host, config=live())``. Elsewhere ``ServerConfig(..., on_client_hello=lambda hello: live())`` will do.

    Certificate and key, and whatever else is read, come into force together or not at all. The files may be replaced one
    after the other, through symbolic links, or written in place: a key that does not belong to its certificate is never
    used (but for an async Signer, which is not asked), and files that change while they are read are read again.

    A certificate that is not valid now does not replace one that is: an old file put back by mistake, or a clock that is
    wrong, must not take down a server that works. A watcher takes it as soon as it is valid. Where nothing valid is in
    force, it is taken as Identity.load takes it.
    """

    def __init__(
        self,
        settings: Callable[[Files], C],
        *,
        on_reload: Callable[[C], object] | None = None,
        on_failure: Callable[[Exception], object] | None = None,
    ) -> None:
        """``settings`` makes the configuration, and reads what it needs through the Files that it is given.

        ``on_reload``   is told of each new configuration, in the thread that has loaded it
        ``on_failure``  is told why one cannot be used. Both go to the log "handfast.reload" otherwise

        Raises what ``settings`` raises, ConfigurationError as a rule.
        """
        self._settings = settings
        self._on_reload = on_reload
        self._on_failure = on_failure
        self._lock = threading.Lock()
        self._loading: int | None = None  # the thread that holds the lock and calls settings
        self._current, self._digests = self._load()
        self._last_look = self._digests
        self._complaint = ""

    def __repr__(self) -> str:
        return f"<Reloading {', '.join(self._digests) or 'no files'}>"

    @property
    def has_files(self) -> bool:
        """Whether anything was read."""
        return bool(self._digests)

    def __call__(self) -> C:
        """The configuration in force."""
        return self._current

    def reload(self) -> C:
        """Read the files now; the new configuration, which is in force.

        Raises what makes it unusable, ConfigurationError as a rule: then the old one stays in force. Do not call it on an
        event loop that must not wait for files.
        """
        if self._loading == threading.get_ident():
            raise MisuseError(problem="settings must not reload what calls it")
        try:
            with self._lock:
                config = self._replace()
        except Exception as error:
            self._complaint = str(error)
            self._tell_failure(error)
            raise
        self._tell_reload(config)
        return config

    def poll(self) -> bool:
        """Look at the files, and reload if they have changed since; whether there is a new configuration. Never raises.

        Files that have changed are taken when they are the same at the next look: somebody may be about to write the
        second one. What could not be used is tried again at each look, and told once.
        """
        try:
            with self._lock:
                if not self._has_changed():
                    return False
                config = self._replace()
        except Exception as error:
            told, self._complaint = self._complaint, str(error)
            if told != self._complaint:
                self._tell_failure(error)
            return False
        self._tell_reload(config)
        return True

    def watch(self, interval: float = 10.0) -> Watch:
        """Look at the files every ``interval`` seconds, in a thread, until the Watch is stopped or left.

        On asyncio too: what is loaded comes into force by one assignment, and nothing waits for it.
        """
        if interval <= 0:
            raise ConfigurationError(setting="interval", problem="has to be more than 0 seconds")
        return Watch(self, interval)

    def _has_changed(self) -> bool:
        """Whether the files are others than those in force, and the same as when we looked last. The lock is held."""
        look = _digests(self._digests)
        before, self._last_look = self._last_look, look
        if look == self._digests:
            self._complaint = ""
        return look != self._digests and look == before

    def _load(self) -> tuple[C, Digests]:
        """A configuration made of files that did not change meanwhile. The lock is held, or nobody knows us yet."""
        files = Files()
        for _ in range(_ATTEMPTS):
            files = Files()
            try:
                config = self._settings(files)
            except Exception:
                if files.digests == _digests(files.digests):
                    raise
            else:
                if files.digests == _digests(files.digests):
                    return config, files.digests
        raise ConfigurationError(setting="files", problem="they change while they are read", files=list(files.digests))

    def _replace(self) -> C:
        """Load, and put into force. The lock is held."""
        self._loading = threading.get_ident()
        try:
            config, digests = self._load()
        finally:
            self._loading = None
        for why_not in (_not_valid_now, _cut):
            unfit = why_not(config)
            if unfit is not None and why_not(self._current) is None:
                raise unfit
        self._current, self._digests, self._last_look, self._complaint = config, digests, digests, ""
        return config

    def _tell_reload(self, config: C) -> None:
        if self._on_reload is None:
            _log.info("reloaded: %s", ", ".join(self._digests))
        else:
            _call(self._on_reload, config)

    def _tell_failure(self, error: Exception) -> None:
        if self._on_failure is None:
            # What TLSError says is fit for a log; another exception may be about anything.
            text = str(error) if isinstance(error, TLSError) else type(error).__name__
            _log.error("not reloaded, what was in force stays: %s", text)
        else:
            _call(self._on_failure, error)


class Watch:
    """A thread that polls; see :meth:`Reloading.watch`. It ends with the process at the latest."""

    def __init__(self, live: Reloading[Any], interval: float) -> None:
        self._live = live
        self._interval = interval
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="handfast-reload", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(self._interval):
            self._live.poll()

    def stop(self) -> None:
        """Look no more."""
        self._stop.set()
        if self._thread is not threading.current_thread():  # which it is in a callback
            self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def current(config: ServerConfig | Callable[[], ServerConfig]) -> ServerConfig:
    """The configuration for one connection."""
    return config() if callable(config) else config


def _call(callback: Callable[[Any], object], value: object) -> None:
    """Call the application. What it raises is its own mistake, and must not stop a watcher."""
    try:
        callback(value)
    except Exception:
        _log.exception("a callback of handfast.Reloading failed")


def _digest(path: str) -> bytes | None:
    """Of a file's content, or of the certificates of a folder; None where it cannot be read, or not twice.

    A large file is not read at each look: which file it is and when it was changed has to do.
    """
    try:
        if Path(path).is_dir():
            return _digest_of_folder(path)
        if not Path(path).is_file():  # to open a pipe may wait for ever
            return None
        with Path(path).open("rb") as file:
            found = os.fstat(file.fileno())
            if found.st_size > _LARGE:
                return repr((found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)).encode()
            return hashlib.file_digest(file, "sha256").digest()
    except OSError:
        return None


def _digest_of_folder(path: str) -> bytes | None:
    try:
        contents, problems = places.folder(path)
    except ConfigurationError:
        return None
    whole = hashlib.sha256(repr(problems).encode("utf-8", "surrogateescape"))
    for name, data in contents:
        whole.update(b"%d %d " % (len(name), len(data)) + os.fsencode(name) + data)
    return whole.digest()


def _digests(paths: Iterable[str]) -> Digests:
    return {path: _digest(path) for path in paths}


def _cut(config: ServerConfig | ClientConfig) -> ConfigurationError | None:
    """A chain or a bundle of roots whose last certificate is lost: it is used at the start, where there is no better one."""
    files = [
        note.evidence["file"] for identity in config.identities for note in identity.notes if note.reason is CHAIN_CUT
    ]
    trust = config.client_trust if isinstance(config, ServerConfig) else config.trust
    if trust is not None:
        files += [bad.file or trust.source for bad in trust.skipped if bad.problem == pem.CUT]
    return ConfigurationError(NOT_A_CERTIFICATE, file=files[0], problem=pem.CUT) if files else None


def _not_valid_now(config: ServerConfig | ClientConfig) -> ConfigurationError | None:
    now = config.clock.wall()
    for identity in config.identities:
        leaf = parsed(identity.chain[0])
        if not leaf.not_before <= now <= leaf.not_after:
            names = identity.names or leaf.subject
            return ConfigurationError(
                NOT_VALID_NOW, certificate=names, valid_from=leaf.not_before, valid_until=leaf.not_after, now=now
            )
    return None
