"""What to try: something for each failure that has a remedy."""

from __future__ import annotations

import errno
import os

import pytest

from handfast.cli.hints import alert_meaning, hints
from handfast.errors import (
    AlertReceived,
    CertificateNameMismatch,
    CertificateRuleBroken,
    ConfigurationError,
    ConnectionFailed,
    PeerIncompatible,
    PeerMisbehaved,
    UnknownIssuer,
)
from handfast.reasons import (
    BAD_FINISHED,
    CLOSED_DURING_HANDSHAKE,
    DOWNGRADE,
    INAPPROPRIATE_FALLBACK,
    KEY_ENCRYPTED,
    NO_COMMON_SIGNATURE_SCHEME,
    NO_COMMON_SUITE,
    NO_COMMON_VERSION,
    NO_EXTENDED_MAIN_SECRET,
    NO_SECURE_RENEGOTIATION,
    NOT_A_CERTIFICATE,
    NOT_A_KEY,
    NOT_TLS,
    PLAINTEXT,
    RENEGOTIATION_REFUSED,
    RESET,
    UNKNOWN_ISSUER,
    VERSION_REFUSED,
    Reason,
)
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


@pytest.mark.parametrize("host", ["::1:9102", "::1:59102", "2001:db8::1:443"])
def test_a_port_behind_an_address_without_brackets(host: str) -> None:
    address, _, port = host.rpartition(":")
    found = hints(ConnectionFailed(None, host=host, port=443, problem=os.strerror(errno.EHOSTUNREACH)))
    assert found[0] == f"If {port} is the port, the address stands in brackets: [{address}]:{port}"
    assert len(found) == 2


@pytest.mark.parametrize("host", ["::1", "2001:db8::5", "::1:face", "::1:0", "example.com", "::1:70000", ""])
def test_what_has_no_port_behind_it_is_not_asked_for_brackets(host: str) -> None:
    found = hints(ConnectionFailed(None, host=host, port=443, problem=os.strerror(errno.EHOSTUNREACH)))
    assert len(found) == 1


def test_an_alert_has_the_hint_of_its_kind() -> None:
    assert "--servername" in hints(AlertReceived(AlertDescription.UNRECOGNIZED_NAME, "unrecognized_name"))[0]
    assert "--alpn" in hints(AlertReceived(AlertDescription.NO_APPLICATION_PROTOCOL, "no_application_protocol"))[0]
    assert hints(AlertReceived(200, "0xc8"))


def test_a_finer_reason_keeps_its_own_hint() -> None:
    assert hints(ConnectionFailed(RESET, problem="Connection reset by peer")) == [RESET.hint]


@pytest.mark.parametrize(
    ("offered", "words"),
    [
        (["TLSv1.3", "TLSv1.2"], "Update the server: TLS 1.2 is from 2008"),
        (["TLSv1.3"], "The server may speak TLS 1.2: offer it as well (--tls 1.2,1.3)"),
        (["TLSv1.2"], "The server may speak TLS 1.3: offer it as well (--tls 1.2,1.3)"),
    ],
)
def test_a_refused_version_has_an_option_or_an_update(offered: list[str], words: str) -> None:
    refused = AlertReceived(AlertDescription.PROTOCOL_VERSION, "protocol_version", VERSION_REFUSED, we_offered=offered)
    [hint] = hints(refused)
    assert hint.startswith(words)


@pytest.mark.parametrize(
    ("speaks", "offered", "words"),
    [
        ("TLSv1.2", ["TLSv1.3"], "The server speaks TLS 1.2: offer it as well"),
        ("TLSv1.1", ["TLSv1.3"], "Update the server: TLS 1.2 is from 2008"),
        ("TLSv1.1", ["TLSv1.3", "TLSv1.2"], "Update the server: TLS 1.2 is from 2008"),
    ],
)
def test_a_server_that_names_its_version_is_believed(speaks: str, offered: list[str], words: str) -> None:
    [hint] = hints(PeerIncompatible(NO_COMMON_VERSION, peer_speaks=speaks, we_offered=offered))
    assert hint.startswith(words)


