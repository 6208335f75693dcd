"""HOST[:PORT], and what each failure ends with."""

from __future__ import annotations

import pytest

from handfast.cli.connect import address, exit_code
from handfast.cli.request import BadResponse
from handfast.errors import AlertReceived, ConfigurationError, ConnectionFailed, PeerMisbehaved, TruncationError
from handfast.reasons import CONNECT_TIMEOUT, READ_TIMEOUT, RESET


@pytest.mark.parametrize(
    ("target", "found"),
    [
        ("example.com", ("example.com", 443)),
        ("example.com:8443", ("example.com", 8443)),
        ("192.0.2.1:1", ("192.0.2.1", 1)),
        ("::1", ("::1", 443)),
        ("[::1]", ("::1", 443)),
        ("[2001:db8::1]:65535", ("2001:db8::1", 65535)),
        ("grüße.example", ("grüße.example", 443)),
    ],
)
def test_a_host_and_a_port_are_found(target: str, found: tuple[str, int]) -> None:
    assert address(target) == found


@pytest.mark.parametrize(
    "target",
    [
        "",
        ":443",
        "a:",
        "a:0",
        "a:65536",
        "a:-1",
        "a:+1",
        "a:1_0",
        "a:٣",
        "a: 1",
        "[::1",
        "[::1]x",
        "[]:1",
        "https://a/",
        "a/b",
    ],
)
def test_anything_else_is_refused_by_a_sentence(target: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        address(target)
    assert caught.value.evidence["setting"] == "HOST[:PORT]"


def test_each_failure_has_its_exit_code() -> None:
    assert exit_code(None) == 0
    assert exit_code(AlertReceived(40, "handshake_failure")) == 1
    assert exit_code(PeerMisbehaved()) == 1
    assert exit_code(TruncationError()) == 1
    assert exit_code(BadResponse()) == 1
    assert exit_code(ConnectionFailed(RESET)) == 1
    assert exit_code(ConnectionFailed(READ_TIMEOUT)) == 1
    assert exit_code(ConfigurationError()) == 2
    assert exit_code(ConnectionFailed()) == 3
    assert exit_code(ConnectionFailed(CONNECT_TIMEOUT)) == 3
