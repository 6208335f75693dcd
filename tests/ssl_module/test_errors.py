"""Failures: the classes, numbers and names that programs look at are those of ``ssl``, and the text is ours too."""

from __future__ import annotations

import copy
import pickle
import ssl
import subprocess
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from handfast import CertificateRefused, ClientConfig, HandshakeRefused, ServerConfig, reasons
from handfast.testing import Authority
from handfast.transport import ssl_module
from handfast.transport.ssl_module import exceptions
from tests.peers import require_peer
from tests.ssl_module.conftest import MODULES, Make
from tests.ssl_module.memory import Pair, failure

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
STRANGER = Authority.create("Stranger")


def _server(module: Any, identity: Any, folder: Any, name: str = "case") -> Any:
    context = module.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*identity.write(folder, name))
    return context


def _cases(authority: Authority) -> dict[str, Any]:
    return {
        "expired": authority.issue("localhost", not_before=LONG_AGO, not_after=LONG_AGO + timedelta(days=9)),
        "not yet": authority.issue(
            "localhost",
            not_before=datetime.now(UTC) + timedelta(days=2),
            not_after=datetime.now(UTC) + timedelta(days=9),
        ),
        "other name": authority.issue("elsewhere.test"),
        "stranger": STRANGER.issue("localhost"),
        "no server": authority.issue("localhost", usage=("client",)),
    }


EXPECTED = {
    "expired": (10, "certificate has expired", "certificate_expired"),
    "not yet": (9, "certificate is not yet valid", "certificate_not_yet_valid"),
    "other name": (62, "Hostname mismatch, certificate is not valid for 'localhost'.", "certificate_name_mismatch"),
    "stranger": (20, "unable to get local issuer certificate", "missing_intermediate"),
    "no server": (26, "unsuitable certificate purpose", "certificate_wrong_usage"),
}


@pytest.mark.parametrize("case", EXPECTED)
def test_certificates_that_are_refused(case: str, authority: Authority, client_of: Make, tmp_path: Any) -> None:
    server = _server(ssl, _cases(authority)[case], tmp_path)
    code, words, reason = EXPECTED[case]
    ours = failure(Pair(client_of(), server).shake)
    theirs: Any = failure(Pair(client_of(ssl), server).shake)
    assert isinstance(ours, ssl.SSLCertVerificationError)
    assert isinstance(ours, ssl.CertificateError)
    assert (ours.verify_code, ours.verify_message) == (code, words)
    assert ours.verify_code == theirs.verify_code
    assert (ours.errno, ours.reason, ours.library) == (theirs.errno, theirs.reason, theirs.library)
    assert str(ours).startswith(f"[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: {words}")
    assert ours.handfast.reason.name == reason  # type: ignore[attr-defined]
    assert ours.handfast.reason.sentence in str(ours)  # type: ignore[attr-defined]
    hint = ours.handfast.reason.hint.replace("(--ca FILE)", "(cafile=FILE)")  # type: ignore[attr-defined]
    assert hint in str(ours)


def test_a_wrong_address(authority: Authority, client_of: Make, tmp_path: Any) -> None:
    server = _server(ssl, authority.issue("localhost"), tmp_path)
    ours: Any = failure(Pair(client_of(), server, "192.0.2.1").shake)
    theirs: Any = failure(Pair(client_of(ssl), server, "192.0.2.1").shake)
    assert (ours.verify_code, ours.verify_message) == (theirs.verify_code, theirs.verify_message)


def test_a_self_signed_certificate(client_of: Make, tmp_path: Any) -> None:
    """Refused where it is a stranger's, accepted where it is itself among the roots, as with ``ssl``."""
    openssl = require_peer("openssl")
    certificate, key = tmp_path / "own.pem", tmp_path / "own.key"
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3"),
            *("-keyout", key, "-out", certificate, "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
        ],
        check=True,
        capture_output=True,
    )
    for module in MODULES.values():
        server = module.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(certificate, key)
        error: Any = failure(Pair(client_of(module), server).shake)
        assert error.verify_code == 18
        trusting = module.create_default_context(cafile=certificate)
        pair = Pair(trusting, server).shake()
        assert pair.client.getpeercert()["subject"] == ((("commonName", "localhost"),),)


def test_a_root_that_is_sent_and_not_trusted(client_of: Make, tmp_path: Any) -> None:
    identity = STRANGER.issue("localhost")
    chain, key = identity.write(tmp_path)
    chain.write_bytes(chain.read_bytes() + STRANGER.pem)
    for module in MODULES.values():
        server = module.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(chain, key)
        error: Any = failure(Pair(client_of(module), server).shake)
        assert error.verify_code == 19


def test_a_context_without_roots(server_of: Make) -> None:
    for module in MODULES.values():
        error: Any = failure(Pair(module.SSLContext(ssl.PROTOCOL_TLS_CLIENT), server_of()).shake)
        assert (error.verify_code, error.reason) == (20, "CERTIFICATE_VERIFY_FAILED")