@pytest.mark.parametrize(
    ("offered", "accepted", "words"),
    [
        (["TLSv1.2"], ["TLSv1.3"], "Accept TLS 1.2 as well: --tls 1.2,1.3"),
        (["GREASE(0x0a0a)", "TLSv1.3"], ["TLSv1.2"], "Accept TLS 1.3 as well: --tls 1.2,1.3"),
        (["SSLv3"], ["TLSv1.2"], "Update the client: TLS 1.2 is from 2008, and what was before it is broken."),
        (["TLSv1.1", "TLSv1.0"], ["TLSv1.3", "TLSv1.2"], "Update the client: TLS 1.2 is from 2008, and"),
    ],
)
def test_a_server_says_what_would_let_the_client_in(offered: list[str], accepted: list[str], words: str) -> None:
    problem = PeerIncompatible(NO_COMMON_VERSION, peer_speaks=offered[-1], peer_offered=offered, we_accept=accepted)
    [hint] = hints(problem, serving=True)
    assert hint.startswith(words)


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (NO_EXTENDED_MAIN_SECRET, "let it speak TLS 1.3"),
        (NO_SECURE_RENEGOTIATION, "Update the server"),
        (RENEGOTIATION_REFUSED, "Open a new connection"),
        (INAPPROPRIATE_FALLBACK, "newest version first"),
        (DOWNGRADE, "try another network"),
    ],
)
def test_each_reason_of_tls_1_2_has_its_hint(reason: Reason, words: str) -> None:
    assert words in hints(PeerIncompatible(reason))[0]


def test_a_handshake_failure_after_our_certificate_is_about_it() -> None:
    plain = AlertReceived(AlertDescription.HANDSHAKE_FAILURE, "handshake_failure")
    ours = AlertReceived(AlertDescription.HANDSHAKE_FAILURE, "handshake_failure", client_certificate="not sent")
    assert "--cert FILE --key FILE" in hints(ours)[0]
    assert "--cert" not in hints(plain)[0]
    assert "needs a client certificate" in alert_meaning(ours)
    assert "nothing in common" in alert_meaning(plain)


def test_an_alert_about_our_certificate_has_the_hint_of_a_client() -> None:
    plain = AlertReceived(AlertDescription.UNSUPPORTED_CERTIFICATE, "unsupported_certificate")
    ours = AlertReceived(AlertDescription.UNSUPPORTED_CERTIFICATE, "unsupported_certificate", client_certificate="CN=a")
    none = AlertReceived(AlertDescription.CERTIFICATE_REQUIRED, "certificate_required", client_certificate="not sent")
    assert "clientAuth" in hints(ours)[0]
    assert "clientAuth" not in hints(plain)[0]
    assert "--cert FILE --key FILE" in hints(none)[0]


@pytest.mark.parametrize(
    ("version", "certificate", "needed"),
    [
        ("TLSv1.2", "not sent: none was given", True),
        ("TLSv1.3", "not sent: none was given", False),
        ("TLSv1.2", "CN=a", False),
    ],
)
def test_gnutls_needs_a_certificate_by_an_alert_of_its_own(version: str, certificate: str, needed: bool) -> None:
    said = AlertReceived(AlertDescription.DECODE_ERROR, "decode_error", version=version, client_certificate=certificate)
    assert ("--cert FILE --key FILE" in hints(said)[0]) is needed
    assert ("needs a client certificate" in alert_meaning(said)) is needed


