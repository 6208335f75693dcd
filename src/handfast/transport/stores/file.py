"""A client's sessions in a file, for programs that run for a moment and come back, such as a command line."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

from handfast.clock import SYSTEM_CLOCK, Clock
from handfast.crypto.entropy import SYSTEM_ENTROPY
from handfast.crypto.guard import Guarded
from handfast.errors import ConfigurationError, DecodeError, shown, words
from handfast.filelock import locked
from handfast.limits import SESSIONS_IN_A_FILE, SESSIONS_OF_A_SERVER
from handfast.sessions.memory import Shelf
from handfast.sessions.sealing import KEY, SealingKey
from handfast.sessions.session import Session
from handfast.transport.stores.warner import Warner
from handfast.wire.cursor import Reader, Writer

WAIT: Final = 0.5  # seconds for another process to be done with the file; it takes milliseconds

_MAGIC: Final = b"handfast sessions 1\n"
_PLAIN, _ENCRYPTED = b"p", b"e"
_SALT: Final = 16  # bytes
_LARGEST: Final = 1 << 24  # bytes: a file that is longer is not read
# scrypt (RFC 7914): 32 MiB and a tenth of a second, once for each program that opens the file.
_COST: Final = 1 << 15
_BLOCKS: Final = 8
_PARALLEL: Final = 3
_MEMORY: Final = 1 << 26

_Change = Callable[[Shelf], str]


class FileSessions(Guarded):
    """A client's sessions in a file (a SessionStore), which several threads and processes may use at a time.

    The file has mode 0600. A new one takes the place of the old one at once, so that no reader meets a half of it. One that
    others may read or write is not believed: a session says who the server is, and who can plant one can be that server.
    What is damaged, or sealed under another password, counts as empty, and a warning says so. Nothing here fails a
    handshake: what goes wrong is counted, and logged.

    ``path``        of the file, whose folder has to be there. Beside it lies one with ``.lock`` at its end
    ``password``    encrypts it: AES-256-GCM-SIV under a key made by scrypt. Making it takes a tenth of a second, here
    ``capacity``    sessions in all
    ``per_server``  sessions with one server
    ``warn``        takes a sentence when something goes wrong, at most one a minute; by default it is logged

    Raises ConfigurationError if the folder is not there, and if there is a file of another kind, which would be lost, or an
    encrypted one and no password.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        password: str | bytes | None = None,
        *,
        capacity: int = SESSIONS_IN_A_FILE,
        per_server: int = SESSIONS_OF_A_SERVER,
        clock: Clock = SYSTEM_CLOCK,
        warn: Callable[[str], None] | None = None,
    ) -> None:
        self.path = Path(path)
        self._password = password.encode("utf-8") if isinstance(password, str) else password
        self._capacity = capacity
        self._per_server = per_server
        self._clock = clock
        self._lock = threading.Lock()
        self._derived: tuple[bytes, SealingKey] | None = None
        self._counts: Counter[str] = Counter()
        self._warn = Warner(warn, clock)
        Shelf(capacity, per_server)  # refuses what is no capacity
        self._check_file()

    def put(self, session: Session) -> None:
        """Keep a session."""

        def change(shelf: Shelf) -> str:
            shelf.put(session)
            return "put"

        self._change(change)

    def forget(self, session: Session) -> None:
        """Give this one to nobody any more."""

        def change(shelf: Shelf) -> str:
            shelf.forget(session)
            return "forgotten"

        self._change(change)

    def take(self, server_name: str | None) -> Session | None:
        """The newest valid session with a server; one of TLS 1.3 is then not kept any longer."""
        found: Session | None = None

        def change(shelf: Shelf) -> str:
            nonlocal found
            why, found = shelf.take(server_name, self._clock.wall())
            return why

        # A ticket that could not be taken out of the file would be used again: then it is not used at all.
        return found if self._change(change) else None

    @property
    def counts(self) -> dict[str, int]:
        """How often there was something to "put" or to be "forgotten", what came of asking ("hit", "none", "expired"), and what "failed"."""
        with self._lock:
            return dict(self._counts)

    # --- one change: read, change, replace, while nobody else does

    def _change(self, change: _Change) -> bool:
        """Whether it is in the file. Nothing is raised: neither disk nor file may stop a handshake."""
        with self._lock:
            try:
                with locked(self.path.with_name(self.path.name + ".lock"), WAIT):
                    shelf, salt = self._read()
                    before = shelf.sessions()
                    why = change(shelf)
                    kept = [session for session in shelf.sessions() if session.is_valid(self._clock.wall())]
                    if kept != before:
                        self._write(kept, salt)
            except Exception as error:
                self._counts["failed"] += 1
                self._warn(f"Sessions are not kept in {shown(self.path)}: {shown(words(error))}")
                return False
            self._counts[why] += 1
            return True

    def _read(self) -> tuple[Shelf, bytes | None]:
        """What is in the file, and the salt of its key if it has one."""
        shelf = Shelf(self._capacity, self._per_server)
        data = self._trusted_bytes()
        if data is None or not data:
            return shelf, None
        self._check_kind(data)
        rest = data[len(_MAGIC) + 1 :]
        salt: bytes | None = None
        content: bytes | None = rest
        if data[len(_MAGIC) :][:1] == _ENCRYPTED:
            salt, content = rest[:_SALT], None
            if len(salt) == _SALT:
                content = self._key(salt).open(rest[_SALT:], _MAGIC + salt)
            if content is None:
                self._warn(f"{shown(self.path)} is sealed under another password, or damaged: it counts as empty")
        for session in _sessions(content or b""):
            shelf.put(session)
        return shelf, salt if salt is not None and len(salt) == _SALT else None

    def _trusted_bytes(self) -> bytes | None:
        """The file, if nobody but us could have written or read it."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0))
        except FileNotFoundError:
            return None
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            os.close(descriptor)
            raise ConfigurationError(setting="sessions", problem=f"{self.path} is no file")
        with open(descriptor, "rb") as file:  # noqa: PTH123  (a descriptor, so that it is the file that was looked at)
            data = file.read(_LARGEST + 1)
        self._check_kind(data)
        return data if not exposed(about) and len(data) <= _LARGEST else None

    def _write(self, sessions: list[Session], salt: bytes | None) -> None:
        entries = Writer()
        for session in sessions:
            entries.vector24(session.encode())
        data = _MAGIC + _PLAIN + entries.data
        if self._password is not None:
            assert self._derived is not None, "the constructor has made a key"
            salt = salt or self._derived[0]
            data = _MAGIC + _ENCRYPTED + salt + self._key(salt).seal(bytes(entries.data), _MAGIC + salt)
        descriptor, name = tempfile.mkstemp(prefix=f".{self.path.name}.", dir=self.path.parent)  # with mode 0600
        try:
            with open(descriptor, "wb") as file:  # noqa: PTH123
                file.write(data)  # and no fsync: should the machine stop now, what is damaged counts as empty
            os.replace(name, self.path)  # noqa: PTH105
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)  # noqa: PTH108
            raise

    def _key(self, salt: bytes) -> SealingKey:
        """The key of the password with this salt. The one that was made last is kept."""
        assert self._password is not None, "what is encrypted is refused without a password"
        if self._derived is None or self._derived[0] != salt:
            key = hashlib.scrypt(self._password, salt=salt, n=_COST, r=_BLOCKS, p=_PARALLEL, maxmem=_MEMORY, dklen=KEY)
            self._derived = (salt, SealingKey(key))
        return self._derived[1]

    def _check_file(self) -> None:
        """Say now what would be wrong later, where nothing can be raised; and make the key, which takes a while."""
        if not self.path.parent.is_dir():
            raise ConfigurationError(setting="sessions", problem=f"the folder of {self.path} is not there")
        try:
            data = self._trusted_bytes()
        except ConfigurationError:
            raise
        except (OSError, ValueError) as error:  # a ValueError for a path with a null character
            problem = f"{self.path} cannot be read"
            raise ConfigurationError(setting="sessions", problem=problem, why=words(error)) from None
        if self._password is not None:
            data = data or b""
            start = len(_MAGIC) + 1
            salt = data[start : start + _SALT] if data[:start] == _MAGIC + _ENCRYPTED else b""
            self._key(salt if len(salt) == _SALT else SYSTEM_ENTROPY.random(_SALT))

    def _check_kind(self, data: bytes) -> None:
        if data and not data.startswith(_MAGIC):
            raise ConfigurationError(setting="sessions", problem=f"{self.path} is not a file of sessions")
        if self._password is None and data[len(_MAGIC) :][:1] == _ENCRYPTED:
            raise ConfigurationError(setting="sessions", problem=f"{self.path} is encrypted: its password is needed")


def exposed(about: os.stat_result) -> str:
    """Why nothing in a file is believed: others may have written or read it. "" where that is not so."""
    if os.name != "posix":
        return ""
    if about.st_uid != os.geteuid():
        return "belongs to somebody else"
    return f"may be used by others (mode {about.st_mode & 0o777:o})" if about.st_mode & 0o077 else ""


def _sessions(content: bytes) -> list[Session]:
    """Those of them that can be read; sessions of another version of handfast cannot."""
    reader = Reader(content)
    found = []
    try:
        while reader:
            session = Session.decode(reader.vector24("session"))
            if session is not None:
                found.append(session)
    except DecodeError:
        pass  # a plain file that was cut
    return found