def test_the_same_error_again(client_of: Make, server_of: Make) -> None:
    pair = Pair(client_of(), server_of(name="other"))
    first, second = failure(pair.shake), failure(pair.client.do_handshake)
    assert type(first) is type(second)
    assert str(first) == str(second)
    assert first is not second


def test_without_a_hostname_the_chain_counts_alone(files: Any, server_of: Make, client_of: Make, tmp_path: Any) -> None:
    context = client_of()
    context.check_hostname = False
    assert Pair(context, server_of(name="other")).shake().client.getpeercert()
    Pair(context, server_of(), name=None).shake()
    stranger = _server(ssl, STRANGER.issue("localhost"), tmp_path)
    assert failure(Pair(context, stranger).shake).verify_code == 20  # type: ignore[attr-defined]


def test_roots_of_the_config_count_whatever_the_context_says(
    server_of: Make, authority: Authority, client_of: Make
) -> None:
    context = client_of()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.handfast = ClientConfig(trust=STRANGER.trust)
    assert failure(Pair(context, server_of()).shake).reason == "CERTIFICATE_VERIFY_FAILED"  # type: ignore[attr-defined]
    context.handfast = ClientConfig(trust=authority.trust)
    assert Pair(context, server_of()).shake().client.getpeercert()["subjectAltName"]


def test_a_certificate_without_names(authority: Authority, client_of: Make, tmp_path: Any) -> None:
    """Good enough where the name does not count, and only there."""
    server = _server(ssl, authority.issue(common_name="localhost"), tmp_path)
    context = client_of()
    assert failure(Pair(context, server).shake).verify_code == 62  # type: ignore[attr-defined]
    context.check_hostname = False
    assert Pair(context, server).shake().client.getpeercert()["subject"][-1] == (("commonName", "localhost"),)


@pytest.mark.parametrize(
    ("flag", "what"),
    [
        (ssl.VERIFY_CRL_CHECK_LEAF, "revocation lists"),
        (ssl.VERIFY_CRL_CHECK_CHAIN, "revocation lists"),
        (0x80, "certificate policies"),  # X509_V_FLAG_POLICY_CHECK
        (0x100, "certificate policies"),  # X509_V_FLAG_EXPLICIT_POLICY: OpenSSL refuses this chain for it
        (0x10000, "Suite B"),  # X509_V_FLAG_SUITEB_128_LOS_ONLY
        (0x20000, "Suite B"),  # X509_V_FLAG_SUITEB_192_LOS
    ],
)
def test_what_flags_ask_for_is_not_passed_over(client_of: Make, server_of: Make, flag: int, what: str) -> None:
    context = client_of()
    context.verify_flags |= flag
    error: Any = failure(Pair(context, server_of()).shake)
    assert error.reason == "CERTIFICATE_VERIFY_FAILED"
    assert what in str(error)


@pytest.mark.parametrize("flag", [0x40, 0x8000, 0x80000, 0x100000])
def test_flags_that_demand_nothing_change_nothing(client_of: Make, server_of: Make, flag: int) -> None:
    """X509_V_FLAG_ALLOW_PROXY_CERTS, TRUSTED_FIRST, PARTIAL_CHAIN and NO_ALT_CHAINS."""
    context = client_of()
    context.verify_flags |= flag
    Pair(context, server_of()).shake()


def test_the_strict_flag_holds_certificates_to_the_profile(
    authority: Authority, client_of: Make, tmp_path: Any
) -> None:
    from cryptography import x509

    server = _server(ssl, authority.issue("localhost", extensions={x509.AuthorityKeyIdentifier: None}), tmp_path)
    context = client_of()
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    Pair(context, server).shake()
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    error: Any = failure(Pair(context, server).shake)
    assert error.handfast.reason is reasons.CERTIFICATE_RULE_BROKEN


@pytest.mark.parametrize(("first", "second"), [("handfast", "ssl"), ("ssl", "handfast"), ("handfast", "handfast")])
def test_what_the_other_side_sees(first: str, second: str, client_of: Make, server_of: Make) -> None:
    """The alert that a side gets has OpenSSL's name on both."""
    pair = Pair(client_of(MODULES[first]), server_of(MODULES[second], name="other"))
    failure(pair.shake)
    error: Any = failure(pair.server.do_handshake)
    assert (error.reason, error.library) == ("SSLV3_ALERT_BAD_CERTIFICATE", "SSL")


@pytest.mark.parametrize(
    ("bytes_to_server", "reason"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "HTTP_REQUEST"),
        (b"HELO somebody\r\n", "WRONG_VERSION_NUMBER"),
        (b"\x00\x01\x02\x03\x04\x05", "WRONG_VERSION_NUMBER"),
    ],
)
def test_what_is_no_tls(bytes_to_server: bytes, reason: str, server_of: Make) -> None:
    incoming = ssl.MemoryBIO()
    incoming.write(bytes_to_server)
    side = server_of().wrap_bio(incoming, ssl.MemoryBIO(), server_side=True)
    error: Any = failure(side.do_handshake)
    assert error.reason == reason
    assert exceptions._words(reason) in str(error)


