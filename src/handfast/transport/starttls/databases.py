"""Databases: PostgreSQL and MySQL, which MariaDB speaks too. Both have binary packets."""

from __future__ import annotations

import struct
from typing import Final

from handfast.errors import DecodeError
from handfast.transport.starttls.dialogue import Protocol, Script, Talk, brief
from handfast.wire.cursor import Reader

_SSL_REQUEST: Final = struct.pack(">II", 8, 80_877_103)


class PostgreSQL(Protocol):
    """An SSLRequest; the server answers with one letter, S for yes and N for no (its manual, sections 55.2 and 55.7).

    Whatever comes behind the letter is refused (CVE-2021-23222).
    """

    name = "postgres"
    title = "PostgreSQL"
    port = 5432
    alpn = ("postgresql",)  # what libpq offers since 17, so that a server of another protocol can tell

    def script(self, talk: Talk) -> Script[None]:
        """See Protocol."""
        talk.say(_SSL_REQUEST, "SSLRequest")
        answer = yield from talk.exactly(1)
        if answer == b"N":
            raise talk.not_offered(answer="N")
        if answer == b"E":
            # An error, before we know whose: its text is not shown, since anybody can have written it (CVE-2024-10977).
            raise talk.refused("E, which is an error: too many connections, say, or a server that knows no SSLRequest")
        if answer != b"S":
            raise talk.garbled(answer, "S or N")


class PostgreSQLDirect(Protocol):
    """TLS from the first byte on, as PostgreSQL has it since 17 (``sslnegotiation=direct``): nothing is said before.

    The server wants "postgresql" by ALPN.
    """

    name = "postgres-direct"
    title = "PostgreSQL"
    port = 5432
    alpn = ("postgresql",)

    def script(self, talk: Talk) -> Script[None]:
        """See Protocol."""
        yield from ()


class MySQL(Protocol):
    """The server's greeting, which says whether it has TLS; an SSLRequest, which is not answered.

    Whoever logs in then needs the greeting, with the challenge in it: ``dialogue.said[0].data`` is the packet. The next
    one that is sent has number 2, and begins with the same capabilities.
    """

    name = "mysql"
    title = "MySQL"
    port = 3306

    PROTOCOL_41 = 0x0000_0200
    SSL = 0x0000_0800
    SECURE_CONNECTION = 0x0000_8000
    PLUGIN_AUTH = 0x0008_0000
    CAPABILITIES = PROTOCOL_41 | SSL | SECURE_CONNECTION | PLUGIN_AUTH

    LARGEST_PACKET = 0xFF_FFFF
    UTF8MB4 = 45

    def __init__(self, capabilities: int = CAPABILITIES, character_set: int = UTF8MB4) -> None:
        """The capabilities and the character set that the login will have; SSL and PROTOCOL_41 are always among them."""
        self._capabilities = capabilities | self.SSL | self.PROTOCOL_41
        self._character_set = character_set

    def script(self, talk: Talk) -> Script[None]:
        """See Protocol."""
        header = yield from talk.peek(4)
        length = int.from_bytes(header[:3], "little")
        if header[3] > 1 or not length:  # an error may come as number 1
            raise talk.garbled(header, "a packet with number 0")
        packet = yield from talk.exactly(4 + length, _greeting)
        try:
            offered = self._offered(talk, Reader(packet, 4))
        except DecodeError as error:
            raise talk.garbled(brief(packet.hex(" ")), f"a greeting that is whole, with {error.field}") from None
        if not offered & self.SSL:
            raise talk.not_offered(offered=[f"capabilities 0x{offered:04x}, without CLIENT_SSL (0x0800)"])
        payload = struct.pack("<IIB23x", self._capabilities, self.LARGEST_PACKET, self._character_set & 0xFF)
        talk.say(len(payload).to_bytes(3, "little") + b"\x01" + payload, "SSLRequest")

    @staticmethod
    def _offered(talk: Talk, greeting: Reader) -> int:
        """The lower half of the server's capabilities; SSL is in it."""
        version = greeting.uint8("protocol version")
        if version == 0xFF:  # an error: this host is blocked, say
            number = int.from_bytes(greeting.opaque(2, "error code"), "little")
            raise talk.refused(f"error {number}: {brief(greeting.rest())}")
        if version != 10:
            raise talk.garbled(str(version), "version 10 of the protocol")
        while greeting.uint8("server version"):
            pass
        greeting.opaque(4 + 8 + 1, "challenge")
        return int.from_bytes(greeting.opaque(2, "capabilities"), "little")


def _greeting(packet: bytes) -> str:
    if packet[4:5] != b"\x0a":
        return packet.hex(" ")
    return f"greeting of {brief(packet[5:].split(bytes(1))[0])}"
