"""LDAP: an extended operation (RFC 4511 section 4.14). Messages are BER."""

from __future__ import annotations

from typing import Final

from handfast.errors import DecodeError
from handfast.transport.starttls.dialogue import LINE, Protocol, Script, Talk, brief
from handfast.wire.cursor import Reader

_START_TLS: Final = b"1.3.6.1.4.1.1466.20037"
_NUMBER: Final = 1  # of our one message
_INTEGER, _ENUMERATED, _OCTET_STRING, _SEQUENCE = 0x02, 0x0A, 0x04, 0x30
_EXTENDED_REQUEST, _EXTENDED_RESPONSE, _REQUEST_NAME, _RESPONSE_NAME = 0x77, 0x78, 0x80, 0x8A
_SUCCESS, _PROTOCOL_ERROR = 0, 2

# The results that this operation is known to end with (RFC 4511 section 4.14.2 and appendix A).
_RESULTS: Final = {
    1: "operationsError",
    2: "protocolError",
    8: "strongerAuthRequired",
    10: "referral",
    13: "confidentialityRequired",
    50: "insufficientAccessRights",
    51: "busy",
    52: "unavailable",
    53: "unwillingToPerform",
    80: "other",
}


def _element(tag: int, content: bytes) -> bytes:
    return bytes([tag, len(content)]) + content


class LDAP(Protocol):
    """An ExtendedRequest with the name of StartTLS; the server answers with a result, of which 0 is success."""

    name = "ldap"
    title = "LDAP"
    port = 389

    def script(self, talk: Talk) -> Script[None]:
        """See Protocol."""
        request = _element(_EXTENDED_REQUEST, _element(_REQUEST_NAME, _START_TLS))
        message = _element(_SEQUENCE, _element(_INTEGER, bytes([_NUMBER])) + request)
        talk.say(message, f"ExtendedRequest StartTLS ({_START_TLS.decode()})")
        response = yield from self._message(talk)
        try:
            number, code, diagnosis = _result(response)
        except DecodeError as error:
            raise talk.garbled(response.hex(" "), f"an ExtendedResponse, with {error.field}") from None
        said = f"{_RESULTS.get(code, '')} ({code}) {brief(diagnosis)}".strip()
        if (
            number == 0
        ):  # nobody asked: a Notice of Disconnection (section 4.4.1), or somebody who cannot know the number
            raise talk.refused(said)
        if number != _NUMBER:
            raise talk.garbled(response.hex(" "), f"an answer to message {_NUMBER}")
        if code == _PROTOCOL_ERROR:  # "does not support StartTLS"
            raise talk.not_offered(answer=said)
        if code != _SUCCESS:
            raise talk.refused(said)

    @staticmethod
    def _message(talk: Talk) -> Script[bytes]:
        """The next LDAPMessage. Lengths are definite (section 5.1), and may be written longer than they need be."""
        header = yield from talk.peek(2)
        if header[0] != _SEQUENCE or header[1] == 0x80 or header[1] > 0x84:
            raise talk.garbled((yield from talk.exactly(2)).hex(" "), "an LDAPMessage, a SEQUENCE of definite length")
        size, length = 2, header[1]
        if length > 0x80:
            size += length - 0x80
            length = int.from_bytes((yield from talk.peek(size))[2:])
        if length > LINE:
            raise talk.too_long()
        return (yield from talk.exactly(size + length, _response))


def _response(message: bytes) -> str:
    try:
        _, code, diagnosis = _result(message)
    except DecodeError:
        return message.hex(" ")
    return f"ExtendedResponse {'success' if code == _SUCCESS else _RESULTS.get(code, code)} {brief(diagnosis)}".strip()


def _result(message: bytes) -> tuple[int, int, bytes]:
    """The number of the message that is answered, the result code, and the diagnosticMessage of an ExtendedResponse."""
    outer = Reader(message)
    content = _open(outer, _SEQUENCE, "LDAPMessage")
    outer.done("LDAPMessage")
    number = _number(content, _INTEGER, "messageID")
    response = _open(content, _EXTENDED_RESPONSE, "ExtendedResponse")
    code = _number(response, _ENUMERATED, "resultCode")
    _open(response, _OCTET_STRING, "matchedDN")
    diagnosis = _open(response, _OCTET_STRING, "diagnosticMessage").rest()
    while len(response):  # referral, responseName and responseValue; names that this client does not know are no matter
        tag = response.data[response.position]
        name = _open(response, tag, "ExtendedResponse").rest()
        if tag == _RESPONSE_NAME and number and name != _START_TLS:
            raise response.error("responseName", "not that of StartTLS")
    return number, code, diagnosis


def _open(reader: Reader, tag: int, field: str) -> Reader:
    """A reader over the content of the next element, which is left behind."""
    found = reader.uint8(field)
    if found != tag:
        raise reader.error(field, f"has the tag 0x{found:02x}, not 0x{tag:02x}")
    length = reader.uint8(field)
    if length == 0x80 or length > 0x84:
        raise reader.error(field, "has a length that LDAP does not allow")
    if length > 0x80:
        length = int.from_bytes(reader.opaque(length - 0x80, field))
    start = reader.position
    reader.opaque(length, field)
    return Reader(reader.data, start, reader.position)


def _number(reader: Reader, tag: int, field: str) -> int:
    content = _open(reader, tag, field).rest()
    if not 0 < len(content) <= 4:
        raise reader.error(field, "is no number of at most 4 bytes")
    return int.from_bytes(content, signed=True)
