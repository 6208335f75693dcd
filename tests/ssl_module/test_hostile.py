"""Whatever comes from the network, and however it is cut: what comes out is data or an error of ``ssl``."""

from __future__ import annotations

import ssl
from contextlib import suppress
from functools import cache, partial
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from handfast import ServerConfig
from handfast.testing import Authority
from handfast.transport import ssl_module
from tests.ssl_module.memory import Pair, shaken


@cache
def _contexts() -> tuple[Any, Any]:
    authority = Authority.create()
    client = ssl_module.create_default_context(cadata=authority.der)
    server = ssl_module.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.handfast = ServerConfig(identities=[authority.issue("localhost")])
    return client, server


def _outcome(side: Any, call: Any) -> bytes | None:
    found: bytes | None = None
    with suppress(ssl.SSLError):
        found = call()
    assert found is not None or side.pending() == 0
    return found


@given(junk=st.lists(st.binary(max_size=60), max_size=6), as_server=st.booleans(), ended=st.booleans())
def test_junk_in_place_of_a_handshake(junk: list[bytes], as_server: bool, ended: bool) -> None:
    client, server = _contexts()
    pair = Pair(client, server)
    side, incoming = (pair.server, pair.to_server) if as_server else (pair.client, pair.to_client)
    for piece in junk:
        incoming.write(piece)
        assert _outcome(side, side.do_handshake) is None
        assert side.version() is None
    if ended:
        incoming.write_eof()
    for call in (side.read, side.unwrap, lambda: side.write(b"x")):
        assert not _outcome(side, call)


@given(position=st.integers(0, 400), bit=st.integers(0, 7), message=st.binary(min_size=1, max_size=300))
def test_a_flipped_bit_gives_the_same_or_an_error(position: int, bit: int, message: bytes) -> None:
    pair = shaken(*_contexts())
    pair.client.write(message)
    sealed = bytearray(pair.to_server.read())
    sealed[position % len(sealed)] ^= 1 << bit
    pair.to_server.write(sealed)
    pair.to_server.write_eof()
    assert _outcome(pair.server, pair.server.read) in {None, message}


@given(data=st.binary(max_size=70_000), cuts=st.lists(st.integers(1, 20_000), min_size=1, max_size=30))
def test_any_cut_gives_the_same_data(data: bytes, cuts: list[int]) -> None:
    pair = shaken(*_contexts())
    if data:
        assert pair.client.write(data) == len(data)
    sealed = pair.to_server.read()
    received, at, turn = bytearray(), 0, 0
    while at < len(sealed):
        cut = cuts[turn % len(cuts)]
        pair.to_server.write(sealed[at : at + cut])
        at, turn = at + cut, turn + 1
        while found := _outcome(pair.server, partial(pair.server.read, cut)):
            received += found
    assert received == data
