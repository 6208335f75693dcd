"""How one gets at mail: IMAP, POP3 and ManageSieve."""

from __future__ import annotations

import re
from typing import Final

from handfast.transport.starttls.dialogue import Protocol, Script, Talk

_LISTED: Final = 32  # capabilities that become evidence


def _words(line: bytes) -> list[str]:
    return [word.decode("utf-8", "backslashreplace")[:40] for word in line.split()][:_LISTED]


class IMAP(Protocol):
    """RFC 9051 section 6.2.1: the capabilities, of the greeting or on demand; STARTTLS, OK.

    Lines that are marked with * may come at any time (section 7). They are read and forgotten.
    """

    name = "imap"
    title = "IMAP"
    port = 143

    def script(self, talk: Talk) -> Script[None]:
        """See Protocol."""
        greeting = yield from talk.line()
        kind = _second(greeting)
        if not greeting.startswith(b"* ") or kind not in (b"OK", b"PREAUTH", b"BYE"):
            raise talk.garbled(greeting, "* OK")
        if kind != b"OK":  # to be logged in already rules STARTTLS out: whoever pretends it would keep us from TLS
            raise talk.refused(greeting)
        listed = re.search(rb"\[CAPABILITY ([^\]]*)\]", greeting, re.IGNORECASE)
        offered = listed[1] if listed else (yield from self._capabilities(talk))
        if b"STARTTLS" not in offered.upper().split():
            raise talk.not_offered(offered=_words(offered))
        answer = yield from self._command(talk, b"a2", b"STARTTLS", [])
        if _second(answer) != b"OK":
            raise talk.refused(answer)

    def _capabilities(self, talk: Talk) -> Script[bytes]:
        untagged: list[bytes] = []
        answer = yield from self._command(talk, b"a1", b"CAPABILITY", untagged)
        if _second(answer) != b"OK":
            raise talk.not_offered(answer=answer.decode("utf-8", "backslashreplace"))
        return b" ".join(line[13:] for line in untagged if line[:13].upper() == b"* CAPABILITY ")

    @staticmethod
    def _command(talk: Talk, tag: bytes, command: bytes, untagged: list[bytes]) -> Script[bytes]:
        """Say a command: the line that answers it. Those with * go to ``untagged``."""
        while talk.held:  # said by itself, and there before the command: its answer cannot be
            line = yield from talk.line()
            if not line.startswith(b"* "):
                raise talk.injected(line)
        talk.say(tag + b" " + command + b"\r\n")
        while True:
            line = yield from talk.line()
            if line.startswith(tag + b" "):
                return line
            if not line.startswith(b"* "):
                raise talk.garbled(line, f"an answer to {tag.decode()}")
            if _second(line) == b"BYE":
                raise talk.refused(line)
            untagged.append(line)


def _second(line: bytes) -> bytes:
    words = line.split(b" ", 2)
    return words[1].upper() if len(words) > 1 else b""


class POP3(Protocol):
    """RFC 2595 section 4: CAPA, where the server lists STLS; STLS, +OK."""

    name = "pop3"
    title = "POP3"
    port = 110

    def script(self, talk: Talk) -> Script[None]:
        """See Protocol."""
        greeting = yield from self._answer(talk)
        if not greeting.startswith(b"+OK"):
            raise talk.refused(greeting)
        talk.say(b"CAPA\r\n")
        answer = yield from self._answer(talk)
        if answer.startswith(b"+OK"):
            offered: list[bytes] = []
            while (line := (yield from talk.line())) != b".":
                offered.append(line)
            if b"STLS" not in (line.upper().strip() for line in offered):
                raise talk.not_offered(offered=[word for line in offered[:_LISTED] for word in _words(line)[:1]])
        # A server from before RFC 2449 does not know CAPA, and may know STLS.
        talk.say(b"STLS\r\n")
        answer = yield from self._answer(talk)
        if not answer.startswith(b"+OK"):
            raise talk.refused(answer)

    @staticmethod
    def _answer(talk: Talk) -> Script[bytes]:
        line = yield from talk.line()
        if line.split(b" ", 1)[0] not in (b"+OK", b"-ERR"):
            raise talk.garbled(line, "+OK or -ERR")
        return line


class ManageSieve(Protocol):
    """RFC 5804 section 2.2: the server begins with its capabilities, one of which is STARTTLS; STARTTLS, OK.

    Under TLS the server says its capabilities again, without being asked.
    """

    name = "sieve"
    title = "ManageSieve"
    port = 4190

    def script(self, talk: Talk) -> Script[None]:
        """See Protocol."""
        offered: list[bytes] = []
        while not _is_answer(line := (yield from self._line(talk))):
            if not line.startswith((b'"', b"{")):
                raise talk.garbled(line, "a capability in quotes, or OK")
            offered.append(line)
        if not line.upper().startswith(b"OK"):
            raise talk.refused(line)
        names = [line.split(b'"')[1] for line in offered if line.startswith(b'"') and line.count(b'"') > 1]
        if b"STARTTLS" not in (name.upper() for name in names):
            raise talk.not_offered(offered=[word for name in names[:_LISTED] for word in _words(name)[:1]])
        talk.say(b"STARTTLS\r\n")
        answer = yield from self._line(talk)
        if not _is_answer(answer):
            raise talk.garbled(answer, "OK, NO or BYE")
        if not answer.upper().startswith(b"OK"):
            raise talk.refused(answer)

    @staticmethod
    def _line(talk: Talk) -> Script[bytes]:
        """A line with what belongs to it: a string may come as its length in braces, and then as it is (section 1.2)."""
        line = yield from talk.line()
        while literal := re.search(rb"\{([0-9]{1,9})\+?\}$", line):
            line += b"\r\n" + (yield from talk.exactly(int(literal[1])))
            line += yield from talk.line()
        return line


def _is_answer(line: bytes) -> bool:
    return re.match(rb"(OK|NO|BYE)( |$)", line, re.IGNORECASE) is not None