def test_suites_of_tls_1_2_are_for_a_kind_of_certificate() -> None:
    evidence = {"we_accept": ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"], "our_certificates_are": ["secp256r1"]}
    shared = PeerIncompatible(NO_COMMON_SUITE, peer_offered=["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"], **evidence)
    none = PeerIncompatible(NO_COMMON_SUITE, peer_offered=["TLS_RSA_WITH_AES_128_CBC_SHA"], **evidence)
    in_13 = PeerIncompatible(
        NO_COMMON_SUITE, peer_offered=["TLS_AES_128_CCM_SHA256"], we_accept=["TLS_AES_128_GCM_SHA256"]
    )
    assert "an RSA certificate" in hints(shared, serving=True)[0]
    assert "ECDHE with AES-GCM" in hints(none, serving=True)[0]
    assert hints(in_13, serving=True) == []


@pytest.mark.parametrize(
    ("ours", "words"),
    [
        ([], "TLS 1.2 has no signatures by mldsa44"),
        (["ecdsa_secp256r1_sha256"], "does not know the curve"),
        (["ed448"], "Add an identity with another kind of key."),
    ],
)
def test_a_certificate_that_tls_1_2_cannot_use_has_its_cause(ours: list[str], words: str) -> None:
    evidence = {"our_certificates_are": ["mldsa44"], "peer_knows_curves": ["x448"]}
    problem = PeerIncompatible(
        NO_COMMON_SIGNATURE_SCHEME, peer_offered=["ecdsa_secp256r1_sha256"], we_can_sign_with=ours, **evidence
    )
    assert words in hints(problem, serving=True)[0]


def test_a_client_that_goes_without_a_word_may_have_looked_for_a_port() -> None:
    gone = ConnectionFailed(CLOSED_DURING_HANDSHAKE)
    assert "whether a port is open" in hints(gone, serving=True)[0]
    assert hints(gone) == [CLOSED_DURING_HANDSHAKE.hint]


def test_a_handshake_failure_may_come_from_an_old_server() -> None:
    def failure(*offered: str) -> AlertReceived:
        return AlertReceived(AlertDescription.HANDSHAKE_FAILURE, "handshake_failure", versions_we_offered=offered)

    assert "TLS 1.1" in hints(failure("TLSv1.3", "TLSv1.2"))[1]
    assert len(hints(failure("TLSv1.3"))) == 1


def test_a_key_that_cannot_be_used_has_a_hint() -> None:
    assert "--password-file FILE" in hints(ConfigurationError(KEY_ENCRYPTED, file="a"))[0]
    assert "--key FILE" in hints(ConfigurationError(NOT_A_KEY, file="a"))[0]


def test_a_wrong_password_is_another_matter_than_none() -> None:
    assert "the whole first line counts" in hints(ConfigurationError(KEY_ENCRYPTED, problem="the password is wrong"))[0]
    assert "is asked for" in hints(ConfigurationError(KEY_ENCRYPTED, problem="no password was given"))[0]


def test_a_service_that_is_asked_for_by_name_has_its_option() -> None:
    def of(*names: str) -> list[str]:
        return hints(CertificateNameMismatch(certificate_is_for=list(names)))

    assert of("URI:spiffe://example.org/db")[0].endswith("--spiffe spiffe://example.org/db")
    for names in (["DNS:a.example"], ["URI:spiffe://example.org/db", "DNS:a.example"], ["URI:https://a.example"]):
        assert "--spiffe" not in of(*names)[0]
    assert "--spiffe" not in of("URI:spiffe://example.org/db;reboot")[0]  # it stands in a stranger's certificate


def test_a_rule_that_can_be_relaxed_has_the_whole_option() -> None:
    assert hints(CertificateRuleBroken(relax="missing-key-usage"))[0].endswith("--relax missing-key-usage")
    without = [CertificateRuleBroken(), CertificateRuleBroken(relax="missing-key-usage", proxy="https://proxy.example")]
    assert not any("--relax" in hint for error in without for hint in hints(error))


def test_where_nothing_can_be_done_nothing_is_said() -> None:
    assert hints(PeerMisbehaved(BAD_FINISHED)) == []


@pytest.mark.parametrize(
    ("first", "words"),
    [
        ("220 m", "--starttls smtp"),
        ("* OK ", "--starttls imap"),
        ("+OK D", "--starttls pop3"),
        ("200 n", "--starttls nntp"),
        ('"IMPL', "--starttls sieve"),
        (b"\x64\x00\x00\x00\x0a", "--starttls mysql"),
    ],
)
def test_a_server_that_greets_in_plain_text_may_begin_tls_later(first: object, words: str) -> None:
    reason = NOT_TLS if isinstance(first, bytes) else PLAINTEXT
    error = PeerMisbehaved(reason, first_bytes=first)
    assert any(words in hint for hint in hints(error))
    assert not any("--starttls" in hint for hint in hints(error, serving=True))
    assert hints(PeerMisbehaved(reason, first_bytes="hello")) == [reason.hint]


def test_a_proxy_is_not_trusted_by_the_servers_roots() -> None:
    assert "--proxy-ca FILE" in hints(UnknownIssuer(proxy="https://proxy.example:443"))[0]
    assert hints(UnknownIssuer()) == [UNKNOWN_ISSUER.hint]


def test_who_has_given_the_root_is_not_told_to_give_it() -> None:
    alone = UnknownIssuer(position="certificate 1 of 1")
    assert hints(alone, given=True)[0].startswith("An intermediate is likely to be missing")
    assert hints(alone)[0] == UNKNOWN_ISSUER.hint
    other = UnknownIssuer(
        position="certificate 1 of 1", problem="a trusted root has the issuer's name, and another key"
    )
    assert "get its file anew" in hints(other, given=True)[0]
    assert hints(other)[0] == UNKNOWN_ISSUER.hint
    longer = UnknownIssuer(position="certificate 2 of 2")
    assert hints(longer, given=True) == [
        "The roots that --ca FILE names are others. If the issuer is your own, name its root; if not, the peer may not be who it says."
    ]
    assert hints(longer) == [UNKNOWN_ISSUER.hint]
    left_out = UnknownIssuer(position="certificate 2 of 2", skipped=["certificate 2: it is cut"])
    assert "left out" in hints(left_out, given=True)[0]
    assert hints(left_out, given=True)[1:] == hints(longer, given=True)
    assert hints(left_out) == [UNKNOWN_ISSUER.hint]


@pytest.mark.parametrize(("what", "words"), [("CSR", "handfast ca sign FILE NAME"), ("CRL", "openssl crl -text")])
def test_what_is_no_certificate_and_has_to_do_with_one(what: str, words: str) -> None:
    (hint,) = hints(ConfigurationError(NOT_A_CERTIFICATE, file="file", problem=f"it is another thing ({what})"))
    assert words in hint
    assert hints(ConfigurationError(NOT_A_CERTIFICATE, file="file", problem="there is nothing in it")) == []
