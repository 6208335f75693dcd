"""Protocols whose answers are numbers of three digits: SMTP, LMTP, FTP and NNTP."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from handfast.errors import ConfigurationError
from handfast.transport.starttls.dialogue import Protocol, Script, Talk

_CODE: Final = re.compile(rb"([1-5][0-9][0-9])(?:([ -])|$)")


class Reply(NamedTuple):
    """An answer: its number, and its lines as they came, with the number."""

    code: int
    lines: list[bytes]

    @property
    def text(self) -> bytes:
        """All of it, on one line."""
        return b" ".join(self.lines)

    def offers(self, keyword: bytes) -> bool:
        """Whether a line behind the first one begins with this word."""
        return any(line[4:].split(b" ")[0].upper() == keyword for line in self.lines[1:])


def _reply(talk: Talk, *, free_text: bool = False) -> Script[Reply]:
    """The next answer, of one line or several (RFC 5321 section 4.2.1, RFC 959 section 4.2).

    ``free_text``  in FTP the lines between the first and the last one need no number
    """
    lines: list[bytes] = []
    code = b""
    while True:
        line = yield from talk.line()
        found = _CODE.match(line)
        if free_text and lines and (found is None or found[1] != code):
            lines.append(line)
            continue
        if found is None or (code and found[1] != code):
            raise talk.garbled(line, "a number of three digits, and text")
        code = found[1]
        lines.append(line)
        if found[2] != b"-":
            return Reply(int(code), lines)


class SMTP(Protocol):
    """RFC 3207: EHLO, where the server lists STARTTLS; STARTTLS, 220."""

    name = "smtp"
    title = "SMTP"
    port = 25
    _hello = "EHLO"

    def __init__(self, client_name: str = "[127.0.0.1]") -> None:
        """``client_name`` is what to call ourselves: a host's name, or an address in brackets (RFC 5321 section 4.1.3).

        The server is to forget it once TLS is there (RFC 3207 section 4.2), so the usual one says nothing about us.
        """
        if not re.fullmatch(r"[!-~]{1,255}", client_name):
            raise ConfigurationError(
                setting="client_name", value=client_name, problem="not a host's name or an address"
            )
        self._client_name = client_name

    def script(self, talk: Talk) -> Script[None]:
        """See Protocol."""
        greeting = yield from _reply(talk)
        if greeting.code != 220:
            raise talk.refused(greeting.text) if greeting.code >= 400 else talk.garbled(greeting.text, "220")
        talk.say(f"{self._hello} {self._client_name}\r\n".encode("ascii"))
        hello = yield from _reply(talk)
        if hello.code != 250:
            raise talk.not_offered(answer=hello.text.decode("utf-8", "backslashreplace"))
        if not hello.offers(b"STARTTLS"):
            raise talk.not_offered(offered=_keywords(hello.lines[1:]))
        talk.say(b"STARTTLS\r\n")
        answer = yield from _reply(talk)
        if answer.code != 220:
            raise talk.refused(answer.text)


class LMTP(SMTP):
    """RFC 2033: as SMTP, with LHLO."""

    name = "lmtp"
    title = "LMTP"
    port = 24
    _hello = "LHLO"


class FTP(Protocol):
    """RFC 4217: AUTH TLS, 234. Whoever transfers files then says PBSZ 0 and PROT P."""

    name = "ftp"
    title = "FTP"
    port = 21

    def script(self, talk: Talk) -> Script[None]:
        """See Protocol."""
        greeting = yield from _reply(talk, free_text=True)
        while greeting.code == 120:  # "service ready in nnn minutes": another one follows
            greeting = yield from _reply(talk, free_text=True)
        if greeting.code != 220:
            raise talk.refused(greeting.text) if greeting.code >= 400 else talk.garbled(greeting.text, "220")
        talk.say(b"AUTH TLS\r\n")
        answer = yield from _reply(talk, free_text=True)
        if answer.code in (500, 502, 504):  # not understood, not implemented, not for this parameter
            raise talk.not_offered(answer=answer.text.decode("utf-8", "backslashreplace"))
        if answer.code != 234:
            raise talk.refused(answer.text)


class NNTP(Protocol):
    """RFC 4642: CAPABILITIES, where the server lists STARTTLS; STARTTLS, 382."""

    name = "nntp"
    title = "NNTP"
    port = 119

    def script(self, talk: Talk) -> Script[None]:
        """See Protocol."""
        greeting = yield from self._answer(talk)
        if greeting.code not in (200, 201):  # posting allowed, or not
            raise talk.refused(greeting.text) if greeting.code >= 400 else talk.garbled(greeting.text, "200 or 201")
        talk.say(b"CAPABILITIES\r\n")
        answer = yield from self._answer(talk)
        if answer.code == 101:
            offered: list[bytes] = []
            while (line := (yield from talk.line())) != b".":
                offered.append(b"101 " + line)
            if not Reply(101, [b"", *offered]).offers(b"STARTTLS"):
                raise talk.not_offered(offered=_keywords(offered))
        # A server from before RFC 3977 does not know CAPABILITIES, and may know STARTTLS.
        talk.say(b"STARTTLS\r\n")
        answer = yield from self._answer(talk)
        if answer.code == 500:
            raise talk.not_offered(answer=answer.text.decode("utf-8", "backslashreplace"))
        if answer.code != 382:
            raise talk.refused(answer.text)

    @staticmethod
    def _answer(talk: Talk) -> Script[Reply]:
        """One line: in NNTP a number says by itself whether more lines follow (RFC 3977 section 3.2)."""
        line = yield from talk.line()
        found = _CODE.match(line)
        if found is None or found[2] == b"-":
            raise talk.garbled(line, "a number of three digits, and text")
        return Reply(int(found[1]), [line])


def _keywords(lines: list[bytes]) -> list[str]:
    """The first word of each of these lines, as evidence."""
    return [line[4:].split(b" ")[0].decode("utf-8", "backslashreplace")[:40] for line in lines[:32]]
