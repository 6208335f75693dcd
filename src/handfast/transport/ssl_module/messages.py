"""What a context lets be seen of its connections: ``handfast_tap``, which is ours, and ``_msg_callback``, which is ssl's."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from handfast.connection import Tap
from handfast.transport.ssl_module import exceptions
from handfast.wire.alert import Alert, ChangeCipherSpec
from handfast.wire.codepoints import ContentType, HandshakeType, ProtocolVersion

if TYPE_CHECKING:
    from handfast.transport.ssl_module.engine import Engine

MakeTap = Callable[[Any], Tap | None]

_HEADER: Final = 0x100  # what OpenSSL calls the header of a record
_CHANGE_CIPHER_SPEC: Final = 0x101  # and this, which is no handshake message
_callback_of: Final[Any] = ssl.SSLContext.__base__._msg_callback.__get__  # type: ignore[union-attr]


def tap_of(engine: Engine) -> Tap | None:
    """The tap of a connection that begins."""
    make, callback = engine.context.handfast_tap, _callback_of(engine.context)
    tap = make(engine.owner) if make is not None else None
    return tap if callback is None else _Messages(engine._owner, callback, tap)


class _Messages:
    """Passes on what ``ssl`` would tell: headers of records, alerts and handshake messages.

    ``owner``     gives the SSLObject or SSLSocket
    ``callback``  what ssl makes of _msg_callback: it takes numbers
    ``tap``       a tap that wants to see the same
    """

    def __init__(self, owner: Callable[[], Any], callback: Callable[..., None], tap: Tap | None) -> None:
        self._owner = owner
        self._callback = callback
        self._tap = tap
        self._version: int = ProtocolVersion.TLS_1_2  # what records say, until the server has chosen

    def record(self, sent: bool, content_type: int, length: int, encrypted: bool) -> None:
        """See handfast.connection.Tap."""
        if self._tap is not None:
            self._tap.record(sent, content_type, length, encrypted)
        header = bytes((content_type,)) + ProtocolVersion.TLS_1_2.to_bytes(2) + length.to_bytes(2)
        self._tell(sent, _HEADER, content_type, header)

    def message(self, sent: bool, message: Any, encrypted: bool) -> None:
        """See handfast.connection.Tap."""
        if self._tap is not None:
            self._tap.message(sent, message, encrypted)
        if isinstance(message, Alert):
            self._tell(sent, ContentType.ALERT, message.description, message.encode())
        elif isinstance(message, ChangeCipherSpec):
            self._tell(sent, ContentType.CHANGE_CIPHER_SPEC, _CHANGE_CIPHER_SPEC, message.raw)
        else:
            if message.TYPE == HandshakeType.SERVER_HELLO:
                self._version = message.selected_version or message.legacy_version
            self._tell(sent, ContentType.HANDSHAKE, message.TYPE, message.raw)

    def _tell(self, sent: bool, content_type: int, message_type: int, data: bytes) -> None:
        try:
            direction = "write" if sent else "read"
            self._callback(self._owner(), direction, self._version, content_type, message_type, data)
        except Exception as error:
            exceptions.report(error)  # a look must not break what it looks at
