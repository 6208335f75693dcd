"""asyncio's streams with early data: it has a reader of its own, so that nobody takes it for what cannot be a replay."""

from __future__ import annotations

import asyncio
from typing import Any


class EarlyStreams(asyncio.StreamReaderProtocol):
    """The protocol of streams, whose handler is called as soon as early data comes.

    ``early_data``  its reader, which ends once hands are shaken; None where the client has sent none
    """

    def __init__(self, reader: asyncio.StreamReader, handler: Any, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(reader, handler, loop=loop)
        self.early_data: asyncio.StreamReader | None = None
        self._early_loop = loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected before hands are shaken: that is for early data."""
        if transport.get_extra_info("handshake") is None:
            self.early_data = asyncio.StreamReader(loop=self._early_loop)
        super().connection_made(transport)

    def early_data_received(self, data: bytes) -> None:
        """The server's configuration limits how much there is."""
        assert self.early_data is not None, "it came first"
        self.early_data.feed_data(data)

    def early_data_ended(self) -> None:
        """Hands are shaken."""
        assert self.early_data is not None, "it came first"
        self.early_data.feed_eof()

    def connection_lost(self, exc: Exception | None) -> None:
        """Whoever still waits for early data hears why there is no more."""
        if self.early_data is not None and not self.early_data._eof:  # type: ignore[attr-defined]
            if exc is None:
                self.early_data.feed_eof()
            else:
                self.early_data.set_exception(exc)
        super().connection_lost(exc)
