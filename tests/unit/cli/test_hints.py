"""What to try: something for each failure that has a remedy."""

from __future__ import annotations

import errno
import os

import pytest

from handfast.cli.hints import hints
from handfast.errors import AlertReceived, ConnectionFailed, PeerIncompatible, PeerMisbehaved
from handfast.reasons import BAD_FINISHED, HELLO_RETRY_UNSUPPORTED, RESET, VERSION_REFUSED
from handfast.wire.codepoints import AlertDescription


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (os.strerror(errno.ECONNREFUSED), "Nothing listens"),
        (os.strerror(errno.ENETUNREACH), "no way"),
        ("Name or service not known", "cannot be resolved"),
        ("nodename nor servname provided, or not known", "cannot be resolved"),
        ("Temporary failure in name resolution", "cannot be resolved"),
        ("something else", "Check host name, port and network."),
    ],
)
def test_what_the_system_says_has_its_hint(problem: str, words: str) -> None:
    assert words in hints(ConnectionFailed(None, host="a", port=1, problem=problem))[0]


def test_an_alert_has_the_hint_of_its_kind() -> None:
    assert "--servername" in hints(AlertReceived(AlertDescription.UNRECOGNIZED_NAME, "unrecognized_name"))[0]
    assert "--alpn" in hints(AlertReceived(AlertDescription.NO_APPLICATION_PROTOCOL, "no_application_protocol"))[0]
    assert hints(AlertReceived(200, "0xc8"))


def test_a_finer_reason_keeps_its_own_hint() -> None:
    refused = AlertReceived(AlertDescription.PROTOCOL_VERSION, "protocol_version", VERSION_REFUSED)
    assert hints(refused) == [VERSION_REFUSED.hint]
    assert hints(ConnectionFailed(RESET, problem="Connection reset by peer")) == [RESET.hint]


def test_the_group_that_a_server_asks_for_is_the_option_to_give() -> None:
    assert "--group secp384r1" in hints(PeerIncompatible(HELLO_RETRY_UNSUPPORTED, server_asks_for="secp384r1"))[0]


def test_where_nothing_can_be_done_nothing_is_said() -> None:
    assert hints(PeerMisbehaved(BAD_FINISHED)) == []