def test_an_http_answer(client_of: Make) -> None:
    """urllib3 looks for these words, and then says that the proxy speaks HTTP."""
    incoming = ssl.MemoryBIO()
    incoming.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    side = client_of().wrap_bio(incoming, ssl.MemoryBIO(), server_hostname="localhost")
    error: Any = failure(side.do_handshake)
    assert error.reason == "WRONG_VERSION_NUMBER"
    assert "wrong version number" in str(error)


def test_versions_that_do_not_meet(client_of: Make, server_of: Make) -> None:
    pair = Pair(client_of(version="TLSv1_2"), server_of(version="TLSv1_3"))
    assert failure(pair.shake).reason == "UNSUPPORTED_PROTOCOL"  # type: ignore[attr-defined]
    assert failure(pair.client.do_handshake).reason == "TLSV1_ALERT_PROTOCOL_VERSION"  # type: ignore[attr-defined]


def test_no_version_is_left(client_of: Make, server_of: Make) -> None:
    for module in MODULES.values():
        context = client_of(module)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        with pytest.warns(DeprecationWarning, match="OP_NO"):
            context.options |= ssl.OP_NO_TLSv1_3
        error: Any = failure(Pair(context, server_of()).shake)
        assert error.reason == "NO_PROTOCOLS_AVAILABLE"


def test_a_server_without_certificate(client_of: Make) -> None:
    for module in MODULES.values():
        pair = Pair(client_of(), module.SSLContext(ssl.PROTOCOL_TLS_SERVER))
        assert failure(pair.shake).reason == "NO_SHARED_CIPHER"  # type: ignore[attr-defined]
        assert failure(pair.client.do_handshake).reason == "SSLV3_ALERT_HANDSHAKE_FAILURE"  # type: ignore[attr-defined]


def test_what_callbacks_refuse(client_of: Make, server_of: Make) -> None:
    def refuse(_: Any) -> None:
        raise CertificateRefused("certificate_revoked", "on our list")

    client = client_of()
    client.handfast = ClientConfig(check_peer=refuse)
    error: Any = failure(Pair(client, server_of()).shake)
    assert (error.verify_code, error.verify_message) == (23, "certificate revoked")
    assert "on our list" in str(error)

    def closed(_: Any) -> None:
        raise HandshakeRefused("access_denied", "closed today")

    server = server_of()
    server.handfast = ServerConfig(on_client_hello=closed)
    pair = Pair(client_of(), server)
    assert "closed today" in str(failure(pair.shake))
    assert failure(pair.client.do_handshake).reason == "TLSV1_ALERT_ACCESS_DENIED"  # type: ignore[attr-defined]


def test_the_cause_of_a_broken_callback(client_of: Make, server_of: Make) -> None:
    def broken(_: Any) -> None:
        raise KeyError("oops")

    client = client_of()
    client.handfast = ClientConfig(check_peer=broken)
    error = failure(Pair(client, server_of()).shake)
    assert isinstance(error.__cause__, KeyError)
    assert "oops" in str(error)


def test_errors_can_be_copied_and_sent(client_of: Make, server_of: Make) -> None:
    error: Any = failure(Pair(client_of(), server_of(name="other")).shake)
    for twin in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert type(twin) is type(error)
        assert str(twin) == str(error)
        assert twin.verify_code == 62
        assert twin.handfast.reason is error.handfast.reason


def test_every_reason_has_a_name_in_capital_letters() -> None:
    from handfast.errors import TLSError

    for reason in reasons.every():
        name = exceptions.reason_of(TLSError(reason))
        assert name == name.upper()
        assert name.replace("_", "").isalnum()


def test_an_alert_about_our_certificate_says_what_to_do(client_of: Make, server_of: Make, files: Any) -> None:
    asking = server_of(ssl)
    asking.verify_mode = ssl.CERT_REQUIRED
    asking.load_verify_locations(files["ca"])
    pair = Pair(client_of(), asking)
    failure(pair.shake)
    error: Any = failure(pair.client.read)
    assert error.reason == "TLSV13_ALERT_CERTIFICATE_REQUIRED"
    assert "load_cert_chain" in str(error)


def test_numbers_are_shown_as_numbers(client_of: Make, server_of: Make) -> None:
    error = failure(Pair(client_of(), server_of(name="other")).shake)
    assert repr(error).startswith("SSLCertVerificationError(1, ")


def test_names_of_the_package_are_classes_of_ssl() -> None:
    """Whoever catches ours catches those of ``ssl``, which come from elsewhere in a program."""
    for name in ("SSLError", "SSLWantReadError", "SSLEOFError", "SSLCertVerificationError", "CertificateError"):
        assert getattr(ssl_module, name) is getattr(ssl, name)
        if "Want" in name:
            assert getattr(exceptions, name) is getattr(ssl, name)  # redis-py looks them up by their very class
        elif name != "CertificateError":
            assert issubclass(getattr(exceptions, name), getattr(ssl, name))
