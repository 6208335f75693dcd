"""What a server says in each protocol when all goes well, turn by turn, and where it goes wrong."""

from __future__ import annotations

from dataclasses import dataclass

_STREAM = b"<?xml version='1.0'?><stream:stream xmlns:stream='http://etherx.jabber.org/streams' xmlns='%s' id='a>b' version='1.0'>"
_FEATURES = (
    b"<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>"
    b'<mechanisms xmlns="urn:ietf:params:xml:ns:xmpp-sasl"><mechanism>PLAIN</mechanism></mechanisms></stream:features>'
)
_WITHOUT = b"<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/></stream:features>"
_PROCEED = b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
_FAILURE = b"<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:stream>"


def greeting_of_mysql(capabilities: int = 0xFFFF) -> bytes:
    payload = (
        b"\x0a8.4.0\0" + bytes(4) + b"12345678" + b"\0" + capabilities.to_bytes(2, "little") + b"\x2d\2\0" + bytes(13)
    )
    return len(payload).to_bytes(3, "little") + b"\0" + payload


def response_of_ldap(code: int, diagnosis: bytes = b"", number: int = 1, name: bytes = b"") -> bytes:
    named = b"\x8a" + bytes([len(name)]) + name if name else b""
    response = b"\x0a\1" + bytes([code]) + b"\4\0\4" + bytes([len(diagnosis)]) + diagnosis + named
    body = b"\2\1" + bytes([number]) + b"\x78" + bytes([len(response)]) + response
    return b"\x30" + bytes([len(body)]) + body


@dataclass(frozen=True)
class Conversation:
    """The server's turns. Each but the first is an answer; the first, too, where the client ``begins``.

    ``without``  the turns of a server that has no TLS
    ``refusing`` the last turn of one that says no; None where the protocol knows no no
    """

    turns: tuple[bytes, ...]
    without: tuple[bytes, ...]
    refusing: bytes | None
    begins: bool = False


_POP3 = (b"+OK hello\r\n", b"+OK\r\nTOP\r\nSTLS\r\n.\r\n", b"+OK begin\r\n")
_NNTP = (b"200 hello\r\n", b"101 list\r\nVERSION 2\r\nSTARTTLS\r\n.\r\n", b"382 go on\r\n")
_SIEVE = b'"IMPLEMENTATION" "a"\r\n"SIEVE" {5}\r\nfile\n\r\n"STARTTLS"\r\nOK "ready"\r\n'

CONVERSATIONS = {
    "smtp": Conversation(
        (b"220-hello\r\n220 there\r\n", b"250-me\r\n250-SIZE 100\r\n250 STARTTLS\r\n", b"220 go\r\n"),
        (b"220 hello\r\n", b"250-me\r\n250 SIZE 100\r\n"),
        b"454 TLS not available\r\n",
    ),
    "lmtp": Conversation(
        (b"220 hello\r\n", b"250-me\r\n250 starttls\r\n", b"220 go\r\n"),
        (b"220 hello\r\n", b"500 what\r\n"),
        b"454 no\r\n",
    ),
    "imap": Conversation(
        (
            b"* OK hello\r\n",
            b"* CAPABILITY IMAP4rev2 STARTTLS\r\na1 OK done\r\n",
            b"* OK by the way\r\na2 OK begin\r\n",
        ),
        (b"* OK [CAPABILITY IMAP4rev2 AUTH=PLAIN] hello\r\n",),
        b"a2 NO not now\r\n",
    ),
    "pop3": Conversation(_POP3, (_POP3[0], b"+OK\r\nTOP\r\n.\r\n"), b"-ERR not now\r\n"),
    "sieve": Conversation((_SIEVE, b"OK\r\n"), (b'"SASL" "PLAIN"\r\nOK\r\n',), b'NO "not now"\r\n'),
    "ftp": Conversation(
        (b"220-hello\r\n ...\r\n220 there\r\n", b"234 go\r\n"), (b"220 hi\r\n", b"500 what\r\n"), b"431 no\r\n"
    ),
    "nntp": Conversation(_NNTP, (_NNTP[0], b"101 list\r\nVERSION 2\r\n.\r\n"), b"580 no\r\n"),
    "xmpp": Conversation(
        (_STREAM % b"jabber:client" + _FEATURES, _PROCEED),
        (_STREAM % b"jabber:client" + _WITHOUT,),
        _FAILURE,
        begins=True,
    ),
    "xmpp-server": Conversation(
        (_STREAM % b"jabber:server" + _FEATURES, _PROCEED),
        (_STREAM % b"jabber:server" + _WITHOUT,),
        _FAILURE,
        begins=True,
    ),
    "ldap": Conversation(
        (response_of_ldap(0),),
        (response_of_ldap(2, b"unsupported"),),
        response_of_ldap(52, b"unavailable"),
        begins=True,
    ),
    "postgres": Conversation((b"S",), (b"N",), b"E\0\0\0\x10SFATAL\0\0", begins=True),
    "mysql": Conversation((greeting_of_mysql(),), (greeting_of_mysql(0xF7FF),), None),
}
