"""What to try: something for each failure that has a remedy."""

from __future__ import annotations

import errno
import os

import pytest

from handfast.cli.hints import hints
from handfast.errors import AlertReceived, ConfigurationError, ConnectionFailed, PeerMisbehaved
from handfast.reasons import BAD_FINISHED, KEY_ENCRYPTED, NOT_A_KEY, RESET, VERSION_REFUSED
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


def test_an_alert_about_our_certificate_has_the_hint_of_a_client() -> None:
    plain = AlertReceived(AlertDescription.UNSUPPORTED_CERTIFICATE, "unsupported_certificate")
    ours = AlertReceived(AlertDescription.UNSUPPORTED_CERTIFICATE, "unsupported_certificate", client_certificate="CN=a")
    none = AlertReceived(AlertDescription.CERTIFICATE_REQUIRED, "certificate_required", client_certificate="not sent")
    assert "clientAuth" in hints(ours)[0]
    assert "clientAuth" not in hints(plain)[0]
    assert "--cert FILE --key FILE" in hints(none)[0]


def test_a_key_that_cannot_be_used_has_a_hint() -> None:
    assert "openssl pkey" in hints(ConfigurationError(KEY_ENCRYPTED, file="a"))[0]
    assert "--key FILE" in hints(ConfigurationError(NOT_A_KEY, file="a"))[0]


def test_where_nothing_can_be_done_nothing_is_said() -> None:
    assert hints(PeerMisbehaved(BAD_FINISHED)) == []
